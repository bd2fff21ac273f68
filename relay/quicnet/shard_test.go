package quicnet

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memnet"
)

// shardBytes is a recognisable shard: its number, then noise.
func shardBytes(i, size int) []byte {
	b := append(fmt.Appendf(nil, "%d:", i), make([]byte, size)...)[:size]
	for j := len(fmt.Sprint(i)) + 1; j < size; j++ {
		b[j] = byte(i*31 + j)
	}
	return b
}

func shardNumber(b []byte) (i int) {
	fmt.Sscanf(string(b[:min(len(b), 20)]), "%d:", &i)
	return i
}

func TestThousandShardsOverTwentyLanes(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	a.SetLanes(b.ID(), 20)
	until(t, "20 lanes", func() bool { return peerStat(a, b.ID()).Lanes == 20 && peerStat(b, a.ID()).Lanes == 20 })
	const count = 1000
	sizes := []int{64, 1000, 4000, 5000, 40_000}
	got := make(map[int]bool)
	for i := 0; i < count; {
		for range 100 {
			a.Forward(b.ID(), shardBytes(i, sizes[i%len(sizes)]), soon(patience))
			i++
		}
		for len(got) < i {
			s := await[Shard](t, b, nil)
			k := shardNumber(s.Bytes)
			if s.Peer != a.ID() || got[k] || !bytes.Equal(s.Bytes, shardBytes(k, sizes[k%len(sizes)])) {
				t.Fatalf("shard %d (%d bytes): twice %v", k, len(s.Bytes), got[k])
			}
			got[k] = true
		}
	}
	sa, sb := a.Stats(), b.Stats()
	if sa.ShardsOut != count || sa.ShardsDropped != 0 || sb.ShardsIn != count || sb.StreamsRefused != 0 {
		t.Errorf("sender %+v\nreceiver %+v", sa, sb)
	}
	if sa.Out < 10_000_000 || sb.In < 10_000_000 || sa.Lanes != 20 {
		t.Errorf("sender %+v\nreceiver %+v", sa, sb)
	}
}

func TestLargestShard(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	for _, size := range []int{0, 1, stripe.MaxShardWire - 1, stripe.MaxShardWire} {
		want := bytes.Repeat([]byte{7}, size)
		a.Forward(b.ID(), want, soon(patience))
		if s := await[Shard](t, b, nil); !bytes.Equal(s.Bytes, want) {
			t.Fatalf("%d bytes came as %d", size, len(s.Bytes))
		}
	}
}

func TestLanesFollowThePlan(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.Pin(b.ID(), true)
		b.Pin(a.ID(), true)
		has := func(n int) func() bool {
			return func() bool { return peerStat(a, b.ID()).Lanes == n && peerStat(b, a.ID()).Lanes == n }
		}
		a.SetLanes(b.ID(), 6)
		until(t, "6 lanes", has(6))
		// b dials too, to the address it sees a at.
		b.SetLanes(a.ID(), 9)
		until(t, "9 lanes", has(9))
		a.SetLanes(b.ID(), MaxLanes+50)
		until(t, "all lanes", has(MaxLanes))
		a.SetLanes(b.ID(), 1) // b keeps its own three, and wants nine in all
		until(t, "9 lanes", has(9))
		b.SetLanes(a.ID(), 1)
		until(t, "1 lane", has(1))
		// A lane that dies is replaced, and the peer stays up.
		a.SetLanes(b.ID(), 3)
		until(t, "3 lanes", has(3))
		a.mu.Lock()
		victim := a.peers[b.ID()].lanes[2].conn
		a.mu.Unlock()
		victim.CloseWithError(codeFault, "test")
		until(t, "2 lanes", has(2))
		until(t, "3 lanes again", has(3))
		quiet(t, a, time.Minute)
		quiet(t, b, time.Second)
	})
}

// feed forwards a shard of size bytes every period for d, to each of the peers.
func feed(from *Net, to []*Net, size int, period, d, life time.Duration) (count int) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for end := soon(d); time.Now().Before(end); count++ {
		now := time.Now()
		for _, n := range to {
			from.Forward(n.ID(), shardBytes(int(now.UnixMicro()), size), now.Add(life))
		}
		<-tick.C
	}
	return count
}

// collect reads a node's events until they end and returns the delay of each
// shard that feed made.
func collect(n *Net) <-chan []time.Duration {
	out := make(chan []time.Duration, 1)
	go func() {
		var delays []time.Duration
		for e := range n.Events() {
			if s, ok := e.(Shard); ok {
				delays = append(delays, time.Since(time.UnixMicro(int64(shardNumber(s.Bytes)))))
			}
		}
		slices.Sort(delays)
		out <- delays
	}()
	return out
}

func TestFrozenReceiversSlowNobodyElse(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		good, _ := w.attach(t)
		dead, e := w.attach(t)  // its machine stops
		stuck, _ := w.attach(t) // its host stops reading events
		children := []*Net{good, dead, stuck}
		for _, n := range children {
			link(t, a, n)
			a.SetLanes(n.ID(), 3)
			until(t, "lanes", func() bool { return peerStat(a, n.ID()).Lanes == 3 })
		}
		delays := collect(good)
		e.Freeze(true)
		began := time.Now()
		count := feed(a, children, 4000, 5*time.Millisecond, 7500*time.Millisecond, 150*time.Millisecond)
		if d := time.Since(began); d > 7510*time.Millisecond {
			t.Errorf("feeding for 7.5 s took %v", d)
		}
		if q := peerStat(a, dead.ID()); q.Dropped < uint64(count)*9/10 {
			t.Errorf("of %d shards for a dead child %d were dropped", count, q.Dropped)
		}
		if q := peerStat(a, stuck.ID()); q.Dropped == 0 || q.Queued > 60 {
			t.Errorf("of %d shards for a stuck child %d were dropped, %d wait", count, q.Dropped, q.Queued)
		}
		<-time.After(time.Second)
		good.Close()
		got := <-delays
		t.Logf("%d of %d, p50 %v, max %v", len(got), count, got[len(got)/2], got[len(got)-1])
		if len(got) != count || got[len(got)-1] > 15*time.Millisecond {
			t.Errorf("the good child got %d of %d, slowest %v", len(got), count, got[len(got)-1])
		}
	})
}

