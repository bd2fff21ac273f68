package sim

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// parentRows are the rows about single parents, links and children that fail.
func parentRows() []row {
	return []row{
		{id: "F0", what: "nothing, for half a minute", target: "BL 0, ST 0, pull ≤ 0.3 % of the stream", run: runNothing},
		{id: "F1", ttr: time.Second, what: "kill -9 of an interior relay, five times", target: "BL 0, ST 0, TTR ≤ 1 s p99", run: runKills},
		{id: "F2", ttr: time.Second / 2, what: "clean leave of an interior relay, five times", target: "BL 0, ST 0, TTR ≤ 0.5 s", run: runLeaves},
		{id: "F3", what: "SIGSTOP of a relay for 1, 5, 60 s", target: "BL 0, ST 0, siblings +≤ 20 ms, nothing stale after", run: runStops, seeds: 3},
		{id: "F4", what: "grey relay, CPU 5 % and 0.05 %", target: "BL 0, replaced ≤ 10 s", run: runGrey},
		{id: "F5", ttr: 1500 * time.Millisecond, what: "one-way partition parent→child", target: "BL 0, TTR ≤ 1.5 s, no flapping", run: runOneWay},
		{id: "F6", ttr: time.Second, known: "p99 of|from 3 s after healing|the far side is live after", what: "40/60 partition for 30 s", target: "source's side BL 0, the other live ≤ 3 s after", run: runPartition},
		{id: "F7", what: "10 % loss one way, then the reverse", target: "BL 0", run: runLossOneWay},
		{id: "F11", known: "later than without it", what: "slow child, 1 of 5 Mbit/s", target: "keeps what it can; siblings BL 0, +≤ 10 ms; queue +≤ 2 MB", run: runSlowChild},
	}
}

// settled is how long a row's pool has before anything happens to it.
const settled = 10 * time.Second

// everyday is a pool of profile R that has settled: 5 Mbit/s as 16+4, a play-out
// delay of two seconds, 12 relays with 8 to 20 Mbit/s and 20 viewers, half of
// whom share one and a half times the stream. The source has uplink for what it
// feeds in every row, Roots relays a stripe, and a half more.
func everyday(seed uint64) *World { return everydayOf(profile(seed)) }

// everydayOf is it with another configuration.
func everydayOf(cfg Config) *World {
	w := New(cfg)
	w.AddSource(4 * cfg.Rate)
	for i := range 12 {
		w.After(w.between(0, time.Second), func() { w.AddRelay(fmt.Sprintf("relay%d", i), w.uplink()) })
	}
	crowd(w, 0, 20, 0, 1.5*cfg.Rate)
	w.Run(settled)
	w.audit.fates.some = nil // those of its beginning
	return w
}

// uplink draws a relay's.
func (w *World) uplink() float64 { return (8 + 12*w.rnd.Float64()) * mbit }

// interior draws a relay that feeds somebody.
func (w *World) interior() *Node {
	var of []*Node
	for _, n := range w.all("relay") {
		if n.children() > 0 {
			of = append(of, n)
		}
	}
	return of[w.rnd.IntN(len(of))]
}

func (n *Node) children() int {
	if st := n.Status().Streams; len(st) > 0 {
		return st[0].Children
	}
	return 0
}

// replaced runs a pool in which five interior relays end, ten seconds apart, and
// each time another one comes.
func replaced(seed uint64, end func(w *World, n *Node)) (*World, figures) {
	w := everyday(seed)
	lost := 0
	for i := range 5 {
		n := w.interior()
		lost += n.children()
		end(w, n)
		w.AddRelay(fmt.Sprintf("relay-new%d", i), w.uplink())
		w.Run(10 * time.Second)
	}
	f := missed(w, settled)
	f.other = fmt.Sprintf("%d children lost their parent, depth ≤ %d", lost, w.audit.deepest)
	f.unseen(w)
	f.want(lost > 0 && len(f.ttr) > 0, "nothing had to be repaired: no test")
	return w, f
}

// repaired wants a parent for every stripe in the end.
func (f *figures) repaired() {
	f.want(f.never == 0, "%d stripes got no other parent", f.never)
}

// runNothing is what the others are to be compared with.
func runNothing(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	before := w.Pulled()
	w.Run(30 * time.Second)
	f := missed(w, settled)
	pulled := w.Pulled().Less(before).Overhead()
	f.want(pulled <= mostOverhead, "pull is %.2g %% of the stream", 100*pulled)
	f.other = fmt.Sprintf("depth ≤ %d, the source sends %.1f shards a block", w.audit.deepest, w.Egress(settled, w.Now()).Shards)
	f.pulled(w, before)
	f.unseen(w)
	return f
}

