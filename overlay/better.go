package overlay

import (
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// tidy looks for a relay in stripes that the source feeds us only because there was nobody
// else, and in home stripes where it feeds more relays than it should; and for another where
// somebody has come to stand in more than m of our stripes.
func (f *Forest) tidy(now time.Time) {
	source := f.root()
	for _, b := range f.branches {
		if !b.wanted || b.parent.IsZero() || b.search != nil || f.ended {
			continue
		}
		if b.parent != source && (b.home || f.keepsRule(b, b.path) || f.rnd.IntN(ruleEvery) > 0) {
			continue // who would do is known only from an Accept: they are not asked all the time
		}
		if now.Sub(b.begun) < f.cfg.Back+stillMin {
			continue // the past is still coming, and only from there
		}
		if b.home && (f.cover[b.stripe].Roots < b.quota || f.rnd.IntN(3) > 0) {
			continue
		}
		b.search = &search{replace: true, tidy: true, next: now}
	}
}

// keepsRule reports whether nobody on a path of a stripe stands in m others of ours already.
func (f *Forest) keepsRule(b *branch, path []membership.ShortID) bool {
	source := f.root().Short()
	return !slices.ContainsFunc(path, func(id membership.ShortID) bool { return id != source && f.standsIn(id, b) >= f.most() })
}

// seekBetter looks for a parent nearer to the source in one stripe at a time: now and
// then for one nearer by a hop at least, so that two never change places for ever, and
// every other time, by chance, for one nearer by farHops in a home stripe.
func (f *Forest) seekBetter(now time.Time) {
	if f.ended || f.seekRoot(now) {
		return
	}
	least := 1
	if !now.Before(f.betterAt) {
		f.betterAt = now.Add(betterEvery + time.Duration(f.rnd.Int64N(int64(betterEvery))))
	} else if least = farHops; !f.low() || f.rnd.IntN(2) == 0 {
		return // not all who see the same at the same time
	}
	of := f.improvable(now, least)
	if len(of) == 0 {
		return
	}
	of[f.rnd.IntN(len(of))].rise(now)
}

// rise begins to look for a parent nearer to the source, first of all among some.
func (b *branch) rise(now time.Time, first ...membership.NodeID) {
	b.search = &search{replace: true, tidy: true, above: len(b.path), next: now, queue: first}
}

// low reports whether a home stripe of ours is fed from so far down that one may be farHops nearer.
func (f *Forest) low() bool {
	return slices.ContainsFunc(f.branches, func(b *branch) bool { return b.home && len(b.path) > 1+farHops })
}

// improvable are stripes in which somebody is known who would be nearer to the source, by
// so many hops at least, than our parent: one home stripe, for it lifts all below us, or
// any that there are if one hop is enough.
func (f *Forest) improvable(now time.Time, least int) (of []*branch) {
	var gain uint64
	for _, e := range f.book.All() {
		c, ok := f.carries(now, e)
		if !ok || e.Doubted || c.Source || c.Depth == 0 || f.lacks(now, e) {
			continue
		}
		for homes := c.Homes; homes != 0; homes &= homes - 1 {
			s := bits.TrailingZeros64(homes)
			if s >= len(f.branches) {
				break
			}
			b := f.branches[s]
			if c.Depth+least < len(b.path) && (b.home || c.Free > 0 && least == 1) && f.settled(now, b) {
				gain |= 1 << s
			}
		}
	}
	for _, b := range f.branches {
		switch {
		case gain>>b.stripe&1 == 0:
		case b.home:
			of = []*branch{b}
		case len(of) == 0 || !of[0].home:
			of = append(of, b)
		}
	}
	return of
}

// lift looks for a parent nearer to the source in a home stripe, if it is fed from too far
// down for one that feeds others. Nobody need be known who is nearer.
func (f *Forest) lift(now time.Time, b *branch) {
	if b.home && len(b.path) > 2 && !f.ended && !f.leaving && f.settled(now, b) {
		b.rise(now)
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
		if b.home && f.cover[b.stripe].Roots < b.quota && f.settled(now, b) {
			b.rise(now, f.root())
			return true
		}
	}
	return false
}
