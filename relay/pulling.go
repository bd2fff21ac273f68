package relay

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/stripe"
)

// This file joins a stream to its pull.Puller: what came is told to it, what it
// wants is carried out.

func (c *Core) newPuller(now time.Time, s *stream) *pull.Puller {
	p := pull.New(now, pull.Config{
		Self: c.self, Info: s.info, Pulls: s.play, Stripes: s.forest.Carried(),
		Delay: c.cfg.Back, Store: holdings{s}, Meter: meter{c.serving, c.past, s.cap},
	}, c.book, c.rnd)
	for _, at := range c.peers {
		p.Up(now, at.id)
	}
	return p
}

// holdings is what the window holds, for a Puller.
type holdings struct{ *stream }

func (h holdings) Holds(number uint64) (stripes uint64, size int) {
	stripes, size = h.offered(number), h.typical()
	if b := h.window.at(number); b != nil && b.have != 0 {
		stripes |= b.have
		size = len(b.shards[bits.TrailingZeros64(b.have)].Encoded())
	}
	return stripes, size
}

// meter is the upload for what neighbours pull: a share of it, and of what the
// children leave, which it has in common with newcomers' past, and what the stream's cap leaves. Without upload nothing
// is served.
type meter struct{ share, left, cap *Bucket }

func (m meter) Wait(now time.Time, n int) time.Duration {
	if m.share.Rate() == 0 {
		return time.Hour
	}
	return max(m.share.Wait(now, n), m.left.Wait(now, n), m.cap.Wait(now, onWire(n)))
}

func (m meter) Take(now time.Time, n int) time.Duration {
	return max(m.share.Take(now, n), m.left.Take(now, n), m.cap.Take(now, onWire(n)))
}

// stepPull does what is due of pull.
func (c *Core) stepPull(now time.Time, s *stream) {
	if s.pull == nil {
		return
	}
	if !now.Before(s.lookAt) {
		s.lookAt = now.Add(lookEvery)
		s.pull.Silent(s.forest.Silent(now))
		s.pull.SetStripes(s.stripesTold())
		s.pull.Ancestors(s.forest.Ancestors())
	}
	s.pull.Step(now)
	c.drainPull(now, s)
}

// drainPull turns a Puller's outputs into ours.
func (c *Core) drainPull(now time.Time, s *stream) {
	for _, o := range s.pull.Take() {
		switch o := o.(type) {
		case pull.Say:
			c.out = append(c.out, Say{Peer: o.To, Msg: o.Msg})
		case pull.Serve:
			c.serve(s, o)
		case pull.Taken:
			c.taken(s, o.Number)
		case pull.Absent:
			c.absent(s, o.Number)
		case pull.Dial:
			c.dial(now, o.Peer)
		case pull.Hangup:
			c.hangup(now, o.Peer, o.Reason)
		default:
			panic(fmt.Sprintf("relay: pull wants %T", o))
		}
	}
}

// heardPull takes a message of pull. Who would be a neighbour in a stream that we do
// not carry is told no.
func (c *Core) heardPull(now time.Time, from membership.NodeID, tag stripe.Tag, m overlay.Message) {
	if s := c.streamByTag(tag); s != nil && s.pull != nil {
		if _, asks := m.(*overlay.Want); asks {
			s.pull.Rides(from, !s.forest.Gives(now, from))
		}
		s.pull.Heard(now, from, m)
	} else if w, ok := m.(*overlay.Window); ok && w.Ask {
		c.out = append(c.out, Say{Peer: from, Msg: &overlay.Part{Tag: tag}})
	}
}

// got tells pull of a genuine shard, and reports whether it came because it was
// asked for.
func (s *stream) got(now time.Time, from membership.NodeID, shard *stripe.Shard) bool {
	return s.pull != nil && s.pull.Got(now, from, shard.Number, shard.Index, shard.SourceTime)
}

// mayFeed notes that a peer has reason to feed us for a while: it is asked to, or just
// told not to any more.
func (c *Core) mayFeed(now time.Time, o overlay.Send) {
	switch o.Msg.(type) {
	case *overlay.Subscribe, *overlay.Leave:
		if p := c.peer(o.To); p != nil {
			p.fed = now
		}
	}
}

// unasked reports whether a shard is not to be looked at: its sender neither feeds us
// nor was asked for it. What a parent sent before it knew that it is none any more is
// on its way for a while.
func (s *stream) unasked(now time.Time, p *peer, shard *stripe.Shard) bool {
	if s.pull == nil || now.Sub(p.fed) < formerTime || s.pull.Expects(p.id, shard.Number, shard.Index) {
		return false
	}
	s.pull.Unasked(now, p.id)
	return true
}
