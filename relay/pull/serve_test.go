package pull

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// server is a rig that holds block 5, with node 1 as its neighbour.
func server(t *testing.T, meter Meter) *rig {
	r := newRig(t, func(c *Config) { c.Meter = meter; c.Pulls = false; c.Stripes = 63 })
	r.store.has[5] = 0b011111
	r.join(1, 63, 5)
	r.said = nil
	return r
}

func want(number, stripes uint64, after time.Duration) *overlay.Want {
	return &overlay.Want{Pieces: []overlay.Piece{{Number: number, Stripes: stripes, After: after}}}
}

func served(r *rig) (shards []string) {
	for _, s := range outputs[Serve](r) {
		shards = append(shards, fmt.Sprintf("%d:%d/%d", indexOf(s.To), s.Number, s.Stripe))
	}
	return shards
}

// What is held is sent, what is not is answered at once.
func TestServe(t *testing.T) {
	r := server(t, unmetered{})
	r.hear(1, want(5, 0b100011, 0))
	if got := fmt.Sprint(served(r)); got != "[1:5/0 1:5/1]" {
		t.Errorf("sends %v", got)
	}
	lacks := heardBy[*overlay.Lack](r, 1)
	if len(lacks) != 1 || lacks[0].Busy || fmt.Sprint(lacks[0].Pieces) != "[{5 32 0s}]" {
		t.Errorf("lacks %+v", lacks)
	}
	r.hear(1, want(6, math.MaxUint64, 0))
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || got[0].Pieces[0].Stripes != math.MaxUint64 || len(served(r)) > 0 {
		t.Errorf("of a block that is not here: %+v", got)
	}
}

// The same shard asked for twice is sent once; one held back waits, or is cancelled.
func TestHeldBack(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		r := server(t, unmetered{})
		r.hear(1, want(5, 1, 200*time.Millisecond))
		r.hear(1, want(5, 1, 100*time.Millisecond))
		r.pass(199 * time.Millisecond)
		if got := served(r); len(got) > 0 {
			t.Errorf("sends %v too early", got)
		}
		if cancelled {
			r.hear(1, &overlay.Cancel{Pieces: []overlay.Piece{{Number: 5, Stripes: 1}}})
		}
		r.pass(time.Second)
		if got := served(r); len(got) == 1 == cancelled {
			t.Errorf("cancelled %v, and sends %v", cancelled, got)
		}
	}
}

// Neighbours take turns, and one that asks for much waits, or is told to go elsewhere.
func TestTurns(t *testing.T) {
	r := server(t, &metered{rate: 20_000, at: epoch0}) // a shard of 1000 bytes each 50 ms
	r.store.has[6] = 63
	for i := 2; i <= 3; i++ {
		r.join(i, 63, 5)
	}
	r.hear(1, want(5, 0b11111, 0))
	r.hear(1, want(6, 0b111111, 0))
	r.hear(2, want(6, 1, 0))
	r.hear(3, want(6, 3, 0))
	r.pass(time.Second)
	got := fmt.Sprint(served(r))
	if got != "[1:5/0 2:6/0 3:6/0 1:5/1 3:6/1 1:5/2 1:5/3 1:5/4 1:6/0]" && got[:14] != "[1:5/0 2:6/0 3" {
		t.Errorf("sends %v", got)
	}
	refused := 0
	for _, m := range heardBy[*overlay.Lack](r, 1) {
		if !m.Busy {
			t.Errorf("lacks %+v", m)
		}
		refused += len(m.Pieces)
	}
	if refused == 0 || len(heardBy[*overlay.Lack](r, 2))+len(heardBy[*overlay.Lack](r, 3)) > 0 {
		t.Errorf("refused %d of the first, and some of the others", refused)
	}
}

