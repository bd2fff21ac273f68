package sim

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Cause is why a shard was not there when its block should have played.
type Cause uint8

const (
	// Unknown: nothing explains it. This is an accusation.
	Unknown Cause = iota
	// NoParent: nobody fed the stripe.
	NoParent
	// Dead: the parent, or one above it, was dead.
	Dead
	// Stopped: the viewer, its parent or one above was stopped, or had no processor.
	Stopped
	// Cut: a wall, a clog or a partition was in the way.
	Cut
	// Lost: the network lost it, or brought it too late.
	Lost
	// Queue: it was dropped in a queue, a parent's or the network's.
	Queue
	// Late: it came, too late.
	Late
	// Moving: the stripe was changing its parent.
	Moving
	// NotSent: the parent had it and did not send it.
	NotSent

	causes
)

// String is the cause in a word or two.
func (c Cause) String() string {
	return [...]string{"unknown", "no parent", "dead", "stopped", "cut", "lost", "queue", "late", "moving", "not sent"}[c]
}

// ledgerBlocks is how many blocks back the fates of shards are known, by number.
const ledgerBlocks = 256

// ledger is what became of the shards that a node should have got.
type ledger struct {
	entries []entry
	feeders []feeder // by stripe
}

// entry is one block, one bit a shard.
type entry struct {
	id    blockID
	used  bool
	check bool   // a signature was checked
	here  uint64 // came
	late  uint64 // came when the block had been passed
	sent  uint64 // somebody sent it
	marks [3]uint64
	kth   time.Duration // when the k-th came
}

// The causes that are seen when they happen.
var marked = [3]Cause{Cut, Lost, Queue}

// feeder is who feeds a stripe, as far as its shards tell.
type feeder struct {
	now, before *Node
	since       time.Duration
}

// stop is a time in which a node could not do its work.
type stop struct {
	from, to time.Duration // to is 0 while it lasts
	cause    Cause
}

func (n *Node) endStop(cause Cause) {
	for i := range n.stops {
		if s := &n.stops[i]; s.cause == cause && s.to == 0 {
			s.to = max(n.w.t, s.from+1)
		}
	}
}

// stoppedIn is why a node could not work at some time of a span.
func (n *Node) stoppedIn(from, to time.Duration) (Cause, bool) {
	for _, s := range n.stops {
		if s.from <= to && (s.to == 0 || s.to >= from) {
			return s.cause, true
		}
	}
	return Unknown, false
}

func (l *ledger) init(n int) {
	l.entries = make([]entry, ledgerBlocks)
	l.feeders = make([]feeder, n)
}

// entry finds or makes a block's; nil if a newer one has its place.
func (l *ledger) entry(epoch uint32, number uint64) *entry {
	e, id := &l.entries[number%ledgerBlocks], blockID{epoch, number}
	switch {
	case e.used && e.id == id:
	case e.used && (e.id.epoch > epoch || e.id.epoch == epoch && e.id.number > number):
		return nil
	default:
		*e = entry{id: id, used: true}
	}
	return e
}

// came notes a shard that was received, from a parent or because it was asked for.
func (l *ledger) came(n, from *Node, s *stripe.Shard, asked bool) {
	if f := &l.feeders[s.Index]; f.now != from && !asked {
		f.before, f.now, f.since = f.now, from, n.w.t
	}
	e := l.entry(s.Epoch, s.Number)
	if e == nil {
		return
	}
	bit := uint64(1) << s.Index
	if e.here&bit != 0 {
		return
	}
	e.here |= bit
	if p := n.player; p != nil && p.started && p.epoch == s.Epoch && s.Number < p.next {
		e.late |= bit
		return
	}
	if bits.OnesCount64(e.here) == s.Layout.K {
		e.kth = n.w.t
	}
}

// mark notes what kept a shard away.
func (l *ledger) mark(s *stripe.Shard, why Cause) {
	if l.entries == nil {
		return
	}
	for i, c := range marked {
		if e := l.entry(s.Epoch, s.Number); c == why && e != nil {
			e.marks[i] |= 1 << s.Index
		}
	}
}

// signed counts what is spent on signatures, beyond one a block.
func (n *Node) signed(s *stripe.Shard) {
	if e := n.ledger.entry(s.Epoch, s.Number); e != nil {
		if e.check {
			n.Figures.Again++
		}
		e.check = true
	}
}

