package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Who says that it gives, and never showed it to us, may have come just now, or may go
// with that word from parent to parent. The first cannot show anything yet; the second
// could be as many as it likes. So where its word alone would win it another's place it is
// asked first what it has to show, and answered when that has come; and who has nothing to
// show is tried only as often as a small part of the slots allows, however many come.

// trials are the places that may be given to such.
type trials struct {
	left float64   // each is one; no more than the slots' part that mayHope tells
	at   time.Time // when that was reckoned; zero is not yet
}

// hopes reckons how many trials are left: all at first, for when slots become short nobody
// can have shown anything.
func (f *Forest) hopes(now time.Time) float64 {
	most := float64(max(1, f.cfg.Slots/optimistic))
	if f.trials.at.IsZero() {
		f.trials = trials{most, now}
	}
	each := float64(proveTime) * trialPart / float64(max(1, f.cfg.Slots)) // until one more
	f.trials.left = min(most, f.trials.left+float64(now.Sub(f.trials.at))/each)
	f.trials.at = now
	return f.trials.left
}

// try takes a trial for a peer that has got its place by its word; it is given back when
// the peer shows that it gives.
func (f *Forest) try(now time.Time, p *peer) {
	f.trials.left = f.hopes(now) - 1
	p.shown.tried = true
}

func (f *Forest) proved(now time.Time, p *peer) {
	if p.shown.tried {
		f.trials.left, p.shown.tried = f.hopes(now)+1, false
	}
}

// asker is one whose answer waits until it has shown what it gives.
type asker struct {
	id    membership.NodeID
	m     *Subscribe
	until time.Time
}

// hearFirst reports whether somebody is asked what it gives before it is answered: its word
// alone would win it a place. Of more than maxAskers the others are answered at once, as
// if they had shown nothing.
func (f *Forest) hearFirst(now time.Time, b *branch, from membership.NodeID, m *Subscribe) bool {
	p := f.peers[from]
	if m.Standby || b.child(from) >= 0 || f.room() || !f.shares(from) || f.worth(now, from) != claims || !p.shown.stale(now) || now.Before(p.shown.again) {
		return false
	}
	if _, c := f.victimFor(now, b, from, m, claims); c == nil {
		return false
	}
	if _, c := f.victimFor(now, b, from, m, rides); c != nil {
		return false
	}
	f.askToShow(now, from)
	f.askers = slices.DeleteFunc(f.askers, func(a asker) bool { return a.id == from && a.m.Stripe == m.Stripe })
	if len(f.askers) >= maxAskers {
		return false
	}
	f.askers = append(f.askers, asker{from, m, now.Add(answerWait)})
	return true
}

// answer answers who waited, now that it has shown what it gives, or did not in time.
func (f *Forest) answer(now time.Time, ready func(*asker) bool) {
	var of []asker
	f.askers = slices.DeleteFunc(f.askers, func(a asker) bool {
		if ready(&a) {
			of = append(of, a)
			return true
		}
		return false
	})
	for _, a := range of {
		if f.peers[a.id] != nil {
			f.admit(now, f.branches[a.m.Stripe], a.id, a.m)
		}
	}
}
