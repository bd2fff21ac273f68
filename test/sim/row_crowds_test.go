package sim

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"
)

var churnTime = flag.Duration("churn", 5*time.Minute, "for how long row F20 runs")

// crowdRows are the rows about many who come, go and die at once.
func crowdRows() []row {
	return []row{
		{id: "F17", what: "flash crowd: 12 watch, 120 more come within 10 s", target: "old viewers BL 0; first picture p50 ≤ 1 s, p95 ≤ 3 s; source within budget", run: runFlash, seeds: 3},
		{id: "F18", ttr: time.Second, what: "30 % of all relays killed at one instant", target: "BL ≤ 1 % in the next 5 s, 0 later; TTR ≤ 3 s", run: runThird},
		{id: "F19", ttr: time.Second, known: "p99 of", what: "half of all participants killed at one instant, delay 4 s", target: "≥ 99.6 % of the survivors lossless", run: runHalf, seeds: 3},
		{id: "F20", ttr: time.Second, what: "churn: relays and sharing viewers live exp(60 s)", target: "BL ≤ 1e-5, ST 0, memory flat", run: runChurn, seeds: 1},
		{id: "F23", what: "uplink of 1.25 × the stream, 100 viewers with 2 × it come one by one", target: "BL 0", run: runHome, seeds: 2},
	}
}

// profile is the stream of profile R.
func profile(seed uint64) Config {
	cfg := DefaultConfig(seed)
	cfg.Rate, cfg.Delay = 5*mbit, 2*time.Second
	return cfg
}

// sharers lets viewers come within a time, of whom one in so many does not share.
func sharers(w *World, name string, count, miser int, up float64, within time.Duration) {
	for i := range count {
		share := up
		if i%miser == miser-1 {
			share = 0
		}
		w.After(w.between(0, within), func() { w.AddViewer(fmt.Sprintf("%s%d", name, i), share) })
	}
}

// relays come within a second, with uplinks of lo to hi.
func relays(w *World, count int, lo, hi float64) {
	for i := range count {
		up := lo + (hi-lo)*w.rnd.Float64()
		w.After(w.between(0, time.Second), func() { w.AddRelay(fmt.Sprintf("relay%d", i), up) })
	}
}

// runFlash: nine in ten share two and a half times the stream, so that there are
// slots for all once they know each other.
func runFlash(_ *testing.T, seed uint64) figures {
	cfg := profile(seed)
	w := New(cfg)
	w.AddSource(4 * cfg.Rate)
	relays(w, 12, 16*mbit, 24*mbit)
	sharers(w, "viewer", 12, 10, 2.5*cfg.Rate, 4*time.Second)
	w.Run(settled)
	sharers(w, "late", 120, 10, 2.5*cfg.Rate, 10*time.Second)
	w.Run(25 * time.Second)

	late := w.all("late")
	f := missed(w, settled, late...)
	f.unseen(w)
	var first []time.Duration
	blind := 0
	for _, n := range late {
		if n.player.started {
			first = append(first, n.Figures.FirstPlay-n.Figures.Joined)
		} else {
			blind++
		}
	}
	slices.Sort(first)
	p50, p95 := Quantile(first, 0.5), Quantile(first, 0.95)
	e, all := w.Egress(settled, w.Now()), w.Missed(settled)
	f.other = fmt.Sprintf("first picture p50 %v, p95 %v, max %v; source sends %.2f of the stream; newcomers BL %.2g",
		ms(p50), ms(p95), ms(Quantile(first, 1)), e.Rate, all.BL())
	f.want(blind == 0 && len(late) == 120, "%d of %d newcomers have no picture", blind, len(late))
	f.want(p50 <= time.Second && p95 <= 3*time.Second, "first picture p50 %v, p95 %v", ms(p50), ms(p95))
	f.want(e.Rate <= 4, "the source sends %.2f of the stream", e.Rate)
	return f
}

// some draws that share of nodes.
func (w *World) some(of []*Node, share float64) []*Node {
	of = slices.Clone(of)
	w.rnd.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:int(share*float64(len(of))+0.5)]
}

