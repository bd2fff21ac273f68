package host

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/membership/gossip"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/quicnet"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// Config says what participant to run.
type Config struct {
	// Participant is what the Core is told. Addrs and Gossips are filled in here.
	Participant relay.Config
	// Listen is the UDP address of the one port, as ":7070" or "127.0.0.1:0".
	Listen string
	// Socket, if set, is used instead of a UDP socket bound to Listen, and closed in
	// the end: for networks in memory.
	Socket net.PacketConn
	// Advertise is the host:port that others should use; empty: found out.
	Advertise string
	// Join are host:port of pool members; empty starts a pool of its own.
	Join []string
	// Gossip makes the participant a member of the pool. A viewer that shares
	// nothing is none: it asks members.
	Gossip bool
	// Measure makes the participant's Upload count only until the uplink has been
	// measured, and Least what it should carry if it can: see quicnet.Config.
	Measure bool
	Least   float64
	// Deafens allows Deafen, for rehearsals; it makes sending cost more.
	Deafens bool
	// Store, if set, keeps what the participant holds. It is closed in the end, but
	// not if Start fails.
	Store *store.Store
	// Logger must not be nil.
	Logger *slog.Logger
}

// Host is one running participant.
type Host struct {
	cfg       Config
	log       *slog.Logger
	net       *quicnet.Net
	pool      *gossip.Pool // nil without Gossip
	advertise netip.AddrPort

	inputs chan relay.Input
	work   chan relay.Work
	media  chan relay.Output
	status chan chan relay.Status
	joined chan struct{} // closed when the first peer is up
	left   chan struct{} // closed when the goodbye is over
	done   chan struct{} // closed when the loop has ended
	stop   context.CancelFunc
	wg     sync.WaitGroup // loop, workers, joiner
	past   past

	// owned by the loop
	core         *relay.Core
	lib          library
	queue        []relay.Input // to be handled before anything else
	isUp         bool          // a peer was up once
	mediaDropped uint64        // outputs that nobody read from Media in time
	isLeft       bool
	quiet        []membership.NodeID // peers that were when last measured
	upload       float64             // as the Core knows it
	counted      uint64              // of the bytes that were sent, those that the Core was told of
}

// Start binds the port and runs the participant until Leave, Kill or Close.
func Start(cfg Config) (*Host, error) {
	if cfg.Socket != nil {
		cfg.Listen = cfg.Socket.LocalAddr().String()
	}
	advertise, err := advertised(cfg.Listen, cfg.Advertise, cfg.Join)
	if err != nil {
		return nil, err
	}
	net, err := quicnet.Open(quicnet.Config{
		Key: cfg.Participant.Key, Listen: cfg.Listen, Upload: cfg.Participant.Upload, Logger: cfg.Logger,
		Measure: cfg.Measure, Least: cfg.Least,
		Deafens:    cfg.Deafens,
		PacketConn: cfg.Socket,
	})
	if err != nil {
		return nil, err
	}
	if advertise.Port() == 0 {
		advertise = netip.AddrPortFrom(advertise.Addr(), net.Addr().Port())
	}
	cfg.Participant.Addrs = []netip.AddrPort{advertise}
	cfg.Participant.Gossips = cfg.Gossip
	cfg.Participant.Keep = cfg.Store != nil
	ctx, stop := context.WithCancel(context.Background())
	h := &Host{
		cfg: cfg, log: cfg.Logger, net: net, advertise: advertise,
		inputs: make(chan relay.Input, maxInputs),
		work:   make(chan relay.Work, maxWork),
		media:  make(chan relay.Output, maxMedia),
		status: make(chan chan relay.Status),
		joined: make(chan struct{}), left: make(chan struct{}), done: make(chan struct{}),
		stop: stop, upload: cfg.Participant.Upload, past: newPast(),
		core: relay.New(time.Now(), cfg.Participant, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))),
	}
	if cfg.Gossip {
		// A first record, so that nobody is a member without one. The Core's own
		// follows at once.
		rec := membership.Record{Node: h.core.Self(), Seq: 1, TTL: time.Minute, Addrs: cfg.Participant.Addrs}
		h.pool, err = gossip.Start(gossip.Config{
			Self: h.core.Self(), Carrier: net,
			Record: rec.Sign(cfg.Participant.Key), Logger: cfg.Logger,
		})
		if err != nil {
			stop()
			net.Kill()
			return nil, fmt.Errorf("gossip: %w", err)
		}
	}
	h.lib.do = func(in relay.Input) { h.queue = append(h.queue, in) }
	if cfg.Store != nil {
		go h.keep(ctx)
		for range recallers {
			go h.recall(ctx)
		}
	}
	for range max(1, runtime.GOMAXPROCS(0)) {
		h.wg.Go(func() { h.labour(ctx) })
	}
	h.wg.Go(func() { h.run(ctx) })
	if len(cfg.Join) > 0 {
		h.wg.Go(func() { h.join(ctx) })
	}
	return h, nil
}

