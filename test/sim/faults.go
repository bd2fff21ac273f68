package sim

import (
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
)

// SetNet sets the conditions of all ways.
func (w *World) SetNet(c Conditions) {
	w.net.all = c
	w.net.changed()
}

// SetNode sets the conditions of all ways from and to a node.
func (w *World) SetNode(n *Node, c Conditions) {
	n.cond = c
	w.net.changed()
}

// SetWay sets the conditions of the way from a to b.
func (w *World) SetWay(a, b *Node, c Conditions) {
	w.net.ways[way{a, b}] = c
	w.net.changed()
}

// SetLink limits what a node can send and receive, in bits a second; 0 is no
// limit. It is the line itself: what the node believes to have is its upload.
func (w *World) SetLink(n *Node, up, down float64) {
	n.up = queue{rate: up / 8, at: w.t}
	n.down = queue{rate: down / 8, at: w.t}
	w.net.changed()
}

// barred reports whether nothing gets from one node to another.
func (w *World) barred(from, to *Node) bool {
	if !w.net.barred {
		return false
	}
	_, barred := w.barredSince(from, to)
	return barred
}

// barredSince is since when, at the earliest.
func (w *World) barredSince(from, to *Node) (since time.Duration, barred bool) {
	if !w.net.barred {
		return 0, false
	}
	consider := func(at time.Duration) {
		if !barred || at < since {
			since, barred = at, true
		}
	}
	if b, is := w.net.walls[way{from, to}]; is {
		consider(b.since)
	}
	if w.net.split && from.group != to.group {
		consider(w.net.splitAt)
	}
	for _, n := range [2]*Node{from, to} {
		if n.clogs > 0 {
			consider(n.clogAt)
		}
	}
	return since, barred
}

// Wall blocks the way from a to b, and only that; Unwall opens it again. What
// was sent meanwhile is lost, and sent again by QUIC unless it is too late.
func (w *World) Wall(a, b *Node) { w.wall(a, b, false) }

func (w *World) wall(a, b *Node, clog bool) {
	if _, already := w.net.walls[way{a, b}]; already {
		return
	}
	w.net.barred = true
	w.net.walls[way{a, b}] = barrier{w.t, clog}
	w.audit.cut(w, a, b)
}

// Unwall opens a blocked way.
func (w *World) Unwall(a, b *Node) {
	clog := w.net.walls[way{a, b}].clog
	delete(w.net.walls, way{a, b})
	if c := a.links[b]; c != nil {
		w.release(c, c.side(a), clog)
	}
}

// Cut blocks both ways between two nodes for d.
func (w *World) Cut(a, b *Node, d time.Duration) {
	w.Wall(a, b)
	w.Wall(b, a)
	w.After(d, func() {
		w.Unwall(a, b)
		w.Unwall(b, a)
	})
}

// ClogWay holds whatever goes from a to b, and lets it go after d, however old.
func (w *World) ClogWay(a, b *Node, d time.Duration) {
	if _, already := w.net.walls[way{a, b}]; already {
		return
	}
	w.wall(a, b, true)
	w.After(d, func() { w.Unwall(a, b) })
}

// Clog does that with whatever goes to or from a node.
func (w *World) Clog(n *Node, d time.Duration) {
	if n.clogs++; n.clogs == 1 {
		n.clogAt = w.t
		n.stops = append(n.stops, stop{from: w.t, cause: Cut})
	}
	w.net.barred = true
	w.After(d, func() { w.unclog(n) })
}

func (w *World) unclog(n *Node) {
	if n.clogs == 0 {
		return
	}
	if n.clogs--; n.clogs > 0 {
		return
	}
	n.endStop(Cut)
	for _, c := range n.conns {
		w.release(c, 0, true)
		w.release(c, 1, true)
	}
}

