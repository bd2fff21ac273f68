package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// storm is a small pool to which everything happens that can, drawn from the
// seed: kills, leaves, joins, pauses, one-way walls, loss. It heals at the end.
func storm(seed uint64, log func(string, ...any)) *World {
	rnd := rand.New(rand.NewPCG(seed, 0x570))
	cfg := DefaultConfig(seed)
	cfg.Layout = []stripe.Layout{{K: 16, M: 4}, {K: 8, M: 4}, {K: 4, M: 2}}[rnd.IntN(3)]
	cfg.Loss = []float64{0, 0, 0.01, 0.05}[rnd.IntN(4)]
	w := New(cfg)
	w.AddSource(30 * mbit)
	relays := 5 + rnd.IntN(8)
	crowd(w, relays, 3+rnd.IntN(6), 6*mbit, 2*mbit)
	log("layout %v, loss %v, %d relays", cfg.Layout, cfg.Loss, relays)
	for at := 6 * time.Second; at < 20*time.Second; at += time.Second + time.Duration(rnd.Int64N(int64(3*time.Second))) {
		what := rnd.IntN(7)
		length := time.Second + time.Duration(rnd.Int64N(int64(5*time.Second)))
		w.After(at, func() { w.strike(what, length, log) })
	}
	w.Run(35 * time.Second)
	return w
}

// strike does one bad thing to somebody.
func (w *World) strike(what int, length time.Duration, log func(string, ...any)) {
	n := w.pick("relay")
	if n == nil || w.living("relay") < 3 {
		w.AddRelay(fmt.Sprintf("relay@%v", w.t), 6*mbit)
		return
	}
	switch what {
	case 0, 1:
		log("%v: %s is killed, another comes", w.t, n.Name)
		w.Crash(n)
		w.AddRelay(fmt.Sprintf("relay@%v", w.t), 6*mbit)
	case 2:
		log("%v: %s leaves", w.t, n.Name)
		w.Leave(n)
	case 3:
		log("%v: a viewer comes", w.t)
		w.AddViewer(fmt.Sprintf("viewer@%v", w.t), 2*mbit)
	case 4:
		log("%v: %s is stopped for %v", w.t, n.Name, length)
		w.Pause(n, length)
	case 5:
		to := w.pick("viewer")
		log("%v: nothing gets from %s to %s for %v", w.t, n.Name, to.Name, length)
		w.Wall(n, to)
		w.After(length, func() { w.Unwall(n, to) })
	case 6:
		to := w.pick("relay")
		if to == n {
			to = w.source.Node
		}
		log("%v: nothing gets from %s to %s for %v", w.t, n.Name, to.Name, length)
		w.Wall(n, to)
		w.After(length, func() { w.Unwall(n, to) })
	}
}

// TestSeed runs storms. One that fails says how to run it again.
func TestSeed(t *testing.T) {
	large(t)
	first, last := uint64(1000), 1000+*seeds
	if *seed != 0 {
		first, last = *seed, *seed+1
	}
	var all Summary
	for s := first; s < last; s++ {
		log := func(string, ...any) {}
		if *seed != 0 {
			log = t.Logf
		}
		w := storm(s, log)
		sum := w.Sum(5 * time.Second)
		all.Played += sum.Played
		all.Skipped += sum.Skipped
		all.Early += sum.Early
		all.Repairs = append(all.Repairs, sum.Repairs...)
		bad := w.Accusations()
		if sum.Spins > 0 || sum.Over > 0 || sum.Silent > 0 || sum.Behind > 0 || sum.Unrepaired > 0 {
			bad = append(bad, fmt.Sprintf("spins %d, over slots %d, silent %d, behind %d, unrepaired %d",
				sum.Spins, sum.Over, sum.Silent, sum.Behind, sum.Unrepaired))
		}
		if sum.Skipped > sum.Played/100 {
			bad = append(bad, fmt.Sprintf("%d of %d blocks skipped", sum.Skipped, sum.Played))
		}
		if *seed != 0 || len(bad) > 0 {
			t.Log("\n" + sum.String())
		}
		for _, b := range bad {
			t.Error(b)
		}
		if len(bad) > 0 {
			t.Errorf("again: go test ./test/sim -run TestSeed -v -seed %d", s)
		}
	}
	t.Logf("played %d, skipped %d and %d at the start, repairs %d", all.Played, all.Skipped, all.Early, len(all.Repairs))
}
