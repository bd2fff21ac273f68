package relay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// filled is a rig that shares and holds blocks 0 … n-1, one a block time, every
// tenth of random access.
func filled(t *testing.T, cfg Config, n uint64) *rig {
	r := newRig(t, cfg)
	r.fill(n)
	return r
}

func (r *rig) fill(n uint64) {
	for i := range n {
		r.arrive("source", r.block(i)...)
		r.pass(rigBlock)
	}
	r.took()
}

// home is the stripe that feedChild chooses.
func (r *rig) home() int {
	for _, b := range r.core.Status(r.now).Streams[0].Stripes {
		if b.Home {
			return b.Stripe
		}
	}
	r.Fatal("no home stripe")
	return 0
}

// request makes a child ask for the home stripe.
func (r *rig) request(child string, m overlay.Subscribe) {
	r.up(child)
	m.Stream, m.Stripe = r.id, r.home()
	r.say(child, &m)
}

func run(from, to uint64) (of []uint64) {
	for n := from; n < to; n++ {
		of = append(of, n)
	}
	return of
}

// A newcomer is sent a batch of the past every quarter of a block time, no more.
func TestPastIsPaced(t *testing.T) {
	r := filled(t, sharing, 60)
	r.request("child", overlay.Subscribe{Fresh: true, Back: 1500 * time.Millisecond})
	last := r.now
	for sent := len(r.forwards("child")); ; {
		if sent > 20 || r.now.Sub(last) > rigBlock {
			break
		}
		r.pass(time.Millisecond)
		n := len(r.forwards("child")) - sent
		if n == 0 {
			continue
		}
		if sent += n; n > catchUpBatch || r.now.Sub(last) < rigBlock/4 {
			t.Errorf("%d shards %v after the last", n, r.now.Sub(last))
		}
		last = r.now
	}
	got := r.forwards("child")
	if slices.Sort(got); !slices.Equal(got, run(40, 60)) {
		t.Errorf("it got %v, want 40 … 59 once each", got)
	}
}

// Who resumes is sent within half a block what it missed while its parent was replaced, and what
// it missed before at one and a half times the stripe's rate, whatever it asks for and
// however often; what is live does not wait for that.
func TestResumeIsPaced(t *testing.T) {
	for _, c := range []struct {
		what  string
		from  uint64 // of 60
		again bool   // asks every block time
		whole bool   // it gets all that it asks for
	}{
		{"a moment", 60 - resumeNewest, false, true},
		{"one block more", 60 - resumeNewest - 1, false, true},
		{"two seconds", 40, false, true},
		{"two seconds, again and again", 40, true, true},
		{"longer than it may", 0, false, false},
	} {
		r := newPullRig(t, sharing)
		r.fill(60)
		r.request("child", overlay.Subscribe{From: c.from})
		began := r.now
		var past []uint64
		for n := uint64(60); n < 80; n++ {
			for range 10 {
				r.pass(rigBlock / 10)
				for _, f := range take[Forward](r) {
					if f.Shard.Number < 60 {
						past = append(past, f.Shard.Number)
					}
				}
				r.took()
				most := resumeNewest + int(resumePace*float64(r.now.Sub(began))/float64(rigBlock)) + 1
				if len(past) > most {
					t.Fatalf("%s: %d shards of the past after %v, want at most %d", c.what, len(past), r.now.Sub(began), most)
				}
				at := r.now.Sub(began)
				if at < rigBlock/4 && len(past) > catchUpBatch || at >= rigBlock/2 && len(past) < resumeNewest {
					t.Errorf("%s: %d shards of the past after %v", c.what, len(past), at)
				}
			}
			r.arrive("source", r.block(n)...)
			if !slices.Contains(r.forwards("child"), n) {
				t.Errorf("%s: live block %d waits", c.what, n)
			}
			r.took()
			if c.again {
				r.request("child", overlay.Subscribe{From: c.from})
			}
		}
		if at := min(resumeNewest, len(past)); !c.again && c.whole {
			slices.Sort(past[:at])
			if !slices.Equal(past[:at], run(60-uint64(at), 60)) || !slices.IsSorted(past[at:]) {
				t.Errorf("%s: not the newest first, and then the oldest first: %v", c.what, past)
			}
		}
		slices.Sort(past)
		once := slices.Compact(slices.Clone(past))
		if c.whole && !slices.Equal(once, run(c.from, 60)) || !c.again && len(once) != len(past) {
			t.Errorf("%s: it got %v", c.what, past)
		}
	}
}

