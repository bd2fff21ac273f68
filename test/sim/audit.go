package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// maxAccusations is how many are kept. More are only counted.
const maxAccusations = 20

// audit knows the truth of a world and looks at it every second.
type audit struct {
	accusations []string
	accused     int
	loops       int // stripes of nodes that had a loop above them at a look
	looped      map[[2]int]time.Duration
	over        int // looks at which a node had more children than slots
	crowded     int // looks at which somebody stood in more than m stripes of a viewer
	deepest     int // ever
	depth       int // at the last look
	starving    int // looks at which a viewer had fewer than k live stripes, 5 s after joining
	blind       int // first plays that were no random access block
	kinds       [10]int
	orphans     int // looks × wanted stripes without a parent
	repairs     []mended
	fates       fates
	stands      []int // scratch of ancestors
	above       []*Node
}

// repair is a stripe whose parent is gone.
type repair struct {
	stripe int
	from   *Node
	since  time.Duration
}

// mended is one that has another parent.
type mended struct{ at, took time.Duration }

// fates of skipped blocks.
type fates struct {
	blocks [causes]int // by the most frequent cause
	shards [causes]int // missing ones
	above  int         // of them, those that the parent did not have either
	some   []Fate      // the first maxAccusations
}

func (a *audit) accuse(w *World, format string, args ...any) {
	if a.accused++; len(a.accusations) < maxAccusations {
		a.accusations = append(a.accusations, fmt.Sprintf("%v: ", w.t)+fmt.Sprintf(format, args...))
	}
}

// hungUp accuses, for nobody here misbehaves; only a full house is no offence.
func (a *audit) hungUp(w *World, n *Node, o relay.Hangup) {
	if o.Reason == "too many peers" {
		return
	}
	a.accuse(w, "%s hung up on %s: %s", n.Name, w.byID[o.Peer].Name, o.Reason)
}

// message counts a message by its kind, which is its first byte.
func (a *audit) message(b []byte) { a.kinds[min(int(b[0]), len(a.kinds)-1)]++ }

func (a *audit) sent(n, to *Node, s *stripe.Shard) {
	to.ledger.sentTo(s)
	if src := n.w.source; src.Node == n {
		if m := n.w.made(&s.Header); m != nil {
			m.sent++
			m.sentBytes += len(s.Encoded())
		}
	}
}

// fault notes whose parents some nodes were, who are gone or stopped now.
func (a *audit) fault(w *World, stopped bool, dead ...*Node) {
	gone := map[*Node]bool{}
	for _, n := range dead {
		gone[n] = true
	}
	for _, n := range w.nodes {
		if !gone[n] && n.alive && !n.paused {
			a.noteOrphans(w, n, func(parent *Node) bool { return gone[parent] && parent.alive })
		}
	}
	if stopped {
		return
	}
	for _, n := range dead {
		n.repairs = nil
	}
}

// cut notes that nothing gets from a to b any more.
func (a *audit) cut(w *World, from, to *Node) {
	if to.alive && !to.paused {
		a.noteOrphans(w, to, func(parent *Node) bool { return parent == from })
	}
}

// parted notes who, on the source's side of a partition, lost a parent.
func (a *audit) parted(w *World) {
	for _, n := range w.nodes {
		if n.alive && !n.paused && n.group == w.source.group {
			a.noteOrphans(w, n, func(parent *Node) bool { return parent.group != n.group })
		}
	}
}

func (a *audit) noteOrphans(w *World, n *Node, lost func(parent *Node) bool) {
	for _, st := range n.Status().Streams {
		for _, b := range st.Stripes {
			if p := w.byID[b.Parent]; b.Wanted && p != nil && lost(p) {
				n.repairs = append(n.repairs, repair{b.Stripe, p, w.t})
			}
		}
	}
}

// repaired says that a shard came, maybe from the new parent of a stripe. If it
// is from the old one there was nothing to repair after all.
func (n *Node) repaired(from *Node, s int) {
	if len(n.repairs) == 0 {
		return
	}
	w := n.w
	n.repairs = slices.DeleteFunc(n.repairs, func(r repair) bool {
		if r.stripe != s || !from.alive || from.leaving || from == r.from && w.t-r.since < time.Second/5 {
			return false // the last ones of the old parent may be on their way
		}
		if from != r.from {
			w.audit.repairs = append(w.audit.repairs, mended{w.t, w.t - r.since})
		}
		return true
	})
}

