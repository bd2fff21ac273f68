package relay

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/stripe"
)

// Config says what a participant is.
type Config struct {
	// Key is the node's key; it signs the node's records.
	Key ed25519.PrivateKey
	// Addrs is where others reach the node, at most membership.MaxAddrs.
	Addrs []netip.AddrPort
	// Upload is the room for children, in bits a second; 0 feeds nobody.
	Upload float64
	// StreamUpload is the most of it that one stream gets, in bits a second; 0 = all.
	StreamUpload float64
	// Monthly is how many bytes may be sent in a calendar month, by UTC; 0: any number. Then
	// Sent must come, and Month is what was sent of it before.
	Monthly uint64
	Month   Month
	// Download is what a relay that does not play may be sent, in bits a second. If
	// it has room for k stripes besides its home stripes it takes them, to make
	// shards that did not come; 0 takes home stripes only.
	Download float64
	// Streams are carried as soon as somebody tells their info, at most MaxStreams.
	Streams []stripe.ID
	// Any makes it carry whatever streams the pool has, up to MaxStreams.
	Any bool
	// Look carries nothing, and finds out what streams the pool has: Status.Pool.
	Look bool
	// Allow limits Any to these, if not empty; Deny leaves out these, whatever Allow says.
	Allow, Deny []stripe.ID
	// Play wants every stripe of every stream, rebuilds blocks and delivers them.
	Play bool
	// Keep says that there is a place for what is held: every shard comes as a Keep.
	Keep bool
	// Gossips says that Learned and Rumour will come. Who hears no gossip asks
	// its peers for records.
	Gossips bool
	// Back is how far behind the newest block to begin: the play-out delay for a
	// viewer, what a newcomer may ask for a relay.
	Back time.Duration
	// PushOnly takes no part in pull, for experiments with the forest alone.
	PushOnly bool
	// Open opens records; nil is membership.Open.
	Open membership.Opener
}

// Core is one participant. It has one owner.
type Core struct {
	cfg      Config
	self     membership.NodeID
	rnd      *rand.Rand
	book     *membership.Book
	peers    []*peer   // connected, in the order of their IDs
	streams  []*stream // opened, in that order
	wants    []stripe.ID
	over     []epochOf // epochs that are over
	bans     []ban
	barren   []barren
	looked   map[stripe.ID]looked // never ranged over
	past     *Bucket              // what newcomers may be sent of the past, and neighbours
	serving  *Bucket              // what neighbours may pull
	expireAt time.Time            // next look for records that are too old
	askAt    time.Time            // next question about wants, or for records

	asker membership.Asker

	announcer membership.Announcer
	moved     bool // something happened that our connections may show
	movedNext time.Time

	month Month
	spent bool // all that may be sent in this month is

	leaving bool
	leftAt  time.Time
	out     []Output
}

type peer struct {
	id      membership.NodeID
	pinned  bool
	lanes   int
	strikes int
	asks    []stripe.ID // what it asked about
	asked   int         // questions of ours that it may still answer
	fed     time.Time   // when it last was our parent, or was asked to be
	checks  Allowance   // signature checks it may still cause
	words   Allowance   // messages it may still send
	shows   []showing   // of which streams it was just shown our receipts; MaxStreams at most
}

// New returns a participant that knows nobody yet.
func New(now time.Time, cfg Config, rnd *rand.Rand) *Core {
	self := membership.NodeIDOf(cfg.Key)
	c := &Core{
		cfg: cfg, self: self, rnd: rnd,
		book:  membership.NewBook(self, cfg.Open),
		wants: slices.Clone(cfg.Streams),
		past:  NewBucket(now, cfg.Upload*catchUpShare),

		serving: NewBucket(now, cfg.Upload*pull.ServeShare),

		month: cfg.Month,

		askAt: now, announcer: membership.NewAnnouncer(now, cfg.Key),
	}
	c.sent(now, 0)
	if cfg.Look {
		c.looked = map[stripe.ID]looked{}
	}
	if !cfg.Gossips {
		c.book.Sampled()
	}
	return c
}