// third kills a share of whoever feeds others in a settled pool, at one instant. Whoever
// feeds others is a relay. They have slots for half as much again as all need, so that
// those who survive have enough.
func third(cfg Config, share float64) (w *World, dead, of int) {
	w = New(cfg)
	w.AddSource(4 * cfg.Rate)
	relays(w, 12, 16*mbit, 28*mbit)
	sharers(w, "viewer", 20, 2, 1.5*cfg.Rate, 4*time.Second)
	w.Run(settled)
	var feeding []*Node
	for _, n := range w.nodes {
		if n != w.source.Node && n.alive && n.cfg.Upload > 0 {
			feeding = append(feeding, n)
		}
	}
	victims := w.some(feeding, share)
	w.Crash(victims...)
	return w, len(victims), len(feeding)
}

func runThird(_ *testing.T, seed uint64) figures {
	w, dead, feeding := third(profile(seed), 0.3)
	at := w.Now()
	w.Run(20 * time.Second)

	f := missed(w, at)
	soon, later := w.MissedIn(at, at+5*time.Second), w.Missed(at+5*time.Second)
	f.bl = soon.Worst
	f.other = fmt.Sprintf("%d of %d killed; in 5 s BL %.2g, later %.2g", dead, feeding, soon.BL(), later.BL())
	f.want(soon.Worst <= 0.01, "BL of %s is %.3f in the next 5 s", soon.Who.Name, soon.Worst)
	f.want(later.Skipped == 0, "%d blocks skipped later", later.Skipped)
	f.want(len(f.ttr) > 0 && f.never == 0 && Quantile(f.ttr, 1) <= 3*time.Second, "TTR ≤ %v, %d never", ms(Quantile(f.ttr, 1)), f.never)
	f.why(w, at)
	return f
}

// why tells of the first block that was skipped since a time, if a target was missed.
func (f *figures) why(w *World, since time.Duration) {
	if len(f.broke) == 0 {
		return
	}
	s := w.Sum(0)
	for i := range s.Fates {
		if s.Fates[i].At >= since {
			f.broke = append(f.broke, "for example "+s.Fates[i].String())
			return
		}
	}
}

// half is a pool of a hundred viewers, of which half of all participants die.
func half(seed uint64, delay time.Duration, killed float64) (w *World, at time.Duration) {
	cfg := profile(seed)
	cfg.Delay = delay
	w = New(cfg)
	w.AddSource(4 * cfg.Rate)
	relays(w, 24, 16*mbit, 24*mbit)
	sharers(w, "viewer", 100, 4, 2.5*cfg.Rate, 4*time.Second)
	w.Run(settled + 2*time.Second)
	w.Crash(w.some(w.nodes[1:], killed)...)
	return w, w.Now()
}

func runHalf(_ *testing.T, seed uint64) figures {
	w, at := half(seed, 4*time.Second, 0.5)
	w.Run(15 * time.Second)
	f := missed(w, at)
	m := w.Missed(at)
	share := float64(m.Lossless) / float64(m.Viewers)
	f.other = fmt.Sprintf("%d of %d survivors lossless", m.Lossless, m.Viewers)
	f.want(m.Viewers >= 30, "only %d viewers survived: no test", m.Viewers)
	f.want(share >= 0.996, "%.1f %% of %d survivors lossless", 100*share, m.Viewers)
	f.why(w, at)
	return f
}

