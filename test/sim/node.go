package sim

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// Node is one participant of a world.
type Node struct {
	Name  string
	w     *World
	index int
	key   ed25519.PrivateKey
	id    membership.NodeID
	cfg   relay.Config
	hosts []*Node // whom it was told to join

	core     *relay.Core
	life     int
	alive    bool
	paused   bool
	leaving  bool
	since    time.Duration // of the last change of alive or paused
	queue    []relay.Input
	handling bool
	backlog  []act // what came while it was paused
	wakeAt   time.Duration
	record   []byte // as gossip spreads it
	dialling map[*Node]bool

	bucket  *relay.Bucket
	boxes   []*box // of children, in the order in which they came
	turn    int
	pumping bool

	player  *player
	repairs []repair
	Figures Figures
}

// Figures is what a node did.
type Figures struct {
	Forwards     int // shards sent
	Messages     int // control messages sent
	MessageBytes int
	Hangups      int
	Spins        int // wakes that left a deadline which had passed
	Joined       time.Duration
	FirstAccess  time.Duration // when the first random access block was rebuilt
	FirstPlay    time.Duration
}

type box struct {
	to *Node
	relay.Outbox
	shards []*stripe.Shard // those in the outbox, by the address of their bytes
}

// add makes a node that is not alive yet.
func (w *World) add(name string, cfg relay.Config, hosts []*Node) *Node {
	n := &Node{
		Name: name, w: w, index: len(w.nodes), key: w.key(name), cfg: cfg, hosts: hosts,
	}
	n.cfg.Key = n.key
	n.cfg.Addrs = []netip.AddrPort{addr(n.index)}
	n.id = membership.NodeIDOf(n.key)
	w.nodes = append(w.nodes, n)
	w.byID[n.id] = n
	return n
}

// AddRelay adds a relay that joins at once. Without hosts it is told of the source.
func (w *World) AddRelay(name string, upload float64, hosts ...*Node) *Node {
	n := w.add(name, relay.Config{
		Upload: upload, Gossips: true, Any: true, Back: w.Delay,
	}, w.hosts(hosts))
	n.start()
	return n
}

// AddViewer adds a viewer that joins at once; with some upload it shares, and
// hears gossip. Without hosts it is told of the source.
func (w *World) AddViewer(name string, upload float64, hosts ...*Node) *Node {
	n := w.add(name, relay.Config{
		Upload: upload, Gossips: upload > 0, Play: true, Back: w.Delay,
		Streams: []stripe.ID{w.source.stream},
	}, w.hosts(hosts))
	n.start()
	return n
}

func (w *World) hosts(hosts []*Node) []*Node {
	if len(hosts) == 0 {
		return []*Node{w.source.Node}
	}
	return hosts
}

// start brings a node to life, as a process is started.
func (n *Node) start() {
	w := n.w
	n.life++
	n.alive, n.paused, n.leaving, n.since = true, false, false, w.t
	n.queue, n.backlog, n.boxes, n.wakeAt, n.pumping = nil, nil, nil, -1, false
	n.dialling = map[*Node]bool{}
	n.bucket = relay.NewBucket(w.now(), n.cfg.Upload)
	n.core = relay.New(w.now(), n.cfg, rand.New(rand.NewPCG(w.Seed, uint64(n.index)<<16|uint64(n.life))))
	n.Figures.Joined = w.t
	if n.cfg.Play {
		n.player = newPlayer(n)
	}
	n.handle(relay.Wake{})
	n.join()
	w.after(2*time.Second, n, actMeasure{})
	if !n.cfg.Gossips {
		return
	}
	for _, m := range w.nodes {
		if m != n && m.alive && m.record != nil {
			w.after(w.between(200*time.Millisecond, 500*time.Millisecond), n, actLate{relay.Learned{Record: m.record}})
		}
	}
}

// join dials the hosts it was told of, and again while nobody is connected.
func (n *Node) join() {
	connected := false
	for _, m := range n.w.nodes {
		connected = connected || m != n && n.w.connOf(n, m) != nil
	}
	if !connected && !n.paused {
		for _, h := range n.hosts {
			n.w.dial(n, h)
		}
	}
	if len(n.hosts) > 0 {
		n.w.after(time.Second, n, actJoin{})
	}
}

// measure tells the core its round-trip times.
func (n *Node) measure() {
	n.w.after(2*time.Second, n, actMeasure{})
	if n.paused {
		return
	}
	for _, m := range n.w.nodes {
		if n.w.connOf(n, m) != nil {
			n.handle(relay.Measured{Peer: m.id, RTT: 2 * n.w.path(n, m), RTTVar: n.w.path(n, m) / 4})
		}
	}
}

