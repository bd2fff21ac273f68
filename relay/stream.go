package relay

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/stripe"
)

// stream is what a participant keeps of one stream it carries.
type stream struct {
	info    stripe.Info
	rawInfo []byte // signed
	source  bool   // we are it
	play    bool
	trial   bool // it has no place until something of it comes
	coder   *fec.Coder
	forest  *overlay.Forest
	pull    *pull.Puller
	lookAt  time.Time // when pull is next told of the forest
	window  window
	feeds   [][]feed  // by stripe; in the order in which the children came
	turn    int       // the stripe whose children catch up first
	rootAt  time.Time // when the source is next dialled if nothing comes
	ended   bool      // the last block is known
	goneAt  time.Time // when a stream that ended is dropped, or rests
	liveAt  time.Time // when something live last came
	newerAt time.Time // when it is next looked whether there is a later run
	past    past
	ledger  ledger
	stats   Counters
	cap     *Bucket // what may be sent of it; without a cap it lets all through
}

// feed is one child of one stripe. The blocks from next up to live, without it,
// are of the past and sent bit by bit; all others are passed on as they come.
type feed struct {
	child membership.NodeID
	fresh bool // its past is sent newest first, and metered
	next  uint64
	live  uint64
	due   time.Time // when a little more of the past is sent
	until time.Time // when one who is fresh gets no more of it

	paced bool // it resumes: beyond resumeNewest shards it gets the past at a pace
	sent  int  // shards of the past
}

// catching reports whether there is more of the past to send.
func (f *feed) catching() bool { return f.next < f.live }

// Counters of one stream since it was opened.
type Counters struct {
	Shards    uint64 // accepted from peers
	Twice     uint64 // dropped: held already
	Stale     uint64 // dropped: behind the window, not wanted, another epoch
	Forged    uint64 // dropped: not the source's
	Equivocal uint64 // dropped: the source's, under a second root
	Unchecked uint64 // dropped: over the sender's verify budget
	Nonsense  uint64 // blocks whose shards are no codeword
	Remade    uint64 // missing shards of home stripes made again and passed on
	Payload   uint64 // bytes of stream published or rebuilt
	Blocks    uint64 // blocks published or rebuilt
	Signature uint64 // signatures checked
	Fetched   uint64 // accepted for blocks of the past
	Capped    uint64 // not sent: over what the stream may have of the upload
}

func (c *Core) stream(id stripe.ID) *stream {
	for _, s := range c.streams {
		if s.info.Stream == id {
			return s
		}
	}
	return nil
}

func (c *Core) streamByTag(tag stripe.Tag) *stream {
	for _, s := range c.streams {
		if s.info.Stream.Tag() == tag {
			return s
		}
	}
	return nil
}

// takeInfo opens a wanted stream, or updates one that is open. It returns false
// if the bytes are no valid info.
func (c *Core) takeInfo(now time.Time, raw []byte, own bool) bool {
	for _, s := range c.streams {
		if bytes.Equal(raw, s.rawInfo) {
			return true // as most are: not worth a signature check
		}
	}
	info, err := stripe.OpenInfo(raw)
	if err != nil {
		return false
	}
	s := c.stream(info.Stream)
	if s == nil {
		if c.cfg.Look {
			c.note(info)
		}
		if own || slices.Contains(c.wants, info.Stream) {
			c.openStream(now, info, raw, own)
		}
		return true
	}
	if s.source && !own {
		return true // what we publish nobody tells us
	}
	if info.Epoch < s.info.Epoch || info.Epoch == s.info.Epoch && info.Seq <= s.info.Seq {
		return true
	}
	if info.Epoch == s.info.Epoch && (info.Layout != s.info.Layout || info.Lock != s.info.Lock) {
		return true // both are fixed for an epoch; the first stays
	}
	if info.Epoch > s.info.Epoch {
		c.closeStream(now, s)
		c.openStream(now, info, raw, own)
		return true
	}
	s.info, s.rawInfo = info, slices.Clone(raw)
	s.forest.SetInfo(info)
	c.share(now)
	c.tell(s)
	c.out = append(c.out, Opened{Info: info, Raw: s.rawInfo})
	return true
}

