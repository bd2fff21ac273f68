package overlay

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Data stripes come before parity, all once before any twice; and two of each only
// while the upload stays below 1.1 times what the bare shards of two are.
func TestQuota(t *testing.T) {
	info := stripe.Info{Layout: stripe.DefaultLayout, BlockTime: 100 * time.Millisecond, Rate: 5_000_000}
	for _, c := range []struct {
		slots        int
		data, parity int // roots in all of them
	}{
		{0, 0, 0}, {5, 5, 0}, {16, 16, 0}, {18, 16, 2}, {20, 16, 4}, {21, 17, 4}, {36, 32, 4}, {1000, 32, 4},
	} {
		data, parity := 0, 0
		for s := range 20 {
			if q := quota(c.slots, info, s); s < 16 {
				data += q
			} else {
				parity += q
			}
		}
		if data != c.data || parity != c.parity {
			t.Errorf("%d slots: %d roots of data stripes and %d of parity, want %d and %d", c.slots, data, parity, c.data, c.parity)
		}
	}
	roots := 0
	for s := range 20 {
		roots += quota(1000, info, s)
	}
	if most := 1.05 * Roots * 20 / 16 * float64(info.Rate); float64(roots)*info.SlotRate() > most {
		t.Errorf("%d roots cost more than %.0f", roots, most)
	}
}