// ID is the node's ID.
func (h *Host) ID() membership.NodeID { return h.net.ID() }

// Advertised is where others reach this node.
func (h *Host) Advertised() netip.AddrPort { return h.advertise }

// Media brings what a viewer needs: Opened, Seen and Deliver. It must be read by
// whoever set Play, brings nothing to others, and is closed when the participant has
// ended.
func (h *Host) Media() <-chan relay.Output { return h.media }

// Net is the transport's figures.
func (h *Host) Net() quicnet.Stats { return h.net.Stats() }

// Upload is the room for children, in bits a second; 0 feeds nobody.
func (h *Host) Upload() float64 { return h.net.Uplink().Cap }

// Uplink is what is known of the way out.
func (h *Host) Uplink() quicnet.Uplink { return h.net.Uplink() }

// SetUpload changes the room for children, in bits a second; 0 feeds nobody. With
// Config.Measure what is measured goes on to say what it is.
func (h *Host) SetUpload(bps float64) { h.net.SetUpload(bps) }

// Sent has bytes counted that others have sent who share the participant's month.
func (h *Host) Sent(bytes uint64) { h.tell(relay.Sent{Bytes: bytes}) }

// Permit changes which streams a participant takes up that carries any: those of allow, or
// all if that is empty, but none of deny. It leaves those that it carries and may not.
func (h *Host) Permit(allow, deny []stripe.ID) { h.tell(relay.Permit{Allow: allow, Deny: deny}) }

// Store is where what the participant holds is kept, or nil.
func (h *Host) Store() *store.Store { return h.cfg.Store }

// Deafen makes it, at once, as if these nodes had crashed, to this participant
// alone; to them it is as if it had. The Config must have said Deafens.
func (h *Host) Deafen(nodes []membership.NodeID) { h.net.Deafen(nodes) }

// Hear ends that; it blocks for a moment.
func (h *Host) Hear() { h.net.Hear() }

// Announce makes this participant the source of a stream, or changes its signed
// info.
func (h *Host) Announce(info []byte) { h.tell(relay.Announce{Info: info}) }

// Publish sends a sealed block on its way.
func (h *Host) Publish(shards []*stripe.Shard) { h.tell(relay.Publish{Shards: shards}) }

func (h *Host) tell(in relay.Input) {
	select {
	case h.inputs <- in:
	case <-h.done:
	}
}

// Status asks the Core how things stand; the zero Status if it has ended.
func (h *Host) Status() relay.Status {
	answer := make(chan relay.Status, 1)
	select {
	case h.status <- answer:
		return <-answer
	case <-h.done:
		return relay.Status{Node: h.ID()}
	}
}

// ErrUnreachable means that no host of the pool answered in JoinPatience.
var ErrUnreachable = errors.New("no host of the pool answers")

