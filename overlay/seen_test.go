package overlay

import (
	"math/rand/v2"
	"testing"
)

// The slow twin: a set, cut to the span below the newest.
func TestSeenTwin(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s seen
		got := map[uint64]bool{}
		base, newest := rnd.Uint64N(1000), uint64(0)
		for range 400 {
			n := base + rnd.Uint64N(40)
			if rnd.IntN(100) == 0 {
				base += rnd.Uint64N(2 * seenSpan)
			}
			base += rnd.Uint64N(3)
			s.add(n)
			if len(got) == 0 || n+seenSpan > newest {
				got[n] = true
			}
			newest = max(newest, n)
			for k := range got {
				if k+seenSpan <= newest {
					delete(got, k)
				}
			}
			want := newest
			for k := range got {
				want = min(want, k)
			}
			// What was dropped below the span is missing no more, so the run may
			// begin at the span's edge.
			if edge := newest - min(newest, seenSpan-1); s.lowest == edge {
				want = edge
			}
			for want <= newest && got[want] {
				want++
			}
			if s.missing() != want {
				t.Fatalf("seed %d: first missing %d, want %d", seed, s.missing(), want)
			}
			from, whole := newest-min(newest, rnd.Uint64N(12)), true
			for n := max(from, s.lowest); n <= newest; n++ {
				whole = whole && got[n]
			}
			if s.whole(from, newest) != whole || s.whole(from, newest+1) {
				t.Fatalf("seed %d: %d to %d whole: %v, want %v", seed, from, newest, !whole, whole)
			}
		}
	}
}
