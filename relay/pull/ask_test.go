package pull

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// spares is how many of these shards are the spare.
func spares(shards []string) (n int) {
	for _, s := range shards {
		if s[len(s)-1] == '+' {
			n++
		}
	}
	return n
}

// Exactly k − have are asked for, whatever is there, and a spare when time gets short.
func TestExactCount(t *testing.T) {
	for have := range 6 {
		r := newRig(t, func(c *Config) { c.Delay = 2*patienceFirst + spareLeft })
		r.join(1, 63, 5)
		r.join(2, 63, 5)
		r.got(9, 5, 5) // a block after it: it exists
		for s := range have {
			r.got(9, 6, s)
		}
		r.got(9, 7, 0)
		r.pass(patienceFirst + 100*time.Millisecond)
		var of6 []string
		look := func() {
			for _, s := range append(wantsOf(r, 1), wantsOf(r, 2)...) {
				if s[:2] == "6/" {
					of6 = append(of6, s)
				}
			}
		}
		want := max(0, 4-have)
		if look(); len(of6) != want || spares(of6) != 0 {
			t.Errorf("with %d shards %v are asked for, want %d", have, of6, want)
		}
		if r.pass(r.p.at(6).deadline.Add(sayEvery - spareLeft).Sub(r.now)); want > 0 {
			want++
		}
		if look(); len(of6) != want || want > 0 && spares(of6) != 1 {
			t.Errorf("with %d shards %v are asked for at last, want %d, one of them spare", have, of6, want)
		}
	}
}

// Nothing is asked for before a block is due, and nothing of what there is enough of.
func TestPatience(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	r.got(9, 0, 0)
	r.pass(patienceFirst - time.Millisecond)
	if w := wantsOf(r, 1); len(w) > 0 {
		t.Errorf("asked for %v too early", w)
	}
	r.pass(time.Millisecond)
	if w := wantsOf(r, 1); len(w) != 3 {
		t.Errorf("asked for %v", w)
	}
}

// How long blocks take is learnt, and bounds how long one is waited for.
func TestPatienceIsLearnt(t *testing.T) {
	for _, c := range []struct{ late, least, most time.Duration }{
		{5 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}, // a quarter of the delay
		{600 * time.Millisecond, 600 * time.Millisecond, 700 * time.Millisecond},
		{900 * time.Millisecond, 750 * time.Millisecond, 750 * time.Millisecond},
		{1900 * time.Millisecond, 750 * time.Millisecond, 750 * time.Millisecond},
	} {
		r := newRig(t, nil)
		for number := range uint64(60) {
			at := epoch0.Add(time.Duration(number) * 100 * time.Millisecond)
			r.now = at
			r.p.Got(r.now, node(9), number, 0, 1000+int64(number)*100)
			r.now = at.Add(c.late)
			for s := 1; s < 4; s++ {
				r.p.Got(r.now, node(9), number, s, 1000+int64(number)*100)
			}
			r.p.Rebuilt(r.now, number)
		}
		if got := r.p.clock.patience(); got < c.least || got > c.most {
			t.Errorf("blocks take %v: waited for %v", c.late, got)
		}
	}
}

// Shards that push brings too late are learnt from although pull was faster.
func TestLateIsLearntThoughPulled(t *testing.T) {
	r := short(t)
	r.store.has[0] = 63
	r.p.Rebuilt(r.now, 0)
	r.pass(200 * time.Millisecond)
	for s := 2; s < 4; s++ {
		r.got(9, 0, s)
	}
	if got := r.p.clock.mean; got != patienceFirst+200*time.Millisecond {
		t.Errorf("learnt %v", got)
	}
}

