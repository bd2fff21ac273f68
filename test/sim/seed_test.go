package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// healed is how long after a storm everybody must be at the live edge again.
const healed = 5 * time.Second

// storm is a small pool to which everything happens that can, drawn from the
// seed, until it heals after a while: loss of up to 30 %, replays of up to half of
// the shards, delays of up to 100 ms, clogs of up to 5 s, partitions and walls,
// kills, leaves, joins, stops, slow links and processors. Then it goes on in peace.
func storm(seed uint64, until time.Duration, log func(string, ...any)) *World {
	rnd := rand.New(rand.NewPCG(seed, 0x570))
	cfg := DefaultConfig(seed)
	cfg.Layout = []stripe.Layout{{K: 16, M: 4}, {K: 8, M: 4}, {K: 4, M: 2}}[rnd.IntN(3)]
	cfg.Near, cfg.Far = 0, time.Duration(rnd.Int64N(int64(100*time.Millisecond)))
	w := New(cfg)
	w.AddSource(30 * mbit)
	relays := 5 + rnd.IntN(8)
	crowd(w, relays, 3+rnd.IntN(6), 6*mbit, 2*mbit)
	log("layout %v, delays up to %v, %d relays", cfg.Layout, cfg.Far, relays)
	begin := min(6*time.Second, until/2)
	w.After(begin, func() {
		c := Conditions{Jitter: 100 * time.Millisecond}
		for _, p := range []*float64{&c.Loss, &c.Duplicate, &c.Reorder} {
			if most := [2]float64{0, 0.3 + 0.2*float64(rnd.IntN(2))}[rnd.IntN(2)]; most > 0 {
				*p = most * rnd.Float64()
			}
		}
		c.Loss = min(c.Loss, 0.3)
		log("%v: net %+v", w.t, c)
		w.SetNet(c)
	})
	for at := begin; at < until; at += time.Second + time.Duration(rnd.Int64N(int64(3*time.Second))) {
		what := rnd.IntN(12)
		length := time.Second + time.Duration(rnd.Int64N(int64(4*time.Second)))
		w.After(at, func() { w.strike(what, length, log) })
	}
	w.After(until, func() {
		log("%v: it heals", w.t)
		w.Heal()
	})
	w.Run(until + healed)
	return w
}

// strike does one bad thing to somebody.
func (w *World) strike(what int, length time.Duration, log func(string, ...any)) {
	n := w.pick("relay")
	if n == nil || w.living("relay") < 3 {
		w.AddRelay(fmt.Sprintf("relay@%v", w.t), 6*mbit)
		return
	}
	to := w.pick("viewer")
	if what%2 == 1 || to == nil {
		if to = w.pick("relay"); to == n {
			to = w.source.Node
		}
	}
	say := func(format string, args ...any) { log("%v: "+format, append([]any{w.t}, args...)...) }
	switch what {
	case 0, 1:
		say("%s is killed, another comes", n.Name)
		w.Crash(n)
		w.AddRelay(fmt.Sprintf("relay@%v", w.t), 6*mbit)
	case 2:
		say("%s leaves", n.Name)
		w.Leave(n)
	case 3:
		say("a viewer comes")
		w.AddViewer(fmt.Sprintf("viewer@%v", w.t), 2*mbit)
	case 4:
		say("%s is stopped for %v", n.Name, length)
		w.Pause(n, length)
	case 5, 6:
		say("nothing gets from %s to %s for %v", n.Name, to.Name, length)
		w.Wall(n, to)
		w.After(length, func() { w.Unwall(n, to) })
	case 7:
		say("%s and %s are cut off from each other for %v", n.Name, to.Name, length)
		w.Cut(n, to, length)
	case 8:
		say("%s is clogged for %v", n.Name, length)
		w.Clog(n, length)
	case 9:
		say("the way from %s to %s is clogged for %v", n.Name, to.Name, length)
		w.ClogWay(n, to, length)
	case 10:
		say("two in five are cut off for %v", length)
		w.Partition(func(n *Node) bool { return n != w.source.Node && n.index%5 < 2 })
		w.After(length, w.Join)
	case 11:
		say("%s has a twentieth of a processor, and %s a slow link, for %v", n.Name, to.Name, length)
		w.Grey(n, 0.05)
		w.SetLink(to, 0, 1*mbit)
		w.After(length, func() {
			w.Grey(n, 0)
			w.SetLink(to, 0, 0)
		})
	}
}

// aftermath says what is wrong with a pool that has healed, and had its five seconds.
func (w *World) aftermath() (bad []string) {
	at := w.Now()
	w.Run(5 * time.Second)
	sum := w.Sum(0)
	bad = w.Accusations()
	if sum.Spins > 0 || sum.Over > 0 || sum.Silent > 0 || sum.Behind > 0 || sum.Unrepaired > 0 {
		bad = append(bad, fmt.Sprintf("spins %d, over slots %d, silent %d, behind %d, unrepaired %d",
			sum.Spins, sum.Over, sum.Silent, sum.Behind, sum.Unrepaired))
	}
	if m := w.Missed(at); m.Skipped > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d blocks were skipped after %v of peace, most by %s", m.Skipped, m.Due, healed, m.Who.Name))
	}
	return bad
}

// TestSeed runs storms. One that fails says how to run it again.
func TestSeed(t *testing.T) {
	large(t)
	t.Parallel()
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
		w := storm(s, 25*time.Second, log)
		bad := w.aftermath()
		sum := w.Sum(5 * time.Second)
		all.Played += sum.Played
		all.Skipped += sum.Skipped
		all.Early += sum.Early
		all.Repairs = append(all.Repairs, sum.Repairs...)
		for c, n := range sum.Causes {
			all.Causes[c] += n
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
	t.Logf("played %d, skipped %d and %d at the start, repairs %d; skipped by cause %v",
		all.Played, all.Skipped, all.Early, len(all.Repairs), all.Causes)
}
