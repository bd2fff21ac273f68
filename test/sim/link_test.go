package sim

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

// pipe is a world of the source and a relay that are connected, 20 ms apart.
func pipe(seed uint64) (w *World, c *conn, to *Node) {
	cfg := DefaultConfig(seed)
	cfg.Near, cfg.Far = 20*time.Millisecond, 20*time.Millisecond
	w = New(cfg)
	w.AddSource(20 * mbit)
	to = w.AddRelay("relay", 0)
	w.Run(time.Second)
	return w, w.connOf(w.source.Node, to), to
}

// TestWindow: what one connection carries under loss is what was measured with
// quic-go at the same round trip of 40 ms, within a factor.
func TestWindow(t *testing.T) {
	for _, c := range []struct{ loss, mbits float64 }{{0.01, 4.2}, {0.05, 1.7}, {0.10, 1.1}} {
		t.Run(fmt.Sprint(c.loss), func(t *testing.T) {
			w, link, _ := pipe(1)
			w.SetNet(Conditions{Loss: c.loss})
			l, shard, sent := &link.ways[link.side(w.source.Node)], w.source.truth[blockID{1, 0}].shards[0], 0
			const packets, span = 3, 60 * time.Second
			for end := w.Now() + span; w.Now() < end; w.Run(time.Millisecond) {
				for {
					if _, ok := l.room(w.t, packets*packetSize); !ok {
						break
					}
					w.carry(link, w.source.Node, act{kind: doShard, c: link, shard: shard, sent: w.t}, packets*packetSize)
					sent += packets * packetSize
				}
			}
			got := float64(8*sent) / span.Seconds() / mbit
			t.Logf("%.2f Mbit/s, quic-go %.1f", got, c.mbits)
			if got < c.mbits/1.7 || got > c.mbits*1.7 {
				t.Errorf("want %.1f Mbit/s within a factor of 1.7", c.mbits)
			}
		})
	}
}

// TestConditions: the network does to shards what it was told to, and the ledger
// says so.
func TestConditions(t *testing.T) {
	const shards = 4000
	for _, c := range []struct {
		name  string
		set   func(w *World, from, to *Node)
		lost  [2]float64 // share that never comes, at least and at most
		twice [2]float64
		p50   [2]time.Duration // delay
		p99   [2]time.Duration
	}{
		{name: "nothing", set: func(*World, *Node, *Node) {},
			p50: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond}},
		{name: "loss", set: func(w *World, _, _ *Node) { w.SetNet(Conditions{Loss: 0.2}) },
			p50: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99: [2]time.Duration{80 * time.Millisecond, 400 * time.Millisecond}},
		{name: "loss the other way", set: func(w *World, from, to *Node) { w.SetWay(to, from, Conditions{Loss: 0.5}) },
			p50: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond}},
		{name: "final", set: func(w *World, _, to *Node) { w.SetNode(to, Conditions{Final: 0.3}) },
			lost: [2]float64{0.27, 0.33},
			p50:  [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99:  [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond}},
		{name: "order", set: func(w *World, from, to *Node) {
			w.SetWay(from, to, Conditions{Reorder: 0.25, Jitter: 50 * time.Millisecond, Duplicate: 0.5})
		},
			twice: [2]float64{0.45, 0.55},
			p50:   [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99:   [2]time.Duration{60 * time.Millisecond, 70 * time.Millisecond}},
		{name: "outages", set: func(w *World, _, _ *Node) {
			w.SetNet(Conditions{Outage: 300 * time.Millisecond, Period: 3 * time.Second})
		},
			p50: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99: [2]time.Duration{200 * time.Millisecond, 500 * time.Millisecond}},
		{name: "bursts", set: func(w *World, _, _ *Node) {
			w.SetNet(Conditions{Good: 900 * time.Millisecond, Bad: 100 * time.Millisecond, BadLoss: 0.9})
		},
			p50: [2]time.Duration{20 * time.Millisecond, 20 * time.Millisecond},
			p99: [2]time.Duration{150 * time.Millisecond, 900 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, link, to := pipe(2)
			c.set(w, w.source.Node, to)
			d := w.probe(link, to, shards)
			lost := 1 - float64(len(d.delays))/shards
			twice := float64(d.twice) / shards
			p50, p99 := Quantile(d.delays, 0.5), Quantile(d.delays, 0.99)
			t.Logf("lost %.3f, twice %.3f, p50 %v, p99 %v; %d known to be lost", lost, twice, p50, p99, d.marked)
			if lost < c.lost[0] || lost > c.lost[1] || twice < c.twice[0] || twice > c.twice[1] {
				t.Errorf("want lost %v and twice %v", c.lost, c.twice)
			}
			if p50 < c.p50[0] || p50 > c.p50[1] || p99 < c.p99[0] || p99 > c.p99[1] {
				t.Errorf("want p50 %v and p99 %v", c.p50, c.p99)
			}
			if d.marked != shards-len(d.delays) {
				t.Errorf("%d shards were lost, the ledger knows of %d", shards-len(d.delays), d.marked)
			}
		})
	}
}

type probed struct {
	delays []time.Duration // sorted
	twice  int
	marked int // that the ledger calls lost
}

// probe sends shards one every 10 ms, a quarter of a packet each, and takes them
// from the agenda as they come.
func (w *World) probe(c *conn, to *Node, shards int) (p probed) {
	from := c.other(to)
	shard := w.source.truth[blockID{1, 0}].shards[0]
	for range shards {
		*to.ledger.entry(1, 0) = entry{id: blockID{1, 0}, used: true}
		before := w.agenda.Len()
		w.carry(c, from, act{kind: doShard, c: c, shard: shard, sent: w.t}, packetSize/4)
		if to.ledger.at(blockID{1, 0}).marks[slices.Index(marked[:], Lost)] != 0 {
			p.marked++
		}
		arrivals := []time.Duration{}
		w.agenda.Each(func(at time.Duration, e *event) {
			if e.kind == doShard && e.shard == shard && e.sent == w.t && e.node == to {
				arrivals = append(arrivals, at-w.t)
			}
		})
		if len(arrivals) > 0 && w.agenda.Len() > before {
			p.delays = append(p.delays, slices.Min(arrivals))
			p.twice += len(arrivals) - 1
		}
		w.Run(10 * time.Millisecond)
	}
	slices.Sort(p.delays)
	return p
}

// TestQueues: a link carries its rate, with a delay of at most queueMax, and what
// is too much is sent again.
func TestQueues(t *testing.T) {
	for _, c := range []struct {
		name     string
		up, down float64
	}{{"up", 1 * mbit, 0}, {"down", 0, 1 * mbit}} {
		t.Run(c.name, func(t *testing.T) {
			w, link, to := pipe(3)
			w.SetLink(w.source.Node, c.up, 0)
			w.SetLink(to, 0, c.down)
			bytes, worst := 0, time.Duration(0)
			const span = 10 * time.Second
			for end := w.Now() + span; w.Now() < end; w.Run(5 * time.Millisecond) { // 1.6 Mbit/s
				var l lane
				l.init()
				a := act{kind: doDown, c: link}
				if extra, _ := w.travel(link, link.side(w.source.Node), a, 1000); extra < queueMax+20*time.Millisecond {
					bytes += 1000
					worst = max(worst, extra)
				}
			}
			got := float64(8*bytes) * wireShare / span.Seconds() / mbit
			t.Logf("%.2f Mbit/s, queue ≤ %v", got, worst)
			if math.Abs(got-1) > 0.05 || worst < queueMax/2 {
				t.Errorf("want 1 Mbit/s and a full queue")
			}
		})
	}
}
