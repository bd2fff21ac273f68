package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// pick chooses whom to ask next.
func (f *Forest) pick(now time.Time, b *branch) (membership.NodeID, bool) {
	s := b.search
	for len(s.queue) > 0 {
		id := s.queue[0]
		s.queue = s.queue[1:]
		shunned := b.shunned(id, now) && id != f.root()
		if s.find(id) == nil && id != b.parent && id != f.cfg.Self && !shunned && f.fits(now, b, id) {
			return id, true
		}
	}
	if len(s.asked) >= MaxTried || s.brief && len(s.asked) >= fewTried || s.probe && len(s.asked) >= maxProbes || s.stage == stageSource || s.stage == stageOver {
		return membership.NodeID{}, false
	}
	if id, ok := f.rootFirst(now, b); ok && s.find(id) == nil {
		return id, true
	}
	if k := &b.backup; s.urgent() && k.agree && f.peers[k.id] != nil && s.find(k.id) == nil && k.id != b.parent {
		return k.id, true
	}
	has := s.urgent() && f.live(now) >= f.cfg.Info.Layout.K
	sure, spare, doubted := f.candidates(now, b, f.book.Home(f.cfg.Info.Stream, b.stripe), has)
	if len(sure) == 0 && s.stage == stageAnyone {
		sure, spare, doubted = f.candidates(now, b, f.book.All(), has)
	}
	if len(sure) == 0 && len(spare) > 0 {
		return f.firstOf(spare, b), true
	}
	if len(sure) == 0 {
		sure = doubted
	}
	var best *membership.Entry
	var bestScore time.Duration
	if !b.home {
		sure = f.draw(sure) // who feeds others gets as near to the source as can be
	}
	for i, e := range sure {
		if score := f.score(now, e, b.home, s.urgent()); i == 0 || score < bestScore {
			best, bestScore = e, score
		}
	}
	if best == nil {
		return membership.NodeID{}, false
	}
	return best.Node, true
}

// candidates are those who may be asked: who has the stripe as a home stripe; who has
// not, but slots; and who is doubted.
func (f *Forest) candidates(now time.Time, b *branch, from []*membership.Entry, hasK bool) (sure, spare, doubted []*membership.Entry) {
	s := b.search
	anyone := s.stage == stageAnyone
	for _, e := range from {
		c, ok := f.offers(now, b, e, anyone) // and then what is decided fastest
		if !ok || s.tidy && !s.better(b, c) || !anyone && f.hopeless(b, c, hasK) || s.find(e.Node) != nil ||
			s.brief && f.isHollow(now, e) || s.tidy && f.lacks(now, e) || !f.eligible(now, b, e, anyone) {
			continue
		}
		switch {
		case e.Doubted:
			doubted = append(doubted, e)
		case c.Home(b.stripe):
			sure = append(sure, e)
		default:
			spare = append(spare, e)
		}
	}
	return sure, spare, doubted
}

// hopeless reports whether somebody full will not let us in: we have k stripes, and
// feed nobody. There is no time to ask in vain.
func (f *Forest) hopeless(b *branch, c membership.Carried, hasK bool) bool {
	return hasK && !b.home && c.Free == 0
}

// firstOf is the first of those without the stripe as a home stripe, in an order that
// all who ask share, so that few take it for our sake and not many.
func (f *Forest) firstOf(spare []*membership.Entry, b *branch) membership.NodeID {
	best := spare[0].Node
	for _, e := range spare[1:] {
		if rank(e.Node, b.stripe) < rank(best, b.stripe) {
			best = e.Node
		}
	}
	return best
}

