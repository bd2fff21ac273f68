package sim

import (
	"testing"
	"time"
)

func TestLead(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		w := everyday(seed)
		for range 3 {
			victim := w.pick("relay")
			w.Crash(victim)
			at := w.Now()
			for _, d := range []time.Duration{1500 * time.Millisecond, 3 * time.Second} {
				w.Run(at + d - w.Now())
				for _, n := range w.nodes {
					if !n.alive {
						continue
					}
					for _, r := range n.repairs {
						if w.t-r.since < d {
							continue
						}
						st := n.Status().Streams[0]
						t.Logf("%v %s stripe %d of %s: live %d, slots %d/%d, parent zero %v", w.t, n.Name, r.stripe, victim.Name, st.Live, st.Children, st.Slots, st.Stripes[r.stripe].Parent.IsZero())
						for _, m := range w.nodes {
							if !m.alive || m == n {
								continue
							}
							ms := m.Status().Streams
							if len(ms) == 0 {
								continue
							}
							if b := ms[0].Stripes[r.stripe]; b.Home {
								t.Logf("    home %s: slots %d/%d, live %v depth %d children %d", m.Name, ms[0].Children, ms[0].Slots, b.Live, b.Depth, b.Children)
							}
						}
					}
				}
			}
			w.Run(5 * time.Second)
		}
	}
}
