package playout

import "time"

// place is the time of a new entry that would stand at index i: its known
// neighbour's plus the difference of their source times. Where the source's
// clock jumped between them, it is as if the block came just on time.
func (b *Buffer) place(i int, e *entry) time.Duration {
	below, above := b.last, (*entry)(nil)
	if i > 0 {
		below = b.entries[i-1]
	}
	if i < len(b.entries) {
		above = b.entries[i]
	}
	var at time.Duration
	switch {
	case below == nil && above == nil:
		return 0
	case below != nil && !b.leaps(below, e):
		at = below.at + millis(e.SourceTime-below.SourceTime)
	case above != nil && above.SourceTime >= e.SourceTime:
		at = above.at - millis(above.SourceTime-e.SourceTime)
	default:
		at = b.now - b.base.target()
	}
	if below != nil {
		at = max(at, below.at)
	}
	if above != nil {
		at = min(at, above.at)
	}
	return at
}

// leaps reports whether the source's clock jumped between two blocks. Back is
// plain to see unless blocks between them are missing; then, and for a jump
// forward, which looks like a pause until the block comes much too early, the
// arrival decides. Before the base has settled it cannot: a newcomer's first
// blocks are old and the next ones are not.
func (b *Buffer) leaps(from, to *entry) bool {
	if to.SourceTime < from.SourceTime {
		return true
	}
	passed := millis(to.SourceTime - from.SourceTime)
	offset := b.now - (from.at + passed)
	early := offset < b.base.target()-leapTime
	late := offset > b.base.target()+leapTime
	return b.base.settled && early || late && passed < b.blocks(to.Number-from.Number)-leapTime
}

// guess is the time of block n, of which nothing is known, between the last one
// passed and the next one known. It lies on the line between them, but if the
// source paused, the pause may have been before n: then it is counted back from
// the one above. So it is where the line shows no real blocks, because the
// source's clock jumped or ours stood still.
func (b *Buffer) guess(n uint64, above *entry) time.Duration {
	counted := above.at - b.blocks(above.Number-n)
	if b.last == nil {
		return counted
	}
	step := (above.at - b.last.at) / steps(above.Number-b.last.Number)
	if step < b.cfg.BlockTime/thinnest {
		return counted
	}
	return max(counted, b.last.at+step*steps(n-b.last.Number))
}

// due is when a block of that time plays, on the local clock.
func (b *Buffer) due(at time.Duration) time.Duration { return at + b.base.used + b.cfg.Delay }

func (b *Buffer) blocks(n uint64) time.Duration { return b.cfg.BlockTime * steps(n) }

func steps(n uint64) time.Duration { return time.Duration(min(n, maxSteps)) }

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
