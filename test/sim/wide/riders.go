package wide

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// What relay.Core does about receipts, but that nothing is signed and a taker's word is
// with the giver at once: its bytes are counted where it is shown, and besides as one
// Thanks a parent and period.

// period is the running one of receipts.
func (w *World) period() uint32 { return overlay.PeriodOf(&w.info, uint64(w.t/w.BlockTime)) }

// show answers a Show with what those say whom n feeds, who gets the most first.
func (n *node) show(p *node) {
	w := n.w
	blocks := int(overlay.ReceiptEvery / w.BlockTime)
	var all []overlay.Receipt
	for _, k := range n.kids {
		id := w.nodes[k.child].id
		i := slices.IndexFunc(all, func(r overlay.Receipt) bool { return r.Taker == id })
		if i < 0 {
			i, all = len(all), append(all, overlay.Receipt{Taker: id, Period: w.period()})
		}
		all[i].Shards += uint16(blocks)
	}
	slices.SortStableFunc(all, func(a, b overlay.Receipt) int { return int(b.Shards) - int(a.Shards) })
	w.say(n, p, &overlay.Receipts{Tag: w.info.Stream.Tag(), Epoch: w.info.Epoch, Of: all[:min(len(all), overlay.MaxReceipts)]})
}

// reckon takes what a peer shows.
func (n *node) reckon(p *node, m *overlay.Receipts) {
	if n.forest == nil || !n.forest.Awaits(p.id) {
		return
	}
	n.forest.Showed(n.w.now(), p.id, m.Slots(&n.w.info, p.id, n.w.period(), func(*overlay.Receipt) bool { return true }))
}

// thank counts what everybody's Thanks cost in a period.
func (w *World) thank() {
	each := len(overlay.Encode(&overlay.Thanks{}))
	for _, n := range w.nodes[1:] {
		if n.alive && n.forest != nil {
			parents, _ := n.forest.Parents()
			n.messages += len(parents)
			n.bytes += len(parents) * each
		}
	}
	w.After(overlay.ReceiptEvery, w.thank)
}

// boast is what a liar's record says of the stream: that it feeds a stripe, and has room.
func (n *node) boast(says membership.Carried) membership.Carried {
	says.Homes, says.Free, says.Depth = 1<<(int(n.index)%n.w.Layout.N()), n.w.Slots, 2
	return says
}

// Riding is how a pool fares of which a part gives nothing, and wants more than there is.
type Riding struct {
	N, Givers, Riders, Liars int              // those in the pool; liars are no riders here
	Want                     float64          // k slots for everybody, as a share of all there are
	Looks                    int              // at every participant, once a second
	GiverShort               float64          // share of looks at one who gives at which it had fewer than k stripes
	RiderWell, LiarWell      float64          // share of looks at the others at which they had k
	RiderHas, LiarHas        float64          // stripes that flow to one of them
	Bytes                    float64          // of control a second and participant, gossip not among them
	FirstK                   [3]time.Duration // of those who give, from coming to k stripes: p50, p95, most
}

// RidersConfig is n participants of whom half give nothing, and k slots for everybody
// are over times what there is. Of those who give nothing a part, lie, say that they do.
func RidersConfig(seed uint64, n int, l stripe.Layout, over, lie float64) Config {
	cfg := DefaultConfig(seed, n)
	cfg.Layout, cfg.Share, cfg.Lie = l, 0.5, lie
	source := float64(cfg.Roots * l.N())
	cfg.Slots = int((float64(n*l.K)/over - source*1.2) / (float64(n) * cfg.Share))
	cfg.Join = max(cfg.Join, time.Duration(n)*time.Second/300)
	return cfg
}

// ExperimentRiders lets a pool come and settle, and looks at it for a minute.
func ExperimentRiders(cfg Config) Riding {
	w := New(cfg)
	w.Run(cfg.Join + SettleTime/2)
	before := w.Traffic()
	r := Riding{N: cfg.N}
	slots := w.nodes[0].slots
	for _, n := range w.nodes[1:] {
		slots += n.slots
		switch {
		case n.slots > 0:
			r.Givers++
		case n.lies:
			r.Liars++
		default:
			r.Riders++
		}
	}
	r.Want = float64(cfg.N*cfg.Layout.K) / float64(slots)
	short, well, lies := 0, 0, 0
	rider, liar := 0, 0 // stripes
	for range int(SettleTime / time.Second) {
		w.Run(time.Second)
		r.Looks++
		for _, n := range w.nodes[1:] {
			has := n.live()
			switch {
			case n.slots > 0:
				short += below(has, cfg.Layout.K)
			case n.lies:
				liar, lies = liar+has, lies+1-below(has, cfg.Layout.K)
			default:
				rider, well = rider+has, well+1-below(has, cfg.Layout.K)
			}
		}
	}
	of := func(n, nodes int) float64 { return float64(n) / float64(max(1, nodes*r.Looks)) }
	r.GiverShort, r.RiderWell, r.LiarWell = of(short, r.Givers), of(well, r.Riders), of(lies, r.Liars)
	r.RiderHas, r.LiarHas = of(rider, r.Riders), of(liar, r.Liars)
	r.Bytes = float64(w.Traffic().Bytes-before.Bytes) / SettleTime.Seconds() / float64(cfg.N)
	var first []time.Duration
	for _, n := range w.nodes[1:] {
		if n.slots > 0 && n.firstK > 0 {
			first = append(first, n.firstK)
		}
	}
	slices.Sort(first)
	r.FirstK = [3]time.Duration{Quantile(first, 0.5), Quantile(first, 0.95), Quantile(first, 1)}
	return r
}

func below(n, k int) int {
	if n < k {
		return 1
	}
	return 0
}
