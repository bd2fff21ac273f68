package relay

import (
	"bytes"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// ledger is who gave us shards of a stream in this period, and what others signed that
// we gave them: overlay.Receipt tells what for.
type ledger struct {
	period uint32
	begun  bool
	taken  []taking          // in this period, in the order of the givers' IDs; MaxPeers at most
	given  []giving          // whom we sent shards, but children we have now; MaxPeers at most
	held   []overlay.Receipt // one of a taker, as they came; maxHeld at most
}

// taking is how many shards one peer gave us.
type taking struct {
	from   membership.NodeID
	shards int
}

// giving is when we last sent somebody shards.
type giving struct {
	to     membership.NodeID
	period uint32
}

// took counts a genuine shard that was new to us.
func (l *ledger) took(from membership.NodeID) {
	i, known := slices.BinarySearchFunc(l.taken, from, func(t taking, id membership.NodeID) int { return bytes.Compare(t.from[:], id[:]) })
	if !known {
		if len(l.taken) >= MaxPeers {
			return
		}
		l.taken = slices.Insert(l.taken, i, taking{from: from})
	}
	l.taken[i].shards++
}

// thank signs for what each gave in the period that is over. The first is only a part
// of one.
func (c *Core) thank(s *stream) {
	l, period := &s.ledger, s.period()
	if l.begun && period <= l.period || s.source || !l.begun && len(l.taken) == 0 {
		return
	}
	if l.begun {
		for _, t := range l.taken {
			if c.peer(t.from) == nil {
				continue
			}
			c.out = append(c.out, Say{Peer: t.from, Msg: &overlay.Thanks{
				Tag: s.info.Stream.Tag(), Epoch: s.info.Epoch,
				Receipt: overlay.SignReceipt(c.cfg.Key, &s.info, t.from, l.period, t.shards),
			}})
		}
	}
	l.period, l.begun, l.taken = period, true, l.taken[:0]
	l.given = slices.DeleteFunc(l.given, func(g giving) bool { return g.period+1 < period })
}

// gave notes that somebody was sent shards until now.
func (s *stream) gave(to membership.NodeID) {
	if s.source {
		return // whom nobody asks what it gives
	}
	l, period := &s.ledger, s.period()
	i := slices.IndexFunc(l.given, func(g giving) bool { return g.to == to })
	switch {
	case i >= 0:
		l.given[i].period = period
	case len(l.given) < MaxPeers:
		l.given = append(l.given, giving{to, period})
	}
}

func (s *stream) period() uint32 { return overlay.PeriodOf(&s.info, s.window.head) }

// owes reports whether somebody has reason to thank us for a period: we feed it, or sent
// it shards in that one or later.
func (s *stream) owes(id membership.NodeID, period uint32) bool {
	return slices.ContainsFunc(s.ledger.given, func(g giving) bool { return g.to == id && g.period >= period }) ||
		slices.ContainsFunc(s.feeds, func(of []feed) bool {
			return slices.ContainsFunc(of, func(f feed) bool { return f.child == id })
		})
}

// heardCredit takes a message about receipts.
func (c *Core) heardCredit(now time.Time, p *peer, s *stream, m overlay.Message) {
	period := s.period()
	switch m := m.(type) {
	case *overlay.Thanks:
		r := m.Receipt
		r.Taker = p.id
		if m.Epoch != s.info.Epoch || !r.Recent(period) || !s.owes(p.id, r.Period) || !s.ledger.news(&r) {
			return
		}
		if !r.Valid(&s.info, c.self) {
			c.hangup(now, p.id, "bad receipt")
			return
		}
		s.ledger.hold(r)
	case *overlay.Show:
		if !p.mayAsk(now, m.Tag) {
			return
		}
		c.out = append(c.out, Say{Peer: p.id, Msg: &overlay.Receipts{
			Tag: s.info.Stream.Tag(), Epoch: s.info.Epoch, Of: s.ledger.best(&s.info, period),
		}})
	case *overlay.Receipts:
		if s.forest.Awaits(p.id) {
			s.forest.Showed(now, p.id, m.Slots(&s.info, p.id, period, func(r *overlay.Receipt) bool {
				return r.Valid(&s.info, p.id)
			}))
		}
	}
}

// showing is until when a peer is not shown our receipts of a stream again.
type showing struct {
	tag   stripe.Tag
	until time.Time
}

// mayAsk reports whether a peer is shown our receipts of a stream now, and notes it.
func (p *peer) mayAsk(now time.Time, tag stripe.Tag) bool {
	p.shows = slices.DeleteFunc(p.shows, func(s showing) bool { return !now.Before(s.until) })
	if len(p.shows) >= MaxStreams || slices.ContainsFunc(p.shows, func(s showing) bool { return s.tag == tag }) {
		return false
	}
	p.shows = append(p.shows, showing{tag, now.Add(overlay.ShowEvery / 2)})
	return true
}

// news reports whether a receipt is newer than what its taker signed before: of one
// period only one is looked at.
func (l *ledger) news(r *overlay.Receipt) bool {
	i := l.of(r.Taker)
	return i < 0 || r.Period > l.held[i].Period
}

func (l *ledger) of(taker membership.NodeID) int {
	return slices.IndexFunc(l.held, func(r overlay.Receipt) bool { return r.Taker == taker })
}

// hold keeps a receipt, in the place of what its taker said before. If there are too many
// the oldest goes, and of those of one period the one of the fewest shards.
func (l *ledger) hold(r overlay.Receipt) {
	if i := l.of(r.Taker); i >= 0 {
		l.held = slices.Delete(l.held, i, i+1)
	}
	l.held = append(l.held, r)
	if len(l.held) > maxHeld {
		least := 0
		for i := range l.held {
			if a, b := &l.held[i], &l.held[least]; a.Period < b.Period || a.Period == b.Period && a.Shards < b.Shards {
				least = i
			}
		}
		l.held = slices.Delete(l.held, least, least+1)
	}
}

// best are the receipts to show: of the two newest periods, those that count for the most
// shards. Who signs of a period to come hides nobody's, nor who signs for more than there are.
func (l *ledger) best(info *stripe.Info, period uint32) []overlay.Receipt {
	newest := uint32(0)
	for i := range l.held {
		newest = max(newest, min(l.held[i].Period, period))
	}
	var all []overlay.Receipt
	for _, r := range l.held {
		if r.Period+1 >= newest {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b overlay.Receipt) int { return b.Counts(info) - a.Counts(info) })
	return all[:min(len(all), overlay.MaxReceipts)]
}
