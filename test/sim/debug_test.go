package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
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

func explain(t *testing.T, w *World) {
	got := map[*Node]map[uint64]string{}
	w.debugShard = func(n *Node, from *Node, number uint64, index int) {
		if n.player == nil {
			return
		}
		if got[n] == nil {
			got[n] = map[uint64]string{}
		}
		got[n][number] += fmt.Sprintf(" %d<%s@%dms", index, from.Name, w.t.Milliseconds())
	}
	w.debugSkip = func(n *Node, number uint64) {
		st := n.Status().Streams[0]
		out := ""
		for _, b := range st.Stripes {
			p := w.byID[b.Parent]
			name := "-"
			if p != nil {
				name = p.Name
			}
			out += fmt.Sprintf(" %d:%s", b.Stripe, name)
			if !b.Live {
				out += "(dead)"
			}
		}
		t.Logf("%v %s skips %d\n\tnow%s\n\tgot%s", w.t, n.Name, number, out, got[n][number])
	}
}

func TestExplain(t *testing.T) {
	w := New(DefaultConfig(1))
	explain(t, w)
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(9 * time.Second)
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

func TestSlow(t *testing.T)      { slow(t, 30, (*World).Crash, 850*time.Millisecond) }
func TestSlowLeave(t *testing.T) { slow(t, 4, (*World).Leave, 450*time.Millisecond) }

func slow(t *testing.T, seed uint64, kill func(*World, *Node), limit time.Duration) {
	every := 5 * time.Second
	w := New(DefaultConfig(seed))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(8 * time.Second)
	said := map[*Node]string{}
	w.debugSay = func(from, to *Node, m overlay.Message, heard bool) {
		if from == nil || to == nil {
			return
		}
		text := ""
		switch m := m.(type) {
		case nil:
			text = "dial"
		case *overlay.Subscribe:
			text = fmt.Sprintf("sub %d newer=%v last=%v", m.Stripe, m.IfNewer, m.LastResort)
		case *overlay.Accept:
			text = fmt.Sprintf("accept %d", m.Stripe)
		case *overlay.Refuse:
			text = fmt.Sprintf("refuse %d %v %d", m.Stripe, m.Reason, len(m.Alternatives))
		case *overlay.Drop:
			text = fmt.Sprintf("drop %d %v", m.Stripe, m.Reason)
		case *overlay.Leave:
			text = fmt.Sprintf("leave %d", m.Stripe)
		case *overlay.Route:
			text = fmt.Sprintf("route %d", m.Stripe)
		default:
			return
		}
		if heard {
			said[to] += fmt.Sprintf("\n   %d <%s %s", w.t.Milliseconds(), from.Name, text)
		} else {
			said[from] += fmt.Sprintf("\n   %d >%s %s", w.t.Milliseconds(), to.Name, text)
		}
	}
	w.debugRepair = func(n *Node, r repair) {
		if w.t-r.since > limit {
			t.Logf("%v %s stripe %d from %s: %v%s", w.t, n.Name, r.stripe, r.from.Name, w.t-r.since, said[n])
		}
	}
	for i := range 6 {
		w.After(time.Duration(i)*every, func() {
			for _, n := range w.nodes {
				said[n] = ""
			}
			kill(w, w.pick("relay"))
		})
	}
	w.Run(60 * time.Second)
}

func TestPauseDebug(t *testing.T) {
	w := New(DefaultConfig(7))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	timeline(t, w, 15*time.Second)
	w.source.Hold(true)
	refusals := map[string]int{}
	w.debugSay = func(from, to *Node, m overlay.Message, heard bool) {
		if r, ok := m.(*overlay.Refuse); ok && !heard {
			refusals[r.Reason.String()]++
		}
		if r, ok := m.(*overlay.Subscribe); ok && !heard {
			refusals[fmt.Sprintf("newer %v last %v to source %v", r.IfNewer, r.LastResort, to.Name == "source")]++
		}
	}
	timeline(t, w, 20*time.Second)
	t.Log(refusals)
}

func TestProf(t *testing.T) {
	w := New(DefaultConfig(10))
	w.AddSource(20 * mbit)
	crowd(w, 30, 80, 8*mbit, 1.5*mbit)
	w.Run(15 * time.Second)
}
