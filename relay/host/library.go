package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// A Core fetches one stretch of the past at a time, and many may read at different
// places. The library is who decides which stretch that is: whoever waits longest has
// it, and for a while at least if it serves somebody, longer each turn. What was fetched ahead of a
// reader waits in a cache until it is asked for.

// wish is what a reader waits for: a block, or the headers of some.
type wish struct {
	key        store.Key
	from, upto uint64 // a block and how far it may be fetched ahead; or all whose headers are still wanted
	headers    bool
	idle       bool // its turn comes when nobody else waits, and ends when somebody does
	since      time.Time
	answer     chan answer // takes one without waiting

	turn    time.Time // when it was last its turn, or when it came
	quantum time.Duration
	found   []stripe.Header
	done    map[uint64]bool // what came for it or is absent; of headers, in earlier turns too
}

type answer struct {
	block   relay.Recovered
	headers []stripe.Header // ascending; those absent are left out
	err     error
}

// stretch is what the Core fetches.
type stretch struct {
	wish       *wish // that it was begun for
	key        store.Key
	from, upto uint64
	done       map[uint64]bool // what of it came, or is absent; never ranged over
	ahead      int             // how far it reaches beyond the block last asked for
	until      time.Time       // while it serves somebody it is given to nobody else before
}

type place struct {
	key    store.Key
	number uint64
}

// library is owned by the host's loop.
type library struct {
	wishes []*wish
	busy   time.Time // when last somebody waited who is not idle
	cur    *stretch  // nil: nothing is fetched
	cache  []relay.Recovered
	bytes  int
	absent []absence // as they were found
	marks  marks
	do     func(relay.Input) // hands the Core an input
}

type absence struct {
	place
	until time.Time
}

func keyOf(h *stripe.Header) store.Key { return store.KeyOf(h) }

// cached finds a block that was fetched.
func (l *library) cached(at place) (relay.Recovered, bool) {
	for i, b := range l.cache {
		if keyOf(&b.Header) == at.key && b.Header.Number == at.number {
			l.cache = append(slices.Delete(l.cache, i, i+1), b) // the one used last goes last
			return b, true
		}
	}
	return relay.Recovered{}, false
}

func (l *library) remember(b relay.Recovered) {
	at := place{keyOf(&b.Header), b.Header.Number}
	if _, has := l.cached(at); has {
		return
	}
	l.cache = append(l.cache, b)
	l.bytes += len(b.Data)
	for len(l.cache) > maxCached || l.bytes > maxCachedBytes && len(l.cache) > 1 {
		l.bytes -= len(l.cache[0].Data)
		l.cache = slices.Delete(l.cache, 0, 1)
	}
}

func (l *library) isAbsent(now time.Time, at place) bool {
	return slices.ContainsFunc(l.absent, func(a absence) bool { return a.place == at && now.Before(a.until) })
}

// ask takes a reader's wish.
func (l *library) ask(now time.Time, w *wish) {
	w.turn = now
	if !w.idle {
		l.busy = now
	}
	if !w.headers {
		at := place{w.key, w.from}
		b, has := l.cached(at)
		switch {
		case has:
			w.answer <- answer{block: b}
		case l.isAbsent(now, at):
			w.answer <- answer{err: ErrAbsent}
		default:
			l.wishes = append(l.wishes, w)
		}
		l.goOn(w)
	} else {
		l.wishes = append(l.wishes, w)
	}
	l.steer(now)
}

// take forgets a wish whose reader went away.
func (l *library) take(now time.Time, w *wish) {
	l.wishes = slices.DeleteFunc(l.wishes, func(o *wish) bool { return o == w })
	if w.headers && l.cur != nil && l.cur.wish == w {
		l.stop()
	}
	l.steer(now)
}

// covers reports whether a stretch brings what is wished for, or does so if it goes on.
func (c *stretch) covers(w *wish) bool {
	if c == nil || c.key != w.key || c.wish.headers || w.headers {
		return c != nil && c.wish == w
	}
	return w.from >= c.from && w.from <= c.upto+1 && !c.done[w.from]
}

// goOn has the stretch reach further, because a reader has come further in it.
func (l *library) goOn(w *wish) {
	c := l.cur
	if c == nil || c.key != w.key || c.wish.headers || w.from < c.from || w.from > c.upto+1 {
		return
	}
	c.ahead = min(2*c.ahead, maxFetchAhead)
	upto := min(w.from+uint64(c.ahead), w.upto)
	if upto <= c.upto {
		return
	}
	from := w.from
	for _, o := range l.wishes {
		if c.covers(o) {
			from = min(from, o.from)
		}
	}
	for n := c.from; n < from; n++ {
		delete(c.done, n)
	}
	for ; c.done[from]; from++ {
		delete(c.done, from)
	}
	c.from, c.upto = from, upto
	l.fetch()
}

func (l *library) fetch() {
	c := l.cur
	l.do(relay.Fetch{Stream: c.key.Stream, From: c.from, Upto: c.upto, Ahead: maxFetchAhead, Headers: c.wish.headers})
}

func (l *library) stop() {
	l.do(relay.StopFetch{Stream: l.cur.key.Stream})
	l.cur = nil
}

