package rewind_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/rewind/rewindtest"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// record is some seconds of the clip, in rounds of 4 s, each with its own clock.
func record(t testing.TB, seconds int) []byte {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(clip.TS())/ts.PacketLen*seconds/4*ts.PacketLen)
	if _, err := io.ReadFull(l, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func stream(f *rewindtest.Film, live rewind.Live) *rewind.Stream {
	return rewind.New(rewind.Config{Past: f, Live: live, Format: rewindtest.Format})
}

func open(t *testing.T, s *rewind.Stream, from string) *rewind.Reader {
	t.Helper()
	at, err := rewind.ParseFrom(from)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Open(t.Context(), at, rewindtest.Began.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAll reads to the end.
func readAll(t *testing.T, r *rewind.Reader) (all []byte) {
	t.Helper()
	defer r.Close()
	for {
		before, data, err := r.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, before...), data...)
	}
}

// starts is the numbers of blocks that one can start at.
func starts(f *rewindtest.Film) (numbers []uint64) {
	for n := range uint64(f.Len()) {
		if h, _ := f.Cut(n); h.Has(stripe.RandomAccess) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// TestFrom: from each moment on, all bytes from the block to start at before it.
func TestFrom(t *testing.T) {
	input := record(t, 20)
	f := rewindtest.New(3, input)
	s, last := stream(f, nil), uint64(f.Len()-1)
	if got := readAll(t, open(t, s, "start")); !bytes.Equal(got, input) {
		t.Fatalf("from the start: %d bytes of %d", len(got), len(input))
	}
	if all := starts(f); len(all) < 10 {
		t.Fatalf("one can start at %v", all)
	}
	for _, from := range []string{"-0s", "-1s", "-4.3s", "-15s", "-1h", "20:00:07"} {
		at, _ := rewind.ParseFrom(from)
		ext, _ := s.Extent()
		moment := at.Time(rewindtest.Began.Add(time.Hour), ext)
		want := uint64(0)
		for _, n := range starts(f) {
			if h, _ := f.Cut(n); h.SourceTime <= moment.UnixMilli() {
				want = n
			}
		}
		var tables []byte
		if want > 0 {
			tables = ts.Prologue([][]byte{f.Join(want-8, want-1)}, f.Join(want, want))
		}
		if got := readAll(t, open(t, s, from)); !bytes.Equal(got, append(tables, f.Join(want, last)...)) {
			t.Errorf("from %s: %d bytes, want those from block %d", from, len(got), want)
		}
	}
	f.Hold(55, last, false)
	want := starts(f)[slices.IndexFunc(starts(f), func(n uint64) bool { return n >= 55 })]
	if got := readAll(t, open(t, s, "start")); !bytes.Equal(got, f.Join(want, last)) {
		t.Errorf("from what is left: %d bytes", len(got))
	}
	if st := s.Stats(); st.Readers != 0 || st.Absent != 0 || st.Blocks == 0 {
		t.Errorf("%+v", st)
	}
}

// TestAbsent: what nobody has is counted and marked, and the rest is there.
func TestAbsent(t *testing.T) {
	f := rewindtest.New(3, record(t, 8))
	f.Lose(20, 21, 22, 40)
	s := stream(f, nil)
	_, after := f.Cut(23)
	_, later := f.Cut(41)
	want := slices.Concat(f.Join(0, 19), ts.MarkGap(after), f.Join(23, 39), ts.MarkGap(later), f.Join(41, uint64(f.Len()-1)))
	if got := readAll(t, open(t, s, "start")); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if st := s.Stats(); st.Absent != 4 {
		t.Errorf("%+v", st)
	}
}

// TestForgotten: a client that was away for longer than the past is held goes on at its
// start.
func TestForgotten(t *testing.T) {
	f := rewindtest.New(3, record(t, 12))
	s, last := stream(f, nil), uint64(f.Len()-1)
	r := open(t, s, "start")
	if _, data, err := r.Next(t.Context()); err != nil || !bytes.Equal(data, f.Join(0, 0)) {
		t.Fatal(err)
	}
	f.Hold(70, last, false)
	_, first := f.Cut(70)
	// Up to four blocks had been read ahead by then.
	rest := slices.Concat(ts.MarkGap(first), f.Join(70, last))
	got, ok := readAll(t, r), false
	for n := uint64(0); n <= 4 && !ok; n++ {
		var ahead []byte
		if n > 0 {
			ahead = f.Join(1, n)
		}
		ok = bytes.Equal(got, slices.Concat(ahead, rest))
	}
	if !ok {
		t.Errorf("%d bytes, want up to four blocks and then %d", len(got), len(rest))
	}
}

// TestPause: whoever does not read costs a few blocks, whoever reads gets several
// fetched at once, and whoever leaves calls all off.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := rewindtest.New(3, record(t, 8))
		s := stream(f, nil)
		gate := f.Shut()
		r := open(t, s, "start")
		got := make(chan error, 1)
		go func() {
			_, _, err := r.Next(t.Context())
			got <- err
		}()
		synctest.Wait()
		asked, most := f.Asked()
		if len(asked) != 4 || most != 4 {
			t.Errorf("asked for %v, %d at once", asked, most)
		}
		gate()
		err := <-got
		if err != nil {
			t.Error(err)
		}
		<-time.After(time.Hour)
		if more, _ := f.Asked(); len(more) != len(asked) {
			t.Errorf("asked for %v while nobody reads", more)
		}
		defer f.Shut()()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for err = nil; err == nil; _, _, err = r.Next(ctx) {
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		r.Close() // hangs if it leaves anything behind
	})
}

// TestLargeBlocks: blocks of a megabyte are not asked for by the dozen.
func TestLargeBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := &bigBlocks{data: make([]byte, stripe.MaxBlock)}
		r := openStart(t, rewind.New(rewind.Config{Past: big}))
		defer r.Close()
		for range 40 {
			if _, _, err := r.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if ahead := big.asked.Load() - 40; ahead < 2 || ahead > 4 {
			t.Errorf("%d blocks of a megabyte are ahead", ahead)
		}
	})
}

