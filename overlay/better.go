package overlay

import (
	"math/bits"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// tidy looks for a relay in stripes that the source feeds us only because there
// was nobody else, and in home stripes where it feeds more relays than it should.
func (f *Forest) tidy(now time.Time) {
	source := membership.NodeID(f.cfg.Info.Root)
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
// ever. In a home stripe of which the source feeds too few, that is the source.
func (f *Forest) seekBetter(now time.Time) {
	if now.Before(f.betterAt) || f.ended {
		return
	}
	f.betterAt = now.Add(betterEvery + time.Duration(f.rnd.Int64N(int64(betterEvery))))
	source := membership.NodeID(f.cfg.Info.Root)
	settled := func(b *branch) bool {
		return b.wanted && b.search == nil && !b.parent.IsZero() && b.parent != source && b.late.IsZero() &&
			now.Sub(b.begun) >= f.cfg.Back+stillMin
	}
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
			if c.Depth+1 < len(b.path) && (c.Free > 0 || b.home) && settled(b) {
				gain |= 1 << s
			}
		}
	}
	var of []*branch
	for _, b := range f.branches {
		headless := b.home && f.cover[b.stripe].roots < b.quota && settled(b)
		if headless {
			b.search = &search{replace: true, tidy: true, above: len(b.path), next: now, queue: []membership.NodeID{source}}
			return
		}
		if gain>>b.stripe&1 == 1 {
			of = append(of, b)
		}
	}
	if len(of) > 0 {
		b := of[f.rnd.IntN(len(of))]
		b.search = &search{replace: true, tidy: true, above: len(b.path), next: now}
	}
}