// Who asks for what we do not have yet gets what comes.
func TestChildAheadOfUs(t *testing.T) {
	r := filled(t, sharing, 60)
	r.request("ahead", overlay.Subscribe{From: 70})
	r.arrive("source", r.block(60)...)
	r.pass(rigBlock)
	if got := r.forwards("ahead"); !slices.Equal(got, []uint64{60}) {
		t.Errorf("it got %v", got)
	}
}

// A hole of the past that is filled late reaches the child once.
func TestLateShardOfThePast(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		r := newRig(t, Config{Gossips: true, Upload: 10e6})
		home := r.home()
		late := map[uint64]*stripe.Shard{}
		for n := range uint64(20) {
			s := r.block(n + 1)[home] // of 1 … 20, 10 and 20 are of random access
			if n+1 > 10 && n%4 == 2 {
				late[n+1] = s
				continue
			}
			r.arrive("source", s)
			r.pass(rigBlock)
		}
		r.took()
		r.request("child", overlay.Subscribe{From: 10, Fresh: fresh, Back: 900 * time.Millisecond})
		for _, n := range []uint64{19, 11, 15} {
			r.pass(30 * time.Millisecond)
			r.arrive("source", late[n])
		}
		r.pass(2 * time.Second)
		got := r.forwards("child")
		if slices.Sort(got); !slices.Equal(got, run(10, 21)) {
			t.Errorf("fresh %v: it got %v, want 10 … 20 once each", fresh, got)
		}
	}
}

// However many children ask for however much of the past, again and again, they
// are sent what the upload has left, and each gets what is live beside it.
func TestPastIsBoundedByTheUpload(t *testing.T) {
	for _, c := range []struct {
		what  string
		ask   overlay.Subscribe
		again bool // every block time
	}{
		{"newcomers", overlay.Subscribe{Fresh: true, Back: 10 * time.Second}, false},
		{"who resume from the beginning", overlay.Subscribe{From: 0}, false},
		{"newcomers again and again", overlay.Subscribe{Fresh: true, Back: 10 * time.Second}, true},
		{"who resume a little again and again", overlay.Subscribe{From: 125}, true},
	} {
		const upload, rounds, first = 480e3, 30, 150
		cfg := sharing
		cfg.Upload = upload
		r := newRig(t, cfg)
		r.tell(func(i *stripe.Info) { i.Seq, i.Rate = i.Seq+1, 24_000 }) // as the blocks are
		for n := range uint64(first) {
			r.arrive("source", r.block(n)...)
			r.pass(rigBlock)
		}
		r.took()
		begin := r.now
		askAll := func() {
			for i := range 16 {
				r.request(fmt.Sprint("child", i), c.ask)
			}
		}
		askAll()
		fed := r.core.stream(r.id).forest.Fed()
		if fed < 8 {
			t.Fatalf("%s: only %d are let in", c.what, fed)
		}
		spare := r.core.spareUpload() / 8
		past, copies := 0, map[string]int{} // bytes beyond one copy of what is live
		for n := range uint64(rounds) {
			r.arrive("source", r.block(first+n)...)
			r.pass(rigBlock)
			if c.again {
				askAll()
			}
			for _, f := range take[Forward](r) {
				key := fmt.Sprint(f.Peer, f.Shard.Number)
				if copies[key]++; f.Shard.Number < first || copies[key] > 1 {
					past += len(f.Shard.Encoded())
				}
			}
			r.took()
			// What was saved before they came, and what they may overdraw.
			most := spare*(r.now.Sub(begin)+resumeDebt).Seconds() + upload/8*BucketBurst.Seconds()
			if float64(past) > most {
				t.Fatalf("%s: %d bytes of the past after %v, want at most %.0f", c.what, past, r.now.Sub(begin), most)
			}
		}
		for n := range uint64(rounds) {
			for i := range fed {
				if copies[fmt.Sprint(testNode(fmt.Sprint("child", i)), first+n)] == 0 {
					t.Fatalf("%s: child %d did not get live block %d", c.what, i, first+n)
				}
			}
		}
		if past == 0 {
			t.Errorf("%s: nothing of the past is sent", c.what)
		}
	}
}

