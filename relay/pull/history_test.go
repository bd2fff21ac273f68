package pull

import (
	"fmt"
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
