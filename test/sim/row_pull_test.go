package sim

import (
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// wasteful is what is known of rows with loss: more than 2 % of what is pulled comes
// when it is not needed any more, because push brings it after all (sent again by QUIC,
// or by a parent that takes over and begins where the child's holes are), or because
// the answer waited in a queue and somebody else was asked.
const wasteful = "answers wasted"

// pullRows are the rows about what only pull can bring. In F8 packets are lost, which
// QUIC sends again: a shard is late then, and lost for good only if that takes two
// seconds, or if it waits too long in an outbox because the window is small. In the rows
// with an f it is lost for good at once, on every hop, pulled or pushed; messages are
// not, and half as many packets are.
func pullRows() []row {
	var rows []row
	for _, r := range []struct {
		percent     int
		hard        bool
		most        float64
		known, hurt string
	}{
		{percent: 1}, {percent: 2}, {percent: 5, known: wasteful},
		{percent: 10, most: 1e-4, known: "BL 0.00|" + wasteful},
		{percent: 20, most: 1e-3, hard: true, hurt: "BL |do not play at the end|" + wasteful},
	} {
		code, target, loss := "16+4", "BL 0", float64(r.percent)/100
		if r.hard {
			code = "20+10"
		}
		if r.most > 0 {
			target = fmt.Sprintf("BL ≤ %.0e", r.most)
		}
		target += ", ≤ 2 % of answers wasted"
		rows = append(rows, row{
			id: fmt.Sprintf("F8.%d", r.percent), known: r.hurt, target: target,
			what: fmt.Sprintf("%d %% of all packets lost, RTT 50 ms, %s", r.percent, code),
			run:  func(_ *testing.T, seed uint64) figures { return runLoss(seed, Conditions{Loss: loss}, r.hard, r.most) },
		})
		if !r.hard { // more than half of what a third hop should bring would have to be pulled
			rows = append(rows, row{
				id: fmt.Sprintf("F8.%df", r.percent), known: r.known, target: target,
				what: fmt.Sprintf("%d %% of all shards lost for good on each hop, %s", r.percent, code),
				run: func(_ *testing.T, seed uint64) figures {
					return runLoss(seed, Conditions{Loss: loss / 2, Final: loss}, r.hard, r.most)
				},
			})
		}
	}
	const both = "with pull; > 0 without"
	return append(rows,
		row{id: "F9.1", what: "no way carries anything for 300 ms of each 10 s", target: "BL 0", run: runBursts},
		row{id: "F9.2", what: "no viewer's line does, and what it is sent then is lost for good", target: "BL 0 " + both, run: runFatalBursts},
		row{id: "F10", what: "25 % reordered by ≤ 50 ms, 50 % twice", target: "BL 0, no second signature check, ≤ 2 % needless pulls", run: runReorder},
		row{id: "F18.1", known: "in the next 5 s|skipped later|" + wasteful, what: "30 % of all relays killed at one instant, 5 % of all shards lost for good on each hop", target: "BL ≤ 1 % in the next 5 s, 0 later " + both, run: runThirdLossy},
		row{id: "P1", known: wasteful, what: "a parent dies when m stripes have none, and none finds another", target: "BL 0 " + both, run: runOneMore},
	)
}

const (
	// mostOverhead is what pull may cost where nothing is lost, as a share of the
	// stream, and mostNeedless how much of what it brings may not be needed.
	mostOverhead = 0.003
	mostNeedless = 0.02
)

// near is profile R with a round trip of 50 ms between any two.
func near(seed uint64) Config {
	cfg := profile(seed)
	cfg.Near, cfg.Far = 25*time.Millisecond, 25*time.Millisecond
	return cfg
}

// pulled ends a row's figures with what pull did since a time.
func (f *figures) pulled(w *World, before Pulled) {
	p := w.Pulled().Less(before)
	if f.other != "" {
		f.other += "; "
	}
	f.other += p.String()
	f.want(p.Needless() <= mostNeedless || p.Wasted <= 5, "%.2g %% of %d answers wasted", 100*p.Needless(), p.Answered+p.Late)
}

// runLoss has every link lose for half a minute.
func runLoss(seed uint64, c Conditions, hard bool, most float64) figures {
	run := func(pushOnly bool) (*World, figures) {
		cfg := near(seed)
		cfg.PushOnly = pushOnly
		if hard {
			cfg.Layout = stripe.Layout{K: 20, M: 10}
		}
		w := everydayOf(cfg)
		before := w.Pulled()
		w.SetNet(c)
		w.Run(30 * time.Second)
		f := missed(w, settled)
		f.pulled(w, before)
		f.want(f.bl <= most && (most > 0 || f.still == 0), "BL %.2g, a picture stood still for %v", f.bl, f.still)
		f.why(w, settled)
		return w, f
	}
	_, f := run(false)
	if c.Final > 0 { // what is only late the code makes up for
		_, without := run(true)
		f.other += fmt.Sprintf("; without pull %d of %d skipped", without.skipped, without.due)
	}
	return f
}

// runBursts: each way has its own time.
func runBursts(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	before := w.Pulled()
	w.SetNet(Conditions{Outage: 300 * time.Millisecond, Period: 10 * time.Second})
	w.Run(30 * time.Second)
	f := missed(w, settled)
	f.pulled(w, before)
	f.unseen(w)
	return f
}

// runFatalBursts: each viewer has its own time.
func runFatalBursts(_ *testing.T, seed uint64) figures {
	run := func(pushOnly bool) figures {
		cfg := profile(seed)
		cfg.PushOnly = pushOnly
		w := everydayOf(cfg)
		before := w.Pulled()
		for _, n := range w.all("viewer") {
			w.SetNode(n, Conditions{Outage: 300 * time.Millisecond, Period: 10 * time.Second, Phase: w.between(1, 10*time.Second), Fatal: true})
		}
		w.Run(30 * time.Second)
		f := missed(w, settled)
		f.pulled(w, before)
		f.unseen(w)
		return f
	}
	return run(false).against(run(true))
}

// against adds what came of the same world without pull, and wants it to be worse.
func (f figures) against(without figures) figures {
	f.other += fmt.Sprintf("; without pull %d of %d skipped, BL %.2g", without.skipped, without.due, without.bl)
	f.want(without.skipped > 0, "none of %d blocks is skipped without pull: no test", without.due)
	return f
}

func runReorder(_ *testing.T, seed uint64) figures {
	w := everyday(seed)
	before, again := w.Pulled(), w.again()
	w.SetNet(Conditions{Reorder: 0.25, Jitter: 50 * time.Millisecond, Duplicate: 0.5})
	w.Run(30 * time.Second)
	f := missed(w, settled)
	again = w.again() - again
	p := w.Pulled().Less(before)
	asked := float64(p.Asked) / (float64(f.due) * float64(w.Layout.N()))
	f.other = fmt.Sprintf("%d second signature checks; asked for %.2g %% of all shards", again, 100*asked)
	f.pulled(w, before)
	f.unseen(w)
	f.want(again == 0, "%d signatures were checked of blocks of which one had been", again)
	f.want(asked <= 0.02, "%.2g %% of all shards were asked for, and all were on their way", 100*asked)
	return f
}

func (w *World) again() (count int) {
	for _, n := range w.nodes {
		count += n.Figures.Again
	}
	return count
}

// runThirdLossy is runThird where each hop loses, so that code alone does not do.
func runThirdLossy(_ *testing.T, seed uint64) figures {
	run := func(pushOnly bool) figures {
		cfg := profile(seed)
		cfg.PushOnly = pushOnly
		w, dead, _ := third(cfg, 0.3)
		w.SetNet(Conditions{Final: 0.05})
		before, at := w.Pulled(), w.Now()
		w.Run(20 * time.Second)
		f := missed(w, at)
		soon, later := w.MissedIn(at, at+5*time.Second), w.Missed(at+5*time.Second)
		f.bl = soon.Worst
		f.other = fmt.Sprintf("%d killed; in 5 s BL %.2g, later %.2g", dead, soon.BL(), later.BL())
		f.want(soon.Worst <= 0.01, "BL of %s is %.3f in the next 5 s", soon.Who.Name, soon.Worst)
		f.want(later.Skipped == 0, "%d blocks skipped later", later.Skipped)
		f.pulled(w, before)
		f.why(w, at)
		return f
	}
	return run(false).against(run(true))
}

// runOneMore takes parents from a viewer until m of its stripes have none and nobody
// will feed them, waits, and then takes one more from it.
func runOneMore(_ *testing.T, seed uint64) figures {
	run := func(pushOnly bool) figures {
		cfg := profile(seed)
		cfg.PushOnly = pushOnly
		w := New(cfg)
		w.AddSource(4 * cfg.Rate)
		relays(w, 24, 8*mbit, 16*mbit)
		sharers(w, "viewer", 20, 2, 1.5*cfg.Rate, 4*time.Second)
		w.Run(settled)
		victim := w.poor()
		before, at := w.Pulled(), w.Now()
		killed := 0
		for bits.OnesCount64(victim.barren) < w.Layout.M {
			w.orphan(victim)
			killed++
		}
		w.Run(10 * time.Second)
		m := w.Missed(at)
		lost := bits.OnesCount64(victim.barren)
		w.orphan(victim)
		w.Run(10 * time.Second)
		f := missed(w, at)
		f.other = fmt.Sprintf("%d parents of %s die with %d stripes, %d blocks skipped; one more with %d",
			killed, victim.Name, lost, m.Skipped, bits.OnesCount64(victim.barren)-lost)
		f.want(f.never >= bits.OnesCount64(victim.barren), "of %d stripes only %d got no other parent: no test", bits.OnesCount64(victim.barren), f.never)
		f.pulled(w, before)
		f.unseen(w)
		return f
	}
	return run(false).against(run(true))
}

// poor draws a viewer that does not share.
func (w *World) poor() *Node {
	for {
		if n := w.pick("viewer"); n.cfg.Upload == 0 {
			return n
		}
	}
}

// orphan kills the relay that feeds a node fewest stripes, and lets nobody take its
// place there.
func (w *World) orphan(n *Node) {
	var worst *Node
	var least uint64
	for _, p := range w.all("relay") {
		stripes := uint64(0)
		for _, b := range n.Status().Streams[0].Stripes {
			if b.Parent == p.id && n.barren>>b.Stripe&1 == 0 {
				stripes |= 1 << b.Stripe
			}
		}
		if stripes != 0 && (worst == nil || bits.OnesCount64(stripes) < bits.OnesCount64(least)) {
			worst, least = p, stripes
		}
	}
	w.Barren(n, n.barren|least)
	w.Crash(worst)
}
