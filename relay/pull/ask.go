package pull

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// ask is one shard that was asked for and is waited for.
type ask struct {
	of     *neighbour
	number uint64
	stripe int
	spare  bool // one more than needed
	old    bool // for history
	at     time.Time
	from   time.Time // when it may be sent at the earliest
	until  time.Time
}

// find is where a shard is among those asked of a peer, or -1.
func (p *Puller) find(at *peer, number uint64, stripe int) int {
	return slices.IndexFunc(p.asks, func(a *ask) bool { return a.of.peer == at && a.number == number && a.stripe == stripe })
}

// asked is what is waited for of a block: which shards, and how many of them are
// firm, spare, and for a live block.
func (p *Puller) asked(number uint64) (stripes uint64, firm, spare, live int) {
	for _, a := range p.asks {
		if a.number != number {
			continue
		}
		stripes |= 1 << a.stripe
		if a.spare {
			spare++
		} else {
			firm++
		}
		if !a.old {
			live++
		}
	}
	return stripes, firm, spare, live
}

func (at *peer) owes(number uint64, stripe int) int {
	return slices.IndexFunc(at.owed, func(d debt) bool { return d.number == number && d.stripe == stripe })
}

// owe remembers that an answer may still come.
func (at *peer) owe(now time.Time, a *ask) {
	at.owed = slices.DeleteFunc(at.owed, func(d debt) bool {
		return !now.Before(d.until) || d.number == a.number && d.stripe == a.stripe
	})
	if len(at.owed) >= maxOwed {
		at.owed = slices.Delete(at.owed, 0, 1)
	}
	at.owed = append(at.owed, debt{number: a.number, stripe: a.stripe, spare: a.spare, at: a.from, until: now.Add(owedTime)})
}

// remove ends the wait for the i-th ask.
func (p *Puller) remove(i int) *ask {
	a := p.asks[i]
	a.of.asks--
	p.asks = slices.Delete(p.asks, i, i+1)
	return a
}

// cancel takes the i-th ask back; it may be under way already.
func (p *Puller) cancel(now time.Time, i int) {
	a := p.remove(i)
	if removePiece(&a.of.wants, a.number, a.stripe) {
		return // it was not said yet
	}
	a.of.owe(now, a)
	addPiece(&a.of.cancels, overlay.Piece{Number: a.number, Stripes: 1 << a.stripe})
}

// addPiece adds a shard to pieces, to those of its block if it can.
func addPiece(to *[]overlay.Piece, x overlay.Piece) {
	for i := range *to {
		if old := &(*to)[i]; old.Number == x.Number && old.After == x.After {
			old.Stripes |= x.Stripes
			return
		}
	}
	*to = append(*to, x)
}

// removePiece takes a shard from pieces; false if it is not there.
func removePiece(from *[]overlay.Piece, number uint64, stripe int) bool {
	i := slices.IndexFunc(*from, func(x overlay.Piece) bool { return x.Number == number && x.Stripes>>stripe&1 == 1 })
	if i < 0 {
		return false
	}
	if (*from)[i].Stripes &^= 1 << stripe; (*from)[i].Stripes == 0 {
		*from = slices.Delete(*from, i, i+1)
	}
	return true
}

// expire gives up what did not come in time, with whom it was asked of; and those who
// send nothing while something else comes: then it is not our own path.
func (p *Puller) expire(now time.Time) {
	for i := 0; i < len(p.asks); i++ {
		a := p.asks[i]
		if now.Before(a.until) {
			continue
		}
		if p.mute(now) && now.Before(a.at.Add(muteMost)) {
			a.until = now.Add(againEvery)
			continue
		}
		p.counts.Retried++
		a.of.fail(now, a.at)
		p.cancel(now, i)
		i--
	}
	for i := 0; i < len(p.near); i++ {
		if nb := p.near[i]; nb.fails >= maxFails && (p.answeredAt.After(nb.failing) || p.gotAt.After(nb.failing)) {
			p.part(now, nb, true)
			i--
		}
	}
}

// hear notes that something came, from whomever. If nothing had for a while it was our
// own path, and what was asked for meanwhile has its time from now on.
func (p *Puller) hear(now time.Time) {
	if p.mute(now) {
		for _, a := range p.asks {
			a.until = later(a.until, now.Add(a.of.patience()))
		}
	}
	p.heardAt = now
}

