package overlay

import (
	"cmp"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// When many die at once, those who could feed their children are full of dead ones,
// or look for a parent themselves: they must refuse, and could say yes a moment
// later. Asking again and again would find that out late. So who has to turn somebody
// away who is fed by nobody remembers it, and accepts after all as soon as it can; and
// who was refused takes that, while it has found no other.

// waiter is somebody in need who was turned away, for a reason that may pass.
type waiter struct {
	id       membership.NodeID
	ask      Subscribe
	interior bool // it feeds others, and showed it if there was time
	why      Reason
	until    time.Time
}

// compare says who is let in first: who feeds others, then who has the fewest stripes.
func (w waiter) compare(o waiter) int {
	if w.interior != o.interior {
		if w.interior {
			return -1
		}
		return 1
	}
	return cmp.Compare(w.ask.Live, o.ask.Live)
}

// await remembers somebody who was refused.
func (f *Forest) await(now time.Time, b *branch, from membership.NodeID, m *Subscribe, why Reason) {
	if m.Standby || !m.IfNewer && !m.LastResort || why != Full && why != NotReady && why != Nothing {
		return
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(w waiter) bool { return w.id == from || !now.Before(w.until) })
	b.waiting = append(b.waiting, waiter{from, *m, m.Interior && !f.feigns(now, from), why, now.Add(awaitTime)})
	slices.SortStableFunc(b.waiting, waiter.compare)
	b.waiting = b.waiting[:min(len(b.waiting), maxWaiting)]
}

// serveAll lets in who waits, if anything has changed: in all stripes first those who feed
// others, for they have room for more.
func (f *Forest) serveAll(now time.Time) {
	if !f.stirred {
		return
	}
	f.stirred = false
	for _, interior := range []bool{true, false} {
		for _, b := range f.branches {
			f.serve(now, b, func(w *waiter) bool { return w.interior == interior })
		}
	}
}

// serve lets in those of a stripe's waiters who are called. Somebody may be shown out only
// for one whose parent has fallen silent, not where slots are short for long.
func (f *Forest) serve(now time.Time, b *branch, called func(*waiter) bool) {
	for i := 0; i < len(b.waiting); i++ {
		w := &b.waiting[i]
		if now.Before(w.until) && f.peers[w.id] != nil {
			if !called(w) || !f.room() && !(w.ask.IfNewer && w.ask.Live < f.cfg.Info.Layout.K) {
				continue
			}
			if why, no := f.refusal(now, b, w.id, &w.ask); no {
				w.why = why
				continue
			}
			f.letIn(now, b, w.id, &w.ask)
		}
		b.waiting = slices.Delete(b.waiting, i, i+1)
		i--
	}
}

// served forgets one who waits for the stripe no more: it asked again and was let in, or
// has left.
func (b *branch) served(id membership.NodeID) {
	b.waiting = slices.DeleteFunc(b.waiting, func(w waiter) bool { return w.id == id })
}

// court notes who was asked.
func (b *branch) court(now time.Time, id membership.NodeID) {
	b.uncourt(now)
	b.courted = slices.DeleteFunc(b.courted, func(m memory) bool { return m.id == id })
	if len(b.courted) == maxCourted {
		b.courted = slices.Delete(b.courted, 0, 1)
	}
	b.courted = append(b.courted, memory{id, now.Add(courtTime)})
}

// uncourt forgets who was asked too long ago: what it sends is to its credit no more.
func (b *branch) uncourt(now time.Time) {
	b.courted = slices.DeleteFunc(b.courted, func(m memory) bool { return !now.Before(m.until) })
}

func (b *branch) courts(id membership.NodeID) bool {
	return slices.ContainsFunc(b.courted, func(m memory) bool { return m.id == id })
}

// welcome reports whether somebody's Accept is: it was asked in the search under way, or
// a moment before, nobody feeds us the stripe, and it has not failed us since.
func (f *Forest) welcome(now time.Time, b *branch, id membership.NodeID) bool {
	if s := b.search; s != nil && (s.find(id) != nil || !s.urgent()) {
		return s.find(id) != nil
	}
	bare := b.parent.IsZero() || !b.goBy.IsZero() || !b.late.IsZero() && !now.Before(f.silentAt(b))
	return bare && (!b.shunned(id, now) || id == f.root()) && recalls(b.courted, now, id)
}
