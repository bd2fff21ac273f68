package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
)

const (
	// monthSaved is how often what was sent is written: what a crash loses is that of so long.
	monthSaved = 10 * time.Second
	// monthForm is how a month is written, and its first moment.
	monthForm = "2006-01"
	// maxMonthFile is the longest file of one, in bytes; a longer one is damaged.
	maxMonthFile = 64
	// accountPatience is how long another relay that settles is waited for, and accountStale how
	// old its lock is when it must have crashed; to settle takes milliseconds.
	accountPatience, accountStale = 2 * time.Second, 10 * time.Second
)

// account is the file in which relays count what they have sent in a month: the month, and
// bytes, as in "2026-11 123456". All relays of one user on a machine count in the same, for
// what is bounded is the machine's: each adds what it has sent itself and takes note of what others
// have added since, one after the other.
type account struct {
	path string
	last relay.Month // as we wrote it
}

// openAccount is the account of this user, and what stands in it.
func openAccount() (*account, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fail(err, "a monthly cap is counted in the user's config directory: set HOME or XDG_CONFIG_HOME, or leave out --monthly")
	}
	dir = filepath.Join(dir, programName)
	hint := "a monthly cap is counted there; make the directory writable, or leave out --monthly"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fail(err, "%s", hint)
	}
	a := &account{path: filepath.Join(dir, "relay.month")}
	unlock, err := a.lock()
	if err != nil {
		return nil, fail(err, "%s", hint)
	}
	defer unlock()
	if a.last, err = a.read(); errors.Is(err, errAccount) {
		return nil, fail(err, "remove the file, and this month is counted from now on")
	}
	if err == nil {
		err = a.write(a.last)
	}
	if err != nil {
		return nil, fail(err, "%s", hint)
	}
	return a, nil
}

// lock keeps other relays from settling until unlock is called. It is a file, which one that
// crashed leaves behind: an old one does not count.
func (a *account) lock() (unlock func(), err error) {
	path := a.path + ".lock"
	for began := time.Now(); ; <-time.After(10 * time.Millisecond) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return func() { _ = os.Remove(path) }, f.Close()
		}
		if st, gone := os.Stat(path); gone == nil && time.Since(st.ModTime()).Abs() > accountStale {
			_ = os.Remove(path)
		}
		if time.Since(began) > accountPatience {
			return nil, err
		}
	}
}

var errAccount = errors.New("is damaged: it holds no month and bytes")

// read is what stands in the file; of none, nothing.
func (a *account) read() (m relay.Month, err error) {
	b, err := os.ReadFile(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	month, bytes, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	m.Began, err = time.ParseInLocation(monthForm, month, time.UTC)
	if err == nil {
		_, err = fmt.Sscanf(bytes, "%d", &m.Sent)
	}
	if err != nil || len(b) > maxMonthFile {
		return relay.Month{}, fmt.Errorf("%s %w", a.path, errAccount)
	}
	return m, nil
}

// write replaces the file.
func (a *account) write(m relay.Month) error {
	return replaceFile(a.path, fmt.Sprintf("%s %d\n", m.Began.UTC().Format(monthForm), m.Sent))
}

// settle writes what was sent by us and by others who count here, and returns what of that
// others sent since the last time.
func (a *account) settle(ours relay.Month) (others uint64, err error) {
	unlock, err := a.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	there, err := a.read()
	if err != nil && !errors.Is(err, errAccount) {
		return 0, err
	}
	if there.Began.After(ours.Began) {
		return 0, nil // our clock was set back
	}
	if !a.last.Began.Equal(ours.Began) {
		a.last = relay.Month{Began: ours.Began}
	}
	if there.Began.Equal(ours.Began) && there.Sent > a.last.Sent {
		others = there.Sent - a.last.Sent
	}
	ours.Sent += others
	if err := a.write(ours); err != nil {
		return 0, err // they are there the next time
	}
	a.last = ours
	return others, nil
}

// keepAccount settles now and then until ctx ends, and then once more. It says when the
// month's bytes are sent, and when there are new ones.
func (c *console) keepAccount(ctx context.Context, a *account, h *host.Host, most int64) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		spent, failed, saved := false, false, time.Now()
		for ctx.Err() == nil {
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
			st := h.Status()
			if st.Month.Began.IsZero() {
				break // it has ended
			}
			if st.Spent != spent {
				spent = st.Spent
				c.tellMonth(st, most)
			}
			if ctx.Err() == nil && time.Since(saved) < monthSaved {
				continue
			}
			saved = time.Now()
			others, err := a.settle(st.Month)
			if err != nil && !failed {
				c.say("warning: what is sent this month cannot be kept: %v", err)
			}
			if failed = err != nil; others > 0 {
				h.Sent(others)
			}
		}
	}()
	return func() { <-done }
}

// tellAhead warns of a month that has not begun: the clock was wrong when it was counted, or is now.
func (c *console) tellAhead(a *account, now time.Time) {
	if a.last.Began.After(now) {
		c.say("warning: %s counts %s, which has not begun: if the clock is right, remove the file, else all counts as of that month until it ends", a.path, a.last.Began.Format(monthForm))
	}
}

// tellMonth says why nobody is fed, or that they are again.
func (c *console) tellMonth(st relay.Status, most int64) {
	if st.Spent {
		c.say("warning: %s of the monthly %s are sent: feeding nobody until %s", size(int64(min(st.Month.Sent, 1<<62))), size(most), st.Month.Ends().Format("2 January 15:04 MST"))
	} else {
		c.say("a month with another %s has begun: feeding others again", size(most))
	}
}