// look takes stock.
func (a *audit) look(w *World) {
	if a.looped == nil {
		a.looped = map[[2]int]time.Duration{}
	}
	status := make([]*relay.StreamStatus, len(w.nodes))
	for i, n := range w.nodes {
		if n.alive && !n.paused {
			if st := n.Status(); len(st.Streams) > 0 {
				status[i] = &st.Streams[0]
			}
		}
	}
	a.depth = 0
	for i, st := range status {
		if st == nil || st.Source {
			continue
		}
		n := w.nodes[i]
		if st.Children > st.Slots {
			a.over++
		}
		if n.cfg.Play && st.Live < w.Layout.K && w.t-n.Figures.Joined > 5*time.Second {
			a.starving++
		}
		a.repairsOf(n, st)
		if p := n.player; p != nil {
			a.explain(w, p, 3*time.Second)
		}
		a.ancestors(w, n, st, status)
	}
}

// repairsOf forgets repairs that are not wanted any more.
func (a *audit) repairsOf(n *Node, st *relay.StreamStatus) {
	n.repairs = slices.DeleteFunc(n.repairs, func(r repair) bool { return !st.Stripes[r.stripe].Wanted })
}

// explain finds out why a viewer skipped what it skipped some time ago: by then
// it is known what came late.
func (a *audit) explain(w *World, p *player, ago time.Duration) {
	for ; p.told < len(p.skips) && w.t-p.skips[p.told].at >= ago; p.told++ {
		s := &p.skips[p.told]
		for number := s.from; number <= s.to; number++ {
			f := w.explain(p.n, s, number)
			if s.early {
				continue // a newcomer begins where it likes
			}
			cause := f.Cause()
			a.fates.blocks[cause]++
			for c, n := range f.Short {
				a.fates.shards[c] += n
			}
			a.fates.above += f.Above
			if len(a.fates.some) < maxAccusations {
				a.fates.some = append(a.fates.some, f)
			}
			if cause == Unknown {
				a.accuse(w, "nothing explains it: %v", &f)
			}
		}
	}
}

// ancestors follows the parents of every stripe of a node.
func (a *audit) ancestors(w *World, n *Node, st *relay.StreamStatus, status []*relay.StreamStatus) {
	for len(a.stands) < len(w.nodes) {
		a.stands = append(a.stands, 0)
	}
	clear(a.stands)
	for s, branch := range st.Stripes {
		if !branch.Wanted {
			continue
		}
		if branch.Parent.IsZero() {
			a.orphans++
		}
		above, loop := w.above(n, s, status)
		a.loop(w, n, s, loop)
		if loop {
			continue
		}
		a.depth, a.deepest = max(a.depth, len(above)), max(a.deepest, len(above))
		for _, at := range above {
			if at != w.source.Node {
				a.stands[at.index]++
			}
		}
	}
	if n.cfg.Play && slices.Max(a.stands) > max(1, w.Layout.M) {
		a.crowded++
	}
}

// above is a node's ancestors in a stripe, nearest first, as far as they have
// parents; loop reports that they have no end. The slice is valid until the next
// call.
func (w *World) above(n *Node, s int, status []*relay.StreamStatus) (above []*Node, loop bool) {
	above = w.audit.above[:0]
	defer func() { w.audit.above = above }()
	for at := n; ; {
		cur := status[at.index]
		if cur == nil || cur.Source || s >= len(cur.Stripes) || cur.Stripes[s].Parent.IsZero() {
			return above, false
		}
		at = w.byID[cur.Stripes[s].Parent]
		if at == n || len(above) > len(w.nodes) {
			return above, true
		}
		above = append(above, at)
	}
}

// loop counts loops, and accuses if one lasts from one look to the next but one.
func (a *audit) loop(w *World, n *Node, s int, on bool) {
	key := [2]int{n.index, s}
	since, was := a.looped[key]
	switch {
	case !on:
		delete(a.looped, key)
	case !was:
		a.loops++
		a.looped[key] = w.t
	case w.t-since == 2*time.Second:
		a.accuse(w, "%s has had a loop in stripe %d for two seconds", n.Name, s)
	}
}

// Accusations is what must never happen and did.
func (w *World) Accusations() []string { return w.audit.accusations }

// Summary is what a run came to.
type Summary struct {
	Viewers    int
	Played     uint64
	Skipped    uint64
	Early      uint64 // skipped in the first two seconds of playing
	Behind     int    // viewers whose last block is older than delay and a second
	Silent     int    // viewers that never played
	Still      time.Duration
	Lag        time.Duration // from publishing to play, at the end, at the most
	Starving   int
	Orphans    int
	Deepest    int
	Depth      int // at the end
	Loops      int
	Over       int
	Crowded    int
	Blind      int
	Egress     float64 // shards of a block that the source sent, after the settling time
	EgressMax  int
	Repairs    []time.Duration // sorted
	Unrepaired int
	Messages   float64 // control messages a participant and second
	Bytes      float64
	Spins      int
	Hangups    int
	Join       []time.Duration // from joining to the first random access block; sorted
	FirstPlay  []time.Duration
	Kinds      [10]int
	Causes     [causes]int // blocks skipped, by why
	Short      [causes]int // shards that they lacked, by why
	Above      int         // of them, those that the parent lacked too
	Fates      []Fate      // the first of them
	Traffic    Traffic
}

