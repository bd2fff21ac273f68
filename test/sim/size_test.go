package sim

import (
	"flag"
	"fmt"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

var (
	size   = flag.Int("size", 0, "run a pool of so many participants")
	length = flag.Duration("length", time.Minute, "for so long")
)

// sized is a world of n participants, a quarter of them relays, that come within
// four seconds; the stream is the 5 Mbit/s of everyday. Relays are told of the
// source, viewers of three relays: no link names the source to everybody.
func sized(seed uint64, n int) *World {
	cfg := DefaultConfig(seed)
	cfg.Rate = 5 * mbit
	w := New(cfg)
	w.AddSource(20 * cfg.Rate)
	relays := n * 27 / 100
	crowd(w, relays, 0, 8*cfg.Rate, 0)
	for i := range n - 1 - relays {
		up := []float64{1.5 * cfg.Rate, 0}[i%2]
		w.After(w.between(time.Second/2, 4*time.Second), func() {
			var hosts []*Node
			for range min(3, w.living("relay")) {
				hosts = append(hosts, w.pick("relay"))
			}
			w.AddViewer(fmt.Sprintf("viewer%d", i), up, hosts...)
		})
	}
	return w
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestSize: as many participants as -size says watch for -length. A thousand and
// a minute take less than five minutes.
func TestSize(t *testing.T) {
	if *size == 0 {
		t.Skip("takes minutes: go test ./test/sim -run TestSize -v -timeout 30m -size 1000")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	began, used := time.Now(), cpuTime()
	w := sized(21, *size)
	for end := *length; w.Now() < end; {
		w.Run(min(5*time.Second, end-w.Now()))
		_, events := w.Trace()
		t.Logf("%v: %d events, %v of processors", w.Now(), events, (cpuTime() - used).Round(time.Second))
	}
	s := innocent(t, w)
	hash, events := w.Trace()
	cpu := cpuTime() - used
	t.Logf("%d nodes, %v: %d events, trace %x; %v of wall time, %v of processors: %v a participant and minute",
		len(w.nodes), *length, events, hash, time.Since(began).Round(time.Second), cpu.Round(time.Second),
		(time.Duration(float64(cpu) / float64(len(w.nodes)) / length.Minutes())).Round(time.Millisecond))
	e := w.Egress(10*time.Second, w.Now())
	t.Logf("egress %.2f of the stream, %.1f shards a block, ≤ %d", e.Rate, e.Shards, e.Max)
	flawless(t, s)
	if limit := 1.1 * overlay.Roots * float64(w.Layout.N()); e.Shards > limit {
		t.Errorf("the source sends %.1f shards a block, want ≤ %.1f", e.Shards, limit)
	}
}
