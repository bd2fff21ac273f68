package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/stripe"
)

func play(n uint64, data []byte) playout.Play {
	return playout.Play{Header: stripe.Header{Number: n}, Data: data}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileIsOverwrittenByTheFirstBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ts")
	if err := os.WriteFile(path, []byte("what was there, and longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s.End()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "what was there, and longer" {
		t.Fatalf("without a block the file became %q", got)
	}
	if s, err = Open(Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	s.Push(play(0, []byte("a")))
	s.Push(play(1, []byte("b")))
	s.End()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "ab" {
		t.Fatalf("the file became %q", got)
	}
	if st := s.Stats(); st.Blocks != 2 || st.Bytes != 2 || st.Queued != 0 || st.Dropped != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestFileMadeForNothingIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ts")
	s, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// Run does not wait for its writer, which may be stuck; this one is not.
	eventually(t, func() bool { _, err := os.Stat(path); return errors.Is(err, os.ErrNotExist) })
}

func TestOpenReportsWhatCannotBeWritten(t *testing.T) {
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "no", "such", "folder")} {
		if _, err := Open(Config{Path: path}); err == nil {
			t.Errorf("%s was opened", path)
		}
	}
}

func TestGapsAreMarked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ts")
	mark := func(next []byte) []byte { return []byte("<gap before " + string(next) + ">") }
	s, err := Open(Config{Path: path, MarkGap: mark})
	if err != nil {
		t.Fatal(err)
	}
	for n, data := range []string{"a", "b", "c"} {
		p := play(uint64(n), []byte(data))
		p.Discontinuity = data != "b"
		s.Push(p)
	}
	s.End()
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != "ab<gap before c>c" {
		t.Fatalf("the file became %q", got)
	}
}

// TestStoppedReader: nobody reads, and nothing waits; when it reads again it gets
// whole blocks in order, and every hole is marked.
func TestStoppedReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mark := func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 188) }
	s := &Sink{cfg: Config{MarkGap: mark}, wake: make(chan struct{}, 1), file: w}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()

	const size, count = stripe.MaxBlock, 100
	first := make([]byte, 1)
	for n := range uint64(count) {
		s.Push(play(n, bytes.Repeat([]byte{byte(n)}, size)))
		if n == 0 { // it writes this one; what is missing before the first is no hole
			if _, err := r.Read(first); err != nil {
				t.Fatal(err)
			}
		}
		if q := s.Stats().Queued; q > MaxQueued {
			t.Fatalf("%d bytes queued", q)
		}
	}
	s.End()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	got = append(first, got...)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	last, blocks := -1, 0
	for len(got) > 0 {
		marked := got[0] == 0xff
		if marked {
			got = got[188:]
		}
		n := int(got[0])
		if !bytes.Equal(got[:size], bytes.Repeat(got[:1], size)) {
			t.Fatalf("block %d is not whole", n)
		}
		if hole := n != last+1; hole != marked {
			t.Fatalf("block %d after %d, marked %v", n, last, marked)
		}
		got, last, blocks = got[size:], n, blocks+1
	}
	st := s.Stats()
	if last != count-1 || st.Dropped < count-MaxQueued/size-2 || blocks+int(st.Dropped) != count {
		t.Fatalf("%d blocks up to %d, %+v", blocks, last, st)
	}
}

func TestOldBlocksAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{wake: make(chan struct{}, 1)}
		s.Push(play(0, []byte("a")))
		s.Push(play(1, []byte("b")))
		<-time.After(MaxAge + time.Second)
		s.Push(play(2, []byte("c")))
		if st := s.Stats(); st.Dropped != 2 || st.Queued != 1 {
			t.Fatalf("%+v", st)
		}
		if it, ok := s.next(t.Context()); !ok || string(it.data) != "c" || !it.gap {
			t.Fatalf("%+v", it)
		}
	})
}

func TestReaderGone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	s := &Sink{wake: make(chan struct{}, 1), file: w}
	s.Push(play(0, []byte("a")))
	s.Push(play(1, []byte("b")))
	if err := s.Run(t.Context()); !errors.Is(err, ErrReaderGone) {
		t.Fatal(err)
	}
	s.Push(play(2, []byte("c")))
	if st := s.Stats(); st.Queued != 0 || st.Dropped != 2 {
		t.Fatalf("%+v", st)
	}
}

// TestStoppedReaderDoesNotHoldRun: ctx ends Run and its writer while the pipe is full.
func TestStoppedReaderDoesNotHoldRun(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &Sink{wake: make(chan struct{}, 1), file: w}
	s.Push(play(0, make([]byte, stripe.MaxBlock)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if _, err := r.Read(make([]byte, 1)); err != nil { // it writes
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, err := w.Stat(); return errors.Is(err, os.ErrClosed) }) // by the writer
}

// TestStdoutReaderGone runs this test as a process of its own: a write to a
// closed standard output must be an error there, not its death by SIGPIPE.
func TestStdoutReaderGone(t *testing.T) {
	const child = "STRIPECAST_TEST_SINK"
	if os.Getenv(child) != "" {
		s, err := Open(Config{Path: Stdout})
		if err != nil {
			t.Fatal(err)
		}
		io.ReadAll(os.Stdin) // until the reader has gone
		s.Push(play(0, []byte("a")))
		fmt.Fprint(os.Stderr, errors.Is(s.Run(t.Context()), ErrReaderGone))
		os.Exit(0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStdoutReaderGone$")
	cmd.Env = append(os.Environ(), child+"=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	r.Close()
	in.Close()
	if err := cmd.Wait(); err != nil || said.String() != "true" {
		t.Fatalf("%v, %q", err, said.String())
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not within 5 s")
		}
	}
}

// TestPastWaitsForItsReader: what comes from the past is not asked for before the reader
// has taken what was before, however long that takes, and none of it is dropped.
func TestPastWaitsForItsReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &Sink{cfg: Config{Path: "pipe"}, wake: make(chan struct{}, 1), file: w}
	const blocks, size = 40, 64 << 10
	asked := make(chan int, blocks+1)
	n := 0
	next := func(context.Context) (before, data []byte, err error) {
		asked <- n
		if n == blocks {
			return nil, nil, io.EOF
		}
		n++
		return fmt.Appendf(nil, "%04d", n), bytes.Repeat([]byte{byte(n)}, size), nil
	}
	ended := make(chan error, 1)
	go func() { ended <- s.RunFrom(t.Context(), next) }()
	var got []byte
	for i := range blocks {
		if i%10 == 0 && len(asked) > 4 { // a pipe holds 64 KiB
			t.Errorf("%d blocks were asked for ahead of block %d", len(asked), i)
		}
		b := make([]byte, 4+size)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:4]...)
		if !bytes.Equal(b[4:], bytes.Repeat([]byte{byte(i + 1)}, size)) || string(b[:4]) != fmt.Sprintf("%04d", i+1) {
			t.Fatalf("block %d is not right, or what goes before it: %q", i+1, got)
		}
		<-asked
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Blocks != blocks || st.Bytes != blocks*size || st.Dropped != 0 {
		t.Errorf("%+v", st)
	}
}

// TestPastFails: what next ends with, RunFrom does.
func TestPastFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.ts")
	s, err := Open(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	steps := []error{nil, broken}
	err = s.RunFrom(t.Context(), func(context.Context) (before, data []byte, err error) {
		err, steps = steps[0], steps[1:]
		return nil, []byte("a"), err
	})
	if !errors.Is(err, broken) || read(t, path) != "a" {
		t.Errorf("%v, %q", err, read(t, path))
	}
}
