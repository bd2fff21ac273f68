package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// A source feeds Roots relays in every stripe. If its uplink is too short for
// that it feeds fewer: every data stripe once before any parity stripe, every
// stripe once before any twice. A stripe of which it feeds nobody is made by those
// who have it as a home stripe and hold k others: the block's signed root covers
// its shards too. So k slots are enough for the whole stream.

// quota is how many relays a source with that many slots feeds in stripe s. All in
// all it uploads no more for them than 1.05·Roots·n/k times the stream's rate, with
// proofs, headers and all, so that the last stripes of parity have one less.
func quota(slots int, info stripe.Info, s int) int {
	n := info.Layout.N()
	budget := 1.05 * Roots * float64(n) / float64(info.Layout.K) * float64(info.Rate)
	slots = min(slots, max(n, int(budget/info.SlotRate())))
	q := 0
	for round := range Roots {
		if slots > round*n+s {
			q++
		}
	}
	return q
}

// setQuotas takes stock of how many relays the source feeds in each stripe: our
// own slots tell if we are the source, else its record, and Roots until we have it.
func (f *Forest) setQuotas(now time.Time) {
	e, known := f.book.Get(f.root())
	var c membership.Carried
	if known {
		c, known = e.Carries(f.cfg.Info.Stream)
	}
	f.short = false
	for s, b := range f.branches {
		switch {
		case f.cfg.Source:
			b.quota = quota(f.cfg.Slots, f.cfg.Info, s)
		case known && c.Source && c.Homes != 0 && c.Epoch == f.cfg.Info.Epoch:
			b.quota = quota(e.Slots, f.cfg.Info, s)
			if !c.Home(s) {
				b.quota = 0
			}
		default:
			b.quota = quota(Roots*f.cfg.Info.Layout.N(), f.cfg.Info, s)
		}
		f.short = f.short || b.quota == 0
		switch {
		case !f.cfg.Source:
		case b.quota > 0:
			b.home = true
		case b.home:
			f.giveUpHome(now, b)
		}
	}
}

// holdsK reports whether we want k stripes besides our home stripes, so that we
// can make any shard.
func (f *Forest) holdsK() bool { return f.cfg.All || f.cfg.Room }

// decideMaking makes those home stripes ourselves of which the source feeds nobody.
func (f *Forest) decideMaking(now time.Time) {
	for _, b := range f.branches {
		ours := b.home && b.quota == 0 && f.holdsK()
		switch {
		case ours && !b.made:
			f.leaveParent(b)
			b.search, b.made, b.wanted = nil, true, false
			f.setPath(now, b, []membership.ShortID{f.root().Short()})
		case b.made && !ours:
			b.made = false
			f.reroute(b, nil)
			if f.wants(b) {
				f.begin(now, b)
			}
		}
	}
}

// Made says that we have a shard of a home stripe that nobody fed us, because we
// made it.
func (f *Forest) Made(s int, number uint64) { f.branches[s].hold(number) }

// hold notes that we have something as new as number for our children.
func (b *branch) hold(number uint64) {
	if !b.holds || number > b.newest {
		b.newest, b.holds = number, true
	}
}

// reserve is how many slots of a source newcomers that found no other parent do
// not get: they are for orphans.
func (f *Forest) reserve() int {
	return max(0, min(f.cfg.Slots/reservePart, f.cfg.Slots-Roots*f.cfg.Info.Layout.N()))
}

// rootless reports whether the source should take one more relay in a stripe: it
// feeds too few, or those whom it feeds say that nothing comes.
func (f *Forest) rootless(b *branch, m *Subscribe) bool {
	if m.IfNewer {
		return m.Interior && f.roots(b) <= b.quota
	}
	going := 0 // may come back
	for _, c := range b.children {
		if c.interior && !c.evict.IsZero() {
			going++
		}
	}
	return m.Interior && f.roots(b)+going < b.quota
}

// misses reports whether the source feeds too few relays in a stripe, and here comes
// one: without it those whom the source feeds cannot move to anybody.
func (f *Forest) misses(b *branch, m *Subscribe) bool {
	return f.cfg.Source && m.Interior && !m.IfNewer && f.roots(b) < b.quota
}

// surplus is a child of the source in whatever stripe that it need not feed: one
// that feeds nobody there, or a relay more than its quota; nil if there is none.
func (f *Forest) surplus() (of *branch, c *child) {
	for _, b := range f.branches {
		over := f.roots(b) > b.quota
		for i := len(b.children) - 1; i >= 0; i-- {
			if c := &b.children[i]; c.evict.IsZero() && (!c.interior || over) {
				return b, c
			}
		}
	}
	return nil, nil
}

// oldestRoot is the relay that the source has fed longest in a stripe, or nil. In
// its place comes one who says that nothing comes; if it does live it finds a
// place below.
func (f *Forest) oldestRoot(now time.Time, b *branch) *child {
	for i := range b.children {
		if c := &b.children[i]; c.interior && c.evict.IsZero() && now.Sub(c.since) >= rootTrust {
			return c
		}
	}
	return nil
}

// rootFirst names the source if we are interior in this stripe, and it is known
// to feed too few relays, or the only one that it fed seems dead.
func (f *Forest) rootFirst(now time.Time, b *branch) (membership.NodeID, bool) {
	source := f.root()
	if !b.home || b.quota == 0 || b.search.tidy || b.parent == source {
		return source, false
	}
	s := b.search
	headless := s.urgent() && (b.quota == 1 && len(b.path) == 2 || s.dead(now) >= enoughDead)
	return source, headless || f.cover[b.stripe].Roots < b.quota
}

// roots counts the relays among a stripe's children that stay.
func (f *Forest) roots(b *branch) int {
	n := 0
	for _, c := range b.children {
		if c.interior && c.evict.IsZero() && !f.isQuiet(c.id) {
			n++
		}
	}
	return n
}

// thinRoots asks the newest relay of a stripe that has more at the source than it
// should to move below another: relays that came as viewers, or found nobody
// else at first. One that comes back, having found nobody, may stay.
func (f *Forest) thinRoots(now time.Time) {
	for _, b := range f.branches {
		if f.roots(b) <= b.quota {
			continue
		}
		for i := len(b.children) - 1; i >= 0; i-- {
			c := &b.children[i]
			if c.interior && c.evict.IsZero() && now.Sub(c.since) >= rootStay && len(f.alternatives(now, b, c.id, true)) > 0 {
				f.dismiss(now, b, c, Full)
				break
			}
		}
	}
}

// isAbove reports whether a node stands on the way from the source to us.
func (b *branch) isAbove(id membership.NodeID) bool {
	return b.parent == id || slices.Contains(b.path, id.Short())
}
