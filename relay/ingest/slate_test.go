package ingest

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
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe/ts"
)

// step is what an input brings after a wait.
type step struct {
	wait time.Duration
	b    []byte
	err  error
}

// steps is an input of them, and then of nothing until ctx ends.
type steps struct {
	ctx  context.Context
	left []step
}

func (s *steps) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	if len(s.left[0].b) > len(p) {
		panic("a step is too long")
	}
	<-time.After(s.left[0].wait)
	n, err := copy(p, s.left[0].b), s.left[0].err
	s.left = s.left[1:]
	return n, err
}

// paced is an input's bytes in steps of its clock.
func paced(b []byte) (all []step) {
	cutter, wait := ts.NewCutter(ts.DefaultConfig()), time.Duration(0)
	for _, c := range append(slices.Clone(cutter.Write(time.Time{}, b)), cutter.Flush(time.Time{})...) {
		for part := range slices.Chunk(c.Data, slateRead) {
			all = append(all, step{wait: wait, b: part})
			wait = 0
		}
		wait = c.Span
	}
	return all
}

// shown is what somebody reads, and when.
type shown struct {
	at    []time.Duration // since the beginning
	sizes []int
	b     []byte
	marks []source.Mark
	err   error
}

func readFor(s *Slated, d time.Duration) (out shown) {
	began, buf := time.Now(), make([]byte, 4<<10)
	for time.Since(began) < d {
		n, err := s.Read(buf)
		out.b = append(out.b, buf[:n]...)
		out.at, out.sizes = append(out.at, time.Since(began)), append(out.sizes, n)
		var mark source.Mark
		if errors.As(err, &mark) {
			out.marks = append(out.marks, mark)
		} else if err != nil {
			out.err = err
			break
		}
	}
	return out
}

// between is how much came in a time.
func (o shown) between(from, to time.Duration) (n int) {
	for i, at := range o.at {
		if at >= from && at < to {
			n += o.sizes[i]
		}
	}
	return n
}

// TestSlate: two seconds after the last byte the clip is shown at its pace, for as long as
// nothing comes; then the input goes on at a picture to begin at; and all that is one
// stream, with a clock that neither jumps nor stands.
func TestSlate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := clip.TS()
		input := paced(whole)
		left := slices.Concat(input[:len(input)/2], []step{{wait: 17 * time.Second, err: source.Mark{Break: true}}}, input[len(input)/8:])
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		said := 0
		s, err := Slate(ctx, &steps{ctx, left}, whole, func(string, ...any) { said++ })
		if err != nil {
			t.Fatal(err)
		}
		out := readFor(s, time.Minute)
		if !errors.Is(out.err, context.DeadlineExceeded) || len(out.marks) > 0 || said != 3 {
			t.Errorf("it ended with %v, marks %v, and %d words", out.err, out.marks, said)
		}
		second := len(whole) / 4 // as the clip has
		if n := out.between(2300*time.Millisecond, 3500*time.Millisecond); n > 0 {
			t.Errorf("%d bytes came before the slate", n)
		}
		for from := 4500 * time.Millisecond; from < 38*time.Second; from += 2 * time.Second {
			if n := out.between(from, from+2*time.Second); (n < second || n > 3*second) && (from < 21*time.Second || from > 25*time.Second) {
				t.Errorf("%d bytes in two seconds from %v, want about %d", n, from, 2*second)
			}
		}
		cutter, last, pictures := ts.NewCutter(ts.DefaultConfig()), uint64(0), 0
		for i, c := range append(slices.Clone(cutter.Write(time.Now(), out.b)), cutter.Flush(time.Now())...) {
			if c.Discontinuity && i > 0 || c.MediaTime < last || i > 0 && c.MediaTime-last > 90_000 {
				t.Errorf("block %d: a clock of %d after %d, discontinuity %v", i, c.MediaTime, last, c.Discontinuity)
			}
			if last = c.MediaTime; c.RandomAccess {
				pictures++
			}
		}
		if length := last / 90_000; length < 30 || length > 40 || pictures < 10 {
			t.Errorf("%d s, %d pictures to begin at", length, pictures)
		}
		if head := paced(whole)[:len(input)/2]; !bytes.HasPrefix(out.b, head[0].b) {
			t.Error("what came first is not passed on as it is")
		}
	})
}