// Self is the node's ID.
func (c *Core) Self() membership.NodeID { return c.self }

// Handle takes one input and returns what is to be done. The slice is valid
// until the next call.
func (c *Core) Handle(now time.Time, in Input) []Output {
	clear(c.out)
	c.out = c.out[:0]
	switch in := in.(type) {
	case Up:
		c.up(now, in.Peer)
	case Down:
		c.down(now, in)
	case Heard:
		c.heard(now, in)
	case Arrived:
		c.arrived(now, in)
	case Checked:
		c.checked(now, in)
	case Rebuilt:
		c.rebuilt(now, in)
	case Learned:
		c.learn(now, in.Record)
	case Rumour:
		c.book.Doubt(in.Node)
	case Measured:
		for _, s := range c.streams {
			s.forest.Measured(in.Peer, in.RTT, in.RTTVar)
			if s.pull != nil {
				s.pull.Measured(in.Peer, in.RTT, in.RTTVar)
			}
		}
	case Capacity:
		c.cfg.Upload = in.Upload
		c.share(now)
	case Sent:
		c.sent(now, in.Bytes)
	case Permit:
		c.permit(now, in)
	case Quiet:
		for _, s := range c.streams {
			s.forest.Quiet(now, in.Peer, in.On)
		}
	case Announce:
		c.takeInfo(now, in.Info, true)
	case Publish:
		c.publish(now, in.Shards)
	case Leave:
		c.leave(now)
	case Wake:
	case Carry, Stored, Fetch, StopFetch, Lost, Larger:
		c.handlePast(now, in)
	default:
		panic(fmt.Sprintf("relay: input %T", in))
	}
	switch in.(type) {
	case Arrived, Checked, Rebuilt, Publish, Learned, Rumour, Measured, Sent, Wake, Fetch, StopFetch, Lost, Larger:
	default:
		c.announcer.Changed()
		c.moved = true
	}
	c.step(now)
	return c.out
}

// Deadline is when Handle wants a Wake at the latest.
func (c *Core) Deadline() (time.Time, bool) {
	if c.leaving {
		at := c.leftAt
		for _, s := range c.streams {
			at = s.sooner(at)
		}
		return at, !at.IsZero()
	}
	at := c.announcer.Due()
	if c.asking() && c.askAt.Before(at) {
		at = c.askAt
	}
	for _, s := range c.streams {
		at = s.sooner(at)
	}
	return at, true
}

// step does what is due and passes on what the forests want.
func (c *Core) step(now time.Time) {
	c.endTrial(now)
	for i := 0; i < len(c.streams); i++ {
		s := c.streams[i]
		s.forest.Step(now)
		c.drain(now, s)
		s.catchUp(now, c.past, &c.out)
		c.thank(s)
		c.stepPull(now, s)
		c.seekNewer(now, s)
		c.doze(now, s)
		if !s.goneAt.IsZero() && !now.Before(s.goneAt) && c.isOver(now, s) {
			i--
		}
	}
	if c.leaving {
		if !c.leftAt.IsZero() && !now.Before(c.leftAt) {
			c.leftAt = time.Time{}
			for _, s := range c.streams {
				s.forest.Close()
				c.drain(now, s)
			}
			c.out = append(c.out, Left{})
		}
		return
	}
	if c.asking() && !now.Before(c.askAt) {
		c.ask(now)
	}
	if !now.Before(c.expireAt) {
		c.expireAt = now.Add(expireEvery)
		c.book.Expire(now)
		c.forgetLooked()
	}
	c.seekRoots(now)
	if c.moved {
		c.past.SetRate(now, c.spareUpload())
		c.serving.SetRate(now, c.upload()*c.serveShare())
	}
	if c.moved && !now.Before(c.movedNext) {
		c.moved, c.movedNext = false, now.Add(connectionsEvery)
		c.connections()
	}
	c.announce(now)
}

