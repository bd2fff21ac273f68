package rewind_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/rewind/rewindtest"
)

// TestRecording: any part of it is there, and only what is read is fetched.
func TestRecording(t *testing.T) {
	input := record(t, 12)
	f := rewindtest.New(3, input)
	f.Index(true)
	rec, err := stream(f, nil).Recording(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	if asked, _ := f.Asked(); len(asked) != 0 {
		t.Errorf("opening it fetched %v", asked)
	}
	if rec.Size() != int64(len(input)) {
		t.Fatalf("%d bytes, want %d", rec.Size(), len(input))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at := rnd.IntN(len(input) + 1)
		part := input[at:min(len(input), at+rnd.IntN(50_000))]
		if n, err := rec.Seek(int64(at), io.SeekStart); err != nil || n != int64(at) {
			t.Fatal(n, err)
		}
		got := make([]byte, len(part))
		if _, err := io.ReadFull(rec, got); err != nil || !bytes.Equal(got, part) {
			t.Fatalf("%d bytes at %d: %v", len(part), at, err)
		}
	}
	if _, err := rec.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(rec, input); err != nil {
		t.Error(err)
	}
}

// TestRecordingNeedsLengths: without them there is none, and reading it once is enough
// to know them; unless nobody has some of it.
func TestRecordingNeedsLengths(t *testing.T) {
	input := record(t, 8)
	f := rewindtest.New(3, input)
	s := stream(f, nil)
	missing := func() {
		t.Helper()
		if _, err := s.Recording(t.Context()); !errors.Is(err, rewind.ErrLengths) {
			t.Fatal(err)
		}
	}
	missing()
	f.Lose(30)
	readAll(t, open(t, s, "start"))
	missing()
	f.Index(true) // the one that is missing, among others
	rec, err := s.Recording(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(rec); !errors.Is(err, rewind.ErrAbsent) || !bytes.Equal(got, f.Join(0, 29)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	rec.Close()

	f = rewindtest.New(3, input)
	s = stream(f, nil)
	readAll(t, open(t, s, "start"))
	if rec, err = s.Recording(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	if got, err := io.ReadAll(rec); err != nil || !bytes.Equal(got, input) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// TestLengthsOfOthers: what is not known here is asked of others, and no block is read for
// it; what they do not know is asked for again later.
func TestLengthsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		input := record(t, 40)
		f := rewindtest.New(3, input)
		f.Tell(true)
		f.Lose(100)
		s := stream(f, nil)
		if _, err := s.Recording(t.Context()); !errors.Is(err, rewind.ErrLengths) {
			t.Fatal(err)
		}
		if _, _, err := openStart(t, s).Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Find(100)
		if _, err := s.Recording(t.Context()); !errors.Is(err, rewind.ErrLengths) {
			t.Fatalf("it was asked for again at once: %v", err)
		}
		<-time.After(10 * time.Second)
		rec, err := s.Recording(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer rec.Close()
		if asked, _ := f.Asked(); len(asked) > 8 {
			t.Errorf("%d blocks were read", len(asked))
		}
		if got, err := io.ReadAll(rec); err != nil || !bytes.Equal(got, input) {
			t.Errorf("%d bytes of %d, %v", len(got), len(input), err)
		}
	})
}

// TestRecordingOfWhat: it is of what is held now, its tag says of what, and there is
// none of a stream that goes on, or that is endless.
func TestRecordingOfWhat(t *testing.T) {
	f := rewindtest.New(3, record(t, 8))
	f.Index(true)
	s, last := stream(f, nil), uint64(f.Len()-1)
	tags := map[string]bool{}
	for _, first := range []uint64{0, 30, 10} {
		f.Hold(first, last, false)
		rec, err := s.Recording(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tags[rec.Tag()] = true
		if got, err := io.ReadAll(rec); err != nil || !bytes.Equal(got, f.Join(first, last)) {
			t.Errorf("from block %d: %d bytes, %v", first, len(got), err)
		}
		rec.Close()
	}
	if len(tags) != 3 {
		t.Errorf("tags %v", tags)
	}
	f.Hold(0, last, true)
	if _, err := s.Recording(t.Context()); !errors.Is(err, rewind.ErrNothing) {
		t.Error(err)
	}
	if _, err := rewind.New(rewind.Config{Past: endless{}}).Recording(t.Context()); !errors.Is(err, rewind.ErrLengths) {
		t.Error(err)
	}
}

// endless claims to be as long as numbers go.
type endless struct{ *bigBlocks }

func (endless) Extent() (rewind.Extent, bool) { return rewind.Extent{Last: 1<<32 - 1}, true }

// TestPieces: joined, the pieces are the stream; each begins with a block to start at,
// and they last as long as it does.
func TestPieces(t *testing.T) {
	input := record(t, 32)
	f := rewindtest.New(3, input)
	s, last := stream(f, nil), uint64(f.Len()-1)
	begins := map[string]bool{string(f.Join(0, 0)): true}
	for _, n := range starts(f) {
		begins[string(f.Join(n, n))] = true
	}
	for _, first := range []uint64{0, starts(f)[7]} {
		f.Hold(first, last, false)
		ext, _ := s.Extent()
		sum := ext.Duration()
		var joined []byte
		for _, p := range ext.Pieces() {
			if p.Duration > rewind.PieceTime || p.Duration < 0 {
				t.Errorf("piece %d of %v", p.Index, p.Duration)
			}
			sum -= p.Duration
			r, err := s.OpenPiece(t.Context(), p.Index)
			if err != nil {
				t.Fatal(err)
			}
			_, data, err := r.Next(t.Context())
			if err != nil || !begins[string(data)] {
				t.Errorf("piece %d: %v", p.Index, err)
			}
			joined = append(append(joined, data...), readAll(t, r)...)
		}
		if sum != 0 || !bytes.Equal(joined, f.Join(first, last)) {
			t.Errorf("from block %d: %v too short, %d bytes", first, sum, len(joined))
		}
		for _, i := range []int64{ext.Pieces()[0].Index - 1, ext.Pieces()[len(ext.Pieces())-1].Index + 1, -1, 1 << 62} {
			if _, err := s.OpenPiece(t.Context(), i); !errors.Is(err, rewind.ErrNothing) {
				t.Errorf("piece %d: %v", i, err)
			}
		}
	}
	ext, _ := s.Extent()
	for _, spoil := range []func(*rewind.Extent){
		func(e *rewind.Extent) { e.To = e.From.Add(rewind.MaxPieces * rewind.PieceTime) },
		func(e *rewind.Extent) { e.To = e.From.Add(-rewind.PieceTime) },
	} {
		e := ext
		if spoil(&e); e.Pieces() != nil {
			t.Errorf("pieces of %v to %v", e.From, e.To)
		}
	}
}
