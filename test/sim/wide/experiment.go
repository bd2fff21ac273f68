package wide

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Settled is one point of a plot over N: a pool some time after all have come.
type Settled struct {
	N, Bound        int
	Depth, DepthP99 int
	Lag             [3]time.Duration // T and the way: p50, p99, most
	Egress          float64          // children of the source a stripe
	Peak            int              // the most children of the source at any time
	SourceSlots     int
	Orphans, Short  int        // stripes without a way; participants with fewer than k
	Crowded         int        // participants with somebody above more than m stripes
	Joining, Steady float64    // bytes of control a second and participant, gossip among them
	Gossip          [2]float64 // what of it is gossip
	Storm           float64    // messages a second and participant while they come
	Messages        float64    // the same when settled
	FirstK          [3]time.Duration
	FirstAll        [3]time.Duration // p50, p95, most; of those who got there
	Never           int              // participants that never had all stripes
	Homes           [2]int           // the fewest and the most relays of a stripe
	Book            int              // records in a book, p50
}

// SettleTime is how long after the last has come a pool is looked at; the last
// third of it is the steady state.
const SettleTime = 60 * time.Second

// ExperimentSettle lets a pool come and settle, and measures it.
func ExperimentSettle(cfg Config) (Settled, *World) {
	w := New(cfg)
	w.Run(cfg.Join + time.Second)
	joined := w.Traffic()
	w.Run(SettleTime * 2 / 3)
	before := w.Traffic()
	w.Run(SettleTime / 3)
	after := w.Traffic()
	sh := w.Look()
	r := Settled{
		N: cfg.N, Bound: w.Bound(), Depth: Quantile(sh.Depths, 1), DepthP99: Quantile(sh.Depths, 0.99),
		Lag:    [3]time.Duration{cfg.BlockTime + Quantile(sh.Lags, 0.5), cfg.BlockTime + Quantile(sh.Lags, 0.99), cfg.BlockTime + Quantile(sh.Lags, 1)},
		Egress: sh.Egress, Peak: w.peak, SourceSlots: w.nodes[0].slots,
		Orphans: sh.Orphans, Short: sh.Short, Crowded: sh.Ancestors,
		Homes: [2]int{slices.Min(sh.Interior), slices.Max(sh.Interior)}, Book: Quantile(sh.Book, 0.5),
	}
	each := func(bytes int, span time.Duration) float64 { return float64(bytes) / float64(cfg.N) / span.Seconds() }
	r.Joining = each(joined.Bytes+joined.Gossip, cfg.Join+time.Second)
	r.Steady = each(after.Bytes+after.Gossip-before.Bytes-before.Gossip, SettleTime/3)
	r.Gossip = [2]float64{each(joined.Gossip, cfg.Join+time.Second), each(after.Gossip-before.Gossip, SettleTime/3)}
	r.Storm = each(joined.Messages, cfg.Join+time.Second)
	r.Messages = each(after.Messages-before.Messages, SettleTime/3)
	r.FirstK, r.FirstAll, r.Never = w.firsts(1)
	return r, w
}

// firsts is how long those from node i on took to k stripes and to all.
func (w *World) firsts(from int) (k, all [3]time.Duration, never int) {
	var ks, alls []time.Duration
	for _, n := range w.nodes[from:] {
		if n.firstK > 0 {
			ks = append(ks, n.firstK)
		}
		if n.firstAll > 0 {
			alls = append(alls, n.firstAll)
		} else if n.alive {
			never++
		}
	}
	slices.Sort(ks)
	slices.Sort(alls)
	three := func(d []time.Duration) [3]time.Duration {
		return [3]time.Duration{Quantile(d, 0.5), Quantile(d, 0.95), Quantile(d, 1)}
	}
	return three(ks), three(alls), never
}

// Crowd is a flash crowd: N tenths of a pool come before, the rest in ten seconds.
type Crowd struct {
	N             int
	FirstK        [3]time.Duration // p50, p95, most, of the crowd
	FirstAll      [3]time.Duration
	Never         int
	Peak          int // the most children of the source, of SourceSlots
	SourceSlots   int
	OldShort      float64 // share of looks at an old viewer at which it had fewer than k stripes
	Bytes, Gossip float64 // a second and participant, during the crowd
}

// CrowdTime is within how long the crowd comes.
const CrowdTime = 10 * time.Second

// ExperimentCrowd lets a tenth of the pool come and settle, then the rest at once.
func ExperimentCrowd(cfg Config) Crowd {
	old := cfg.N / 10
	w := newCrowd(cfg, old)
	w.Run(cfg.Join + SettleTime/2)
	w.peak = len(w.nodes[0].kids)
	before := w.Traffic()
	looks, short := 0, 0
	for range 20 {
		w.Run(time.Second)
		for _, n := range w.nodes[1 : old+1] {
			if looks++; n.live() < cfg.Layout.K {
				short++
			}
		}
	}
	after := w.Traffic()
	w.Run(SettleTime / 2)
	c := Crowd{N: cfg.N, Peak: w.peak, SourceSlots: w.nodes[0].slots, OldShort: float64(short) / float64(looks)}
	c.FirstK, c.FirstAll, c.Never = w.firsts(old + 1)
	c.Bytes = float64(after.Bytes-before.Bytes) / 20 / float64(cfg.N)
	c.Gossip = float64(after.Gossip-before.Gossip) / 20 / float64(cfg.N)
	return c
}

