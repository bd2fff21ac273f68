package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// When there are not enough slots for all, everybody gets k stripes before anybody
// gets more: who has fewer may take the place of a child that has more. But who gives
// slots comes before who gives none: it gets comfort first, in the place of one that
// rides, whatever that has, and keeps it. Who only said that it would give comes after who
// never did. Nobody is shut out for giving none.

// comfort is as many stripes as let half as many parents vanish as may.
func (f *Forest) comfort() int {
	l := f.cfg.Info.Layout
	return l.K + (l.M+1)/2
}

// live is how many stripes parents feed us.
func (f *Forest) live(now time.Time) int {
	n := 0
	for _, b := range f.branches {
		if f.flows(now, b) {
			n++
		}
	}
	return n
}

// kept is how many of them will go on: their parents have not asked us to go.
func (f *Forest) kept(now time.Time) int {
	n := 0
	for _, b := range f.branches {
		if f.flows(now, b) && b.goBy.IsZero() {
			n++
		}
	}
	return n
}

// flows reports whether a parent feeds us a stripe that we want.
func (f *Forest) flows(now time.Time, b *branch) bool {
	return b.wanted && !b.parent.IsZero() && b.got && !f.silent(now, b)
}

// tellLive tells parents when we begin or cease to have k stripes, more, or more than
// comfort.
func (f *Forest) tellLive(now time.Time) {
	if !f.cfg.All {
		return
	}
	live, k := f.kept(now), f.cfg.Info.Layout.K
	standing := min(1, max(-1, live-k))
	if live > f.comfort() {
		standing = 2
	}
	if f.told && standing == f.standing {
		return
	}
	f.told, f.standing = true, standing
	parents, _ := f.Parents()
	for _, id := range parents {
		f.send(id, &Live{Stream: f.cfg.Info.Stream, Stripes: live})
	}
}

// victim is the child in whose place somebody is let in although there is no
// room: one that feeds nobody in the stripe, for who does; one that has more
// than k stripes, or comfort, for who has less and found no room elsewhere; and one that
// gives nothing for who gives. It is nil if there is none, or too many have been asked to go already.
func (f *Forest) victim(now time.Time, b *branch, from membership.NodeID, m *Subscribe) (of *branch, c *child) {
	own := f.worth(now, from)
	if own == claims && !f.mayHope(now, from) {
		own = rides
	}
	return f.victimFor(now, b, from, m, own)
}

// victimFor is the same for one of some worth.
func (f *Forest) victimFor(now time.Time, b *branch, from membership.NodeID, m *Subscribe, own worth) (of *branch, c *child) {
	interior := m.Interior && !f.feigns(now, from)
	most := f.overlap()
	if interior && !f.short {
		most = max(most, hurried)
	}
	if f.going >= most && !f.misses(b, m) {
		return nil, nil
	}
	needy := m.Live < f.cfg.Info.Layout.K && m.LastResort
	poor := own > rides && m.LastResort && m.Live < f.comfort()
	var best *child
	bestRank, bestWorth := 0, gives
	for i := len(b.children) - 1; i >= 0; i-- {
		c := &b.children[i]
		if !f.mayGo(now, c) {
			continue
		}
		rich, its := f.rich(c.id), f.worth(now, c.id)
		rank := 0
		switch {
		case rich && its <= rides && (interior || needy || own > rides):
			rank = 4
		case poor && its <= rides, needy && own == rides && its == feigned:
			rank = 3
		case rich && (interior || needy && (own > rides || f.peers[c.id].live > f.comfort())):
			rank = 2
		case interior:
			rank = 1
		}
		if rank > bestRank || rank > 0 && rank == bestRank && its < bestWorth {
			best, bestRank, bestWorth = c, rank, its
		}
	}
	if bestRank < 3 && !f.cfg.Source && (poor || interior && (best != nil || !b.branches())) {
		if of, c = f.anyRider(now); c != nil {
			return of, c
		}
	}
	if best == nil && f.cfg.Source && f.rootless(b, m) {
		if of, c = f.surplus(); c == nil && m.IfNewer {
			return b, f.oldestRoot(now, b)
		}
		return of, c
	}
	if best == nil && interior && !f.cfg.Source && !b.branches() {
		return f.anyLeaf()
	}
	return b, best
}

// mayGo reports whether a child may be asked to go: it feeds nobody in its stripe, as far
// as we know, and was not asked yet.
func (f *Forest) mayGo(now time.Time, c *child) bool {
	return c.evict.IsZero() && (!c.interior || f.feigns(now, c.id))
}

// branches reports whether a child feeds others in this stripe.
func (b *branch) branches() bool {
	return slices.ContainsFunc(b.children, func(c child) bool { return c.interior && c.evict.IsZero() })
}

// anyLeaf is a child of whatever stripe that feeds nobody in it: one that has more than
// k stripes if there is one, and of the stripe with the most children. It makes room for
// the first who feeds others in a stripe: without that one nobody else gets it.
func (f *Forest) anyLeaf() (of *branch, c *child) {
	for _, b := range f.branches {
		for i := len(b.children) - 1; i >= 0; i-- {
			l := &b.children[i]
			if l.interior || !l.evict.IsZero() {
				continue
			}
			rich := f.rich(l.id)
			if c == nil || rich && !f.rich(c.id) || rich == f.rich(c.id) && len(b.children) > len(of.children) {
				of, c = b, l
			}
		}
	}
	return of, c
}

// anyRider is a child of whatever stripe that gives nothing, of the stripe with the most
// children.
func (f *Forest) anyRider(now time.Time) (of *branch, c *child) {
	for _, b := range f.branches {
		for i := len(b.children) - 1; i >= 0; i-- {
			l := &b.children[i]
			if !f.mayGo(now, l) || f.worth(now, l.id) > rides {
				continue
			}
			if c == nil || len(b.children) > len(of.children) {
				of, c = b, l
			}
		}
	}
	return of, c
}

// rich reports whether a child said that it has more than k stripes.
func (f *Forest) rich(id membership.NodeID) bool {
	p := f.peers[id]
	return p != nil && p.live > f.cfg.Info.Layout.K
}