// Asking again while the past is on its way sends nothing of it twice.
func TestAskingAgainSendsNothingTwice(t *testing.T) {
	r := filled(t, sharing, 60)
	asked := 0
	for ; len(r.forwards("child")) < 20; asked++ {
		r.request("child", overlay.Subscribe{Fresh: true, Back: 1500 * time.Millisecond})
		r.pass(time.Millisecond)
	}
	if asked < 2 {
		t.Fatalf("asked %d times: this shows nothing", asked)
	}
	r.pass(2 * time.Second)
	got := r.forwards("child")
	if slices.Sort(got); !slices.Equal(got, run(40, 60)) {
		t.Errorf("it got %v, want 40 … 59 once each", got)
	}
}

// lastNumber is the last of an epoch: numbers travel in 32 bits.
const lastNumber = 1<<32 - 1

// heldBytes is what the blocks in the window's ring count.
func heldBytes(w *window) (sum int) {
	for _, b := range w.ring {
		if b != nil {
			sum += b.bytes
		}
	}
	return sum
}

// The last numbers that 32 bits hold are as good as any.
func TestWindowAtTheLastNumber(t *testing.T) {
	var w window
	for n := uint64(lastNumber - 2*MaxWindowBlocks); n <= lastNumber; n++ {
		hold(&w, n, 0, 1, 0)
	}
	if !slices.Equal(held(&w), run(lastNumber-MaxWindowBlocks+1, lastNumber+1)) {
		t.Errorf("head %d, low %d, %d blocks", w.head, w.low, len(held(&w)))
	}
	hold(&w, 0, 0, 1, 0)
	if w.head != lastNumber || w.at(0) != nil {
		t.Error("0 comes after the last number")
	}
	if got := w.start(0, 0); got != lastNumber {
		t.Errorf("a newcomer starts at %d", got)
	}
}

// A block so far ahead that part of the window stays, or none of it.
func TestWindowFarAhead(t *testing.T) {
	for _, ahead := range []uint64{MaxWindowBlocks - 5, MaxWindowBlocks - 1, MaxWindowBlocks, MaxWindowBlocks + 1, 2*MaxWindowBlocks - 1, 2 * MaxWindowBlocks, 1 << 20} {
		var w window
		for n := uint64(1000); n < 1005; n++ {
			hold(&w, n, 0, 1, 0)
		}
		hold(&w, 1004+ahead, 0, 1, 0)
		var want []uint64
		for n := uint64(1000); n < 1005; n++ {
			if n+MaxWindowBlocks > 1004+ahead {
				want = append(want, n)
			}
		}
		if want = append(want, 1004+ahead); !slices.Equal(held(&w), want) || w.bytes != heldBytes(&w) {
			t.Errorf("%d ahead: holds %v and counts %d bytes, want %v and %d", ahead, held(&w), w.bytes, want, heldBytes(&w))
		}
	}
}

// At the default of 100 ms a block the age bound is the first that is met: the
// window stays one of MaxWindowAge, however long it runs.
func TestWindowKeepsItsAge(t *testing.T) {
	var w window
	for n := range uint64(1000) {
		hold(&w, n, int64(n)*100, 1, 0)
		if got := held(&w); uint64(len(got)) != min(n+1, 201) || got[len(got)-1] != n {
			t.Fatalf("at %d it holds %d blocks", n, len(got))
		}
	}
}

// One that was opened in time and proved when the window had passed it is not held.
func TestWindowProvedTooLate(t *testing.T) {
	var w window
	hold(&w, 1000, 0, 1, 0)
	h := stripe.Header{Number: 1001, Layout: oneOne}
	late := w.open(&h)
	hold(&w, 1<<20, 0, 1, 0)
	w.prove(late, &Proof{Header: h})
	if w.get(1001) != nil || w.head != 1<<20 || len(w.unproven) != 0 {
		t.Errorf("head %d, holds %v", w.head, held(&w))
	}
}

