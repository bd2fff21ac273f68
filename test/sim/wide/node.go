package wide

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// What relay.Core does around a Forest, and when.
const (
	askEvery  = 500 * time.Millisecond
	questions = 3 // at a time, about a stream that nobody told of yet
)

// node is one participant: a Forest, and of relay.Core what a Forest needs.
type node struct {
	w        *World
	index    int32
	id       membership.NodeID
	slots    int
	lies     bool // it says that it has slots
	member   bool
	alive    bool
	alerted  bool
	joined   time.Duration
	died     time.Duration
	wakeAt   time.Duration
	rnd      *rand.Rand
	book     *membership.Book
	forest   *overlay.Forest // nil until somebody told of the stream
	links    []link          // by peer
	swept    time.Duration   // when they were looked through because they are many
	dialling []int32
	flows    []flow
	kids     []kid
	lag      int64 // blocks that its slowest flow is behind, and one

	inbox     []greeting    // Hellos that came, or will
	inboxAt   time.Duration // when the first of them comes
	unsettled bool
	askAt     time.Duration
	asker     membership.Asker
	announcer membership.Announcer

	toSpread  []byte // what gossip is to spread next
	spreadRaw []byte // what it spread last
	spreadLag time.Duration
	cursor    int

	messages, bytes, dials, spins int
	firstK, firstAll              time.Duration // from joining
}

func (n *node) play() bool { return n.index != 0 }

// begin is a node's birth.
func (n *node) begin() {
	w := n.w
	n.rnd = rand.New(rand.NewPCG(w.Seed, uint64(n.index)<<8|7))
	n.book = membership.NewBook(n.id, w.open)
	for s := range n.flows {
		n.flows[s].last = -1
	}
	n.askAt, n.announcer = w.t, membership.NewAnnouncer(w.now(), w.key(int(n.index)))
	if (n.slots > 0 || n.lies) && w.gossip.members < w.Members+1 {
		n.member = true
		w.gossip.members++
	} else {
		n.book.Sampled()
	}
	if n.index == 0 {
		n.open()
		w.gossipRound()
	}
	n.touch()
}

// greeting is a Hello on its way, or a Sample that says nothing new. It changes the book
// and nothing else, so it is read when its node next does something.
type greeting struct {
	at     time.Duration
	from   int32
	record []byte // of a Hello
}

func (n *node) await(g greeting) {
	if len(n.inbox) == 0 || g.at < n.inboxAt {
		n.inboxAt = g.at
	}
	n.inbox = append(n.inbox, g)
}

// read takes the Hellos that have come.
func (n *node) read() {
	w := n.w
	if len(n.inbox) == 0 || n.inboxAt > w.t {
		return
	}
	kept, next := 0, time.Duration(math.MaxInt64)
	for _, g := range n.inbox {
		if g.at > w.t {
			n.inbox[kept], next = g, min(next, g.at)
			kept++
			continue
		}
		if i, ok := n.find(g.from); ok && n.alive {
			n.links[i].used = max(n.links[i].used, g.at)
			if g.record != nil {
				n.learn(g.record)
				n.book.Confirm(w.ids[g.from])
			}
		}
	}
	clear(n.inbox[kept:])
	n.inbox, n.inboxAt = n.inbox[:kept], next
}

// open makes the Forest, when the stream's info is known.
func (n *node) open() {
	w := n.w
	if n.member {
		w.exchange(n)
	}
	n.forest = overlay.New(w.now(), overlay.Config{
		Self: n.id, Info: w.info, Source: n.index == 0, All: n.index != 0, Slots: n.slots, Back: w.Delay,
	}, n.book, n.rnd)
	n.announcer.Changed()
	n.asker.Hurry()
	for _, l := range n.links {
		n.measured(w.nodes[l.peer])
	}
	n.alert()
}

func (n *node) measured(p *node) {
	d := n.w.path(n.index, p.index)
	n.forest.Up(n.w.now(), p.id)
	n.forest.Measured(p.id, 2*d, d/4)
}

func (n *node) up(p *node) {
	n.book.Near(n.w.now(), p.id, true)
	n.book.Confirm(p.id)
	if raw := n.announcer.Raw(); raw != nil {
		n.w.say(n, p, &overlay.Hello{Record: raw})
	}
	if n.forest != nil {
		if e, known := n.book.Get(p.id); !known || len(e.Streams) == 0 {
			n.w.say(n, p, &overlay.Sample{Stream: n.w.info.Stream, Info: n.w.rawInfo})
		}
		n.measured(p)
	} else {
		n.w.say(n, p, &overlay.Ask{Stream: n.w.info.Stream})
	}
	n.announcer.Changed()
	n.touch()
}

func (n *node) down(p *node) {
	n.book.Near(n.w.now(), p.id, false)
	if n.forest != nil {
		n.forest.Down(n.w.now(), p.id)
	}
	n.announcer.Changed()
	n.touch()
}

// hear takes a message.
func (n *node) hear(from *node, m overlay.Message) {
	i, ok := n.find(from.index)
	if !ok {
		return
	}
	n.links[i].used = n.w.t
	switch m := m.(type) {
	case *overlay.Ask:
		n.answer(from)
	case *overlay.Sample:
		for _, raw := range m.Records {
			n.learn(raw)
		}
		if len(m.Info) > 0 && n.forest == nil {
			n.open()
		}
	case *overlay.Show:
		n.show(from)
	case *overlay.Receipts:
		n.reckon(from, m)
	default:
		if n.forest == nil {
			if m, ok := m.(*overlay.Subscribe); ok {
				n.w.say(n, from, &overlay.Refuse{Stream: m.Stream, Stripe: m.Stripe, Reason: overlay.NotHere})
			}
			return
		}
		if m, ok := m.(*overlay.Subscribe); ok {
			n.lookAt(m.Stripe)
		}
		n.forest.Heard(n.w.now(), from.id, m)
	}
	n.announcer.Changed()
	n.touch()
}

