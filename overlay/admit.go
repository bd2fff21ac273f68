package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// admit answers a request to be fed.
func (f *Forest) admit(now time.Time, b *branch, from membership.NodeID, m *Subscribe) {
	if reason, no := f.refusal(b, from, m); no {
		f.send(from, &Refuse{
			Stream: f.cfg.Info.Stream, Stripe: b.stripe, Reason: reason,
			Alternatives: f.alternatives(b, from),
		})
		return
	}
	i := slices.IndexFunc(b.children, func(c child) bool { return c.id == from })
	if i < 0 {
		if !f.room() {
			f.displace(now, b)
		}
		b.children = append(b.children, child{id: from, since: now})
		f.children++
		i = len(b.children) - 1
	}
	if c := &b.children[i]; !c.evict.IsZero() {
		c.evict, c.since = time.Time{}, now.Add(rootReturn)
		f.going--
	}
	b.children[i].interior = m.Interior
	f.send(from, &Accept{Stream: f.cfg.Info.Stream, Stripe: b.stripe, Path: f.pathThrough(b)})
	f.out = append(f.out, Feed{Child: from, Stripe: b.stripe, From: m.From, Fresh: m.Fresh, Back: m.Back})
}

func (f *Forest) refusal(b *branch, from membership.NodeID, m *Subscribe) (Reason, bool) {
	i := slices.IndexFunc(b.children, func(c child) bool { return c.id == from })
	switch {
	case f.leaving:
		return Leaving, true
	case !b.home:
		return NotHere, true
	case from == b.parent || slices.Contains(b.path, from.Short()):
		return Loop, true
	case !f.cfg.Source && b.parent.IsZero() && !f.ended:
		return NotReady, true
	case len(b.path) >= MaxDepth:
		return TooDeep, true
	case m.IfNewer && (!b.got || b.last < m.From):
		return Nothing, true
	case i >= 0 && (b.children[i].evict.IsZero() || f.room()):
		return 0, false
	case i >= 0:
		return Full, true // it was asked to go
	case !f.room() && !(m.Interior && f.going < f.overlap() && f.leaf(b) != nil):
		return Full, true
	case f.cfg.Source && !m.LastResort && !(m.Interior && f.roots(b) < Roots):
		return Full, true // who else can, must: the source carries the stream once or twice
	}
	return 0, false
}

// room reports whether one more child may be fed. Those asked to go cost upload
// until they are gone; a few of them may overlap with their successors.
func (f *Forest) room() bool {
	return f.children-min(f.going, f.overlap()) < f.cfg.Slots
}

// overlap is how many children may be fed beyond the slots while they go.
func (f *Forest) overlap() int { return max(1, f.cfg.Slots/overlapPart) }

// roots counts the relays among a stripe's children that stay.
func (f *Forest) roots(b *branch) int {
	n := 0
	for _, c := range b.children {
		if c.interior && c.evict.IsZero() {
			n++
		}
	}
	return n
}

// alternatives are others who may have room in the stripe: our own interior
// children first, then whom the book knows.
func (f *Forest) alternatives(b *branch, asker membership.NodeID) [][]byte {
	var near, far [][]byte
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || !c.Home(b.stripe) || c.Free == 0 || c.Depth >= MaxDepth || e.Doubted ||
			e.Node == asker || e.Node == membership.NodeID(f.cfg.Info.Root) {
			continue
		}
		if slices.ContainsFunc(b.children, func(c child) bool { return c.id == e.Node }) {
			near = append(near, e.Raw)
		} else {
			far = append(far, e.Raw)
		}
	}
	f.rnd.Shuffle(len(near), func(i, j int) { near[i], near[j] = near[j], near[i] })
	f.rnd.Shuffle(len(far), func(i, j int) { far[i], far[j] = far[j], far[i] })
	all := append(near, far...)
	return all[:min(len(all), MaxAlternatives)]
}

// displace makes room for a relay: a child of the same stripe that feeds
// nobody is asked to find another parent, and fed meanwhile.
func (f *Forest) displace(now time.Time, b *branch) {
	if c := f.leaf(b); c != nil {
		f.dismiss(now, b, c, Full)
	}
}

// leaf is the newest child of a stripe that may be displaced, or nil.
func (f *Forest) leaf(b *branch) *child {
	for i := len(b.children) - 1; i >= 0; i-- {
		if c := &b.children[i]; !c.interior && c.evict.IsZero() {
			return c
		}
	}
	return nil
}

// dismiss asks a child to find another parent and says when it is starved.
func (f *Forest) dismiss(now time.Time, b *branch, c *child, why Reason) {
	f.send(c.id, &Drop{
		Stream: f.cfg.Info.Stream, Stripe: b.stripe, Reason: why,
		Alternatives: f.alternatives(b, c.id),
	})
	if c.evict.IsZero() {
		f.going++
	}
	c.evict = now.Add(shedTime)
}

// evict starves the dismissed who stayed, and leaves the parent of a stripe that
// nobody here wants any more.
func (f *Forest) evict(now time.Time, b *branch) {
	for i := len(b.children) - 1; i >= 0; i-- {
		if c := b.children[i]; !c.evict.IsZero() && !now.Before(c.evict) {
			f.removeChild(b, c.id)
		}
	}
	if !b.wanted && len(b.children) == 0 {
		f.leaveParent(b)
	}
}

// removeChild ends a child's feed.
func (f *Forest) removeChild(b *branch, id membership.NodeID) {
	i := slices.IndexFunc(b.children, func(c child) bool { return c.id == id })
	if i < 0 {
		return
	}
	f.children--
	if !b.children[i].evict.IsZero() {
		f.going--
	}
	b.children = slices.Delete(b.children, i, i+1)
	f.out = append(f.out, Starve{Child: id, Stripe: b.stripe})
}
