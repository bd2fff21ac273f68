package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

var (
	seed  = flag.Uint64("seed", 0, "replay this storm")
	seeds = flag.Uint64("seeds", 30, "run so many storms")
)

const mbit = 1e6

// crowd fills a world with relays and viewers the viewers within four seconds; every
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
		w.After(w.between(0, 4*time.Second), func() { w.AddViewer(fmt.Sprintf("viewer%d", i), up) })
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

// large leaves a simulation out under the race detector, which makes it ten times
// slower and has nothing to find: a world has one goroutine.
func large(t *testing.T) {
	t.Helper()
	if underRace {
		t.Skip("too large for the race detector; the others run under it")
	}
}

// TestSteady: nothing goes wrong, and nobody notices anything.
func TestSteady(t *testing.T) {
	large(t)
	w := New(DefaultConfig(1))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(60 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	if limit := 1.1 * 2 * float64(w.Layout.N()); s.Egress > limit {
		t.Errorf("the source sends %.1f shards a block, want ≤ %.1f", s.Egress, limit)
	}
	if s.Depth > 4 {
		t.Errorf("depth %d", s.Depth)
	}
}

// flawless fails unless every viewer saw everything.
func flawless(t *testing.T, s Summary) {
	t.Helper()
	if s.Skipped > 0 || s.Early > 0 || s.Behind > 0 || s.Silent > 0 {
		t.Errorf("skipped %d, %d at the start, behind %d, silent %d", s.Skipped, s.Early, s.Behind, s.Silent)
	}
}

// TestViewersFirst: leaves that the source had to feed go to relays as soon as
// there are some.
func TestViewersFirst(t *testing.T) {
	large(t)
	w := New(DefaultConfig(2))
	w.AddSource(40 * mbit)
	crowd(w, 0, 15, 0, 0)
	w.Run(10 * time.Second)
	for i := range 12 {
		w.After(w.between(0, time.Second), func() { w.AddRelay(fmt.Sprintf("late%d", i), 5*mbit) })
	}
	w.Run(11 * time.Second)
	settled := w.source.next
	w.Run(20 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	worst := 0
	for b := settled; b < w.source.next-10; b++ {
		worst = max(worst, w.source.truth[blockID{1, b}].sent)
	}
	t.Logf("ten seconds after the relays came the source sends ≤ %d shards a block", worst)
	if worst > 44 {
		t.Errorf("want ≤ 44")
	}
}

// TestKills: a relay dies every ten seconds and another comes.
func TestKills(t *testing.T) {
	large(t)
	w := New(DefaultConfig(30))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(8 * time.Second)
	for i := range 6 {
		w.After(time.Duration(i)*10*time.Second, func() {
			w.Crash(w.pick("relay"))
			w.AddRelay(fmt.Sprintf("relay-new%d", i), 5*mbit)
		})
	}
	w.Run(60 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	repaired(t, s, time.Second)
}

// repaired fails unless stripes got new parents in time.
func repaired(t *testing.T, s Summary, limit time.Duration) {
	t.Helper()
	if len(s.Repairs) == 0 {
		t.Error("nothing had to be repaired: no test")
	}
	if p99 := Quantile(s.Repairs, 0.99); p99 > limit || s.Unrepaired > 0 {
		t.Errorf("p99 of repairs is %v, want ≤ %v; never repaired: %d", p99, limit, s.Unrepaired)
	}
}

// TestLeaves: who says goodbye is not missed.
func TestLeaves(t *testing.T) {
	w := New(DefaultConfig(4))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(8 * time.Second)
	for i := range 4 {
		w.After(time.Duration(i)*5*time.Second, func() { w.Leave(w.pick("relay")) })
	}
	w.Run(25 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	repaired(t, s, 500*time.Millisecond)
}

// TestEgress: what the source uploads does not depend on how many watch.
func TestEgress(t *testing.T) {
	large(t)
	for _, viewers := range []int{5, 12, 40} {
		t.Run(fmt.Sprint(viewers), func(t *testing.T) {
			w := New(DefaultConfig(5))
			w.AddSource(20 * mbit)
			crowd(w, 8, viewers, 15*mbit, 0)
			w.Run(30 * time.Second)
			s := innocent(t, w)
			flawless(t, s)
			if limit := 1.1 * overlay.Roots * float64(w.Layout.N()); s.Egress > limit {
				t.Errorf("the source sends %.1f shards a block, want ≤ %.1f", s.Egress, limit)
			}
		})
	}
}

// TestSmall: pools of hardly anybody, and layouts at their limits.
func TestSmall(t *testing.T) {
	for _, c := range []struct {
		name            string
		layout          stripe.Layout
		relays, viewers int
	}{
		{"no relay", stripe.DefaultLayout, 0, 3},
		{"one relay", stripe.DefaultLayout, 1, 3},
		{"only one relay", stripe.DefaultLayout, 1, 0},
		{"two relays", stripe.DefaultLayout, 2, 5},
		{"m=0", stripe.Layout{K: 4}, 4, 5},
		{"k=1", stripe.Layout{K: 1, M: 1}, 3, 5},
		{"1+0", stripe.Layout{K: 1}, 2, 3},
		{"n=64", stripe.Layout{K: 48, M: 16}, 6, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig(6)
			cfg.Layout = c.layout
			w := New(cfg)
			w.AddSource(20 * mbit)
			crowd(w, c.relays, c.viewers, 20*mbit, 0)
			w.Run(15 * time.Second)
			flawless(t, innocent(t, w))
		})
	}
}

// TestPause: a source that has nothing to say for a while causes no storm.
func TestPause(t *testing.T) {
	large(t)
	w := New(DefaultConfig(7))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(20 * time.Second)
	early := w.messages()
	w.Run(5 * time.Second)
	before := w.messages()
	usual := float64(before-early) / 5 / float64(len(w.nodes))
	w.source.Hold(true)
	w.Run(5 * time.Second)
	during := float64(w.messages()-before) / 5 / float64(len(w.nodes))
	w.source.Hold(false)
	w.Run(10 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	t.Logf("during the pause %.1f messages a second and participant, before it %.1f", during, usual)
	// Some five are pull's, as ever; the others look for parents that are not late.
	if during > 20 {
		t.Error("want ≤ 20: the pause made a storm")
	}
}

func (w *World) messages() int {
	sum := 0
	for _, n := range w.nodes {
		sum += n.Figures.Messages
	}
	return sum
}

// TestRestart: the source dies, is back after three seconds with a higher epoch,
// and everybody goes on.
func TestRestart(t *testing.T) {
	large(t)
	w := New(DefaultConfig(8))
	w.AddSource(20 * mbit)
	crowd(w, 12, 20, 5*mbit, 1.5*mbit)
	w.Run(12 * time.Second)
	w.Crash(w.source.Node)
	w.Run(3 * time.Second)
	w.source.Begin()
	back := w.Now()
	w.Run(15 * time.Second)
	s := innocent(t, w)
	flawless(t, s)
	worst := time.Duration(0)
	for _, n := range w.nodes {
		if p := n.player; p != nil {
			if p.epoch != 2 {
				t.Errorf("%s is in epoch %d", n.Name, p.epoch)
			}
			worst = max(worst, p.resumed-back)
		}
	}
	t.Logf("the last viewer shows the new epoch after %v", worst)
	if worst > 5*time.Second {
		t.Error("want ≤ 5s")
	}
}

// TestEnd: everybody learns that the stream is over, and then nothing more is said.
func TestEnd(t *testing.T) {
	w := New(DefaultConfig(9))
	w.AddSource(20 * mbit)
	crowd(w, 8, 10, 5*mbit, 1.5*mbit)
	w.Run(10 * time.Second)
	w.source.End()
	w.Run(5 * time.Second)
	before := w.messages()
	w.Run(20 * time.Second)
	flawless(t, innocent(t, w))
	for _, n := range w.nodes {
		if p := n.player; p != nil && !p.ended {
			t.Errorf("%s does not know that it is over", n.Name)
		}
	}
	if late := float64(w.messages()-before) / 20 / float64(len(w.nodes)); late > 1 {
		t.Errorf("after the end %.1f messages a second and participant", late)
	}
}

// hundred is a world of more than a hundred participants.
func hundred(d time.Duration) *World {
	w := New(DefaultConfig(10))
	w.AddSource(20 * mbit)
	crowd(w, 30, 80, 8*mbit, 1.5*mbit)
	w.Run(d)
	return w
}

// TestHundred: more than a hundred participants watch a minute.
func TestHundred(t *testing.T) {
	large(t)
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	began := time.Now()
	w := hundred(time.Minute)
	s := innocent(t, w)
	hash, events := w.Trace()
	wall := time.Since(began)
	t.Logf("%d nodes, %d events, trace %x, %v of wall time", len(w.nodes), events, hash, wall)
	flawless(t, s)
	if limit := 1.1 * overlay.Roots * float64(w.Layout.N()); s.Egress > limit {
		t.Errorf("the source sends %.1f shards a block, want ≤ %.1f", s.Egress, limit)
	}
}

// TestAuditor: who accuses must be able to.
func TestAuditor(t *testing.T) {
	t.Run("a wrong byte", func(t *testing.T) {
		w := New(DefaultConfig(11))
		w.AddSource(20 * mbit)
		crowd(w, 0, 2, 0, 0)
		w.Run(6 * time.Second)
		w.source.truth[blockID{1, w.source.next - 1}].data[5] ^= 1
		w.Run(2 * time.Second)
		if len(w.Accusations()) == 0 {
			t.Error("nobody noticed")
		}
	})
	t.Run("a viewer that is cut off", func(t *testing.T) {
		w := New(DefaultConfig(11))
		w.AddSource(20 * mbit)
		crowd(w, 3, 2, 20*mbit, 0)
		w.Run(6 * time.Second)
		victim := w.pick("viewer")
		for _, n := range w.nodes {
			if n != victim {
				w.Wall(n, victim)
			}
		}
		w.Run(idleTimeout + 2*time.Second) // until its connections are found dead
		if s := w.Sum(0); s.Behind != 1 || s.Starving == 0 {
			t.Errorf("behind %d, starving %d", s.Behind, s.Starving)
		}
	})
	t.Run("a relay that nobody can replace", func(t *testing.T) {
		w := New(DefaultConfig(11))
		w.AddSource(20 * mbit)
		crowd(w, 1, 2, 20*mbit, 0)
		w.Run(6 * time.Second)
		w.Crash(w.pick("relay"))
		w.Crash(w.source.Node)
		w.Run(6 * time.Second)
		if s := w.Sum(0); s.Unrepaired == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// pick draws a living node whose name begins like that, or nil.
func (w *World) pick(prefix string) *Node {
	if of := w.all(prefix); len(of) > 0 {
		return of[w.rnd.IntN(len(of))]
	}
	return nil
}

func (w *World) living(prefix string) int { return len(w.all(prefix)) }

func (w *World) all(prefix string) (of []*Node) {
	for _, n := range w.nodes {
		if n.alive && !n.leaving && !n.paused && strings.HasPrefix(n.Name, prefix) {
			of = append(of, n)
		}
	}
	return of
}
