package membership

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

var start = time.Unix(1e9, 0)

func mustAdd(t *testing.T, b *Book, now time.Time, raw []byte, want bool) {
	t.Helper()
	changed, err := b.Add(now, raw)
	if err != nil || changed != want {
		t.Fatalf("changed %v, %v; want %v", changed, err, want)
	}
}

func signed(i int, seq uint64) []byte { return smallRecord(i, seq).Sign(testKey(i)) }

func TestBookKeepsTheNewestOfEach(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	for i := range 50 {
		mustAdd(t, b, start, signed(1+(i*7)%50, 5), true)
	}
	for i, e := range b.All() {
		if i > 0 && bytes.Compare(b.All()[i-1].Node[:], e.Node[:]) >= 0 {
			t.Fatal("not in the order of the IDs")
		}
	}
	if len(b.All()) != 50 {
		t.Errorf("%d entries", len(b.All()))
	}
	id := NodeIDOf(testKey(3))
	mustAdd(t, b, start, signed(3, 5), false)
	mustAdd(t, b, start, signed(3, 4), false)
	mustAdd(t, b, start, signed(3, 6), true)
	if e, ok := b.Get(id); !ok || e.Seq != 6 || !bytes.Equal(e.Raw, signed(3, 6)) {
		t.Errorf("%+v %v", e, ok)
	}
	mustAdd(t, b, start, signed(0, 9), false) // ourselves
	if _, ok := b.Get(NodeIDOf(testKey(0))); ok || len(b.All()) != 50 {
		t.Error("the book is about ourselves")
	}
}

func TestBookRefusesForgeries(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	mustAdd(t, b, start, signed(1, 5), true)
	bad := signed(1, 6)
	bad[len(bad)-1] ^= 1
	for _, raw := range [][]byte{bad, nil, []byte("junk"), smallRecord(2, 1).Sign(testKey(3))} {
		if changed, err := b.Add(start, raw); changed || !errors.Is(err, ErrRecord) {
			t.Errorf("%v %v", changed, err)
		}
	}
	if e, _ := b.Get(NodeIDOf(testKey(1))); len(b.All()) != 1 || e.Seq != 5 {
		t.Error("a forgery left a trace")
	}
}

func TestBookOwnsItsBytes(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	raw := signed(1, 5)
	mustAdd(t, b, start, raw, true)
	clear(raw)
	if e, _ := b.Get(NodeIDOf(testKey(1))); !bytes.Equal(e.Raw, signed(1, 5)) {
		t.Error("the caller's buffer is in the book")
	}
}

func TestBookExpires(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	mustAdd(t, b, start, signed(1, 5), true)
	ttl := smallRecord(1, 5).TTL
	mustAdd(t, b, start.Add(ttl-1), signed(1, 5), false) // heard again: no longer life
	mustAdd(t, b, start.Add(time.Minute), signed(2, 1), true)
	mustAdd(t, b, start.Add(time.Minute), signed(3, 1), true)
	mustAdd(t, b, start.Add(2*time.Minute), signed(3, 2), true) // a newer one: longer life
	for _, c := range []struct {
		at   time.Duration
		left int
	}{{ttl - 1, 3}, {ttl, 2}, {ttl + time.Minute, 1}, {ttl + 2*time.Minute, 0}} {
		b.Expire(start.Add(c.at))
		if len(b.All()) != c.left {
			t.Errorf("after %v: %d left, want %d", c.at, len(b.All()), c.left)
		}
	}
}

func fillBook(t *testing.T) *Book {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	for i := range MaxBook {
		mustAdd(t, b, start, signed(1+i, 1), true)
	}
	return b
}

func TestFullBook(t *testing.T) {
	b := fillBook(t)
	newcomer := 5000
	mustAdd(t, b, start, signed(newcomer, 1), false)
	mustAdd(t, b, start, signed(7, 2), true) // who is in it may change

	// Rumours make no room, not even about everybody.
	for _, e := range b.All() {
		b.Doubt(e.Node)
	}
	mustAdd(t, b, start, signed(newcomer, 1), false)
	if len(b.All()) != MaxBook {
		t.Fatalf("%d entries after rumours", len(b.All()))
	}
	// A failed dial does, a confirmed one does not.
	failed, confirmed := NodeIDOf(testKey(9)), NodeIDOf(testKey(8))
	b.DialFailed(start, failed)
	b.DialFailed(start, confirmed)
	b.Confirm(confirmed)
	mustAdd(t, b, start, signed(newcomer, 1), true)
	mustAdd(t, b, start, signed(newcomer+1, 1), false)
	if _, ok := b.Get(failed); ok || len(b.All()) != MaxBook {
		t.Error("who could not be dialled is still there")
	}
	if _, ok := b.Get(confirmed); !ok {
		t.Error("who was confirmed is not there")
	}
	// And so does time.
	mustAdd(t, b, start.Add(time.Hour), signed(newcomer+1, 1), true)
	if len(b.All()) != 1 {
		t.Errorf("%d entries after an hour", len(b.All()))
	}
}

