package relay

import (
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// slots is how many children a stream may have, the upload shared evenly and no stream
// getting more than its cap: 0.85 of
// it, less an eighth that is kept for pull. A source that could not feed
// overlay.Roots relays a stripe so leaves pull to others, and a twentieth unused:
// k slots, and with them the stream, are more than they all.
func (c *Core) slots(info stripe.Info, source bool) int {
	most := c.streamUpload() / info.SlotRate()
	slots := int(most * 0.85 * 0.875)
	if source {
		slots = max(slots, min(overlay.Roots*info.Layout.N(), int(most*stripe.SourceShare)),
			min(info.Layout.K, int(most*stripe.SourceMost)))
	}
	return slots
}

// hasRoom reports whether a relay may take k stripes besides its home stripes.
func (c *Core) hasRoom(info stripe.Info) bool {
	share := c.cfg.Download / float64(max(1, c.busy()))
	return !c.cfg.Play && share >= info.SlotRate()*float64(info.Layout.K+1)
}

// share divides the upload among the streams.
func (c *Core) share(now time.Time) {
	for _, s := range c.streams {
		s.forest.SetSlots(now, c.slots(s.info, s.source))
		s.forest.SetRoom(!s.source && c.hasRoom(s.info))
	}
}

// spareUpload is what is left for newcomers' past when the children have theirs. A
// source short of uplink has nothing left but that.
func (c *Core) spareUpload() float64 {
	if c.spent {
		return 1 // 0 is no limit, and children are on their way out
	}
	spare, least := c.cfg.Upload*(1-catchUpShare), c.cfg.Upload*catchUpShare
	for _, s := range c.streams {
		spare -= float64(s.forest.Fed()) * s.info.SlotRate()
		if s.source && c.slots(s.info, true) < overlay.Roots*s.info.Layout.N() {
			spare += c.cfg.Upload * catchUpShare
			least = c.cfg.Upload * (1 - stripe.SourceShare)
		}
	}
	return max(spare, least)
}

// announce signs our record if it is news, tells our neighbours, and spreads it.
func (c *Core) announce(now time.Time) {
	if c.announcer.IsDue(now) {
		c.renew(now)
	}
	if raw := c.announcer.Spread(now, len(c.book.All())); raw != nil {
		c.out = append(c.out, Advertise{Record: raw})
	}
}

// renew makes our record what it should be now.
func (c *Core) renew(now time.Time) {
	rec := membership.Record{Node: c.self, Addrs: c.cfg.Addrs}
	for _, s := range c.streams {
		if s.trial {
			continue
		}
		rec.Slots += c.slots(s.info, s.source)
		rec.Streams = append(rec.Streams, s.forest.Advert())
	}
	if rec.Slots == 0 && !c.cfg.Gossips {
		c.announcer.Silent(now)
		return // who gives nothing is no candidate, and nobody needs to know
	}
	raw := c.announcer.Announce(now, rec, len(c.book.All()))
	if raw == nil {
		return
	}
	hello := &overlay.Hello{Record: raw}
	for _, p := range c.peers {
		if p.pinned || !c.cfg.Gossips {
			c.out = append(c.out, Say{Peer: p.id, Msg: hello})
		}
	}
}
