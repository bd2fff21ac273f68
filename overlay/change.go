package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Change is one change of a stripe's parent.
type Change struct {
	At     time.Time
	Stripe int
	From   membership.NodeID // the parent before; zero for a stripe's first
	To     membership.NodeID
	Gap    time.Duration // from the last shard of the stripe until To accepted
	Lost   bool          // From had fallen silent, came too late, or was out of reach
}

// Changes is the last changes of parents, oldest first, maxChanges at the most.
func (f *Forest) Changes() []Change { return slices.Clone(f.changes) }

// note remembers that a stripe's parent was found. It is told before the stripe is.
func (f *Forest) note(now time.Time, b *branch, to membership.NodeID) {
	c := Change{At: now, Stripe: b.stripe, From: b.former, To: to}
	if !b.lost.IsZero() {
		c.From, c.Lost = b.lost, true
	}
	if !c.From.IsZero() {
		c.Gap = now.Sub(b.heard)
		// With no search under way only a branch that nothing comes on takes anybody.
		c.Lost = c.Lost || b.search != nil && b.search.silent || b.search == nil && b.goBy.IsZero()
	}
	if len(f.changes) >= maxChanges {
		f.changes = slices.Delete(f.changes, 0, 1)
	}
	f.changes = append(f.changes, c)
	b.lost = membership.NodeID{}
}