// Records of connected nodes take no room, and a crowd that comes and goes leaves none.
func TestNeighboursTakeNoRoom(t *testing.T) {
	b := fillBook(t)
	known, stranger := NodeIDOf(testKey(7)), NodeIDOf(testKey(5000))
	b.Near(start, known, true)
	b.Near(start, known, true)
	mustAdd(t, b, start, signed(4999, 1), true) // the room that it leaves
	mustAdd(t, b, start, signed(4998, 1), false)
	b.Near(start, stranger, true)
	mustAdd(t, b, start, signed(5000, 1), true)
	if len(b.All()) != MaxBook+2 {
		t.Errorf("%d entries", len(b.All()))
	}
	b.DialFailed(start, known) // its record stays while it is connected
	mustAdd(t, b, start, signed(4998, 1), false)
	b.Confirm(known)

	b.Near(start, stranger, false)
	if _, ok := b.Get(stranger); ok || len(b.All()) != MaxBook+1 {
		t.Errorf("a neighbour of a full book is gone, and there are %d entries", len(b.All()))
	}
	failed := NodeIDOf(testKey(9))
	b.DialFailed(start, failed)
	b.Near(start, known, false)
	if _, ok := b.Get(known); !ok || len(b.All()) != MaxBook {
		t.Errorf("it is there: %v, with %d others", ok, len(b.All())-1)
	}
	if _, ok := b.Get(failed); ok {
		t.Error("who could not be dialled is still there")
	}
	b.Near(start, stranger, false) // as for a dial that failed
	b.Expire(start.Add(time.Hour))
	mustAdd(t, b, start.Add(time.Hour), signed(6000, 1), true)
	if len(b.All()) != 1 {
		t.Errorf("%d entries after an hour", len(b.All()))
	}
}

// A neighbour whose record has expired when it goes takes nobody else's with it.
func TestNeighbourExpires(t *testing.T) {
	b := fillBook(t)
	last := 5000 // whose ID comes after all others'
	for i := 5000; i < 5400; i++ {
		if a, c := NodeIDOf(testKey(i)), NodeIDOf(testKey(last)); bytes.Compare(a[:], c[:]) > 0 {
			last = i
		}
	}
	rec := smallRecord(last, 1)
	rec.TTL = time.Second
	b.Near(start, NodeIDOf(testKey(last)), true)
	mustAdd(t, b, start, rec.Sign(testKey(last)), true)
	b.Near(start.Add(2*time.Second), NodeIDOf(testKey(last)), false)
	if len(b.All()) != MaxBook {
		t.Errorf("%d entries", len(b.All()))
	}
}

func TestDoubtsRemoveNobody(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	id := NodeIDOf(testKey(1))
	mustAdd(t, b, start, signed(1, 1), true)
	for range 1000 {
		b.Doubt(id)
		b.DialFailed(start, id)
	}
	b.Doubt(NodeIDOf(testKey(2))) // nobody
	b.DialFailed(start, NodeIDOf(testKey(2)))
	b.Confirm(NodeIDOf(testKey(2)))
	b.Expire(start)
	e, ok := b.Get(id)
	if !ok || !e.Doubted {
		t.Fatal("doubts have removed an entry, or left none")
	}
	b.Confirm(id)
	if e.Doubted || !e.MayDial(start) {
		t.Error("an answer does not end the doubts")
	}
	b.Doubt(id)
	mustAdd(t, b, start, signed(1, 2), true)
	if e, _ := b.Get(id); e.Doubted {
		t.Error("a sign of life does not end the doubts")
	}
}

func TestDialBackoff(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	id := NodeIDOf(testKey(1))
	mustAdd(t, b, start, signed(1, 1), true)
	mayDial := func(now time.Time) bool {
		e, _ := b.Get(id)
		return e.MayDial(now)
	}
	now := start
	for round := range 3 {
		for try := range MaxDialFailures {
			if !mayDial(now) {
				t.Fatalf("round %d, try %d is not allowed", round, try)
			}
			b.DialFailed(now, id)
		}
		mustAdd(t, b, now, signed(1, uint64(2+round)), true) // a new record is no way round
		if mayDial(now) || mayDial(now.Add(DialBackoff-1)) {
			t.Fatalf("round %d: no back-off", round)
		}
		now = now.Add(DialBackoff)
	}
	r := smallRecord(2, 1)
	r.Addrs = nil
	mustAdd(t, b, now, r.Sign(testKey(2)), true)
	if e, _ := b.Get(r.Node); e.MayDial(now) {
		t.Error("may dial a node without address")
	}
}

