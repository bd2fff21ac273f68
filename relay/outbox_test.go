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

func TestOutboxDropsExpiredFirst(t *testing.T) {
	var o Outbox
	at := func(ms int) time.Time { return outboxEpoch.Add(time.Duration(ms) * time.Millisecond) }
	o.Push(at(0), outboxItem(1, at(150)))
	o.Push(at(0), outboxItem(2, at(150)))
	o.Push(at(10), outboxItem(3, at(160)))
	o.Push(at(10), outboxItem(4, at(10))) // expired when it comes
	if o.Len() != 3 || o.Dropped() != 1 {
		t.Fatalf("len %d, dropped %d; want 3 and 1", o.Len(), o.Dropped())
	}
	item, ok := o.Pop(at(150)) // the very moment of expiry is too late
	if !ok || itemID(item) != 3 {
		t.Fatalf("popped %v, %v; want item 3", item, ok)
	}
	if o.Dropped() != 3 {
		t.Fatalf("dropped %d, want 3", o.Dropped())
	}
}

// TestOutboxAgainstSlice compares the ring with the obvious slice.
func TestOutboxAgainstSlice(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var o Outbox
		var slow []Item
		var dropped uint64
		now := outboxEpoch
		for i := range 2000 {
			now = now.Add(time.Duration(rnd.IntN(3)) * time.Millisecond)
			if rnd.IntN(5) < 3 {
				item := outboxItem(i, now.Add(time.Duration(rnd.IntN(400))*time.Millisecond))
				o.Push(now, item)
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
			got, ok := o.Pop(now)
			for len(slow) > 0 && !slow[0].Expires.After(now) {
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
}
