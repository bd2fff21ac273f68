package pull

import (
	"testing"
	"time"
)

// What push brings of blocks that are short is learnt by their age, and forgotten.
func TestTail(t *testing.T) {
	var l tail
	late := func(brings ...time.Duration) {
		for _, age := range brings {
			l.arrived(age)
		}
		l.over(2 * time.Second)
	}
	const most = 1100 * time.Millisecond
	if got := l.quiet(500*time.Millisecond, most); got != 500*time.Millisecond {
		t.Errorf("nothing is known, and it is waited until %v", got)
	}
	for range 20 {
		late(620*time.Millisecond, 630*time.Millisecond, 1500*time.Millisecond)
	}
	if got := l.likely(550 * time.Millisecond); got < 1.5 || got > 2 {
		t.Errorf("two shards come in the next step: %.2f are expected", got)
	}
	for age, want := range map[time.Duration]time.Duration{
		400 * time.Millisecond:  400 * time.Millisecond, // an answer comes before
		510 * time.Millisecond:  510 * time.Millisecond,
		560 * time.Millisecond:  650 * time.Millisecond,
		649 * time.Millisecond:  650 * time.Millisecond,
		700 * time.Millisecond:  700 * time.Millisecond,
		1480 * time.Millisecond: most,
	} {
		if got := l.quiet(age, most); got != want {
			t.Errorf("at %v it is waited until %v, want %v", age, got, want)
		}
	}
	if got := l.quiet(560*time.Millisecond, 600*time.Millisecond); got != 600*time.Millisecond {
		t.Errorf("it is waited until %v", got)
	}
	for range 80 {
		late()
	}
	if got := l.quiet(560*time.Millisecond, most); got != 560*time.Millisecond {
		t.Errorf("nothing comes any more, and it is waited until %v", got)
	}
	l.arrived(time.Hour)
	l.over(time.Hour)
	if got := l.likely(time.Hour); got != 0 {
		t.Errorf("%v shards of a block that is long over", got)
	}
}

// What push brings late is waited for, while there is time; what it does not bring is asked
// for, and what is asked for stays so.
func TestLateIsWaitedFor(t *testing.T) {
	for _, c := range []struct{ delay, late, from time.Duration }{
		{2*time.Second + 300*time.Millisecond, 800 * time.Millisecond, 850 * time.Millisecond},
		{tailLeft + 800*time.Millisecond, 820 * time.Millisecond, 800 * time.Millisecond},
	} {
		r := newRig(t, func(cfg *Config) { cfg.Delay = c.delay })
		push := func(number uint64, from, to int) {
			for s := from; s < to; s++ {
				r.p.Got(r.now, node(9), number, s, 1000+int64(number)*3000)
			}
		}
		for number := range uint64(40) {
			r.now = epoch0.Add(time.Duration(number) * 3 * time.Second)
			push(number, 0, 3)
			r.pass(c.late)
			push(number, 3, 6)
			r.p.Rebuilt(r.now, number)
			r.step()
		}
		r.now = epoch0.Add(40 * 3 * time.Second)
		r.join(1, 63, 100)
		r.p.Measured(node(1), 20*time.Millisecond, time.Millisecond)
		push(40, 0, 3)
		r.pass(c.from - time.Millisecond)
		if got := wantsOf(r, 1); len(got) > 0 {
			t.Errorf("asked for %v, that push brings", got)
		}
		r.pass(time.Millisecond)
		if got := wantsOf(r, 1); len(got) != 1 {
			t.Errorf("%v are asked for at %v, one is short", got, c.from)
		}
		r.pass(tailStep)
		if len(r.p.asks) != 1 {
			t.Errorf("%d are asked for a little later", len(r.p.asks))
		}
	}
}
