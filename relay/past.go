package relay

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/stripe"
)

// This file is the past of a stream: what our store holds of it is offered to
// neighbours, and what somebody here wants to see again is fetched from theirs. It
// stays apart from the window: no shard of the past moves that, is passed on, or says
// anything to the forest.

// past is what a participant keeps of a stream's past.
type past struct {
	stored  []Stretch // what our store holds, ascending
	kept    uint64    // how many blocks it holds something of, for all that we were told
	headers bool      // that is all that is fetched
	blocks  []*block  // being fetched, at most pull.MaxAhead; by number
	head    uint64    // of the window, when something newer last came
	resting bool      // carried for what the store holds: nothing live comes
}

func (p *past) at(number uint64) *block {
	for _, b := range p.blocks {
		if b.Number == number {
			return b
		}
	}
	return nil
}

func (p *past) drop(b *block) {
	p.blocks = slices.DeleteFunc(p.blocks, func(o *block) bool { return o == b })
}

// handlePast takes the inputs about the past.
func (c *Core) handlePast(now time.Time, in Input) {
	switch in := in.(type) {
	case Carry:
		c.carry(now, in)
	case Stored:
		if s := c.streamOf(in.Stream, in.Epoch); s != nil {
			n := len(in.Stretches)
			s.past.stored = slices.Clone(in.Stretches[max(0, n-MaxStretches):])
			if n == 0 {
				s.past.kept = 0
			} else {
				s.past.kept = max(s.past.kept, 1)
			}
			s.lookAt = now // neighbours are told of it
		}
	case Fetch:
		c.fetch(now, in)
	case StopFetch:
		if s := c.stream(in.Stream); s != nil && s.pull != nil {
			s.pull.StopFetch(now)
			s.past.blocks = nil
		}
	case Lost:
		if s := c.streamOf(in.Stream, in.Epoch); s != nil && s.pull != nil {
			s.pull.Lost(in.Peer, in.Number, in.Stripe, in.Busy)
		}
	case Larger:
		meter{c.serving, c.past, &Bucket{}}.Take(now, in.Bytes)
	default:
		panic(fmt.Sprintf("relay: input %T", in))
	}
}

func (c *Core) streamOf(id stripe.ID, epoch uint32) *stream {
	if s := c.stream(id); s != nil && s.info.Epoch == epoch {
		return s
	}
	return nil
}

// rest begins or ends the rest of a stream.
func (c *Core) rest(now time.Time, s *stream, on bool) {
	if s.past.resting != on {
		s.past.resting, c.moved = on, true
		c.share(now)
	}
}

// doze lets a stream rest of which nothing has come for long.
func (c *Core) doze(now time.Time, s *stream) {
	if !s.source && !s.past.resting && now.Sub(s.liveAt) >= restAfter {
		c.rest(now, s, true)
	}
}

// cameLive ends that, if what came is newer than all before.
func (c *Core) cameLive(now time.Time, s *stream) {
	if s.window.head == s.past.head {
		return
	}
	s.past.head, s.liveAt = s.window.head, now
	if !s.ended {
		c.rest(now, s, false)
	}
}

// isOver takes a stream that has been over for a while: it is closed, or rests if
// something of it may still be had here.
func (c *Core) isOver(now time.Time, s *stream) (closed bool) {
	s.goneAt = time.Time{}
	if len(s.past.stored) > 0 || s.fetching() {
		c.rest(now, s, true)
		return false
	}
	c.closeStream(now, s)
	return true
}

// fetching reports whether somebody here wants something of the stream's past.
func (s *stream) fetching() bool {
	if s.pull == nil {
		return false
	}
	_, on := s.pull.Fetching()
	return on
}

// seekNewer asks one of those who say that they have a later run of a stream about it,
// for its info may not have found its way here.
func (c *Core) seekNewer(now time.Time, s *stream) {
	if s.source || now.Before(s.newerAt) {
		return
	}
	s.newerAt = now.Add(newerEvery)
	var newer []membership.NodeID
	for _, e := range c.book.All() {
		if k, ok := e.Carries(s.info.Stream); ok && k.Epoch > s.info.Epoch && !e.Doubted {
			newer = append(newer, e.Node)
		}
	}
	if len(newer) == 0 {
		return
	}
	id := newer[c.rnd.IntN(len(newer))]
	if p := c.peer(id); p != nil {
		c.question(p, s.info.Stream)
	} else {
		c.dial(now, id)
	}
}

// isLive reports whether a block is of the part of the window that came live.
func (s *stream) isLive(number uint64) bool {
	return s.window.started && number >= max(s.window.first, s.window.low)
}

// offered is which shards of a block our store should have. What came live and is
// still in the window is known better from there.
func (s *stream) offered(number uint64) (stripes uint64) {
	if s.isLive(number) {
		return 0
	}
	for _, st := range s.past.stored {
		if number >= st.First && number <= st.Last {
			stripes |= st.Stripes
		}
	}
	if s.play && stripes != 0 {
		return 1<<s.info.Layout.N() - 1 // any of them may be there
	}
	return stripes
}

