package quicnet

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
)

// Packets is where gossip packets of peers come out. It is closed when the Net
// has ended.
func (n *Net) Packets() <-chan Packet { return n.packets }

// Streams is where gossip streams that peers open come out. It is closed when
// the Net has ended.
func (n *Net) Streams() <-chan Stream { return n.streams }

// SendPacket sends a gossip packet of at most MaxPacket bytes, which may get
// lost. to may be zero: whoever is at addr. Without a connection it dials and
// keeps the first few packets until that is done; an address that failed twice
// is left alone for a minute. The error is about the arguments or the Net, not
// about arrival.
func (n *Net) SendPacket(to membership.NodeID, addr string, b []byte) error {
	if len(b) == 0 || len(b) > MaxPacket {
		return fmt.Errorf("quicnet: a gossip packet of %d bytes, want 1 … %d", len(b), MaxPacket)
	}
	b = append([]byte(nil), b...)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return net.ErrClosed
	}
	p := n.connected(to, addr)
	if p == nil {
		if !n.mayRetry(addr) {
			n.count.packetsDropped.Add(1)
			return nil
		}
		d := n.dialLocked(to, []string{addr})
		if len(d.waiting) < maxHeldPackets {
			d.waiting = append(d.waiting, b)
		} else {
			n.count.packetsDropped.Add(1)
		}
		return nil
	}
	n.queuePacket(p, b)
	return nil
}

// queuePacket gives a packet to the peer's sender. The caller holds mu.
func (n *Net) queuePacket(p *peer, b []byte) {
	if !p.gossiping && len(p.lanes) > 0 {
		p.gossiping = true
		conn := p.lanes[0].conn
		p.spawn(func() { p.sendPackets(conn) })
	}
	select {
	case p.packets <- b:
	default:
		n.count.packetsDropped.Add(1)
	}
}

// sendPackets is its own goroutine because SendDatagram blocks while 32 wait.
func (p *peer) sendPackets(conn *quic.Conn) {
	for {
		select {
		case <-p.dead:
			return
		case b := <-p.packets:
			if err := conn.SendDatagram(b); err != nil {
				p.net.count.packetsDropped.Add(1)
			}
			p.touch()
		}
	}
}

// receivePackets hands gossip packets to the host, or drops them.
func (l *lane) receivePackets() {
	n := l.peer.net
	for {
		b, err := l.conn.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		l.peer.touch()
		select {
		case n.packets <- Packet{From: l.peer.id, Addr: l.at(), Bytes: b}:
		default:
			n.count.packetsDropped.Add(1)
		}
	}
}

// OpenStream opens a gossip stream to a node, or to whoever is at addr if to is
// zero, dialling if need be. It blocks until the stream is open or ctx ends.
func (n *Net) OpenStream(ctx context.Context, to membership.NodeID, addr string) (net.Conn, membership.NodeID, error) {
	fail := func(err error) (net.Conn, membership.NodeID, error) {
		return nil, membership.NodeID{}, fmt.Errorf("gossip stream to %s: %w", addr, err)
	}
	p, err := n.connect(ctx, to, addr)
	if err != nil {
		return fail(err)
	}
	n.mu.Lock()
	if p.ending || len(p.lanes) == 0 {
		n.mu.Unlock()
		return fail(net.ErrClosed)
	}
	l := p.lanes[0]
	n.mu.Unlock()
	s, err := l.conn.OpenStreamSync(ctx)
	if err != nil {
		return fail(err)
	}
	if _, err := s.Write([]byte{bidiGossip}); err != nil {
		return fail(err)
	}
	return l.gossipConn(s), p.id, nil
}

// connect waits until want, or whoever is at addr, is connected.
func (n *Net) connect(ctx context.Context, want membership.NodeID, addr string) (*peer, error) {
	n.mu.Lock()
	if p := n.connected(want, addr); p != nil {
		n.mu.Unlock()
		return p, nil
	}
	if n.closing {
		n.mu.Unlock()
		return nil, net.ErrClosed
	}
	d := n.dialLocked(want, []string{addr})
	n.mu.Unlock()
	select {
	case <-d.done:
		return d.peer, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// deliverStream hands a gossip stream to the host, or resets it.
func (l *lane) deliverStream(s *quic.Stream) {
	n := l.peer.net
	l.peer.touch()
	select {
	case n.streams <- Stream{From: l.peer.id, Addr: l.at(), Conn: l.gossipConn(s)}:
	default:
		n.count.streamsRefused.Add(1)
		resetBidi(s, resetFull)
	}
}

// gossipConn is a gossip stream as a net.Conn.
type gossipConn struct {
	*quic.Stream
	lane *lane
}

func (l *lane) gossipConn(s *quic.Stream) net.Conn { return &gossipConn{s, l} }

func (c *gossipConn) Read(b []byte) (int, error) {
	c.lane.peer.touch()
	return c.Stream.Read(b)
}

func (c *gossipConn) Write(b []byte) (int, error) {
	c.lane.peer.touch()
	return c.Stream.Write(b)
}

// Close ends both directions. What was written still arrives.
func (c *gossipConn) Close() error {
	c.CancelRead(resetDone)
	return c.Stream.Close()
}

// CloseWrite ends our direction; the other side reads to the end and may answer.
func (c *gossipConn) CloseWrite() error { return c.Stream.Close() }

func (c *gossipConn) LocalAddr() net.Addr  { return c.lane.conn.LocalAddr() }
func (c *gossipConn) RemoteAddr() net.Addr { return c.lane.conn.RemoteAddr() }

// failure is an address that did not answer.
type failure struct {
	times int
	last  time.Time
}

// mayRetry reports whether addr may be dialled for a mere packet. The caller
// holds mu.
func (n *Net) mayRetry(addr string) bool {
	f := n.failed[addr]
	return f.times < 2 || time.Since(f.last) > gossipRetry
}

// noteDial remembers how dialling addr went. The caller holds mu.
func (n *Net) noteDial(addr string, ok bool) {
	if ok {
		delete(n.failed, addr)
		return
	}
	now := time.Now()
	f, known := n.failed[addr]
	if !known && len(n.failed) >= maxFailures {
		for a, old := range n.failed {
			if now.Sub(old.last) > gossipRetry {
				delete(n.failed, a)
			}
		}
		if len(n.failed) >= maxFailures {
			return
		}
	}
	if now.Sub(f.last) > gossipRetry {
		f.times = 0
	}
	n.failed[addr] = failure{f.times + 1, now}
}
