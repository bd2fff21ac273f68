package pull

import (
	"math/bits"
	"slices"
	"time"
)

// History is a stretch of old blocks that a caller wants: what was before a viewer
// came, what it wants to see again, a recording. They are fetched in order, by the
// same rules as live ones but without a deadline and without a spare, and only with
// what live blocks leave of MaxOutstanding.
type History struct {
	From, Upto uint64
	// Pace is the least time between two blocks, on average: T/1.5 is one and a half
	// times as fast as they are played. 0 is as fast as may be.
	Pace time.Duration
	// Ahead is how many blocks may be fetched at a time, from the first that is not
	// whole on; from 1 to MaxAhead.
	Ahead int
}

// history is the stretch that is being fetched.
type history struct {
	History
	on     bool
	next   uint64 // the next block to be taken up
	nextAt time.Time
	blocks []*block // taken up, ascending; the first is not whole
}

func (h *history) at(number uint64) *block {
	for _, b := range h.blocks {
		if b.number == number {
			return b
		}
	}
	return nil
}

// Fetch begins to fetch history, in place of what was fetched before. To seek, Fetch
// again.
func (p *Puller) Fetch(now time.Time, h History) {
	p.StopFetch(now)
	h.Ahead = min(max(h.Ahead, 1), MaxAhead)
	p.history = history{History: h, on: true, next: h.From, nextAt: now}
}

// StopFetch ends it.
func (p *Puller) StopFetch(now time.Time) {
	p.dirty = true
	for i := len(p.asks) - 1; i >= 0; i-- {
		if p.asks[i].old {
			p.cancel(now, i)
			p.counts.Cancelled++
		}
	}
	p.history = history{}
}

// Fetching is the first block of history that is not whole yet; false if all are.
func (p *Puller) Fetching() (number uint64, ok bool) {
	h := &p.history
	switch {
	case !h.on:
		return 0, false
	case len(h.blocks) > 0:
		return h.blocks[0].number, true
	}
	return h.next, h.next <= h.Upto
}

func (p *Puller) pullHistory(now time.Time) {
	h := &p.history
	if !h.on {
		return
	}
	k := p.cfg.Info.Layout.K
	h.blocks = slices.DeleteFunc(h.blocks, func(b *block) bool { return b.whole })
	if len(h.blocks) > 0 && p.absent(now, h.blocks[0]) {
		p.out = append(p.out, Absent{h.blocks[0].number})
		h.blocks = slices.Delete(h.blocks, 0, 1)
	}
	for range skipAtOnce {
		if len(h.blocks) > 0 && h.next >= h.blocks[0].number+uint64(h.Ahead) || h.next > h.Upto {
			break
		}
		if now.Before(h.nextAt) {
			p.wake(now, h.nextAt)
			break
		}
		held, _ := p.cfg.Store.Holds(h.next)
		if bits.OnesCount64(held) < k {
			h.blocks = append(h.blocks, &block{number: h.next, have: held})
			if saved := now.Add(-time.Duration(h.Ahead) * h.Pace); h.nextAt.Before(saved) {
				h.nextAt = saved
			}
			h.nextAt = h.nextAt.Add(h.Pace)
		}
		h.next++
	}
	for _, b := range h.blocks {
		if need := k - b.count(); need > 0 {
			p.fill(now, b, p.all&^b.have, need, 0, true)
		}
	}
}

// absent reports whether nobody has had enough of a block for long, or it could not be
// rebuilt.
func (p *Puller) absent(now time.Time, b *block) bool {
	can := b.have
	for _, nb := range p.near {
		can |= nb.believed(now, p, b.number)
	}
	if k := p.cfg.Info.Layout.K; b.count() < k && bits.OnesCount64(can) >= k {
		b.stuck = time.Time{}
		return false
	}
	if b.stuck.IsZero() {
		b.stuck = now
	}
	if now.Sub(b.stuck) < absentAfter {
		p.wake(now, b.stuck.Add(absentAfter))
		return false
	}
	return true
}
