package sim

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"
)

var seed = flag.Uint64("seed", 0, "replay this seed")

const mbit = 1e6

// crowd fills a world with relays and viewers that come within a second; every
// other viewer shares.
func crowd(w *World, relays, viewers int, relayUp, viewerUp float64) {
	for i := range relays {
		w.After(w.between(0, time.Second), func() { w.AddRelay(fmt.Sprintf("relay%d", i), relayUp) })
	}
	for i := range viewers {
		up := 0.0
		if i%2 == 0 {
			up = viewerUp
		}
		w.After(w.between(0, time.Second), func() { w.AddViewer(fmt.Sprintf("viewer%d", i), up) })
	}
}

// innocent fails the test if anything happened that never may.
func innocent(t *testing.T, w *World) Summary {
	t.Helper()
	s := w.Sum(5 * time.Second)
	t.Log("\n" + s.String())
	for _, a := range w.Accusations() {
		t.Error(a)
	}
	if s.Spins > 0 {
		t.Errorf("%d wakes left a deadline that had passed", s.Spins)
	}
	if s.Over > 0 {
		t.Errorf("%d times somebody had more children than slots", s.Over)
	}
	return s
}

// TestSteady: nothing goes wrong, and nobody notices anything.
func TestSteady(t *testing.T) {
	w := New(DefaultConfig(1))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	t0 := time.Now()
	w.Run(60 * time.Second)
	s := innocent(t, w)
	h, n := w.Trace()
	t.Logf("wall %v, trace %x, events %d, procs %d", time.Since(t0), h, n, runtime.GOMAXPROCS(0))
	flawless(t, s)
	if limit := 1.1 * 2 * float64(w.Layout.N()); s.Egress > limit {
		t.Errorf("the source sends %.1f shards a block, want ≤ %.1f", s.Egress, limit)
	}
	if s.Deepest > 4 {
		t.Errorf("depth %d", s.Deepest)
	}
}

// flawless fails unless every viewer saw everything.
func flawless(t *testing.T, s Summary) {
	t.Helper()
	if s.Skipped > 0 || s.Behind > 0 || s.Silent > 0 {
		t.Errorf("skipped %d, behind %d, silent %d", s.Skipped, s.Behind, s.Silent)
	}
}
