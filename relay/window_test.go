package relay

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

var oneOne = stripe.Layout{K: 1, M: 1}

// hold proves block number and holds its shard of stripe 0, of so many bytes. Its
// source time is ms.
func hold(w *window, number uint64, ms int64, size int, flags stripe.Flags) {
	h := stripe.Header{Number: number, Layout: oneOne, SourceTime: ms, Flags: flags}
	b := w.open(&h)
	if b == nil {
		return
	}
	if b.proof == nil {
		w.prove(b, &Proof{Header: h})
	}
	if w.at(number) != nil && b.have&1 == 0 {
		h.ShardLen = oneOne.ShardLen(size)
		h.DataLen = size
		data := make([]byte, h.ShardLen)
		w.put(b, stripe.Seal(windowKey, h, [][]byte{data, data})[0])
	}
}

var windowKey = testKey("window")

// held is the numbers in the window, lowest first.
func held(w *window) (numbers []uint64) {
	for n := w.low; w.started && n <= w.head; n++ {
		if w.at(n) != nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func TestWindowHoldsItsBlocks(t *testing.T) {
	var w window
	for n := uint64(0); n < 3*MaxWindowBlocks; n++ {
		hold(&w, n, int64(n), 1, 0)
		got := held(&w)
		if want := min(int(n)+1, MaxWindowBlocks); len(got) != want || got[len(got)-1] != n {
			t.Fatalf("after block %d the window holds %d blocks, want %d", n, len(got), want)
		}
	}
	old := w.low - 1
	if w.open(&stripe.Header{Number: old, Layout: oneOne}) != nil {
		t.Errorf("block %d behind the window is opened", old)
	}
	if w.get(old) != nil || w.get(old+2*MaxWindowBlocks) != nil {
		t.Error("another block stands for one that is not held")
	}
}

func TestWindowOutOfOrder(t *testing.T) {
	var w window
	hold(&w, 1000, 0, 1, 0)
	hold(&w, 1000-MaxWindowBlocks+1, 0, 1, 0) // the lowest that fits
	hold(&w, 1000-MaxWindowBlocks, 0, 1, 0)   // the first that does not
	if got := held(&w); len(got) != 2 || got[0] != 1000-MaxWindowBlocks+1 {
		t.Errorf("held %v", got)
	}
	hold(&w, 1001, 0, 1, 0)
	if got := held(&w); len(got) != 2 || got[0] != 1000 {
		t.Errorf("after the next block %v", got)
	}
	hold(&w, 1<<31, 0, 1, 0) // far ahead
	if got := held(&w); len(got) != 1 || w.bytes != w.at(1<<31).bytes {
		t.Errorf("after a jump %v, %d bytes", got, w.bytes)
	}
}

func TestWindowAge(t *testing.T) {
	var w window
	age := MaxWindowAge.Milliseconds()
	hold(&w, 0, 0, 1, 0)
	hold(&w, 1, 1, 1, 0)
	hold(&w, 2, age, 1, 0)
	if got := held(&w); len(got) != 3 {
		t.Errorf("at the bound %v", got)
	}
	hold(&w, 3, age+1, 1, 0)
	if got := held(&w); len(got) != 3 || got[0] != 1 {
		t.Errorf("a millisecond above it %v", got)
	}
	hold(&w, 4, 100*age, 1, 0)
	if got := held(&w); len(got) != 1 || got[0] != 4 {
		t.Errorf("after a pause %v: the newest stays", got)
	}
	hold(&w, 5, 0, 1, 0) // a clock that steps back drops nothing
	if got := held(&w); len(got) != 2 {
		t.Errorf("after a step back %v", got)
	}
}

func TestWindowBytes(t *testing.T) {
	var w window
	const size = stripe.MaxBlock
	for n := range uint64(2 * MaxWindowBytes / size) {
		hold(&w, n, int64(n), size, 0)
		sum := 0
		for _, m := range held(&w) {
			sum += w.at(m).bytes
		}
		if w.bytes != sum || sum > MaxWindowBytes {
			t.Fatalf("after block %d: %d bytes counted, %d held, at most %d", n, w.bytes, sum, MaxWindowBytes)
		}
	}
	if got := len(held(&w)); got != MaxWindowBytes/size-1 {
		t.Errorf("%d blocks of a MiB are held", got)
	}
}

func TestWindowUnproven(t *testing.T) {
	var w window
	var last *block
	for n := range uint64(MaxUnproven) {
		if last = w.open(&stripe.Header{Number: n, Layout: oneOne}); last == nil {
			t.Fatalf("block %d is not opened", n)
		}
	}
	if w.open(&stripe.Header{Number: 99, Layout: oneOne}) != nil {
		t.Error("one too many is opened")
	}
	if w.open(&stripe.Header{Number: 0, Layout: oneOne}) == nil {
		t.Error("one that is open already is refused")
	}
	if w.started {
		t.Error("an unproved block moved the window")
	}
	w.forget(last)
	if w.open(&stripe.Header{Number: 99, Layout: oneOne}) == nil {
		t.Error("there is no room after one was forgotten")
	}
}

func TestWindowStart(t *testing.T) {
	const ra = stripe.RandomAccess
	for _, c := range []struct {
		name   string
		access []uint64 // of blocks 10 … 29, 100 ms each
		back   time.Duration
		want   uint64
	}{
		{"the newest that is old enough", []uint64{10, 15, 20, 25}, time.Second, 15},
		{"exactly as old", []uint64{10, 19, 25}, time.Second, 19},
		{"no time behind", []uint64{10, 25}, 0, 25},
		{"none is old enough: the oldest", []uint64{22, 27}, time.Second, 22},
		{"no random access: the oldest within back", nil, time.Second, 20},
		{"more than is held", []uint64{12, 22}, time.Minute, 12},
		{"more than is held, no random access", nil, time.Minute, 10},
	} {
		var w window
		for n := uint64(10); n < 30; n++ {
			var flags stripe.Flags
			for _, a := range c.access {
				if a == n {
					flags = ra
				}
			}
			hold(&w, n, int64(n)*100, 1, flags)
		}
		if got := w.start(0, c.back.Milliseconds()); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
		if got := w.start(1, c.back.Milliseconds()); got != 30 {
			t.Errorf("%s: a stripe of which nothing is held starts at %d", c.name, got)
		}
	}
	var empty window
	if got := empty.start(0, 1000); got != 0 {
		t.Errorf("an empty window starts at %d", got)
	}
}
