package relay

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// TestCapacity: another figure for the upload is other slots at once, and a record
// that says so.
func TestCapacity(t *testing.T) {
	r := newRig(t, Config{Upload: 2e6, Gossips: true})
	before := r.core.Status(r.now).Streams[0].Slots
	for _, upload := range []float64{8e6, 1e6, 0} {
		r.out = nil
		r.in(Capacity{Upload: upload})
		r.pass(2 * time.Second)
		want := int(upload * 0.85 * 0.875 / r.info.SlotRate())
		if got := r.core.Status(r.now).Streams[0].Slots; got != want || got == before {
			t.Errorf("%v: %d slots, want %d, before it %d", upload, got, want, before)
		}
		before = want
		said := -1
		for _, o := range r.out {
			if a, ok := o.(Advertise); ok {
				rec, err := membership.OpenRecord(a.Record)
				if err != nil {
					t.Fatal(err)
				}
				said = rec.Slots
			}
		}
		if said != want {
			t.Errorf("%v: the record says %d slots, want %d", upload, said, want)
		}
		if got, most := r.core.past.Rate(), upload; got > most {
			t.Errorf("%v: newcomers get %v", upload, got)
		}
	}
}