func (c *Core) openStream(now time.Time, info stripe.Info, raw []byte, own bool) {
	if c.streamByTag(info.Stream.Tag()) != nil || c.isPast(info.Stream, info.Epoch) {
		return
	}
	onTrial, ok := c.makePlace(now, own)
	if !ok {
		return
	}
	coder, err := fec.New(info.Layout)
	if err != nil {
		panic(err) // OpenInfo validated it
	}
	s := &stream{
		info: info, rawInfo: slices.Clone(raw), source: own, play: c.cfg.Play, trial: onTrial,
		coder: coder, feeds: make([][]feed, info.Layout.N()), liveAt: now, cap: NewBucket(now, c.cfg.StreamUpload),
	}
	c.streams = append(c.streams, s)
	s.forest = overlay.New(now, overlay.Config{
		Self: c.self, Info: info, Source: own, All: c.cfg.Play, Room: !own && c.hasRoom(info),
		Slots: c.slots(info, own), Back: c.cfg.Back,
	}, c.book, c.rnd)
	c.share(now)
	c.wants = slices.DeleteFunc(c.wants, func(id stripe.ID) bool { return id == info.Stream })
	c.asker.Hurry()
	for _, p := range c.peers {
		s.forest.Up(now, p.id)
	}
	if !c.cfg.PushOnly {
		s.pull = c.newPuller(now, s)
	}
	c.tell(s)
	c.out = append(c.out, Opened{Info: info, Raw: s.rawInfo})
}

// tell sends a stream's info to whoever asked for it.
func (c *Core) tell(s *stream) {
	m := &overlay.Sample{Stream: s.info.Stream, Info: s.rawInfo}
	for _, p := range c.peers {
		if slices.Contains(p.asks, s.info.Stream) {
			c.out = append(c.out, Say{Peer: p.id, Msg: m})
		}
	}
}

// closeStream ends our part in a run of a source, for good.
func (c *Core) closeStream(now time.Time, s *stream) {
	c.dropStream(now, s)
	c.over = append(c.over, epochOf{s.info.Stream, s.info.Epoch})
	if len(c.over) > maxPast {
		c.over = slices.Delete(c.over, 0, 1)
	}
}

// dropStream ends our part in a stream for now.
func (c *Core) dropStream(now time.Time, s *stream) {
	s.forest.Close()
	c.drain(now, s)
	if s.pull != nil {
		s.pull.Close(now)
		c.drainPull(now, s)
	}
	c.streams = slices.DeleteFunc(c.streams, func(o *stream) bool { return o == s })
	if c.stream(s.info.Stream) == nil {
		c.book.Unfollow(s.info.Stream)
	}
	if c.named(s.info.Stream) {
		c.wants = append(c.wants, s.info.Stream)
	}
}

// epochOf is one run of a source that is over for us.
type epochOf struct {
	stream stripe.ID
	epoch  uint32
}

func (c *Core) isPast(id stripe.ID, epoch uint32) bool {
	return slices.ContainsFunc(c.over, func(p epochOf) bool { return p.stream == id && epoch <= p.epoch })
}

// arrived takes a shard as far as its check: in the order of cost, and nothing
// is allocated for one that is not wanted.
func (c *Core) arrived(now time.Time, in Arrived) {
	p := c.peer(in.Peer)
	tag, err := stripe.PeekTag(in.Shard)
	if p == nil {
		return
	}
	if err != nil {
		c.strike(now, p, "shard too short")
		return
	}
	s := c.streamByTag(tag)
	if s == nil || s.source {
		return
	}
	shard, err := stripe.ParseShard(s.info.Stream, in.Shard)
	if err != nil {
		s.stats.Forged++
		c.strike(now, p, err.Error())
		return
	}
	if shard.Epoch > s.info.Epoch {
		c.out = append(c.out, Say{Peer: in.Peer, Msg: &overlay.Ask{Stream: s.info.Stream}})
	}
	fed := s.forest.Feeds(in.Peer, shard.Index)
	if fed {
		p.fed = now
	}
	if shard.Epoch != s.info.Epoch || shard.Layout != s.info.Layout || !s.forest.Wants(shard.Index) {
		s.stats.Stale++
		return
	}
	if !fed && s.unasked(now, p, shard) {
		return
	}
	if s.ofPast(p.id, shard.Number, shard.Index) {
		c.arrivedOld(now, s, p, shard)
		return
	}
	b := s.window.open(&shard.Header)
	bit := uint64(1) << shard.Index
	switch {
	case b == nil:
		s.stats.Stale++
		return
	case b.have&bit != 0:
		s.stats.Twice++
		if bytes.Equal(in.Shard, b.shards[shard.Index].Encoded()) {
			c.again(now, s, b, shard.Index, in.Peer, fed)
		}
		return
	case b.asked&bit != 0 && b.proof != nil:
		// The one under check may turn out forged: this one waits for it.
		b.wait(in)
		return
	}
	c.check(now, s, b, p, shard)
}