// Killed is one point of a plot over the killed share.
type Killed struct {
	Share    float64
	Expected [3]float64         // survivors that still decode, by the ways at the kill: least, mean, most of Draws
	Decode   []float64          // survivors with k stripes or more, at KillLooks
	Stripes  []float64          // their stripes that flow, at KillLooks
	Direct   [3]time.Duration   // how long a child of a dead parent stood still: p50, p99, most
	All      [3]time.Duration   // how long any stripe stood still
	Never    int                // stripes that still stand still at the end
	Bytes    float64            // control a second and participant, in the first 5 s
	repairs  [2][]time.Duration // sorted
}

// Draws is how many sets of victims are tried on paper.
const Draws = 200

// KillLooks is when after a kill the survivors are looked at.
var KillLooks = []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second}

// ExperimentKill kills a share of a settled pool's relays at one instant. It ends
// the world.
func ExperimentKill(w *World, share float64) Killed {
	r := Killed{Share: share}
	var relays, victims []*node
	for _, n := range w.nodes[1:] {
		if n.alive && n.slots > 0 {
			relays = append(relays, n)
		}
	}
	r.Expected = w.expect(relays, share)
	w.rnd.Shuffle(len(relays), func(i, j int) { relays[i], relays[j] = relays[j], relays[i] })
	victims = relays[:int(share*float64(len(relays))+0.5)]
	before := w.Traffic()
	w.Kill(victims)
	at := w.t
	for _, look := range KillLooks {
		w.Run(at + look - w.t)
		d, s := w.Live()
		r.Decode, r.Stripes = append(r.Decode, d), append(r.Stripes, s)
		if look == 5*time.Second {
			r.Bytes = float64(w.Traffic().Bytes-before.Bytes) / 5 / float64(len(w.nodes)-len(victims))
		}
	}
	for _, p := range w.repairs {
		r.repairs[1] = append(r.repairs[1], p.Took)
		if p.Direct {
			r.repairs[0] = append(r.repairs[0], p.Took)
		}
	}
	for i, to := range []*[3]time.Duration{&r.Direct, &r.All} {
		slices.Sort(r.repairs[i])
		*to = [3]time.Duration{Quantile(r.repairs[i], 0.5), Quantile(r.repairs[i], 0.99), Quantile(r.repairs[i], 1)}
	}
	for _, n := range w.nodes[1:] {
		for s := range n.flows {
			if n.alive && n.flows[s].stalled {
				r.Never++
			}
		}
	}
	return r
}

// expect is the share of survivors that keep k stripes when so many relays, drawn by
// chance, are taken out of the ways that there are: the least, the mean and the most
// of Draws.
func (w *World) expect(relays []*node, share float64) [3]float64 {
	r := [3]float64{1, 0, 0}
	rnd := rand.New(rand.NewPCG(w.Seed, 0xd1ce))
	parents := make([][]int32, w.Layout.N()) // of every node in every stripe, -1 if none
	for s := range parents {
		parents[s] = make([]int32, len(w.nodes))
		for i, n := range w.nodes {
			parents[s][i] = -1
			if i == 0 || !n.alive || n.forest == nil {
				continue
			}
			if p, ok := w.parent(n, s); ok {
				parents[s][i] = p
			}
		}
	}
	dead := make([]bool, len(w.nodes))
	for range Draws {
		clear(dead)
		for _, i := range rnd.Perm(len(relays))[:int(share*float64(len(relays))+0.5)] {
			dead[relays[i].index] = true
		}
		viewers, decode := 0, 0
		for i, n := range w.nodes {
			if i == 0 || !n.alive || dead[i] {
				continue
			}
			viewers++
			have := 0
			for s := range parents {
				if whole(parents[s], dead, int32(i)) {
					have++
				}
			}
			if have >= w.Layout.K {
				decode++
			}
		}
		d := float64(decode) / float64(viewers)
		r[0], r[1], r[2] = min(r[0], d), r[1]+d/Draws, max(r[2], d)
	}
	return r
}

// whole reports whether nobody on the way from the source to a node is dead.
func whole(parents []int32, dead []bool, i int32) bool {
	for hops := 0; hops <= maxHops; hops++ {
		if i == 0 {
			return true
		}
		if dead[i] || parents[i] < 0 {
			return false
		}
		i = parents[i]
	}
	return false
}

// live is how many stripes of a node flow.
func (n *node) live() int {
	have := 0
	for s := range n.flows {
		if n.flowing(s, 0) {
			have++
		}
	}
	return have
}
