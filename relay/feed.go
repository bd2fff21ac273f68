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
	f := feed{child: o.Child, fresh: o.Fresh, paced: !o.Fresh && s.pull != nil, next: o.From, due: now}
	if s.window.started {
		f.live = s.window.head + 1
	}
	if o.Fresh {
		f.next = s.window.start(o.Stripe, o.Back.Milliseconds())
		f.until = now.Add(max(o.Back, freshMin))
	}
	f.next = max(f.next, s.window.low)
	if span := uint64(resumeSpan / s.info.BlockTime); !f.fresh && f.live > f.next+span {
		f.fresh, f.until = true, now.Add(resumeSpan)
	}
	for i := range s.feeds[o.Stripe] {
		if old := &s.feeds[o.Stripe][i]; old.child == o.Child {
			if old.catching() {
				// Asking again sends nothing twice, and nothing sooner.
				f.next, f.live, f.due = max(f.next, old.next), min(f.live, old.live), old.due
			}
			f.sent = old.sent
			f.fresh, f.until = true, now.Add(resumeSpan)
			*old = f
			return
		}
	}
	s.feeds[o.Stripe] = append(s.feeds[o.Stripe], f)
}

func (s *stream) starve(o overlay.Starve) {
	s.gave(o.Child)
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
		if shard.Number >= f.next && shard.Number < f.live {
			continue
		}
		if s.maySend(now, len(shard.Encoded())) {
			*out = append(*out, Forward{Peer: f.child, Shard: shard, Expires: expires})
		}
	}
}

// catchUp sends children that began in the past a little more of it. Who changed
// its parent misses little, and gets it in a moment, oldest first. If, with pull, it asks for more than can
// have been missed while it did, it gets the newest of that first, for they are wanted within
// moments, and the rest at resumePace, so that it is no burst that pushes live shards
// out of the child's queue: often it has all of that but a block. A newcomer gets it
// newest first, so that what it has is without holes whenever it starts to play;
// it is metered, for it must not delay what is live. The stripes take turns.
func (s *stream) catchUp(now time.Time, meter *Bucket, out *[]Output) {
	n, first := len(s.feeds), s.turn
	for i := range n {
		at := (first + i) % n
		for j := range s.feeds[at] {
			f := &s.feeds[at][j]
			if !f.catching() || now.Before(f.due) {
				continue
			}
			if f.next = max(f.next, s.window.low); f.fresh && !now.Before(f.until) {
				f.next = f.live // the rest is too old to be of use
			}
			f.due = now.Add(s.info.BlockTime / 4)
			if wait := s.sendPast(now, at, f, meter, out); wait > 0 {
				f.due = now.Add(max(wait, s.info.BlockTime/4))
			}
			s.turn = at + 1
		}
	}
}

// sendPast sends a child some of a stripe's past, and says how long to wait if that is
// longer than usual.
func (s *stream) sendPast(now time.Time, stripe int, f *feed, meter *Bucket, out *[]Output) (wait time.Duration) {
	for sent := 0; sent < catchUpBatch && f.catching(); {
		number, newest := f.next, f.fresh || f.paced && f.sent < resumeNewest && f.live-f.next > uint64(resumeNewest-f.sent)
		if newest {
			number = f.live - 1
		}
		b := s.window.at(number)
		has := b != nil && b.have>>stripe&1 == 1
		if has {
			shard := b.shards[stripe]
			size := len(shard.Encoded())
			if wait := s.cap.Wait(now, 0); wait > 0 {
				return wait // what is live goes before
			}
			wait := max(meter.Wait(now, size), s.cap.Wait(now, onWire(size)))
			if wait > resumeDebt || f.fresh && wait > 0 {
				return wait
			}
			meter.Take(now, size)
			s.cap.Take(now, onWire(size))
			*out = append(*out, Forward{Peer: f.child, Shard: shard, Expires: now.Add(catchUpWait)})
			sent++
			f.sent++
		}
		if newest {
			f.live--
		} else {
			f.next++
		}
		if has && f.paced && f.sent >= resumeNewest {
			return time.Duration(float64(s.info.BlockTime) / resumePace)
		}
	}
	return 0
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
	if s.pull != nil {
		consider(s.pull.Deadline())
	}
	if !s.goneAt.IsZero() {
		consider(s.goneAt)
	}
	for i := range s.feeds {
		for j := range s.feeds[i] {
			if f := &s.feeds[i][j]; f.catching() {
				consider(f.due)
			}
		}
	}
	return at
}