// drain turns a forest's outputs into ours.
func (c *Core) drain(now time.Time, s *stream) {
	for _, o := range s.forest.Take() {
		c.announcer.Changed()
		c.moved = true
		switch o := o.(type) {
		case overlay.Send:
			c.mayFeed(now, o)
			c.out = append(c.out, Say{Peer: o.To, Msg: o.Msg})
		case overlay.Dial:
			c.dial(now, o.Peer)
		case overlay.Feed:
			s.feed(now, o)
		case overlay.Starve:
			s.starve(o)
		default:
			panic(fmt.Sprintf("relay: forest wants %T", o))
		}
	}
}

func (c *Core) dial(now time.Time, id membership.NodeID) {
	if e, ok := c.book.Get(id); ok && e.MayDial(now) {
		c.out = append(c.out, Dial{Peer: id, Addrs: e.Addrs})
	}
}

// seekRoots dials the source of a stream that nobody feeds us: it may be back at
// its address after a restart, when all have given it up.
func (c *Core) seekRoots(now time.Time) {
	for _, s := range c.streams {
		if s.source || s.ended || now.Before(s.rootAt) {
			continue
		}
		s.rootAt = now.Add(rootEvery)
		root := membership.NodeID(s.info.Root)
		if e, ok := c.book.Get(root); ok && c.peer(root) == nil && s.forest.Starved(now) && len(e.Addrs) > 0 {
			c.out = append(c.out, Dial{Peer: root, Addrs: e.Addrs})
		}
	}
}

func (c *Core) findPeer(id membership.NodeID) (int, bool) {
	return slices.BinarySearchFunc(c.peers, id, func(p *peer, id membership.NodeID) int {
		return bytes.Compare(p.id[:], id[:])
	})
}

func (c *Core) peer(id membership.NodeID) *peer {
	if i, ok := c.findPeer(id); ok {
		return c.peers[i]
	}
	return nil
}

func (c *Core) up(now time.Time, id membership.NodeID) {
	i, known := c.findPeer(id)
	if known || id == c.self {
		return
	}
	if c.banned(now, id) {
		c.out = append(c.out, Hangup{Peer: id, Reason: "banned"})
		return
	}
	if len(c.peers) >= MaxPeers {
		c.out = append(c.out, Hangup{Peer: id, Reason: "too many peers"})
		return
	}
	c.peers = slices.Insert(c.peers, i, &peer{
		id: id, lanes: 1,
		checks: NewAllowance(now, checkRate, checkBurst),
		words:  NewAllowance(now, messageRate, messageBurst),
	})
	c.book.Near(now, id, true)
	c.book.Confirm(id)
	if raw := c.announcer.Raw(); raw != nil {
		c.out = append(c.out, Say{Peer: id, Msg: &overlay.Hello{Record: raw}})
	}
	for _, s := range c.streams {
		if e, known := c.book.Get(id); !known || !carries(e, s.info) {
			c.out = append(c.out, Say{Peer: id, Msg: &overlay.Sample{Stream: s.info.Stream, Info: s.rawInfo}})
		}
		s.forest.Up(now, id)
		if s.pull != nil {
			s.pull.Up(now, id)
		}
	}
	for _, want := range c.wants {
		c.question(c.peers[i], want)
	}
}

// carries reports whether somebody says that it carries this run of a stream, or a later one.
func carries(e *membership.Entry, info stripe.Info) bool {
	k, ok := e.Carries(info.Stream)
	return ok && k.Epoch >= info.Epoch
}

