package playout

import (
	"math"
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// turn is when the playhead moves next if nothing else comes.
func (b *Buffer) turn() (time.Duration, bool) {
	switch {
	case b.stopped || b.ended || len(b.entries) == 0:
		return 0, false
	case !b.started:
		return b.startTurn()
	}
	e := b.entries[0]
	if e.Number == b.next && e.held {
		return b.due(e.at), true
	}
	return b.skipTurn()
}

// startTurn is when playing starts: the start block's own time, but not before
// an earlier random access block has had its chance, and not later than
// startWait. Where blocks are missing behind every random access block, they are
// waited for a while longer: a start that skips is no start.
func (b *Buffer) startTurn() (time.Duration, bool) {
	if !b.hasFirst {
		return 0, false
	}
	limit := b.first + startWait
	i, whole := b.startIndex()
	e := b.entries[i]
	switch {
	case e.Flags&stripe.RandomAccess == 0:
		return limit, true
	case !whole:
		return limit + b.cfg.burstWait(), true
	}
	at := b.due(e.at)
	for _, below := range b.entries[:i] {
		if below.Flags&stripe.RandomAccess != 0 {
			at = max(at, e.got+settleTime)
			break
		}
	}
	return min(at, limit), true
}

// startIndex is the entry to start at: the lowest random access block held from
// which on nothing is missing; else, and then it is not whole, the highest
// random access block held, or the block behind the last one missing.
func (b *Buffer) startIndex() (i int, whole bool) {
	top := len(b.entries) - 1
	for !b.entries[top].held {
		top--
	}
	access, behind := -1, top
	for i := top; i >= 0; i-- {
		e := b.entries[i]
		if e.held && e.Flags&stripe.RandomAccess != 0 && access < 0 {
			access = i
		}
		if behind == i+1 && e.held && e.Number+1 == b.entries[i+1].Number {
			behind = i
		}
	}
	for i := behind; i <= top; i++ {
		if b.entries[i].Flags&stripe.RandomAccess != 0 {
			return i, true
		}
	}
	if access >= 0 {
		return access, false
	}
	return behind, false
}

// skipTurn is when the missing block at the playhead is given up: when it is
// due, and in the first burst, whose blocks are all overdue, a while after its
// successor was seen. With no successor there is nothing to skip to: the source
// pauses. Only the last block of an epoch needs none.
func (b *Buffer) skipTurn() (time.Duration, bool) {
	successor := b.entries[0]
	at := b.guess(b.next, successor)
	if e := successor; e.Number == b.next {
		at = e.at
		switch {
		case len(b.entries) > 1:
			successor = b.entries[1]
		case e.Flags&stripe.End == 0:
			return 0, false
		}
	}
	due := b.due(at)
	if due <= b.startedAt {
		due = max(due, successor.seen+b.cfg.burstWait())
	}
	return due, true
}

// move does what turn announced.
func (b *Buffer) move() {
	if !b.started {
		b.start()
		return
	}
	switch e := b.entries[0]; {
	case e.Number > b.next:
		b.skip(b.lastDue(e))
	case e.held:
		b.play()
	default:
		b.skip(e.Number)
	}
}

// lastDue is the last of the unknown blocks from the playhead to above that is
// due. The playhead's is; a gap may be as long as numbers go, so search it.
func (b *Buffer) lastDue(above *entry) uint64 {
	lo, hi := b.next, above.Number-1
	for lo < hi {
		mid := hi - (hi-lo)/2
		if b.due(b.guess(mid, above)) <= b.now {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

func (b *Buffer) start() {
	i, _ := b.startIndex()
	b.drop(i)
	b.started, b.startedAt = true, b.now
	b.next = b.entries[0].Number
	b.play()
}

// force plays the oldest block held, whatever its time.
func (b *Buffer) force() {
	if !b.started {
		b.start()
		return
	}
	i := slices.IndexFunc(b.entries, func(e *entry) bool { return e.held })
	if n := b.entries[i].Number; n > b.next {
		b.skip(n - 1)
	}
	b.play()
}

// play hands out the first entry, which is held and at the playhead.
func (b *Buffer) play() {
	e := b.entries[0]
	b.out = append(b.out, Play{
		Header: e.Header, Data: e.Data,
		Skipped: b.skipped, Discontinuity: b.broken || b.skipped > 0,
	})
	b.skipped, b.broken = 0, false
	b.stats.Played++
	b.stats.Delay = b.now - e.at - b.base.used
	due := b.due(e.at)
	b.forget(e)
	e.Block = Block{}
	b.last, b.entries = e, slices.Delete(b.entries, 0, 1)
	b.pass(e.Number, due, e.Flags)
}

// skip gives up the missing blocks from the playhead to the given number.
func (b *Buffer) skip(to uint64) {
	count := to - b.next + 1
	b.stats.Skipped += count
	b.skipped += int(min(count, math.MaxInt))
	if n := len(b.out); n > 0 {
		if s, ok := b.out[n-1].(Skip); ok && s.To+1 == b.next {
			b.out[n-1] = Skip{From: s.From, To: to}
			count = 0
		}
	}
	if count > 0 {
		b.out = append(b.out, Skip{From: b.next, To: to})
	}
	var due time.Duration
	var flags stripe.Flags
	i, _ := b.find(to + 1)
	if i > 0 {
		b.last, flags = b.entries[i-1], b.entries[i-1].Flags
		due = b.due(b.last.at)
	}
	if i == 0 || b.last.Number < to {
		due, flags = b.due(b.guess(to, b.entries[i])), 0
	}
	b.drop(i)
	b.pass(to, due, flags)
}

// pass moves the playhead behind a block that was due then.
func (b *Buffer) pass(number uint64, due time.Duration, flags stripe.Flags) {
	b.next = number + 1
	switch {
	case b.base.settled:
		b.base.slew(b.now)
	case due > b.startedAt: // the first burst is over
		b.base.settled, b.base.moved = true, b.now
	}
	if flags&stripe.End != 0 {
		b.end()
	}
}

func (b *Buffer) end() {
	b.drop(len(b.entries))
	b.ended = true
	b.out = append(b.out, Ended{})
}
