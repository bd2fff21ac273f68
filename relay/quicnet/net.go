package quicnet

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
)

// Config is what Open needs.
type Config struct {
	// Key is the node's; its public half is the node ID. Required.
	Key ed25519.PrivateKey
	// Listen is the UDP address to bind, as in ":7070" or "127.0.0.1:0".
	Listen string
	// Upload is the cap on all that is sent, in bits a second of UDP and IP; 0 =
	// no cap. Shards wait for it; what else is sent counts against it.
	Upload float64
	// Measure makes Upload the cap only until the uplink has been measured; then it
	// is 80 % of what that carries, or if that is less than Least, up to 95 %.
	Measure bool
	// Least is what is to be sent if the uplink can, in bits a second. Only with Measure.
	Least float64
	// Logger is told what people who debug a network want to know; nil = nobody.
	Logger *slog.Logger
	// PacketConn is used instead of a UDP socket bound to Listen; Net closes it.
	// It is for networks in memory: a wrapped UDP socket loses GSO and ECN.
	PacketConn net.PacketConn
	// Deafens allows Deafen, for rehearsals. It costs GSO and ECN.
	Deafens bool
}

// ErrPortTaken is wrapped by Open when another program has the port.
var ErrPortTaken = errors.New("UDP port is taken by another program")

// Net is the transport of one node. Its methods may be called from any
// goroutine, and do not block unless they say so. The host must keep reading
// Events, and Packets and Streams if it gossips.
type Net struct {
	id    *identity
	log   *slog.Logger
	start time.Time
	sock  net.PacketConn
	deaf  *deaf // sock, if it is one
	tr    *quic.Transport
	ln    *quic.Listener
	qconf *quic.Config

	events  chan Event
	packets chan Packet
	streams chan Stream

	// ctx ends when nothing more is delivered to the host.
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup // everything but the goroutines of peers

	gate    *gate
	windows *windows
	uplink  *uplink
	padding padding
	count   counters
	held    atomic.Int64 // bytes of incomplete shards

	mu sync.Mutex
	// owned by mu
	closing bool
	peers   map[membership.NodeID]*peer // dying ones among them, until their Down is out
	dials   map[*dial]struct{}
	pins    map[membership.NodeID]bool
	failed  map[string]failure
	past    traffic // of lanes that are gone
	shed    uint64  // shards dropped for peers that are gone
	panics  []time.Time
}

// counters are what Stats reports of things that happen on hot paths.
type counters struct {
	handshakes, shardsIn, shardsOut, shardsLate, shardsReset, streamsRefused,
	packetsDropped, panics atomic.Uint64
}

// Open binds the port and begins to accept peers.
func Open(cfg Config) (*Net, error) {
	id, err := newIdentity(cfg.Key)
	if err != nil {
		return nil, err
	}
	sock := cfg.PacketConn
	if sock == nil {
		if sock, err = bind(cfg.Listen); err != nil {
			return nil, err
		}
	}
	var d *deaf
	if cfg.Deafens {
		d = &deaf{PacketConn: sock, at: make(map[netip.AddrPort]bool)}
		sock = d
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	now := time.Now()
	n := &Net{
		id: id, log: log, start: now, sock: sock, deaf: d,
		events:  make(chan Event, eventQueue),
		packets: make(chan Packet, packetQueue),
		streams: make(chan Stream, streamQueue),
		gate:    newGate(now),
		windows: &windows{grown: make(map[*quic.Conn]uint64)},
		uplink:  newUplink(now, cfg.Upload),
		peers:   make(map[membership.NodeID]*peer),
		dials:   make(map[*dial]struct{}),
		pins:    make(map[membership.NodeID]bool),
		failed:  make(map[string]failure),
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.qconf = n.quicConfig()
	n.tr = &quic.Transport{
		Conn:              sock,
		StatelessResetKey: &id.reset,
		ConnContext:       n.gate.connContext,
		VerifySourceAddress: func(net.Addr) bool {
			return n.gate.retry(time.Now())
		},
	}
	if n.ln, err = n.tr.Listen(id.server(), n.qconf); err != nil {
		sock.Close()
		return nil, fmt.Errorf("quicnet: %w", err)
	}
	n.wg.Go(n.accept)
	n.wg.Go(n.keepHouse)
	if cfg.Measure {
		n.wg.Go(func() { n.measure(newBelief(cfg.Upload, cfg.Least)) })
	}
	return n, nil
}

func bind(listen string) (net.PacketConn, error) {
	addr, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", listen, err)
	}
	sock, err := net.ListenUDP("udp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s", ErrPortTaken, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	return sock, nil
}

func (n *Net) quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeIdle,
		MaxIdleTimeout:                 idleTimeout,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindowTo,
		InitialConnectionReceiveWindow: connWindow,
		MaxConnectionReceiveWindow:     connWindowTo,
		AllowConnectionWindowIncrease:  n.windows.grow,
		MaxIncomingStreams:             maxBidiStreams,
		MaxIncomingUniStreams:          maxUniStreams,
		// A host that is behind holds the credit of the shards it has not taken,
		// so that they wait with their sender and expire there.
		RequireStreamCreditRelease: true,
		EnableDatagrams:            true,
		InitialPacketSize:          packetSize,
		// quic-go never lowers what discovery found; a path that shrinks would
		// kill the connection.
		DisablePathMTUDiscovery: true,
	}
}

