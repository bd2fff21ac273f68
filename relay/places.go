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

// hasPlace sees to a place for a stream of which our store has so many blocks.
func (c *Core) hasPlace(now time.Time, id stripe.ID, blocks uint64) bool {
	wanted := 0 // by their names
	for _, want := range c.wants {
		if slices.Contains(c.cfg.Streams, want) {
			if want == id {
				return true
			}
			wanted++
		}
	}
	if !c.cfg.Any || len(c.cfg.Allow) > 0 && !slices.Contains(c.cfg.Allow, id) {
		return false
	}
	return len(c.streams)+wanted < MaxStreams || c.vacate(now, blocks/nextToNothing) && len(c.streams)+wanted < MaxStreams
}

// vacate reports whether there is a place. A stream that rests, and of which we have no
// more than some blocks, gives its own up.
func (c *Core) vacate(now time.Time, blocks uint64) bool {
	return len(c.streams) < MaxStreams || c.displace(now, func(s *stream) bool { return s.past.kept <= blocks })
}

// displace closes the first stream of some that rests and that nobody here reads.
func (c *Core) displace(now time.Time, of func(*stream) bool) bool {
	i := slices.IndexFunc(c.streams, func(s *stream) bool { return s.past.resting && !s.fetching() && of(s) })
	if i < 0 {
		return false
	}
	c.dropStream(now, c.streams[i])
	return true
}

func (s *stream) rests() bool { return s.past.resting }

// makePlace sees to a place for a stream that is not carried for its past. On trial: it
// is beside the others until it has shown that it is live.
func (c *Core) makePlace(now time.Time, own bool) (onTrial, ok bool) {
	switch {
	case c.vacate(now, 0):
		return false, true
	case own:
		return false, c.displace(now, (*stream).rests)
	}
	return true, len(c.streams) == MaxStreams && slices.ContainsFunc(c.streams, (*stream).rests)
}

// endTrial gives the stream on trial a place if something live has come of it, and puts
// it out if nothing does, or if there is no place any more.
func (c *Core) endTrial(now time.Time) {
	i := slices.IndexFunc(c.streams, func(s *stream) bool { return s.trial })
	if i < 0 {
		return
	}
	s := c.streams[i]
	comes := s.window.started
	switch {
	case len(c.streams) <= MaxStreams, comes && c.displace(now, (*stream).rests):
		s.trial, c.moved = false, true
		c.share(now)
	case !comes && now.Sub(s.liveAt) < trialTime:
	default:
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
