package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/sim/agenda"
)

// Config is what a world is made of.
type Config struct {
	Seed      uint64
	Layout    stripe.Layout
	Rate      float64       // bits a second of stream
	BlockTime time.Duration // T
	// AccessEvery is how many blocks lie from one random access block to the next.
	AccessEvery int
	// Delay is the viewers' play-out delay.
	Delay time.Duration
	// Near and Far bound the one-way delays, drawn once a pair of nodes.
	Near, Far time.Duration
	// Loss is the chance that a packet is lost on any link, until SetNet.
	Loss float64
	// WorkTime is how long checking a signature or rebuilding takes. A shard of a
	// block whose signature was checked costs a hash: no time.
	WorkTime time.Duration
	// GossipRate is how many records a second gossip brings a member.
	GossipRate float64
	// Reach says who can dial whom; nil: everybody everybody.
	Reach func(from, to *Node) bool
	// Knows says whose record a node is let know; nil: everybody everybody's.
	Knows func(n, of *Node) bool
	// PushOnly lets nobody pull.
	PushOnly bool
}

// DefaultConfig is a stream of 1 Mbit/s as 16+4, and paths of 5 to 50 ms.
func DefaultConfig(seed uint64) Config {
	return Config{
		Seed: seed, Layout: stripe.DefaultLayout, Rate: 1e6, BlockTime: 100 * time.Millisecond,
		AccessEvery: 10, Delay: 1500 * time.Millisecond,
		Near: 5 * time.Millisecond, Far: 50 * time.Millisecond,
		WorkTime: 100 * time.Microsecond, GossipRate: gossipRate,
	}
}

// epoch0 is when every world begins.
var epoch0 = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// World is one simulated pool and its stream.
type World struct {
	Config
	nodes  []*Node
	byID   map[membership.NodeID]*Node // never ranged over
	agenda agenda.Agenda[event]
	t      time.Duration
	rnd    *rand.Rand
	source *Source
	memo   memo
	net    network
	gossip gossip
	audit  audit

	trace  uint64
	events uint64
}

// New returns a world with nobody in it.
func New(cfg Config) *World {
	w := &World{
		Config: cfg, byID: map[membership.NodeID]*Node{},
		rnd: rand.New(rand.NewPCG(cfg.Seed, 0x5eed)), trace: fnvBasis,
	}
	w.memo.init()
	w.net.init(Conditions{Loss: cfg.Loss})
	w.after(time.Second, nil, act{kind: doAudit})
	return w
}

// Now is how long the world has run.
func (w *World) Now() time.Duration { return w.t }

// Trace is the hash of all that has happened, and how many events that was.
func (w *World) Trace() (hash, events uint64) { return w.trace, w.events }

// Nodes are all nodes that ever were, in the order in which they came. The slice
// is the world's own.
func (w *World) Nodes() []*Node { return w.nodes }

func (w *World) now() time.Time { return epoch0.Add(w.t) }

// After runs do after d. It is for faults; participants never see it.
func (w *World) After(d time.Duration, do func()) { w.after(d, nil, act{kind: doFunc, arg: do}) }

func (w *World) after(d time.Duration, n *Node, a act) {
	e := event{node: n, act: a}
	if n != nil {
		e.life = n.life
	}
	w.agenda.Add(w.t+max(0, d), e)
}

// Run lets d of virtual time pass.
func (w *World) Run(d time.Duration) {
	end := w.t + d
	for {
		at, ok := w.agenda.Next()
		if !ok || at > end {
			break
		}
		var e event
		w.t, e = w.agenda.Take()
		if e.node == nil || e.life == e.node.life && e.node.alive {
			w.perform(e)
		}
	}
	w.t = end
}

// event is something that happens to a node, or to the world itself.
type event struct {
	node *Node // whose it is; nil for the world's own
	life int   // the node's life in which it was scheduled; another's is void
	act
}

// act is what an event does.
type act struct {
	kind  kind
	c     *conn
	shard *stripe.Shard
	sent  time.Duration // when the shard was, first
	asked bool          // for, by a neighbour: the shard is no parent's
	arg   any           // a relay.Input, a message's []byte, a func() or a *Node
}

type kind uint8

const (
	doFunc    kind = iota // arg() is the world's own
	doAudit               // look for what must not be
	doIdle                // has a side of the connection heard nothing for long?
	doPublish             // the source makes a block
	doInput               // the core gets arg
	doShard               // a shard comes
	doMessage             // a message comes
	doDown                // the other end closed the connection
	doWake                // the core's deadline
	doPlay                // the play-out buffer's
	doPump                // the upload has room for a shard that waits for it
	doRoom                // a connection's window may have room again
	doResend              // a shard that a full queue dropped is sent again
	doGossip              // records and rumours come
	doMeasure             // round-trip times are told
	doJoin                // is anybody connected?
	doDialled             // a dial succeeds
	doFailed              // or fails
	doCPU                 // a slow node goes on with what it has put off
)

func (w *World) perform(e event) {
	w.events++
	w.note(uint64(w.t))
	n := e.node
	if n != nil {
		w.note(uint64(n.index))
		if n.cpu.quota > 0 && e.kind != doCPU {
			n.cpu.waiting = append(n.cpu.waiting, e.act)
			n.work()
			return
		}
		n.perform(e.act)
		return
	}
	switch e.kind {
	case doFunc:
		e.arg.(func())()
	case doAudit:
		w.audit.look(w)
		w.after(time.Second, nil, act{kind: doAudit})
	case doIdle:
		w.idle(e.c)
	case doPublish:
		w.source.tick()
	default:
		panic(fmt.Sprintf("sim: the world got act %d", e.kind))
	}
}

const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
)

// note mixes a number into the trace.
func (w *World) note(v uint64) { w.trace = (w.trace ^ v) * fnvPrime }

func (w *World) noteBytes(b []byte) {
	h := uint64(fnvBasis)
	for _, c := range b {
		h = (h ^ uint64(c)) * fnvPrime
	}
	w.note(h)
}

// between draws a duration from lo to hi.
func (w *World) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(w.rnd.Int64N(int64(hi-lo)))
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.rnd.Float64() < p }

// key derives a key from the seed and a name.
func (w *World) key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%d %s", w.Seed, name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// addr is where node i is: everyone has a network of their own.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 7070)
}

// input makes an act of what the core is told.
func input(in relay.Input) act { return act{kind: doInput, arg: in} }
