package sim

import (
	"strings"
	"testing"
	"time"
)

// TestFates: the auditor finds out why blocks were skipped.
func TestFates(t *testing.T) {
	for _, c := range []struct {
		name   string
		strike func(w *World, viewer *Node)
		want   Cause
	}{
		{"walls", func(w *World, viewer *Node) {
			for _, n := range w.Nodes() {
				if n != viewer {
					w.Wall(n, viewer)
				}
			}
			w.After(4*time.Second, w.Heal)
		}, Cut},
		{"partition", func(w *World, viewer *Node) {
			w.Partition(func(n *Node) bool { return n == viewer })
			w.After(4*time.Second, w.Join)
		}, Cut},
		{"clog", func(w *World, viewer *Node) { w.Clog(viewer, 4*time.Second) }, Cut},
		{"stop", func(w *World, viewer *Node) { w.Pause(viewer, 4*time.Second) }, Stopped},
		{"final loss", func(w *World, viewer *Node) { w.SetNode(viewer, Conditions{Final: 0.5}) }, Lost},
		{"slow line", func(w *World, viewer *Node) { w.SetLink(viewer, 0, 0.5*mbit) }, Queue},
		{"delay", func(w *World, viewer *Node) {
			w.SetNode(viewer, Conditions{Reorder: 1, Jitter: 8 * time.Second})
		}, Lost},
		{"all relays die, then the source", func(w *World, viewer *Node) {
			w.Crash(w.all("relay")...)
			w.After(time.Second, func() { w.Crash(w.source.Node) }) // before what others find comes late
		}, Dead},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig(12)
			cfg.Delay = 300 * time.Millisecond // nothing can be repaired in that time
			w := New(cfg)
			w.AddSource(8 * mbit)
			crowd(w, 8, 3, 8*mbit, 0)
			w.Run(8 * time.Second)
			viewer := w.pick("viewer")
			c.strike(w, viewer)
			w.Run(12 * time.Second)
			s := w.Sum(0)
			var skipped, most int
			for cause, blocks := range s.Causes {
				skipped += blocks
				if blocks > s.Causes[most] {
					most = cause
				}
			}
			t.Logf("causes %v, missing shards %v, %d above", s.Causes, s.Short, s.Above)
			if skipped == 0 || Cause(most) != c.want {
				t.Errorf("%d blocks were skipped, most for %v, want %v", skipped, Cause(most), c.want)
			}
			for _, a := range w.Accusations() {
				t.Error(a)
			}
		})
	}
}

// TestUnexplained: a skip for which there is no reason is an accusation.
func TestUnexplained(t *testing.T) {
	w := New(DefaultConfig(12))
	w.AddSource(20 * mbit)
	crowd(w, 3, 1, 8*mbit, 0)
	w.Run(8 * time.Second)
	p := w.pick("viewer").player
	p.skips = append(p.skips, skip{at: w.t, epoch: p.epoch, from: p.next - 3, to: p.next - 2})
	w.Run(5 * time.Second)
	accusations := strings.Join(w.Accusations(), "\n")
	t.Log(accusations)
	if !strings.Contains(accusations, "nothing explains it") || len(w.Accusations()) != 2 {
		t.Error("want two accusations, one for each block")
	}
}