// What does not come is asked of the other after a third of the time left, and of nobody
// twice at a time.
func TestRetry(t *testing.T) {
	r := short(t)
	wait := r.p.asks[0].until.Sub(r.now)
	first := append(wantsOf(r, 1), wantsOf(r, 2)...)
	r.pass(wait / 2)
	r.hear(1, &overlay.Cancel{}) // something comes: it is not our own path
	r.pass(wait - wait/2 - time.Millisecond)
	if more := append(wantsOf(r, 1), wantsOf(r, 2)...); len(more) > 0 {
		t.Errorf("after %v, %v are asked for too early", first, more)
	}
	r.pass(time.Millisecond)
	again := append(wantsOf(r, 1), wantsOf(r, 2)...)
	if len(first) != 3 || len(again) != 2 || len(heardBy[*overlay.Cancel](r, 1))+len(heardBy[*overlay.Cancel](r, 2)) == 0 {
		t.Errorf("first %v, then %v, and cancelled", first, again)
	}
	if c := r.p.Counters(); c.Retried != 2 || c.Asked != 5 {
		t.Errorf("%+v", c)
	}
}

// If nothing comes from anyone it is our own path: nobody else is asked before something
// does, and what was asked for has its time from then on.
func TestMute(t *testing.T) {
	r := short(t)
	asked := append(wantsOf(r, 1), wantsOf(r, 2)...)
	r.pass(2 * retryMin)
	r.hear(1, &overlay.Cancel{})
	r.pass(retryMin / 2)
	r.hear(1, &overlay.Cancel{})
	r.pass(retryMin/2 - time.Millisecond)
	if more := append(wantsOf(r, 1), wantsOf(r, 2)...); len(more) > 0 || r.p.Counters().Retried > 0 {
		t.Errorf("after %v, %v are asked for", asked, more)
	}
	r.pass(time.Millisecond)
	if c := r.p.Counters(); c.Retried == 0 {
		t.Errorf("%+v", c)
	}
	r = shortFor(t, 2*time.Second)
	r.pass(muteMost + againEvery)
	if c := r.p.Counters(); c.Retried == 0 {
		t.Errorf("in %v: %+v", muteMost, c)
	}
}

// Answers that take longer are waited for longer, up to a bound.
func TestRetryFollowsAnswers(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	nb := r.p.near[0]
	r.p.Measured(node(1), 10*time.Millisecond, time.Millisecond)
	for range 40 {
		nb.answer(200 * time.Millisecond)
	}
	if got := nb.patience(); got < 200*time.Millisecond || got > 220*time.Millisecond {
		t.Errorf("answers take 200 ms: waited for %v", got)
	}
	nb.answer(2 * time.Second)
	if got := nb.patience(); got != retryMost {
		t.Errorf("one took 2 s: waited for %v", got)
	}
}

// A short round trip is not waited for less than 150 ms, a long one for longer.
func TestRetryFollowsRTT(t *testing.T) {
	for _, c := range []struct{ rtt, rttVar, want time.Duration }{
		{10 * time.Millisecond, time.Millisecond, retryMin},
		{100 * time.Millisecond, 10 * time.Millisecond, 260 * time.Millisecond},
	} {
		r := newRig(t, nil)
		r.join(1, 63, 5)
		r.p.Measured(node(1), c.rtt, c.rttVar)
		if got := r.p.near[0].patience(); got != c.want {
			t.Errorf("RTT %v ± %v: %v, want %v", c.rtt, c.rttVar, got, c.want)
		}
	}
}

// While there is time for three answers one is waited for longer than most take, and where it
// gets short no less than its path needs.
func TestWaitFollowsDeadline(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	nb := r.p.near[0]
	for _, c := range []struct{ rtt, took, left, after, want time.Duration }{
		{20 * time.Millisecond, 0, 1500 * time.Millisecond, 0, retryLong},
		{20 * time.Millisecond, 0, 900 * time.Millisecond, 0, 300 * time.Millisecond},
		{20 * time.Millisecond, 0, 300 * time.Millisecond, 0, retryMin},
		{20 * time.Millisecond, 2 * time.Second, 3 * time.Second, 0, retryMost},
		{20 * time.Millisecond, 2 * time.Second, 900 * time.Millisecond, 0, 300 * time.Millisecond},
		{200 * time.Millisecond, 0, 900 * time.Millisecond, 0, 420 * time.Millisecond},
		{200 * time.Millisecond, 0, 600 * time.Millisecond, 0, 300 * time.Millisecond},
		{20 * time.Millisecond, 0, 600 * time.Millisecond, 200 * time.Millisecond, 200*time.Millisecond + retryMin},
	} {
		nb.peer.rtt, nb.rttVar, nb.took, nb.dev = c.rtt, 0, c.took, 0
		if got := nb.waitFor(r.now, r.now.Add(c.after), r.now.Add(c.left)).Sub(r.now); got != c.want {
			t.Errorf("%+v: waited for %v", c, got)
		}
	}
}

