package memnet

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Endpoint is one socket of a Network. It is a net.PacketConn whose addresses
// are *net.UDPAddr.
type Endpoint struct {
	net  *Network
	addr netip.AddrPort
	in   chan *packet
	gone chan struct{} // closed by Close

	mu     sync.Mutex
	up     pipe
	down   pipe
	frozen bool
	awake  chan struct{} // while stalled: closed when that ends; else nil
	closed bool

	deadline      time.Time     // of reads; zero = none
	deadlineMoved chan struct{} // closed and replaced when deadline changes
}

var _ net.PacketConn = (*Endpoint)(nil)

func newEndpoint(n *Network, addr netip.AddrPort) *Endpoint {
	return &Endpoint{
		net: n, addr: addr,
		in:            make(chan *packet, receiveQueue),
		gone:          make(chan struct{}),
		deadlineMoved: make(chan struct{}),
	}
}

// Addr is the endpoint's address.
func (e *Endpoint) Addr() netip.AddrPort { return e.addr }

// pipe is one direction of the line between an endpoint and the network.
type pipe struct {
	rate float64   // bytes a second; 0 = no limit
	free time.Time // when all that is queued has passed
}

// pass queues a packet and says when its last bit is through, or that the queue
// is full.
func (p *pipe) pass(now time.Time, bytes int) (time.Time, bool) {
	if p.rate == 0 {
		return now, true
	}
	start := now
	if p.free.After(start) {
		start = p.free
	}
	if start.Sub(now) > lineQueue {
		return now, false
	}
	p.free = start.Add(time.Duration(float64(bytes) / p.rate * float64(time.Second)))
	return p.free, true
}

// SetUpload limits what the endpoint sends to bps bits a second, headers
// included; 0 = no limit.
func (e *Endpoint) SetUpload(bps float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.up.rate = bps / 8
}

// SetDownload limits what the endpoint receives in the same way.
func (e *Endpoint) SetDownload(bps float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down.rate = bps / 8
}

// Freeze makes the endpoint lose all it sends and receives, or ends that: the
// process behind it has stopped, as far as others can see.
func (e *Endpoint) Freeze(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frozen = on
}

// Stall is Freeze with a socket buffer, as a stopped process has: what comes
// meanwhile waits in the receive queue and is read afterwards.
func (e *Endpoint) Stall(on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case on && e.awake == nil:
		e.awake = make(chan struct{})
		close(e.deadlineMoved) // a read under way looks again
		e.deadlineMoved = make(chan struct{})
	case !on && e.awake != nil:
		close(e.awake)
		e.awake = nil
	}
}

// LocalAddr is the endpoint's address.
func (e *Endpoint) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(e.addr) }

// WriteTo sends b to addr, which must be a *net.UDPAddr. It never blocks.
func (e *Endpoint) WriteTo(b []byte, addr net.Addr) (int, error) {
	select {
	case <-e.gone:
		return 0, net.ErrClosed
	default:
	}
	to := addr.(*net.UDPAddr).AddrPort()
	e.net.send(e, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()), b)
	return len(b), nil
}

// ReadFrom waits for a packet.
func (e *Endpoint) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		e.mu.Lock()
		deadline, moved, awake := e.deadline, e.deadlineMoved, e.awake
		e.mu.Unlock()
		in := e.in
		if awake != nil {
			in = nil
		}
		p, err := e.next(in, deadline, moved, awake)
		if err != nil {
			return 0, nil, err
		}
		if p != nil {
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
	}
}

// next is a packet from in, an error, or neither when something has changed.
func (e *Endpoint) next(in <-chan *packet, deadline time.Time, moved, awake <-chan struct{}) (*packet, error) {
	var late <-chan time.Time
	if !deadline.IsZero() {
		wait := time.Until(deadline)
		if wait <= 0 {
			return nil, os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-e.gone:
		return nil, net.ErrClosed
	case <-late:
		return nil, os.ErrDeadlineExceeded
	case <-moved:
		return nil, nil
	case <-awake:
		return nil, nil
	case p := <-in:
		return p, nil
	}
}

// SetReadDeadline ends reads at t; the zero time never.
func (e *Endpoint) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.deadline = t
	close(e.deadlineMoved)
	e.deadlineMoved = make(chan struct{})
	return nil
}

// SetWriteDeadline does nothing: writes do not block.
func (e *Endpoint) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (e *Endpoint) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

// SetReadBuffer does nothing: the receive queue is fixed. quic-go asks for it.
func (e *Endpoint) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing. quic-go asks for it.
func (e *Endpoint) SetWriteBuffer(int) error { return nil }

// Close frees the address. Packets under way are lost.
func (e *Endpoint) Close() error {
	e.net.mu.Lock()
	if e.net.ends[e.addr] == e {
		delete(e.net.ends, e.addr)
	}
	e.net.mu.Unlock()
	e.shut()
	return nil
}

func (e *Endpoint) shut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		close(e.gone)
	}
}

// depart says when the last bit of a packet has left, or that it is lost.
func (e *Endpoint) depart(now time.Time, bytes int) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.frozen || e.awake != nil {
		return now, false
	}
	return e.up.pass(now, bytes)
}

// land says when the last bit of a packet that has come to the endpoint's line is
// through, or that it is lost.
func (e *Endpoint) land(now time.Time, bytes int) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down.pass(now, bytes)
}

// arrive puts a packet into the receive queue and reports whether it fitted.
func (e *Endpoint) arrive(p *packet) bool {
	e.mu.Lock()
	frozen := e.frozen
	e.mu.Unlock()
	if frozen {
		return false
	}
	select {
	case e.in <- p:
		return true
	default:
		return false
	}
}
