package playout

import "time"

// base says where the source's time stands on the local clock: local = source +
// offset, both counted from origins of the Buffer's choice. The offset is the
// smallest (arrival − source time) of the last one to two minutes: what came by
// the fastest way shows it best, and being late never changes it. Two buckets
// take turns, so that it follows a drift.
type base struct {
	cur, prev low
	since     time.Duration // when cur began
	used      time.Duration // the offset in use
	moved     time.Duration // when used last moved
	settled   bool          // used moves slowly; before, it follows at once
}

type low struct {
	min time.Duration
	ok  bool
}

func (l *low) add(d time.Duration) {
	if !l.ok || d < l.min {
		*l = low{min: d, ok: true}
	}
}

func (b *base) sample(now, offset time.Duration) {
	if age := now - b.since; age >= bucketTime {
		b.prev, b.cur, b.since = b.cur, low{}, now
		if age >= 2*bucketTime {
			b.prev = low{}
		}
	}
	b.cur.add(offset)
	if !b.settled {
		b.used, b.moved = b.target(), now
	}
}

// target is the offset that was measured; it exists after the first sample.
func (b *base) target() time.Duration {
	t := b.cur
	if b.prev.ok {
		t.add(b.prev.min)
	}
	return t.min
}

// slew moves the offset in use towards the measured one by at most 1 % of the
// time since the last move. The Buffer calls it as the playhead passes a block,
// so a deadline once given stays until then.
func (b *base) slew(now time.Duration) {
	step := (now - b.moved) / slewPart
	b.used += min(max(b.target()-b.used, -step), step)
	b.moved = now
}
