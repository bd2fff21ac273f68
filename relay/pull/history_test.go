package pull

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// library is a rig with two neighbours who have blocks 0 to 99, none of them live.
func library(t *testing.T) *rig {
	r := newRig(t, nil)
	for i := 1; i <= 2; i++ {
		r.p.Up(r.now, node(i))
		r.hear(i, &overlay.Window{Epoch: 9, Ask: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 99}}})
	}
	return r
}

// answerAll has all come that is asked for, and rebuilds what is enough.
func (r *rig) answerAll() {
	r.t.Helper()
	for len(r.p.asks) > 0 {
		a := r.p.asks[0]
		r.got(int(a.of.id[1]), a.number, a.stripe)
		if b := r.p.history.at(a.number); b != nil && b.count() >= 4 {
			r.store.has[a.number] = 63
			r.p.Rebuilt(r.now, a.number)
			r.step()
		}
	}
}

// blocks are those that are asked for, with how many shards.
func (r *rig) blocks() string {
	var text string
	for number := range uint64(200) {
		if _, firm, spare, _ := r.p.asked(number); firm+spare > 0 {
			text += fmt.Sprintf(" %d:%d", number, firm+spare)
		}
	}
	return text
}

// As far ahead as the caller says, in order, k shards of each and no spare.
func TestAhead(t *testing.T) {
	r := library(t)
	r.store.has[12] = 63   // here already
	r.store.has[13] = 0b11 // in part
	r.p.Fetch(r.now, History{From: 10, Upto: 20, Ahead: 5})
	r.step()
	if got := r.blocks(); got != " 10:4 11:4 13:2 14:4" {
		t.Errorf("asked for%s", got)
	}
	r.answerAll()
	if at, on := r.p.Fetching(); on {
		t.Errorf("not done: %d", at)
	}
	if c := r.p.Counters(); c.Asked != 9*4+2 || c.Wasted != 0 {
		t.Errorf("%+v", c)
	}
}

// No faster than the pace.
func TestHistoryPace(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 0, Upto: 99, Ahead: 64, Pace: 100 * time.Millisecond})
	r.step()
	r.answerAll()
	start, _ := r.p.Fetching()
	for range 20 {
		r.pass(50 * time.Millisecond)
		r.answerAll()
	}
	if at, _ := r.p.Fetching(); at-start != 10 {
		t.Errorf("from block %d to %d in a second", start, at)
	}
}

// To seek is to fetch again: what was asked for is taken back.
func TestSeek(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 0, Upto: 99, Ahead: 3})
	r.step()
	r.p.Fetch(r.now, History{From: 50, Upto: 99, Ahead: 3})
	r.step()
	if got := r.blocks(); got != " 50:4 51:4 52:4" || len(heardBy[*overlay.Cancel](r, 1))+len(heardBy[*overlay.Cancel](r, 2)) == 0 {
		t.Errorf("asked for%s", got)
	}
	r.p.StopFetch(r.now)
	r.step()
	if got := r.blocks(); got != "" {
		t.Errorf("stopped, and asked for%s", got)
	}
}

// Live blocks come first, whatever history is wanted.
func TestLiveFirst(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Info = streamInfo(16, 4) })
	for i := 1; i <= 4; i++ {
		r.join(i, all20, 150)
		r.p.Measured(node(i), 200*time.Millisecond, 0) // none is late before the live block is due
	}
	r.got(9, 150, 0)
	r.p.Fetch(r.now, History{From: 0, Upto: 99, Ahead: 64})
	r.step()
	if n := r.p.askedOld(); n != maxHistory {
		t.Errorf("%d of history are asked for", n)
	}
	r.pass(patienceFirst)
	if _, _, _, live := r.p.asked(150); live != MaxOutstanding-maxHistory {
		t.Errorf("%d of the live block are asked for", live)
	}
}