func runKills(_ *testing.T, seed uint64) figures {
	_, f := replaced(seed, func(w *World, n *Node) { w.Crash(n) })
	f.repaired()
	return f
}

func runLeaves(_ *testing.T, seed uint64) figures {
	_, f := replaced(seed, func(w *World, n *Node) { w.Leave(n) })
	f.repaired()
	return f
}

// pace is the mean time from publishing to rebuilding of each viewer in a time.
func (w *World) pace(from, to time.Duration) map[*Node]time.Duration {
	pace := map[*Node]time.Duration{}
	for _, n := range w.nodes {
		if d := n.Delays(from, to); d.Blocks > 0 {
			pace[n] = d.Mean
		}
	}
	return pace
}

// slower is by how much the pace of the viewer that lost most is slower than before.
func (w *World) slower(before, during map[*Node]time.Duration, victims ...*Node) (worst time.Duration) {
	for _, n := range w.nodes {
		is, ok := during[n]
		was, had := before[n]
		if ok && had && !(len(victims) > 0 && n == victims[0]) {
			worst = max(worst, is-was)
		}
	}
	return worst
}

// drift is what slower is for the same pool, in turn over each of these spans and a
// rest after it, when nothing happens to it: a forest never stands still, and in half
// a minute some viewer's blocks come up to 15 ms later.
func drift(seed uint64, rest time.Duration, spans ...time.Duration) (worst []time.Duration) {
	w := everyday(seed)
	for _, d := range spans {
		at := w.Now()
		before := w.pace(at-5*time.Second, at)
		w.Run(d)
		worst = append(worst, w.slower(before, w.pace(at, w.Now())))
		w.Run(rest)
	}
	return worst
}

// stale lets a pool run for d, and counts the shards that a relay brings viewers
// meanwhile when the turn of their blocks to play is over.
func (w *World) stale(from *Node, d time.Duration) (count int) {
	const step = 5 * time.Millisecond
	late := map[*entry]uint64{}
	look := func(count func(n *Node, stripe int)) {
		for _, n := range w.nodes {
			if n.player == nil {
				continue
			}
			for i := range n.ledger.entries {
				e := &n.ledger.entries[i]
				for more := e.late &^ late[e]; more != 0; more &= more - 1 {
					count(n, bits.TrailingZeros64(more))
				}
				late[e] = e.late
			}
		}
	}
	look(func(*Node, int) {})
	for end := w.Now() + d; w.Now() < end; {
		w.Run(step)
		look(func(n *Node, stripe int) {
			if n.ledger.feeders[stripe].now == from {
				count++
			}
		})
	}
	return count
}

// runStops stops three relays, each for longer than the one before.
func runStops(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	var late, sent []int
	var delayed, more time.Duration
	stops := []time.Duration{time.Second, 5 * time.Second, time.Minute}
	calm := drift(seed, 5*time.Second, stops...)
	for i, d := range stops {
		n, at := w.interior(), w.Now()
		before := w.pace(at-5*time.Second, at)
		w.Pause(n, d)
		w.Run(d - time.Millisecond)
		// All viewers are siblings, in one stripe or another, of somebody whom the
		// stopped relay feeds; for a minute their other stripes move as well.
		slower := w.slower(before, w.pace(at, w.Now()))
		delayed, more = max(delayed, slower), max(more, slower-calm[i])
		forwards := n.Figures.Forwards
		late = append(late, w.stale(n, 300*time.Millisecond))
		sent = append(sent, n.Figures.Forwards-forwards)
		w.Run(5 * time.Second)
	}
	f := missed(w, settled)
	f.other = fmt.Sprintf("viewers' blocks +≤ %v, %v more than without; sent in 0.3 s after CONT %v, too late to play %v", ms(delayed), ms(more), sent, late)
	f.unseen(w)
	f.want(more <= 20*time.Millisecond, "a viewer's blocks came %v later than without stops", ms(more))
	for i, count := range late {
		f.want(count == 0, "after stop %d, %d shards came from it when their blocks had been played", i, count)
	}
	return f
}

// fedBy is how many stripes of how many nodes a relay feeds, as those say it.
func (w *World) fedBy(parent *Node) (stripes int) {
	for _, n := range w.nodes {
		if !n.alive || n == parent {
			continue
		}
		for _, st := range n.Status().Streams {
			for _, b := range st.Stripes {
				if b.Parent == parent.id {
					stripes++
				}
			}
		}
	}
	return stripes
}

