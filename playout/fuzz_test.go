package playout

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// FuzzBuffer feeds any inputs at any times: what comes out is in order, bounds
// hold, and a deadline is never one that Handle has left behind.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 200, 3, 2, 0, 5, 1})
	f.Add([]byte{0, 0, 0, 1, 8, 9, 1, 1, 1, 1, 0, 0, 16, 3, 0, 0, 5, 1, 6, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 255, 1, 8, 9, 1, 1, 0, 1, 255, 0, 16, 3, 0, 0, 5, 1, 7, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		b := New(Config{Delay: MinDelay, BlockTime: twinBlock})
		now := time.Unix(0, 0)
		var c checker
		blocks := uint64(0)
		handle := func(in Input) {
			if _, ok := in.(Block); ok {
				blocks++
			}
			for _, out := range b.Handle(now, in) {
				if err := c.check(out); err != nil {
					t.Fatal(err)
				}
			}
			if d, ok := b.Deadline(); ok && !d.After(now) {
				t.Fatalf("deadline %v is not after %v", d, now)
			}
			s := b.Stats()
			if s.Played+s.Late+s.Duplicate+s.Dropped+uint64(s.Held) != blocks {
				t.Fatalf("%d blocks came: %+v", blocks, s)
			}
			if s.Held > MaxHeld || b.heads > MaxHeads || s.Held+b.heads != len(b.entries) {
				t.Fatalf("%+v, %d heads, %d entries", s, b.heads, len(b.entries))
			}
		}
		for ; len(script) >= 6; script = script[6:] {
			in := fuzzed(script)
			until := now.Add(time.Duration(script[5]) * time.Duration(script[5]) * time.Millisecond)
			handle(in)
			for wakes := 0; ; wakes++ {
				d, ok := b.Deadline()
				if !ok || d.After(until) {
					break
				}
				if wakes > 4*MaxHeads {
					t.Fatal("too many wakes")
				}
				now = d
				handle(Wake{})
			}
			now = until
		}
		handle(Stop{})
		if s := b.Stats(); s.Held != 0 || s.Bytes != 0 {
			t.Fatalf("left after the stop: %+v", s)
		}
	})
}

// fuzzed is the input that six bytes say: what, epoch, number, its high bits,
// source time, and the time that passes afterwards.
func fuzzed(s []byte) Input {
	h := stripe.Header{
		Epoch:      uint32(s[1] >> 5),
		Number:     uint64(s[2]) + uint64(s[3]&3)<<30,
		SourceTime: int64(s[2])*100 + int64(int8(s[4]))<<(s[3]>>2),
		Flags:      stripe.Flags(s[1] & 7),
	}
	switch s[0] % 8 {
	case 0, 1, 2, 3:
		return Block{Header: h, Data: blockData(h.Number), Parity: s[0] >= 128}
	case 4, 5, 6:
		return HeadOf(&h)
	default:
		return Wake{}
	}
}