// mute reports whether nothing comes, from anyone: asking others would not help.
func (p *Puller) mute(now time.Time) bool {
	return now.Sub(p.heardAt) >= max(3*p.cfg.Info.BlockTime/2, muteMin)
}

// fail counts an answer that did not come to what was asked at a time. What was asked
// before the last failure was found out says nothing more.
func (nb *neighbour) fail(now, asked time.Time) {
	if nb.fails == 0 {
		nb.failing = now
	} else if asked.Before(nb.failed) {
		return
	}
	nb.fails++
	nb.failed = now
}

// takeBack takes back what is asked of a block and needed no more, now that these
// shards of it are held.
func (p *Puller) takeBack(now time.Time, number, held uint64) {
	for i := 0; i < len(p.asks); i++ {
		a := p.asks[i]
		if a.number != number {
			continue
		}
		b, enough := p.at(number), p.enough()
		if a.old {
			b, enough = p.history.at(number), p.need()
		}
		if held>>a.stripe&1 == 1 || b == nil || b.whole || b.missed || b.count() >= enough {
			p.cancel(now, i)
			p.counts.Cancelled++
			i--
		}
	}
}

// answered takes a shard from the list of those asked for, and reports whether it was
// there, comes for the first time, and was one more than needed.
func (p *Puller) answered(now time.Time, at *peer, number uint64, stripe int) (pulled, first, spare bool) {
	if i := p.find(at, number, stripe); i >= 0 {
		a := p.remove(i)
		a.of.owe(now, a)
		a.of.owed[len(a.of.owed)-1].paid = true
		a.of.answer(now.Sub(a.from))
		a.of.good++
		a.of.fails, a.of.busy = 0, 0
		p.answeredAt = now
		p.counts.Answered++
		return true, true, a.spare
	}
	i := at.owes(number, stripe)
	if i < 0 {
		return false, false, false
	}
	if first = !at.owed[i].paid; first {
		at.owed[i].paid = true
		at.answer(now.Sub(at.owed[i].at))
		p.counts.Late++
	}
	return true, first, at.owed[i].spare
}

// lacked moves on: what a neighbour has not is asked of another.
func (p *Puller) lacked(now time.Time, nb *neighbour, m *overlay.Lack) {
	for _, piece := range m.Pieces {
		for stripes := piece.Stripes & p.all; stripes != 0; stripes &= stripes - 1 {
			s := bits.TrailingZeros64(stripes)
			long := lackTime
			if i := p.find(nb.peer, piece.Number, s); i >= 0 {
				old := p.remove(i).old
				if old {
					long = lackLong
					nb.tries = max(0, nb.tries-1) // an old block may be lost to all
				}
				nb.fails = 0
				if m.Busy {
					p.counts.Busy++
				} else {
					p.counts.Lacked++
					nb.lack(lack{piece.Number, 1 << s, now.Add(long), old})
				}
			} else if i := nb.owes(piece.Number, s); i >= 0 && !nb.owed[i].paid {
				nb.owed = slices.Delete(nb.owed, i, i+1)
			}
		}
	}
	if m.Busy && !now.Before(nb.busyUntil) {
		nb.busy = min(max(2*nb.busy, busyTime), busyMost)
		nb.busyUntil = now.Add(nb.busy)
	}
}

func (nb *neighbour) lack(l lack) {
	for i := range nb.lacks {
		if x := &nb.lacks[i]; l.old && x.old && x.number == l.number {
			x.stripes, x.until = x.stripes|l.stripes, l.until
			return
		}
	}
	if len(nb.lacks) >= maxLacks {
		nb.lacks = slices.Delete(nb.lacks, 0, 1)
	}
	nb.lacks = append(nb.lacks, l)
}

// askAll asks for all that is short, what is played first first: live blocks, then
// history.
func (p *Puller) askAll(now time.Time) {
	p.againAt = time.Time{}
	p.age(now)
	p.settle(now)
	if p.cfg.Pulls {
		for n := p.open; p.started && n <= p.top; n++ {
			if n >= p.begin {
				p.pull(now, p.at(n))
			}
		}
		p.pullHistory(now)
	}
	p.flush(now)
	for _, a := range p.asks {
		p.wake(now, a.until)
	}
	if !p.againAt.IsZero() {
		p.wake(now, p.againAt)
	}
}

