package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay"
)

func month(year, n int, sent uint64) relay.Month {
	return relay.Month{Began: time.Date(year, time.Month(n), 1, 0, 0, 0, 0, time.UTC), Sent: sent}
}

// TestAccount: two relays count together, also when the month ends, and what one has counted is
// there after a restart.
func TestAccount(t *testing.T) {
	home := t.TempDir()
	for _, key := range []string{"XDG_CONFIG_HOME", "HOME", "AppData"} {
		t.Setenv(key, home)
	}
	a, err := openAccount()
	if err != nil {
		t.Fatal(err)
	}
	b, err := openAccount()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[*account]relay.Month{a: month(2026, 11, 0), b: month(2026, 11, 0)} // as each one's core has it
	sends := func(who *account, bytes, others, total uint64) {
		t.Helper()
		m := ours[who]
		m.Sent += bytes
		more, err := who.settle(m)
		if m.Sent += more; err != nil || more != others || m.Sent != total {
			t.Errorf("others sent %d, want %d; all together %d, want %d; %v", more, others, m.Sent, total, err)
		}
		ours[who] = m
	}
	sends(a, 100, 0, 100)
	sends(b, 10, 100, 110)
	sends(b, 5, 0, 115)
	sends(a, 1, 15, 116)
	sends(a, 0, 0, 116)
	c, err := openAccount()
	if err != nil || c.last != month(2026, 11, 116) {
		t.Errorf("after a restart it is %+v, %v", c.last, err)
	}
	ours[a] = month(2026, 12, 7) // its core has seen the month end
	sends(a, 0, 0, 7)
	ours[b] = month(2026, 12, 0)
	sends(b, 3, 7, 10)
	sends(a, 0, 3, 10)
	ours[b] = month(2026, 11, 500) // a clock that was set back does not undo it
	if _, err := b.settle(ours[b]); err != nil {
		t.Error(err)
	}
	if there, err := a.read(); err != nil || there != month(2026, 12, 10) {
		t.Errorf("then it is %+v, %v", there, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(a.path), "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestAccountAtOnce: relays that settle in the same moment, as those do that were started in
// one, lose nothing; and one that crashed while it did so stops nobody.
func TestAccountAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	lock := path + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * accountStale)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	const times, bytes = 20, 100
	accounts := [2]*account{{path: path}, {path: path}}
	ours := [2]relay.Month{month(2026, 11, 0), month(2026, 11, 0)}
	for range times {
		var both sync.WaitGroup
		for i, a := range accounts {
			both.Go(func() {
				ours[i].Sent += bytes
				others, err := a.settle(ours[i])
				if ours[i].Sent += others; err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
	if there, err := accounts[0].read(); err != nil || there != month(2026, 11, 2*times*bytes) {
		t.Errorf("%+v, %v; %d were sent", there, err, 2*times*bytes)
	}
}

// TestAccountIsDamaged: a file that holds something else is not taken for nothing sent.
func TestAccountIsDamaged(t *testing.T) {
	a := &account{path: filepath.Join(t.TempDir(), "x")}
	for _, text := range []string{"", "2026", "2026-11", "2026-13 5", "2026-11 many", "2026-11 -5", "many 5", strings.Repeat("2026-11 5", 20)} {
		if err := os.WriteFile(a.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if m, err := a.read(); !errors.Is(err, errAccount) {
			t.Errorf("%q is read as %+v, %v", text, m, err)
		}
	}
}

// TestMonthAhead: a month that a wrong clock has counted is told of, with the file to remove.
func TestMonthAhead(t *testing.T) {
	for _, c := range []struct {
		now  time.Time
		says string
	}{
		{time.Date(2026, 10, 31, 23, 59, 59, 0, time.UTC), "warning: file counts 2026-11, which has not begun"},
		{time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), ""},
		{time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), ""},
	} {
		var said bytes.Buffer
		(&console{err: &said}).tellAhead(&account{path: "file", last: month(2026, 11, 5)}, c.now)
		if !strings.HasPrefix(said.String(), c.says) || (c.says == "") != (said.Len() == 0) {
			t.Errorf("at %v: %q", c.now, &said)
		}
	}
}
