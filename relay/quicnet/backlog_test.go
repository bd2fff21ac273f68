package quicnet

import (
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/test/memnet"
)

// TestStandingBacklogIsShort: what a path carries less than it is given waits no
// longer than Expires says, once that is clear. 20 shards every 100 ms make 4 Mbit/s,
// for which three lanes are too few at 10 % loss; 16 of the 20 make a block.
func TestStandingBacklogIsShort(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond, Jitter: time.Millisecond, Loss: 0.1}, func(t *testing.T, w *world) {
		const lanes, blocks, life = 3, 300, 150 * time.Millisecond
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.SetLanes(b.ID(), lanes)
		until(t, "lanes", func() bool { return peerStat(a, b.ID()).Lanes == lanes })
		began := time.Now()
		came := make(map[time.Time][]time.Duration)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range b.Events() {
				if s, ok := e.(Shard); ok {
					at := time.UnixMicro(int64(shardNumber(s.Bytes)))
					came[at] = append(came[at], time.Since(at))
				}
			}
		}()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range blocks {
			now := time.Now()
			for range 20 {
				a.Forward(b.ID(), shardBytes(int(now.UnixMicro()), 2500), now.Add(life))
			}
			<-tick.C
		}
		<-time.After(2 * time.Second)
		b.Close()
		<-done
		var delays []time.Duration
		inTime := 0
		for at, of := range came {
			if at.Sub(began) < 2*time.Second {
				continue
			}
			slices.Sort(of)
			delays = append(delays, of...)
			if len(of) >= 16 && of[15] < 600*time.Millisecond {
				inTime++
			}
		}
		slices.Sort(delays)
		p50, p90 := delays[len(delays)/2], delays[len(delays)*9/10]
		t.Logf("%d of %d blocks in time; shards p50 %v p90 %v", inTime, blocks-20, p50, p90)
		if inTime < (blocks-20)*7/10 || p90 > 400*time.Millisecond {
			t.Errorf("%d of %d blocks in time; shards p50 %v p90 %v", inTime, blocks-20, p50, p90)
		}
	})
}
