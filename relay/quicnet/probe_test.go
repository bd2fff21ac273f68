package quicnet

import (
	"fmt"
	"testing"
	"time"

	"github.com/stripecast/stripecast/test/memnet"
)

// TestUplinkIsMeasured: the cap becomes 80 % of an uplink's true rate, ± 10 % of
// that, with one peer and with several, near and far.
func TestUplinkIsMeasured(t *testing.T) {
	for _, mbps := range []float64{2, 10, 50} {
		for _, peers := range []int{1, 4} {
			for _, c := range []memnet.Link{
				{Delay: 5 * time.Millisecond},
				{Delay: 25 * time.Millisecond, Jitter: 3 * time.Millisecond},
				{Delay: 25 * time.Millisecond, Jitter: 3 * time.Millisecond, Loss: 0.002},
			} {
				t.Run(fmt.Sprintf("%v Mbit/s, %d peers, %v, loss %v", mbps, peers, c.Delay, c.Loss), func(t *testing.T) {
					virtual(t, c, func(t *testing.T, w *world) {
						a, e := w.attach(t, func(c *Config) { c.Upload, c.Measure = 2e6, true })
						e.SetUpload(mbps * 1e6)
						for range peers {
							n, _ := w.attach(t)
							link(t, a, n)
							collect(n)
						}
						collect(a)
						if u := a.Uplink(); u.Cap != 2e6 || u.Measured != 0 {
							t.Fatalf("at first: %+v", u)
						}
						until(t, "measured", func() bool { return a.Uplink().Measured > 0 })
						u := a.Uplink()
						t.Logf("measured %.3f of the uplink, cap %.3f, %.2f MB", u.Measured/mbps/1e6, u.Cap/mbps/1e6, float64(a.Stats().Out)/1e6)
						if u.Cap < 0.72*mbps*1e6 || u.Cap > 0.88*mbps*1e6 {
							t.Errorf("cap %.2f Mbit/s", u.Cap/1e6)
						}
					})
				})
			}
		}
	}
}

// TestProbeSpendsNoShards: a probe over the lanes that feed children delays shards by
// no more than the uplink's queue, and the cap owes nothing for it afterwards.
func TestProbeSpendsNoShards(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		a, e := w.attach(t, func(c *Config) { c.Upload, c.Measure = 2e6, true })
		e.SetUpload(10e6)
		b, _ := w.attach(t)
		link(t, a, b)
		a.SetLanes(b.ID(), 3)
		collect(a)
		delays := collect(b)
		count := feed(a, []*Net{b}, 3000, 20*time.Millisecond, 8*time.Second, 150*time.Millisecond) // 1.2 Mbit/s
		if u := a.Uplink(); u.Measured < 9e6 || u.Measured > 11e6 {
			t.Errorf("%+v", u)
		}
		until(t, "lanes as before", func() bool { return peerStat(a, b.ID()).Lanes == 3 })
		b.Close()
		got := <-delays
		t.Logf("%d of %d shards, p50 %v, slowest %v", len(got), count, got[len(got)/2], got[len(got)-1])
		if len(got) < count || got[len(got)-1] > 400*time.Millisecond {
			t.Errorf("%d of %d shards, the slowest after %v", len(got), count, got[len(got)-1])
		}
	})
}

// TestUplinkThatShrinks: when the uplink carries less than it did, what is sent goes
// down with it, without another probe.
func TestUplinkThatShrinks(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		a, e := w.attach(t, func(c *Config) { c.Upload, c.Measure = 2e6, true })
		e.SetUpload(3e6)
		var children []*Net
		for range 2 {
			n, _ := w.attach(t)
			link(t, a, n)
			collect(n)
			children = append(children, n)
		}
		collect(a)
		go feed(a, children, 3000, 20*time.Millisecond, time.Minute, 150*time.Millisecond) // 2.5 Mbit/s
		until(t, "measured", func() bool { return a.Uplink().Measured > 0 })
		before := a.Uplink()
		e.SetUpload(2e6)
		<-time.After(40 * time.Second)
		after := a.Uplink()
		t.Logf("%.2f Mbit/s, then %.2f; caps %.2f, %.2f", before.Measured/1e6, after.Measured/1e6, before.Cap/1e6, after.Cap/1e6)
		if before.Cap < 2.1e6 || after.Cap > 2e6 || after.Cap < 1.4e6 {
			t.Errorf("%+v, then %+v", before, after)
		}
		<-time.After(20 * time.Second)
	})
}

// TestPaddingIsLimited: a peer that goes on with padding is cut off, and others have
// what is left; shards still come.
func TestPaddingIsLimited(t *testing.T) {
	virtual(t, memnet.Link{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		b, _ := w.attach(t)
		var total uint64
		var peers []*Net
		for i := range 6 {
			n, _ := w.attach(t)
			link(t, n, b)
			collect(n)
			peers = append(peers, n)
			n.mu.Lock()
			c := n.peers[b.ID()].lanes[0].conn
			n.mu.Unlock()
			before := peerStat(b, n.ID()).In
			for range 10 { // as many streams as it likes
				s, err := c.OpenUniStream()
				if err != nil {
					t.Fatal(err)
				}
				s.SetWriteDeadline(soon(2 * time.Second))
				chunk := make([]byte, paddingChunk)
				chunk[0] = uniPadding
				for err == nil {
					_, err = s.Write(chunk)
				}
			}
			<-time.After(100 * time.Millisecond)
			in := peerStat(b, n.ID()).In - before
			total += in
			if i == 0 && in < paddingPerPeer || in > paddingPerPeer*3/2 {
				t.Errorf("peer %d brought %d bytes", i, in)
			}
		}
		if total > (paddingTotal+6*10*streamWindow)*11/10 { // with what was under way
			t.Errorf("%d bytes in all", total)
		}
		peers[0].Forward(b.ID(), []byte("shard"), soon(time.Second))
		await[Shard](t, b, nil)
		<-time.After(paddingMinute)
		if !b.padding.take(time.Now(), peers[0].ID(), paddingPerPeer) || b.padding.take(time.Now(), peers[0].ID(), 1) {
			t.Error("the next minute is not as the first")
		}
	})
}