// Who gives nothing is served when nobody waits who gives, and told early that it would
// wait for long.
func TestRidersLast(t *testing.T) {
	m := &metered{rate: 20_000, at: epoch0} // a shard of 1000 bytes each 50 ms
	r := server(t, m)
	r.join(2, 63, 5)
	r.p.Rides(node(1), true)
	r.hear(1, want(5, 0b11111, 0))
	r.hear(2, want(5, 0b111, 0))
	r.hear(1, want(6, 1, 0))
	r.pass(time.Second)
	if got := fmt.Sprint(served(r)); got != "[1:5/0 2:5/0 2:5/1 2:5/2 1:5/1 1:5/2 1:5/3 1:5/4]" {
		t.Errorf("sends %v", got)
	}
	r.p.Rides(node(1), false)
	m.Take(r.now, 5_000) // no more than the rate from here on
	r.hear(1, want(5, 0b111, 0))
	r.hear(2, want(5, 0b111, 0))
	r.pass(time.Second)
	if got := fmt.Sprint(served(r)); got != "[1:5/0 2:5/0 1:5/1 2:5/1 1:5/2 2:5/2]" {
		t.Errorf("when both give, sends %v", got)
	}
}

// The meter is kept: a second brings its rate, what was saved, and one shard.
func TestMeter(t *testing.T) {
	r := server(t, &metered{rate: 10_000, at: epoch0})
	sent := 0
	for i := range 100 {
		r.hear(1, want(5, 1<<(i%5), 0))
		r.pass(10 * time.Millisecond)
		sent += len(served(r))
	}
	if sent < 9 || sent > 14 {
		t.Errorf("%d shards of 1000 bytes in a second of 10,000 bytes", sent)
	}
}

// Without a meter all is refused, and what waits too long is.
func TestBusy(t *testing.T) {
	r := server(t, nil)
	r.hear(1, want(5, 1, 0))
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || !got[0].Busy {
		t.Errorf("without a meter: %+v", got)
	}
	m := &metered{rate: 1000, at: epoch0, level: -200}
	r = server(t, m)
	r.hear(1, want(5, 1, 0))
	m.level -= 10_000 // others took it
	r.pass(serveStale - time.Millisecond)
	if got := heardBy[*overlay.Lack](r, 1); len(got) > 0 {
		t.Errorf("refused too early: %+v", got)
	}
	r.pass(time.Millisecond)
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || !got[0].Busy || len(served(r)) > 0 {
		t.Errorf("waits for ever: %+v", got)
	}
}

// A queue holds 32.
func TestQueueFull(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Info, c.Pulls = streamInfo(60, 4), false })
	r.store.has[5] = math.MaxUint64
	r.join(1, 63, 5)
	r.hear(1, want(5, 1<<33-1, 200*time.Millisecond))
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || !got[0].Busy || len(r.p.near[0].queue) != MaxQueued {
		t.Errorf("%d wait, refused %+v", len(r.p.near[0].queue), got)
	}
}

// What is over the rate of one neighbour is not even answered.
func TestWantRate(t *testing.T) {
	r := server(t, unmetered{})
	for range 10_000 {
		r.p.Heard(r.now, node(1), want(5, 1<<5, 0))
	}
	r.step()
	if n := len(heardBy[*overlay.Lack](r, 1)); n != wantRate {
		t.Errorf("%d of 10,000 are answered", n)
	}
	r.now = r.now.Add(time.Second)
	r.hear(1, want(5, 1, 0))
	if len(served(r)) != 1 {
		t.Error("it is never served again")
	}
}

// Who is no neighbour, or speaks of another epoch, gets nothing.
func TestStranger(t *testing.T) {
	r := server(t, unmetered{})
	r.p.Up(r.now, node(2))
	for range 1000 {
		r.hear(2, want(5, 1, 0))
	}
	if got := heardBy[*overlay.Part](r, 2); len(got) != 1 || len(served(r)) > 0 {
		t.Errorf("a stranger hears %d, and is sent %v", len(got), served(r))
	}
	r.hear(1, &overlay.Window{Epoch: 8})
	r.hear(1, want(5, 1, 0))
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || len(served(r)) > 0 {
		t.Errorf("of another epoch: %v", got)
	}
}
