package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// When slots are short it counts who gives. A record says what its node would give;
// whether it does, only those know whom it feeds: so all who want a slot of ours are
// asked for their receipts then, and not before.

// worth is what a peer is worth when there are not slots for all.
type worth uint8

const (
	feigned worth = iota // it offers some, had time to fill one, and nobody says that it does
	rides                // it offers no slots, or has just failed to show that it fills one
	claims               // it offers some, and had no time to show more
	gives                // others say that they get something through it
)

// shown is what a peer has shown us of what it gives.
type shown struct {
	waits bool      // it was asked and has not answered
	held  bool      // it has, or had, a slot of ours
	since time.Time // since when it could have proved it; zero if it was never asked
	again time.Time // not asked before
	at    time.Time // when it last answered
	slots float64   // that others said then they get through it
	tried bool      // it has a place that it got by its word
}

// worth of a node among those who want our slots. A newcomer's record says nothing of
// the stream yet.
func (f *Forest) worth(now time.Time, id membership.NodeID) worth {
	p := f.peers[id]
	switch {
	case p == nil && f.shares(id):
		return claims
	case p == nil, !f.shares(id) && now.Sub(p.since) >= youth:
		return rides
	}
	return p.shown.worth(now)
}

func (f *Forest) shares(id membership.NodeID) bool {
	e, known := f.book.Get(id)
	return known && e.Slots > 0
}

// gives reports whether a peer has shown of late that it does.
func (s *shown) gives(now time.Time) bool {
	return s.slots >= leastGiven && now.Sub(s.at) < shownTime
}

func (s *shown) worth(now time.Time) worth {
	switch {
	case s.failed(now):
		return feigned
	case s.gives(now):
		return gives
	case s.stale(now):
		return claims
	case now.Sub(s.since) < proveTime:
		return claims
	}
	return rides
}

// stale reports whether a peer was not asked of late: slots were not short.
func (s *shown) stale(now time.Time) bool {
	return s.since.IsZero() || now.Sub(s.again) > showAgain
}

// failed reports whether a peer was asked for all of proveTime and showed nothing: that is
// not forgotten when it does not ask for a while.
func (s *shown) failed(now time.Time) bool {
	return !s.since.IsZero() && !s.gives(now) && s.again.Sub(s.since) > proveTime+ShowEvery && now.Sub(s.again) < recallTime
}

// departed is what is known of a peer that is gone and asked us to feed it.
type departed struct {
	id    membership.NodeID
	since time.Time // first connected
	shown shown
	at    time.Time
}

// remember keeps what is known of a peer that goes: otherwise it would be new
// whenever it came back. A crowd that asks once does not push out one that failed.
func (f *Forest) remember(now time.Time, id membership.NodeID, p *peer) {
	if !p.begs {
		return
	}
	p.shown.waits = false
	if len(f.gone) >= maxGone {
		first := max(0, slices.IndexFunc(f.gone, func(d departed) bool { return !d.shown.failed(now) }))
		f.gone = slices.Delete(f.gone, first, first+1)
	}
	f.gone = append(f.gone, departed{id: id, since: p.since, shown: p.shown, at: now})
}

// recall takes up again what was known of a peer that comes.
func (f *Forest) recall(now time.Time, id membership.NodeID, p *peer) {
	f.gone = slices.DeleteFunc(f.gone, func(d departed) bool {
		if d.id == id && now.Sub(d.at) < recallTime {
			p.since, p.shown, p.begs = d.since, d.shown, true
		}
		return d.id == id || now.Sub(d.at) >= recallTime
	})
}

// feigns reports whether a peer that says it feeds others had the time to show it, and
// did not.
func (f *Forest) feigns(now time.Time, id membership.NodeID) bool {
	p := f.peers[id]
	return p != nil && p.shown.worth(now) <= rides
}

// askToShow asks who wants a slot, and all who have one, what they give.
func (f *Forest) askToShow(now time.Time, from membership.NodeID) {
	if f.shares(from) {
		f.askOne(now, from)
	}
	if now.Before(f.showAt) {
		return
	}
	if now.Sub(f.showAt) > showAgain {
		f.shortAt = now
	}
	f.showAt = now.Add(ShowEvery)
	for _, b := range f.branches {
		for _, c := range b.children {
			if c.interior || f.shares(c.id) {
				f.askOne(now, c.id)
			}
		}
	}
}

func (f *Forest) askOne(now time.Time, id membership.NodeID) {
	p := f.peers[id]
	if p == nil || now.Before(p.shown.again) {
		return
	}
	if s := &p.shown; !s.failed(now) {
		if s.stale(now) {
			s.since = f.couldShow(now, id)
		}
		if !s.held && p.live < (f.cfg.Info.Layout.K+3)/4 {
			s.since = now // it cannot pass on what it does not get
		}
	}
	p.shown.again, p.shown.waits = now.Add(ShowEvery), true
	f.send(id, &Show{Tag: f.cfg.Info.Stream.Tag()})
}

// couldShow is since when somebody who is asked now, and has something to pass on, could
// have given: since we know of it, and since slots are short, for before nobody wanted its
// slots either. It need not be since we asked: who goes from parent to parent is no newcomer
// to each. It has time to answer in any case.
func (f *Forest) couldShow(now time.Time, id membership.NodeID) time.Time {
	at := later(f.shortAt, now.Add(-proveTime))
	if e, known := f.book.Get(id); known {
		at = later(at, e.Since)
	}
	return at
}

// Awaits reports whether a peer was asked for its receipts and has not answered.
func (f *Forest) Awaits(id membership.NodeID) bool {
	p := f.peers[id]
	return p != nil && p.shown.waits
}

// Showed says that a peer answered, and how many slots it fills by the word of others.
func (f *Forest) Showed(now time.Time, id membership.NodeID, slots float64) {
	p := f.peers[id]
	if p == nil {
		return
	}
	if slots < leastGiven && p.shown.gives(now) {
		p.shown.since = now // it is asked anew
	}
	p.shown.waits, p.shown.at, p.shown.slots = false, now, slots
	if slots >= leastGiven {
		p.shown.since, p.shown.again = now, now.Add(showAgain)
		f.proved(now, p)
	}
	f.answer(now, func(a *asker) bool { return a.id == id })
}

// Gives reports whether a peer is to be served before those who give nothing: as
// far as we know, it gives, or has not had the time to.
func (f *Forest) Gives(now time.Time, id membership.NodeID) bool {
	return f.worth(now, id) > rides
}

// mayHope reports whether one more who only says that it gives is believed: a part of
// the slots is for such, if they have a record that says so.
func (f *Forest) mayHope(now time.Time, id membership.NodeID) bool {
	return f.shares(id) && f.hopes(now) >= 1
}
