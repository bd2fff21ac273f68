package relay

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// TestSizingGuide: the figures of docs/sizing.md are those by which upload is planned.
func TestSizingGuide(t *testing.T) {
	b, err := os.ReadFile("../docs/sizing.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, line := range strings.Split(string(b), "\n") {
		var rate float64
		if _, err := fmt.Sscanf(line, "| %g | 0.", &rate); err != nil {
			if _, err := fmt.Sscanf(line, "| %g | 1.", &rate); err != nil {
				continue
			}
		}
		rows++
		info := stripe.Info{Layout: stripe.DefaultLayout, BlockTime: 100 * time.Millisecond, Rate: uint64(rate * 1e6)}
		slot, n, k := info.SlotRate()/1e6, float64(info.Layout.N()), float64(info.Layout.K)
		slots := func(upload float64) int { return (&Core{cfg: Config{Upload: upload}}).slots(info, false) }
		want := fmt.Sprintf("| %g | %.3f | %.2f | %.3f | %.2f | %.2f | %d | %d | %d |",
			rate, slot, n*slot/1.1, slot/1.1, k*slot/stripe.SourceMost, 2*n*slot/stripe.SourceShare, slots(5e6), slots(20e6), slots(100e6))
		if line != want {
			t.Errorf("docs/sizing.md says\n%s\nand it is\n%s", line, want)
		}
	}
	if rows < 5 {
		t.Errorf("%d rows were found", rows)
	}
}