func TestShardsThatWaitTooLongAreDropped(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		const life = 150 * time.Millisecond
		a, _ := w.attach(t, func(c *Config) { c.Upload = 1e6 })
		b, _ := w.attach(t)
		link(t, a, b)
		delays := collect(b)
		count := feed(a, []*Net{b}, 4000, 10*time.Millisecond, 5*time.Second, life) // 3.2 Mbit/s
		<-time.After(time.Second)
		st := a.Stats()
		b.Close()
		got := <-delays
		t.Logf("%d of %d arrived, slowest %v; %+v", len(got), count, got[len(got)-1], st)
		if int(st.ShardsDropped)+int(st.ShardsOut) != count || len(got) != int(st.ShardsOut) {
			t.Errorf("%d pushed, %d sent, %d dropped, %d arrived", count, st.ShardsOut, st.ShardsDropped, len(got))
		}
		// A backlog is seen to stand only after a while.
		most, after := got[len(got)*9/10], got[len(got)-1]
		if len(got) < count/4 || len(got) > count/2 || most > life+30*time.Millisecond || after > 2*life+30*time.Millisecond {
			t.Errorf("%d of %d arrived, nine tenths within %v, the slowest after %v", len(got), count, most, after)
		}
		a.Forward(b.ID(), []byte("x"), time.Now()) // nobody there
		if n := a.Stats().ShardsDropped; n != st.ShardsDropped+1 {
			t.Errorf("a shard for nobody: %d dropped, before it %d", n, st.ShardsDropped)
		}
	})
}

// TestStaleShardsAreNotSentAfterAnOutage checks that what was under way when a
// path broke is given up, not sent when it is back.
func TestStaleShardsAreNotSentAfterAnOutage(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, ea := w.attach(t)
		b, eb := w.attach(t)
		link(t, a, b)
		a.SetLanes(b.ID(), 3)
		until(t, "lanes", func() bool { return peerStat(a, b.ID()).Lanes == 3 })
		delays := collect(b)
		go func() {
			<-time.After(time.Second)
			ab, ba := w.Link(ea.Addr().Addr(), eb.Addr().Addr()), w.Link(eb.Addr().Addr(), ea.Addr().Addr())
			cut := memnet.Link{Cut: true}
			w.SetLink(ea.Addr().Addr(), eb.Addr().Addr(), cut)
			w.SetLink(eb.Addr().Addr(), ea.Addr().Addr(), cut)
			<-time.After(3 * time.Second)
			w.SetLink(ea.Addr().Addr(), eb.Addr().Addr(), ab)
			w.SetLink(eb.Addr().Addr(), ea.Addr().Addr(), ba)
		}()
		count := feed(a, []*Net{b}, 4000, 20*time.Millisecond, 10*time.Second, 150*time.Millisecond)
		<-time.After(3 * time.Second)
		st := a.Stats()
		b.Close()
		got := <-delays
		t.Logf("%d of %d, slowest %v; %+v", len(got), count, got[len(got)-1], st)
		if slowest := got[len(got)-1]; slowest > lateAfter {
			t.Errorf("a shard came after %v", slowest)
		}
		if len(got) < count/3 || st.ShardsLate == 0 {
			t.Errorf("%d of %d arrived, %d were given up", len(got), count, st.ShardsLate)
		}
	})
}

// TestLossyPath is the figure that the data plane was chosen for: 20 stripes of
// a 4 Mbit/s stream over 20 lanes, 40 ms round trip, loss both ways.
func TestLossyPath(t *testing.T) {
	for _, c := range []struct{ loss, least float64 }{{0, 1}, {0.01, 1}, {0.1, 0.99}} {
		t.Run(fmt.Sprintf("loss %v", c.loss), func(t *testing.T) {
			virtual(t, memnet.Link{Delay: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: c.loss}, func(t *testing.T, w *world) {
				a, _ := w.attach(t)
				b, _ := w.attach(t)
				link(t, a, b)
				a.SetLanes(b.ID(), 20)
				until(t, "lanes", func() bool { return peerStat(a, b.ID()).Lanes == 20 })
				delays := collect(b)
				count := feed(a, []*Net{b}, 3300, 5*time.Millisecond, 6*time.Second, 150*time.Millisecond)
				<-time.After(2 * time.Second)
				st := a.Stats()
				b.Close()
				got := <-delays
				t.Logf("%d of %d, p50 %v, p99 %v, max %v; %.2f Mbit/s out for %.2f; %d given up late",
					len(got), count, got[len(got)/2], got[len(got)*99/100], got[len(got)-1],
					float64(st.Out)*8/6/1e6, 3300*8*200/1e6, st.ShardsLate)
				if float64(len(got)) < c.least*float64(count) || got[len(got)*99/100] > 300*time.Millisecond {
					t.Errorf("%d of %d arrived, p99 %v", len(got), count, got[len(got)*99/100])
				}
			})
		})
	}
}
