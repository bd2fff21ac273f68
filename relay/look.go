package relay

import (
	"bytes"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// This file is for who wants to know what streams the pool has, and carries none: it
// asks those who say that they carry a stream for its info.

// Offer is what is known of a stream of the pool. Records say all but Info, and may lie.
type Offer struct {
	ID stripe.ID
	// Epoch is Info's, and what follows is of it. Without an Info it is Claimed, the newest
	// that any record tells of.
	Epoch, Claimed uint32

	Info   stripe.Info // signed by the source; the zero Info if nobody has told it
	Source bool        // a node says that it is the source
	Relays int         // nodes that say that they carry it and feed others, the source apart
	Free   int         // slots that all have left for children
	Homes  uint64      // bit i: somebody has stripe i as a home stripe
}

// looked is an info that came because we asked.
type looked struct {
	info stripe.Info
	at   time.Time // when it was last asked for
}

// offers lists the streams that undoubted records tell of, in the order of their IDs,
// at most maxOffers.
func (c *Core) offers() (all []Offer) {
	for _, e := range c.book.All() {
		if e.Doubted {
			continue
		}
		for _, k := range e.Streams {
			i, found := slices.BinarySearchFunc(all, k.Stream, func(o Offer, id stripe.ID) int { return bytes.Compare(o.ID[:], id[:]) })
			if !found {
				if len(all) == maxOffers {
					continue
				}
				all = slices.Insert(all, i, Offer{ID: k.Stream})
			}
			o := &all[i]
			o.Claimed = max(o.Claimed, k.Epoch)
			if told := c.looked[k.Stream].info.Epoch; told > 0 {
				o.Epoch = told // which the source has signed
			} else if o.Epoch < k.Epoch {
				*o = Offer{ID: o.ID, Epoch: k.Epoch, Claimed: o.Claimed}
			}
			if k.Epoch != o.Epoch {
				continue // of a run that is over, or was another, or never was
			}
			o.Free += k.Free
			o.Homes |= k.Homes
			if k.Source {
				o.Source = true
			} else {
				o.Relays++
			}
		}
	}
	for i := range all {
		if l, ok := c.looked[all[i].ID]; ok {
			all[i].Info = l.info
		}
	}
	return all
}

// look asks for the infos that are not known: one of those who say that they carry the
// newest run, which may be a lie, and one of all who carry a run that is not known. Who is
// not connected is dialled first.
func (c *Core) look(now time.Time) {
	asked := 0
	for _, o := range c.offers() {
		l := c.looked[o.ID]
		if o.Info.Epoch >= o.Claimed || asked == maxLooks || now.Sub(l.at) < lookAgain {
			continue
		}
		asked++
		l.at = now
		c.looked[o.ID] = l
		carriers := slices.DeleteFunc(slices.Clone(c.book.All()), func(e *membership.Entry) bool {
			k, ok := e.Carries(o.ID)
			return !ok || e.Doubted || k.Epoch <= o.Info.Epoch
		})
		c.rnd.Shuffle(len(carriers), func(i, j int) { carriers[i], carriers[j] = carriers[j], carriers[i] })
		newest := slices.IndexFunc(carriers, func(e *membership.Entry) bool {
			k, _ := e.Carries(o.ID)
			return k.Epoch == o.Claimed
		})
		carriers[0], carriers[newest] = carriers[newest], carriers[0]
		for _, e := range carriers[:min(2, len(carriers))] {
			if p := c.peer(e.Node); p != nil {
				c.question(p, o.ID)
			} else {
				c.dial(now, e.Node)
			}
		}
	}
}

// note keeps an info that was asked for.
func (c *Core) note(info stripe.Info) {
	l, ok := c.looked[info.Stream]
	if !ok || l.info.Epoch > info.Epoch || l.info.Epoch == info.Epoch && l.info.Seq >= info.Seq {
		return
	}
	l.info = info
	c.looked[info.Stream] = l
}

// forgetLooked drops the infos of streams of which no record tells any more.
func (c *Core) forgetLooked() {
	if len(c.looked) <= maxOffers {
		return
	}
	known := map[stripe.ID]looked{}
	for _, o := range c.offers() {
		if l, ok := c.looked[o.ID]; ok {
			known[o.ID] = l
		}
	}
	c.looked = known
}
