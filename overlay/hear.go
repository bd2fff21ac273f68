package overlay

import (
	"fmt"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Heard takes a message about this stream from a connected peer.
func (f *Forest) Heard(now time.Time, from membership.NodeID, m Message) {
	p := f.peers[from]
	if p == nil {
		return
	}
	if m, ok := m.(*Live); ok {
		p.live = m.Stripes
		return
	}
	b := f.branchOf(m)
	if b == nil {
		return
	}
	switch m := m.(type) {
	case *Subscribe:
		f.admit(now, b, from, m)
	case *Accept:
		f.accepted(now, b, from, m.Path)
	case *Refuse:
		f.refused(now, b, from, m)
	case *Leave:
		b.served(from)
		f.removeChild(b, from)
	case *Drop:
		f.dropped(now, b, from, m)
	case *Route:
		f.rerouted(now, b, from, m.Path)
	case *Repairing:
		if b.parent == from {
			f.repairing(now, b)
		}
	case *Promise:
		f.promised(now, b, from, m.Path)
	default:
		panic(fmt.Sprintf("overlay: Forest heard %T", m))
	}
	f.Step(now)
}

func (f *Forest) branchOf(m Message) *branch {
	about, ok := m.(branched)
	if !ok {
		panic(fmt.Sprintf("overlay: Forest heard %T", m))
	}
	if s := about.at(); s < len(f.branches) {
		return f.branches[s]
	}
	return nil
}