func (c *Core) down(now time.Time, in Down) {
	switch {
	case in.Dialed:
		c.book.DialFailed(now, in.Peer)
	case !in.Unused:
		c.book.Doubt(in.Peer)
	}
	if i, ok := c.findPeer(in.Peer); ok {
		c.peers = slices.Delete(c.peers, i, i+1)
		c.book.Near(now, in.Peer, false)
	}
	for _, s := range c.streams {
		s.removePeer(in.Peer)
		s.forest.Down(now, in.Peer)
		if s.pull != nil {
			s.pull.Down(now, in.Peer)
		}
	}
}

func (c *Core) hangup(now time.Time, id membership.NodeID, reason string) {
	if c.peer(id) == nil {
		return
	}
	c.out = append(c.out, Hangup{Peer: id, Reason: reason})
	c.down(now, Down{Peer: id})
}

func (c *Core) heard(now time.Time, in Heard) {
	p := c.peer(in.Peer)
	if p == nil {
		return
	}
	if !p.words.Take(now) {
		c.hangup(now, in.Peer, "too many messages")
		return
	}
	switch m := in.Msg.(type) {
	case *overlay.Hello:
		if node, err := membership.RecordNode(m.Record); err != nil || node != in.Peer || !c.learn(now, m.Record) {
			c.hangup(now, in.Peer, "bad record")
			return
		}
		c.book.Confirm(in.Peer)
	case *overlay.Ask:
		c.answer(p, m.Stream)
	case *overlay.Sample:
		if !c.learnAnswer(now, p, m.Records) {
			c.hangup(now, in.Peer, "bad record")
			return
		}
		if len(m.Info) > 0 && !c.takeInfo(now, m.Info, false) {
			c.hangup(now, in.Peer, "bad stream info")
		}
	case *overlay.Subscribe:
		if s := c.stream(m.Stream); s != nil {
			p.interested(m.Stream)
			s.forest.Heard(now, in.Peer, m)
			return
		}
		c.out = append(c.out, Say{Peer: in.Peer, Msg: &overlay.Refuse{Stream: m.Stream, Stripe: m.Stripe, Reason: overlay.NotHere}})
	default:
		if tag, ok := overlay.PullOf(m); ok {
			c.heardPull(now, in.Peer, tag, m)
			return
		}
		if tag, ok := overlay.CreditOf(m); ok {
			if s := c.streamByTag(tag); s != nil {
				c.heardCredit(now, p, s, m)
			}
			return
		}
		id, ok := overlay.About(m)
		if !ok {
			panic(fmt.Sprintf("relay: message %T", m))
		}
		if s := c.stream(id); s != nil {
			s.forest.Heard(now, in.Peer, m)
		}
	}
}

// learnAnswer takes the records of an answer to a question of ours; what nobody
// asked for is not looked at. False means that one is not valid.
func (c *Core) learnAnswer(now time.Time, p *peer, records [][]byte) bool {
	if p.asked == 0 || len(records) == 0 {
		return true
	}
	p.asked--
	for _, raw := range records {
		if !c.learn(now, raw) {
			return false
		}
	}
	return true
}

// question asks a peer about a stream.
func (c *Core) question(p *peer, id stripe.ID) {
	p.asked = min(p.asked+1, maxAsked)
	c.out = append(c.out, Say{Peer: p.id, Msg: &overlay.Ask{Stream: id}})
}

// learn adds a record to the book; false means that it is not a valid one.
func (c *Core) learn(now time.Time, raw []byte) bool {
	_, err := c.book.Add(now, raw)
	return err == nil
}

// answer tells a peer what we know of a stream.
func (c *Core) answer(p *peer, id stripe.ID) {
	p.interested(id)
	m := &overlay.Sample{Stream: id}
	room := overlay.MaxMessage - stripe.MaxInfo - 128
	if s := c.stream(id); s != nil {
		m.Info = s.rawInfo
		if raw := c.announcer.Raw(); raw != nil {
			m.Records = append(m.Records, raw)
			room -= len(raw) + 2
		}
	}
	m.Records = append(m.Records, c.book.Sample(c.rnd, id, overlay.MaxSample-1, room-2*overlay.MaxSample)...)
	c.out = append(c.out, Say{Peer: p.id, Msg: m})
}