// release lets go what waits at ends[i] of a connection, if nothing bars it now.
func (w *World) release(c *conn, i int, clog bool) {
	from, to, l := c.ends[i], c.ends[1-i], &c.ways[i]
	if w.barred(from, to) {
		return
	}
	waiting := l.held
	l.held = nil
	for _, h := range waiting {
		if h.kind == doShard {
			l.flying -= h.bytes
			if clog {
				h.sent = w.t
			} else if w.t-h.sent >= lateAfter {
				continue
			}
		}
		w.carry(c, from, h.act, h.bytes)
	}
	if from.alive && c.open[i] {
		from.roomAt(l)
	}
}

// Partition cuts the pool in two: the nodes for which far is true from all others.
func (w *World) Partition(far func(*Node) bool) {
	net := &w.net
	net.split, net.barred, net.splitAt = true, true, w.t
	net.splits++
	for _, n := range w.nodes {
		if n.group = 0; far(n) {
			n.group = 1
		}
	}
	lost := w.source.group ^ 1
	for _, n := range w.nodes {
		if n.group == lost {
			n.stops = append(n.stops, stop{from: w.t, cause: Cut})
		}
	}
	w.audit.parted(w)
	w.gossipParts()
}

// Join ends a partition.
func (w *World) Join() {
	if !w.net.split {
		return
	}
	w.net.split = false
	for _, n := range w.nodes {
		n.endStop(Cut)
		for _, c := range n.conns {
			if c.ends[0] == n {
				w.release(c, 0, false)
				w.release(c, 1, false)
			}
		}
	}
	w.gossipJoins()
}

// Heal ends all that Wall, Clog, Partition, Pause, Grey, SetNet, SetNode, SetWay
// and SetLink did. The dead stay dead.
func (w *World) Heal() {
	w.Join()
	clear(w.net.walls)
	clear(w.net.ways)
	w.net.all = Conditions{}
	w.net.changed()
	for _, n := range w.nodes {
		n.cond, n.clogs = Conditions{}, 0
		n.up.rate, n.down.rate = 0, 0
		n.endStop(Cut)
	}
	for _, n := range w.nodes {
		for _, c := range n.conns {
			if c.ends[0] == n {
				w.release(c, 0, true)
				w.release(c, 1, true)
			}
		}
		n.resume()
		w.Grey(n, 0)
	}
	w.net.barred = false
}

// Barren lets nobody take on a node as a child of these stripes, bit i for stripe i:
// whom it asks is full. 0 ends it. Who feeds it already goes on.
func (w *World) Barren(n *Node, stripes uint64) { n.barren = stripes }

// refused answers, in a parent's place, one whom nobody takes on.
func (w *World) refused(n *Node, c *conn, m overlay.Message) bool {
	from := c.other(n)
	ask, is := m.(*overlay.Subscribe)
	if !is || from.barren>>ask.Stripe&1 == 0 {
		return false
	}
	w.sendMessage(c, n, overlay.Encode(&overlay.Refuse{Stream: ask.Stream, Stripe: ask.Stripe, Reason: overlay.Full}))
	return true
}

// Crash ends nodes as kill -9 does, all at one instant: nobody is told.
func (w *World) Crash(dead ...*Node) {
	w.audit.fault(w, false, dead...)
	for _, n := range dead {
		if n.alive {
			n.alive, n.since = false, w.t
			n.stops = append(n.stops, stop{from: w.t, cause: Dead})
			for n.closeFirst() {
			}
			w.mourn(n, 11*time.Second, 15*time.Second)
		}
	}
}

// closeFirst closes the first open end of a node's, and reports whether there was one.
func (n *Node) closeFirst() bool {
	for _, c := range n.conns {
		if c.open[c.side(n)] {
			c.close(n)
			return true
		}
	}
	return false
}

// Leave lets a node say goodbye and end.
func (w *World) Leave(n *Node) {
	if !n.alive || n.leaving {
		return
	}
	n.leaving = true
	w.audit.fault(w, false, n)
	n.handle(relay.Leave{})
}