// learn adds a record to the book, unless the book has it or a newer one.
func (n *node) learn(raw []byte) {
	if _, err := n.book.Add(n.w.now(), raw); err != nil {
		panic(fmt.Sprintf("wide: a bad record: %v", err))
	}
}

// answer tells a peer what we know of the stream.
func (n *node) answer(p *node) {
	m := &overlay.Sample{Stream: n.w.info.Stream}
	room := overlay.MaxMessage - stripe.MaxInfo - 128
	if n.forest != nil {
		m.Info = n.w.rawInfo
		if raw := n.announcer.Raw(); raw != nil {
			m.Records = append(m.Records, raw)
			room -= len(raw) + 2
		}
	}
	m.Records = append(m.Records, n.book.Sample(n.rnd, n.w.info.Stream, overlay.MaxSample-1, room-2*overlay.MaxSample)...)
	n.w.say(n, p, m)
}

// ask asks for the stream's info, and for records if no gossip brings them.
func (n *node) ask() {
	w := n.w
	n.askAt = w.t + askEvery
	if n.forest == nil {
		for range min(questions, len(n.links)) {
			n.question()
		}
		return
	}
	peers, pause := n.asker.Next(len(n.book.All()), n.forest.Needy(w.now()))
	n.askAt = w.t + pause
	for range min(peers, len(n.links)) {
		n.question()
	}
}

func (n *node) question() {
	p := n.w.nodes[n.links[n.rnd.IntN(len(n.links))].peer]
	n.w.say(n, p, &overlay.Ask{Stream: n.w.info.Stream})
}

func (n *node) asking() bool { return n.forest == nil || !n.member }

// wake does what is due.
func (n *node) wake() {
	if n.wakeAt != n.w.t {
		return // an earlier one did it
	}
	n.wakeAt = never
	if n.forest != nil {
		n.progress()
		n.forest.Step(n.w.now())
	}
	n.touch()
}

// touch does what the Forest wants, and says that something happened.
func (n *node) touch() {
	if n.forest != nil {
		n.drain()
	}
	if !n.unsettled {
		n.unsettled = true
		n.w.unsettled = append(n.w.unsettled, n)
	}
}

// settle finds out when to wake next.
func (n *node) settle() {
	w := n.w
	if n.member && n.forest != nil {
		n.readGossip()
	}
	if n.asking() && n.askAt <= w.t {
		n.ask()
	}
	n.announce()
	at := n.announcer.Due().Sub(epoch0)
	if n.asking() {
		at = min(at, n.askAt)
	}
	if n.forest != nil {
		if t, ok := n.forest.Deadline(); ok {
			at = min(at, t.Sub(epoch0))
		}
	}
	if at <= w.t {
		at = w.t + time.Millisecond
		n.spins++
	}
	if n.wakeAt <= w.t || at < n.wakeAt {
		n.wakeAt = w.schedule(at, event{kind: evWake, node: n.index})
	}
}

func (n *node) drain() {
	w := n.w
	for _, o := range n.forest.Take() {
		n.announcer.Changed()
		switch o := o.(type) {
		case overlay.Send:
			w.say(n, w.nodes[w.byID[o.To]], o.Msg)
		case overlay.Dial:
			if e, ok := n.book.Get(o.Peer); ok && e.MayDial(w.now()) {
				w.dial(n, w.nodes[w.byID[o.Peer]])
			}
		case overlay.Feed:
			w.feed(n, w.nodes[w.byID[o.Child]], o.Stripe)
		case overlay.Starve:
			w.starve(n, w.nodes[w.byID[o.Child]], o.Stripe)
		default:
			panic(fmt.Sprintf("wide: forest wants %T", o))
		}
	}
}

// announce signs our record if it is news, tells our neighbours, and spreads it.
func (n *node) announce() {
	w := n.w
	if n.announcer.IsDue(w.now()) {
		n.renew()
	}
	if raw := n.announcer.Spread(w.now(), len(n.book.All())); raw != nil && n.member {
		w.spread(n, raw)
	}
}

func (n *node) renew() {
	w := n.w
	rec := membership.Record{Node: n.id, Addrs: []netip.AddrPort{addr(n.index)}}
	if n.forest != nil {
		rec.Slots = n.slots
		rec.Streams = []membership.Carried{n.forest.Advert()}
		if n.lies {
			rec.Slots, rec.Streams[0] = w.Slots, n.boast(rec.Streams[0])
		}
	}
	if rec.Slots == 0 && !n.member {
		n.announcer.Silent(w.now())
		return
	}
	raw := n.announcer.Announce(w.now(), rec, len(n.book.All()))
	if raw == nil {
		return
	}
	w.remember(announced(n.announcer.Last(), raw))
	hello := &overlay.Hello{Record: raw}
	n.mark()
	for _, l := range n.links {
		if l.needed {
			w.say(n, w.nodes[l.peer], hello)
		}
	}
}

// addr is where node i is: everyone has a network of their own.
func addr(i int32) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i>>16), byte(i >> 8), byte(i), 1}), 7070)
}
