package relay

import (
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/stripe"
)

// Status is what a participant can tell of itself at one moment.
type Status struct {
	Node    membership.NodeID
	Peers   int // connected
	Known   int // relays known: records in the book that nobody doubts
	Streams []StreamStatus
	Pool    []Offer // what the pool has, if we look
	Monthly uint64  // Config.Monthly
	Month   Month   // what was sent in it, if Monthly bounds that
	Spent   bool    // all that may be is: nobody is fed before the next month
}

// StreamStatus is what it can tell of one stream.
type StreamStatus struct {
	Info    stripe.Info
	Source  bool
	Ended   bool // the last block is known
	Head    uint64
	Started bool // at least one block is held
	Live    int  // stripes fed by a live parent
	// Spare is how many parents may vanish unnoticed: Live less k for who plays.
	// A relay that does not play can spare none: it is Live less the stripes wanted.
	Spare    int
	Stripes  []StripeStatus
	Children int
	Slots    int
	Window   int // bytes held
	Counters Counters

	Neighbours int // with whom shards are pulled
	Pull       pull.Counters

	Crowd   overlay.Crowd    // who else takes part
	Changes []overlay.Change // of parents, the last ones, oldest first
}

// StripeStatus is our place in one stripe.
type StripeStatus struct {
	Stripe   int
	Parent   membership.NodeID // zero if none
	Depth    int
	Live     bool
	Home     bool
	Made     bool // made here: the source feeds it to nobody
	Wanted   bool
	Children int

	Fed   []membership.NodeID  // the children
	Path  []membership.ShortID // from the source to the parent; nobody changes it
	RTT   time.Duration        // to the parent; 0 if it is not known
	Lag   time.Duration        // behind the first stripe
	Slow  bool                 // the lag is more than a parent may have
	Cover overlay.Cover        // what others give to it
}

// fed is the children of a stripe, in the order in which they came.
func (s *stream) fed(stripe int) (ids []membership.NodeID) {
	for _, f := range s.feeds[stripe] {
		ids = append(ids, f.child)
	}
	return ids
}

// Status tells how things stand.
func (c *Core) Status(now time.Time) Status {
	st := Status{Node: c.self, Peers: len(c.peers)}
	for _, e := range c.book.All() {
		if !e.Doubted {
			st.Known++
		}
	}
	if c.cfg.Monthly > 0 {
		st.Monthly, st.Month, st.Spent = c.cfg.Monthly, c.month, c.spent
	}
	if c.cfg.Look {
		st.Pool = c.offers()
	}
	for _, s := range c.streams {
		st.Streams = append(st.Streams, s.status(now, c.slots(s.info, s.source)))
	}
	return st
}

func (s *stream) status(now time.Time, slots int) StreamStatus {
	st := StreamStatus{
		Info: s.info, Source: s.source, Ended: s.ended,
		Head: s.window.head, Started: s.window.started, Window: s.window.bytes,
		Children: s.forest.Children(), Slots: slots, Counters: s.stats,
		Crowd: s.forest.Crowd(), Changes: s.forest.Changes(),
	}
	if s.pull != nil {
		st.Neighbours, st.Pull = len(s.pull.Neighbours()), s.pull.Counters()
	}
	wanted := 0
	for i := range s.info.Layout.N() {
		b := s.forest.Branch(now, i)
		if b.Live {
			st.Live++
		}
		wants := s.forest.Wants(i) && !b.Made
		if wants {
			wanted++
		}
		st.Stripes = append(st.Stripes, StripeStatus{
			Stripe: i, Parent: b.Parent, Depth: b.Depth, Live: b.Live, Home: b.Home, Made: b.Made,
			Wanted: wants, Children: len(s.feeds[i]),
			Fed: s.fed(i), Path: b.Path, RTT: b.RTT, Lag: b.Lag, Slow: b.Slow, Cover: s.forest.Cover(i),
		})
	}
	st.Spare = st.Live - s.info.Layout.K
	if !s.play && !s.source {
		st.Spare = st.Live - wanted
	}
	return st
}
