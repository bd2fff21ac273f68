package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/stripecast/stripecast/playout/view"
)

// TestLiveness: what is live is played at once; an ended stream is not taken for it, and
// one whose source is silent is waited for.
func TestLiveness(t *testing.T) {
	for _, c := range []struct {
		name        string
		is          liveness
		after       time.Duration
		live, clear bool
	}{
		{"nothing yet", liveness{}, 0, false, false},
		{"a fresh block", liveness{comes: true, fresh: true}, 0, true, true},
		{"old blocks come", liveness{held: true}, time.Second, false, false},
		{"they go on to come: the clock there is wrong", liveness{held: true, comes: true}, tailTime, true, true},
		{"the last block came", liveness{held: true, comes: true, ended: true}, 0, false, true},
		{"it came just now", liveness{held: true, comes: true, fresh: true, ended: true}, 0, false, true},
		{"only the past is known", liveness{held: true}, time.Second, false, false},
		{"for a while", liveness{held: true}, gonePatience, false, true},
		{"for a while, and then blocks come", liveness{held: true, may: true}, gonePatience, false, false},
		{"nothing for a while", liveness{}, time.Hour, true, false},
		{"it ended, and nobody kept it", liveness{ended: true}, gonePatience, true, true},
	} {
		if live, clear := c.is.tell(c.after); clear != c.clear || clear && live != c.live {
			t.Errorf("%s: live %v, clear %v", c.name, live, clear)
		}
	}
}

// TestComeback: a source is back when new blocks go on to come, in the same epoch or a
// later one; the last blocks of a stream, however late, are not that.
func TestComeback(t *testing.T) {
	began := time.Now()
	was := view.Head{Epoch: 4, Number: 700}
	for _, c := range []struct {
		name   string
		newest func(at time.Duration) view.Head
		ends   time.Duration
		back   time.Duration // 0: never
	}{
		{"nothing comes", func(time.Duration) view.Head { return view.Head{} }, 0, 0},
		{"nothing new", func(time.Duration) view.Head { return was }, 0, 0},
		{"old ones", func(at time.Duration) view.Head { return view.Head{Epoch: 4, Number: uint64(at / time.Second)} }, 0, 0},
		{"the last few, late", func(at time.Duration) view.Head {
			return view.Head{Epoch: 4, Number: 700 + uint64(min(at, 9*time.Second)/time.Second)%10/8}
		}, 0, 0},
		{"the last few, and the end", func(at time.Duration) view.Head {
			return view.Head{Epoch: 4, Number: 700 + uint64(at/tailTime)}
		}, tailTime, 0},
		{"it goes on", func(at time.Duration) view.Head {
			return view.Head{Epoch: 4, Number: 690 + uint64(at/(100*time.Millisecond))}
		}, 0, 1100*time.Millisecond + tailTime},
		{"it begins anew", func(at time.Duration) view.Head {
			return view.Head{Epoch: 5, Number: uint64(at / (500 * time.Millisecond))}
		}, 0, tailTime},
	} {
		b := comeback{was: was, newest: was}
		var back time.Duration
		for at := time.Duration(0); at < time.Minute && back == 0; at += 100 * time.Millisecond {
			if b.look(began.Add(at), c.newest(at), c.ends > 0 && at >= c.ends) {
				back = at
			}
		}
		if back != c.back {
			t.Errorf("%s: back after %v, want %v", c.name, back, c.back)
		}
	}
}

func TestSpeedWords(t *testing.T) {
	for _, c := range []struct {
		bps, needed float64
		want        string
	}{
		{900e6, 4e6, "the past comes more than 100 times as fast as it plays"},
		{20e6, 4e6, "the past comes at 20.00 Mbit/s, 5.0 times as fast as it plays"},
		{4.1e6, 4e6, "warning: the past comes at 4.10 Mbit/s and plays at 4.00 Mbit/s"},
		{100e3, 4e6, "warning: the past comes at 100 kbit/s and plays at 4.00 Mbit/s"},
		{1e6, 0, "the past comes more than 100 times as fast as it plays"},
	} {
		if got := speedWords(c.bps, c.needed); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestRecord: a recording forgets nothing, is where it was asked for or nowhere, and is
// no buffer besides.
func TestRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	parse := func(args ...string) *buffer {
		t.Helper()
		b, set := &buffer{}, pflag.NewFlagSet("", pflag.ContinueOnError)
		b.flags(set)
		b.recordFlag(set, "it")
		if err := set.Parse(args); err != nil {
			t.Fatal(err)
		}
		return b
	}
	out := &words{}
	s, err := parse("--record", dir).open(&console{err: out})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Keep() != 0 || s.Stats().Quota != 0 || s.Dir() != dir || out.String() != "recording to "+dir+"\n" {
		t.Errorf("keeps %v, at most %d, in %s: %s", s.Keep(), s.Stats().Quota, s.Dir(), out)
	}
	bounded, err := parse("--record", dir+"2", "--buffer-quota", "20M").open(&console{err: out})
	if err != nil {
		t.Fatal(err)
	}
	defer bounded.Close()
	if q := bounded.Stats().Quota; q != 20e6 || !strings.Contains(out.String(), "at most 20.0 MB: then the oldest goes") {
		t.Errorf("quota %d: %s", q, out)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		hint string
	}{
		{[]string{"--record", dir}, "give --record another directory"}, // it is in use
		{[]string{"--record", file}, "give --record a directory"},
		{[]string{"--record", ""}, "give --record DIR"},
		{[]string{"--record", dir, "--buffer", "5m"}, "leave out --buffer"},
		{[]string{"--record", dir, "--buffer-dir", dir}, "leave out --buffer"},
		{[]string{"--record", dir, "--buffer-quota", "1M"}, "16.8 MB or more"},
	} {
		var f *failure
		if _, err := parse(c.args...).open(&console{err: out}); !errors.As(err, &f) || !strings.Contains(f.hint, c.hint) {
			t.Errorf("%q: %v, %+v", c.args, err, f)
		}
	}
}