// TestNewEpoch: when a new run of the source is all there is, it is gone on with.
func TestNewEpoch(t *testing.T) {
	input := record(t, 12)
	old, renewed := rewindtest.New(3, input[:len(input)/2/188*188]), rewindtest.New(4, input[len(input)/2/188*188:])
	runs := &runs{Film: old}
	s := rewind.New(rewind.Config{Past: runs, Format: rewindtest.Format})
	r := open(t, s, "start")
	if _, _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs.swap(renewed)
	_, first := renewed.Cut(0)
	if got, want := readAll(t, r), slices.Concat(ts.MarkGap(first), renewed.Join(0, uint64(renewed.Len()-1))); !bytes.HasSuffix(got, want) {
		t.Errorf("%d bytes, want %d at its end", len(got), len(want))
	}
}

// TestPieceOfEarlierRun: when a later run has taken the place of the one of which a piece
// is read, the piece is broken off, and there are no more of them.
func TestPieceOfEarlierRun(t *testing.T) {
	input := record(t, 20)
	runs := &runs{Film: rewindtest.New(3, input)}
	s := rewind.New(rewind.Config{Past: runs, Format: rewindtest.Format})
	ext, _ := s.Extent()
	piece := ext.Pieces()[1].Index
	r, err := s.OpenPiece(t.Context(), piece)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	runs.swap(rewindtest.New(4, input[:ts.PacketLen]))
	for err == nil {
		_, _, err = r.Next(t.Context())
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the piece ends with %v", err)
	}
	if _, err := s.OpenPiece(t.Context(), piece); !errors.Is(err, rewind.ErrNothing) {
		t.Errorf("another begins: %v", err)
	}
}

