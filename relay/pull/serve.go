package pull

import (
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// item is one shard that a neighbour waits for.
type item struct {
	number uint64
	stripe int
	size   int
	at     time.Time // not sent before
}

func carries(e *membership.Entry, id stripe.ID) (membership.Carried, bool) {
	if e == nil {
		return membership.Carried{}, false
	}
	return e.Carries(id)
}

// wanted takes what somebody asks for: into its queue, or back as a Lack at once.
func (p *Puller) wanted(now time.Time, from membership.NodeID, nb *neighbour, m *overlay.Want) {
	if nb == nil {
		if !now.Before(p.strangerAt) {
			p.strangerAt = now.Add(strangerEvery)
			p.say(from, &overlay.Part{Tag: p.tag})
		}
		return
	}
	var lacks, busy []overlay.Piece
	for _, piece := range m.Pieces {
		held, size := p.cfg.Store.Holds(piece.Number)
		if nb.epoch != p.cfg.Info.Epoch {
			held = 0 // it means another block
		}
		for stripes := piece.Stripes; stripes != 0; stripes &= stripes - 1 {
			s := bits.TrailingZeros64(stripes)
			one := overlay.Piece{Number: piece.Number, Stripes: 1 << s}
			switch {
			case !nb.may(now):
				p.counts.Dropped++
			case held>>s&1 == 0:
				addPiece(&lacks, one)
			case nb.queued(piece.Number, s):
			case !p.fits(now, nb, size):
				p.counts.Refused++
				addPiece(&busy, one)
			default:
				nb.queue = append(nb.queue, item{piece.Number, s, size, now.Add(piece.After)})
			}
		}
	}
	p.lackTo(nb, lacks, false)
	p.lackTo(nb, busy, true)
}

func (p *Puller) lackTo(nb *neighbour, pieces []overlay.Piece, busy bool) {
	if len(pieces) > 0 {
		p.say(nb.id, &overlay.Lack{Tag: p.tag, Busy: busy, Pieces: pieces})
	}
}

// may counts a shard that a neighbour asks for, in stretches of a second.
func (nb *neighbour) may(now time.Time) bool {
	if now.Sub(nb.secondFrom) >= time.Second {
		nb.secondFrom, nb.second = now, 0
	}
	nb.second++
	return nb.second <= wantRate
}

func (nb *neighbour) queued(number uint64, s int) bool {
	return slices.ContainsFunc(nb.queue, func(x item) bool { return x.number == number && x.stripe == s })
}

// forget takes back what a neighbour asked for.
func (nb *neighbour) forget(pieces []overlay.Piece) {
	for _, piece := range pieces {
		nb.queue = slices.DeleteFunc(nb.queue, func(x item) bool {
			return x.number == piece.Number && piece.Stripes>>x.stripe&1 == 1
		})
	}
}

// Rides says that a neighbour gives nothing to anybody, or that it does: who gives is
// served first. To be said before each of its Wants.
func (p *Puller) Rides(id membership.NodeID, on bool) {
	if nb := p.neighbour(id); nb != nil {
		nb.rides = on
	}
}

// fits reports whether one more shard for a neighbour would be sent soon enough. The
// others take turns with it: each has as many before it as it has itself; but who gives
// goes before who rides.
func (p *Puller) fits(now time.Time, nb *neighbour, size int) bool {
	if p.cfg.Meter == nil || len(nb.queue) >= MaxQueued {
		return false
	}
	ahead := 0
	for _, other := range p.near {
		before := min(len(other.queue), len(nb.queue)+1)
		switch {
		case nb.rides && !other.rides:
			before = len(other.queue)
		case other.rides && !nb.rides:
			before = 0
		}
		for _, x := range other.queue[:before] {
			ahead += x.size
		}
	}
	return p.cfg.Meter.Wait(now, ahead) <= serveWait
}

// serve sends what the meter has room for, one shard of each neighbour in turn, the
// first that it asked for first, and those of who rides last. What has waited too long is
// refused.
func (p *Puller) serve(now time.Time) {
	for _, nb := range p.near {
		var stale []overlay.Piece
		nb.queue = slices.DeleteFunc(nb.queue, func(x item) bool {
			if now.Before(x.at.Add(serveStale)) {
				return false
			}
			p.counts.Refused++
			addPiece(&stale, overlay.Piece{Number: x.number, Stripes: 1 << x.stripe})
			return true
		})
		p.lackTo(nb, stale, true)
	}
	p.serveAt = time.Time{}
	for p.serveOne(now, false) || p.serveOne(now, true) {
	}
	for _, nb := range p.near {
		for _, x := range nb.queue {
			p.wake(now, later(x.at, p.serveAt))
			p.wake(now, x.at.Add(serveStale))
		}
	}
}

// serveOne sends the next shard of those who ride, or who do not; false if none is to be
// sent now.
func (p *Puller) serveOne(now time.Time, riders bool) bool {
	for i := range p.near {
		at := (p.serveTurn + i) % len(p.near)
		nb := p.near[at]
		j := slices.IndexFunc(nb.queue, func(x item) bool { return !now.Before(x.at) })
		if j < 0 || nb.rides != riders {
			continue
		}
		if wait := p.cfg.Meter.Wait(now, 0); wait > 0 {
			p.serveAt = now.Add(wait)
			return false
		}
		x := nb.queue[j]
		nb.queue = slices.Delete(nb.queue, j, j+1)
		p.cfg.Meter.Take(now, x.size)
		p.counts.Served++
		p.out = append(p.out, Serve{To: nb.id, Number: x.number, Stripe: x.stripe, Expires: now.Add(serveExpires)})
		p.serveTurn = at + 1
		return true
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
