package relay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// slots is how many children a stream may have, the upload shared evenly: 0.85 of
// it, less an eighth that is kept for pull. A source that could not feed
// overlay.Roots relays a stripe so leaves pull to others, and a twentieth unused:
// k slots, and with them the stream, are more than they all.
func (c *Core) slots(info stripe.Info, source bool) int {
	most := c.cfg.Upload / float64(max(1, len(c.streams))) / info.SlotRate()
	slots := int(most * 0.85 * 0.875)
	if source {
		slots = max(slots, min(overlay.Roots*info.Layout.N(), int(most*stripe.SourceShare)),
			min(info.Layout.K, int(most*stripe.SourceMost)))
	}
	return slots
}

// hasRoom reports whether a relay may take k stripes besides its home stripes.
func (c *Core) hasRoom(info stripe.Info) bool {
	share := c.cfg.Download / float64(max(1, len(c.streams)))
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

// advertise signs and spreads our record when it changed.
func (c *Core) advertise(now time.Time) {
	if now.Before(c.advertNext) || !c.changed && now.Before(c.advertDue) {
		return
	}
	c.changed = false
	rec := membership.Record{Node: c.self, TTL: recordTTL, Addrs: c.cfg.Addrs}
	for _, s := range c.streams {
		a := s.forest.Advert()
		rec.Slots += c.slots(s.info, s.source)
		rec.Streams = append(rec.Streams, a)
	}
	if rec.Slots == 0 && !c.cfg.Gossips {
		c.advertDue = now.Add(advertiseAgain)
		return // who gives nothing is no candidate, and nobody needs to know
	}
	rec.Seq = c.advert.Seq
	if c.advertised && now.Before(c.advertDue) && sameRecord(rec, c.advert) {
		return
	}
	rec.Seq = max(uint64(now.UnixMilli()), c.advert.Seq+1)
	c.advert, c.advertRaw, c.advertised = rec, rec.Sign(c.cfg.Key), true
	c.advertNext, c.advertDue = now.Add(c.advertisePause()), now.Add(advertiseAgain)
	c.out = append(c.out, Advertise{Record: c.advertRaw})
	hello := &overlay.Hello{Record: c.advertRaw}
	for _, p := range c.peers {
		if p.pinned || !c.cfg.Gossips {
			c.out = append(c.out, Say{Peer: p.id, Msg: hello})
		}
	}
}

// advertisePause is the least time to our next record: the more there are of us,
// the less of gossip each may have.
func (c *Core) advertisePause() time.Duration {
	return min(max(advertiseEvery, time.Duration(len(c.book.All()))*advertiseEach), advertiseMost)
}

// sameRecord reports whether two of our records tell others the same: that a few
// slots more or fewer are free changes nobody's mind, but none or some does.
func sameRecord(a, b membership.Record) bool {
	return a.Slots == b.Slots && slices.EqualFunc(a.Streams, b.Streams, func(x, y membership.Carried) bool {
		few := max(1, a.Slots/8)
		near := x.Free-y.Free <= few && y.Free-x.Free <= few && (x.Free == 0) == (y.Free == 0)
		x.Free, y.Free = 0, 0
		return near && x == y
	})
}
