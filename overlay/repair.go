package overlay

import "time"

// When a node dies, all below it fall silent at once, but only its children have
// to find another parent. They tell those below that they are at it; who hears
// that stays where it is, for a while. It is said before the others' patience is
// at its end.

// warnAt is when a stripe's children are next to be told that it is being repaired.
func (f *Forest) warnAt(b *branch) (at time.Time, ok bool) {
	switch {
	case len(b.children) == 0 || b.made || f.cfg.Source || f.ended || len(b.path) == 0:
		return at, false
	case b.parent.IsZero():
		at = b.calm
	case b.tardy > tardyMost/2:
		at = b.heard
	case b.late.IsZero():
		return at, false
	default:
		at = b.late.Add(f.patience(b) * 2 / 3)
	}
	if !b.warned.IsZero() {
		at = later(at, b.warned.Add(repairWait))
	}
	return at, true
}

// warn tells a stripe's children that it is being repaired.
func (f *Forest) warn(now time.Time, b *branch) {
	b.warned = now
	for _, c := range b.children {
		f.send(c.id, &Repairing{Stream: f.cfg.Info.Stream, Stripe: b.stripe})
	}
}

// repairing waits for the parent to find another, instead of doing so ourselves.
func (f *Forest) repairing(now time.Time, b *branch) {
	b.repairing = now
	b.tardy = 0
	if s := b.search; s != nil && s.replace && s.silent && !s.probe {
		b.search = nil
	}
}

// silentAt is when a stripe that is late has been so for too long: later if the
// parent says that it is being repaired, but not for ever.
func (f *Forest) silentAt(b *branch) time.Time {
	at := b.late.Add(f.patience(b))
	if b.repairing.IsZero() {
		return at
	}
	return later(at, earlier(b.repairing.Add(repairWait), at.Add(repairMax)))
}