// "Don't have" is an answer: the next one is asked at once.
func TestLack(t *testing.T) {
	for _, busy := range []bool{false, true} {
		r := short(t)
		asked := map[int][]string{1: wantsOf(r, 1), 2: wantsOf(r, 2)}
		of := 1
		if len(asked[1]) == 0 {
			of = 2
		}
		var pieces []overlay.Piece
		for _, a := range r.p.asks {
			if a.of.id == node(of) {
				addPiece(&pieces, overlay.Piece{Number: a.number, Stripes: 1 << a.stripe})
			}
		}
		r.hear(of, &overlay.Lack{Busy: busy, Pieces: pieces})
		if other := wantsOf(r, 3-of); len(other) != len(asked[of]) {
			t.Errorf("busy %v: node %d lacks %v, the other is asked for %v", busy, of, asked[of], other)
		}
		if again := wantsOf(r, of); len(again) > 0 && busy {
			t.Errorf("busy, and asked for %v", again)
		}
		if nb := r.p.neighbour(node(of)); nb.fails > 0 {
			t.Errorf("busy %v: an answer counts as failure", busy)
		}
	}
}

// When enough is there the rest is cancelled; what comes all the same is expected, and
// counted as wasted.
func TestCancel(t *testing.T) {
	r := short(t)
	pending := slices.Clone(r.p.asks)
	pending[0].of.fails, pending[0].of.busy = 3, time.Second
	for _, a := range pending[:2] {
		if !r.got(int(a.of.id[1]), 0, a.stripe) {
			t.Error("a shard that was asked for came as pushed")
		}
	}
	if nb := pending[0].of; nb.fails != 0 || nb.busy != 0 {
		t.Errorf("an answer leaves %d failures, busy %v", nb.fails, nb.busy)
	}
	last := pending[2]
	from := int(last.of.id[1])
	if got := heardBy[*overlay.Cancel](r, from); len(got) != 1 || got[0].Pieces[0].Stripes != 1<<last.stripe {
		t.Fatalf("cancelled: %v", got)
	}
	if !r.p.Expects(node(from), 0, last.stripe) || r.p.Expects(node(3-from), 0, last.stripe) || r.p.Expects(node(from), 1, last.stripe) {
		t.Error("exactly what was cancelled may still come")
	}
	for range 2 {
		if !r.got(from, 0, last.stripe) || !r.p.Expects(node(from), 0, last.stripe) {
			t.Error("it may come, and come again")
		}
	}
	want := Counters{Asked: 3, Answered: 2, Late: 1, Wasted: 1, Spare: 1, Cancelled: 1}
	got := r.p.Counters()
	got.Told, got.Spoken = 0, 0
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A shard that push brings after all is one less to ask for.
func TestPushMeanwhile(t *testing.T) {
	r := short(t)
	s := r.p.asks[0].stripe
	if r.got(9, 0, s) {
		t.Error("pushed, and taken for pulled")
	}
	if _, firm, spare, _ := r.p.asked(0); firm+spare != 2 {
		t.Errorf("%d + %d are asked for, one is short", firm, spare)
	}
}

// Nothing is asked for that could not come before it is played.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		asks bool
	}{{2 * time.Second, true}, {unknownRTT + finishTime, true}, {unknownRTT + finishTime - time.Millisecond, false}} {
		r := newRig(t, nil)
		r.got(9, 0, 0)
		r.pass(2*time.Second - c.left)
		r.join(1, 63, 0)
		if got := len(wantsOf(r, 1)) > 0; got != c.asks && c.left < 2*time.Second {
			t.Errorf("%v before it is played: asked %v", c.left, got)
		}
	}
	r := short(t)
	r.pass(2 * time.Second)
	if len(r.p.asks) > 0 || r.p.Counters().Missed != 1 {
		t.Errorf("played, and %d are asked for: %+v", len(r.p.asks), r.p.Counters())
	}
}

