package overlay

import (
	"time"

	"github.com/stripecast/stripecast/membership"
)

// doubt takes a parent for dead that is silent in every stripe that it should feed
// us: its connection tells that only much later, and its home stripes may need
// somebody else at once.
func (f *Forest) doubt(now time.Time, id membership.NodeID) {
	for _, b := range f.branches {
		if b.parent == id && (!f.silent(now, b) || b.got && f.head < b.last+2) {
			return // or nobody else has anything newer: the source pauses
		}
	}
	f.takeForDead(id)
}

func (f *Forest) takeForDead(id membership.NodeID) {
	if p := f.peers[id]; p != nil && !p.mute && !f.isRoot(id) {
		p.mute = true
		f.book.Doubt(id)
	}
}

// speaks ends that.
func (f *Forest) speaks(p *peer, id membership.NodeID) {
	if p.mute {
		p.mute = false
		f.book.Confirm(id)
	}
}