// handle gives the core an input and does what it wants.
func (n *Node) handle(in relay.Input) {
	if n.paused {
		n.backlog = append(n.backlog, actInput{in})
		return
	}
	n.queue = append(n.queue, in)
	if n.handling {
		return
	}
	n.handling = true
	for len(n.queue) > 0 && n.alive {
		in, n.queue = n.queue[0], n.queue[1:]
		for _, o := range n.core.Handle(n.w.now(), in) {
			n.do(o)
		}
	}
	n.handling = false
	if n.alive {
		n.setWake()
	}
}

func (n *Node) setWake() {
	at, ok := n.core.Deadline()
	if !ok {
		n.wakeAt = -1
		return
	}
	due := max(at.Sub(epoch0), n.w.t)
	if n.wakeAt >= 0 && n.wakeAt <= due && n.wakeAt >= n.w.t {
		return // a wake that comes too early is harmless
	}
	n.wakeAt = due
	n.w.after(due-n.w.t, n, actWake{})
}

func (n *Node) wake() {
	if n.paused || n.wakeAt != n.w.t {
		return
	}
	n.wakeAt = -1
	if at, ok := n.core.Deadline(); ok && at.After(n.w.now()) {
		n.setWake()
		return
	}
	n.queue = append(n.queue, relay.Wake{})
	n.handling = true
	for len(n.queue) > 0 && n.alive {
		in := n.queue[0]
		n.queue = n.queue[1:]
		for _, o := range n.core.Handle(n.w.now(), in) {
			n.do(o)
		}
	}
	n.handling = false
	if !n.alive {
		return
	}
	if at, ok := n.core.Deadline(); ok && !at.After(n.w.now()) {
		n.Figures.Spins++
		n.wakeAt = n.w.t + time.Millisecond
		n.w.after(time.Millisecond, n, actWake{})
		return
	}
	n.setWake()
}

// receive takes what the network brings.
func (n *Node) receive(a act) {
	if n.paused {
		n.backlog = append(n.backlog, a)
		return
	}
	w := n.w
	switch a := a.(type) {
	case actLate:
		n.handle(a.in)
	case actDown:
		w.shut(a.c, n)
	case actMessage:
		if !a.c.open[a.c.side(n)] {
			return
		}
		m, err := overlay.Decode(a.bytes)
		if err != nil {
			w.audit.accuse(w, "%s said %x: %v", a.from.Name, a.bytes, err)
			return
		}
		n.w.noteBytes(a.bytes)
		n.handle(relay.Heard{Peer: a.from.id, Msg: m})
	case actShard:
		if !a.c.open[a.c.side(n)] || w.t-a.sent > lateAfter {
			return
		}
		w.note(a.shard.Number<<6 | uint64(a.shard.Index))
		n.repaired(a.from, a.shard.Index)
		n.handle(relay.Arrived{Peer: a.from.id, Shard: a.shard.Encoded()})
	default:
		panic(fmt.Sprintf("sim: %T received", a))
	}
}

// do does what the core wants.
func (n *Node) do(o relay.Output) {
	w := n.w
	switch o := o.(type) {
	case relay.Say:
		if to := w.byID[o.Peer]; to != nil {
			if c := w.connOf(n, to); c != nil {
				b := overlay.Encode(o.Msg)
				n.Figures.Messages++
				n.Figures.MessageBytes += len(b)
				w.audit.message(o.Msg)
				w.sendMessage(c, n, b)
			}
		}
	case relay.Forward:
		n.forward(o)
	case relay.Check, relay.Rebuild:
		done := o.(relay.Work).Do()
		if w.WorkTime == 0 {
			n.queue = append(n.queue, done)
		} else {
			w.after(w.WorkTime, n, actLate{done})
		}
	case relay.Dial:
		if to := w.byID[o.Peer]; to != nil && len(o.Addrs) > 0 {
			w.dial(n, to)
		}
	case relay.Lanes:
	case relay.Pin:
		if c := w.connOf(n, w.byID[o.Peer]); c != nil {
			c.pins[c.side(n)] = o.On
		}
	case relay.Hangup:
		n.Figures.Hangups++
		w.audit.hungUp(w, n, o)
		if c := w.connOf(n, w.byID[o.Peer]); c != nil {
			w.hangup(c, n)
		}
	case relay.Advertise:
		if n.cfg.Gossips {
			w.gossip(n, o.Record)
		}
	case relay.Opened, relay.Seen, relay.Deliver:
		if n.player != nil {
			n.player.media(o)
		}
	case relay.Left:
		n.gone()
	default:
		panic(fmt.Sprintf("sim: output %T", o))
	}
}

