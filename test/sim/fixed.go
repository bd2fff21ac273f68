package sim

import (
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// A forest takes the shape that its participants know of. With Config.Knows a test
// gives it one: who knows only one parent has only that one to choose.

func (w *World) knows(n, of *Node) bool { return w.Knows == nil || w.Knows(n, of) }

// hides reports whether a record is of somebody whom a node may not know.
func (w *World) hides(n *Node, record []byte) bool {
	id, err := membership.RecordNode(record)
	of := w.byID[id]
	return err == nil && of != nil && of != n && !w.knows(n, of)
}

// hidden takes what a node may not know from a message to it, and reports whether
// nothing is left of the message.
func (w *World) hidden(n *Node, m overlay.Message) bool {
	if w.Knows == nil {
		return false
	}
	rest := func(records [][]byte) [][]byte {
		return slices.DeleteFunc(records, func(r []byte) bool { return w.hides(n, r) })
	}
	switch m := m.(type) {
	case *overlay.Hello:
		return w.hides(n, m.Record)
	case *overlay.Sample:
		m.Records = rest(m.Records)
	case *overlay.Refuse:
		m.Alternatives = rest(m.Alternatives)
	case *overlay.Drop:
		m.Alternatives = rest(m.Alternatives)
	}
	return false
}

// madeIn are the blocks made from one time to another.
func (w *World) madeIn(from, to time.Duration) (blocks []*made) {
	s := w.source
	for i := s.next; i > 0; i-- {
		m := s.truth[blockID{s.epoch, i - 1}]
		if m.at < from {
			break
		}
		if m.at < to {
			blocks = append(blocks, m)
		}
	}
	return blocks
}

// came are the shards of a block that came to a node by now.
func (n *Node) came(m *made) uint64 { return n.ledger.at(m.id).here }

// decodes reports whether they are k.
func (n *Node) decodes(m *made) bool { return bits.OnesCount64(n.came(m)) >= n.w.Layout.K }

// place is where a node stands in one stripe.
type place struct {
	parent *Node // nil if there is none
	passes bool  // it has children, or could have
}

// places is where everybody stands, by node and stripe.
func (w *World) places() [][]place {
	all := make([][]place, len(w.nodes))
	for i, n := range w.nodes {
		all[i] = make([]place, w.Layout.N())
		if !n.alive {
			continue
		}
		for _, st := range n.Status().Streams {
			for s, b := range st.Stripes {
				all[i][s].passes = b.Home || b.Children > 0
				if b.Live { // who says so and feeds nothing is no parent
					all[i][s].parent = w.byID[b.Parent]
				}
			}
		}
	}
	return all
}

// survives says, by stripe, what comes to every node if these are dead and nobody
// looks for another parent; remade says that who gets k stripes makes what it
// passes on. It is worked out from the forest alone, shard by shard, without the
// participants.
func (w *World) survives(at [][]place, dead []bool, remade bool) (comes []uint64) {
	comes = make([]uint64, len(at))
	has := make([]uint64, len(at)) // comes, and what is made
	has[w.source.index] = 1<<w.Layout.N() - 1
	for again := true; again; {
		again = false
		for i := range at {
			if dead[i] || i == w.source.index {
				continue
			}
			for s, p := range at[i] {
				bit := uint64(1) << s
				if p.parent != nil && !dead[p.parent.index] && comes[i]&bit == 0 && has[p.parent.index]&bit != 0 {
					comes[i] |= bit
					has[i] |= bit
					again = true
				}
			}
			if !remade || bits.OnesCount64(comes[i]) < w.Layout.K {
				continue
			}
			for s, p := range at[i] {
				if bit := uint64(1) << s; p.passes && has[i]&bit == 0 {
					has[i] |= bit
					again = true
				}
			}
		}
	}
	return comes
}