// pull has as many shards of a live block asked for as it is short of, and at last a spare.
func (p *Puller) pull(now time.Time, b *block) {
	need, among := p.short(now, b)
	most, spare := 0, 0
	if need > 0 {
		spare = p.spares(now, b)
		most = need + spare
	}
	_, _, _, live := p.asked(b.number)
	for i := len(p.asks) - 1; i >= 0 && live > most; i-- {
		if a := p.asks[i]; a.number == b.number && !a.old {
			p.cancel(now, i)
			p.counts.Cancelled++
			live--
		}
	}
	if need > 0 {
		b.pulling = true
		p.fill(now, b, among, need, spare, false)
	}
}

// spares is how many more shards of a block are asked for than it is short of: none while
// there is time to ask somebody else for what does not come.
func (p *Puller) spares(now time.Time, b *block) int {
	if at := b.deadline.Add(-spareLeft); now.Before(at) {
		p.wake(now, at)
		return 0
	}
	return spareShards
}

// short is how many shards of a block must be pulled, and of which. When it is due, and
// push is not likely to bring some while an answer is on its way, those are all that
// are short; before, and while there is no time for the next parent to bring them, those
// that will be when everything came but what is silent.
func (p *Puller) short(now time.Time, b *block) (need int, among uint64) {
	k := p.cfg.Info.Layout.K
	if b.whole || b.missed || b.count() >= k {
		return 0, 0
	}
	if !now.Before(b.due) {
		if at := p.begins(now, b); now.Before(at) {
			p.wake(now, at)
			return 0, 0
		}
		return k - b.count(), p.all &^ b.have
	}
	if p.silent == 0 {
		return 0, 0
	}
	coming := bits.OnesCount64(b.have | p.all&^p.silent)
	early := later(b.front.Add(b.due.Sub(b.front)/2), b.deadline.Add(-tailLeft))
	if coming >= k {
		return 0, 0
	}
	if now.Before(early) {
		p.wake(now, early)
		return 0, 0
	}
	return k - coming, p.silent &^ b.have
}

// begins is when what is short of a block that is due is first asked for: when push is
// not likely to bring any soon, and while there is time for some answers.
func (p *Puller) begins(now time.Time, b *block) time.Time {
	if b.pulling {
		return now
	}
	return b.front.Add(p.tail.quiet(now.Sub(b.front), p.cfg.Delay-tailLeft))
}

// fill asks for as many shards of a block as need and spare say, less those that are
// asked for already: the rarest first, each of the neighbour most likely to send it
// soon.
func (p *Puller) fill(now time.Time, b *block, among uint64, need, spare int, old bool) {
	stripes, firm, extra, _ := p.asked(b.number)
	missing := need + spare - firm - extra
	if missing <= 0 {
		return
	}
	order := p.rarest(now, b.number, among&^stripes)
	for _, s := range order {
		if missing <= 0 {
			return
		}
		if len(p.asks) >= MaxOutstanding || old && p.askedOld() >= maxHistory {
			return // an answer makes room
		}
		nb := p.best(now, b.number, s, old)
		if nb == nil {
			continue
		}
		a := &ask{of: nb, number: b.number, stripe: s, spare: firm >= need, old: old}
		if !a.spare {
			firm++
		}
		p.ask(now, a, b.deadline)
		missing--
	}
	if missing > 0 {
		again := now.Add(againEvery)
		if len(order) == 0 {
			again = now.Add(lackTime) // nobody has any
		}
		if p.againAt.IsZero() || again.Before(p.againAt) {
			p.againAt = again
		}
	}
}

func (p *Puller) askedOld() (n int) {
	for _, a := range p.asks {
		if a.old {
			n++
		}
	}
	return n
}

// ask has a shard asked for at the end of this Step.
func (p *Puller) ask(now time.Time, a *ask, deadline time.Time) {
	var after time.Duration
	if a.spare {
		after = a.of.holdBack(deadline.Sub(now))
	}
	a.at, a.from = now, later(now, a.of.sayAt).Add(after)
	a.until = a.from.Add(a.of.patience())
	if !deadline.IsZero() {
		a.until = a.of.waitFor(now, a.from, deadline)
	}
	a.of.asks++
	a.of.tries++
	a.of.askAt = later(a.of.askAt, now.Add(-askAhead*askEvery)).Add(askEvery)
	p.asks = append(p.asks, a)
	p.counts.Asked++
	addPiece(&a.of.wants, overlay.Piece{Number: a.number, Stripes: 1 << a.stripe, After: after})
}