// bigShard is as large as one can be.
func bigShard() *stripe.Shard {
	l := stripe.Layout{K: 1}
	h := stripe.Header{Stream: stripe.IDOf(windowKey), Layout: l, ShardLen: stripe.MaxBlock, DataLen: stripe.MaxBlock}
	return stripe.Seal(windowKey, h, [][]byte{make([]byte, h.ShardLen)})[0]
}

// The slow twin: a set of numbers with their source times, cut by the three bounds.
func TestWindowTwin(t *testing.T) {
	shard := bigShard()
	size := len(shard.Encoded())
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var w window
		times, puts := map[uint64]int64{}, map[uint64]int{}
		var low, head uint64
		started := false
		base, clock := rnd.Uint64N(1000), int64(0)
		step := []uint64{2, 20, 200}[seed%3]
		cut := func(to uint64) {
			low = max(low, to)
			for n := range times {
				if n < low {
					delete(times, n)
					delete(puts, n)
				}
			}
		}
		oldest := func() uint64 {
			first := head
			for n := range times {
				first = min(first, n)
			}
			return first
		}
		for range 600 {
			base += rnd.Uint64N(step)
			clock += rnd.Int64N(400)
			n := base - min(base, rnd.Uint64N(40))
			h := stripe.Header{Number: n, Layout: oneOne, SourceTime: clock}
			b := w.open(&h)
			if b != nil && b.proof == nil {
				w.prove(b, &Proof{Header: h})
			}
			if (b == nil) != (started && n < low) {
				t.Fatalf("seed %d: %d opened %v, low %d", seed, n, b != nil, low)
			}
			if b == nil {
				continue
			}
			if _, known := times[n]; !known {
				times[n] = clock
				if !started || n > head {
					head = n
					cut(head - min(head, MaxWindowBlocks-1))
				}
				started = true
				for first := oldest(); first < head && times[head]-times[first] > MaxWindowAge.Milliseconds(); first = oldest() {
					cut(first + 1)
				}
			}
			if rnd.IntN(2) == 0 && w.at(n) != nil {
				w.put(b, shard)
				puts[n]++
				for sum(puts)*size > MaxWindowBytes && low < head {
					cut(low + 1)
				}
			}
			if w.low != low || w.head != head || w.bytes != sum(puts)*size || len(held(&w)) != len(times) {
				t.Fatalf("seed %d: low %d head %d, %d blocks of %d bytes; want low %d head %d, %d of %d",
					seed, w.low, w.head, len(held(&w)), w.bytes, low, head, len(times), sum(puts)*size)
			}
			for n := range times {
				if w.at(n) == nil {
					t.Fatalf("seed %d: %d is lost", seed, n)
				}
			}
		}
	}
}

func sum(counts map[uint64]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// The slow twin of start, without its single pass.
func TestWindowStartTwin(t *testing.T) {
	shard := bigShard()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		var w window
		type kept struct {
			n      uint64
			time   int64
			access bool
		}
		var of []kept
		last := int64(0)
		for n := range rnd.Uint64N(40) + 1 {
			h := stripe.Header{Number: n, Layout: oneOne, SourceTime: int64(n) * 100}
			if rnd.IntN(6) == 0 {
				h.Flags = stripe.RandomAccess
			}
			if rnd.IntN(8) == 0 {
				continue
			}
			b := w.open(&h)
			w.prove(b, &Proof{Header: h})
			last = h.SourceTime
			if rnd.IntN(4) > 0 {
				w.put(b, shard)
				of = append(of, kept{n, h.SourceTime, h.Flags != 0})
			}
		}
		if !w.started {
			continue
		}
		back := rnd.Int64N(40) * 100
		want := w.head + 1
		pick := func(ok func(kept) bool, newest bool) bool {
			found := false
			for _, h := range of {
				if ok(h) && (!found || newest) {
					want, found = h.n, true
				}
			}
			return found
		}
		old := func(h kept) bool { return last-h.time >= back }
		_ = pick(func(h kept) bool { return h.access && old(h) }, true) ||
			pick(func(h kept) bool { return h.access }, false) ||
			pick(func(h kept) bool { return !old(h) }, false) ||
			pick(func(kept) bool { return true }, true)
		if got := w.start(0, back); got != want {
			t.Fatalf("seed %d: %d, want %d", seed, got, want)
		}
	}
}
