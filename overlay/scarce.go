package overlay

import (
	"bytes"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Where slots are short, most who ask are refused by everybody, and would ask for ever.
// So a search that found nobody with room rests longer and longer, and what follows asks
// few, until somebody is known to have room. Who gives rests so only when it has comfort:
// it is let in where others are not. And who refused although its record promises room is
// not taken at its word for a while.

// hollow is a node that refused us although its record promised room.
type hollow struct {
	id    membership.NodeID
	seq   uint64    // of that record
	until time.Time // its record counts as one of a node that is full
	rest  time.Duration
	lacks bool // it said that it does not even have the stripe
}

func (f *Forest) hollowAt(id membership.NodeID) (int, bool) {
	return slices.BinarySearchFunc(f.hollow, id, func(h hollow, id membership.NodeID) int { return bytes.Compare(h.id[:], id[:]) })
}

// counts reports whether a note is in force still: the first time a newer record ends it.
func (h *hollow) counts(now time.Time, seq uint64) bool {
	return now.Before(h.until) && (h.rest > hollowTime || seq == h.seq)
}

// isHollow reports whether a node refused us of late although its record promises room.
func (f *Forest) isHollow(now time.Time, e *membership.Entry) bool {
	i, noted := f.hollowAt(e.Node)
	return noted && f.hollow[i].counts(now, e.Seq)
}

// lacks reports whether it also said that it has nothing of what its record promises.
func (f *Forest) lacks(now time.Time, e *membership.Entry) bool {
	i, noted := f.hollowAt(e.Node)
	return noted && f.hollow[i].lacks && f.hollow[i].counts(now, e.Seq)
}

// refuted notes, and reports, that a refusal gives the lie to a node's record: it promises
// room in the stripe. The record may just be old, so that it counts again soon; each time
// later. If too many are noted the one whose word counts again first is forgotten.
func (f *Forest) refuted(now time.Time, b *branch, id membership.NodeID, why Reason) bool {
	return (why == Full || why == NotHere) && f.disbelieve(now, b, id, why == NotHere)
}

// vain notes those, too, who promise room and said something else to who asked few
// because nobody has any, or nothing: they would end its next rest at once.
func (f *Forest) vain(now time.Time, b *branch, s *search) {
	for _, r := range s.asked {
		if e, known := f.book.Get(r.id); s.brief && r.sent && known && !f.isHollow(now, e) {
			f.disbelieve(now, b, r.id, false)
		}
	}
}

func (f *Forest) disbelieve(now time.Time, b *branch, id membership.NodeID, lacks bool) bool {
	e, known := f.book.Get(id)
	if !known {
		return false
	}
	if c, ok := e.Carries(f.cfg.Info.Stream); !ok || c.Free == 0 || !c.Home(b.stripe) && !f.isRoot(id) {
		return false
	}
	i, noted := f.hollowAt(id)
	switch {
	case !noted:
		if len(f.hollow) >= maxHollow {
			f.forgetHollow()
			i, _ = f.hollowAt(id)
		}
		f.hollow = slices.Insert(f.hollow, i, hollow{id: id, rest: hollowTime})
	case now.Sub(f.hollow[i].until) >= hollowMax:
		f.hollow[i].rest = hollowTime
	case !f.hollow[i].counts(now, e.Seq):
		f.hollow[i].rest = min(2*f.hollow[i].rest, hollowMax)
	}
	h := &f.hollow[i]
	h.until, h.seq, h.lacks = now.Add(h.rest), e.Seq, lacks
	return true
}

// forgetHollow forgets the note that ends first.
func (f *Forest) forgetHollow() {
	first := 0
	for i := range f.hollow {
		if f.hollow[i].until.Before(f.hollow[first].until) {
			first = i
		}
	}
	f.hollow = slices.Delete(f.hollow, first, first+1)
}

// trueWord forgets that a node refused: it has room after all.
func (f *Forest) trueWord(id membership.NodeID) {
	if i, noted := f.hollowAt(id); noted {
		f.hollow = slices.Delete(f.hollow, i, i+1)
	}
}

// carries is what a node's record says of the stream, without room that it refused us.
func (f *Forest) carries(now time.Time, e *membership.Entry) (membership.Carried, bool) {
	c, ok := e.Carries(f.cfg.Info.Stream)
	if c.Free > 0 && f.isHollow(now, e) {
		c.Free = 0
	}
	return c, ok
}

// hasRoom reports whether a node says that it has room, and is believed.
func (f *Forest) hasRoom(now time.Time, id membership.NodeID) bool {
	e, known := f.book.Get(id)
	if !known {
		return false
	}
	c, _ := f.carries(now, e)
	return c.Free > 0
}

// mayRest reports whether a stripe that nobody feeds us is one that we can do without: we
// feed nobody in it, and would not be let in before others.
func (f *Forest) mayRest(now time.Time, b *branch) bool {
	return f.cfg.All && !b.home && (f.cfg.Slots == 0 || f.kept(now) >= f.comfort())
}

// tire is how long a search that found nobody rests before the next.
func (f *Forest) tire(now time.Time, b *branch, s *search) {
	most := searchPauseMax
	switch {
	case !f.mayRest(now, b):
		if b.scarce {
			b.rest = 0
		}
	case s.brief || !s.silent && !s.probe && s.full+s.hollow >= fullEnough:
		most = scarcePause
	}
	b.rest = min(max(2*b.rest, searchPause), most)
	b.scarce = most == scarcePause
	b.tired, b.roused = b.scarce && b.rest > briefAfter, false
}

// ease forgets how long searches rested, now that a stripe is fed: but not at once where
// slots are short, for it may soon be another's.
func (f *Forest) ease(now time.Time, b *branch) {
	if !b.scarce || now.Sub(b.since) >= scarcePause {
		b.refresh()
	}
}

// refresh forgets how long searches rested.
func (b *branch) refresh() { b.rest, b.scarce, b.tired = 0, false, false }

// rouse ends long rests: soon if we cannot do without the stripe any more, or somebody is
// known to have room. All who see that do not ask at once: the more relays there are, the
// more there are most likely who wait, and those who come late see that it is taken.
func (f *Forest) rouse(now time.Time) {
	for _, b := range f.branches {
		if !b.tired || b.roused || b.search != nil || !b.wanted || !b.parent.IsZero() {
			continue
		}
		span := searchPauseMax
		if f.mayRest(now, b) {
			if !f.roomIn(now, b) {
				continue
			}
			span = min(b.rest, time.Duration(f.relays)*rouseEach)
		} else {
			b.refresh()
		}
		b.roused = true
		b.calm = earlier(b.calm, now.Add(time.Duration(f.rnd.Int64N(int64(span)))))
	}
}

// roomIn reports whether somebody who may feed us a stripe says that it has room.
func (f *Forest) roomIn(now time.Time, b *branch) bool {
	if f.cover[b.stripe].Free == 0 {
		return false
	}
	return slices.ContainsFunc(f.book.Home(f.cfg.Info.Stream, b.stripe), func(e *membership.Entry) bool {
		c, ok := f.offers(now, b, e, false)
		return ok && c.Free > 0 && !e.Doubted && f.eligible(now, b, e, false)
	})
}
