package pull

import (
	"testing"
	"time"
)

// lineOf is a timeline that saw blocks 0 to n−1, each late by so much, of a source
// that runs at 100 ms a block.
func lineOf(n int, late func(i int) time.Duration) *timeline {
	l := newTimeline(epoch0, 100*time.Millisecond, 2*time.Second)
	for i := range n {
		l.saw(epoch0.Add(time.Duration(i)*100*time.Millisecond+late(i)), uint64(i), 7000+int64(i)*100)
	}
	return &l
}

// The front is that of the fastest block; the late ones do not move it.
func TestFront(t *testing.T) {
	l := lineOf(48, func(i int) time.Duration {
		if i == 20 {
			return 30 * time.Millisecond
		}
		return 30*time.Millisecond + time.Duration(i%7)*20*time.Millisecond
	})
	if got := l.front(7000 + 1000); got != epoch0.Add(1030*time.Millisecond) {
		t.Errorf("block 10's front is at %v", got.Sub(epoch0))
	}
	if got := l.guess(60); got != 7000+6000 {
		t.Errorf("block 60's source time is taken to be %d", got)
	}
	if got := l.head(epoch0.Add(6 * time.Second)); got < 59 || got > 61 {
		t.Errorf("at 6 s the newest block is taken to be %d", got)
	}
}

// A source that cuts shorter blocks has another pace.
func TestPaceIsLearnt(t *testing.T) {
	l := newTimeline(epoch0, 100*time.Millisecond, time.Second)
	for i := range 100 {
		l.saw(epoch0.Add(time.Duration(i)*40*time.Millisecond), uint64(i), int64(i)*40)
	}
	if l.pace < 39*time.Millisecond || l.pace > 41*time.Millisecond {
		t.Errorf("a block every %v", l.pace)
	}
}

// A clock that is set back is believed after three blocks, one set forward at once; an
// outage changes nothing.
func TestClockJumps(t *testing.T) {
	for what, c := range map[string]struct {
		jump time.Duration // of the source's clock
		gap  time.Duration // in which nothing comes
	}{"back": {-30 * time.Second, 0}, "forward": {30 * time.Second, 0}, "outage": {0, 20 * time.Second}} {
		l := lineOf(20, func(int) time.Duration { return 0 })
		var last time.Time
		for i := 20; i < 30; i++ {
			last = epoch0.Add(c.gap + time.Duration(i)*100*time.Millisecond)
			l.saw(last, uint64(i), 7000+(c.gap+c.jump).Milliseconds()+int64(i)*100)
		}
		if got := l.front(7000 + (c.gap + c.jump).Milliseconds() + 2900); got != last {
			t.Errorf("%s: the newest block's front is %v before it came", what, last.Sub(got))
		}
	}
}

// The fastest way is forgotten after a while.
func TestFastestIsForgotten(t *testing.T) {
	l := lineOf(1000, func(i int) time.Duration {
		if i < 5 {
			return 0
		}
		return 50 * time.Millisecond
	})
	if got := l.base() + 7*time.Second; got != 50*time.Millisecond {
		t.Errorf("the front is %v behind the source", got)
	}
}
