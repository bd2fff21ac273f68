//go:build linux

package netns

import (
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe/ts"
)

// TestEye: what is watched is seen as it is: whole, with a hole, forged, late.
func TestEye(t *testing.T) {
	const at, hole, more = 1000 * packet, 30 * packet, 400 * packet
	now := time.Now()
	given := newCamera(t)
	given.given = make([]byte, 4000*packet)
	if _, err := io.ReadFull(given.stream, given.given); err != nil {
		t.Fatal(err)
	}
	given.times = []moment{{len(given.given), now}}
	first, second := given.given[at:at+more/2], given.given[at+more/2:at+more]
	forged := slices.Clone(second)
	forged[10*packet+20] ^= 1
	marked := slices.Concat(first, ts.MarkGap(second[hole:]), second[hole:])
	for _, c := range []struct {
		name         string
		bytes        []byte
		right, wrong int
		gaps         int
	}{
		{"whole", slices.Concat(first, second), more, 0, 0},
		{"a hole", slices.Concat(first, second[hole:]), more - hole, 0, 1},
		{"a marked hole", marked, more - hole, 0, 1},
		{"one bit", slices.Concat(first, forged), more - packet, packet, 1},
		{"noise", slices.Concat(first, make([]byte, more/2)), more / 2, more/2 - (anchor + maxMarkers*packet) + packet, 0},
		{"noise at first", slices.Concat(make([]byte, 10*packet), first, second), more, 10 * packet, 0},
	} {
		e := newEye(given)
		for chunk := range slices.Chunk(c.bytes, 7*packet+5) {
			e.Write(chunk)
		}
		got := e.seen(now)
		if got.right != c.right || got.wrong != c.wrong || got.gaps != c.gaps {
			t.Errorf("%s: right %d, wrong %d, gaps %d, want %d, %d, %d", c.name, got.right, got.wrong, got.gaps, c.right, c.wrong, c.gaps)
		}
	}

	// It was given two seconds ago, but for the end: that was a second later.
	now = time.Now()
	given.times = []moment{{at + more, now.Add(-2 * time.Second)}, {len(given.given), now.Add(-time.Second)}}
	e := newEye(given)
	e.Write(first)
	e.mark()
	e.Write(second)
	if got := e.seen(now).stood; got != 0 {
		t.Errorf("what is as old as usual: %v", got)
	}
	const late = 3 * time.Second // two of them are usual for the end, and one second later it was given
	if got, want := e.seen(now.Add(late)).stood, late-time.Second-jitter; got < want-100*time.Millisecond || got > want {
		t.Errorf("what has not come for %v: the picture stood still for %v, want %v", late, got, want)
	}
}