// TestPrologue: a decoder that begins with a block without tables gets them from those
// before it.
func TestPrologue(t *testing.T) {
	input := record(t, 8)
	f := rewindtest.New(3, input)
	bare := rewind.New(rewind.Config{Past: f, Format: func(stripe.Media) rewind.Format {
		return rewind.Format{Starts: func([]byte) bool { return false }, Prologue: func(before [][]byte, block []byte) []byte {
			return append(bytes.Join(before, []byte("|")), '>')
		}}
	}})
	r := open(t, bare, "-4s")
	defer r.Close()
	before, data, err := r.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(starts(f), func(n uint64) bool { return bytes.Equal(f.Join(n, n), data) })
	if at < 1 {
		t.Fatalf("it begins with no block to start at")
	}
	var want [][]byte
	for n := starts(f)[at] - 8; n < starts(f)[at]; n++ {
		want = append(want, f.Join(n, n))
	}
	if !bytes.Equal(before, append(bytes.Join(want, []byte("|")), '>')) {
		t.Errorf("%d bytes before it", len(before))
	}
	if before, _, err = r.Next(t.Context()); err != nil || before != nil {
		t.Errorf("%d bytes before the second, %v", len(before), err)
	}
}

// TestSettle: what is not yet known of the past is waited for, if it is wanted.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := rewindtest.New(3, record(t, 12))
		last := uint64(f.Len() - 1)
		f.Hold(70, last, false)
		s := rewind.New(rewind.Config{Past: f, Format: rewindtest.Format, Settle: 3 * time.Second})
		began := time.Now()
		open(t, s, "-1s").Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("what is there was waited for, %v", took)
		}
		time.AfterFunc(2*time.Second, func() { f.Hold(0, last, false) })
		if got := readAll(t, open(t, s, "start")); !bytes.Equal(got, f.Join(0, last)) {
			t.Errorf("%d bytes", len(got))
		}
		if took := time.Since(began); took < 2*time.Second || took >= 3*time.Second {
			t.Errorf("the rest came after 2 s, and was found after %v", took)
		}
		f.Hold(70, last, false)
		<-time.After(time.Second)
		began = time.Now()
		open(t, s, "start").Close()
		if took := time.Since(began); took != 0 {
			t.Errorf("what does not come is still waited for, %v", took)
		}
	})
}

// TestUndated: where nobody says when the stream was, its blocks do.
func TestUndated(t *testing.T) {
	f := rewindtest.New(3, record(t, 12))
	last := uint64(f.Len() - 1)
	f.Lose(0, 1, last)
	s := stream(f, nil)
	at := starts(f)[len(starts(f))-4]
	ago := "-" + (time.Duration(last-at)*rewindtest.BlockTime - 300*time.Millisecond).String()
	want := readAll(t, open(t, s, ago))
	f.Undate()
	if e, ok := s.Extent(); !ok || e.Duration() != 0 || e.Pieces() != nil {
		t.Errorf("%+v", e)
	}
	if got := readAll(t, open(t, s, ago)); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	if e, ok := s.Extent(); !ok || e.Duration() != time.Duration(last-3)*rewindtest.BlockTime || e.Pieces() == nil {
		t.Errorf("%+v", e)
	}
	f.Hold(20, last-20, false)
	if e, _ := s.Extent(); e.Duration() != 0 {
		t.Errorf("another extent is dated %v", e.Duration())
	}
	if e, err := s.Date(t.Context()); err != nil || e.Duration() != time.Duration(last-40)*rewindtest.BlockTime {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestSpeed: it is what really comes.
func TestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := rewindtest.New(3, record(t, 8))
		s := stream(f, nil)
		gate := f.Shut()
		time.AfterFunc(2*time.Second, gate)
		bps, err := s.Speed(t.Context(), rewind.From{}, time.Now())
		if want := float64(len(f.Join(0, 15))) * 8 / 2; err != nil || bps < want*0.99 || bps > want*1.01 {
			t.Errorf("%.0f bit/s, want %.0f; %v", bps, want, err)
		}
		for n := range uint64(40) {
			f.Lose(n)
		}
		if bps, err := s.Speed(t.Context(), rewind.From{}, time.Now()); !errors.Is(err, rewind.ErrAbsent) {
			t.Errorf("of nothing: %.0f, %v", bps, err)
		}
	})
}