// runGrey leaves two relays little of a processor: a twentieth, which is enough for
// all that a relay costs here, where what it sends costs nothing, and a hundredth of
// that, which is ten things a second.
func runGrey(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	var told, broke []string
	for _, quota := range []float64{0.05, 0.0005} {
		n, at := w.interior(), w.Now()
		before, had := w.pace(at-5*time.Second, at), w.fedBy(n)
		w.Grey(n, quota)
		gone, waited := time.Duration(-1), 0
		for range 150 {
			w.Run(100 * time.Millisecond)
			waited = max(waited, len(n.cpu.waiting))
			if gone < 0 && w.fedBy(n) == 0 {
				gone = w.Now() - at
			}
		}
		took := "never"
		if gone >= 0 {
			took = "after " + ms(gone).String()
		}
		told = append(told, fmt.Sprintf("%v %%: of %d children the last gone %s, %d at the end, ≤ %d acts waited, viewers' blocks +≤ %v",
			100*quota, had, took, w.fedBy(n), waited, ms(w.slower(before, w.pace(at+10*time.Second, w.Now())))))
		if overloaded := waited > 100; overloaded && (gone < 0 || gone > 10*time.Second) {
			broke = append(broke, fmt.Sprintf("with %v %% of a processor the last of its %d children is gone %s", 100*quota, had, took))
		}
		w.Grey(n, 0)
		w.Run(5 * time.Second)
	}
	f := missed(w, settled)
	f.broke = append(f.broke, broke...)
	f.other = strings.Join(told, "; ")
	f.unseen(w)
	return f
}

// flaps watches the parents that a node has in some stripes while a pool runs: how
// often one stripe changed its parent at the most, all stripes of the node together,
// and how often one went back to a parent that it had left meanwhile.
func (w *World) flaps(n *Node, of uint64, d time.Duration) (most, all, back int) {
	first := n.Status().Streams[0].Stripes
	had := make([][]membership.NodeID, len(first))
	for i, b := range first {
		had[i] = []membership.NodeID{b.Parent}
	}
	changes := make([]int, len(first))
	for end := w.Now() + d; w.Now() < end; {
		w.Run(10 * time.Millisecond)
		for i, b := range n.Status().Streams[0].Stripes {
			if !b.Wanted || b.Parent.IsZero() || b.Parent == had[i][len(had[i])-1] {
				continue
			}
			all++
			if of>>i&1 == 1 {
				changes[i]++
				if slices.Contains(had[i], b.Parent) {
					back++
				}
			}
			had[i] = append(had[i], b.Parent)
		}
	}
	return slices.Max(changes), all, back
}

// runOneWay lets nothing pass from a relay to one of its children, four times.
func runOneWay(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	most, most20, walls, stripes, returns, back := 0, 0, 0, 0, 0, 0
	for i := range 4 {
		child := w.pick([]string{"viewer", "relay"}[i%2])
		var parent *Node
		fed := uint64(0)
		for _, b := range child.Status().Streams[0].Stripes {
			if p := w.byID[b.Parent]; b.Wanted && p != nil && p != w.source.Node && (parent == nil || p == parent) {
				parent = p
				fed |= 1 << b.Stripe
			}
		}
		if parent == nil {
			continue
		}
		walls++
		stripes += bits.OnesCount64(fed)
		w.Wall(parent, child)
		w.Run(2 * time.Second)
		changes, all, returned := w.flaps(child, fed, 10*time.Second)
		most, most20, returns = max(most, changes), max(most20, all), returns+returned
		for _, b := range child.Status().Streams[0].Stripes {
			if b.Wanted && b.Parent == parent.id {
				back++
			}
		}
		w.Unwall(parent, child)
		w.Run(3 * time.Second)
	}
	f := missed(w, settled)
	f.other = fmt.Sprintf("%d walls, %d stripes; in the 10 s from 2 s on one changed its parent ≤ %d times, all stripes of a child ≤ %d, back to a former one %d", walls, stripes, most, most20, returns)
	f.unseen(w)
	f.repaired()
	f.want(walls > 0, "nobody was walled off: no test")
	f.want(returns == 0, "%d stripes went back to a parent that they had left", returns)
	f.want(most <= 2, "a stripe that was repaired changed its parent %d times more", most)
	f.want(back == 0, "%d stripes are fed by the parent that cannot reach its child", back)
	return f
}

