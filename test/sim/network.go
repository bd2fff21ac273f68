package sim

import (
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// pair is two nodes, the lower index first; way is a direction.
type (
	pair struct{ lo, hi int }
	way  struct{ from, to int }
)

func pairOf(a, b *Node) pair { return pair{min(a.index, b.index), max(a.index, b.index)} }

// The transport's times, as relay/quicnet has them.
const (
	idleTimeout   = 8 * time.Second
	keepAlive     = time.Second
	lateAfter     = 2 * time.Second  // a shard that takes longer is reset
	unusedTimeout = 30 * time.Second // an unpinned connection that carries nothing is closed
	dialTimeout   = 3 * time.Second
	packetSize    = 1200
)

// conn is a connection of two nodes.
type conn struct {
	ends  [2]*Node
	open  [2]bool // as each end sees it
	pins  [2]bool
	last  [2]time.Duration // when the last message towards ends[i] arrives
	used  time.Duration
	held  [2][]heldItem // towards ends[i], behind a wall
	check bool          // an actIdle is scheduled
}

type heldItem struct {
	act  act
	sent time.Duration
	data bool
}

func (c *conn) side(n *Node) int {
	if c.ends[0] == n {
		return 0
	}
	return 1
}

// connOf is the open connection of two nodes as n sees it, or nil.
func (w *World) connOf(n, other *Node) *conn {
	if c := w.conns[pairOf(n, other)]; c != nil && c.open[c.side(n)] {
		return c
	}
	return nil
}

// path is the one-way delay between two nodes.
func (w *World) path(a, b *Node) time.Duration {
	p := pairOf(a, b)
	d, ok := w.paths[p]
	if !ok {
		d = w.between(w.Near, w.Far)
		w.paths[p] = d
	}
	return d
}

// retransmits is what loss adds to the delay of something of that many bytes.
func (w *World) retransmits(a, b *Node, bytes int) time.Duration {
	if w.Loss <= 0 {
		return 0
	}
	worst := time.Duration(0)
	wait := 9*2*w.path(a, b)/8 + 10*time.Millisecond
	for range (bytes + packetSize - 1) / packetSize {
		extra, step := time.Duration(0), wait
		for w.rnd.Float64() < w.Loss {
			extra += step
			step += step / 2
		}
		worst = max(worst, extra)
	}
	return worst
}

// dial connects n to another, or lets it fail.
func (w *World) dial(n, to *Node) {
	if w.connOf(n, to) != nil || n.dialling[to] {
		return
	}
	n.dialling[to] = true
	if !w.reachable(n, to) {
		w.after(dialTimeout, n, actFailed{to})
		return
	}
	w.after(3*w.path(n, to)+w.retransmits(n, to, 3*packetSize), n, actDialled{to})
}

func (w *World) reachable(a, b *Node) bool {
	_, there := w.walls[way{a.index, b.index}]
	_, back := w.walls[way{b.index, a.index}]
	return b.alive && !b.paused && !there && !back
}

// dialled ends a dial: both ends are up.
func (w *World) dialled(n, to *Node) {
	if !n.dialling[to] {
		return
	}
	if n.paused || !w.reachable(n, to) {
		w.after(dialTimeout, n, actFailed{to})
		return
	}
	delete(n.dialling, to)
	delete(to.dialling, n)
	if w.connOf(n, to) != nil {
		return
	}
	if old := w.connOf(to, n); old != nil { // we restarted, or it has not noticed yet
		w.shut(old, to)
	}
	c := &conn{ends: [2]*Node{n, to}, open: [2]bool{true, true}, used: w.t}
	w.conns[pairOf(n, to)] = c
	for _, end := range [][2]*Node{{n, to}, {to, n}} {
		end[0].handle(relay.Up{Peer: end[1].id})
		if w.connOf(end[0], end[1]) == c {
			end[0].handle(relay.Measured{Peer: end[1].id, RTT: 2 * w.path(n, to), RTTVar: w.path(n, to) / 4})
		}
	}
	w.watch(c)
}

func (n *Node) dialFailed(to *Node) {
	if n.dialling[to] {
		delete(n.dialling, to)
		n.handle(relay.Down{Peer: to.id, Dialed: true})
	}
}

// shut closes a connection at one end, which is told.
func (w *World) shut(c *conn, n *Node) {
	if i := c.side(n); c.open[i] {
		c.open[i] = false
		n.drop(c)
		if n.alive {
			n.handle(relay.Down{Peer: c.ends[1-i].id})
		}
	}
}

// hangup closes a connection at n's end; the other hears of it.
func (w *World) hangup(c *conn, n *Node) {
	w.shut(c, n)
	w.carry(c, n, actDown{c}, false, 0)
}

// carry brings something to the other end of a connection.
func (w *World) carry(c *conn, from *Node, a act, data bool, bytes int) {
	to := c.ends[1-c.side(from)]
	if _, blocked := w.walls[way{from.index, to.index}]; blocked {
		i := c.side(to)
		c.held[i] = append(c.held[i], heldItem{a, w.t, data})
		return
	}
	late := w.retransmits(from, to, max(bytes, 1))
	if data && late > lateAfter {
		return
	}
	at := w.t + w.path(from, to) + late
	if !data {
		i := c.side(to)
		at = max(at, c.last[i])
		c.last[i] = at
	}
	w.after(at-w.t, to, a)
}

// Wall blocks the way from a to b, and only that; Unwall opens it again.
func (w *World) Wall(a, b *Node) {
	if _, already := w.walls[way{a.index, b.index}]; already {
		return
	}
	w.walls[way{a.index, b.index}] = w.t
	if c := w.conns[pairOf(a, b)]; c != nil {
		w.watch(c)
	}
}

// Unwall opens a blocked way: what is not too late arrives now.
func (w *World) Unwall(a, b *Node) {
	delete(w.walls, way{a.index, b.index})
	c := w.conns[pairOf(a, b)]
	if c == nil {
		return
	}
	i := c.side(b)
	held := c.held[i]
	c.held[i] = nil
	for _, h := range held {
		if !h.data || w.t-h.sent < lateAfter {
			w.carry(c, a, h.act, h.data, 0)
		}
	}
}

// watch looks at a connection again when it might be found dead.
func (w *World) watch(c *conn) {
	if !c.check && (c.open[0] || c.open[1]) {
		c.check = true
		w.after(500*time.Millisecond, nil, actIdle{c})
	}
}

// idle closes an end that has heard nothing for too long, or a connection that
// nobody needs.
func (w *World) idle(c *conn) {
	c.check = false
	for i, n := range c.ends {
		peer := c.ends[1-i]
		switch {
		case !c.open[i] || !n.alive || n.paused:
		case w.t-w.heard(c, i) >= idleTimeout:
			w.hangup(c, n)
		case !c.open[1-i] && peer.alive && w.t-peer.since >= keepAlive:
			w.shut(c, n) // a keep-alive met a stateless reset
		}
	}
	if c.open[0] && c.open[1] && !c.pins[0] && !c.pins[1] && w.t-c.used > unusedTimeout {
		w.hangup(c, c.ends[0])
	}
	w.watch(c)
}

// heard is when ends[i] last heard anything of its peer, who says something
// every second if it can.
func (w *World) heard(c *conn, i int) time.Duration {
	n, peer := c.ends[i], c.ends[1-i]
	at := w.t
	if since, blocked := w.walls[way{peer.index, n.index}]; blocked {
		at = min(at, since)
	}
	if !peer.alive || peer.paused {
		at = min(at, peer.since)
	}
	return at
}

// gossip spreads a node's record over all members.
func (w *World) gossip(from *Node, record []byte) {
	from.record = record
	for _, n := range w.nodes {
		if n != from && n.alive && n.cfg.Gossips {
			w.after(w.between(200*time.Millisecond, 500*time.Millisecond), n, actLate{relay.Learned{Record: record}})
		}
	}
}

// mourn spreads the rumour that a node is gone.
func (w *World) mourn(dead *Node, soonest, latest time.Duration) {
	life := dead.life
	w.After(w.between(soonest, latest), func() {
		if dead.alive && dead.life != life {
			return // it is back, and says so itself
		}
		dead.record = nil
		for _, n := range w.nodes {
			if n != dead && n.alive && n.cfg.Gossips {
				w.after(w.between(0, 300*time.Millisecond), n, actLate{relay.Rumour{Node: dead.id}})
			}
		}
	})
}

// sendShard puts a shard on the way.
func (w *World) sendShard(c *conn, from *Node, s *stripe.Shard) {
	c.used = w.t
	w.carry(c, from, actShard{c, from, s, w.t}, true, len(s.Encoded()))
}

func (w *World) sendMessage(c *conn, from *Node, b []byte) {
	c.used = w.t
	if to := c.ends[1-c.side(from)]; !c.open[c.side(to)] && w.reachable(from, to) {
		w.after(2*w.path(from, to), from, actDown{c}) // a stateless reset answers
		return
	}
	w.carry(c, from, actMessage{c, from, b}, false, len(b))
}
