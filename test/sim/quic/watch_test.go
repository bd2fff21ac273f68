package tierq

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
)

// pollEvery is how often everybody is asked how things stand: repairs are known to
// this, and rounded up.
const pollEvery = 50 * time.Millisecond

// watch is what the polls have found.
type watch struct {
	state   map[*participant]*standing
	repairs []time.Duration // of each participant, from the fault to having all it wants
	heap    uint64          // the most at a poll
	threads int             // goroutines, the same
	polls   int
}

// standing is how one participant stood at the last poll.
type standing struct {
	settled bool      // it once had all stripes
	since   time.Time // when it lost the first of those it lacks; zero: it has all
	parents map[int]membership.NodeID
	changes int // of parents, since settled
	depth   int
	returns int // to a parent that it cannot hear
}

// start forgets what was found so far, and what the viewers saw.
func (w *world) start() {
	w.watch.repairs, w.hit = nil, 0
	for _, p := range w.all {
		if st := w.watch.state[p]; st != nil {
			st.changes, st.returns = 0, 0
		}
		if p.screen != nil {
			p.screen.look(w.delay)
		}
	}
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-tick.C
		w.poll()
	}
}

func (w *world) poll() {
	wa := &w.watch
	if wa.polls++; wa.polls%20 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		wa.heap = max(wa.heap, m.HeapInuse+m.StackInuse)
		wa.threads = max(wa.threads, runtime.NumGoroutine())
	}
	for _, p := range w.all[1:] {
		if p.away {
			if isClosed(p.gone) && p.dead.IsZero() {
				p.dead = time.Now()
			}
			continue
		}
		st := wa.state[p]
		if st == nil {
			st = &standing{parents: map[int]membership.NodeID{}}
			wa.state[p] = st
		}
		for _, s := range p.h.Status().Streams {
			w.judge(p, st, s)
		}
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// fedBy is how many participants have a stripe from this one.
func (w *world) fedBy(p *participant) (n int) {
	for q, st := range w.watch.state {
		if !q.away && slices.Contains(slices.Collect(maps.Values(st.parents)), p.h.ID()) {
			n++
		}
	}
	return n
}

// lost reports whether a parent cannot feed a child, and since when it cannot.
func (w *world) lost(parent, child *participant) (time.Time, bool) {
	if parent == nil {
		return time.Time{}, false
	}
	if at, cut := w.cuts[[2]*participant{parent, child}]; cut {
		return at, true
	}
	return parent.dead, !parent.dead.IsZero()
}

func (w *world) judge(p *participant, st *standing, s relay.StreamStatus) {
	now := time.Now()
	whole, since, depth := true, now, 0
	for _, b := range s.Stripes {
		parent := w.byID(b.Parent)
		if was := st.parents[b.Stripe]; was != b.Parent {
			if !was.IsZero() && !b.Parent.IsZero() && st.settled {
				st.changes++
			}
			st.parents[b.Stripe] = b.Parent
			if _, deaf := w.lost(parent, p); deaf {
				st.returns++
			}
		}
		if !b.Wanted {
			continue
		}
		at, gone := w.lost(parent, p)
		if gone && at.Before(since) {
			since = at
		}
		if !b.Live || gone {
			whole = false
		}
		depth = max(depth, b.Depth)
	}
	st.depth = depth
	switch {
	case whole && !st.settled:
		st.settled = s.Started
	case !st.settled:
	case whole && !st.since.IsZero():
		if !p.victim {
			w.watch.repairs = append(w.watch.repairs, now.Sub(st.since))
		}
		st.since = time.Time{}
	case !whole:
		if st.since.IsZero() || since.Before(st.since) {
			st.since = since
		}
	}
}

// verdict is what a row has found.
type verdict struct {
	due, skipped, worst int // blocks of all viewers; skipped of the worst
	behind, silent      int // viewers
	still               time.Duration
	lags                []time.Duration
	ttr                 []time.Duration // repairs, sorted
	open                int             // participants that lack stripes at the end
	changes, depth      int
	returns             int
	notes               string
}

// judgement sums up what was seen since start.
func (w *world) judgement() verdict {
	var v verdict
	v.ttr = sortedTimes(w.watch.repairs)
	for _, p := range w.all[1:] {
		if st := w.watch.state[p]; st != nil && !p.away && !p.victim {
			if !st.settled || !st.since.IsZero() && time.Since(st.since) > time.Second {
				v.open++
			}
			v.changes += st.changes
			v.returns += st.returns
			v.depth = max(v.depth, st.depth)
		}
		if p.screen == nil || p.away {
			continue
		}
		for _, fault := range p.screen.faults {
			w.t.Errorf("%s: %s", p.name, fault)
		}
		f := p.screen.look(w.delay)
		if p.victim {
			v.notes += fmt.Sprintf(" %s: played %d, skipped %d, behind %d;", p.name, f.played, f.skipped, f.behind)
			continue
		}
		v.due += f.played + f.skipped
		v.skipped += f.skipped
		v.worst = max(v.worst, f.skipped)
		v.still = max(v.still, f.still)
		v.lags = append(v.lags, f.lags...)
		if f.behind > 2 {
			v.behind++
		}
		if f.played == 0 {
			v.silent++
		}
	}
	v.lags = sortedTimes(v.lags)
	return v
}