// TestSlateIsPatient: a short blip is marked as ever, an input that is no transport stream is
// passed on as it is, and an end ends.
func TestSlateIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := clip.TS()
		input := paced(whole)
		blip := source.Mark{Break: true}
		for _, c := range []struct {
			name  string
			left  []step
			marks []source.Mark
			most  int // words
		}{
			{"a blip", slices.Concat(input[:20], []step{{wait: 1500 * time.Millisecond, err: blip}}, input[:20], []step{{err: io.EOF}}), []source.Mark{blip}, 0},
			{"a title", []step{{b: input[0].b}, {err: source.Mark{Title: "x"}}, {wait: 3 * time.Second, err: source.Mark{Title: "y"}}, {err: io.EOF}}, []source.Mark{{Title: "x"}, {Title: "y"}}, 1},
			{"sound", []step{{b: mp3(20)}, {wait: time.Minute, b: mp3(20)}, {err: io.EOF}}, nil, 1},
		} {
			said := 0
			s, err := Slate(t.Context(), &steps{t.Context(), c.left}, whole, func(string, ...any) { said++ })
			if err != nil {
				t.Fatal(err)
			}
			out := readFor(s, time.Hour)
			if !errors.Is(out.err, io.EOF) || !slices.Equal(out.marks, c.marks) || said != c.most {
				t.Errorf("%s: ended with %v, marks %v, %d words", c.name, out.err, out.marks, said)
			}
			if c.name == "sound" && !bytes.Equal(out.b, mp3(40)) {
				t.Errorf("%d bytes of sound", len(out.b))
			}
		}
	})
	if _, err := Slate(t.Context(), nil, []byte("no clip"), nil); !errors.Is(err, ts.ErrClip) {
		t.Errorf("a slate of nothing: %v", err)
	}
}

// TestSlateGivesWay: what comes back without a picture to begin at is shown all the same, after
// a while.
func TestSlateGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := clip.TS()
		left := paced(whole)
		left = append(left, step{wait: 10 * time.Second, err: source.Mark{Break: true}})
		cutter := ts.NewCutter(ts.DefaultConfig())
		for _, c := range slices.Clone(cutter.Write(time.Now(), slices.Concat(whole, whole, whole))) {
			if !c.RandomAccess {
				left = append(left, step{wait: 100 * time.Millisecond, b: c.Data})
			}
		}
		began, shown := time.Now(), []time.Duration(nil)
		s, err := Slate(t.Context(), &steps{t.Context(), append(left, step{err: io.EOF})}, whole, func(string, ...any) {
			shown = append(shown, time.Since(began).Round(time.Second))
		})
		if err != nil {
			t.Fatal(err)
		}
		out := readFor(s, time.Hour)
		if want := []time.Duration{6 * time.Second, 19 * time.Second}; !slices.Equal(shown, want) || !errors.Is(out.err, io.EOF) {
			t.Errorf("the slate and the input are shown at %v, want %v; it ended with %v", shown, want, out.err)
		}
	})
}

// TestSlateForgets: what came back and is gone again before it had a picture to begin at is
// not shown later, nor does it shorten the wait for one.
func TestSlateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := clip.TS()
		input := paced(whole)
		cutter, tail := ts.NewCutter(ts.DefaultConfig()), []step(nil)
		for _, c := range slices.Clone(cutter.Write(time.Now(), slices.Concat(whole, whole))) {
			if !c.RandomAccess && len(tail) < 5 {
				tail = append(tail, step{wait: 10 * time.Millisecond, b: slices.Clone(c.Data)})
			}
		}
		after := func(wait time.Duration, of []step) []step {
			of = slices.Clone(of)
			of[0].wait = wait
			return of
		}
		left := slices.Concat(input, after(5*time.Second, tail), after(20*time.Second, tail), after(time.Second, input), []step{{err: io.EOF}})
		began, shown := time.Now(), []time.Duration(nil)
		s, err := Slate(t.Context(), &steps{t.Context(), left}, whole, func(string, ...any) {
			shown = append(shown, time.Since(began).Round(100*time.Millisecond))
		})
		if err != nil {
			t.Fatal(err)
		}
		out := readFor(s, time.Hour)
		if len(shown) != 2 || shown[1] < 30*time.Second || shown[1] > 31*time.Second || !errors.Is(out.err, io.EOF) {
			t.Errorf("the slate and the input are shown at %v; it ended with %v", shown, out.err)
		}
	})
}
