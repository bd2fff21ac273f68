package httpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/stripe"
)

// play is block n of a stream with 100 ms blocks and a random access point every
// ten of them.
func play(n uint64, data []byte) playout.Play {
	h := stripe.Header{Number: n, SourceTime: 1e12 + int64(n)*100}
	if n%10 == 0 {
		h.Flags = stripe.RandomAccess
	}
	return playout.Play{Header: h, Data: data}
}

func text(n uint64) []byte { return fmt.Appendf(nil, "block %d\n", n) }

func begun() *Broadcaster {
	b := NewBroadcaster()
	b.Begin(Format{
		Media:    stripe.MediaTS,
		MarkGap:  func(next []byte) []byte { return []byte("gap before " + string(next)) },
		Prologue: func(block []byte) []byte { return []byte("tables for " + string(block)) },
	})
	return b
}

func next(t *testing.T, f *Follower) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	before, data, err := f.Next(ctx)
	if err != nil {
		return err.Error()
	}
	return string(before) + string(data)
}

func follow(t *testing.T, b *Broadcaster) *Follower {
	t.Helper()
	f, err := b.Follow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// TestNewcomerStart: at the newest random access block with a second behind it.
func TestNewcomerStart(t *testing.T) {
	for last, want := range map[uint64]uint64{0: 0, 5: 0, 10: 0, 15: 0, 19: 0, 20: 10, 29: 10, 30: 20} {
		b := begun()
		for n := range last + 1 {
			b.Push(play(n, text(n)))
		}
		if got, want := next(t, follow(t, b)), fmt.Sprintf("tables for block %d\nblock %d\n", want, want); got != want {
			t.Errorf("after block %d a newcomer gets %q, want %q", last, got, want)
		}
	}
	b := begun()
	for n := range uint64(30) {
		p := play(n, text(n))
		p.Header.Flags = 0
		b.Push(p)
	}
	if got := next(t, follow(t, b)); got != "tables for block 19\nblock 19\n" {
		t.Errorf("without random access a newcomer gets %q", got)
	}
}

func TestGapIsMarkedForWhoHadABlock(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	f := follow(t, b)
	next(t, f)
	p := play(2, text(2))
	p.Discontinuity = true
	b.Push(p)
	if got := next(t, f); got != "gap before block 2\nblock 2\n" {
		t.Fatalf("%q", got)
	}
	b.Push(play(3, text(3)))
	if got := next(t, f); got != "block 3\n" {
		t.Fatalf("%q", got)
	}
}

func TestLaggingFollowerSkipsToTheNewestRandomAccess(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	f := follow(t, b)
	next(t, f)
	for n := uint64(1); n <= 395; n++ {
		b.Push(play(n, text(n)))
	}
	if got := next(t, f); got != "gap before block 390\nblock 390\n" {
		t.Fatalf("%q", got)
	}
	if got := next(t, f); got != "block 391\n" {
		t.Fatalf("%q", got)
	}
	if s := b.Stats(); s.Lagged != 1 || s.Clients != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestRingIsBounded(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		b := begun()
		data := bytes.Repeat([]byte("x"), stripe.MaxBlock)
		for n := range uint64(50) {
			p := play(0, data) // one source time: the age drops nothing
			p.Header.Number = n
			b.Push(p)
			if s := b.Stats(); s.Bytes > MaxRing {
				t.Fatalf("%+v", s)
			}
		}
		if s := b.Stats(); s.Bytes < MaxRing-3*stripe.MaxBlock {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("blocks", func(t *testing.T) {
		b := begun()
		for range 2 * MaxRingBlocks {
			b.Push(play(0, text(0)))
		}
		if s := b.Stats(); s.Blocks != MaxRingBlocks {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("age", func(t *testing.T) {
		b := begun()
		for n := range uint64(1000) {
			b.Push(play(n, text(n)))
		}
		if s := b.Stats(); s.Blocks != 101 {
			t.Fatalf("%+v", s)
		}
	})
	t.Run("age keeps the newcomers' start", func(t *testing.T) {
		b := begun()
		for n := range uint64(300) {
			p := play(n, text(n))
			if n > 0 {
				p.Header.Flags = 0
			}
			b.Push(p)
		}
		if got := next(t, follow(t, b)); got != "tables for block 0\nblock 0\n" {
			t.Fatalf("%q", got)
		}
	})
}

func TestEnd(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	slow, prompt := follow(t, b), follow(t, b)
	next(t, prompt)
	b.End()
	b.Push(play(1, text(1))) // after the end: nothing
	if got := next(t, prompt); got != io.EOF.Error() {
		t.Fatalf("%q", got)
	}
	if got := next(t, slow); got != "tables for block 0\nblock 0\n" {
		t.Fatalf("%q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Follow(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("joined an ended broadcast: %v", err)
	}
	b.Begin(Format{Media: stripe.MediaMP3})
	b.Push(play(0, text(0)))
	if got := next(t, slow); got != io.EOF.Error() {
		t.Fatalf("a follower of the first broadcast got %q of the second", got)
	}
	if got := next(t, follow(t, b)); got != "block 0\n" {
		t.Fatalf("%q", got)
	}
}