// stripesTold is what neighbours are told that we have, of all blocks that we offer:
// what we carry, or, of a stream that rests, what our store has of its newest stretch.
func (s *stream) stripesTold() uint64 {
	if n := len(s.past.stored); s.past.resting && n > 0 {
		return s.past.stored[n-1].Stripes
	}
	return s.forest.Carried()
}

// Runs are the stretches of the store that have most of the stripes that neighbours
// are told of.
func (h holdings) Runs() (runs []overlay.Run) {
	told := h.stripesTold()
	for _, st := range h.past.stored {
		if !h.play && 2*bits.OnesCount64(st.Stripes&told) < bits.OnesCount64(told) {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].Last+1 >= st.First {
			runs[n-1].Last = max(runs[n-1].Last, st.Last)
		} else {
			runs = append(runs, overlay.Run{First: st.First, Last: st.Last})
		}
	}
	return runs[max(0, len(runs)-overlay.MaxRuns):]
}

func (h holdings) Here(number uint64) uint64 {
	if b := h.window.at(number); b != nil {
		return b.have
	}
	return 0
}

// typical is how many bytes a shard of the stream has, about.
func (s *stream) typical() int {
	return int(s.info.SlotRate() / 8 * s.info.BlockTime.Seconds())
}

// serve sends a neighbour a shard, from the window or from the store.
func (c *Core) serve(s *stream, o pull.Serve) {
	if b := s.window.at(o.Number); b != nil && b.have>>o.Stripe&1 == 1 {
		s.gave(o.To)
		c.out = append(c.out, Forward{Peer: o.To, Shard: b.shards[o.Stripe], Expires: o.Expires, Pulled: true})
		return
	}
	if s.offered(o.Number)>>o.Stripe&1 == 1 {
		c.out = append(c.out, Recall{
			Peer: o.To, Stream: s.info.Stream, Epoch: s.info.Epoch,
			Number: o.Number, Stripe: o.Stripe, Expires: o.Expires, Paid: s.typical(),
		})
		return
	}
	s.pull.Lost(o.To, o.Number, o.Stripe, false)
}

// serveShare is the share of the upload that neighbours may pull. While nothing is
// live nothing else needs it.
func (c *Core) serveShare() float64 {
	if len(c.streams) > 0 && c.busy() == 0 {
		return restShare
	}
	return pull.ServeShare
}

// fetch has a stretch of the past fetched.
func (c *Core) fetch(now time.Time, in Fetch) {
	s := c.stream(in.Stream)
	if s == nil || s.pull == nil || !s.play || s.source {
		return
	}
	s.past.headers = in.Headers
	s.pull.Fetch(now, pull.History{From: in.From, Upto: in.Upto, Pace: in.Pace, Ahead: in.Ahead, Headers: in.Headers})
	s.past.blocks = slices.DeleteFunc(s.past.blocks, func(b *block) bool { return !s.pull.Fetches(b.Number) })
}

// taken begins with a block of the past. What the window has of it need not come; if
// that is enough nothing is to be done.
func (c *Core) taken(s *stream, number uint64) {
	b := &block{Header: stripe.Header{Number: number}, shards: make([]*stripe.Shard, s.info.Layout.N()), old: true}
	if w := s.window.at(number); w != nil {
		b.Header, b.proof, b.have = w.Header, w.proof, w.have
		copy(b.shards, w.shards)
	}
	switch {
	case s.past.headers && b.have != 0:
		c.out = append(c.out, Found{Header: b.Header})
	case b.count() >= s.info.Layout.K:
		c.out = append(c.out, Rebuild{Coder: s.coder, Shards: b.shards, Old: true})
	case s.past.at(number) == nil && len(s.past.blocks) < pull.MaxAhead:
		s.past.blocks = append(s.past.blocks, b)
	}
}

// ofPast reports whether a shard came because it was asked for as one of the past, of
// a parent too. It may come when it is not wanted any more, and must not begin a window
// then.
func (s *stream) ofPast(from membership.NodeID, number uint64, i int) bool {
	return s.pull != nil && !s.isLive(number) && s.pull.Expects(from, number, i)
}

// arrivedOld takes a shard of the past as far as its check.
func (c *Core) arrivedOld(now time.Time, s *stream, p *peer, shard *stripe.Shard) {
	b := s.past.at(shard.Number)
	if b == nil {
		s.stats.Stale++
		s.pull.GotOld(now, p.id, shard.Number, shard.Index)
		return
	}
	bit := uint64(1) << shard.Index
	switch {
	case b.have&bit != 0:
		s.stats.Twice++
		s.pull.GotOld(now, p.id, shard.Number, shard.Index)
		return
	case b.asked&bit != 0 && b.proof != nil:
		b.wait(Arrived{Peer: p.id, Shard: shard.Encoded()})
		return
	}
	c.check(now, s, b, p, shard)
}

