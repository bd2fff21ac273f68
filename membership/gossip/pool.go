package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay/quicnet"
)

// Carrier is the network, in the program a quicnet.Net: connections in which both
// ends have proved their keys. It bounds how often anybody is dialled; gossip
// does not.
type Carrier interface {
	// SendPacket sends up to MaxPacket bytes to a node, over a connection to it
	// if there is one, else to addr. It must not wait for the network.
	SendPacket(peer membership.NodeID, addr string, b []byte) error
	// OpenStream opens a stream to a node, or, if peer is zero, to whoever
	// answers at addr. It returns who that is.
	OpenStream(ctx context.Context, peer membership.NodeID, addr string) (net.Conn, membership.NodeID, error)
	// Packets and Streams return what peers send, until they are closed.
	Packets() <-chan quicnet.Packet
	Streams() <-chan quicnet.Stream
}

// Event is a Heard or a Gone.
type Event interface{ event() }

// Heard brings the newest record of another node; its signature is valid.
type Heard struct{ Raw []byte }

// Gone says that a node has left or does not answer others. It is a rumour.
type Gone struct{ Node membership.NodeID }

func (Heard) event() {}
func (Gone) event()  {}

// Config is what a Pool needs.
type Config struct {
	Self    membership.NodeID
	Carrier Carrier
	Record  []byte       // our own signed record, with at least one address
	Logger  *slog.Logger // nil: silent. memberlist's own words are Debug
}

// Pool is our membership in the pool.
type Pool struct {
	self      membership.NodeID
	guard     *guard
	transport *transport
	list      *memberlist.Memberlist
	changed   chan struct{} // a record waits to be spread
	wg        sync.WaitGroup

	mu     sync.Mutex
	record []byte
	events chan Event
	closed bool
}

// Start begins to answer others. Nobody is known before a Join, ours or theirs.
func Start(cfg Config) (*Pool, error) {
	if err := checkOwn(cfg.Self, cfg.Record); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Pool{
		self: cfg.Self, record: cfg.Record,
		changed: make(chan struct{}, 1), events: make(chan Event, MaxEvents),
	}
	p.guard = newGuard(cfg.Self, cfg.Record, cfg.Logger, func(raw []byte) bool { return p.tell(Heard{raw}) })
	p.guard.learn(time.Now())
	p.transport = newTransport(cfg.Carrier, p.guard)
	list, err := memberlist.Create(p.memberlistConfig(cfg.Logger))
	if err != nil {
		p.transport.Shutdown()
		return nil, fmt.Errorf("gossip: %w", err)
	}
	p.list = list
	p.wg.Add(1)
	go p.spread()
	return p, nil
}

// memberlistConfig is the LAN timing: the WAN preset takes a minute to agree.
// Pings over streams stay on: a lost DATAGRAM is not sent again, and on a lossy
// path the ping over a stream keeps a living node from being suspected.
func (p *Pool) memberlistConfig(log *slog.Logger) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = p.self.String()
	c.Transport = p.transport
	c.BindPort, c.AdvertisePort = placeholderPort, placeholderPort
	c.BindAddr, c.AdvertiseAddr = placeholderHost, placeholderHost
	c.ProtocolVersion = protocol
	// With the preset's 4, one start of 8 nodes in three left a record unknown
	// somewhere until the next exchange, up to 30 s later; with 8, one in sixty.
	c.RetransmitMult = 8
	// The preset's 3 would be 140 kbit/s for every member of a big pool while many
	// records are new; what has been said least goes first, so news is hardly later.
	c.GossipNodes = 2
	c.RequireNodeNames = true
	c.EnableCompression = false
	c.DNSConfigPath = "" // Join gives memberlist no host names
	// memberlist adds a checksum and the length of the first message to this.
	c.UDPBufferSize = MaxPacket - 10
	c.Logger = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	d := delegate{p}
	c.Delegate, c.Events, c.Alive, c.Merge = d, d, d, d
	return c
}

// checkOwn says what is wrong with our own record.
func checkOwn(self membership.NodeID, raw []byte) error {
	rec, err := membership.OpenRecord(raw)
	if err != nil {
		return fmt.Errorf("gossip: our own record: %w", err)
	}
	if rec.Node != self || len(rec.Addrs) == 0 {
		return errors.New("gossip: our own record is another's or has no address")
	}
	return nil
}

// Join contacts the given host:port, all at once, and exchanges what both sides
// know. It returns how many answered, and an error if none did.
func (p *Pool) Join(ctx context.Context, addrs []string) (int, error) {
	p.guard.learn(time.Now())
	addrs = addrs[:min(len(addrs), MaxJoin)]
	results := make(chan error, len(addrs))
	for _, addr := range addrs {
		go func() { results <- p.join(ctx, addr) }()
	}
	joined := 0
	var errs []error
	for range addrs {
		if err := <-results; err != nil {
			errs = append(errs, err)
		} else {
			joined++
		}
	}
	if joined > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			p.wg.Go(p.meet)
		}
		return joined, nil
	}
	return 0, errors.Join(errs...)
}