// What nobody has is passed over after a while, and said.
func TestAbsent(t *testing.T) {
	r := library(t)
	r.hear(1, &overlay.Holes{Newest: 99, Holes: []overlay.Piece{{Number: 1, Stripes: 0b111}}})
	r.hear(2, &overlay.Holes{Newest: 99, Holes: []overlay.Piece{{Number: 1, Stripes: 0b111}}})
	r.p.Fetch(r.now, History{From: 0, Upto: 3, Ahead: 2})
	r.step()
	r.answerAll()
	for range 29 {
		r.pass(absentAfter / 30)
		r.answerAll()
	}
	if got := outputs[Absent](r); len(got) > 0 {
		t.Errorf("given up too early: %v", got)
	}
	for range 2 {
		r.pass(absentAfter / 30)
		r.answerAll()
	}
	if got := outputs[Absent](r); len(got) != 1 || got[0].Number != 1 {
		t.Errorf("given up: %v", got)
	}
	if at, on := r.p.Fetching(); on {
		t.Errorf("and got to %d", at)
	}
}

// A stretch that goes on where it has got to asks for nothing again, and takes back
// only what it leaves out.
func TestGoesOn(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 10, Upto: 12, Ahead: 5})
	r.step()
	for s := range 4 {
		a := r.p.asks[0]
		if a.number != 10 {
			t.Fatalf("shard %d is of block %d", s, a.number)
		}
		r.store.has[10] |= 1 << a.stripe
		r.p.GotOld(r.now, a.of.id, 10, a.stripe)
	}
	r.p.Fetched(r.now, 10)
	r.step()
	before := r.p.Counters()
	r.p.Fetch(r.now, History{From: 11, Upto: 14, Ahead: 5})
	r.step()
	after := r.p.Counters()
	if got := r.blocks(); got != " 11:4 12:4 13:4 14:4" || after.Asked-before.Asked != 8 || after.Cancelled != before.Cancelled {
		t.Errorf("asked for%s: %+v", got, after)
	}
	r.p.Fetch(r.now, History{From: 12, Upto: 13, Ahead: 5})
	r.step()
	if got, c := r.blocks(), r.p.Counters(); got != " 12:4 13:4" || c.Asked != after.Asked || c.Cancelled-after.Cancelled != 8 {
		t.Errorf("asked for%s: %+v", got, c)
	}
	r.p.Fetch(r.now, History{From: 12, Upto: 99, Ahead: 4})
	r.step()
	if got := r.blocks(); got != " 12:4 13:4 14:4 15:4" {
		t.Errorf("asked for%s", got)
	}
	var taken []uint64
	for _, o := range outputs[Taken](r) {
		taken = append(taken, o.Number)
	}
	if want := "[10 11 12 13 14 14 15]"; fmt.Sprint(taken) != want {
		t.Errorf("taken up %v, want %s", taken, want)
	}
}

// One shard of each block is asked for when its header is all that is wanted.
func TestHeaders(t *testing.T) {
	r := library(t)
	r.store.has[12] = 0b100000
	r.p.Fetch(r.now, History{From: 10, Upto: 14, Ahead: 64, Headers: true})
	r.step()
	if got := r.blocks(); got != " 10:1 11:1 13:1 14:1" {
		t.Errorf("asked for%s", got)
	}
	for len(r.p.asks) > 0 {
		a := r.p.asks[0]
		r.p.GotOld(r.now, a.of.id, a.number, a.stripe)
		r.p.Fetched(r.now, a.number)
		r.step()
	}
	if at, on := r.p.Fetching(); on {
		t.Errorf("got to %d", at)
	}
	if c := r.p.Counters(); c.Asked != 4 || c.Answered != 4 || c.Wasted != 0 {
		t.Errorf("%+v", c)
	}
}

// A shard of the past says nothing of what is live.
func TestOldIsNotLive(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 10, Upto: 10, Ahead: 1})
	r.step()
	for _, a := range slices.Clone(r.p.asks) {
		r.p.GotOld(r.now, a.of.id, a.number, a.stripe)
	}
	r.p.Fetched(r.now, 10)
	r.step()
	if r.p.started {
		t.Error("a block of the past began what is live")
	}
}

