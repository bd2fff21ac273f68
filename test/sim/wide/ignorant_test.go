package wide

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// TestIgnorant: of 600 who come within a second thirty hear gossip, and many of the
// others meet only each other. Half of all slots are free, and those are soon found.
// When they asked one of each other every five seconds, ten of them had fewer than k
// stripes after twenty.
func TestIgnorant(t *testing.T) {
	cfg := DefaultConfig(1, 600)
	cfg.Layout, cfg.Share, cfg.Slots = stripe.Layout{K: 4, M: 1}, 0.4, 16
	cfg.Members, cfg.Join = 30, time.Second
	w := New(cfg)
	w.Run(11 * time.Second)
	if sh := w.Look(); sh.Short > 0 || sh.Orphans > cfg.N/100 {
		t.Errorf("ten seconds after all came %d have fewer than k stripes, and %d stripes no parent", sh.Short, sh.Orphans)
	}
}
