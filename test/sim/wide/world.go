package wide

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// Config is a population and its network.
type Config struct {
	Seed      uint64
	N         int // participants beside the source
	Layout    stripe.Layout
	Rate      float64 // bits a second of stream
	BlockTime time.Duration
	// Join is within how long all N come.
	Join time.Duration
	// Share is the part of them that shares; each of those has Slots.
	Share float64
	Slots int
	// Lie is the part of the others that say they share, and refuse everybody.
	Lie float64
	// Roots is how many relays a stripe the source has upload for; a fifth more
	// is its reserve.
	Roots int
	// Members is how many of those who share hear gossip; the others ask.
	Members int
	// Near and Far bound the one-way delays, drawn once a pair of nodes.
	Near, Far time.Duration
	// Delay is the viewers' play-out delay.
	Delay time.Duration
	// Watch, if any, is called every WatchEvery of virtual time.
	Watch func(*World)
}

// WatchEvery is how often a world is watched.
const WatchEvery = 5 * time.Second

// DefaultConfig is n viewers that each give what they take, and a stream of
// 5 Mbit/s as 16+4.
func DefaultConfig(seed uint64, n int) Config {
	return Config{
		Seed: seed, N: n, Layout: stripe.DefaultLayout, Rate: 5e6, BlockTime: 100 * time.Millisecond,
		Join: 10 * time.Second, Share: 1, Slots: stripe.DefaultLayout.N(), Roots: 2, Members: min(n, 2000),
		Near: 5 * time.Millisecond, Far: 50 * time.Millisecond, Delay: 1500 * time.Millisecond,
	}
}

// forwarding is how long a relay takes to pass a shard on.
const forwarding = 10 * time.Millisecond

// epoch0 is when every world begins.
var epoch0 = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// World is one simulated pool and its stream.
type World struct {
	Config
	nodes     []*node // the source first
	ids       []membership.NodeID
	byID      map[membership.NodeID]int32
	records   opened
	info      stripe.Info
	rawInfo   []byte
	calendar  calendar
	unsettled []*node // something happened to them in this moment
	t         time.Duration
	rnd       *rand.Rand
	salt      uint64
	gossip    gossip

	trace  uint64
	events uint64

	sourceDials     int // in this second
	sourceAt        time.Duration
	killed          time.Duration // when the mass kill was; 0 before
	repairs         []repair
	used            map[membership.NodeID]bool // of one node, while it is looked at
	peak            int                        // the most children the source ever fed
	refused         int                        // dials that found no room
	kinds           [32]int
	refusals, drops [8]int // by reason
	standby         int    // Subscribes that ask for a promise only
	kindBytes       [32]int
}

// New returns a world in which everybody's coming is scheduled.
func New(cfg Config) *World { return newCrowd(cfg, cfg.N) }

// newCrowd is New, where only the first come within cfg.Join, and the others in
// CrowdTime once those have settled.
func newCrowd(cfg Config, first int) *World {
	w := newWorld(cfg)
	for i, n := range w.nodes[1:] {
		at := 500*time.Millisecond + cfg.Join*time.Duration(i)/time.Duration(first)
		if i >= first {
			at = cfg.Join + SettleTime/2 + CrowdTime*time.Duration(i-first)/time.Duration(cfg.N-first)
		}
		w.schedule(at, event{kind: evJoin, node: n.index})
	}
	return w
}

func newWorld(cfg Config) *World {
	w := &World{
		Config: cfg, byID: make(map[membership.NodeID]int32, cfg.N+1), used: map[membership.NodeID]bool{},
		rnd: rand.New(rand.NewPCG(cfg.Seed, 0x31de)), trace: fnvBasis,
	}
	w.salt = w.rnd.Uint64()
	slots := cfg.Roots * cfg.Layout.N()
	w.add(slots + (slots+4)/5)
	key := w.key(0)
	w.info = stripe.Info{
		Stream: stripe.IDOf(key), Epoch: 1, Layout: cfg.Layout, BlockTime: cfg.BlockTime,
		Rate: uint64(cfg.Rate), Root: w.nodes[0].id, Name: "wide",
	}
	w.rawInfo = w.info.Sign(key)
	for range cfg.N {
		if w.rnd.Float64() < cfg.Share {
			w.add(cfg.Slots)
		} else {
			w.add(0)
			w.nodes[len(w.nodes)-1].lies = cfg.Lie > 0 && w.rnd.Float64() < cfg.Lie
		}
	}
	w.start(w.nodes[0])
	w.houseKeeping()
	w.thank()
	if cfg.Watch != nil {
		w.watch()
	}
	return w
}

