package wide

import (
	"cmp"
	"slices"
	"time"
)

// Shape is what the forest looks like at one time.
type Shape struct {
	Depths      []int           // of every stripe of every participant that has one; sorted
	Lags        []time.Duration // the most over its stripes, of every participant that has them all; sorted
	Orphans     int             // stripes without an unbroken way to the source
	Short       int             // participants with fewer than k stripes
	Egress      float64         // children of the source a stripe
	Interior    []int           // relays with the stripe as a home stripe, by stripe
	Free        int             // slots that nobody uses
	Ancestors   int             // participants with somebody above more than m of their stripes
	Connections []int           // of every participant; sorted
	Book        []int           // records in every book; sorted
}

// place is where a participant stands in one stripe: 0 hops is unknown yet, -1
// is nowhere.
type place struct {
	hops int
	lag  time.Duration
}

// Look takes stock.
func (w *World) Look() Shape {
	sh := Shape{Interior: make([]int, w.Layout.N())}
	worst := make([]time.Duration, len(w.nodes))
	have := make([]int, len(w.nodes))
	above := make([][]int32, len(w.nodes))
	for s := range w.Layout.N() {
		places := make([]place, len(w.nodes))
		for i, n := range w.nodes {
			if i == 0 || !n.alive || n.forest == nil {
				continue
			}
			if st := n.forest.Branch(w.now(), s); st.Home {
				sh.Interior[s]++
			}
			p := w.place(places, int32(i), s, 0)
			if p.hops < 0 {
				sh.Orphans++
				continue
			}
			have[i]++
			sh.Depths = append(sh.Depths, p.hops)
			worst[i] = max(worst[i], p.lag)
			above[i] = w.ancestors(above[i], n, s)
		}
	}
	for i, n := range w.nodes[1:] {
		if !n.alive {
			continue
		}
		if have[i+1] < w.Layout.K {
			sh.Short++
		}
		if have[i+1] == w.Layout.N() {
			sh.Lags = append(sh.Lags, worst[i+1])
		}
		if mostOften(above[i+1]) > w.Layout.M {
			sh.Ancestors++
		}
		sh.Connections = append(sh.Connections, len(n.links))
		if n.forest != nil {
			sh.Free += max(0, n.slots-n.forest.Children())
			sh.Book = append(sh.Book, len(n.book.All()))
		}
	}
	sh.Egress = float64(len(w.nodes[0].kids)) / float64(w.Layout.N())
	slices.Sort(sh.Depths)
	slices.Sort(sh.Lags)
	slices.Sort(sh.Connections)
	slices.Sort(sh.Book)
	return sh
}

// parent is whom a node's Forest calls its parent in a stripe, if that one feeds it.
func (w *World) parent(n *node, s int) (int32, bool) {
	id := n.forest.Branch(w.now(), s).Parent
	if id.IsZero() {
		return 0, false
	}
	p := w.byID[id]
	fed := slices.ContainsFunc(n.flows[s].feeders, func(f feeder) bool { return f.from == p && f.until == 0 })
	return p, fed && w.nodes[p].alive
}

func (w *World) place(places []place, i int32, s, hops int) place {
	if i == 0 {
		return place{}
	}
	if places[i].hops != 0 {
		return places[i]
	}
	p, ok := w.parent(w.nodes[i], s)
	if !ok || hops > maxHops {
		return place{hops: -1}
	}
	at := w.place(places, p, s, hops+1)
	if at.hops < 0 {
		return at
	}
	at.hops++
	at.lag += w.path(i, p) + forwarding
	places[i] = at
	return at
}

func (w *World) ancestors(list []int32, n *node, s int) []int32 {
	for hops := 0; hops < maxHops; hops++ {
		p, ok := w.parent(n, s)
		if !ok || p == 0 {
			break
		}
		list = append(list, p)
		n = w.nodes[p]
	}
	return list
}

// mostOften is how often the most frequent of them occurs.
func mostOften(list []int32) int {
	slices.Sort(list)
	most, run := 0, 0
	for i, v := range list {
		if i > 0 && v == list[i-1] {
			run++
		} else {
			run = 1
		}
		most = max(most, run)
	}
	return most
}

// Bound is the least depth in which all can be fed every stripe: relays first, at
// every hop.
func (w *World) Bound() int {
	sharers := 0
	for _, n := range w.nodes[1:] {
		if n.slots > 0 {
			sharers++
		}
	}
	interior := sharers / w.Layout.N()
	leaves := w.N - interior
	for depth, room := 1, w.Roots; depth < 32; depth++ {
		in := min(interior, room)
		interior -= in
		leaves -= min(leaves, room-in)
		if interior == 0 && leaves == 0 {
			return depth
		}
		room = in * w.Slots
	}
	return 32
}

// Traffic is what control cost, of all participants together.
type Traffic struct {
	Bytes, Gossip, Messages, Dials, Spins, Refused int
	Kinds, KindBytes                               [32]int
	Refusals, Drops                                [8]int // by reason
	Standby                                        int    // questions to a backup
}

// Traffic is the sum since the start.
func (w *World) Traffic() Traffic {
	t := Traffic{Gossip: w.gossip.bytes, Refused: w.refused, Kinds: w.kinds, KindBytes: w.kindBytes, Refusals: w.refusals, Drops: w.drops, Standby: w.standby}
	for _, n := range w.nodes {
		t.Bytes += n.bytes
		t.Messages += n.messages
		t.Dials += n.dials
		t.Spins += n.spins
	}
	return t
}

// Live is the share of the living viewers that have k stripes with an unbroken
// way, and the share of all their stripes that have one.
func (w *World) Live() (decode, stripes float64) {
	viewers, decoding, flowing := 0, 0, 0
	for _, n := range w.nodes[1:] {
		if !n.alive {
			continue
		}
		viewers++
		have := n.live()
		flowing += have
		if have >= w.Layout.K {
			decoding++
		}
	}
	return float64(decoding) / float64(viewers), float64(flowing) / float64(viewers*w.Layout.N())
}

// Quantile is the q-th of sorted values, zero of none.
func Quantile[T cmp.Ordered](sorted []T, q float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
