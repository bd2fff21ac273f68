package membership

import (
	"testing"
	"time"
)

// TestAnnouncer: a newcomer's record goes out at once, news soon to neighbours and
// seldom to a big pool, and what is no news not at all until the record gets old.
func TestAnnouncer(t *testing.T) {
	key := testKey(1)
	now := time.Unix(1_700_000_000, 0)
	rec := Record{Node: NodeIDOf(key), Slots: 20, Streams: []Carried{{Stream: streamID(1), Homes: 1, Free: 20, Depth: 2}}}
	const known = 100
	a := NewAnnouncer(now, key)
	announce := func(news, spread bool) {
		t.Helper()
		got := a.IsDue(now) && a.Announce(now, rec, known) != nil
		if got != news {
			t.Errorf("after %v: news %v", now.Sub(time.Unix(1_700_000_000, 0)), got)
		}
		if got := a.Spread(now, known) != nil; got != spread {
			t.Errorf("after %v: spread %v", now.Sub(time.Unix(1_700_000_000, 0)), got)
		}
	}
	announce(true, true)
	rec.Streams[0].Free = 19 // one slot less is no news
	a.Changed()
	now = a.Due()
	announce(false, false)
	spread := 0
	begin := now
	for range 400 { // it changes all the time
		rec.Streams[0].Free ^= 16
		a.Changed()
		if a.Due().Before(now) {
			t.Fatalf("due %v ago", now.Sub(a.Due()))
		}
		now = a.Due()
		if a.IsDue(now) && a.Announce(now, rec, known) != nil {
			if r, err := OpenRecord(a.Raw()); err != nil || r.Streams[0].Free != rec.Streams[0].Free {
				t.Fatal(r, err)
			}
		}
		if a.Spread(now, known) != nil {
			spread++
		}
	}
	took := now.Sub(begin)
	if each := took / 400; each < announceEvery*8/10 || each > announceEvery*11/10 {
		t.Errorf("neighbours are told every %v, of %v", each, announceEvery)
	}
	if most := int(took/(known*farEach)) + 8; spread > most || spread < 5 {
		t.Errorf("the pool is told %d times in %v, of at most %d", spread, took, most)
	}
	a.Hurry(now)
	rec.Streams = nil
	announce(true, true)
	for now = a.Due(); !a.IsDue(now); now = a.Due() {
	}
	announce(true, true) // the same again, before it is too old
	if a.last.Seq <= uint64(begin.UnixMilli()) || now.Sub(begin) < announceAgain {
		t.Error("renewed too early", now.Sub(begin))
	}
}

// TestNews: what changes others' minds.
func TestNews(t *testing.T) {
	a := Record{Slots: 24, Streams: []Carried{{Stream: streamID(1), Homes: 3, Free: 4, Depth: 2}}}
	for name, c := range map[string]struct {
		change func(*Record)
		same   bool
	}{
		"nothing":       {func(*Record) {}, true},
		"a slot less":   {func(r *Record) { r.Streams[0].Free-- }, true},
		"none left":     {func(r *Record) { r.Streams[0].Free = 0 }, false},
		"many more":     {func(r *Record) { r.Streams[0].Free = 10 }, false},
		"deeper":        {func(r *Record) { r.Streams[0].Depth++ }, false},
		"other stripes": {func(r *Record) { r.Streams[0].Homes = 5 }, false},
		"more slots":    {func(r *Record) { r.Slots++ }, false},
		"no stream":     {func(r *Record) { r.Streams = nil }, false},
		"moved":         {func(r *Record) { r.Addrs = smallRecord(1, 1).Addrs }, false},
	} {
		b := a
		b.Streams = append([]Carried(nil), a.Streams...)
		c.change(&b)
		if got := sameNews(b, a); got != c.same {
			t.Errorf("%s: same %v", name, got)
		}
	}
}