// Sum adds up the run, the source's upload from block settle on.
func (w *World) Sum(settle time.Duration) Summary {
	a := &w.audit
	s := Summary{
		Starving: a.starving, Orphans: a.orphans, Deepest: a.deepest, Depth: a.depth, Loops: a.loops, Over: a.over,
		Crowded: a.crowded, Blind: a.blind, Repairs: w.Repairs(0), Kinds: a.kinds, Traffic: w.Traffic(),
		Unrepaired: w.Unrepaired(3 * time.Second),
	}
	var lived time.Duration
	for _, n := range w.nodes {
		s.Messages += float64(n.Figures.Messages)
		s.Bytes += float64(n.Figures.MessageBytes)
		s.Spins += n.Figures.Spins
		s.Hangups += n.Figures.Hangups
		end := w.t
		if !n.alive {
			end = n.since
		}
		lived += end - n.Figures.Joined
		if n.player != nil {
			a.explain(w, n.player, 0)
			w.sumViewer(&s, n)
		}
	}
	s.Causes, s.Short, s.Above, s.Fates = a.fates.blocks, a.fates.shards, a.fates.above, a.fates.some
	s.Messages /= lived.Seconds()
	s.Bytes /= lived.Seconds()
	slices.Sort(s.Join)
	slices.Sort(s.FirstPlay)
	e := w.Egress(settle, w.t)
	s.Egress, s.EgressMax = e.Shards, e.Max
	return s
}

func (w *World) sumViewer(s *Summary, n *Node) {
	s.Viewers++
	p := n.player
	if p.started {
		stats := p.buffer.Stats()
		s.Played += stats.Played
		s.Skipped += stats.Skipped - p.early
		s.Early += p.early
		s.Still = max(s.Still, p.still)
		s.Lag = max(s.Lag, p.lag)
		s.FirstPlay = append(s.FirstPlay, n.Figures.FirstPlay-n.Figures.Joined)
	}
	if n.Figures.FirstAccess > 0 {
		s.Join = append(s.Join, n.Figures.FirstAccess-n.Figures.Joined)
	}
	if !n.alive {
		return
	}
	switch {
	case !p.started:
		s.Silent++
	case w.behind(n):
		s.Behind++
	}
}

// Quantile is the q-th of sorted durations, 0 of none.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// String is the summary for people.
func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "viewers %d: played %d, skipped %d (and %d at the start), behind %d, silent %d, still ≤ %v, lag ≤ %v, starving %d, blind %d\n",
		s.Viewers, s.Played, s.Skipped, s.Early, s.Behind, s.Silent, s.Still, s.Lag, s.Starving, s.Blind)
	fmt.Fprintf(&b, "source: %.1f shards a block, ≤ %d; depth ≤ %d (at the end %d), loops %d, over slots %d, crowded %d, orphans %d\n",
		s.Egress, s.EgressMax, s.Deepest, s.Depth, s.Loops, s.Over, s.Crowded, s.Orphans)
	fmt.Fprintf(&b, "repairs %d: p50 %v, p99 %v, max %v, never %d\n", len(s.Repairs),
		Quantile(s.Repairs, 0.5), Quantile(s.Repairs, 0.99), Quantile(s.Repairs, 1), s.Unrepaired)
	fmt.Fprintf(&b, "join to random access: p50 %v, max %v; to first play: p50 %v, max %v\n",
		Quantile(s.Join, 0.5), Quantile(s.Join, 1), Quantile(s.FirstPlay, 0.5), Quantile(s.FirstPlay, 1))
	fmt.Fprintf(&b, "control: %.2f messages and %.0f bytes a second and participant; spins %d, hangups %d; kinds %v; %.2f %% of the shards' bytes",
		s.Messages, s.Bytes, s.Spins, s.Hangups, s.Kinds[1:], 100*s.Traffic.Control())
	for c, blocks := range s.Causes {
		if blocks > 0 || s.Short[c] > 0 {
			fmt.Fprintf(&b, "\n%v: %d blocks were skipped for it, that lacked %d shards", Cause(c), blocks, s.Short[c])
		}
	}
	for i := range s.Fates {
		if i < 5 {
			fmt.Fprintf(&b, "\n%v", &s.Fates[i])
		}
	}
	return b.String()
}