func (n *Node) forward(o relay.Forward) {
	to := n.w.byID[o.Peer]
	if n.w.connOf(n, to) == nil {
		return
	}
	i := slices.IndexFunc(n.boxes, func(b *box) bool { return b.to == to })
	if i < 0 {
		n.boxes = append(n.boxes, &box{to: to})
		i = len(n.boxes) - 1
	}
	b := n.boxes[i]
	b.Push(n.w.now(), relay.Item{Data: o.Shard.Encoded(), Expires: o.Expires})
	b.shards = append(b.shards, o.Shard)
	n.pump()
}

// find gives back the shard that an item is.
func (b *box) find(data []byte) *stripe.Shard {
	for i, s := range b.shards {
		if &s.Encoded()[0] == &data[0] {
			b.shards = slices.Delete(b.shards, 0, i+1)
			return s
		}
	}
	panic("sim: an outbox gave what it was not given")
}

// pump sends what the bucket lets it, one child after the other.
func (n *Node) pump() {
	for !n.pumping && !n.paused && len(n.boxes) > 0 {
		sent := false
		for range len(n.boxes) {
			n.turn++
			b := n.boxes[n.turn%len(n.boxes)]
			item, ok := b.Pop(n.w.now())
			if !ok {
				b.shards = b.shards[:0]
				continue
			}
			s := b.find(item.Data)
			if wait := n.bucket.Take(n.w.now(), len(item.Data)*11/10); wait > 0 {
				n.pumping = true
				n.w.after(wait, n, actPump{b.to, s})
				return
			}
			n.send(b.to, s)
			sent = true
		}
		if !sent {
			return
		}
	}
}

// send gives the network one shard.
func (n *Node) send(to *Node, s *stripe.Shard) {
	if c := n.w.connOf(n, to); c != nil {
		n.Figures.Forwards++
		n.w.audit.sent(n, s)
		n.w.sendShard(c, n, s)
	}
}

// drop forgets what waited for the other end of a connection that is closed.
func (n *Node) drop(c *conn) {
	other := c.ends[1-c.side(n)]
	n.boxes = slices.DeleteFunc(n.boxes, func(b *box) bool { return b.to == other })
}

// Crash ends a node as kill -9 does: nobody is told.
func (w *World) Crash(n *Node) {
	if !n.alive {
		return
	}
	w.audit.fault(w, n)
	n.alive, n.since = false, w.t
	for _, m := range w.nodes {
		if c := w.conns[pairOf(n, m)]; m != n && c != nil {
			c.open[c.side(n)] = false
		}
	}
	w.mourn(n, 11*time.Second, 15*time.Second)
}

// Leave lets a node say goodbye and end.
func (w *World) Leave(n *Node) {
	if !n.alive || n.leaving {
		return
	}
	n.leaving = true
	w.audit.fault(w, n)
	n.handle(relay.Leave{})
}

// gone is a node's end after its goodbye: it closes its connections and tells gossip.
func (n *Node) gone() {
	w := n.w
	for _, m := range w.nodes {
		if m != n {
			if c := w.connOf(n, m); c != nil {
				c.open[c.side(n)] = false
				w.carry(c, n, actDown{c}, false, 0)
			}
		}
	}
	n.alive, n.since = false, w.t
	w.mourn(n, 100*time.Millisecond, 500*time.Millisecond)
}

// Pause stops a node for d, as SIGSTOP does.
func (w *World) Pause(n *Node, d time.Duration) {
	if !n.alive || n.paused {
		return
	}
	n.paused, n.since = true, w.t
	w.after(d, n, actDo{func() {
		n.paused, n.since = false, w.t
		for _, m := range w.nodes {
			if m == n || d < idleTimeout {
				continue
			}
			if c := w.conns[pairOf(n, m)]; c != nil {
				w.shut(c, n)
			}
		}
		backlog := n.backlog
		n.backlog = nil
		for _, a := range backlog {
			switch a := a.(type) {
			case actInput:
				n.handle(a.in)
			default:
				n.receive(a)
			}
		}
		n.handle(relay.Wake{})
		n.pump()
		n.playDue()
	}})
}

// Restart starts a dead node again, with the same keys and a new mind.
func (w *World) Restart(n *Node) {
	if !n.alive {
		n.start()
	}
}

// Alive reports whether the node runs.
func (n *Node) Alive() bool { return n.alive }

// Status is the core's.
func (n *Node) Status() relay.Status { return n.core.Status(n.w.now()) }
