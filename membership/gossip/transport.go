package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay/quicnet"
)

var _ Carrier = (*quicnet.Net)(nil)

var errClosed = errors.New("gossip: the pool is closed")

// transport is memberlist's network: the carrier on one side, the guard between.
type transport struct {
	carrier Carrier
	guard   *guard
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	open    map[*conn]struct{}
	inbound int                       // of the open ones, how many others opened
	perPeer map[membership.NodeID]int // of those, by peer
	joins   map[string]net.Conn       // opened by Join, for memberlist to find by name
}

func newTransport(c Carrier, g *guard) *transport {
	t := &transport{
		carrier: c, guard: g,
		packets: make(chan *memberlist.Packet),
		streams: make(chan net.Conn),
		open:    make(map[*conn]struct{}),
		perPeer: make(map[membership.NodeID]int),
		joins:   make(map[string]net.Conn),
	}
	t.done, t.stop = context.WithCancel(context.Background())
	t.wg.Add(2)
	go t.takePackets()
	go t.takeStreams()
	return t
}

func (t *transport) takePackets() {
	defer t.wg.Done()
	for {
		select {
		case <-t.done.Done():
			return
		case p, ok := <-t.carrier.Packets():
			if !ok {
				return
			}
			now := time.Now()
			for _, b := range t.guard.packet(now, p.From, p.Bytes) {
				m := &memberlist.Packet{Buf: b, From: net.UDPAddrFromAddrPort(p.Addr), Timestamp: now}
				select {
				case t.packets <- m:
				case <-t.done.Done():
					return
				}
			}
		}
	}
}

func (t *transport) takeStreams() {
	defer t.wg.Done()
	for {
		select {
		case <-t.done.Done():
			return
		case s, ok := <-t.carrier.Streams():
			if !ok {
				return
			}
			c, err := t.adopt(s.From, s.Conn, false)
			if err != nil {
				s.Conn.Close()
				continue
			}
			select {
			case t.streams <- c:
			case <-t.done.Done():
				c.Close()
				return
			}
		}
	}
}

// adopt wraps a stream; answer says that we opened it.
func (t *transport) adopt(from membership.NodeID, c net.Conn, answer bool) (*conn, error) {
	if !answer && !t.guard.mayOpen(time.Now(), from) {
		return nil, t.guard.count(refuse(TooFast))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errClosed
	}
	if !answer {
		if t.inbound >= MaxStreams || t.perPeer[from] >= MaxPeerStreams {
			return nil, t.guard.count(refuse(TooFast))
		}
		t.inbound++
		t.perPeer[from]++
	}
	g := &conn{Conn: c, t: t, from: from, answer: answer}
	t.open[g] = struct{}{}
	return g, nil
}

func (t *transport) release(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.open[c]; !ok {
		return
	}
	delete(t.open, c)
	if !c.answer {
		t.inbound--
		if t.perPeer[c.from]--; t.perPeer[c.from] == 0 {
			delete(t.perPeer, c.from)
		}
	}
}

// conn is a stream that memberlist reads through the guard: one message each way.
type conn struct {
	net.Conn
	t      *transport
	from   membership.NodeID
	answer bool

	// owned by the one goroutine of memberlist that reads
	in *bytes.Reader
}

// Read reads the whole message the first time. A refused one looks like an empty
// stream, so that memberlist hangs up without a word.
func (c *conn) Read(p []byte) (int, error) {
	if c.in == nil {
		b, err := c.t.guard.stream(time.Now(), c.from, c.Conn, c.answer)
		if _, refused := err.(refusal); err != nil && !refused {
			return 0, err
		}
		c.in = bytes.NewReader(b)
	}
	return c.in.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if _, err := c.Conn.Write(c.t.guard.sentStream(time.Now(), p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *conn) Close() error {
	c.t.release(c)
	return c.Conn.Close()
}

// offer leaves a stream for the dial that memberlist makes to join.
func (t *transport) offer(name string, c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.joins[name] = c
}

// claim takes what was offered under a name, if anything is.
func (t *transport) claim(name string) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.joins[name]
	delete(t.joins, name)
	return c
}

// The methods that memberlist calls.

func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return placeholderIP, placeholderPort, nil
}

func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) WriteTo([]byte, string) (time.Time, error) {
	return time.Time{}, errNoName
}

func (t *transport) DialTimeout(string, time.Duration) (net.Conn, error) { return nil, errNoName }

var errNoName = errors.New("gossip: memberlist named no node")

// WriteToAddress sends to the address in the node's record. A node without one
// has pinged us before we heard of it; its answer goes back to where it came from.
func (t *transport) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	id, addr, ok := t.guard.find(to.Name)
	if !ok {
		var err error
		if id, err = membership.ParseNodeID(to.Name); err != nil {
			return time.Time{}, err
		}
		addr = to.Addr
	}
	t.guard.sentPacket(time.Now(), b)
	if err := t.carrier.SendPacket(id, addr, b); err != nil {
		t.guard.failed(to.Name)
		return time.Time{}, fmt.Errorf("gossip: %w", err)
	}
	return time.Now(), nil
}

// DialAddressTimeout opens a stream to a known node, or takes the one that Join
// has opened.
func (t *transport) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if c := t.claim(to.Name); c != nil {
		return c, nil
	}
	id, addr, ok := t.guard.find(to.Name)
	if !ok {
		return nil, fmt.Errorf("gossip: no address of %s", to.Name)
	}
	ctx, cancel := context.WithTimeout(t.done, timeout)
	defer cancel()
	c, peer, err := t.carrier.OpenStream(ctx, id, addr)
	if err != nil {
		t.guard.failed(to.Name)
		return nil, fmt.Errorf("gossip: %w", err)
	}
	if peer != id {
		c.Close()
		return nil, fmt.Errorf("gossip: %s answered for %s", peer.Brief(), id.Brief())
	}
	return t.adoptOrClose(peer, c)
}

func (t *transport) adoptOrClose(peer membership.NodeID, c net.Conn) (net.Conn, error) {
	g, err := t.adopt(peer, c, true)
	if err != nil {
		c.Close()
		return nil, err
	}
	return g, nil
}

// Shutdown ends our goroutines and every stream.
func (t *transport) Shutdown() error {
	t.stop()
	t.mu.Lock()
	t.closed = true
	var open []io.Closer
	for c := range t.open {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	t.wg.Wait()
	return nil
}