// What is played first is asked for first, and 32 in all.
func TestEarliestFirst(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Info = streamInfo(16, 4) })
	for i := 1; i <= 4; i++ {
		r.join(i, all20, 5)
	}
	for number := range uint64(5) {
		r.now = epoch0.Add(time.Duration(number) * 100 * time.Millisecond)
		r.p.Got(r.now, node(9), number, 0, 1000+int64(number)*100)
	}
	r.now = epoch0.Add(900 * time.Millisecond)
	r.step()
	got := map[uint64]int{}
	for _, a := range r.p.asks {
		got[a.number]++
	}
	if want := (map[uint64]int{0: 15, 1: 15, 2: 2}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked for by block: %v, want %v", got, want)
	}
	for _, nb := range r.p.near {
		if nb.asks > maxEach {
			t.Errorf("%d of one", nb.asks)
		}
	}
}

// The rarest shard is asked for first.
func TestRarestFirst(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Delay = patienceFirst + spareLeft })
	r.join(1, 0b111111, 5)
	r.join(2, 0b001111, 5)
	r.join(3, 0b001111, 5)
	r.got(9, 0, 0)
	r.got(9, 0, 1)
	r.got(9, 0, 2)
	r.pass(patienceFirst)
	if got := wantsOf(r, 1); !slices.Equal(got, []string{"0/4", "0/5+"}) && !slices.Equal(got, []string{"0/4+", "0/5"}) {
		t.Errorf("asked for %v of the one who has 4 and 5", got)
	}
}

// What only those have who failed to answer is asked for last.
func TestSoundFirst(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 0b111111, 5)
	r.join(2, 0b001111, 5)
	r.join(3, 0b001111, 5)
	if got := r.p.rarest(r.now, 0, 0b111100); got[0] < 4 || got[1] < 4 {
		t.Errorf("%v is not the rarest first", got)
	}
	r.p.near[0].fails = 1
	if got := r.p.rarest(r.now, 0, 0b111100); got[0] > 3 || got[1] > 3 || len(got) != 4 {
		t.Errorf("%v begins with what only one has who failed", got)
	}
}

// The nearer one of two is asked, and not the one that is asked for much already.
func TestBest(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	r.join(2, 63, 5)
	r.p.Measured(node(1), 200*time.Millisecond, 0)
	r.p.Measured(node(2), 20*time.Millisecond, 0)
	best := func() int { return int(r.p.best(r.now, 0, 0, false).id[1]) }
	if best() != 2 {
		t.Error("the farther one is asked")
	}
	near := r.p.neighbour(node(2))
	near.asks = 7
	if best() != 1 {
		t.Error("the one with seven to send is asked")
	}
	near.asks, near.fails = 0, 3
	if best() != 1 {
		t.Error("the one that failed is asked")
	}
	near.fails, near.busyUntil = 0, r.now.Add(time.Second)
	if best() != 1 {
		t.Error("the busy one is asked")
	}
}

// What the forest calls silent is asked for early, and only that, while little time is left;
// else it is not, for the next parent will bring it.
func TestSilentStripes(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	r.p.Silent(0b111000)
	r.got(9, 0, 0)
	r.pass(patienceFirst - time.Millisecond)
	if got := wantsOf(r, 1); len(got) > 0 {
		t.Errorf("asked for %v with much time left", got)
	}
	r = newRig(t, func(c *Config) { c.Delay = tailLeft })
	r.join(1, 63, 5)
	r.p.Silent(0b111000)
	r.got(9, 0, 0)
	r.pass(patienceFirst/2 - time.Millisecond)
	if got := wantsOf(r, 1); len(got) > 0 {
		t.Errorf("asked for %v before half the time", got)
	}
	r.pass(time.Millisecond)
	got := wantsOf(r, 1)
	if len(got) != 1 || got[0] < "0/3" {
		t.Errorf("asked for %v; three come, one more is needed", got)
	}
}

// A stripe that is silent is no reason if enough others bring theirs.
func TestSilentButEnough(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 5)
	r.p.Silent(0b110000)
	r.got(9, 0, 0)
	r.pass(patienceFirst - time.Millisecond)
	if got := wantsOf(r, 1); len(got) > 0 {
		t.Errorf("asked for %v", got)
	}
}

