package playout

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// The twin plays one epoch of a well-behaved source the slow, obvious way: every
// millisecond it looks at everything that ever came. Source times are even, so
// the turn of every number is plain, whether anything of it was seen or not.
type twin struct {
	delay  time.Duration
	came   [twinBlocks]time.Duration // when each was rebuilt, or never
	seen   [twinBlocks]time.Duration // header or block, whichever was first
	offset time.Duration             // the smallest seen
	used   time.Duration
	moved  time.Duration

	started, settled bool
	startedAt        time.Duration
	next             uint64
}

const (
	twinBlock  = 100 * time.Millisecond
	twinBlocks = 120
	twinTicks  = 16_000 // ms
	never      = time.Duration(1 << 60)
)

func source(n uint64) time.Duration { return time.Duration(n) * twinBlock }

func randomAccess(n uint64) bool { return n%10 == 3 }

func (w *twin) tick(now time.Duration) (log []string) {
	w.offset = never
	for n, t := range w.seen {
		if t <= now {
			w.offset = min(w.offset, t-source(uint64(n)))
		}
	}
	if !w.settled {
		w.used, w.moved = w.offset, now
	}
	if !w.started && !w.start(now) {
		return nil
	}
	for {
		due := source(w.next) + w.used + w.delay
		switch {
		case w.next == twinBlocks:
			return log
		case w.came[w.next] <= now:
			if due > now && !(now == w.startedAt && len(log) == 0) {
				return log
			}
			log = append(log, fmt.Sprint(now, " play ", w.next))
		default:
			above, ok := w.above(now)
			if !ok {
				return log
			}
			give := due
			if due <= w.startedAt {
				give = max(give, w.seen[above]+max(500*time.Millisecond, w.delay/2))
			}
			if give > now {
				return log
			}
			log = append(log, fmt.Sprint(now, " skip ", w.next))
		}
		w.next++
		if w.settled {
			step := (now - w.moved) / 100
			w.used += min(max(w.offset-w.used, -step), step)
			w.moved = now
		} else if due > w.startedAt {
			w.settled, w.moved = true, now
		}
	}
}

// above is the lowest number over the playhead of which anything was seen.
func (w *twin) above(now time.Duration) (uint64, bool) {
	for n := w.next + 1; n < twinBlocks; n++ {
		if w.seen[n] <= now {
			return n, true
		}
	}
	return 0, false
}

func (w *twin) start(now time.Duration) bool {
	first, top := never, -1
	for n, t := range w.came {
		if t <= now {
			first, top = min(first, t), n
		}
	}
	if top < 0 {
		return false
	}
	whole := func(n uint64) bool { // nothing is missing from n on
		for ; n <= uint64(top); n++ {
			if w.came[n] > now {
				return false
			}
		}
		return true
	}
	var runs, access []uint64
	for n := range uint64(top + 1) {
		if whole(n) {
			runs = append(runs, n)
		}
		if randomAccess(n) && w.came[n] <= now {
			access = append(access, n)
		}
	}
	over, still := now >= first+600*time.Millisecond, now < first+600*time.Millisecond+max(500*time.Millisecond, w.delay/2)
	if i := slices.IndexFunc(runs, randomAccess); i >= 0 {
		w.next = runs[i]
		if !over && source(w.next)+w.used+w.delay > now {
			return false
		}
		for n := range w.next {
			if !over && randomAccess(n) && w.seen[n] <= now && now < w.came[w.next]+150*time.Millisecond {
				return false
			}
		}
	} else if len(access) > 0 {
		if w.next = access[len(access)-1]; still {
			return false
		}
	} else if w.next = runs[0]; !over {
		return false
	}
	w.started, w.startedAt = true, now
	return true
}

// TestTwin: random loss, lateness, order, bursts, and headers ahead of blocks.
func TestTwin(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		w := &twin{delay: time.Duration(200+100*rnd.IntN(20)) * time.Millisecond}
		events := traffic(rnd, w)
		var want []string
		for ms := range twinTicks {
			want = append(want, w.tick(time.Duration(ms)*time.Millisecond)...)
		}
		got := plain(t, New(Config{Delay: w.delay, BlockTime: twinBlock}), events)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, delay %v:\ngot  %v\nwant %v", seed, w.delay, got, want)
		}
	}
}

// traffic makes up arrivals, one a millisecond at most, and tells the twin.
func traffic(rnd *rand.Rand, w *twin) []event {
	ms := func(n int) time.Duration { return time.Duration(rnd.IntN(n+1)) * time.Millisecond }
	taken := map[time.Duration]bool{}
	free := func(at time.Duration) time.Duration {
		for taken[at] {
			at += time.Millisecond
		}
		taken[at] = true
		return at
	}
	var events []event
	join := 1 + rnd.IntN(30) // blocks before it come in a burst
	loss, spread := rnd.IntN(30), 50+rnd.IntN(1500)
	oldest := uint64(rnd.IntN(join))
	for n := range uint64(twinBlocks) {
		w.came[n], w.seen[n] = never, never
		if n < oldest {
			continue
		}
		head := max(source(n)-source(uint64(join)), 0) + 10*time.Millisecond + ms(30)
		came := head + ms(20)
		if rnd.IntN(10) == 0 {
			came = head + ms(spread)
		}
		flags := stripe.Flags(0)
		if randomAccess(n) {
			flags = stripe.RandomAccess
		}
		in := block(n, source(n).Milliseconds(), flags)
		if rnd.IntN(100) >= loss {
			w.came[n] = free(came)
			events = append(events, event{w.came[n], in})
		}
		if rnd.IntN(2) == 0 {
			w.seen[n] = free(head)
			events = append(events, event{w.seen[n], HeadOf(&in.Header)})
		}
		w.seen[n] = min(w.seen[n], w.came[n])
	}
	slices.SortFunc(events, func(a, b event) int { return int(a.at - b.at) })
	return events
}

// plain runs the buffer in ticks of a millisecond, as the twin: all that comes
// in a tick comes before time passes.
func plain(t *testing.T, b *Buffer, events []event) (log []string) {
	var c checker
	for ms := range twinTicks {
		now := time.Duration(ms) * time.Millisecond
		var outs []Output
		for len(events) > 0 && events[0].at == now {
			outs = append(outs, b.Handle(at(now), events[0].in)...)
			events = events[1:]
		}
		if d, ok := b.Deadline(); ok && !d.After(at(now)) {
			outs = append(outs, b.Handle(at(now), Wake{})...)
		}
		for _, out := range outs {
			if err := c.check(out); err != nil {
				t.Fatal(err)
			}
			switch out := out.(type) {
			case Play:
				log = append(log, fmt.Sprint(now, " play ", out.Header.Number))
			case Skip:
				for n := out.From; n <= out.To; n++ {
					log = append(log, fmt.Sprint(now, " skip ", n))
				}
			}
		}
	}
	return log
}
