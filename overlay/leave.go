package overlay

import (
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Leave says goodbye: children are told who else feeds them and are fed for
// farewell more, parents are left at the end of it. It returns when it is over.
func (f *Forest) Leave(now time.Time) time.Time {
	f.leaving = true
	children := false
	for _, b := range f.branches {
		b.search = nil
		children = children || len(b.children) > 0
		for i := range b.children {
			f.dismiss(now, b, &b.children[i], Leaving)
		}
	}
	if !children {
		f.Close()
		return now
	}
	return now.Add(farewell)
}

// HandOver has all children find other parents, as who leaves does, and stays: for one
// that has no slots any more, and may have some later.
func (f *Forest) HandOver(now time.Time) {
	if f.leaving {
		return
	}
	for _, b := range f.branches {
		for i := range b.children {
			if b.children[i].evict.IsZero() {
				f.dismiss(now, b, &b.children[i], Leaving)
			}
		}
	}
}

// Close leaves all parents and children at once.
func (f *Forest) Close() {
	f.leaving = true
	for _, b := range f.branches {
		b.search = nil
		f.leaveParent(b)
		for len(b.children) > 0 {
			f.removeChild(b, b.children[0].id)
		}
	}
}

func (f *Forest) leaveParent(b *branch) {
	if b.parent.IsZero() {
		return
	}
	f.send(b.parent, &Leave{Stream: f.cfg.Info.Stream, Stripe: b.stripe})
	b.former = b.parent
	b.parent = membership.NodeID{}
	f.reroute(b, nil)
}

// leaveQuietly leaves the parent; to children the stripe's path stays as it was.
func (f *Forest) leaveQuietly(b *branch) {
	path := b.path
	f.leaveParent(b)
	f.reroute(b, path)
}
