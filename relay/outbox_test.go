package relay

import (
	"math/rand/v2"
	"testing"
	"time"
)

var outboxEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func outboxItem(id int, expires time.Time) Item {
	return Item{Data: []byte{byte(id >> 8), byte(id)}, Expires: expires}
}

func itemID(i Item) int { return int(i.Data[0])<<8 | int(i.Data[1]) }

func TestOutboxDropsOldestWhenFull(t *testing.T) {
	var o Outbox
	const pushed = OutboxLimit + 44
	for i := range pushed {
		o.Push(outboxEpoch, outboxItem(i, outboxEpoch.Add(time.Second)))
	}
	if o.Len() != OutboxLimit || o.Dropped() != 44 {
		t.Fatalf("len %d, dropped %d; want %d and 44", o.Len(), o.Dropped(), OutboxLimit)
	}
	for want := 44; want < pushed; want++ {
		item, ok := o.Pop(outboxEpoch)
		if !ok || itemID(item) != want {
			t.Fatalf("popped %v, %v; want item %d", item, ok, want)
		}
	}
	if _, ok := o.Pop(outboxEpoch); ok || o.Len() != 0 {
		t.Fatal("an emptied outbox still gives items")
	}
}

func TestOutboxDropsWhatHasWaitedTooLong(t *testing.T) {
	var o Outbox
	at := func(ms int) time.Time { return outboxEpoch.Add(time.Duration(ms) * time.Millisecond) }
	o.Push(at(0), outboxItem(1, at(150)))
	o.Push(at(10), outboxItem(2, at(160)))
	o.Push(at(20), outboxItem(3, at(2020))) // of the past: it may wait for longer
	o.Push(at(20), outboxItem(4, at(20)))   // expired when it comes
	if o.Len() != 3 || o.Dropped() != 1 {
		t.Fatalf("len %d, dropped %d; want 3 and 1", o.Len(), o.Dropped())
	}
	item, ok := o.Pop(at(809)) // 800 ms are too long for the first
	if !ok || itemID(item) != 2 || !item.Until.Equal(at(810)) {
		t.Fatalf("popped %+v, %v; want item 2 until 810 ms", item, ok)
	}
	item, ok = o.Pop(at(810))
	if !ok || itemID(item) != 3 || !item.Until.Equal(at(2020)) {
		t.Fatalf("popped %+v, %v; want item 3 until 2020 ms", item, ok)
	}
	if o.Dropped() != 2 {
		t.Fatalf("dropped %d, want 2", o.Dropped())
	}
}

// line is a path that takes one item from an outbox every so often.
type line struct {
	o      Outbox
	now    time.Time // virtual
	pushAt time.Time
	sent   []time.Duration // what each item that was sent had waited
}

// run pushes an item every in for d, and pops one every out.
func (l *line) run(d, in, out time.Duration) {
	popAt := l.now
	for end := l.now.Add(d); l.now.Before(end); {
		if l.pushAt.After(popAt) {
			l.now, popAt = popAt, popAt.Add(out)
			if item, ok := l.o.Pop(l.now); ok {
				l.sent = append(l.sent, l.now.Sub(item.pushed))
			}
			continue
		}
		l.now = l.pushAt
		l.o.Push(l.now, Item{Expires: l.now.Add(150 * time.Millisecond)})
		l.pushAt = l.pushAt.Add(in)
	}
}

func newLine() *line { return &line{now: outboxEpoch, pushAt: outboxEpoch} }

func TestOutboxLosesNothingInAStandstill(t *testing.T) {
	for _, still := range []time.Duration{100, 200, 400, 700} {
		still *= time.Millisecond
		l := newLine()
		for range 5 {
			l.run(2*time.Second, 5*time.Millisecond, time.Millisecond)
			l.run(still, 5*time.Millisecond, time.Hour) // one Pop, and no more
		}
		l.run(time.Second, 5*time.Millisecond, time.Millisecond)
		if l.o.Dropped() != 0 {
			t.Errorf("%v: %d of %d were dropped", still, l.o.Dropped(), len(l.sent))
		}
	}
	l := newLine()
	l.run(time.Second, 5*time.Millisecond, time.Millisecond)
	l.run(1200*time.Millisecond, 5*time.Millisecond, time.Hour)
	l.run(time.Second, 5*time.Millisecond, time.Millisecond/2)
	if n := l.o.Dropped(); n < 75 || n > 85 {
		t.Errorf("%d of the 240 of 1.2 s were dropped, want those that had waited for 800 ms", n)
	}
}

func TestOutboxStandingBacklogIsShort(t *testing.T) {
	const in = 5 * time.Millisecond
	for _, out := range []time.Duration{6, 10, 50, 300} {
		l := newLine()
		l.run(2*time.Second, in, out*time.Millisecond)
		begun := len(l.sent)
		l.run(20*time.Second, in, out*time.Millisecond)
		for _, waited := range l.sent[begun:] {
			if waited >= 150*time.Millisecond {
				t.Fatalf("every %v ms: an item went after %v", int(out), waited)
			}
		}
		// When the path is as it was, the backlog is over, and a standstill is one.
		l.run(time.Second, in, time.Millisecond)
		before := l.o.Dropped()
		l.run(500*time.Millisecond, in, time.Hour)
		l.run(time.Second, in, time.Millisecond)
		if n := l.o.Dropped() - before; n != 0 {
			t.Errorf("every %v ms: %d dropped in a standstill afterwards", int(out), n)
		}
	}
}

// TestOutboxAgainstSlice compares the ring with the obvious slice; which limit
// counts the twin reads off the outbox.
func TestOutboxAgainstSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	stood := 0
	for round := range 50 {
		var o Outbox
		var slow []Item
		var dropped uint64
		now := outboxEpoch
		for i := range 2000 {
			now = now.Add(time.Duration(rnd.IntN(3+round)) * time.Millisecond)
			if rnd.IntN(5) < 3 {
				item := outboxItem(i, now.Add(time.Duration(rnd.IntN(400))*time.Millisecond))
				o.Push(now, item)
				item.pushed = now
				switch {
				case !item.Expires.After(now):
					dropped++
				case len(slow) == OutboxLimit:
					slow = append(slow[1:], item)
					dropped++
				default:
					slow = append(slow, item)
				}
				continue
			}
			was := o.standing
			got, ok := o.Pop(now)
			if o.standing != was {
				// Which of those passed over met which limit only the outbox knows.
				for len(slow) > o.Len() {
					slow = slow[1:]
				}
				dropped, stood = o.Dropped(), stood+1
				continue
			}
			gone := func(i Item) bool {
				return !i.Expires.After(now) && (was || !i.pushed.Add(OutboxHard).After(now))
			}
			for len(slow) > 0 && gone(slow[0]) {
				slow = slow[1:]
				dropped++
			}
			if ok != (len(slow) > 0) || ok && itemID(got) != itemID(slow[0]) {
				t.Fatalf("step %d: popped %v, %v; the slice has %d items", i, got, ok, len(slow))
			}
			if ok {
				slow = slow[1:]
			}
			if o.Len() != len(slow) || o.Dropped() != dropped {
				t.Fatalf("step %d: len %d dropped %d, want %d and %d", i, o.Len(), o.Dropped(), len(slow), dropped)
			}
		}
	}
	if stood < 10 {
		t.Errorf("backlogs began or ended %d times", stood)
	}
}