// Blocks of which nothing came are known from neighbours, as far as the stream's pace
// makes them possible; the spare is not held back when there is no time.
func TestBlocksUnseen(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 0)
	for number := range uint64(4) {
		r.now = epoch0.Add(time.Duration(number) * 100 * time.Millisecond)
		r.got(9, number, 0)
		r.store.has[number] = 63
		r.p.Rebuilt(r.now, number)
	}
	r.now = r.now.Add(600 * time.Millisecond)
	r.hear(1, &overlay.Window{Epoch: 9, Live: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 1 << 30}}})
	if r.p.top != 10 {
		t.Errorf("600 ms after block 3 the newest known is %d", r.p.top)
	}
	r.pass(patienceFirst)
	if got := wantsOf(r, 1); !slices.ContainsFunc(got, func(s string) bool { return s[:2] == "5/" }) {
		t.Errorf("asked for %v, and not of block 5", got)
	}
}

// A neighbour that tells of blocks that are not there yet, while the source pauses,
// does not have them given up.
func TestBlocksForetold(t *testing.T) {
	r := newRig(t, nil)
	r.join(1, 63, 0)
	r.got(9, 0, 0)
	r.store.has[0] = 63
	r.p.Rebuilt(r.now, 0)
	for range 10 {
		r.hear(1, &overlay.Window{Epoch: 9, Live: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 50}}})
		r.pass(time.Second)
	}
	if r.p.top < 50 || !r.p.at(1).missed {
		t.Fatalf("known up to %d, the first missed %v", r.p.top, r.p.at(1).missed)
	}
	r.join(2, 63, 1)
	r.p.Got(r.now, node(9), 1, 0, 1000+10_000) // after a pause of ten seconds
	r.step()
	r.pass(patienceFirst)
	if got := wantsOf(r, 2); !slices.ContainsFunc(got, func(s string) bool { return s[:2] == "1/" }) {
		t.Errorf("asked for %v, and not of block 1", got)
	}
}

// Who sends nothing while push goes on is parted with; not when nothing comes at all.
func TestLiar(t *testing.T) {
	for _, goesOn := range []bool{true, false} {
		r := newRig(t, func(c *Config) { c.Delay = 10 * time.Second })
		r.join(1, 63, 0)
		for number := range uint64(40) {
			if goesOn || number == 0 {
				r.got(9, number, 0)
			}
			r.hear(1, &overlay.Window{Epoch: 9, Live: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: number}}})
			r.pass(100 * time.Millisecond)
		}
		if gone := len(r.p.near) == 0; gone != goesOn {
			t.Errorf("push goes on %v, and the liar is gone %v", goesOn, gone)
		}
		if goesOn {
			r.hear(1, &overlay.Window{Epoch: 9, Ask: true, Live: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 9}}})
			if len(r.p.near) > 0 {
				t.Error("it is let in again at once")
			}
		}
	}
}

// The third shard that nobody asked for is the last.
func TestUnasked(t *testing.T) {
	r := short(t)
	for i := range MaxUnasked {
		if r.p.Expects(node(1), 3, 3) {
			t.Fatal("nobody asked for it")
		}
		if got := outputs[Hangup](r); len(got) > 0 {
			t.Fatalf("hung up on after %d", i)
		}
		r.p.Unasked(r.now, node(1))
		r.step()
	}
	if got := outputs[Hangup](r); len(got) != 1 || got[0].Peer != node(1) || r.p.neighbour(node(1)) != nil {
		t.Errorf("after %d: %v", MaxUnasked, got)
	}
}

// What a neighbour was asked for when it was parted with may still come.
func TestPartedOwes(t *testing.T) {
	r := short(t)
	a := r.p.asks[0]
	id, s := a.of.id, a.stripe
	r.hear(int(id[1]), &overlay.Part{})
	if r.p.neighbour(id) != nil || !r.p.Expects(id, 0, s) {
		t.Error("it is a neighbour, or may not send what was asked for")
	}
	r.pass(owedTime)
	r.p.near[0].owe(r.now, &ask{})
	if r.p.peer(id).owes(0, s) >= 0 && len(r.p.peer(id).owed) > maxOwed {
		t.Error("it owes for ever")
	}
}
