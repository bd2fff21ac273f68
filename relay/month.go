package relay

import "time"

// Month is what a participant has sent in one calendar month, by UTC.
type Month struct {
	Began time.Time // its first moment
	Sent  uint64    // bytes on the wire
}

// monthReserve is the part of what may be sent in a month, as one of so many, that is left
// for what a participant says when it feeds nobody any more, and for handing over children.
const monthReserve = 100

// add counts what was sent. A later month begins anew; a clock that is set back begins none.
func (m *Month) add(now time.Time, bytes uint64) {
	if began := monthOf(now); began.After(m.Began) {
		*m = Month{Began: began}
	}
	m.Sent += min(bytes, 1<<63-min(m.Sent, 1<<63))
}

// Ends is when the next one begins.
func (m Month) Ends() time.Time { return m.Began.AddDate(0, 1, 0) }

func monthOf(now time.Time) time.Time {
	y, month, _ := now.UTC().Date()
	return time.Date(y, month, 1, 0, 0, 0, 0, time.UTC)
}

// sent counts what was sent, and gives up the slots when that is what may be sent in a month:
// children are told who else feeds the stripe and are handed over, home stripes are given up,
// and nothing is served. In the next month it takes up again.
func (c *Core) sent(now time.Time, bytes uint64) {
	c.month.add(now, bytes)
	most := c.cfg.Monthly - c.cfg.Monthly/monthReserve
	spent := c.cfg.Monthly > 0 && c.month.Sent >= most
	if spent == c.spent {
		return
	}
	c.spent, c.moved = spent, true
	c.announcer.Changed()
	c.share(now)
	if !spent {
		return
	}
	for _, s := range c.streams {
		s.forest.HandOver(now)
	}
}

// upload is the room for children, in bits a second.
func (c *Core) upload() float64 {
	if c.spent {
		return 0
	}
	return c.cfg.Upload
}

// streamUpload is the part of it that one stream may have.
func (c *Core) streamUpload() float64 {
	share := c.upload() / float64(max(1, c.busy()))
	if most := c.cfg.StreamUpload; most > 0 {
		share = min(share, most)
	}
	return share
}

// onWire is about what a shard costs on the wire: a tenth more, as stripe.Info.SlotRate has it.
func onWire(size int) int { return size + size/10 }

// maySend reports whether a stream's cap lets one more shard go out now; then it is counted.
// What the cap is used up for is dropped, not queued: a child that gets no more in time pulls
// it from others.
func (s *stream) maySend(now time.Time, size int) bool {
	if s.cap.Wait(now, onWire(size)) > queueWait {
		s.stats.Capped++
		return false
	}
	s.cap.Take(now, onWire(size))
	return true
}
