package sim

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
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

	conns    []*conn         // with at least one open end, in the order in which they came
	links    map[*Node]*conn // the newest of each; never ranged over
	dialling map[*Node]bool  // never ranged over

	record []byte // as gossip spreads it; nil if it has none
	said   int    // where the last word about it stands
	cursor int    // how far it has heard; -1: nothing yet

	bucket  *relay.Bucket
	ready   []*conn // to children for whom shards wait and who have room for them
	turn    int
	pumping bool
	queued  int // bytes that wait

	cond     Conditions
	up, down queue
	group    int    // of the partition
	barren   uint64 // stripes that nobody takes it on for, one bit each
	clogs    int
	clogAt   time.Duration
	pauses   int
	cpu      cpu

	player  *player
	ledger  ledger
	stops   []stop
	repairs []repair
	Figures Figures
}

// Figures is what a node did.
type Figures struct {
	Forwards     int // shards sent
	ForwardBytes int
	Served       int // of them, those that neighbours asked for
	ServedBytes  int
	Messages     int // control messages sent
	MessageBytes int
	Dropped      int // shards that waited too long for a child
	QueueMax     int // the most bytes that ever waited for children
	Hangups      int
	Spins        int // wakes that left a deadline which had passed
	Again        int // signatures checked of blocks of which one had been checked
	Joined       time.Duration
	FirstAccess  time.Duration // when the first random access block was rebuilt
	FirstPlay    time.Duration
}

// add makes a node that is not alive yet.
func (w *World) add(name string, cfg relay.Config, hosts []*Node) *Node {
	n := &Node{
		Name: name, w: w, index: len(w.nodes), key: w.key(name), cfg: cfg, hosts: hosts,
		links: map[*Node]*conn{},
	}
	n.cfg.Key = n.key
	n.cfg.Addrs = []netip.AddrPort{addr(n.index)}
	n.cfg.Open = w.memo.open
	n.cfg.PushOnly = w.PushOnly
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
	n.queue, n.backlog, n.wakeAt = nil, nil, -1
	n.ready, n.pumping, n.queued = nil, false, 0
	n.dialling = map[*Node]bool{}
	n.cpu = cpu{quota: n.cpu.quota}
	n.endStop(Dead)
	n.bucket = relay.NewBucket(w.now(), n.cfg.Upload)
	n.core = relay.New(w.now(), n.cfg, rand.New(rand.NewPCG(w.Seed, uint64(n.index)<<16|uint64(n.life))))
	n.Figures.Joined = w.t
	n.ledger.init(w.Layout.N())
	if n.cfg.Play {
		n.player = newPlayer(n)
	}
	n.handle(relay.Wake{})
	n.join()
	w.after(2*time.Second, n, act{kind: doMeasure})
	if n.cfg.Gossips {
		n.cursor = -1
		w.after(w.between(gossipMin, 500*time.Millisecond), n, act{kind: doGossip})
	}
}

// join dials the hosts it was told of, and again while nobody is connected.
func (n *Node) join() {
	connected := false
	for _, c := range n.conns {
		if c.open[c.side(n)] {
			connected = true
			break
		}
	}
	if !connected && !n.paused {
		for _, h := range n.hosts {
			n.w.dial(n, h)
		}
	}
	if len(n.hosts) > 0 {
		n.w.after(time.Second, n, act{kind: doJoin})
	}
}

// measure tells the core round-trip times that have changed.
func (n *Node) measure() {
	n.w.after(measureEvery, n, act{kind: doMeasure})
	if n.paused {
		return
	}
	for i := 0; i < len(n.conns); i++ {
		n.tellQuiet(n.conns[i])
	}
	if n.w.net.calm {
		return
	}
	for i := 0; i < len(n.conns); i++ {
		n.tellRTT(n.conns[i])
	}
}

// measureEvery and quietAfter are relay/host's and relay/quicnet's.
const (
	measureEvery = 200 * time.Millisecond
	quietAfter   = 600 * time.Millisecond // with the round trips
)

// tellQuiet tells the core that a peer acknowledges nothing, or does so again.
func (n *Node) tellQuiet(c *conn) {
	i := c.side(n)
	if on := n.w.t-n.w.heard(c, i) >= quietAfter; c.open[i] && on != c.quiet[i] {
		c.quiet[i] = on
		n.handle(relay.Quiet{Peer: c.ends[1-i].id, On: on})
	}
}