// check has a shard proved. While a block's first signature is being checked its
// other shards wait, so that it is paid once.
func (c *Core) check(now time.Time, s *stream, b *block, p *peer, shard *stripe.Shard) {
	if b.proof == nil && b.checking {
		b.wait(Arrived{Peer: p.id, Shard: shard.Encoded()})
		return
	}
	// A shard that does not come with what was proved costs a signature check.
	if agrees := b.proof != nil && b.proof.Header == shard.Header && b.proof.Sig == shard.Sig; !agrees {
		if !p.checks.Take(now) {
			s.stats.Unchecked++
			if b.proof == nil && len(b.waiting) == 0 {
				s.window.forget(b)
			}
			return
		}
		b.checking = b.proof == nil
		s.stats.Signature++
	}
	b.asked |= 1 << shard.Index
	c.out = append(c.out, Check{Peer: p.id, Shard: shard, Known: b.proof, Old: b.old})
}

func (b *block) wait(in Arrived) {
	if len(b.waiting) < MaxWaiting {
		b.waiting = append(b.waiting, in)
	}
}

func (c *Core) strike(now time.Time, p *peer, why string) {
	if p.strikes++; p.strikes >= MaxStrikes {
		c.ban(now, p.id)
		c.hangup(now, p.id, fmt.Sprintf("%d bad shards, the last: %s", p.strikes, why))
	}
}

// checked takes the verdict on a shard.
func (c *Core) checked(now time.Time, in Checked) {
	s := c.streamOf(in.Shard.Stream, in.Shard.Epoch)
	if s == nil {
		return
	}
	if in.Old {
		c.checkedOld(now, s, in)
		return
	}
	b := s.window.get(in.Shard.Number)
	if b == nil {
		return // the window moved on meanwhile
	}
	if c.genuine(now, s, b, in) {
		if b.proof == nil {
			s.window.prove(b, &Proof{in.Shard.Header, in.Root, in.Shard.Sig})
			if s.play {
				c.out = append(c.out, Seen{Header: b.Header})
			}
		}
		s.stats.Shards++
		c.accept(now, s, b, in.Shard, in.Peer)
	}
	c.checkWaiting(now, s, b)
}

// genuine takes the verdict on a shard of a block, of the window or of the past.
func (c *Core) genuine(now time.Time, s *stream, b *block, in Checked) bool {
	b.asked &^= 1 << in.Shard.Index
	if in.Known == nil {
		b.checking = false
	}
	switch {
	case in.Verdict == Forged:
		s.stats.Forged++
		if p := c.peer(in.Peer); p != nil {
			c.strike(now, p, "not signed by the source")
		}
		return false
	case in.Verdict == Equivocal, b.proof != nil && b.proof.Root != in.Root:
		s.stats.Equivocal++
		return false
	}
	return true
}

// checkWaiting goes on with the shards that waited for the block's signature.
func (c *Core) checkWaiting(now time.Time, s *stream, b *block) {
	waiting := b.waiting
	b.waiting = nil
	for _, w := range waiting {
		c.arrived(now, w)
	}
	if b.proof == nil && !b.checking {
		s.window.forget(b)
	}
}