// WaitJoined returns when the first peer is connected, or ErrUnreachable after
// JoinPatience. With nobody to join it returns at once.
func (h *Host) WaitJoined(ctx context.Context) error {
	if len(h.cfg.Join) == 0 {
		return nil
	}
	patience := time.NewTimer(JoinPatience)
	defer patience.Stop()
	select {
	case <-h.joined:
		return nil
	case <-patience.C:
		return ErrUnreachable
	case <-h.done:
		return ErrUnreachable
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join dials the hosts that were given until one answers, and again whenever
// nobody is connected any more.
func (h *Host) join(ctx context.Context) {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	joined := h.joined
	h.net.Dial(membership.NodeID{}, h.cfg.Join)
	for member := h.pool == nil; ; {
		select {
		case <-joined:
			joined = nil
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if len(h.net.Peers()) == 0 {
			h.net.Dial(membership.NodeID{}, h.cfg.Join)
		} else if !member {
			n, err := h.pool.Join(ctx, h.cfg.Join)
			if member = n > 0; !member {
				h.log.Debug("joining the pool", "err", err)
			}
		}
	}
}

// Leave says goodbye and ends the participant; it takes at most leavePatience.
func (h *Host) Leave() {
	h.tell(relay.Leave{})
	patience := time.NewTimer(leavePatience)
	defer patience.Stop()
	select {
	case <-h.left:
	case <-h.done:
	case <-patience.C:
	}
	if h.pool != nil {
		h.pool.Leave(leavePatience / 4)
	}
	h.end(h.net.Close)
}

// Kill ends the participant as a crash would: the port is closed, nobody is told.
func (h *Host) Kill() { h.end(h.net.Kill) }

func (h *Host) end(closeNet func()) {
	closeNet()
	h.stop()
	if h.pool != nil {
		h.pool.Close()
	}
	h.wg.Wait()
	if h.cfg.Store != nil {
		if err := h.cfg.Store.Close(); err != nil {
			h.log.Warn("closing the store", "err", err) // a disk that fails has been reported as an error
		}
	}
}

// labour does work that the loop hands out.
func (h *Host) labour(ctx context.Context) {
	for {
		select {
		case w := <-h.work:
			select {
			case h.inputs <- w.Do():
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// run is the loop that owns the Core.
func (h *Host) run(ctx context.Context) {
	defer close(h.media)
	defer close(h.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	measure := time.NewTicker(measureEvery)
	defer measure.Stop()
	var gossiped <-chan gossip.Event
	if h.pool != nil {
		gossiped = h.pool.Events()
	}
	for {
		select {
		case e, open := <-h.net.Events():
			if !open {
				return
			}
			h.event(e)
		case in := <-h.inputs:
			h.handle(in)
		case e, open := <-gossiped:
			if !open {
				return
			}
			h.gossip(e)
		case <-timer.C:
			h.handle(relay.Wake{})
		case <-measure.C:
			h.measure()
		case r := <-h.past.asks:
			h.read(r)
		case q := <-h.past.extents:
			h.reach(q)
			continue
		case answer := <-h.status:
			answer <- h.core.Status(time.Now())
			continue
		case <-ctx.Done():
			return
		}
		if at, ok := h.core.Deadline(); ok {
			timer.Reset(max(0, time.Until(at)))
		} else {
			timer.Stop()
		}
	}
}

func (h *Host) event(e quicnet.Event) {
	switch e := e.(type) {
	case quicnet.Up:
		h.log.Debug("peer up", "peer", e.Peer.Brief(), "addr", e.Addr, "dialled", e.Dialled)
		if !h.isUp {
			h.isUp = true
			close(h.joined)
		}
		h.handle(relay.Up{Peer: e.Peer})
	case quicnet.Down:
		h.log.Debug("peer down", "peer", e.Peer.Brief(), "reason", e.Reason)
		h.handle(relay.Down{Peer: e.Peer, Unused: e.Unused})
	case quicnet.DialFailed:
		h.log.Debug("dial failed", "peer", e.Peer.Brief(), "addr", e.Addr, "reason", e.Reason)
		if !e.Peer.IsZero() {
			h.handle(relay.Down{Peer: e.Peer, Dialed: true})
		}
	case quicnet.Message:
		m, err := overlay.Decode(e.Bytes)
		if err != nil {
			h.net.Hangup(e.Peer, err.Error())
			return
		}
		h.handle(relay.Heard{Peer: e.Peer, Msg: m})
	case quicnet.Shard:
		h.handle(relay.Arrived{Peer: e.Peer, Shard: e.Bytes})
	default:
		panic(fmt.Sprintf("host: event %T", e))
	}
}

func (h *Host) gossip(e gossip.Event) {
	switch e := e.(type) {
	case gossip.Heard:
		h.handle(relay.Learned{Record: e.Raw})
	case gossip.Gone:
		h.handle(relay.Rumour{Node: e.Node})
	default:
		panic(fmt.Sprintf("host: gossip %T", e))
	}
}

func (h *Host) measure() {
	if h.cfg.Participant.Monthly > 0 {
		out := h.net.Stats().Out
		h.handle(relay.Sent{Bytes: out - min(out, h.counted)})
		h.counted = max(h.counted, out)
	}
	if up := h.net.Uplink().Cap; up != h.upload {
		h.upload = up
		h.handle(relay.Capacity{Upload: up})
	}
	for _, p := range h.net.Peers() {
		h.handle(relay.Measured{Peer: p.ID, RTT: p.RTT, RTTVar: p.RTTVar})
	}
	h.lib.steer(time.Now())
	h.drain()
	quiet := h.net.Quiet(time.Now())
	for _, id := range h.quiet {
		if !slices.Contains(quiet, id) {
			h.handle(relay.Quiet{Peer: id})
		}
	}
	for _, id := range quiet {
		h.handle(relay.Quiet{Peer: id, On: true})
	}
	h.quiet = quiet
}

// handle gives the Core an input, and then those that carrying out its outputs
// brought about.
func (h *Host) handle(in relay.Input) {
	h.queue = append(h.queue, in)
	h.drain()
}

func (h *Host) drain() {
	var in relay.Input
	for len(h.queue) > 0 {
		in, h.queue = h.queue[0], h.queue[1:]
		for _, o := range h.core.Handle(time.Now(), in) {
			h.do(o)
		}
	}
}

func (h *Host) do(o relay.Output) {
	switch o := o.(type) {
	case relay.Say:
		h.net.Send(o.Peer, overlay.Encode(o.Msg))
	case relay.Forward:
		h.net.Forward(o.Peer, o.Shard.Encoded(), o.Expires)
	case relay.Check, relay.Rebuild:
		h.give(o.(relay.Work))
	case relay.Dial:
		addrs := make([]string, len(o.Addrs))
		for i, a := range o.Addrs {
			addrs[i] = a.String()
		}
		h.net.Dial(o.Peer, addrs)
	case relay.Lanes:
		h.net.SetLanes(o.Peer, o.Count)
	case relay.Pin:
		h.net.Pin(o.Peer, o.On)
	case relay.Hangup:
		h.log.Warn("hanging up", "peer", o.Peer.Brief(), "reason", o.Reason)
		h.net.Hangup(o.Peer, o.Reason)
	case relay.Advertise:
		if h.pool != nil {
			h.pool.SetRecord(o.Record)
		}
	case relay.Keep:
		h.cfg.Store.Put(o.Shard)
	case relay.Opened:
		h.isOpened(o.Info)
		if h.cfg.Store != nil {
			h.cfg.Store.PutInfo(store.Key{Stream: o.Info.Stream, Epoch: o.Info.Epoch}, o.Raw)
		}
		h.show(o)
	case relay.Seen, relay.Deliver:
		h.show(o)
	case relay.Recall:
		select {
		case h.past.recalls <- o:
		default:
			h.queue = append(h.queue, relay.Lost{Recall: o, Busy: true})
		}
	case relay.Recovered:
		h.lib.recovered(time.Now(), o)
	case relay.Found:
		h.lib.found(time.Now(), o.Header)
	case relay.Absent:
		h.lib.passedOver(time.Now(), o)
	case relay.Left:
		if !h.isLeft {
			h.isLeft = true
			close(h.left)
		}
	default:
		panic(fmt.Sprintf("host: output %T", o))
	}
}

// show gives a viewer what it needs, if it reads.
func (h *Host) show(o relay.Output) {
	if !h.cfg.Participant.Play {
		return
	}
	select {
	case h.media <- o:
	default:
		if h.mediaDropped++; h.mediaDropped == 1 {
			h.log.Error("what was received is not read in time; blocks are lost")
		}
	}
}

// give hands work to a worker. If all are far behind, the loop does it itself.
func (h *Host) give(w relay.Work) {
	select {
	case h.work <- w:
	default:
		h.queue = append(h.queue, w.Do())
	}
}

// NewKey makes a node key.
func NewKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // the system has no randomness
	}
	return key
}