// meet exchanges with one more member soon after a Join. Those who come at the same
// moment hear of each other by gossip alone, and where records are alike in length
// memberlist joins the same ones in a packet every time: two halves of a pool then
// know nothing of each other until the next exchange, up to 30 s later.
func (p *Pool) meet() {
	select {
	case <-time.After(meetAfter + rand.N(meetAfter)):
	case <-p.transport.done.Done():
		return
	}
	var names []string
	for _, m := range p.list.Members() {
		if m.Name != p.self.String() {
			names = append(names, m.Name)
		}
	}
	if len(names) > 0 {
		// If it fails the next exchange of memberlist's own does it.
		_, _ = p.list.Join([]string{names[rand.IntN(len(names))] + "/" + net.JoinHostPort(placeholderHost, "1")})
	}
}

// join opens the stream itself, for memberlist cannot dial whom it cannot name.
func (p *Pool) join(ctx context.Context, addr string) error {
	c, id, err := p.transport.carrier.OpenStream(ctx, membership.NodeID{}, addr)
	if err != nil {
		return fmt.Errorf("join %s: %w", addr, err)
	}
	if id == p.self {
		c.Close()
		return fmt.Errorf("join %s: that is this node", addr)
	}
	g, err := p.transport.adoptOrClose(id, c)
	if err != nil {
		return err
	}
	defer g.Close()
	defer context.AfterFunc(ctx, func() { g.Close() })()
	name := id.String()
	p.transport.offer(name, g)
	defer p.transport.claim(name)
	if _, err := p.list.Join([]string{name + "/" + net.JoinHostPort(placeholderHost, "1")}); err != nil {
		return fmt.Errorf("join %s: %w", addr, err)
	}
	return nil
}

// SetRecord spreads a newer record of ours, soon and not more often than every
// SpreadEvery. It refuses one that others would refuse. It does not wait.
func (p *Pool) SetRecord(raw []byte) error {
	if err := checkOwn(p.self, raw); err != nil {
		return err
	}
	p.mu.Lock()
	p.record = raw
	p.mu.Unlock()
	p.guard.setOurs(raw)
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return nil
}

// spread makes memberlist announce our record anew when it has changed.
func (p *Pool) spread() {
	defer p.wg.Done()
	done := p.transport.done.Done()
	for {
		select {
		case <-p.changed:
		case <-done:
			return
		}
		// It would wait until the record was sent to somebody; its error says
		// only that we do not.
		_ = p.list.UpdateNode(time.Nanosecond)
		select {
		case <-time.After(SpreadEvery):
		case <-done:
			return
		}
	}
}

// Events returns what is heard, until Close closes it.
func (p *Pool) Events() <-chan Event { return p.events }

// tell offers an event to the host. It never blocks.
func (p *Pool) tell(e Event) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	select {
	case p.events <- e:
		return true
	default:
		return false
	}
}

// Members is how many nodes are believed to be alive, ourselves included.
func (p *Pool) Members() int { return p.list.NumMembers() }

// Refused is how many messages and nodes the guard has refused, by Reason.
func (p *Pool) Refused() [reasons]uint64 {
	p.guard.mu.Lock()
	defer p.guard.mu.Unlock()
	return p.guard.refused
}

const leaveWait = 100 * time.Millisecond

// Leave says goodbye and returns when it is said or the time is over. Only our
// own word is believed, so up to MaxGoodbyes members are told by us. The pool
// must still be closed.
func (p *Pool) Leave(timeout time.Duration) {
	if p.transport.done.Err() != nil {
		return
	}
	deadline := time.Now().Add(timeout)
	// memberlist would wait until it has told a few at random, of whom each would
	// believe it and nobody else.
	_ = p.list.Leave(min(timeout, leaveWait))
	b, names := p.guard.farewell(MaxGoodbyes)
	for _, name := range names {
		if !time.Now().Before(deadline) {
			return
		}
		if id, addr, ok := p.guard.find(name); ok {
			_ = p.transport.carrier.SendPacket(id, addr, b) // a goodbye may be lost
		}
	}
}

// Close stops at once. Others find out.
func (p *Pool) Close() {
	p.mu.Lock()
	again := p.closed
	p.closed = true
	p.mu.Unlock()
	_ = p.list.Shutdown() // it fails only where our transport does, which does not
	p.wg.Wait()
	if !again {
		close(p.events)
	}
}
