package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// words is a console that several goroutines write to.
type words struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// cacheAt makes dir the user's cache directory.
func cacheAt(t *testing.T, dir string) {
	t.Setenv("XDG_CACHE_HOME", dir)
	if got, err := os.UserCacheDir(); err != nil || got != dir {
		t.Skipf("this system has its cache elsewhere: %s, %v", got, err)
	}
}

// TestDefaultBuffers: each participant on the machine gets a directory of its own, and
// the first is used again when it is free.
func TestDefaultBuffers(t *testing.T) {
	cache := t.TempDir()
	cacheAt(t, cache)
	out := &words{}
	b := buffer{keep: time.Minute, quota: "20M"}
	open := func(want string) *store.Store {
		t.Helper()
		s, err := b.open(&console{err: out})
		if err != nil {
			t.Fatal(err)
		}
		if s.Dir() != filepath.Join(cache, "stripecast", want) || !strings.Contains(out.String(), "keeping the last 1m in "+s.Dir()+", at most 20.0 MB\n") {
			t.Errorf("it is in %s, want %s: %s", s.Dir(), want, out)
		}
		return s
	}
	first := open("buffer")
	defer open("buffer-2").Close()
	defer open("buffer-3").Close()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	defer open("buffer").Close()
}

// TestBuffersHaveAnEnd: when all are taken it is said, and nothing is kept.
func TestBuffersHaveAnEnd(t *testing.T) {
	cache := t.TempDir()
	cacheAt(t, cache)
	for i := range maxBuffers {
		s, err := store.Open(defaultDir(cache, i), store.Config{Keep: time.Minute, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	out := &words{}
	b := buffer{keep: time.Minute, quota: "auto"}
	s, err := b.open(&console{err: out})
	if s != nil || err != nil || !strings.HasPrefix(out.String(), "warning: nothing of the past is kept: 64 others") {
		t.Errorf("%v, %v, %q", s, err, out)
	}
}

// TestLeftovers: what nobody writes any more goes after a day, and what is younger, or
// no segment, or somebody's stays.
func TestLeftovers(t *testing.T) {
	cache := t.TempDir()
	for i, age := range []time.Duration{0, 23 * time.Hour, 25 * time.Hour, 25 * time.Hour} {
		writeSegment(t, defaultDir(cache, i), time.Now().Add(-age))
	}
	mine := filepath.Join(defaultDir(cache, 2), "notes.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := store.Open(defaultDir(cache, 3), store.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	sweep(cache, store.Config{Keep: time.Minute})
	for i, want := range []int{1, 1, 0, 1} {
		if got := len(segments(t, defaultDir(cache, i))); got != want {
			t.Errorf("in place %d are %d segments, want %d", i, got, want)
		}
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(defaultDir(cache, 4)); err == nil {
		t.Error("sweeping made a directory")
	}
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "*", "*", "*.v1"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestBufferInUse: a directory that the user named is not exchanged for another.
func TestBufferInUse(t *testing.T) {
	dir := t.TempDir()
	b := buffer{keep: time.Minute, dir: dir, quota: "auto"}
	c := &console{err: &words{}}
	s, err := b.open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = b.open(c)
	var f *failure
	if !errors.As(err, &f) || !strings.Contains(err.Error(), dir) || !strings.Contains(f.hint, "--buffer-dir another") {
		t.Errorf("%v, hint %+v", err, f)
	}
}

// TestBufferFlags: what makes no sense is refused, none is none.
func TestBufferFlags(t *testing.T) {
	for _, b := range []buffer{
		{keep: -time.Minute, quota: "auto"}, {keep: time.Millisecond, quota: "auto"},
		{keep: time.Minute, quota: "much"}, {keep: time.Minute, quota: "0"}, {keep: time.Minute, quota: "1M"},
	} {
		var f *failure
		if _, err := b.config(); !errors.As(err, &f) || f.hint == "" {
			t.Errorf("%+v: %v", b, err)
		}
	}
	for _, b := range []buffer{{}, {quota: "auto", dir: "/nowhere"}} {
		if s, err := b.open(&console{}); s != nil || err != nil {
			t.Errorf("%+v: %v, %v", b, s, err)
		}
	}
}

// TestTeller: people get a line, and of what is for programmers none.
func TestTeller(t *testing.T) {
	out := &words{}
	log := (&console{err: out}).words()
	log.Debug("inside")
	log.With("dir", "/d").Info("it goes on", "lost", 3)
	log.Error("it is paused: 100% full")
	want := "it goes on [dir /d, lost 3]\nwarning: it is paused: 100% full\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out, want)
	}
}

// writeSegment leaves a segment in a directory, as if it had been written at a time.
func writeSegment(t *testing.T, dir string, at time.Time) {
	t.Helper()
	s, err := store.Open(dir, store.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	layout := stripe.Layout{K: 1, M: 1}
	pieces := [][]byte{make([]byte, 100), make([]byte, 100)}
	key := host.NewKey()
	for _, sh := range stripe.Seal(key, stripe.Header{
		Stream: stripe.IDOf(key), Epoch: 1, Layout: layout, ShardLen: 100, DataLen: 100, SourceTime: 1,
	}, pieces) {
		s.Put(sh)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range segments(t, dir) {
		if err := os.Chtimes(f, at, at); err != nil {
			t.Fatal(err)
		}
	}
}