func (p *peer) interested(id stripe.ID) {
	if len(p.asks) < MaxStreams && !slices.Contains(p.asks, id) {
		p.asks = append(p.asks, id)
	}
}

// asking reports whether anything is to be asked of peers.
func (c *Core) asking() bool {
	return !c.leaving && (len(c.wants) > 0 || c.cfg.Any || c.cfg.Look || !c.cfg.Gossips)
}

// ask asks for the info of streams that are wanted, and for records if no gossip
// brings them.
func (c *Core) ask(now time.Time) {
	if c.cfg.Any {
		c.wantAny(now)
	}
	c.askAt = now.Add(askEvery)
	if c.cfg.Look {
		c.look(now)
	}
	for _, id := range c.wants {
		for _, e := range c.book.All() {
			if _, ok := e.Carries(id); ok && c.peer(e.Node) == nil && !e.Doubted {
				c.dial(now, e.Node)
				break
			}
		}
		for range min(3, len(c.peers)) {
			c.question(c.peers[c.rnd.IntN(len(c.peers))], id)
		}
	}
	if len(c.wants) > 0 || c.cfg.Gossips {
		return
	}
	peers, pause := c.asker.Next(len(c.book.All()), c.needy(now))
	c.askAt = now.Add(pause)
	for range min(peers, len(c.peers)) {
		for _, s := range c.streams {
			c.question(c.peers[c.rnd.IntN(len(c.peers))], s.info.Stream)
		}
	}
}

// needy reports whether a stream's parents are too few to play it.
func (c *Core) needy(now time.Time) bool {
	return slices.ContainsFunc(c.streams, func(s *stream) bool { return s.forest.Needy(now) })
}

// wantAny takes up the streams that the book tells of, while there is room.
func (c *Core) wantAny(now time.Time) {
	c.wants = slices.DeleteFunc(c.wants, func(id stripe.ID) bool { return !c.named(id) })
	for _, e := range c.book.All() {
		for _, k := range e.Streams {
			if len(c.wants)+c.busy() >= MaxStreams {
				return
			}
			if e.Doubted || c.stream(k.Stream) != nil || c.isPast(k.Stream, k.Epoch) || c.isBarren(now, k.Stream) ||
				slices.Contains(c.wants, k.Stream) || !c.allowed(k.Stream) {
				continue
			}
			c.wants = append(c.wants, k.Stream)
		}
	}
}

// connections says which peers matter and how many lanes parents need.
func (c *Core) connections() {
	lanes := make(map[membership.NodeID]int)
	for _, s := range c.streams {
		ids, stripes := s.forest.Parents()
		each := int(s.info.SlotRate()/laneRate) + 1
		for i, id := range ids {
			lanes[id] += each * stripes[i]
		}
	}
	used := make(map[membership.NodeID]bool)
	for _, s := range c.streams {
		s.forest.Using(used)
		if s.pull != nil {
			for _, id := range s.pull.Neighbours() {
				used[id] = true
			}
		}
	}
	for _, p := range c.peers {
		on := used[p.id]
		if on != p.pinned {
			p.pinned = on
			c.out = append(c.out, Pin{Peer: p.id, On: on})
		}
		if want := max(1, lanes[p.id]); want != p.lanes {
			p.lanes = want
			c.out = append(c.out, Lanes{Peer: p.id, Count: want})
		}
	}
}

func (c *Core) leave(now time.Time) {
	if c.leaving {
		return
	}
	c.leaving, c.leftAt = true, now
	for _, s := range c.streams {
		if s.pull != nil {
			s.pull.Close(now)
		}
		if t := s.forest.Leave(now); t.After(c.leftAt) {
			c.leftAt = t
		}
	}
	c.announcer.Hurry(now)
	c.announce(now) // that there is nothing to be had here any more
}