// gone is a node's end after its goodbye: it closes its connections and tells gossip.
func (n *Node) gone() {
	w := n.w
	for _, c := range n.conns {
		if c.open[c.side(n)] {
			w.carry(c, n, act{kind: doDown, c: c}, 0)
		}
	}
	for n.closeFirst() {
	}
	n.alive, n.since = false, w.t
	n.stops = append(n.stops, stop{from: w.t, cause: Dead})
	w.mourn(n, 100*time.Millisecond, 500*time.Millisecond)
}

// Pause stops a node for d, as SIGSTOP does.
func (w *World) Pause(n *Node, d time.Duration) {
	if !n.alive || n.paused {
		return
	}
	w.audit.fault(w, true, n)
	n.paused, n.since = true, w.t
	n.pauses++
	n.stops = append(n.stops, stop{from: w.t, cause: Stopped})
	life, pause := n.life, n.pauses
	w.After(d, func() {
		if n.life == life && n.pauses == pause {
			n.resume()
		}
	})
	w.mourn(n, 11*time.Second, 15*time.Second)
}

// resume lets a stopped node go on, as SIGCONT does.
func (n *Node) resume() {
	if !n.paused || !n.alive {
		return
	}
	w := n.w
	stood := w.t - n.since
	n.paused, n.since = false, w.t
	n.endStop(Stopped)
	if stood >= idleTimeout {
		for i := 0; i < len(n.conns); {
			c := n.conns[i]
			w.shut(c, n)
			if i < len(n.conns) && n.conns[i] == c {
				i++
			}
		}
	}
	backlog := n.backlog
	n.backlog = nil
	for _, a := range backlog {
		if n.alive {
			n.perform(a)
		}
	}
	if !n.alive {
		return
	}
	n.handle(relay.Wake{})
	n.pump()
	n.playDue()
	if stood > 11*time.Second {
		w.tell(n, n.record) // it refutes the rumour
	}
}

// Restart starts a dead node again, with the same keys and a new mind.
func (w *World) Restart(n *Node) {
	if !n.alive {
		n.start()
	}
}

// Grey leaves a node only that share of a processor, as a CPU quota does: of every
// tenth of a second it works so much, and what came meanwhile waits. 0 ends it.
func (w *World) Grey(n *Node, quota float64) {
	was := n.cpu.quota
	n.cpu.quota = quota
	switch {
	case quota > 0 && was == 0:
		n.stops = append(n.stops, stop{from: w.t, cause: Stopped})
	case quota == 0 && was > 0:
		n.endStop(Stopped)
		waiting := n.cpu.waiting
		n.cpu.waiting = nil
		for _, a := range waiting {
			if n.alive {
				n.perform(a)
			}
		}
	}
}

// cpu is the processor of a grey node.
type cpu struct {
	quota   float64 // 0: a whole one, and for free
	period  int64
	spent   time.Duration // in this period
	waiting []act
	planned bool
}

const (
	cpuPeriod  = 100 * time.Millisecond
	cpuWaiting = 2000 // acts that wait; shards beyond it are dropped, as a socket does
)

// costs is what an act costs a processor, everything from the socket on included.
func (a *act) costs() time.Duration {
	switch a.kind {
	case doShard, doMessage, doInput:
		return 60 * time.Microsecond
	case doDialled:
		return time.Millisecond
	}
	return 10 * time.Microsecond
}

// work does what waits, as far as the quota of this period goes.
func (n *Node) work() {
	w, c := n.w, &n.cpu
	if now := int64(w.t / cpuPeriod); now != c.period {
		c.period, c.spent = now, 0
	}
	for len(c.waiting) > 0 && n.alive {
		if c.spent >= time.Duration(c.quota*float64(cpuPeriod)) {
			break
		}
		a := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.spent += a.costs()
		n.perform(a)
	}
	for len(c.waiting) > cpuWaiting {
		if a := c.waiting[0]; a.kind == doShard {
			n.ledger.mark(a.shard, Stopped)
		} else {
			break
		}
		c.waiting = c.waiting[1:]
	}
	if len(c.waiting) > 0 && !c.planned {
		c.planned = true
		w.after(time.Duration(c.period+1)*cpuPeriod-w.t, n, act{kind: doCPU})
	}
}
