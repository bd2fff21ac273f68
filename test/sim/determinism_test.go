package sim

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// small is a pool in which a little of everything happens, but for storms.
func small(seed uint64) *World {
	w := New(DefaultConfig(seed))
	w.AddSource(20 * mbit)
	crowd(w, 8, 10, 8*mbit, 1.5*mbit)
	w.After(3*time.Second, func() { w.Crash(w.pick("relay")) })
	w.After(4*time.Second, func() { w.SetNet(Conditions{Loss: 0.05, Reorder: 0.2, Jitter: 30 * time.Millisecond, Duplicate: 0.1}) })
	w.Run(6 * time.Second)
	return w
}

// TestDeterminism: the same seed is the same run, on any number of processors,
// and another seed is another.
func TestDeterminism(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(seed uint64) *World
		seed uint64
	}{
		{"calm", small, 10},
		{"storm", func(seed uint64) *World { return storm(seed, 8*time.Second, func(string, ...any) {}) }, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			type run struct{ hash, events uint64 }
			seen := map[run]string{}
			var first run
			for i, procs := range []int{1, 2, 1} {
				before := runtime.GOMAXPROCS(procs)
				w := c.run(c.seed + uint64(i/2))
				runtime.GOMAXPROCS(before)
				var r run
				r.hash, r.events = w.Trace()
				name := fmt.Sprintf("seed %d with %d processors", c.seed+uint64(i/2), procs)
				t.Logf("%s: trace %x of %d events", name, r.hash, r.events)
				switch {
				case i == 0:
					first = r
				case i == 1 && r != first:
					t.Errorf("one seed, two runs: %x of %d events, and %x of %d", first.hash, first.events, r.hash, r.events)
				case i == 2 && seen[r] != "":
					t.Errorf("two seeds, one run: %s and %s", seen[r], name)
				}
				seen[r] = name
			}
		})
	}
}
