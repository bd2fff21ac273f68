package overlay

import (
	"testing"
	"time"
)

// TestCourted: the shards of one who was asked are to its credit while it may accept, and
// not for as long as nobody else is asked.
func TestCourted(t *testing.T) {
	p := newPool(t, 0, func(_ string, m *Subscribe) Message { return &Refuse{Stream: m.Stream, Stripe: m.Stripe, Reason: Full} })
	p.knows("source", 0, 0)
	for _, name := range []string{"a", "b", "c"} {
		p.knows(name, 1, 0)
	}
	p.run(2 * time.Minute)
	clear(p.asked)
	for p.asked["a"] == 0 {
		p.run(p.info.BlockTime)
	}
	if !p.forest.Feeds(nodeID("a"), 1) {
		t.Error("who was asked just now may not feed")
	}
	if asked := p.run(courtTime + 2*tidyEvery); asked > 0 {
		t.Fatalf("%d were asked meanwhile", asked)
	}
	if p.forest.Feeds(nodeID("a"), 1) {
		t.Error("who was asked long ago may feed still")
	}
}