// runPartition cuts two in five off from the source.
func runPartition(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	var far []*Node
	w.Partition(func(n *Node) bool {
		if n == w.source.Node || n.index%5 >= 2 {
			return false
		}
		far = append(far, n)
		return true
	})
	w.Run(30 * time.Second)
	w.Join()
	healed, live := w.Now(), map[*Node]time.Duration{}
	for w.Now() < healed+10*time.Second {
		w.Run(20 * time.Millisecond)
		for _, n := range far {
			p := n.player
			if p == nil || live[n] > 0 || p.last <= healed || p.lag > w.Delay+2*w.BlockTime {
				continue
			}
			live[n] = p.last - healed
		}
	}
	f := missed(w, settled, far...)
	worst, stuck := time.Duration(0), 0
	for _, n := range far {
		if n.player != nil {
			worst = max(worst, live[n])
			if live[n] == 0 {
				stuck++
			}
		}
	}
	after := w.Missed(healed + 3*time.Second)
	f.other = fmt.Sprintf("%d of %d cut off; live ≤ %v after healing, never %d; from 3 s after on %d blocks skipped", len(far), len(w.nodes), ms(worst), stuck, after.Skipped)
	f.unseen(w)
	f.want(worst <= 3*time.Second && stuck == 0, "the far side is live after %v, %d viewers never", ms(worst), stuck)
	f.want(after.Skipped == 0, "%d blocks skipped from 3 s after healing on", after.Skipped)
	return f
}

// runLossOneWay loses a tenth of all packets from relays to others, and between
// relays from the elder to the younger, and then those of the other way.
func runLossOneWay(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	relays := w.all("relay")
	skipped := [2]int{}
	for phase := range 2 {
		from := w.Now()
		for _, r := range relays {
			for _, o := range w.nodes {
				relay := o != w.source.Node && o.player == nil
				if o == r || relay && o.index < r.index {
					continue
				}
				lossy, clean := r, o
				if phase == 1 {
					lossy, clean = o, r
				}
				w.SetWay(lossy, clean, Conditions{Loss: 0.1})
				w.SetWay(clean, lossy, Conditions{})
			}
		}
		w.Run(20 * time.Second)
		skipped[phase] = w.Missed(from).Skipped
	}
	f := missed(w, settled)
	f.other = fmt.Sprintf("from relays %d skipped, towards relays %d", skipped[0], skipped[1])
	f.unseen(w)
	return f
}

// runSlowChild gives a viewer that does not share a fifth of the stream's rate.
func runSlowChild(_ *testing.T, seed uint64) figures {
	const line = 1 * mbit
	w := everyday(seed)
	var child *Node
	for child == nil || child.cfg.Upload > 0 {
		child = w.pick("viewer")
	}
	at := w.Now()
	before := w.pace(at-5*time.Second, at)
	queued := make([]int, len(w.nodes))
	for i, n := range w.nodes {
		queued[i] = n.QueueMax()
	}
	w.SetLink(child, 0, line)
	w.Run(10 * time.Second)
	got := child.Status().Streams[0].Counters.Shards
	w.Run(20 * time.Second)
	got = child.Status().Streams[0].Counters.Shards - got
	delayed := w.slower(before, w.pace(at, w.Now()), child)
	later := delayed - drift(seed, 0, w.Now()-at)[0]
	more := 0
	for i, n := range w.nodes {
		if i < len(queued) {
			more = max(more, n.QueueMax()-queued[i])
		}
	}
	share := float64(got) / 20 / 10 / float64(w.Layout.N())
	st := child.Status().Streams[0]
	parents := 0
	for _, b := range st.Stripes {
		if !b.Parent.IsZero() {
			parents++
		}
	}
	// Of the line, what carries shards of n for k of the stream, with everything around them.
	could := line / (w.Rate * float64(w.Layout.N()) / float64(w.Layout.K) * wireShare)
	f := missed(w, at, child)
	f.other = fmt.Sprintf("got %.0f %% of the shards, the line could carry %.0f %%; %d parents, %d live; others' blocks +≤ %v, %v more than without; a queue +≤ %d kB",
		100*share, 100*could, parents, st.Live, ms(delayed), ms(later), more>>10)
	f.unseen(w)
	f.want(share >= 0.5*could, "it gets %.0f %% of the shards, the line could carry %.0f %%", 100*share, 100*could)
	f.want(later <= 10*time.Millisecond, "others' blocks come %v later than without it", ms(later))
	f.want(more <= 2<<20, "a queue grew by %d bytes", more)
	return f
}