// draw takes Choice of the candidates by chance, most of them from those that are
// connected: they answer soon, and cost no handshake.
func (f *Forest) draw(of []*membership.Entry) []*membership.Entry {
	connected := 0
	for i, e := range of {
		if f.peers[e.Node] != nil {
			of[i], of[connected] = of[connected], e
			connected++
		}
	}
	near, far := of[:connected], of[connected:]
	f.rnd.Shuffle(len(near), func(i, j int) { near[i], near[j] = near[j], near[i] })
	take := min(len(near), max(Choice-2, Choice-len(far)))
	for i := range min(len(far), Choice-take) {
		j := i + f.rnd.IntN(len(far)-i)
		far[i], far[j] = far[j], far[i]
		of[take+i], far[i] = far[i], of[take+i]
	}
	return of[:min(len(of), Choice)]
}

// better reports whether somebody would do for a search that need not find anybody.
func (s *search) better(b *branch, c membership.Carried) bool {
	if s.above > 0 && c.Depth+1 >= s.above {
		return false
	}
	return c.Free > 0 || b.home && s.above > 0 // who feeds others may take a leaf's place
}

// fits reports whether somebody who was named by another may be asked: who named it
// knows better than its record what it has.
func (f *Forest) fits(now time.Time, b *branch, id membership.NodeID) bool {
	e, known := f.book.Get(id)
	if !known || id == f.root() {
		return true
	}
	if c, ok := e.Carries(f.cfg.Info.Stream); ok && b.search.above > 0 && !b.search.better(b, c) {
		return false // it might show a leaf out for us, for nothing
	}
	if f.isHollow(now, e) {
		return false
	}
	return f.eligible(now, b, e, b.search.stage >= stageAnyone)
}

// eligible reports whether a node may be the parent of a stripe, if it has it;
// anyone says to disregard the rules of m and of networks.
func (f *Forest) eligible(now time.Time, b *branch, e *membership.Entry, anyone bool) bool {
	c, ok := e.Carries(f.cfg.Info.Stream)
	switch {
	case ok && (c.Depth >= MaxDepth || c.Epoch != f.cfg.Info.Epoch),
		e.Node == f.root(), // asked by rootFirst, or as a last resort
		e.Node == b.parent,
		b.shunned(e.Node, now),
		!e.MayDial(now) && f.peers[e.Node] == nil:
		return false
	}
	return anyone || f.standsIn(e.Node.Short(), b) < f.most() && !f.crowded(b, e)
}

// offers reports whether a node has a stripe, as far as its record tells; of anyone
// it is enough to have slots, and who has the stripe need have no parent itself yet.
func (f *Forest) offers(now time.Time, b *branch, e *membership.Entry, anyone bool) (membership.Carried, bool) {
	c, _ := f.carries(now, e)
	return c, c.Home(b.stripe) && (anyone || c.Depth > 0) || anyone && c.Free > 0
}

// most is in how many of our stripes one node may be an ancestor.
func (f *Forest) most() int { return max(1, f.cfg.Info.Layout.M) }

// standsIn counts in how many of our other stripes a node is an ancestor.
func (f *Forest) standsIn(id membership.ShortID, except *branch) int {
	n := 0
	for _, b := range f.branches {
		if b != except && !b.parent.IsZero() && slices.Contains(b.path, id) {
			n++
		}
	}
	return n
}

// score is a candidate's cost as a delay: 40 ms a hop, half the round trip, and
// more the fuller it is. Who feeds others takes a leaf's place: to it depth is what
// counts, and nobody is full. When it is urgent, one that must be dialled first, and may
// be dead, is little worth.
func (f *Forest) score(now time.Time, e *membership.Entry, interior, urgent bool) time.Duration {
	c, _ := f.carries(now, e)
	cost := time.Duration(c.Depth) * 40 * time.Millisecond
	if interior {
		cost *= 4
	}
	if p := f.peers[e.Node]; p != nil {
		cost += p.rtt / 2
	} else {
		cost += 20 * time.Millisecond
		if urgent {
			cost += 200 * time.Millisecond
		}
	}
	if c.Free == 0 && !interior {
		return cost + 400*time.Millisecond
	}
	return cost + time.Duration(40*max(0, e.Slots-c.Free)/max(1, e.Slots))*time.Millisecond
}
