package overlay

import (
	"math/bits"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// tidy looks for a relay in stripes that the source feeds us only because there
// was nobody else, and in home stripes where it feeds more relays than it should.
func (f *Forest) tidy(now time.Time) {
	source := f.root()
	for _, b := range f.branches {
		if !b.wanted || b.parent != source || b.search != nil || f.ended {
			continue
		}
		if now.Sub(b.begun) < f.cfg.Back+stillMin {
			continue // the past is still coming, and only from there
		}
		if b.home && (f.cover[b.stripe].roots < b.quota || f.rnd.IntN(3) > 0) {
			continue
		}
		b.search = &search{replace: true, tidy: true, next: now}
	}
}

// seekBetter looks, now and then and in one stripe at a time, for a parent nearer
// to the source: nearer by a hop at least, so that two never change places for
// ever.
func (f *Forest) seekBetter(now time.Time) {
	if f.ended || f.seekRoot(now) || now.Before(f.betterAt) {
		return
	}
	f.betterAt = now.Add(betterEvery + time.Duration(f.rnd.Int64N(int64(betterEvery))))
	var gain uint64 // stripes in which somebody nearer is known
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || e.Doubted || c.Source {
			continue
		}
		for homes := c.Homes; homes != 0; homes &= homes - 1 {
			s := bits.TrailingZeros64(homes)
			if s >= len(f.branches) {
				break
			}
			b := f.branches[s]
			if c.Depth+1 < len(b.path) && (c.Free > 0 || b.home) && f.settled(now, b) {
				gain |= 1 << s
			}
		}
	}
	var of []*branch
	for _, b := range f.branches {
		switch {
		case gain>>b.stripe&1 == 0:
		case b.home: // it lifts all below us
			of = []*branch{b}
		case len(of) == 0 || !of[0].home:
			of = append(of, b)
		}
	}
	if len(of) > 0 {
		b := of[f.rnd.IntN(len(of))]
		b.search = &search{replace: true, tidy: true, above: len(b.path), next: now}
	}
}

// settled reports whether a stripe is fed by a relay, and has been for a while.
func (f *Forest) settled(now time.Time, b *branch) bool {
	return b.wanted && b.search == nil && !b.parent.IsZero() && b.parent != f.root() &&
		b.late.IsZero() && now.Sub(b.begun) >= f.cfg.Back+stillMin
}

// seekRoot asks the source in a home stripe of which it is known to feed too few.
func (f *Forest) seekRoot(now time.Time) bool {
	for _, b := range f.branches {
		if b.home && f.cover[b.stripe].roots < b.quota && f.settled(now, b) {
			b.search = &search{
				replace: true, tidy: true, above: len(b.path), next: now,
				queue: []membership.NodeID{f.root()},
			}
			return true
		}
	}
	return false
}
