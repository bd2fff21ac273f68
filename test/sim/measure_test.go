package sim

import (
	"testing"
	"time"
)

// TestMeasures: what is measured of a kill is what happened.
func TestMeasures(t *testing.T) {
	w := New(DefaultConfig(13))
	w.AddSource(20 * mbit)
	crowd(w, 10, 6, 8*mbit, 0)
	w.Run(10 * time.Second)
	before, at := w.Traffic(), w.Now()
	victim := w.pick("viewer")
	w.Crash(w.pick("relay"))
	w.Pause(victim, 3*time.Second)
	w.Run(10 * time.Second)

	if all := w.Missed(at); all.Who != victim || all.Skipped == 0 || all.Worst < 0.1 || all.Viewers != 6 || all.Lossless != 5 {
		t.Errorf("missed %+v, want the stopped viewer to miss a tenth", all)
	}
	if others := w.Missed(at, victim); others.Skipped > 0 || others.Worst > 0 || others.Viewers != 5 || others.Due < 490 || others.Due > 520 {
		t.Errorf("the others missed %+v", others)
	}
	if none := w.MissedIn(0, at); none.Skipped > 0 || none.Due == 0 {
		t.Errorf("before it, %+v was missed", none)
	}
	if still, who := w.Still(at); who != victim || still < 2*time.Second {
		t.Errorf("the picture stood still for %v", still)
	}
	if still, who := w.Still(at, victim); still > 0 {
		t.Errorf("%s stood still for %v", who.Name, still)
	}
	took := w.Repairs(at)
	// The stopped viewer's own take as long as it was stopped.
	if len(took) == 0 || Quantile(took, 0.8) > time.Second || Quantile(took, 1) > 4*time.Second || w.Unrepaired(3*time.Second) > 0 || len(w.Repairs(w.Now())) > 0 {
		t.Errorf("repairs took %v", took)
	}
	traffic := w.Traffic().Less(before)
	// Six viewers get twenty shards of a tenth of a second each, for ten seconds.
	if traffic.Shards < 6*20*100*9/10 || traffic.Control() <= 0 || traffic.Control() > 0.1 {
		t.Errorf("traffic %+v, control %.3f", traffic, traffic.Control())
	}
	e := w.Egress(at, w.Now())
	if e.Blocks < 85 || e.Shards < 20 || e.Rate < e.Shards/float64(w.Layout.K) {
		t.Errorf("egress %+v", e)
	}
	for _, n := range w.all("viewer") {
		d := n.Delays(5*time.Second, 10*time.Second)
		if d.Blocks != 50 || d.Mean < w.Near || d.Mean > d.Max || d.Max > w.Delay {
			t.Errorf("%s: %+v", n.Name, d)
		}
		if lag := n.Lag(5*time.Second, 10*time.Second); lag < w.Delay || lag > w.Delay+2*w.BlockTime {
			t.Errorf("%s lags by %v", n.Name, lag)
		}
	}
}

// TestGrey: a relay with a twentieth of a processor is slow, and loses nothing.
func TestGrey(t *testing.T) {
	w := New(DefaultConfig(14))
	w.AddSource(20 * mbit)
	crowd(w, 6, 6, 10*mbit, 0)
	w.Run(10 * time.Second)
	delay := func() (sum time.Duration) {
		for _, n := range w.all("viewer") {
			sum += n.Delays(w.Now()-3*time.Second, w.Now()).Max
		}
		return sum / 6
	}
	before := delay()
	grey := w.all("relay")[:3]
	for _, n := range grey {
		w.Grey(n, 0.001)
	}
	waited := 0
	for range 300 {
		w.Run(10 * time.Millisecond)
		for _, n := range grey {
			waited = max(waited, len(n.cpu.waiting))
		}
	}
	during := delay()
	w.Heal()
	w.Run(5 * time.Second)
	t.Logf("from publishing to rebuilding ≤ %v, with slow relays ≤ %v, healed ≤ %v; %d acts waited", before, during, delay(), waited)
	if during <= before || waited == 0 {
		t.Error("nobody noticed")
	}
	for _, n := range grey {
		if len(n.cpu.waiting) > 0 {
			t.Errorf("%d acts of %s still wait", len(n.cpu.waiting), n.Name)
		}
	}
	flawless(t, innocent(t, w))
}

// TestQueueMax: what a child cannot take waits at its parents, and not for long.
func TestQueueMax(t *testing.T) {
	w := New(DefaultConfig(15))
	w.AddSource(20 * mbit)
	crowd(w, 6, 3, 10*mbit, 0)
	w.Run(8 * time.Second)
	w.SetLink(w.pick("viewer"), 0, 0.2*mbit)
	w.Run(8 * time.Second)
	most := 0
	for _, n := range w.Nodes() {
		most = max(most, n.QueueMax())
	}
	dropped := w.Traffic().Dropped
	t.Logf("at most %d bytes waited, %d shards were dropped", most, dropped)
	if most == 0 || most > 2<<20 || dropped == 0 {
		t.Error("want something to wait, no more than 2 MiB, and drops")
	}
}
