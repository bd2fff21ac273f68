package sim

import (
	"fmt"
	"testing"
	"time"
)

func timeline(t *testing.T, w *World, total time.Duration) {
	var last [10]int
	for w.t < total {
		b := w.source.next
		f := w.source.Figures.Forwards
		w.Run(time.Second)
		var d [10]int
		for i := range d {
			d[i] = w.audit.kinds[i] - last[i]
		}
		last = w.audit.kinds
		skipped, live, homes := 0, 0, ""
		orph := 0
		for _, n := range w.nodes {
			if n.player != nil && n.player.buffer != nil {
				skipped += int(n.player.buffer.Stats().Skipped)
			}
			if !n.alive {
				continue
			}
			st := n.Status()
			for _, x := range st.Streams {
				if x.Source {
					continue
				}
				live += x.Live
				h := 0
				for _, y := range x.Stripes {
					if y.Home {
						h++
					}
					if y.Wanted && y.Parent.IsZero() {
						orph++
					}
				}
				homes += fmt.Sprintf(" %d/%d/%d", h, x.Children, x.Slots)
			}
		}
		blocks := max(1, int(w.source.next-b))
		t.Logf("%v egress %.1f skipped %d live %d orphans %d HASSARLDR %v homes%s", w.t, float64(w.source.Figures.Forwards-f)/float64(blocks), skipped, live, orph, d[1:], homes)
	}
}

func TestDebug(t *testing.T) {
	w := New(DefaultConfig(1))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	timeline(t, w, 60*time.Second)
	for _, n := range w.nodes {
		if n.player != nil {
			t.Log(n.Name, n.player.skips, n.player.buffer.Stats())
		}
	}
}
