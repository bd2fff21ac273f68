package quicnet

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// sending is a participant that feeds peers over an uplink, as a belief sees it.
type sending struct {
	*belief
	now   time.Time
	peers []peerLoad
	used  float64 // share of the cap
	far   bool
}

func newSending(b *belief, peers int) *sending {
	s := &sending{belief: b, now: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range peers {
		s.peers = append(s.peers, peerLoad{id: membership.NodeID{byte(i)}, rtt: time.Duration(20+i) * time.Millisecond, least: 20 * time.Millisecond})
	}
	return s
}

// run lets time pass and returns when a probe became due, or -1.
func (s *sending) run(d time.Duration) time.Duration {
	for from := s.now; s.now.Sub(from) < d; s.now = s.now.Add(housekeeping) {
		s.observe(s.now, load{used: s.used * s.upload(), peers: s.peers, any: true, far: s.far})
		if s.due(s.now) {
			return s.now.Sub(from)
		}
	}
	return -1
}

func (s *sending) queue(n int, by time.Duration) {
	for i := range s.peers {
		s.peers[i].rtt = time.Duration(20+i) * time.Millisecond
		if i < n {
			s.peers[i].rtt += by
		}
	}
}

func near(a, b float64) bool { return math.Abs(a-b) < 1 }

func TestUplinkIsProbedSoonAfterTheFirstPeer(t *testing.T) {
	b := newBelief(2e6, 0)
	s := newSending(b, 1)
	for range 100 {
		if b.observe(s.now, load{}); b.due(s.now) {
			t.Fatal("a probe without peers")
		}
	}
	if d := s.run(time.Minute); d != probeAfter {
		t.Errorf("the first probe after %v", d)
	}
	// One that fails is tried again, later each time.
	for _, want := range []time.Duration{probeRetry, 2 * probeRetry, 4 * probeRetry, 8 * probeRetry, probeRetryTo, probeRetryTo} {
		s.probed(s.now, 0, true, false)
		if d := s.run(time.Hour); d != want || s.upload() != 2e6 {
			t.Errorf("another after %v with a cap of %v, want after %v", d, s.upload(), want)
		}
	}
}

func TestCapOfTheEstimate(t *testing.T) {
	for _, c := range []struct{ least, found, want float64 }{
		{0, 10e6, 8e6}, {6e6, 10e6, 8e6}, {9e6, 10e6, 9e6}, {20e6, 10e6, 9.5e6},
		{0, 1e9, 80e6}, {0, 10, 200e3},
	} {
		b := newBelief(2e6, c.least)
		b.probed(time.Time{}, c.found, false, true)
		if !near(b.upload(), c.want) {
			t.Errorf("%+v: a cap of %v", c, b.upload())
		}
	}
}

func TestQueueLowersTheEstimate(t *testing.T) {
	s := newSending(newBelief(2e6, 0), 5)
	s.probed(s.now, 10e6, false, true)
	s.used = 0.5
	s.run(10 * time.Second)
	s.queue(2, time.Second) // of five: somebody else's
	s.run(time.Minute)
	if !near(s.bps, 10e6) {
		t.Fatalf("%v with two slow peers", s.bps)
	}
	s.queue(5, 90*time.Millisecond)
	s.run(time.Minute)
	if !near(s.bps, 10e6) {
		t.Fatalf("%v with a little queue", s.bps)
	}
	s.queue(3, 200*time.Millisecond)
	s.run(queueTime)
	if !near(s.bps, 10e6) {
		t.Fatalf("%v at once", s.bps)
	}
	s.run(time.Second)
	if !near(s.bps, 9e6) {
		t.Fatalf("%v after %v", s.bps, queueTime)
	}
	s.run(cutPause)
	if !near(s.bps, 8.1e6) {
		t.Fatalf("%v after another %v", s.bps, cutPause)
	}
	s.queue(0, 0)
	if d := s.run(time.Hour); !near(s.bps, 8.1e6) || d != -1 {
		t.Fatalf("%v when the queue was gone, a probe after %v", s.bps, d)
	}
	// A queue that no cut moves is not ours, or far more is wrong.
	s.queue(5, 200*time.Millisecond)
	if d := s.run(time.Hour); !near(s.bps, 8.1e6*0.729) || d < 3*cutPause || d > 4*cutPause {
		t.Fatalf("%v, and a probe after %v", s.bps, d)
	}
	s.probed(s.now, 10e6, false, true)
	if s.run(time.Hour); !near(s.bps, 10e6) {
		t.Fatalf("%v: the way is longer now", s.bps)
	}
}

func TestSheddingLowersTheEstimate(t *testing.T) {
	s := newSending(newBelief(2e6, 0), 3)
	s.probed(s.now, 10e6, false, true)
	s.used = 0.95 // at the cap shards are shed, of course
	for i := range s.peers[:2] {
		s.peers[i].shed = true
	}
	s.run(20 * time.Second)
	if !near(s.bps, 10e6) {
		t.Fatalf("%v at the cap", s.bps)
	}
	s.used = 0.7
	s.run(5 * time.Second)
	if !near(s.bps, 9e6) {
		t.Fatalf("%v below the cap", s.bps)
	}
}

func TestProbedAgainOnlyIfTheCapIsInUse(t *testing.T) {
	s := newSending(newBelief(2e6, 0), 3)
	s.probed(s.now, 10e6, false, true)
	s.used = 0.7
	if d := s.run(3 * time.Hour); d != -1 {
		t.Fatalf("a probe after %v with room to spare", d)
	}
	s.used = 0.95
	if d := s.run(time.Hour); d < busyTime || d > 2*busyTime {
		t.Fatalf("a probe after %v", d)
	}
	for _, c := range []struct {
		found float64
		want  time.Duration
	}{{10e6, 2 * probeAgain}, {10e6, 4 * probeAgain}, {20e6, probeAgain}, {20e6, 2 * probeAgain}} {
		s.probed(s.now, c.found, false, true)
		if d := s.run(3 * time.Hour); d != c.want {
			t.Errorf("after one that found %v another after %v, want %v", c.found, d, c.want)
		}
	}
}

func TestLANIsProbedAgainForTheInternet(t *testing.T) {
	s := newSending(newBelief(2e6, 0), 1)
	s.probed(s.now, 90e6, true, true)
	if d := s.run(time.Hour); d != -1 {
		t.Fatalf("a probe after %v", d)
	}
	s.far = true
	if d := s.run(time.Minute); d != 0 {
		t.Fatalf("no probe after %v", d)
	}
	s.probed(s.now, 5e6, false, true)
	if d := s.run(time.Hour); d != -1 || !near(s.bps, 5e6) {
		t.Fatalf("%v, a probe after %v", s.bps, d)
	}
}

// TestTrainSeesThroughQueues: lanes that fill a line whose queue grows, with looks
// at odd times, give the line's rate.
func TestTrainSeesThroughQueues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, bps := range []float64{1e6, 10e6, 80e6} {
		for _, lanes := range []int{1, 3} {
			const base = 40 * time.Millisecond
			var tr train
			start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
			for d := time.Duration(0); d < 2*time.Second; d += time.Duration(5+rnd.IntN(10)) * time.Millisecond {
				// Sending at 1.1 times the rate grows the queue by 0.1 s in a second.
				sent := bps / 8 * 1.1 * d.Seconds()
				rtt := base + time.Duration(0.1/1.1*max(0, (d-base).Seconds())*1e9)
				m := moment{at: start.Add(d)}
				for range lanes {
					m.lanes = append(m.lanes, laneCount{
						sent: uint64(sent / float64(lanes)), heard: uint64(d), rtt: rtt, base: base, sending: true,
					})
				}
				m.lanes = append(m.lanes, laneCount{})
				tr.add(m)
			}
			got, ok := tr.rate()
			if !ok || math.Abs(got/bps-1) > 0.02 {
				t.Errorf("%v over %d lanes: %.3f of it, %v", bps, lanes, got/bps, ok)
			}
			if at := tr.full(); at < 0 || tr.moments[at].lanes[0].rtt <= base+probeQueue {
				t.Errorf("full at %d", at)
			}
		}
	}
}

func TestTrainOfNothing(t *testing.T) {
	var tr train
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 100 {
		if bps, ok := tr.rate(); ok {
			t.Fatalf("%d moments give %v", i, bps)
		}
		at := start.Add(time.Duration(i) * probeTick)
		// Much is sent, and nothing is ever heard.
		tr.add(moment{at: at, lanes: []laneCount{{sent: uint64(1000 * i), rtt: 20 * time.Millisecond, base: 20 * time.Millisecond, sending: true}, {}}})
	}
	if tr.enough() {
		t.Error("that is enough")
	}
}
