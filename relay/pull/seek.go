package pull

import (
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// Neighbours come about by two Windows: one proposes with Ask, the other answers, or
// says Part. Who neither answers nor parts is shunned for a while.

// window takes what somebody says that it holds.
func (p *Puller) window(now time.Time, at *peer, nb *neighbour, m *overlay.Window) {
	pending := now.Before(at.proposed)
	if nb != nil {
		nb.hold(now, m)
		if m.Ask && !now.Before(at.answerAt) {
			at.answerAt = now.Add(answerEvery)
			p.tellAll(now, nb, false)
		}
		return
	}
	at.proposed = time.Time{}
	if !pending && now.Before(at.answerAt) {
		return // it proposes again and again
	}
	at.answerAt = now.Add(answerEvery)
	if p.closed || m.Epoch != p.cfg.Info.Epoch || !m.Ask && !pending || p.shunned(now, at.id, true) || m.Stripes == 0 && !p.takes(now, m) || !p.room(now, m) {
		p.say(at.id, &overlay.Part{Tag: p.tag})
		if pending {
			p.shun(now, at.id, false)
		}
		return
	}
	nb = p.join(now, at, m)
	if m.Ask {
		p.tellAll(now, nb, false)
	} else {
		nb.stateAt = now.Add(p.interval(p.offered(now))) // it was just told
	}
}

// parted takes a no.
func (p *Puller) parted(now time.Time, at *peer, nb *neighbour) {
	if nb != nil {
		p.drop(now, at.id)
	}
	if nb != nil || !at.proposed.IsZero() {
		p.shun(now, at.id, false)
		if last := &p.shuns[len(p.shuns)-1]; !last.bad && nb == nil && p.lonely() {
			last.until = now.Add(shunLonely)
		}
		p.seekAt = now
	}
	at.proposed = time.Time{}
}

// lonely reports whether there are few neighbours, or too few that hold each stripe:
// what is missing of one may then be had of nobody.
func (p *Puller) lonely() bool {
	if len(p.near) < lonelyBelow {
		return true
	}
	var once, twice uint64
	for _, nb := range p.near {
		twice |= once & nb.stripes
		once |= nb.stripes
	}
	return twice&p.all != p.all
}

// takes reports whether there is room for one more who offers nothing: we must have
// something to give, and room left for those who can give us something. One who has
// hardly any neighbour takes the place of one who has some, and offers nothing either.
func (p *Puller) takes(now time.Time, m *overlay.Window) bool {
	takers := 0
	var eldest *neighbour // of those who can do without us
	for _, nb := range p.near {
		if nb.stripes != 0 {
			continue
		}
		takers++
		if !nb.lonely && now.Sub(nb.since) >= settleTime && (eldest == nil || nb.since.Before(eldest.since)) {
			eldest = nb
		}
	}
	switch {
	case p.offered(now) == 0:
		return false
	case !p.cfg.Pulls || takers < maxTakers:
		return true
	case !m.Lonely || eldest == nil || now.Before(p.displaceAt):
		return false
	}
	p.displaceAt = now.Add(displaceEvery)
	p.part(now, eldest, false)
	return true
}

// thin is a neighbour who may be exchanged for one with everything, or nil: while
// fewer than enoughWhole have everything, the one with the fewest stripes. Many who each
// carry two stripes may lack, all together, what one block needs.
// One who fails to answer again and again counts for nothing, and goes first.
func (p *Puller) thin(now time.Time) (thinnest *neighbour) {
	var failing *neighbour
	whole, k, lonely := 0, p.cfg.Info.Layout.K, p.lonely()
	for _, nb := range p.near {
		n := bits.OnesCount64(nb.stripes & p.all)
		switch {
		case nb.fails >= weakFails:
			if failing == nil || nb.fails > failing.fails {
				failing = nb
			}
		case n >= k:
			whole++
		case n == 0 || nb.lonely || !lonely && now.Sub(nb.since) < settleTime: // it takes; it needs us; it is to have a try
		case thinnest == nil || n < bits.OnesCount64(thinnest.stripes&p.all):
			thinnest = nb
		}
	}
	switch {
	case !p.cfg.Pulls || whole >= enoughWhole:
		return nil
	case failing != nil:
		return failing
	}
	return thinnest
}

// room reports whether there is room for one more neighbour, and makes some for one
// who has hardly any, or who has everything where few have.
func (p *Puller) room(now time.Time, m *overlay.Window) bool {
	if len(p.near) < MaxNeighbours {
		return true
	}
	if thin := p.thin(now); thin != nil && bits.OnesCount64(m.Stripes&p.all) >= p.cfg.Info.Layout.K {
		p.part(now, thin, false)
		return true
	}
	if !m.Lonely || now.Before(p.displaceAt) {
		return false
	}
	var worst *neighbour
	for _, nb := range p.near {
		if nb.lonely || now.Sub(nb.since) < settleTime {
			continue
		}
		if worst == nil || p.worth(nb) < p.worth(worst) {
			worst = nb
		}
	}
	if worst == nil {
		return false
	}
	p.displaceAt = now.Add(displaceEvery)
	p.part(now, worst, false)
	return true
}

// worth is of how much use a neighbour has been, and can be.
func (p *Puller) worth(nb *neighbour) float64 {
	return float64(1+nb.good) / float64(1+nb.tries) * float64(bits.OnesCount64(nb.stripes&p.all))
}

// propose asks a connected peer to be a neighbour.
func (p *Puller) propose(now time.Time, at *peer) {
	if p.neighbour(at.id) != nil || len(p.near) >= MaxNeighbours && p.thin(now) == nil {
		return
	}
	at.proposed = now.Add(proposeWait)
	p.say(at.id, p.state(now, true))
}

// dropSilent parts with neighbours who say nothing, and forgets proposals and dials
// that came to nothing.
func (p *Puller) dropSilent(now time.Time) {
	for i := 0; i < len(p.near); i++ {
		nb := p.near[i]
		until := nb.heard.Add(silentStates * p.interval(nb.stripes))
		if now.Before(until) {
			p.wake(now, until)
			continue
		}
		p.part(now, nb, false)
		i--
	}
	for _, at := range p.peers {
		switch {
		case at.proposed.IsZero():
		case now.Before(at.proposed):
			p.wake(now, at.proposed)
		default:
			at.proposed = time.Time{}
			p.shun(now, at.id, false)
		}
	}
	for i := 0; i < len(p.dials); i++ {
		if d := p.dials[i]; !now.Before(d.until) {
			p.dials = slices.Delete(p.dials, i, i+1)
			p.shun(now, d.id, false)
			i--
		}
	}
}

// review parts with one who gives little, now and then.
func (p *Puller) review(now time.Time) {
	if !p.cfg.Pulls {
		return
	}
	p.wake(now, p.reviewAt)
	if now.Before(p.reviewAt) {
		return
	}
	p.reviewAt = now.Add(reviewEvery)
	var worst *neighbour
	for _, nb := range p.near {
		if nb.tries >= reviewTries && 4*nb.good < nb.tries && (worst == nil || p.worth(nb) < p.worth(worst)) {
			worst = nb
		}
		nb.tries, nb.good = nb.tries/2, nb.good/2
	}
	if worst != nil {
		p.part(now, worst, true)
	}
}

// seek looks for another neighbour while there are too few.
func (p *Puller) seek(now time.Time) {
	waiting := len(p.dials)
	for _, at := range p.peers {
		if !at.proposed.IsZero() {
			waiting++
		}
	}
	able, k := 0, p.cfg.Info.Layout.K // in stripes: who carries few counts for less
	for _, nb := range p.near {
		if nb.fails < weakFails {
			able += min(k, bits.OnesCount64(nb.stripes&p.all))
		}
	}
	able /= k
	if !p.cfg.Pulls || able+waiting >= IdealNeighbours || waiting >= maxProposals {
		return
	}
	every := seekEvery
	if len(p.near) >= MaxNeighbours {
		thin := p.thin(now)
		if waiting > 0 || thin == nil {
			return
		}
		if !p.lonely() && thin.fails < weakFails {
			every = exchangeEvery
		}
	}
	if now.Before(p.seekAt) {
		p.wake(now, p.seekAt)
		return
	}
	p.seekAt = now.Add(every)
	p.wake(now, p.seekAt)
	id, ok := p.candidate(now)
	if !ok {
		return
	}
	if at := p.peer(id); at != nil {
		p.propose(now, at)
		p.wake(now, at.proposed)
		return
	}
	p.dials = append(p.dials, shun{id: id, until: now.Add(dialWait)})
	p.out = append(p.out, Dial{Peer: id})
}

// candidate is who would be the best neighbour more.
func (p *Puller) candidate(now time.Time) (best membership.NodeID, ok bool) {
	var least float64
	networks := make([]netip.Prefix, 0, MaxNeighbours)
	for _, nb := range p.near {
		if e, known := p.book.Get(nb.id); known {
			if network, has := overlay.NetworkOf(e); has {
				networks = append(networks, network)
			}
		}
	}
	consider := func(id membership.NodeID, e *membership.Entry, connected bool) {
		if id == p.cfg.Self || p.neighbour(id) != nil || p.shunned(now, id, false) ||
			slices.ContainsFunc(p.dials, func(s shun) bool { return s.id == id }) {
			return
		}
		cost := p.rnd.Float64() * 10
		if slices.Contains(p.ancestors, id.Short()) {
			cost += 100
		}
		if !connected {
			cost += 20
		}
		if id == membership.NodeID(p.cfg.Info.Root) {
			cost += 300 // it has enough to do
		}
		if e == nil {
			cost += 40 // nobody speaks of it: it shares nothing, most likely
		} else {
			if network, has := overlay.NetworkOf(e); has && slices.Contains(networks, network) {
				cost += 50
			}
			if e.Doubted {
				cost += 200
			}
		}
		if !ok || cost < least {
			best, least, ok = id, cost, true
		}
	}
	for _, at := range p.peers {
		e, _ := p.book.Get(at.id)
		if carried, does := carries(e, p.cfg.Info.Stream); at.proposed.IsZero() && (e == nil || does && carried.Epoch == p.cfg.Info.Epoch) {
			consider(at.id, e, true)
		}
	}
	for _, e := range p.book.All() {
		if carried, does := carries(e, p.cfg.Info.Stream); does && carried.Epoch == p.cfg.Info.Epoch && p.peer(e.Node) == nil && e.MayDial(now) {
			consider(e.Node, e, false)
		}
	}
	return best, ok
}