// perform does what happens to the node.
func (n *Node) perform(a act) {
	switch a.kind {
	case doInput, doShard, doMessage, doDown:
		if n.paused {
			n.backlog = append(n.backlog, a)
			return
		}
		if a.kind == doInput {
			n.handle(a.arg.(relay.Input))
		} else {
			n.receive(a)
		}
	case doWake:
		n.wake()
	case doPlay:
		n.playDue()
	case doPump:
		n.pumping = false
		if !n.paused {
			n.send(a.c, parcel{a.shard, a.asked})
		}
		n.pump()
	case doRoom:
		if l := &a.c.ways[a.c.side(n)]; a.c.open[a.c.side(n)] {
			n.roomAt(l)
		}
	case doResend:
		n.resend(a)
	case doGossip:
		n.hear()
	case doMeasure:
		n.measure()
	case doJoin:
		n.join()
	case doDialled:
		n.w.dialled(n, a.arg.(*Node))
	case doFailed:
		n.dialFailed(a.arg.(*Node))
	case doCPU:
		n.cpu.planned = false
		n.work()
	default:
		panic(fmt.Sprintf("sim: a node got act %d", a.kind))
	}
}

// resend sends again what a full queue dropped, unless it was reset meanwhile.
func (n *Node) resend(a act) {
	w := n.w
	if !a.c.open[a.c.side(n)] || w.t-a.sent > lateAfter {
		return
	}
	w.carry(a.c, n, act{kind: doShard, c: a.c, shard: a.shard, asked: a.asked, sent: a.sent}, len(a.shard.Encoded()))
}

// handle gives the core an input and does what it wants.
func (n *Node) handle(in relay.Input) {
	if n.paused {
		n.backlog = append(n.backlog, input(in))
		return
	}
	n.queue = append(n.queue, in)
	n.drain()
}

// drain gives the core what is queued for it.
func (n *Node) drain() {
	if n.handling || len(n.queue) == 0 {
		return
	}
	n.loop()
	if n.alive {
		n.setWake()
	}
}

func (n *Node) loop() {
	n.handling = true
	for i := 0; i < len(n.queue) && n.alive; i++ {
		for _, o := range n.core.Handle(n.w.now(), n.queue[i]) {
			n.do(o)
		}
	}
	clear(n.queue)
	n.queue = n.queue[:0]
	n.handling = false
}

func (n *Node) setWake() {
	at, ok := n.core.Deadline()
	if !ok {
		n.wakeAt = -1
		return
	}
	due := max(at.Sub(epoch0), n.w.t)
	if n.wakeAt >= n.w.t && n.wakeAt <= due {
		return // a wake that comes too early is harmless
	}
	n.wakeAt = due
	n.w.after(due-n.w.t, n, act{kind: doWake})
}

func (n *Node) wake() {
	if n.paused || n.wakeAt < 0 || n.wakeAt > n.w.t {
		return
	}
	n.wakeAt = -1
	if at, ok := n.core.Deadline(); ok && at.After(n.w.now()) {
		n.setWake()
		return
	}
	n.queue = append(n.queue, relay.Wake{})
	n.loop()
	if !n.alive {
		return
	}
	if at, ok := n.core.Deadline(); ok && !at.After(n.w.now()) {
		n.Figures.Spins++
		n.wakeAt = n.w.t + time.Millisecond
		n.w.after(time.Millisecond, n, act{kind: doWake})
		return
	}
	n.setWake()
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
				w.audit.message(b)
				w.sendMessage(c, n, b)
			}
		}
	case relay.Forward:
		n.forward(o)
	case relay.Check:
		if o.Known == nil {
			n.signed(o.Shard)
		}
		n.done(w.check(o), o.Known != nil)
	case relay.Rebuild:
		n.done(w.rebuild(o), false)
	case relay.Dial:
		if to := w.byID[o.Peer]; to != nil && len(o.Addrs) > 0 {
			w.dial(n, to)
		}
	case relay.Lanes:
		if c := w.connOf(n, w.byID[o.Peer]); c != nil {
			c.ways[1-c.side(n)].lanes(o.Count) // the child dials, the parent sends
		}
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
			w.tell(n, o.Record)
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

// done gives the core the result of work: at once if it was only a hash.
func (n *Node) done(result relay.Input, cheap bool) {
	took := n.w.WorkTime
	if q := n.cpu.quota; q > 0 {
		took = time.Duration(float64(took) / q)
	} else if cheap {
		took = 0
	}
	if took == 0 {
		n.queue = append(n.queue, result)
	} else {
		n.w.after(took, n, input(result))
	}
}

// Alive reports whether the node runs.
func (n *Node) Alive() bool { return n.alive }

// Status is the core's.
func (n *Node) Status() relay.Status { return n.core.Status(n.w.now()) }
