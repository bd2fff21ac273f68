package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe/ts"
)

// packets is so much of a transport stream, which kind tells from others.
func packets(n int, kind byte) (b []byte) {
	for i := range n {
		b = append(b, 0x47, 1, kind, 0x10|byte(i)&15)
		b = append(b, make([]byte, ts.PacketLen-4)...)
	}
	return b
}

func mp3(frames int) (b []byte) {
	for range frames {
		b = append(append(b, 0xff, 0xfb, 0x94, 0xc0), make([]byte, 380)...)
	}
	return b
}

// turn is what happens at one opening of a line.
type turn struct {
	fails error // to open
	b     []byte
	mark  bool // after b, and then b again
	end   error
}

// script is a line that takes one turn after the other, and then hangs.
type script struct {
	turns  []turn
	opened []time.Time
	closed int
}

func (s *script) Open(ctx context.Context) (io.ReadCloser, error) {
	s.opened = append(s.opened, time.Now())
	if len(s.turns) == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	t := s.turns[0]
	s.turns = s.turns[1:]
	if t.fails != nil {
		return nil, t.fails
	}
	return &visit{s: s, turn: t, rest: t.b}, nil
}

type visit struct {
	s *script
	turn
	rest []byte
}

func (v *visit) Read(p []byte) (int, error) {
	n := copy(p, v.rest)
	v.rest = v.rest[n:]
	if n > 0 {
		return n, nil
	}
	if v.mark {
		v.mark, v.rest = false, v.b
		return 0, source.Mark{Break: true}
	}
	return 0, v.end
}

func (v *visit) Close() error { v.s.closed++; return nil }

// readAll reads to an error that is no mark, and writes down where marks stood.
func readAll(r io.Reader) (text string, err error) {
	var out bytes.Buffer
	buf := make([]byte, 10_000)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			out.WriteByte(b)
		}
		if errors.As(err, &source.Mark{}) {
			out.WriteString("|")
		} else if err != nil {
			return out.String(), err
		}
	}
}

// TestResumed: a line is opened again until it is over, with a mark where something is
// missing, ever more seldom, and only what is of the same kind counts.
func TestResumed(t *testing.T) {
	gone, refused := errors.New("gone"), errors.New("refused")
	one, two, sound := string(packets(9, 1)), string(packets(9, 2)), string(mp3(9))
	for _, c := range []struct {
		name  string
		turns []turn
		want  string
		err   error
		says  string
		took  time.Duration
	}{
		{"nobody there", []turn{{fails: refused}}, "", refused, "", 0},
		{"nothing in it", []turn{{end: io.EOF}}, "", io.EOF, "", 0},
		{"gone before anything", []turn{{end: gone}}, "", gone, "", 0},
		{"whole", []turn{{b: []byte(one), end: io.EOF}}, one, io.EOF, "", 0},
		{"something nobody knows", []turn{{b: []byte("what?"), end: io.EOF}}, "what?", io.EOF, "", 0},
		{"a mark within", []turn{{b: []byte(one), mark: true, end: io.EOF}}, one + "|" + one, io.EOF, "", 0},
		{"back again", []turn{{b: []byte(one), end: gone}, {b: []byte(two), end: io.EOF}}, one + "|" + two, io.EOF,
			"the input is gone (gone); waiting for it …|the input is back", firstRetry},
		{"back after long", []turn{{b: []byte(one), end: gone}, {fails: refused}, {fails: refused}, {fails: refused}, {b: []byte(two), end: io.EOF}}, one + "|" + two, io.EOF,
			"the input is gone (gone); waiting for it …|the input is back", 15 * firstRetry},
		{"something else", []turn{{b: []byte(one), end: gone}, {b: []byte(sound), end: gone}, {b: []byte(two), end: io.EOF}}, one + "|" + two, io.EOF,
			"the input is gone (gone); waiting for it …|the input is back", 3 * firstRetry},
		{"noise", []turn{{b: []byte(one), end: gone}, {b: bytes.Repeat([]byte("noise"), maxLook), end: gone}, {b: []byte(two), end: io.EOF}}, one + "|" + two, io.EOF,
			"the input is gone (gone); waiting for it …|the input is back", 3 * firstRetry},
		{"gone at once", []turn{{b: []byte(sound), end: gone}, {end: gone}, {b: []byte(sound), end: io.EOF}}, sound + "|" + sound, io.EOF,
			"the input is gone (gone); waiting for it …|the input is back", 3 * firstRetry},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said []string
				line := &script{turns: c.turns}
				began := time.Now()
				got, err := readAll(Resume(t.Context(), line, func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }))
				if got != c.want || !errors.Is(err, c.err) {
					t.Errorf("%d bytes, %v, want %d, %v", len(got), err, len(c.want), c.err)
				}
				if says := strings.Join(said, "|"); says != c.says {
					t.Errorf("it said %q, want %q", says, c.says)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				opened := 0
				for _, turn := range c.turns {
					if turn.fails == nil {
						opened++
					}
				}
				if line.closed != opened {
					t.Errorf("%d closed of %d opened", line.closed, opened)
				}
			})
		})
	}
}

// TestRetries: the wait between two tries has an end, and a connection that was calm
// begins it anew.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := &script{turns: []turn{{b: packets(9, 1), end: errors.New("gone")}}}
		for range 12 {
			line.turns = append(line.turns, turn{fails: errors.New("refused")})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if _, err := readAll(Resume(ctx, line, func(string, ...any) {})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		for i := 2; i < len(line.opened); i++ {
			before, after := line.opened[i-1].Sub(line.opened[i-2]), line.opened[i].Sub(line.opened[i-1])
			if after != min(2*before, maxRetry) {
				t.Errorf("retry %d after %v, the one before after %v", i, after, before)
			}
		}
	})
}
