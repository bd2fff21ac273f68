package relay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// feed begins, or begins again, to send a child one stripe.
func (s *stream) feed(now time.Time, o overlay.Feed) {
	f := feed{child: o.Child, next: o.From, catching: true, due: now}
	if o.Fresh {
		f.next = s.window.start(o.Stripe, o.Back.Milliseconds())
	}
	f.next = max(f.next, s.window.low)
	for i := range s.feeds[o.Stripe] {
		if s.feeds[o.Stripe][i].child == o.Child {
			s.feeds[o.Stripe][i] = f
			return
		}
	}
	s.feeds[o.Stripe] = append(s.feeds[o.Stripe], f)
}

func (s *stream) starve(o overlay.Starve) {
	s.feeds[o.Stripe] = slices.DeleteFunc(s.feeds[o.Stripe], func(f feed) bool { return f.child == o.Child })
}

func (s *stream) removePeer(id membership.NodeID) {
	for i := range s.feeds {
		s.feeds[i] = slices.DeleteFunc(s.feeds[i], func(f feed) bool { return f.child == id })
	}
}

// passOn sends a shard that was just accepted to the children of its stripe. One
// that is catching up will come to it in its turn.
func (s *stream) passOn(now time.Time, shard *stripe.Shard, out *[]Output) {
	expires := now.Add(max(queueWait, 3*s.info.BlockTime))
	for i := range s.feeds[shard.Index] {
		f := &s.feeds[shard.Index][i]
		if f.catching && shard.Number >= f.next {
			continue
		}
		*out = append(*out, Forward{Peer: f.child, Shard: shard, Expires: expires})
	}
}

// catchUp sends children that began in the past a little more of it.
func (s *stream) catchUp(now time.Time, out *[]Output) {
	for i := range s.feeds {
		for j := range s.feeds[i] {
			f := &s.feeds[i][j]
			if !f.catching || now.Before(f.due) {
				continue
			}
			f.due = now.Add(s.info.BlockTime / 4)
			f.next = max(f.next, s.window.low)
			for sent := 0; sent < catchUpBatch && s.window.started && f.next <= s.window.head; f.next++ {
				if b := s.window.at(f.next); b != nil && b.have>>i&1 == 1 {
					*out = append(*out, Forward{Peer: f.child, Shard: b.shards[i], Expires: now.Add(catchUpWait)})
					sent++
				}
			}
			f.catching = s.window.started && f.next <= s.window.head
		}
	}
}

// sooner is the earlier of at and when the stream next has something to do. A
// zero at stands for never.
func (s *stream) sooner(at time.Time) time.Time {
	consider := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if t, ok := s.forest.Deadline(); ok {
		consider(t)
	}
	if !s.goneAt.IsZero() {
		consider(s.goneAt)
	}
	for i := range s.feeds {
		for j := range s.feeds[i] {
			if f := &s.feeds[i][j]; f.catching {
				consider(f.due)
			}
		}
	}
	return at
}
