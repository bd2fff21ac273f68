package membership

import (
	"testing"
	"time"
)

// TestAsker: who is fed asks one peer, ever more seldom; who lacks parents asks three,
// soon again as long as that tells it of others, and no longer than it knows few.
func TestAsker(t *testing.T) {
	a := Asker{}
	for _, c := range []struct {
		known int
		needy bool
		peers int
		pause time.Duration
	}{
		{5, false, 1, 500 * time.Millisecond},
		{9, false, 1, time.Second},
		{9, false, 1, 2 * time.Second},
		{9, true, 3, 500 * time.Millisecond}, // more than it knew when it lacked them last
		{9, true, 3, time.Second},            // nobody new
		{9, true, 3, 2 * time.Second},
		{10, true, 3, 500 * time.Millisecond},
		{fewKnown, true, 1, time.Second}, // it knows enough
		{fewKnown + 1, true, 1, 2 * time.Second},
		{fewKnown + 2, true, 1, 4 * time.Second},
		{fewKnown + 3, true, 1, 5 * time.Second},
	} {
		peers, pause := a.Next(c.known, c.needy)
		if peers != c.peers || pause != c.pause {
			t.Errorf("%d known, needy %v: %d are asked, and again after %v; not %d, %v", c.known, c.needy, peers, pause, c.peers, c.pause)
		}
	}
	a.Hurry()
	if _, pause := a.Next(fewKnown, false); pause != 500*time.Millisecond {
		t.Errorf("in a hurry it waits for %v", pause)
	}
}
