package ts

import "time"

// Pacer says when each block of an input is due, so that a file leaves at its own
// pace. The zero value paces exactly; set Slack before the first Due.
type Pacer struct {
	// Slack is how far the input may run ahead before it is held: 0 for a file,
	// about a second for an input that may be live and is paced already. With it,
	// the input's clock may also be faster than ours by one in driftPart for ever.
	Slack time.Duration

	running bool
	at      time.Time // when media began
	media   uint64
	end     time.Time // of the block before
	last    uint64    // its MediaTime
}

// driftPart bounds how much faster than ours a live source's clock may run: one
// part in this many, twice what cheap crystals differ by.
const driftPart = 5000

// Due is when to send c, not before now. The first block is due at once; a later
// one as long after it as the media time says. The count begins anew where the
// first block stood at a discontinuity, and when the input is maxLate behind.
func (p *Pacer) Due(now time.Time, c Cut) time.Time {
	switch {
	case !p.running:
		p.anchor(now, c)
	case c.Discontinuity || c.MediaTime < p.last:
		if p.end.Before(now) {
			p.end = now
		}
		p.anchor(p.end, c)
	}
	ideal := p.at.Add(pts(c.MediaTime - p.media))
	switch {
	case now.Sub(ideal) > maxLate:
		p.anchor(now, c)
		ideal = now
	case p.Slack > 0 && ideal.After(now):
		p.at = p.at.Add(-pts(c.MediaTime-p.last) / driftPart)
	}
	p.last, p.end = c.MediaTime, ideal.Add(c.Span)
	if due := ideal.Add(-p.Slack); due.After(now) {
		return due
	}
	return now
}

func (p *Pacer) anchor(at time.Time, c Cut) {
	p.running, p.at, p.media, p.last = true, at, c.MediaTime, c.MediaTime
}

// pts is n units of 1/90000 s.
func pts(n uint64) time.Duration { return duration(int64(n) * ticksPerPTS) }