// sentTo notes that somebody sent a node a shard.
func (l *ledger) sentTo(s *stripe.Shard) {
	if e := l.entry(s.Epoch, s.Number); e != nil {
		e.sent |= 1 << s.Index
	}
}

// Fate is what became of a block that a viewer skipped.
type Fate struct {
	Viewer *Node
	Epoch  uint32
	Number uint64
	At     time.Duration // of the skip
	Came   int           // shards in time
	Short  [causes]int   // missing shards by cause
	Above  int           // of them, those that the parent had not either
}

// Cause is the most frequent of the causes.
func (f *Fate) Cause() (most Cause) {
	for c := range causes {
		if f.Short[c] > f.Short[most] {
			most = c
		}
	}
	return most
}

// String is the fate for people.
func (f *Fate) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s skipped %d.%d with %d shards;", f.At, f.Viewer.Name, f.Epoch, f.Number, f.Came)
	for c, count := range f.Short {
		if count > 0 {
			fmt.Fprintf(&b, " %v %d", Cause(c), count)
		}
	}
	fmt.Fprintf(&b, " (%d above)", f.Above)
	return b.String()
}

// explain says why a viewer skipped a block.
func (w *World) explain(n *Node, s *skip, number uint64) Fate {
	f := Fate{Viewer: n, Epoch: s.epoch, Number: number, At: s.at}
	m := w.source.truth[blockID{s.epoch, number}]
	if m == nil {
		f.Short[Unknown]++
		return f
	}
	e := n.ledger.at(m.id)
	in := e.here &^ e.late
	f.Came = bits.OnesCount64(in)
	if cause, stopped := n.stoppedIn(m.at, s.at); stopped {
		f.Short[cause] = max(1, w.Layout.N()-f.Came)
		return f
	}
	if slack := 2*w.WorkTime + 5*time.Millisecond; f.Came >= w.Layout.K && e.kth+slack < s.at {
		f.Short[Unknown] = w.Layout.N() // all was there
		return f
	}
	for i := range w.Layout.N() {
		if in>>i&1 == 0 {
			cause, above := w.missing(n, m, s, i, 0)
			f.Short[cause]++
			if above {
				f.Above++
			}
		}
	}
	if f.Came >= w.Layout.K {
		f.Short[Late]++ // the k-th
	}
	return f
}

func (l *ledger) at(id blockID) entry {
	if e := l.entries[id.number%ledgerBlocks]; e.used && e.id == id {
		return e
	}
	return entry{}
}

// missing says why a node lacked a shard at the time of a skip, and whether its
// parent lacked it too.
func (w *World) missing(n *Node, m *made, s *skip, i, depth int) (why Cause, above bool) {
	e, bit := n.ledger.at(m.id), uint64(1)<<i
	for j, c := range marked {
		if e.marks[j]&bit != 0 {
			return c, false
		}
	}
	if e.here&bit != 0 {
		return Late, false
	}
	f := n.ledger.feeders[i]
	p := f.now
	if p != nil && m.at < f.since && f.before != nil {
		p = f.before
	}
	if p == nil || p == n || depth > 8 {
		return NoParent, depth > 0
	}
	if cause, stopped := p.stoppedIn(m.at-w.BlockTime, s.at); stopped {
		return cause, false
	}
	if e.sent&bit != 0 {
		return Late, false
	}
	if p != w.source.Node {
		had := p.ledger.at(m.id)
		if had.here&bit == 0 && !(p.player != nil && bits.OnesCount64(had.here) >= w.Layout.K) {
			why, _ := w.missing(p, m, s, i, depth+1)
			return why, true
		}
	}
	switch {
	case depth == 0 && s.orphans&bit != 0:
		return NoParent, false
	case p != f.now || f.since > m.at-2*w.BlockTime && f.since < s.at:
		return Moving, false
	}
	return NotSent, false
}

// orphans are the stripes without a living parent, one bit each.
func (n *Node) orphans() (set uint64) {
	for _, st := range n.Status().Streams {
		for _, b := range st.Stripes {
			if p := n.w.byID[b.Parent]; b.Wanted && (p == nil || !p.alive) {
				set |= 1 << b.Stripe
			}
		}
	}
	return set
}
