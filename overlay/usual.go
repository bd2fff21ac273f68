package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Where packets are lost a shard comes late by the time that it takes to send it
// again, one time or several, and so does what waits behind it. That is no fault of
// the parent's, and another would be no better: so who is slow is told by how slow
// the others are. Only where most stripes are alike late it is usual.

// habit is how long after the first stripe blocks come on another, or how long nothing
// came on it before if that is more, as it is where some never come; and by how much
// that varies, as of a round trip (RFC 6298).
type habit struct {
	known     bool
	mean, dev time.Duration
}

// add takes a block's.
func (h *habit) add(lag time.Duration) {
	if !h.known {
		*h = habit{true, lag, lag / 2}
		return
	}
	off := lag - h.mean
	h.dev += (max(off, -off) - h.dev) / devParts
	h.mean += off / lagParts
}

// most is when nearly all blocks have come.
func (h *habit) most() time.Duration { return h.mean + 4*h.dev }

// usually is how late nearly all blocks come on each of k of n stripes, as far as that
// excuses anybody: the m others may be dead, and have no say.
func (f *Forest) usually() time.Duration {
	var buf [stripe.MaxShards]time.Duration
	all := buf[:0]
	for _, b := range f.branches {
		if b.habit.known && !b.parent.IsZero() {
			all = append(all, b.habit.most())
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	l := f.cfg.Info.Layout
	return min(all[(len(all)*l.K-1)/l.N()], usualMost, f.cfg.Back/2)
}

// standsStill reports whether at that time nothing will have come on any stripe for
// so long that it is our own line, or the source: if nothing comes till then.
func (f *Forest) standsStill(at time.Time) bool {
	return !f.heard.IsZero() && at.Sub(f.heard) > 3*f.cfg.Info.BlockTime/2
}

// excuse takes that time from all silences when something comes again: what was sent
// then may be lost on all stripes alike. It does so once in each silence: there are
// sources that make several blocks at a time, and then none for a while.
func (f *Forest) excuse(now time.Time) {
	if !f.standsStill(now) {
		return
	}
	for _, b := range f.branches {
		if !b.late.IsZero() && !b.excused {
			b.late, b.excused = b.late.Add(now.Sub(f.heard)), true
		}
	}
}