// Where a gap is long its blocks are given up together, not one after the other.
func TestLongGap(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 80, Upto: 140, Ahead: MaxAhead})
	r.step()
	r.answerAll()
	r.stay(absentAfter + absentAfter/5)
	if got := outputs[Absent](r); len(got) != 41 || got[0].Number != 100 || got[40].Number != 140 {
		t.Errorf("given up: %v", got)
	}
}

// Without any neighbour it takes longer: one may come.
func TestAbsentAlone(t *testing.T) {
	r := newRig(t, nil)
	r.p.Fetch(r.now, History{From: 0, Upto: 0, Ahead: 1})
	r.pass(absentAlone - time.Millisecond)
	if got := outputs[Absent](r); len(got) > 0 {
		t.Errorf("given up: %v", got)
	}
	r.pass(time.Second)
	if got := outputs[Absent](r); len(got) != 1 {
		t.Errorf("given up: %v", got)
	}
}

// What was offered and is not there is answered.
func TestLost(t *testing.T) {
	r := library(t)
	r.store.has[7] = 63
	r.hear(1, &overlay.Want{Pieces: []overlay.Piece{{Number: 7, Stripes: 0b100}}})
	if got := outputs[Serve](r); len(got) != 1 || got[0].Number != 7 || got[0].Stripe != 2 {
		t.Fatalf("served %v", got)
	}
	r.p.Lost(node(1), 7, 2, false)
	r.step()
	if got := heardBy[*overlay.Lack](r, 1); len(got) != 1 || got[0].Busy || got[0].Pieces[0] != (overlay.Piece{Number: 7, Stripes: 0b100}) {
		t.Errorf("%+v", got)
	}
}

// stay lets time pass while the library's neighbours say what they hold, and send
// what they are asked for.
func (r *rig) stay(d time.Duration) {
	r.t.Helper()
	const step = 500 * time.Millisecond
	for ; d > 0; d -= step {
		r.pass(min(d, step))
		r.answerAll()
		for i := 1; i <= 2; i++ {
			r.hear(i, &overlay.Window{Epoch: 9, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 99}}})
		}
	}
}

// What is lacked of many blocks is remembered of all that are fetched, so that they are
// found absent, and not asked for again and again.
func TestLacksAreRemembered(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 0, Upto: MaxAhead - 1, Ahead: MaxAhead})
	r.step()
	for range 200 {
		for len(r.p.asks) > 0 && r.p.Counters().Asked <= MaxAhead*6*2 {
			a := r.p.asks[0]
			r.hear(int(a.of.id[1]), &overlay.Lack{Pieces: []overlay.Piece{{Number: a.number, Stripes: 1 << a.stripe}}})
		}
		r.pass(absentAfter / 80)
	}
	if got := outputs[Absent](r); len(got) != MaxAhead {
		t.Errorf("%d blocks are absent", len(got))
	}
	if c := r.p.Counters(); c.Asked > MaxAhead*6*2 {
		t.Errorf("%d shards were asked for, of %d that there are", c.Asked, MaxAhead*6*2)
	}
}

// A neighbour that is near, and answers at once, is not asked for more in a second than
// it lets itself be asked for: what is over it would drop without a word.
func TestAsksKeepToTheRate(t *testing.T) {
	r := library(t)
	r.p.Fetch(r.now, History{From: 0, Upto: 4000, Ahead: MaxAhead})
	asked := map[*peer]int{}
	for end := r.now.Add(time.Second); r.now.Before(end); {
		r.step()
		for len(r.p.asks) > 0 {
			a := r.p.asks[0]
			asked[a.of.peer]++
			r.p.GotOld(r.now, a.of.id, a.number, a.stripe)
		}
		r.now = r.now.Add(time.Millisecond)
	}
	for _, n := range asked {
		if n > wantRate || n < wantRate/2 {
			t.Errorf("one was asked for %d shards in a second", n)
		}
	}
	if len(asked) == 0 {
		t.Error("nobody was asked")
	}
}
