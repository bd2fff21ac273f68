package host

import (
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// TestLateHeaders: who waited in vain for headers is answered once, and they are not
// fetched any more. A second answer would find no room, and hold up the loop.
func TestLateHeaders(t *testing.T) {
	var did []relay.Input
	l := library{do: func(in relay.Input) { did = append(did, in) }}
	key, now := store.Key{Stream: stripe.ID{1}, Epoch: 7}, time.Unix(1_000_000_000, 0)
	w := &wish{key: key, from: 3, upto: 4, headers: true, since: now, answer: make(chan answer, 1)}
	l.ask(now, w)
	l.found(now, stripe.Header{Stream: key.Stream, Epoch: key.Epoch, Number: 3})
	now = now.Add(readPatience)
	l.steer(now)
	if l.cur != nil || !slices.Contains(did, relay.Input(relay.StopFetch{Stream: key.Stream})) {
		t.Fatalf("it is still fetched: %v", did)
	}
	l.passedOver(now, relay.Absent{Stream: key.Stream, Epoch: key.Epoch, Number: 4})
	if a := <-w.answer; len(a.headers) != 1 || a.headers[0].Number != 3 || len(w.answer) != 0 {
		t.Errorf("%+v, and %d more", a, len(w.answer))
	}
}

// TestIdleGivesWay: who is in no hurry has its turn while nobody else waits, however long
// that takes, and loses it at once to who does.
func TestIdleGivesWay(t *testing.T) {
	l := library{do: func(relay.Input) {}}
	key, now := store.Key{Stream: stripe.ID{1}, Epoch: 7}, time.Unix(1_000_000_000, 0)
	newWish := func(from, upto uint64, idle bool) *wish {
		return &wish{key: key, from: from, upto: upto, headers: idle, idle: idle, since: now, answer: make(chan answer, 1)}
	}
	reader := newWish(500, 500, false)
	l.ask(now, reader)
	idle := newWish(0, 1, true)
	l.ask(now, idle)
	for range 3 * readPatience / readQuantum {
		if l.cur.wish == idle {
			t.Fatal("it has the stretch of one who waits")
		}
		l.settle(now, place{key, l.cur.from}, answer{err: ErrAbsent})
		now = now.Add(readQuantum)
		l.ask(now, newWish(l.cur.from+1000, l.cur.from+1000, false))
	}
	if len(idle.answer) > 0 {
		t.Fatal("it has waited in vain, without a turn")
	}
	for len(l.wishes) > 1 {
		l.settle(now, place{key, l.cur.wish.from}, answer{err: ErrAbsent})
		now = now.Add(readQuantumMost)
	}
	if l.cur.wish == idle {
		t.Error("it has a turn although somebody waited a moment ago")
	}
	now = now.Add(idleAfter)
	if l.steer(now); l.cur.wish != idle {
		t.Fatal("it has no turn although nobody waits")
	}
	l.found(now, stripe.Header{Stream: key.Stream, Epoch: key.Epoch, Number: 0})
	l.ask(now, newWish(9, 9, false))
	if l.cur.wish == idle {
		t.Error("it has the stretch although another waits")
	}
}

// TestHeadersGoOn: who is interrupted goes on where it was, however often that happens,
// and has as long a turn as before.
func TestHeadersGoOn(t *testing.T) {
	var fetch relay.Fetch
	l := library{do: func(in relay.Input) {
		if f, ok := in.(relay.Fetch); ok {
			fetch = f
		}
	}}
	key, now := store.Key{Stream: stripe.ID{1}, Epoch: 7}, time.Unix(1_000_000_000, 0)
	const last, none = 99, 3
	w := &wish{key: key, upto: last, headers: true, idle: true, since: now, answer: make(chan answer, 1)}
	l.ask(now, w)
	for n := uint64(0); n <= last; n++ {
		now = now.Add(idleAfter)
		if l.steer(now); l.cur.wish != w || fetch.From != n || fetch.Upto != last {
			t.Fatalf("it goes on with %+v, want block %d", fetch, n)
		}
		if quantum := l.cur.until.Sub(now); n > 0 && (quantum < readQuantum || quantum > readQuantumMost) {
			t.Fatalf("turn %d is %v", n, quantum)
		}
		if n == none {
			l.passedOver(now, relay.Absent{Stream: key.Stream, Epoch: key.Epoch, Number: n})
		} else {
			l.found(now, stripe.Header{Stream: key.Stream, Epoch: key.Epoch, Number: n})
		}
		reader := &wish{key: key, from: 1000 + n, upto: 1000 + n, since: now, answer: make(chan answer, 1)}
		l.ask(now, reader)
		l.settle(now, place{key, reader.from}, answer{err: ErrAbsent})
	}
	if a := <-w.answer; a.err != nil || len(a.headers) != last || a.headers[none].Number != none+1 {
		t.Errorf("%d headers, %v", len(a.headers), a.err)
	}
}
