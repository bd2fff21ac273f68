package pull

import (
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
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
	// Headers says that one shard of each block will do: it has the block's header.
	Headers bool
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

// need is how many shards of a block of history are needed.
func (p *Puller) need() int {
	if p.history.Headers {
		return 1
	}
	return p.cfg.Info.Layout.K
}

// Fetch begins to fetch history, in place of what was fetched before. If it begins
// where that has got to, it goes on, and nothing is asked for again. To seek, Fetch
// again.
func (p *Puller) Fetch(now time.Time, h History) {
	h.Ahead = min(max(h.Ahead, 1), MaxAhead)
	if first, ok := p.fetched(); ok && h.Headers == p.history.Headers && h.From >= first && h.From <= p.history.next {
		p.dirty = true
		p.history.History = h
		p.dropOld(now, func(number uint64) bool { return number < h.From || number > h.Upto })
		p.history.next = min(p.history.next, max(h.Upto, h.Upto+1))
		return
	}
	p.StopFetch(now)
	p.history = history{History: h, on: true, next: h.From, nextAt: now}
}

// StopFetch ends it.
func (p *Puller) StopFetch(now time.Time) {
	p.dirty = true
	p.dropOld(now, func(uint64) bool { return true })
	p.history = history{}
}

// dropOld forgets blocks of history, and takes back what was asked for them.
func (p *Puller) dropOld(now time.Time, drop func(number uint64) bool) {
	for i := len(p.asks) - 1; i >= 0; i-- {
		if p.asks[i].old && drop(p.asks[i].number) {
			p.cancel(now, i)
			p.counts.Cancelled++
		}
	}
	p.history.blocks = slices.DeleteFunc(p.history.blocks, func(b *block) bool { return drop(b.number) })
}

// fetched is how far the stretch has got: none below is fetched any more.
func (p *Puller) fetched() (number uint64, ok bool) {
	if h := &p.history; len(h.blocks) > 0 {
		return h.blocks[0].number, true
	}
	return p.history.next, p.history.on
}

// Fetching is the first block of history that is not whole yet; false if all are.
func (p *Puller) Fetching() (number uint64, ok bool) {
	number, ok = p.fetched()
	return number, ok && number <= p.history.Upto
}

// Fetches reports whether a block of history is being fetched.
func (p *Puller) Fetches(number uint64) bool { return p.history.at(number) != nil }

// GotOld is Got for a shard of a block of history that is not live.
func (p *Puller) GotOld(now time.Time, from membership.NodeID, number uint64, stripe int) {
	p.dirty = true
	p.hear(now)
	at := p.peer(from)
	if at == nil {
		return
	}
	_, first, spare := p.answered(now, at, number, stripe)
	if !first {
		return
	}
	b := p.history.at(number)
	if bit := uint64(1) << stripe; b == nil || b.whole || b.have&bit != 0 || b.count() >= p.need() {
		p.waste(b, bit, spare)
	} else {
		b.have, b.pulled = b.have|bit, b.pulled|bit
		p.takeBack(now, number, bit)
	}
}

// Fetched says that the caller has a block of history whole, or its header if that is
// all it wanted.
func (p *Puller) Fetched(now time.Time, number uint64) {
	if b := p.history.at(number); b != nil {
		b.whole, p.dirty = true, true
		p.takeBack(now, number, 0)
	}
}

// Lost says that a shard that was to be served is not there.
func (p *Puller) Lost(to membership.NodeID, number uint64, stripe int, busy bool) {
	if nb := p.neighbour(to); nb != nil {
		p.lackTo(nb, []overlay.Piece{{Number: number, Stripes: 1 << stripe}}, busy)
	}
}

func (p *Puller) pullHistory(now time.Time) {
	h := &p.history
	if !h.on {
		return
	}
	h.blocks = slices.DeleteFunc(h.blocks, func(b *block) bool { return b.whole })
	h.blocks = slices.DeleteFunc(h.blocks, func(b *block) bool {
		absent := p.absent(now, b)
		if absent {
			p.out = append(p.out, Absent{b.number})
			p.dropAsks(now, b.number)
		}
		return absent
	})
	for range skipAtOnce {
		if len(h.blocks) > 0 && h.next >= h.blocks[0].number+uint64(h.Ahead) || h.next > h.Upto {
			break
		}
		if now.Before(h.nextAt) {
			p.wake(now, h.nextAt)
			break
		}
		held := p.cfg.Store.Here(h.next)
		p.out = append(p.out, Taken{h.next})
		if bits.OnesCount64(held) < p.need() {
			h.blocks = append(h.blocks, &block{number: h.next, have: held})
			if saved := now.Add(-time.Duration(h.Ahead) * h.Pace); h.nextAt.Before(saved) {
				h.nextAt = saved
			}
			h.nextAt = h.nextAt.Add(h.Pace)
		}
		h.next++
	}
	for _, b := range h.blocks {
		if need := p.need() - b.count(); need > 0 {
			p.fill(now, b, p.all&^b.have, need, 0, true)
		}
	}
}

// dropAsks takes back what was asked for one block of history.
func (p *Puller) dropAsks(now time.Time, number uint64) {
	for i := len(p.asks) - 1; i >= 0; i-- {
		if a := p.asks[i]; a.old && a.number == number {
			p.cancel(now, i)
			p.counts.Cancelled++
		}
	}
}

// absent reports whether nobody has had enough of a block for long, or it could not be
// rebuilt.
func (p *Puller) absent(now time.Time, b *block) bool {
	can, long := b.have, absentAfter
	for _, nb := range p.near {
		can |= nb.believed(now, p, b.number)
	}
	if need := p.need(); b.count() < need && bits.OnesCount64(can) >= need {
		b.stuck = time.Time{}
		return false
	}
	switch {
	case len(p.near) == 0:
		long = absentAlone
	case len(p.near) >= absentMany:
		long = absentSaid
	}
	if b.stuck.IsZero() {
		b.stuck = now
	}
	if now.Sub(b.stuck) < long {
		p.wake(now, b.stuck.Add(long))
		return false
	}
	return true
}
