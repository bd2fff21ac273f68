//go:build linux

package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMemoryStaysFlat runs a pool for long, in which viewers come and go and
// relays die, and compares what its processes hold in memory after a third of the
// time and at the end.
func TestMemoryStaysFlat(t *testing.T) {
	const growth, sample = 1.15, 2 * time.Second
	length, err := time.ParseDuration(os.Getenv("STRIPECAST_SOAK"))
	if err != nil || length < time.Minute {
		t.Skip("STRIPECAST_SOAK=3m runs the soak for 3 minutes; it takes at least 1m")
	}
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--upload", "30M")
	relays := startRelays(t, 6, link)
	carrying(t, relays...)
	var viewers []*node
	for i := range 3 {
		viewers = append(viewers, startViewer(t, fmt.Sprintf("viewer %d", i+1), link, "-o", os.DevNull))
	}
	playing(t, viewers...)
	readHTTP(t, "client", viewers[0].url+"stream")

	watched := slices.Concat([]*node{source}, relays, viewers)
	held := make([][]int, len(watched))
	skipped := make([]uint64, len(viewers))
	last := "no visit yet"
	began := time.Now()
	tick := time.NewTicker(sample)
	defer tick.Stop()
	for n := 0; time.Since(began) < length; n++ {
		<-tick.C
		for i, w := range watched {
			held[i] = append(held[i], rss(t, w))
		}
		for i, v := range viewers {
			if s := v.status(t); s.Blocks.Skipped != skipped[i] {
				t.Logf("after %v %s has skipped %d blocks, spare %d; %s; %s", time.Since(began).Round(time.Second),
					v.name, s.Blocks.Skipped, s.Spare, last, load())
				skipped[i] = s.Blocks.Skipped
			}
		}
		if n%10 == 9 {
			last = visit(t, link, n)
			last += fmt.Sprintf(" after %v", time.Since(began).Round(time.Second))
		}
	}
	noneSkipped(t, viewers...)

	var table strings.Builder
	for i, w := range watched {
		n := len(held[i])
		early, late := median(held[i][n/3:n/3+n/10+1]), median(held[i][n-n/10-1:])
		fmt.Fprintf(&table, "\n%-10s %7d kB after 1/3, %7d kB at the end (%+.1f %%), most %d kB",
			w.name, early, late, 100*(float64(late)/float64(early)-1), slices.Max(held[i]))
		if float64(late) > growth*float64(early) {
			t.Errorf("%s grew from %d to %d kB", w.name, early, late)
		}
	}
	t.Logf("resident memory over %v (%s):%s", length, load(), table.String())
}

// visit is a viewer and a relay that come and go, in turn politely and not.
func visit(t *testing.T, link string, n int) string {
	t.Helper()
	viewer, relay := startViewer(t, "visitor", link), startRelay(t, "visiting relay", link)
	playing(t, viewer)
	relay.ready(t)
	carrying(t, relay)
	sig := syscall.SIGTERM
	if n/10%2 == 1 {
		sig = syscall.SIGKILL
	}
	viewer.signal(t, sig)
	relay.signal(t, sig)
	viewer.exit(t, patience)
	relay.exit(t, patience)
	return "the last visitors ended by " + sig.String()
}

var rssLine = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// rss is a process's resident memory in kB.
func rss(t *testing.T, n *node) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	m := rssLine.FindSubmatch(b)
	if err != nil || m == nil {
		t.Fatalf("%s: %v", n.name, err)
	}
	kb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

func median(v []int) int {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
