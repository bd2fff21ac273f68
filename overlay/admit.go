package overlay

import (
	"bytes"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// admit answers a request to be fed.
func (f *Forest) admit(now time.Time, b *branch, from membership.NodeID, m *Subscribe) {
	f.peers[from].live, f.peers[from].begs = m.Live, true
	if f.hearFirst(now, b, from, m) {
		return
	}
	if reason, no := f.refusal(now, b, from, m); no {
		if reason == Full && m.LastResort {
			f.askToShow(now, from)
		}
		f.await(now, b, from, m, reason)
		f.send(from, &Refuse{
			Stream: f.cfg.Info.Stream, Stripe: b.stripe, Reason: reason,
			Alternatives: f.alternatives(now, b, from, m.Interior),
		})
		return
	}
	if m.Standby {
		f.send(from, &Promise{Stream: f.cfg.Info.Stream, Stripe: b.stripe, Path: f.pathThrough(b)})
		return
	}
	b.served(from)
	f.letIn(now, b, from, m)
}

// letIn takes a child.
func (f *Forest) letIn(now time.Time, b *branch, from membership.NodeID, m *Subscribe) {
	if !b.home {
		f.takeHome(now, b)
	}
	i := b.child(from)
	if i < 0 {
		f.bury(now)
		if !f.room() {
			f.makeRoom(now, b, from, m)
		}
		b.children = append(b.children, child{id: from, since: now})
		f.children++
		i = len(b.children) - 1
		f.peers[from].shown.held = true
	}
	if c := &b.children[i]; !c.evict.IsZero() {
		c.evict, c.since = time.Time{}, now.Add(rootReturn)
		f.going--
	}
	b.children[i].interior = m.Interior
	f.send(from, &Accept{Stream: f.cfg.Info.Stream, Stripe: b.stripe, Path: f.pathThrough(b)})
	f.out = append(f.out, Feed{Child: from, Stripe: b.stripe, From: m.From, Fresh: m.Fresh, Back: m.Back})
}

// makeRoom dismisses the child in whose place another comes. One that will feed others
// in the same stripe is named first: it has room.
func (f *Forest) makeRoom(now time.Time, b *branch, from membership.NodeID, m *Subscribe) {
	of, c := f.victim(now, b, from, m)
	if c == nil {
		return
	}
	if f.worth(now, from) == claims {
		if _, anyway := f.victimFor(now, b, from, m, rides); anyway == nil {
			f.try(now, f.peers[from])
		}
	}
	var first [][]byte
	if e, known := f.book.Get(from); known && of == b && m.Interior {
		first = append(first, e.Raw)
	}
	if f.going < f.overlap() {
		f.dismiss(now, of, c, Full, first...)
		return
	}
	id := c.id
	f.dismiss(now, of, c, Cut, first...) // there is no uplink for one more that goes slowly
	f.removeChild(of, id)
}

// child is where a node stands among a stripe's children, or -1.
func (b *branch) child(id membership.NodeID) int {
	return slices.IndexFunc(b.children, func(c child) bool { return c.id == id })
}

func (f *Forest) refusal(now time.Time, b *branch, from membership.NodeID, m *Subscribe) (Reason, bool) {
	i := b.child(from)
	switch {
	case f.leaving:
		return Leaving, true
	case !b.home && !f.stepsIn(now, b, m):
		return NotHere, true
	case b.isAbove(from), b.search != nil && b.search.waitsFor(from) && bytes.Compare(f.cfg.Self[:], from[:]) < 0:
		return Loop, true // also if both ask each other: one of them must not
	case !f.ready(now, b):
		return NotReady, true
	case len(b.path) >= MaxDepth && (i < 0 || !b.children[i].evict.IsZero()):
		return TooDeep, true
	case m.IfNewer && (!b.holds || b.newest < m.From):
		return Nothing, true
	case i >= 0 && (b.children[i].evict.IsZero() || f.room()):
		return 0, false
	case i >= 0:
		return Full, true // it was asked to go
	case !f.room() && !f.replaces(now, b, from, m):
		return Full, true
	case f.cfg.Source && !f.rootless(b, m) && !f.lastResort(m):
		return Full, true // who else can, must: the source carries the stream once or twice
	}
	return 0, false
}

// stepsIn reports whether a stripe becomes a home stripe because somebody asks who
// found no other parent: it comes to us anyway, and we have slots to spare. More than m
// are taken only for one who is losing the stripe; a newcomer misses nothing yet. One
// that does not come to us we begin to look for, and can feed soon.
func (f *Forest) stepsIn(now time.Time, b *branch, m *Subscribe) bool {
	if !m.LastResort || m.Standby || f.cfg.Source || f.ended || b.quota == 0 || f.Starved(now) ||
		m.IfNewer && b.wanted && (!b.holds || b.newest < m.From) {
		return false
	}
	most := f.most()
	if !m.Fresh {
		most += needHomes
	}
	if f.homes() >= most || f.Children()+f.cfg.Slots/spareSlots >= f.cfg.Slots {
		return false
	}
	if !b.wanted {
		f.takeHome(now, b)
	}
	return b.home || !b.parent.IsZero() && !f.silent(now, b)
}

// replaces reports whether somebody may come although there is no room.
func (f *Forest) replaces(now time.Time, b *branch, from membership.NodeID, m *Subscribe) bool {
	_, c := f.victim(now, b, from, m)
	return c != nil
}

// ready reports whether we have the stripe, or can make it, for others.
func (f *Forest) ready(now time.Time, b *branch) bool {
	if b.made {
		return f.live(now) >= f.cfg.Info.Layout.K
	}
	return f.cfg.Source || f.ended || !b.parent.IsZero()
}

// lastResort reports whether the source feeds somebody who found no other parent,
// given that there is room, or will be. A newcomer must leave the reserve to
// orphans.
func (f *Forest) lastResort(m *Subscribe) bool {
	free := f.cfg.Slots - f.Children()
	return m.LastResort && (!m.Fresh || m.Interior || free <= 0 || free > f.reserve())
}

// room reports whether one more child may be fed. Those asked to go cost upload
// until they are gone; a few of them may overlap with their successors.
func (f *Forest) room() bool {
	return f.children-min(f.going, f.overlap())-f.lost() < f.cfg.Slots
}

// lost is how many children acknowledge nothing. They are fed on for a while, in
// case, but their slots are free: who dies says nothing, and holds no room.
func (f *Forest) lost() int {
	if f.quiet == 0 {
		return 0
	}
	n := 0
	for _, b := range f.branches {
		for _, c := range b.children {
			if c.evict.IsZero() && f.isQuiet(c.id) {
				n++
			}
		}
	}
	return n
}

// bury starves one that acknowledges nothing if its slot is needed: feeding both
// would be more than the uplink carries.
func (f *Forest) bury(now time.Time) {
	if f.children-min(f.going, f.overlap()) < f.cfg.Slots || f.quiet == 0 {
		return
	}
	for _, b := range f.branches {
		for i := range b.children {
			if c := &b.children[i]; c.evict.IsZero() && f.isQuiet(c.id) {
				id := c.id
				f.dismiss(now, b, c, Cut)
				f.removeChild(b, id)
				return
			}
		}
	}
}

func (f *Forest) isQuiet(id membership.NodeID) bool {
	if f.quiet == 0 {
		return false
	}
	p := f.peers[id]
	return p != nil && p.quiet
}

// Quiet says that a peer acknowledges nothing, or does so again. One whose place was
// taken meanwhile must find another.
func (f *Forest) Quiet(now time.Time, id membership.NodeID, on bool) {
	p := f.peers[id]
	if p == nil || p.quiet == on {
		return
	}
	if p.quiet = on; on {
		f.quiet++
		f.takeForDead(id)
		f.stirred = true // its slots are free
		f.serveAll(now)
		return
	}
	f.quiet--
	f.speaks(p, id)
	for _, b := range f.branches {
		if i := b.child(id); i >= 0 && b.children[i].evict.IsZero() && f.children-f.going-f.lost() > f.cfg.Slots {
			f.dismiss(now, b, &b.children[i], Full)
		}
	}
}

// overlap is how many children may be fed beyond the slots while they go.
func (f *Forest) overlap() int { return max(1, f.cfg.Slots/overlapPart) }

// alternatives are others who may have room in the stripe for who feeds others there,
// or for a leaf: our own interior children first, then whom the book knows.
func (f *Forest) alternatives(now time.Time, b *branch, asker membership.NodeID, interior bool) [][]byte {
	var near, far [][]byte
	fit := func(e *membership.Entry) bool { return !e.Doubted && e.Node != asker && !f.isRoot(e.Node) }
	for _, c := range b.children {
		if e, known := f.book.Get(c.id); known && c.interior && c.evict.IsZero() && fit(e) {
			// A newcomer feeds others before its record says so. Who feeds others may take
			// a leaf's place there.
			if says, ok := e.Carries(f.cfg.Info.Stream); interior || !ok || !says.Home(b.stripe) || says.Free > 0 {
				near = append(near, e.Raw)
			}
		}
	}
	f.rnd.Shuffle(len(near), func(i, j int) { near[i], near[j] = near[j], near[i] })
	have := f.book.Home(f.cfg.Info.Stream, b.stripe)
	at := 0
	if len(have) > 0 {
		at = f.rnd.IntN(len(have))
	}
	for i := 0; i < len(have) && len(near)+len(far) < MaxAlternatives; i++ {
		e := have[(at+i)%len(have)]
		c, _ := f.carries(now, e)
		if c.Free > 0 && c.Depth > 0 && c.Depth < MaxDepth && fit(e) && b.child(e.Node) < 0 {
			far = append(far, e.Raw)
		}
	}
	near = append(near, far...)
	return near[:min(len(near), MaxAlternatives)]
}

// dismiss asks a child to find another parent, names first and others, and says when it
// is starved.
func (f *Forest) dismiss(now time.Time, b *branch, c *child, why Reason, first ...[]byte) {
	if f.short && f.cfg.Source {
		why = Cut // there is no uplink for two
	}
	named := first
	for _, raw := range f.alternatives(now, b, c.id, c.interior) {
		if !slices.ContainsFunc(first, func(r []byte) bool { return bytes.Equal(r, raw) }) {
			named = append(named, raw)
		}
	}
	f.send(c.id, &Drop{
		Stream: f.cfg.Info.Stream, Stripe: b.stripe, Reason: why,
		Alternatives: named[:min(len(named), MaxAlternatives)],
	})
	if c.evict.IsZero() {
		f.going++
	}
	c.evict = now.Add(shedTime)
	if why == Cut {
		c.evict = now
	}
}

// evict starves the dismissed who stayed, and leaves the parent of a stripe that
// nobody here wants any more.
func (f *Forest) evict(now time.Time, b *branch) {
	for i := len(b.children) - 1; i >= 0 && f.going > 0; i-- {
		if c := b.children[i]; !c.evict.IsZero() && !now.Before(c.evict) {
			f.removeChild(b, c.id)
		}
	}
	if !b.wanted && len(b.children) == 0 {
		f.leaveParent(b)
	}
}

func (f *Forest) evictAll(now time.Time) {
	for _, b := range f.branches {
		f.evict(now, b)
	}
}

// removeChild ends a child's feed.
func (f *Forest) removeChild(b *branch, id membership.NodeID) {
	i := b.child(id)
	if i < 0 {
		return
	}
	f.children--
	if !b.children[i].evict.IsZero() {
		f.going--
	}
	b.children = slices.Delete(b.children, i, i+1)
	f.stirred = true
	f.out = append(f.out, Starve{Child: id, Stripe: b.stripe})
}