// ID is who this node is.
func (n *Net) ID() membership.NodeID { return n.id.id }

// Addr is the local UDP address.
func (n *Net) Addr() netip.AddrPort { return addrPort(n.sock.LocalAddr()) }

// Events is where the host learns what happens. It is closed when the Net has
// ended.
func (n *Net) Events() <-chan Event { return n.events }

// SetUpload changes the upload cap, in bits a second; 0 = no cap.
func (n *Net) SetUpload(bps float64) { n.uplink.setRate(time.Now(), bps) }

// emit hands an event to the host. It blocks until the host takes it or the Net
// ends.
func (n *Net) emit(e Event) {
	select {
	case n.events <- e:
	case <-n.ctx.Done():
	}
}

// accept takes connections off the listener, which refuses them when it has 32
// waiting; so nothing here may block.
func (n *Net) accept() {
	for {
		c, err := n.ln.Accept(n.ctx)
		if err != nil {
			return
		}
		n.gate.accepted(c)
		n.count.handshakes.Add(1)
		n.wg.Go(func() {
			if _, err := n.join(c, origin{}); err != nil {
				n.log.Debug("connection refused", "from", c.RemoteAddr(), "why", err)
			}
		})
	}
}

// keepHouse does what depends on time alone.
func (n *Net) keepHouse() {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		n.uplink.settle(now, n.Stats().Out)
		n.mu.Lock()
		unused := unusedTimeout
		if len(n.peers) > crowdedPeers {
			unused = crowdedTimeout
		}
		for _, p := range n.sorted() {
			if !n.pins[p.id] && now.Sub(p.lastUsed()) > unused {
				n.endLocked(p, codeUnused, "unused")
				continue
			}
			n.tendLanes(p, now)
		}
		n.mu.Unlock()
	}
}

// sorted is the peers that are not dying, by ID. The caller holds mu.
func (n *Net) sorted() []*peer {
	out := make([]*peer, 0, len(n.peers))
	for _, p := range n.peers {
		if !p.ending {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *peer) int { return bytes.Compare(a.id[:], b.id[:]) })
	return out
}

// live is the peer if it is connected. The caller holds mu.
func (n *Net) live(id membership.NodeID) *peer {
	if p := n.peers[id]; p != nil && !p.ending {
		return p
	}
	return nil
}

func (n *Net) lookup(id membership.NodeID) *peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.live(id)
}

// Pin says whether the host needs a peer, connected or not. A pinned peer is not
// closed for being unused, from this side; the other side may.
func (n *Net) Pin(id membership.NodeID, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case !on:
		delete(n.pins, id)
	case len(n.pins) < maxPins:
		n.pins[id] = true
	default:
		n.log.Error("too many pinned peers", "limit", maxPins)
	}
}

// Hangup closes a peer at once, telling it why. Messages that have not left are
// lost. Down follows.
func (n *Net) Hangup(id membership.NodeID, reason string) {
	if p := n.lookup(id); p != nil {
		n.end(p, codeHangup, reason)
	}
}

// Close says goodbye: peers get what was sent to them and a moment to read it,
// then all is closed. It blocks for at most about a second, and the host should
// go on reading Events until they end.
func (n *Net) Close() {
	if !n.beginClosing() {
		return
	}
	n.mu.Lock()
	peers := n.sorted() // nobody joins any more
	n.mu.Unlock()
	late := time.NewTimer(goodbye)
	defer late.Stop()
	for _, p := range peers {
		close(p.leave)
	}
wait:
	for _, p := range peers {
		select {
		case <-p.gone:
		case <-late.C:
			break wait
		}
	}
	n.stop()
	n.mu.Lock()
	for _, p := range n.sorted() {
		n.endLocked(p, codeBye, "left")
	}
	peers = peers[:0]
	for _, p := range n.peers {
		peers = append(peers, p)
	}
	n.mu.Unlock()
	for _, p := range peers {
		<-p.gone
	}
	n.finish(func() {
		n.ln.Close()
		n.tr.Close()
		n.sock.Close()
	})
}

// Kill ends the node as a crash would: the socket is closed under everything and
// no peer is told.
func (n *Net) Kill() {
	if !n.beginClosing() {
		return
	}
	n.stop()
	n.finish(func() {
		n.sock.Close()
		n.tr.Close()
	})
}

// beginClosing lets nobody join any more. It returns false, when all is over, if
// somebody else has closed the node.
func (n *Net) beginClosing() bool {
	n.mu.Lock()
	closing := n.closing
	n.closing = true
	n.mu.Unlock()
	if closing {
		n.wg.Wait()
	}
	return !closing
}

// finish closes what carries the connections and waits for every goroutine.
func (n *Net) finish(shut func()) {
	shut()
	n.wg.Wait()
	close(n.events)
	close(n.packets)
	close(n.streams)
}
