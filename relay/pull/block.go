package pull

import (
	"math/bits"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// block is one block that may be short of shards.
type block struct {
	number   uint64
	have     uint64 // shards held
	pushed   uint64 // shards that push brought, whether they were needed or not
	pulled   uint64 // shards that came because they were asked for, the same
	told     uint64 // shards that all neighbours were told are missing
	listed   bool   // some were told of in a Window
	seen     bool   // its source time is known; else guessed
	whole    bool   // rebuilt: all shards are held
	missed   bool   // it was short at its deadline
	pulling  bool   // something of it was asked for
	tailed   bool   // what push did for it is learnt
	front    time.Time
	due      time.Time // from then on what is short is pulled
	deadline time.Time // until then; zero if it has none
	stuck    time.Time // since when nobody has enough of it, if it is history
}

func (b *block) count() int { return bits.OnesCount64(b.have) }

// at is a live block, or nil.
func (p *Puller) at(number uint64) *block {
	if !p.started || number < p.low || number > p.top {
		return nil
	}
	return &p.ring[number%MaxBlocks]
}

// reach makes live blocks up to a number.
func (p *Puller) reach(number uint64) {
	if number-p.top >= MaxBlocks {
		p.startAt(number) // none of those known is near
	}
	for p.top < number {
		p.top++
		p.enter()
	}
	if p.top-p.low >= MaxBlocks {
		p.low = p.top - MaxBlocks + 1
	}
	p.open = max(p.open, p.low)
}

// startAt makes a live block the only one.
func (p *Puller) startAt(number uint64) {
	p.low, p.top = number, number
	p.enter()
}

// enter puts a new block at the top.
func (p *Puller) enter() {
	b := &p.ring[p.top%MaxBlocks]
	*b = block{number: p.top}
	p.date(b, p.clock.guess(p.top))
}

// date sets a block's times by its source time in ms.
func (p *Puller) date(b *block, source int64) {
	b.front = p.clock.front(source)
	b.due = b.front.Add(p.clock.patience())
	b.deadline = b.front.Add(p.cfg.Delay)
}

// Expects reports whether a shard that a peer sent was asked of it. Ask it before
// the shard is checked; if not, and the peer does not feed the stripe either, say
// Unasked and drop the shard.
func (p *Puller) Expects(from membership.NodeID, number uint64, stripe int) bool {
	at := p.peer(from)
	return at != nil && (p.find(at, number, stripe) >= 0 || at.owes(number, stripe) >= 0)
}

// Unasked counts a shard that a peer sent although nobody asked for it and it feeds
// nothing, or one that is not the source's. It ends in a Hangup.
func (p *Puller) Unasked(now time.Time, from membership.NodeID) {
	at := p.peer(from)
	if at == nil {
		return
	}
	p.counts.Unasked++
	if now.Sub(at.strayAt) >= strayTime {
		at.unasked = 0
	}
	at.strayAt = now
	if at.unasked++; at.unasked < MaxUnasked {
		return
	}
	p.out = append(p.out, Hangup{Peer: from, Reason: "shards that nobody asked for"})
	p.Down(now, from)
	p.shun(now, from, true)
}

// Got says that a genuine shard came from a peer, held already or not, and reports
// whether it came because it was asked for: then it is not passed on. Source is the
// block's source time in ms.
func (p *Puller) Got(now time.Time, from membership.NodeID, number uint64, stripe int, source int64) (pulled bool) {
	p.dirty = true
	p.hear(now)
	bit := uint64(1) << stripe
	old := p.history.at(number)
	at := p.peer(from)
	first, spare := false, false // it comes for the first time; it was one more than needed
	if at != nil {
		pulled, first, spare = p.answered(now, at, number, stripe)
	}
	if !pulled {
		p.seePushed(now, number, source)
	}
	b := p.at(number)
	if first && !p.needs(b, bit) && !p.needs(old, bit) {
		p.waste(b, bit, spare)
	}
	if b != nil {
		if !b.seen {
			p.see(now, b, source)
		}
		if b.have&bit == 0 {
			b.have |= bit
			p.gotAt = now
		}
		if pulled {
			b.pulled |= bit
		} else {
			p.learn(now, b, bit)
		}
	}
	if old != nil {
		old.have |= bit
	}
	p.takeBack(now, number, bit)
	return pulled
}

// see dates a block by its own source time. One that somebody told of before the source
// made it, while it paused, may have been given up: it is not.
func (p *Puller) see(now time.Time, b *block, source int64) {
	b.seen = true
	p.date(b, source)
	if b.missed && now.Before(b.deadline) {
		b.missed = false
		p.open = min(p.open, b.number)
	}
}

// needs reports whether a block is not held, and short of this shard.
func (p *Puller) needs(b *block, bit uint64) bool {
	return b != nil && !b.whole && b.have&bit == 0 && b.count() < p.enough()
}

// waste counts an answer that was not needed any more, by the reason. The block is nil
// if it is not looked after any more.
func (p *Puller) waste(b *block, bit uint64, spare bool) {
	p.counts.Wasted++
	switch {
	case b != nil && b.pushed&bit != 0:
		p.counts.Pushed++
	case b != nil && b.pulled&bit != 0:
		p.counts.Twice++
	case spare:
		p.counts.Spare++
	default:
		p.counts.Whole++
	}
}

// seePushed follows the live edge as push shows it.
func (p *Puller) seePushed(now time.Time, number uint64, source int64) {
	b := p.at(number)
	if !p.started || number > p.top || b != nil && b.pushed == 0 {
		p.clock.saw(now, number, source)
	}
	switch {
	case !p.started:
		p.started, p.begin, p.open = true, number, number
		p.startAt(number)
	case number > p.top:
		p.reach(number)
	}
}

// learn notes a shard that push brought, and how long it took until there were enough.
func (p *Puller) learn(now time.Time, b *block, bit uint64) {
	before := bits.OnesCount64(b.pushed)
	b.pushed |= bit
	if bits.OnesCount64(b.pushed) == before || b.number < p.begin || before >= p.enough() {
		return
	}
	age := now.Sub(b.front)
	p.tail.arrived(age)
	if before+1 == p.enough() {
		p.clock.learn(age)
		p.tail.over(age)
		b.tailed = true
	}
}

// Rebuilt says that a block was rebuilt, and that all its shards are held now.
func (p *Puller) Rebuilt(now time.Time, number uint64) {
	p.dirty = true
	for _, b := range []*block{p.at(number), p.history.at(number)} {
		if b != nil {
			b.have, b.whole = p.all, true
		}
	}
	p.takeBack(now, number, p.all)
}

// Silent says on which stripes nothing is to be expected: bit i is stripe i.
func (p *Puller) Silent(stripes uint64) {
	if stripes &= p.all; stripes != p.silent {
		p.silent, p.dirty = stripes, true
	}
}

// SetStripes changes what one who does not pull carries.
func (p *Puller) SetStripes(stripes uint64) {
	if !p.cfg.Pulls {
		p.cfg.Stripes = stripes & p.all
	}
}

// raise learns from neighbours of blocks of which nothing came: as many as the
// stream's pace allows, whatever they say.
func (p *Puller) raise(now time.Time) {
	if !p.started || !p.cfg.Pulls {
		return
	}
	var newest uint64
	for _, nb := range p.near {
		if last, ok := nb.newest(); ok && nb.epoch == p.cfg.Info.Epoch {
			newest = max(newest, last)
		}
	}
	if newest = min(newest, p.clock.head(now)); newest > p.top {
		p.reach(newest)
		p.probePause = probeEvery
	}
}

// age learns from blocks that push has not made whole when they are played.
func (p *Puller) age(now time.Time) {
	for p.aged = max(p.aged, p.low); p.started && p.aged <= p.top; p.aged++ {
		b := p.at(p.aged)
		if now.Before(b.deadline) {
			return
		}
		if b.seen && !b.tailed && b.number >= p.begin {
			p.tail.over(p.cfg.Delay)
			b.tailed = true
		}
	}
}

// settle moves past the blocks that are of no more interest, and finds the newest that
// neighbours can be told of.
func (p *Puller) settle(now time.Time) {
	for n := p.open; p.started && n <= p.top; n++ {
		b := p.at(n)
		late := !now.Before(b.due)
		if b.have != 0 && (late || b.count() >= p.enough()) {
			p.settled = max(p.settled, n)
		}
		if !b.missed && b.count() < p.enough() && p.hopeless(now, b) {
			b.missed = true
			if p.cfg.Pulls {
				p.counts.Missed++
			}
			p.takeBack(now, n, 0)
		}
		closed := b.count() >= p.enough() && b.told == 0 && !b.listed || b.missed && b.told != 0
		if n == p.open && closed {
			p.open++
			continue
		}
		if !late {
			p.wake(now, b.due)
		}
	}
}

// hopeless reports whether nothing that is asked for now would come in time.
func (p *Puller) hopeless(now time.Time, b *block) bool {
	if b.deadline.IsZero() {
		return false
	}
	least := unknownRTT
	for i, nb := range p.near {
		if i == 0 || nb.rtt() < least {
			least = nb.rtt()
		}
	}
	return b.deadline.Sub(now) < least+finishTime
}