// runChurn: every other one that dies says goodbye, and another one comes at once.
// Half of the viewers never share, nor die.
func runChurn(_ *testing.T, seed uint64) figures {
	w := New(profile(seed))
	w.AddSource(4 * w.Rate)
	relays(w, 16, 16*mbit, 28*mbit)
	sharers(w, "viewer", 20, 2, 1.5*w.Rate, 4*time.Second)
	w.Run(settled)
	deaths, peers, known, pool, held := 0, 0, 0, 0, 0
	end := w.Now() + *churnTime
	var mortal func(n *Node)
	mortal = func(n *Node) {
		w.After(time.Duration(w.rnd.ExpFloat64()*float64(time.Minute)), func() {
			if w.Now() >= end {
				return
			}
			if deaths++; deaths%2 == 0 {
				w.Leave(n)
			} else {
				w.Crash(n)
			}
			w.After(20*time.Second, func() { n.core = nil }) // a dead mind is no memory of ours
			name := fmt.Sprintf("%.5s-%d", n.Name, deaths)
			if n.cfg.Play {
				mortal(w.AddViewer(name, n.cfg.Upload))
			} else {
				mortal(w.AddRelay(name, n.cfg.Upload))
			}
		})
	}
	for _, n := range w.nodes[1:] {
		if n.cfg.Upload > 0 {
			mortal(n)
		}
	}
	var skipped, due, worst float64
	for w.Now() < end {
		w.Run(10 * time.Second)
		pool = 0
		for _, n := range w.nodes {
			if n.alive {
				st := n.Status()
				peers, known, pool = max(peers, st.Peers), max(known, st.Known), pool+1
				for _, s := range st.Streams {
					held = max(held, s.Window)
				}
			}
		}
		w.forget(30 * time.Second)
	}
	w.Run(5 * time.Second)      // the last ones begin to play
	for _, n := range w.nodes { // the dead as well, until they died
		if p := n.player; p != nil {
			s, d := p.tally(settled)
			skipped, due = skipped+s, due+d
			worst = max(worst, s/max(1, d))
		}
	}
	f := missed(w, settled)
	f.bl, f.skipped, f.due = worst, uint64(skipped), uint64(due)
	f.other = fmt.Sprintf("%v, %d died; of %d participants one was connected to ≤ %d and knew ≤ %d, held ≤ %d kB", *churnTime, deaths, pool, peers, known, held/1000)
	f.want(worst <= 1e-5, "BL %.2g: %.0f of %.0f blocks skipped", worst, skipped, due)
	f.want(f.still == 0, "a picture stood still for %v", f.still)
	f.want(peers <= 2*pool && known <= 3*pool, "connected to %d, knew %d", peers, known)
	f.why(w, settled)
	return f
}

// tally is what a viewer skipped since a time, its start left out, and was due.
func (p *player) tally(since time.Duration) (skipped, due float64) {
	for _, s := range p.skips {
		if s.at >= since && !s.early {
			skipped += float64(s.to - s.from + 1)
		}
	}
	for at, s := range p.seconds {
		if time.Duration(at)*time.Second >= since {
			due += float64(s.played)
		}
	}
	return skipped, due + skipped
}

// forget drops the bytes of blocks that are older, for nobody can play them now.
func (w *World) forget(older time.Duration) {
	span := uint64(older / w.BlockTime)
	for i := w.source.next - min(w.source.next, span); i > 0; i-- {
		m := w.source.truth[blockID{w.source.epoch, i - 1}]
		if m.data == nil {
			return
		}
		m.data = nil
	}
}

// runHome: the line is the source's own, and there is no relay at all.
func runHome(_ *testing.T, seed uint64) figures {
	cfg := profile(seed)
	w := New(cfg)
	up := 1.25 * cfg.Rate
	w.AddSource(up)
	w.SetLink(w.source.Node, up, 0)
	for i := range 100 {
		w.After(time.Duration(i)*600*time.Millisecond+w.between(0, 300*time.Millisecond), func() {
			w.AddViewer(fmt.Sprintf("viewer%d", i), 2*cfg.Rate)
		})
	}
	w.Run(90 * time.Second)
	f := missed(w, 0)
	s, e := w.Sum(0), w.Egress(10*time.Second, w.Now())
	f.other = fmt.Sprintf("source sends %.2f of the stream; depth %d (≤ %d); first picture p50 %v, max %v",
		e.Rate, s.Depth, s.Deepest, ms(Quantile(s.FirstPlay, 0.5)), ms(Quantile(s.FirstPlay, 1)))
	f.unseen(w)
	f.want(s.Silent == 0, "%d viewers have no picture", s.Silent)
	f.want(e.Rate <= 1.25, "the source sends %.2f of the stream", e.Rate)
	return f
}