func (w *World) add(slots int) {
	n := &node{w: w, index: int32(len(w.nodes)), slots: slots, wakeAt: never, joined: never}
	n.id = membership.NodeIDOf(w.key(int(n.index)))
	w.nodes, w.ids = append(w.nodes, n), append(w.ids, n.id)
	w.byID[n.id] = n.index
}

// key is the key of node i, which is also the stream's for the source.
func (w *World) key(i int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%d wide %d", w.Seed, i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// Now is how long the world has run.
func (w *World) Now() time.Duration { return w.t }

// Trace is the hash of all that has happened, and how many events that was.
func (w *World) Trace() (hash, events uint64) { return w.trace, w.events }

func (w *World) now() time.Time { return epoch0.Add(w.t) }

// schedule puts down what is to happen, and returns when it will.
func (w *World) schedule(at time.Duration, e event) time.Duration {
	return w.calendar.add(at, e)
}

// After runs do after d. It is for experiments.
func (w *World) After(d time.Duration, do func()) {
	w.schedule(w.t+d, event{kind: evDo, do: do})
}

func (w *World) watch() {
	w.After(WatchEvery, func() {
		w.Watch(w)
		w.watch()
	})
}

// Run lets d of virtual time pass.
func (w *World) Run(d time.Duration) {
	end := w.t + d
	w.settle()
	for time.Duration(w.calendar.present+1)*moment <= end {
		last := int32(-1)
		for i := range w.calendar.turn() {
			e := w.calendar.take(i)
			w.t = time.Duration(w.calendar.present) * moment
			if e.node != last {
				w.settle()
				last = e.node
				w.nodes[last].read()
			}
			w.perform(&e)
		}
		w.settle()
	}
	w.t = end
}

// settle lets those to whom something happened do what follows from it.
func (w *World) settle() {
	for _, n := range w.unsettled {
		n.unsettled = false
		if n.alive {
			n.settle()
		}
	}
	w.unsettled = w.unsettled[:0]
}

func (w *World) perform(e *event) {
	w.events++
	w.trace = (w.trace ^ uint64(w.t)) * fnvPrime
	w.trace = (w.trace ^ uint64(e.kind)<<32 ^ uint64(e.node)) * fnvPrime
	if e.kind == evDo {
		e.do()
		return
	}
	n := w.nodes[e.node]
	if e.kind != evJoin && !n.alive {
		return
	}
	switch e.kind {
	case evJoin:
		w.join(n)
	case evWake:
		n.wake()
	case evTick:
		n.tick()
	case evMessage:
		n.hear(w.nodes[e.peer], e.msg)
	case evDialled:
		w.dialled(n, w.nodes[e.peer])
	case evFailed:
		w.dialFailed(n, w.nodes[e.peer])
	case evLost:
		w.unlink(n, w.nodes[e.peer], true)
	case evClosed:
		w.unlink(n, w.nodes[e.peer], false)
	default:
		panic(fmt.Sprintf("wide: event of kind %d", e.kind))
	}
}

const (
	fnvBasis = 14695981039346656037
	fnvPrime = 1099511628211
	never    = -1 << 62 * time.Nanosecond
)

// path is the one-way delay between two nodes, the same both ways.
func (w *World) path(a, b int32) time.Duration {
	x := w.salt ^ uint64(min(a, b))<<32 ^ uint64(max(a, b))
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return w.Near + time.Duration(x%uint64(w.Far-w.Near+1))
}
