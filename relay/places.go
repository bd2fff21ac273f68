package relay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// This file says which streams have a place. What is live goes before what our store
// has the past of, but it must be live: whoever knows how to sign an info can have it
// told by a record, and a recording must not be put out for that. So where all places
// are taken a further stream is on trial beside them, one at a time, until something of
// it comes that its source has made.

// barren is a stream of which nothing came while it was on trial.
type barren struct {
	stream stripe.ID
	until  time.Time
}

// carry opens a stream because our store holds something of it. It takes no place that
// is wanted for a stream that we were told to carry by its name; but that of one which
// rests and is next to nothing beside it, as somebody's who has sent a block to have it.
func (c *Core) carry(now time.Time, in Carry) {
	info, err := stripe.OpenInfo(in.Info)
	if err != nil {
		return
	}
	s := c.stream(info.Stream)
	if s == nil && !c.isPast(info.Stream, info.Epoch) && c.hasPlace(now, info.Stream, in.Blocks) {
		c.openStream(now, info, in.Info, false)
		s = c.stream(info.Stream)
	}
	if s == nil || s.info.Epoch != info.Epoch || s.source || s.trial {
		return
	}
	s.past.kept = max(in.Blocks, 1)
	if !s.window.started { // somebody may have been quicker to tell of it
		c.rest(now, s, true)
	}
}

// free is how many places are left. A stream on trial has none.
func (c *Core) free() int {
	n := MaxStreams
	for _, s := range c.streams {
		if !s.trial {
			n--
		}
	}
	return n
}

// named reports whether we were told to carry a stream by its name.
func (c *Core) named(id stripe.ID) bool { return slices.Contains(c.cfg.Streams, id) }

// allowed reports whether a stream may be taken up that we were not told to carry.
func (c *Core) allowed(id stripe.ID) bool {
	return !slices.Contains(c.cfg.Deny, id) && (len(c.cfg.Allow) == 0 || slices.Contains(c.cfg.Allow, id))
}

// permit takes other lists of streams that may be, and leaves those that may not. What
// is wanted is looked through whenever something is asked (wantAny).
func (c *Core) permit(now time.Time, in Permit) {
	c.cfg.Allow, c.cfg.Deny = slices.Clone(in.Allow), slices.Clone(in.Deny)
	for i := 0; i < len(c.streams); {
		s := c.streams[i]
		if s.source || c.named(s.info.Stream) || c.allowed(s.info.Stream) {
			i++
			continue
		}
		c.dropStream(now, s)
	}
	c.share(now)
}

// hasPlace sees to a place for a stream of which our store has so many blocks. None is
// put out for it whose place it would not get.
func (c *Core) hasPlace(now time.Time, id stripe.ID, blocks uint64) bool {
	free := c.free()
	for _, want := range c.wants {
		switch {
		case !c.named(want):
		case want == id:
			return true
		default:
			free--
		}
	}
	if !c.cfg.Any || !c.allowed(id) {
		return false
	}
	return free > 0 || free == 0 && c.displace(now, func(s *stream) bool {
		return s.past.kept <= blocks/nextToNothing && !c.named(s.info.Stream)
	})
}

// displaceable is the first stream of some that rests and that nobody here reads, or -1.
func (c *Core) displaceable(of func(*stream) bool) int {
	return slices.IndexFunc(c.streams, func(s *stream) bool {
		return s.past.resting && !s.trial && !s.fetching() && of(s)
	})
}

// displace closes it.
func (c *Core) displace(now time.Time, of func(*stream) bool) bool {
	i := c.displaceable(of)
	if i >= 0 {
		c.dropStream(now, c.streams[i])
	}
	return i >= 0
}

func (s *stream) rests() bool { return s.past.resting }
func (s *stream) empty() bool { return s.past.kept == 0 }

// makePlace sees to a place for a stream that is not carried for its past. On trial: it
// is beside the others until it has shown that it is live.
func (c *Core) makePlace(now time.Time, own bool) (onTrial, ok bool) {
	switch {
	case c.free() > 0, c.displace(now, (*stream).empty), own && c.displace(now, (*stream).rests):
		return false, true
	}
	return true, !own && c.onTrial() == nil && c.displaceable((*stream).rests) >= 0
}

// onTrial is the stream that is, or nil.
func (c *Core) onTrial() *stream {
	if i := slices.IndexFunc(c.streams, func(s *stream) bool { return s.trial }); i >= 0 {
		return c.streams[i]
	}
	return nil
}

// endTrial gives the stream on trial a place if something live has come of it, and puts
// it out if nothing does, or if there is no place any more.
func (c *Core) endTrial(now time.Time) {
	s := c.onTrial()
	if s == nil {
		return
	}
	comes := s.window.started
	switch {
	case c.free() > 0, comes && c.displace(now, (*stream).rests):
		s.trial, c.moved = false, true
		c.share(now)
	case comes:
		c.dropStream(now, s) // it may be tried again
	case now.Sub(s.liveAt) >= trialTime:
		c.dropStream(now, s)
		c.barren = slices.DeleteFunc(c.barren, func(b barren) bool { return !now.Before(b.until) })
		c.barren = append(c.barren, barren{s.info.Stream, now.Add(barrenTime)})
		c.barren = c.barren[max(0, len(c.barren)-maxBarren):]
	}
}

// isBarren reports whether nothing of a stream came when it was tried not long ago.
func (c *Core) isBarren(now time.Time, id stripe.ID) bool {
	return slices.ContainsFunc(c.barren, func(b barren) bool { return b.stream == id && now.Before(b.until) })
}

// busy is how many streams there are of which something live comes, or may.
func (c *Core) busy() (n int) {
	for _, s := range c.streams {
		if !s.past.resting && !s.trial {
			n++
		}
	}
	return n
}
