package wide

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/sim/table"
)

var riders = flag.Int("riders", 100, "participants of the table with riders")

// momentary is the share of looks at which who gives may be found with fewer than k
// stripes: it loses some when others make room, and there is no pull here.
const momentary = 0.002

// believed is the share of looks at which one that lies may have k stripes: while it is
// thought to be new it is served like who gives.
const believed = 0.1

// TestRidersTable: who gives is not short for those who give nothing, whether they say so or
// not; to say that one gives and not to do so brings no more than to say nothing; and nobody
// is shut out.
func TestRidersTable(t *testing.T) {
	table.Asked(t, "Table")
	l := stripe.Layout{K: 8, M: 2} // half the stripes are work enough
	if *layout != "" {
		var err error
		if l, err = stripe.ParseLayout(*layout); err != nil {
			t.Fatal(err)
		}
	}
	for _, lie := range []float64{0, 0.5} {
		t.Run(fmt.Sprintf("%.0f %% lie", 100*lie), func(t *testing.T) {
			r := ExperimentRiders(RidersConfig(*seed, *riders, l, 1.2, lie))
			t.Logf("%d participants, k slots for all are %.2f of what there is; %d give: fewer than k at %.4f %% of looks; %d give nothing and say so: k at %.1f %%, %.1f stripes; %d lie: %.1f %%, %.1f stripes; control %.0f B/s without gossip; who gives has k after p50 / p95 / max %s",
				r.N, r.Want, r.Givers, 100*r.GiverShort, r.Riders, 100*r.RiderWell, r.RiderHas, r.Liars, 100*r.LiarWell, r.LiarHas, r.Bytes, three(r.FirstK))
			if r.Givers == 0 || r.Looks == 0 || r.Want < 1.15 {
				t.Fatal("no test")
			}
			if r.GiverShort > momentary {
				t.Errorf("who gives has fewer than k stripes at %.4f %% of looks", 100*r.GiverShort)
			}
			if r.LiarWell > believed || r.LiarHas > 1.1*r.RiderHas {
				t.Errorf("who lies has k stripes at %.1f %% of looks, and %.1f on average; who does not %.1f", 100*r.LiarWell, r.LiarHas, r.RiderHas)
			}
			if r.RiderHas < float64(l.K)/4 {
				t.Errorf("who gives nothing and says so has %.1f stripes", r.RiderHas)
			}
		})
	}
}