// waitFor is until when an answer is waited for that may be sent from a time on, of a
// block that has a deadline: so that somebody else can be asked twice, but not when
// most answers are under way yet.
func (nb *neighbour) waitFor(now, from, deadline time.Time) time.Time {
	left := deadline.Sub(now)
	long := from.Add(max(nb.patience(), retryLong))
	least := from.Add(max(retryMin, min(nb.path(), left/2)))
	return later(earlier(long, now.Add(left/3)), least)
}

// holdBack is how long the spare shard of a block is held back, in whole steps, so that
// the others can come and a Cancel be heard: a quarter of the time left, or not at
// all if that is no more than an answer takes.
func (nb *neighbour) holdBack(left time.Duration) time.Duration {
	after := min(left/3, overlay.MaxAfter)
	if after < nb.patience()/2 {
		return 0
	}
	return after / (10 * time.Millisecond) * (10 * time.Millisecond)
}

// rarest are those of these stripes of a block that somebody has, the fewest have
// first; by chance among equals, so that neighbours who lack the same ask for
// different ones, and can help each other then. Those that nobody has but who failed to
// answer come last: they may be dead.
func (p *Puller) rarest(now time.Time, number, among uint64) []int {
	var holders [64]int
	var sound uint64
	for _, nb := range p.near {
		has := nb.believed(now, p, number) & among
		if nb.fails == 0 {
			sound |= has
		}
		for ; has != 0; has &= has - 1 {
			holders[bits.TrailingZeros64(has)]++
		}
	}
	var order []int
	for ; among != 0; among &= among - 1 {
		if s := bits.TrailingZeros64(among); holders[s] > 0 {
			order = append(order, s)
		}
	}
	p.rnd.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(sound>>b&1, sound>>a&1), cmp.Compare(holders[a], holders[b]))
	})
	return order
}

// best is of whom a shard is asked: who has it, answers soon, and has little to send
// already. One who has failed to send this shard is asked again if there is nobody
// else. History leaves room for live blocks with each.
func (p *Puller) best(now time.Time, number uint64, s int, old bool) *neighbour {
	var best *neighbour
	var least float64
	each := max(maxEach, MaxOutstanding/max(1, len(p.near)))
	for _, nb := range p.near {
		most := max(2, each>>nb.fails)
		if old {
			most = most * maxHistory / MaxOutstanding
		}
		if nb.believed(now, p, number)>>s&1 == 0 || now.Before(nb.busyUntil) || nb.asks >= most || now.Before(nb.askAt) {
			continue
		}
		cost := (nb.rtt() + retryMargin).Seconds() * float64(1+nb.asks) * float64(1+2*nb.fails) * (1 + p.rnd.Float64()/4)
		if i := nb.owes(number, s); i >= 0 && !nb.owed[i].paid {
			if since := nb.owed[i].until.Add(-owedTime); now.Sub(since) < retryMin {
				continue
			}
			cost += 1000
		}
		if best == nil || cost < least {
			best, least = nb, cost
		}
	}
	return best
}

// flush says what was asked for and taken back, to each neighbour every sayEvery on
// average.
func (p *Puller) flush(now time.Time) {
	for _, nb := range p.near {
		if len(nb.cancels)+len(nb.wants) == 0 {
			continue
		}
		if now.Before(nb.sayAt) {
			p.wake(now, nb.sayAt)
			continue
		}
		nb.sayAt = later(nb.sayAt, now.Add(-sayAhead*sayEvery)).Add(sayEvery)
		for chunk := range slices.Chunk(nb.cancels, overlay.MaxPieces) {
			p.say(nb.id, &overlay.Cancel{Tag: p.tag, Pieces: slices.Clone(chunk)})
		}
		for chunk := range slices.Chunk(nb.wants, overlay.MaxPieces) {
			p.say(nb.id, &overlay.Want{Tag: p.tag, Pieces: slices.Clone(chunk)})
		}
		nb.cancels, nb.wants = nb.cancels[:0], nb.wants[:0]
	}
}
