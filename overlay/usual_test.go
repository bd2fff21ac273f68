package overlay

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// uneven is five stripes of which three are enough, each with a parent, fed for eight
// seconds: of so many of them a third of the blocks come later, by up to so much, and what
// is behind them as well; with lossy a fifth comes not at all.
func uneven(t *testing.T, late int, most time.Duration, lossy bool) *teller {
	t.Helper()
	type line struct {
		at   time.Duration
		text string
	}
	var lines []line
	add := func(at time.Duration, format string, args ...any) {
		lines = append(lines, line{at, fmt.Sprintf("%v ", at) + fmt.Sprintf(format, args...)})
	}
	for s, name := range []string{"a", "b", "c", "d", "e"} {
		add(0, "know %s homes=%d at=10.0.%d.1", name, s, s)
		add(0, "up %s", name)
		add(60*time.Millisecond, "%s accept %d source,%s", name, s, name)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var last [5]time.Duration
	for n := 1; n <= 80; n++ {
		for s := range 5 {
			at := time.Duration(n) * 100 * time.Millisecond
			lost := rnd.IntN(5) == 0
			if extra := most * time.Duration(rnd.IntN(100)) / 100; s < late && rnd.IntN(3) == 0 {
				at += extra
			}
			if at = max(at, last[s]); !lossy || !lost || s >= late {
				last[s] = at
				add(at, "got %d %d", s, n)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })
	var story strings.Builder
	story.WriteString("config layout=3+2 all\n")
	for _, l := range lines {
		story.WriteString(l.text + "\n")
	}
	teller := newTeller(t)
	teller.tell(story.String())
	return teller
}

// TestUsual: where most stripes come late alike a silent one is given more time, but
// not for ever; where it is as many as may be dead, none is.
func TestUsual(t *testing.T) {
	for _, c := range []struct {
		late        int
		most        time.Duration
		lossy       bool
		least, wait time.Duration
	}{
		{0, 0, false, silentMin, silentMin},
		{2, 400 * time.Millisecond, false, silentMin, silentMin},
		{2, 400 * time.Millisecond, true, silentMin, silentMin},
		{5, 40 * time.Millisecond, false, silentMin, silentMin},
		{5, 400 * time.Millisecond, false, 400 * time.Millisecond, 700 * time.Millisecond},
		{5, 300 * time.Millisecond, true, 310 * time.Millisecond, 600 * time.Millisecond},
		{5, 1600 * time.Millisecond, false, 750 * time.Millisecond, 750 * time.Millisecond}, // half of what it began behind
	} {
		f := uneven(t, c.late, c.most, c.lossy).forest
		for s, b := range f.branches {
			if got := f.patience(b); got < c.least || got > c.wait {
				t.Errorf("%d stripes late by up to %v, losing %v: stripe %d has %v", c.late, c.most, c.lossy, s, got)
			}
		}
	}
}

// TestUsualSilence: a parent that is silent for no longer than others were a moment ago
// is kept; for longer than that it is not.
func TestUsualSilence(t *testing.T) {
	for _, late := range []int{0, 5} {
		s := uneven(t, late, 400*time.Millisecond, false)
		wait := s.forest.patience(s.forest.branches[4])
		var story strings.Builder
		end := 8300*time.Millisecond + wait
		for n, at := 81, 8100*time.Millisecond; at < end; n, at = n+1, at+100*time.Millisecond {
			fmt.Fprintf(&story, "%v gots 0-3 %d\n", at, n)
		}
		s.tell(story.String())
		begun := slices.IndexFunc(strings.Split(s.out.String(), "\n"), func(l string) bool { return strings.Contains(l, "subscribe 4 from=") && strings.Contains(l, "newer") })
		search := s.forest.branches[4].search
		if (search == nil || !search.silent) && begun < 0 {
			t.Errorf("%d stripes late: silent for longer than %v, and nobody else is looked for", late, wait)
		}
		if late == 0 && wait != silentMin || late > 0 && wait <= silentMin {
			t.Errorf("%d stripes late: patience %v", late, wait)
		}
	}
}