// steer gives the stretch to whoever should have it.
func (l *library) steer(now time.Time) {
	l.wishes = slices.DeleteFunc(l.wishes, func(w *wish) bool {
		if w.idle && (l.cur == nil || l.cur.wish != w) {
			w.since = now
		}
		late := now.Sub(w.since) >= readPatience
		if late {
			w.answer <- answer{headers: w.found, err: ErrAbsent}
			if w.headers && l.cur != nil && l.cur.wish == w {
				l.stop() // it takes one answer only
			}
		}
		return late
	})
	if len(l.wishes) == 0 {
		return
	}
	if slices.ContainsFunc(l.wishes, func(w *wish) bool { return !w.idle }) {
		l.busy = now
	} else if now.Sub(l.busy) < idleAfter {
		return // who read lately is likely to go on
	}
	first := slices.MinFunc(l.wishes, func(a, b *wish) int {
		switch {
		case a.idle && !b.idle:
			return 1
		case b.idle && !a.idle:
			return -1
		}
		return a.turn.Compare(b.turn)
	})
	if c := l.cur; c != nil {
		serves := slices.ContainsFunc(l.wishes, c.covers)
		if c.covers(first) && first.from <= c.upto || now.Before(c.until) && c.matters(serves, first) {
			return
		}
		if l.cur.key.Stream != first.key.Stream {
			l.stop()
		}
	}
	upto := first.upto
	if !first.headers {
		upto = min(upto, first.from+firstAhead)
	}
	first.turn = now
	first.quantum = min(max(2*first.quantum, readQuantum), readQuantumMost)
	if !first.headers || first.done == nil {
		first.done = map[uint64]bool{}
	}
	for ; first.done[first.from]; first.from++ { // it goes on where it was interrupted
		delete(first.done, first.from)
	}
	l.cur = &stretch{
		wish: first, key: first.key, from: first.from, upto: upto,
		done: first.done, ahead: firstAhead, until: now.Add(first.quantum),
	}
	l.fetch()
}

// matters reports whether a stretch goes on though it is another's turn: it serves
// somebody; but who is idle gives way, and waits until the others have what they are
// about to ask for.
func (c *stretch) matters(serves bool, first *wish) bool {
	switch {
	case first.idle:
		return serves || !c.wish.headers && uint64(len(c.done)) <= c.upto-c.from
	case c.wish.idle:
		return false
	}
	return serves
}

// recovered takes a block.
func (l *library) recovered(now time.Time, b relay.Recovered) {
	l.marks.add(&b.Header)
	l.remember(b)
	l.settle(now, place{keyOf(&b.Header), b.Header.Number}, answer{block: b})
}

// passedOver takes the news that a block is absent.
func (l *library) passedOver(now time.Time, o relay.Absent) {
	at := place{store.Key{Stream: o.Stream, Epoch: o.Epoch}, o.Number}
	if l.cur == nil || !l.cur.wish.headers {
		l.absent = slices.DeleteFunc(l.absent, func(a absence) bool { return !now.Before(a.until) })
		l.absent = append(l.absent, absence{at, now.Add(absentTime)})
		l.absent = l.absent[max(0, len(l.absent)-maxAbsent):]
	}
	l.settle(now, at, answer{err: ErrAbsent})
}

// found takes a header.
func (l *library) found(now time.Time, h stripe.Header) {
	l.marks.add(&h)
	if c := l.cur; c != nil && c.wish.headers && c.key == keyOf(&h) && !c.done[h.Number] {
		c.wish.found = append(c.wish.found, h)
	}
	l.settle(now, place{keyOf(&h), h.Number}, answer{})
}

// settle notes that a block came or will not, and tells whoever waits for it.
func (l *library) settle(now time.Time, at place, a answer) {
	c := l.cur
	if c != nil && c.key == at.key && at.number >= c.from && at.number <= c.upto {
		c.done[at.number] = true
	}
	if c != nil && c.wish.headers {
		if c.key == at.key && uint64(len(c.done)) == c.upto-c.from+1 {
			w := c.wish
			slices.SortFunc(w.found, func(a, b stripe.Header) int { return cmp.Compare(a.Number, b.Number) })
			w.answer <- answer{headers: w.found}
			l.wishes = slices.DeleteFunc(l.wishes, func(o *wish) bool { return o == w })
			l.cur = nil
		}
	}
	if a.err != nil || a.block.Data != nil {
		l.wishes = slices.DeleteFunc(l.wishes, func(w *wish) bool {
			is := !w.headers && w.key == at.key && w.from == at.number
			if is {
				w.answer <- a
			}
			return is
		})
	}
	l.steer(now)
}

// opened forgets what is of an earlier run of a stream.
func (l *library) opened(now time.Time, info stripe.Info) {
	key := store.Key{Stream: info.Stream, Epoch: info.Epoch}
	old := func(k store.Key) bool { return k.Stream == key.Stream && k.Epoch != key.Epoch }
	if l.cur != nil && old(l.cur.key) {
		l.cur = nil
	}
	l.wishes = slices.DeleteFunc(l.wishes, func(w *wish) bool {
		if old(w.key) {
			w.answer <- answer{err: ErrAbsent}
		}
		return old(w.key)
	})
	l.steer(now)
}
