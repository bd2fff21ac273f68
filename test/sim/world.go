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
	// Loss is the chance that a packet is lost on any link.
	Loss float64
	// WorkTime is how long checking or rebuilding takes.
	WorkTime time.Duration
}

// DefaultConfig is a stream of 1 Mbit/s as 16+4, and paths of 5 to 50 ms.
func DefaultConfig(seed uint64) Config {
	return Config{
		Seed: seed, Layout: stripe.DefaultLayout, Rate: 1e6, BlockTime: 100 * time.Millisecond,
		AccessEvery: 10, Delay: 1500 * time.Millisecond,
		Near: 5 * time.Millisecond, Far: 50 * time.Millisecond,
		WorkTime: 100 * time.Microsecond,
	}
}

// epoch0 is when every world begins.
var epoch0 = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// World is one simulated pool and its stream.
type World struct {
	Config
	nodes  []*Node
	byID   map[membership.NodeID]*Node // never ranged over
	conns  map[pair]*conn              // never ranged over
	paths  map[pair]time.Duration      // one-way delays
	walls  map[way]time.Duration       // blocked ways, and since when
	heap   heap
	seq    uint64
	t      time.Duration
	rnd    *rand.Rand
	source *Source
	audit  audit

	trace  uint64
	events uint64
}

// New returns a world with nobody in it.
func New(cfg Config) *World {
	w := &World{
		Config: cfg, byID: map[membership.NodeID]*Node{}, conns: map[pair]*conn{},
		paths: map[pair]time.Duration{}, walls: map[way]time.Duration{},
		rnd: rand.New(rand.NewPCG(cfg.Seed, 0x5eed)), trace: fnvBasis,
	}
	w.after(time.Second, nil, actAudit{})
	return w
}

// Now is how long the world has run.
func (w *World) Now() time.Duration { return w.t }

// Trace is the hash of all that has happened, and how many events that was.
func (w *World) Trace() (hash, events uint64) { return w.trace, w.events }

func (w *World) now() time.Time { return epoch0.Add(w.t) }

// After runs do after d. It is for faults; participants never see it.
func (w *World) After(d time.Duration, do func()) { w.after(d, nil, actDo{do}) }

func (w *World) after(d time.Duration, n *Node, a act) {
	e := event{at: w.t + max(0, d), seq: w.seq, node: n, act: a}
	if n != nil {
		e.life = n.life
	}
	w.seq++
	w.heap.push(e)
}

// Run lets d of virtual time pass.
func (w *World) Run(d time.Duration) {
	end := w.t + d
	for len(w.heap.items) > 0 && w.heap.items[0].at <= end {
		e := w.heap.pop()
		w.t = e.at
		if e.node == nil || e.life == e.node.life && e.node.alive {
			w.perform(e)
		}
	}
	w.t = end
}

type (
	actDo    struct{ do func() }
	actAudit struct{}
	actIdle  struct{ c *conn } // has a side of the connection heard nothing for long?
	actInput struct{ in relay.Input }
	actLate  struct{ in relay.Input } // from the network
	actShard struct {
		c     *conn
		from  *Node
		shard *stripe.Shard
		sent  time.Duration
	}
	actMessage struct {
		c     *conn
		from  *Node
		bytes []byte
	}
	actWake struct{}
	actPlay struct{}
	actPump struct {
		to    *Node
		shard *stripe.Shard
	}
	actPublish struct{}
	actMeasure struct{}
	actJoin    struct{}
	actDialled struct{ to *Node }
	actFailed  struct{ to *Node }
	actDown    struct{ c *conn }
)

func (w *World) perform(e event) {
	w.events++
	n := e.node
	w.note(uint64(e.at))
	if n != nil {
		w.note(uint64(n.index))
	}
	switch a := e.act.(type) {
	case actDo:
		a.do()
	case actAudit:
		w.audit.look(w)
		w.after(time.Second, nil, actAudit{})
	case actIdle:
		w.idle(a.c)
	case actInput:
		n.handle(a.in)
	case actLate:
		n.receive(a)
	case actShard, actMessage, actDown:
		n.receive(a)
	case actWake:
		n.wake()
	case actPlay:
		n.playDue()
	case actPump:
		n.pumping = false
		if !n.paused {
			n.send(a.to, a.shard)
		}
		n.pump()
	case actPublish:
		w.source.tick()
	case actMeasure:
		n.measure()
	case actJoin:
		n.join()
	case actDialled:
		w.dialled(n, a.to)
	case actFailed:
		n.dialFailed(a.to)
	default:
		panic(fmt.Sprintf("sim: act %T", a))
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

// key derives a key from the seed and a name.
func (w *World) key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%d %s", w.Seed, name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// addr is where node i is: everyone has a network of their own.
func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 7070)
}