// accept takes a genuine shard. What was pulled is held, and not passed on unless its
// sender feeds the stripe too: children that lack it pull it themselves.
func (c *Core) accept(now time.Time, s *stream, b *block, shard *stripe.Shard, from membership.NodeID) {
	made := from == c.self
	fed := !made && s.forest.Feeds(from, shard.Index)
	if b.have>>shard.Index&1 == 1 {
		c.again(now, s, b, shard.Index, from, fed)
		return
	}
	if b.Number < s.window.low {
		return
	}
	pulled := !fed && !made && s.got(now, from, shard)
	s.window.put(b, shard)
	if !made {
		s.ledger.took(from)
	}
	c.cameLive(now, s)
	if fed || s.source {
		s.got(now, from, shard)
		s.forest.Got(now, from, shard.Index, shard.Number)
	}
	if pulled {
		b.withheld |= 1 << shard.Index
	} else {
		s.passOn(now, shard, &c.out)
	}
	if c.cfg.Keep {
		c.out = append(c.out, Keep{Shard: shard})
	}
	c.alsoOld(now, s, b, shard)
	if b.Has(stripe.End) {
		s.end(now, b.Number)
	}
	if b.rebuild == notRebuilt && b.count() >= s.info.Layout.K && (s.play || !s.source && s.lacks(b)) {
		b.rebuild = rebuilding
		c.out = append(c.out, Rebuild{Coder: s.coder, Shards: slices.Clone(b.shards)})
	}
}

// again takes a genuine shard that is held already: we pulled it, or made it. Its
// parent is not late for that, and children that it was kept from get it now.
func (c *Core) again(now time.Time, s *stream, b *block, i int, from membership.NodeID, fed bool) {
	s.got(now, from, b.shards[i])
	if !fed {
		return
	}
	s.forest.Got(now, from, i, b.Number)
	if b.withheld>>i&1 == 1 {
		b.withheld &^= 1 << i
		s.passOn(now, b.shards[i], &c.out)
	}
}

// lacks reports whether a shard of a home stripe has not come.
func (s *stream) lacks(b *block) bool {
	for i := range s.info.Layout.N() {
		if b.have>>i&1 == 0 && s.forest.Home(i) {
			return true
		}
	}
	return false
}

// end marks a stream whose last block is known: silence is no fault from now on.
func (s *stream) end(now time.Time, number uint64) {
	if !s.ended {
		s.ended, s.goneAt = true, now.Add(lingering)
		s.forest.End(now, number)
		if s.pull != nil {
			s.pull.End(now)
		}
	}
}

// rebuilt delivers a block, and makes the shards of home stripes that did not
// come, so that a loss above us is no loss below.
func (c *Core) rebuilt(now time.Time, in Rebuilt) {
	s := c.streamOf(in.Stream, in.Epoch)
	if s == nil {
		return
	}
	if in.Old {
		c.rebuiltOld(now, s, in)
		return
	}
	b := s.window.at(in.Number)
	if in.Shards == nil {
		s.stats.Nonsense++
		return
	}
	s.stats.Blocks++
	s.stats.Payload += uint64(len(in.Data))
	if s.play {
		c.out = append(c.out, Deliver{Header: in.Shards[0].Header, Data: in.Data, Parity: in.Parity})
	}
	if b == nil {
		return
	}
	b.rebuild = rebuilt
	for i, shard := range in.Shards {
		missing := b.have>>i&1 == 0
		switch {
		case missing && s.forest.Home(i):
			s.stats.Remade++
			s.forest.Made(i, shard.Number)
			c.accept(now, s, b, shard, c.self)
		case missing && s.play && s.pull != nil && b.Number >= s.window.low:
			s.window.put(b, shard) // for neighbours
		}
	}
	if s.pull != nil {
		s.pull.Rebuilt(now, b.Number)
	}
}

// publish puts the source's own block into its window and on its way.
func (c *Core) publish(now time.Time, shards []*stripe.Shard) {
	h := shards[0].Header
	s := c.stream(h.Stream)
	if s == nil || !s.source {
		panic("relay: publish without announce")
	}
	b := s.window.open(&h)
	s.window.prove(b, &Proof{Header: h, Sig: shards[0].Sig})
	for _, shard := range shards {
		c.accept(now, s, b, shard, c.self)
	}
	s.stats.Blocks++
	s.stats.Payload += uint64(h.DataLen)
}