func TestSample(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	id, other := streamID(0), streamID(1)
	for i := range 40 {
		r := smallRecord(1+i, 1)
		if i >= 30 {
			r.Streams[0].Stream = other
		}
		mustAdd(t, b, start, r.Sign(testKey(1+i)), true)
		if i >= 20 {
			b.Doubt(r.Node)
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	drawn := map[NodeID]int{}
	for range 1000 {
		for i, raw := range b.Sample(rnd, id, 22, 1<<20) {
			e := opened(t, b, raw)
			if _, ok := e.Carries(id); !ok {
				t.Fatal("does not carry the stream")
			}
			if e.Doubted != (i >= 20) {
				t.Fatalf("place %d: doubted %v", i, e.Doubted)
			}
			drawn[e.Node]++
		}
	}
	if len(drawn) != 30 {
		t.Errorf("%d of 30 nodes were ever drawn", len(drawn))
	}
	if n := len(b.Sample(rnd, id, 100, 1<<20)); n != 30 {
		t.Errorf("%d of 30", n)
	}
	one := len(signed(1, 1))
	for _, size := range []int{0, one - 1, one, 5 * one, 5*one + 1} {
		if n := len(b.Sample(rnd, id, 16, size)); n != size/one {
			t.Errorf("%d records in %d bytes of %d each", n, size, one)
		}
	}
	if n := len(b.Sample(rnd, stripe.ID{9}, 16, 1<<20)); n != 0 {
		t.Errorf("%d nodes carry a stream that nobody has", n)
	}
	same := func() [][]byte { return b.Sample(rand.New(rand.NewPCG(3, 4)), id, 5, 1<<20) }
	first, second := same(), same()
	for i := range first {
		if !bytes.Equal(first[i], second[i]) {
			t.Error("the same chance gives another sample")
		}
	}
}

func opened(t *testing.T, b *Book, raw []byte) *Entry {
	t.Helper()
	r, err := OpenRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, ok := b.Get(r.Node)
	if !ok {
		t.Fatal("not of the book")
	}
	return e
}

func TestRecordSaysWhatANodeCarries(t *testing.T) {
	r := fullRecord(1)
	c, ok := r.Carries(streamID(2))
	if !ok || c.Stream != streamID(2) || !c.Home(0) || c.Home(1) || !c.Home(63) {
		t.Errorf("%+v %v", c, ok)
	}
	if _, ok := r.Carries(streamID(9)); ok {
		t.Error("carries what it does not")
	}
}

// TestHomeIsAScan: what Home tells is what a look at every record would.
func TestHomeIsAScan(t *testing.T) {
	now, rnd := start, rand.New(rand.NewPCG(1, 2))
	b := NewBook(NodeIDOf(testKey(0)), nil)
	check := func(follows ...int) {
		t.Helper()
		for s := range 3 {
			for stripe := range 64 {
				var want []*Entry
				for _, e := range b.All() {
					if c, ok := e.Carries(streamID(s)); ok && c.Home(stripe) && slices.Contains(follows, s) {
						want = append(want, e)
					}
				}
				if got := b.Home(streamID(s), stripe); !slices.Equal(got, want) {
					t.Fatalf("stream %d stripe %d: %d entries, not %d", s, stripe, len(got), len(want))
				}
			}
		}
	}
	add := func(seq uint64) {
		for range 60 {
			i := 1 + rnd.IntN(30)
			r := smallRecord(i, seq)
			r.TTL = time.Duration(1+rnd.IntN(20)) * time.Minute
			for s := range rnd.IntN(3) {
				r.Streams = append(r.Streams, Carried{Stream: streamID(s + 1), Homes: rnd.Uint64() & rnd.Uint64()})
			}
			if _, err := b.Add(now, r.Sign(testKey(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(1)
	check()
	b.Follow(streamID(1))
	check(1)
	b.Follow(streamID(2))
	b.Follow(streamID(1))
	add(2)
	check(1, 2)
	now = now.Add(10 * time.Minute)
	b.Expire(now)
	check(1, 2)
	add(3)
	b.Unfollow(streamID(1))
	add(4)
	check(2)
}

// TestSampledBook: a full book of samples takes a newcomer in the place of what came
// longest ago, but not of what is new.
func TestSampledBook(t *testing.T) {
	b := NewBook(NodeIDOf(testKey(0)), nil)
	b.Sampled()
	now := start
	for i := range MaxSampled {
		now = now.Add(sampleKept / MaxSampled)
		mustAdd(t, b, now, signed(1+i, 1), true)
	}
	mustAdd(t, b, now, signed(5000, 1), false)
	mustAdd(t, b, now, signed(1, 2), true) // it is new again
	now = now.Add(2 * (sampleKept / MaxSampled))
	mustAdd(t, b, now, signed(5000, 1), true)
	for i, want := range map[int]bool{1: true, 2: false, 3: true, 5000: true} {
		if _, ok := b.Get(NodeIDOf(testKey(i))); ok != want {
			t.Errorf("node %d is in the book: %v", i, ok)
		}
	}
	if len(b.All()) != MaxSampled {
		t.Errorf("%d entries", len(b.All()))
	}
}