// checkedOld takes the verdict on a shard of the past.
func (c *Core) checkedOld(now time.Time, s *stream, in Checked) {
	b := s.past.at(in.Shard.Number)
	if b == nil {
		return // it is not wanted any more
	}
	if c.genuine(now, s, b, in) {
		if b.proof == nil {
			b.proof, b.Header = &Proof{in.Shard.Header, in.Root, in.Shard.Sig}, in.Shard.Header
		}
		s.pull.GotOld(now, in.Peer, in.Shard.Number, in.Shard.Index)
		c.acceptOld(now, s, b, in.Shard)
	}
	c.checkWaiting(now, s, b)
}

// acceptOld takes a genuine shard of the past.
func (c *Core) acceptOld(now time.Time, s *stream, b *block, shard *stripe.Shard) {
	if b.have>>shard.Index&1 == 1 {
		return
	}
	s.stats.Fetched++
	b.shards[shard.Index] = shard
	b.have |= 1 << shard.Index
	switch {
	case s.past.headers:
		s.past.drop(b)
		s.pull.Fetched(now, b.Number)
		c.out = append(c.out, Found{Header: b.Header})
	case b.rebuild == notRebuilt && b.count() >= s.info.Layout.K:
		b.rebuild = rebuilding
		c.out = append(c.out, Rebuild{Coder: s.coder, Shards: slices.Clone(b.shards), Old: true})
	}
}

// alsoOld gives a shard that came live to the past, if that fetches its block.
func (c *Core) alsoOld(now time.Time, s *stream, live *block, shard *stripe.Shard) {
	b := s.past.at(shard.Number)
	if b == nil || live.proof == nil || b.proof != nil && *b.proof != *live.proof {
		return
	}
	b.proof, b.Header = live.proof, live.Header
	c.acceptOld(now, s, b, shard)
}

// rebuiltOld hands on a block of the past. Its first k shards are kept, so that it need
// not be fetched again: those that came may be some others, but these are the block as
// it is.
func (c *Core) rebuiltOld(now time.Time, s *stream, in Rebuilt) {
	b := s.past.at(in.Number)
	if b != nil {
		s.past.drop(b)
		s.pull.Fetched(now, in.Number)
	}
	if in.Shards == nil {
		s.stats.Nonsense++
		c.out = append(c.out, Absent{Stream: s.info.Stream, Epoch: s.info.Epoch, Number: in.Number})
		return
	}
	k := s.info.Layout.K
	if w := s.window.at(in.Number); c.cfg.Keep && (w == nil || w.count() < k) {
		for _, shard := range in.Shards[:k] {
			c.out = append(c.out, Keep{Shard: shard})
		}
	}
	c.out = append(c.out, Recovered{Header: in.Shards[0].Header, Data: in.Data})
}

// absent passes over a block of the past.
func (c *Core) absent(s *stream, number uint64) {
	if b := s.past.at(number); b != nil {
		s.past.drop(b)
	}
	c.out = append(c.out, Absent{Stream: s.info.Stream, Epoch: s.info.Epoch, Number: number})
}

// Extent is the stretch of a stream that can be had.
type Extent struct {
	First, Last uint64
	From, To    int64 // source times of them, in Unix ms; 0 if not known
	Live        bool  // new blocks come
}

// Extent is the newest stretch of a stream of which enough is here, in the window or
// in the store, or with neighbours.
func (c *Core) Extent(now time.Time, id stripe.ID) (e Extent, ok bool) {
	s := c.stream(id)
	if s == nil {
		return e, false
	}
	join := func(first, last uint64) {
		switch {
		case !ok, first > e.Last+extentGap:
			e.First, e.Last, ok = first, last, true
		case last+extentGap >= e.First:
			e.First, e.Last = min(e.First, first), max(e.Last, last)
		}
	}
	for _, st := range s.past.stored {
		if bits.OnesCount64(st.Stripes) >= s.info.Layout.K || s.play {
			join(st.First, st.Last)
		}
	}
	comes := s.window.started && !s.ended && now.Sub(s.liveAt) < max(5*s.info.BlockTime, stillLive)
	if s.pull != nil {
		run, live, has := s.pull.Extent()
		e.Live = live && !s.ended
		if comes {
			run.Last = min(run.Last, s.window.head) // neighbours cannot have much more, whatever they say
		}
		if has && run.First <= run.Last {
			join(run.First, run.Last)
		}
	}
	if first, last, has := s.window.whole(s.info.Layout.K); has {
		join(first, last)
	}
	e.Live = e.Live || comes
	if b := s.window.at(e.First); ok && b != nil {
		e.From = b.SourceTime
	}
	if b := s.window.at(e.Last); ok && b != nil {
		e.To = b.SourceTime
	}
	return e, ok
}

// whole is the newest run of blocks of which at least k shards are held.
func (w *window) whole(k int) (first, last uint64, ok bool) {
	for n := w.head; w.started; n-- {
		b := w.at(n)
		switch is := b != nil && b.count() >= k; {
		case is && !ok:
			first, last, ok = n, n, true
		case is:
			first = n
		case ok:
			return first, last, true
		}
		if n == w.low {
			break
		}
	}
	return first, last, ok
}
