package ts

import "time"

// block gathers the open block and keeps the stream's clock, in ticks.
type block struct {
	limit   int   // bytes
	period  int64 // T
	untimed bool  // the stream has no clock at all
	always  bool  // a newcomer can start at any block

	buf            []byte
	cuts           []Cut
	random, broken bool      // of the open block
	began          int64     // the clock at its start
	opened         time.Time // when its first byte came
	// lead is where in buf the tables begin that nothing but null packets follows;
	// -1 if something else came last. They go with what comes next.
	lead int

	running   bool  // the clock has been set
	clock     int64 // unwrapped
	due       int64 // when the open block is T old
	ahead     int64 // arrival time counted since the clock last moved
	tick      time.Time
	delivered bool
	shown     int64 // the last MediaTime in ticks
}

// arrive notes that time has passed: a block of a stream without a moving clock
// ends when it has been open for T.
func (b *block) arrive(now time.Time) {
	if b.tick.IsZero() {
		b.tick = now
	}
	if len(b.buf) == 0 || !b.untimed && !b.stalled(now) {
		return
	}
	open := ticks(now.Sub(b.opened))
	if open < b.period {
		return
	}
	b.ahead += min(open, stallPeriods*b.period)
	b.cut(now, len(b.buf))
	b.due = b.clock + b.period
}

// stalled reports whether the clock has stood still for too long.
func (b *block) stalled(now time.Time) bool {
	return ticks(now.Sub(b.tick)) > stallPeriods*b.period
}

// start sets a clock that was not set before. If no block has gone out, the open
// one began with it; otherwise it begins here, with a discontinuity.
func (b *block) start(now time.Time, clock int64) {
	if b.delivered {
		b.restart(now, clock)
		return
	}
	b.began = clock
	b.set(now, clock)
}

// restart sets the clock anew and begins a block here with a discontinuity.
func (b *block) restart(now time.Time, clock int64) {
	b.cut(now, b.place())
	b.began, b.broken = clock, b.broken || b.delivered
	b.set(now, clock)
}

func (b *block) set(now time.Time, clock int64) {
	b.running, b.clock, b.due, b.tick, b.ahead = true, clock, clock+b.period, now, 0
}

// advance moves the clock by step.
func (b *block) advance(now time.Time, step int64) {
	b.clock += step
	if step > 0 {
		b.tick, b.ahead = now, 0
	}
}

// full reports whether the open block is T old.
func (b *block) full() bool { return b.running && b.clock >= b.due }

// end cuts a block that is T old. The next is due T after this one was, so that
// the mean is T however coarse the clock is.
func (b *block) end(now time.Time) {
	b.cut(now, b.place())
	b.due += b.period
	if b.due <= b.clock {
		b.due = b.clock + b.period
	}
}

// place is where to cut before what comes next.
func (b *block) place() int {
	if b.lead >= 0 {
		return b.lead
	}
	return len(b.buf)
}

// cut ends the open block after at bytes; what follows them begins the next one.
// A block of no bytes is none.
func (b *block) cut(now time.Time, at int) {
	if at == 0 {
		return
	}
	from, end := max(b.began, 0), b.clock+b.ahead
	if !b.broken {
		from = max(from, b.shown)
	}
	b.cuts = append(b.cuts, Cut{
		Data:          b.buf[:at:at],
		RandomAccess:  b.random || b.always,
		Discontinuity: b.broken,
		MediaTime:     uint64(from / ticksPerPTS),
		Span:          duration(max(end-from, 0)),
	})
	rest := b.buf[at:]
	b.buf = append(make([]byte, 0, min(max(at+at/4, 2*len(rest), minBuf), max(b.limit, len(rest)))), rest...)
	b.random, b.broken, b.delivered = false, false, true
	b.began, b.opened, b.shown = end, now, from
	if b.lead >= at {
		b.lead -= at
	} else {
		b.lead = -1
	}
}

// add appends to the block what of p it has room for, cutting one that is full
// first, and returns how much that was.
func (b *block) add(now time.Time, p []byte) int {
	if len(b.buf) == b.limit {
		b.cut(now, len(b.buf))
	}
	if len(b.buf) == 0 {
		b.opened = now
	}
	n := min(len(p), b.limit-len(b.buf))
	b.buf = append(b.buf, p[:n]...)
	return n
}

// addAll adds all of p, in as many blocks as it takes.
func (b *block) addAll(now time.Time, p []byte) {
	for len(p) > 0 {
		p = p[b.add(now, p):]
	}
}
