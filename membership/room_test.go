package membership

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRoom: whom a full book lets in, and in whose place, is what a look at every entry
// would say, whatever happened before.
func TestRoom(t *testing.T) {
	for _, sampled := range []bool{false, true} {
		rnd := rand.New(rand.NewPCG(5, 6))
		b := NewBook(NodeIDOf(testKey(0)), nil)
		b.most, b.sampled = 12, sampled
		now, let, kept := start, 0, 0
		for seq := range uint64(3000) {
			now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
			who := 1 + rnd.IntN(30)
			rec := smallRecord(who, 1+seq)
			rec.TTL = []time.Duration{20 * time.Second, 45 * time.Second, MaxTTL}[rnd.IntN(3)]
			if e, known := b.Get(rec.Node); known && rnd.IntN(4) == 0 {
				if rnd.IntN(3) > 0 {
					b.Confirm(e.Node)
				} else {
					b.DialFailed(now, e.Node)
				}
				continue
			}
			goes, room := leaver(b, now)
			_, known := b.Get(rec.Node)
			changed, err := b.Add(now, rec.Sign(testKey(who)))
			switch {
			case err != nil:
				t.Fatal(err)
			case changed != (known || room):
				t.Fatalf("sampled %v, record %d: let in %v, known %v, room %v", sampled, seq, changed, known, room)
			case !known && room && goes != nil && b.byNode[goes.Node] == goes:
				t.Fatalf("sampled %v, record %d: another went", sampled, seq)
			case !known && changed:
				let++
			case !known:
				kept++
			}
			for _, e := range b.entries {
				if e.Expires.Before(b.soonest) {
					t.Fatalf("something expires before %v", b.soonest)
				}
			}
		}
		if let < 50 || kept < 50 {
			t.Errorf("sampled %v: %d let in, %d not", sampled, let, kept)
		}
	}
}

// leaver is who would make room in a book, if anybody; room is also where some expired.
func leaver(b *Book, now time.Time) (goes *Entry, room bool) {
	var oldest, failed *Entry
	left := 0
	for _, e := range b.entries {
		if !now.Before(e.Expires) {
			continue
		}
		left++
		if failed == nil && (e.failures > 0 || !e.noDial.IsZero()) {
			failed = e
		}
		if oldest == nil || e.Expires.Before(oldest.Expires) {
			oldest = e
		}
	}
	switch {
	case left < b.most:
		return nil, true
	case failed != nil:
		return failed, true
	case b.sampled && now.Sub(oldest.Expires.Add(-oldest.TTL)) >= sampleKept:
		return oldest, true
	}
	return nil, false
}
