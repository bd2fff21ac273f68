//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cpu is how long a process has run on any processor.
func (p *proc) cpu(t testing.TB) time.Duration {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		t.Skipf("the system does not tell what %s has used: %v", p.name, err)
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // a thread that has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// BenchmarkPlayers: what a viewer's process uses with twenty players, over what it uses
// with one, while it takes, checks and rebuilds the stream for all of them once.
func BenchmarkPlayers(b *testing.B) {
	const each, players = 5 * time.Second, 20
	viewer, _ := startLoop(b)
	measure := func(n int) time.Duration {
		stop := make(chan struct{})
		done := make(chan int64, n)
		for range n {
			go func() { done <- takeStream(viewer.url+"stream", stop) }()
		}
		eventually(b, patience, "the players play", func() bool {
			st, err := viewer.look()
			return err == nil && st.Blocks.Played > 0
		})
		pass(time.Second, viewer.proc) // what newcomers burst is over
		before, from := viewer.cpu(b), time.Now()
		pass(each, viewer.proc)
		used := time.Duration(float64(viewer.cpu(b)-before) / time.Since(from).Seconds())
		close(stop)
		for range n {
			if got := <-done; got < 100_000 {
				b.Errorf("a player of %d got %d bytes", n, got)
			}
		}
		return used
	}
	var one, all time.Duration
	for b.Loop() {
		one += measure(1)
		all += measure(players)
	}
	b.ReportMetric(one.Seconds()*1000/float64(b.N), "ms/s-of-1")
	b.ReportMetric(all.Seconds()*1000/float64(b.N), "ms/s-of-20")
	b.ReportMetric(all.Seconds()/one.Seconds(), "times")
	b.ReportMetric(0, "ns/op")
	noneSkipped(b, viewer)
}

// takeStream reads a URL until stop is closed, and says how much came.
func takeStream(url string, stop <-chan struct{}) (n int64) {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	closed := make(chan struct{})
	go func() {
		<-stop
		resp.Body.Close()
		close(closed)
	}()
	n, _ = io.Copy(io.Discard, resp.Body)
	<-closed
	return n
}
