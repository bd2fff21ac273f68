package sim

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
)

// The transport's times, as relay/quicnet has them.
const (
	idleTimeout   = 8 * time.Second
	keepAlive     = time.Second
	lateAfter     = 2 * time.Second  // a shard that takes longer is reset
	unusedTimeout = 30 * time.Second // an unpinned connection that carries nothing is closed
	dialTimeout   = 3 * time.Second
	watchEvery    = time.Second
)

// conn is a connection of two nodes: all QUIC connections between them.
type conn struct {
	ends  [2]*Node
	open  [2]bool // as each end sees it
	pins  [2]bool
	delay time.Duration    // one way
	last  [2]time.Duration // when the last message towards ends[i] arrives
	told  [2]time.Duration // the round-trip time that ends[i] was told
	ways  [2]lane          // from ends[i]
	used  time.Duration
	quiet [2]bool // as ends[i] was told of the other
	check bool    // a doIdle is scheduled
	spare bool    // it is being closed for want of use
}

func (c *conn) side(n *Node) int {
	if c.ends[0] == n {
		return 0
	}
	return 1
}

func (c *conn) other(n *Node) *Node { return c.ends[1-c.side(n)] }

// connOf is the open connection of two nodes as n sees it, or nil.
func (w *World) connOf(n, other *Node) *conn {
	if c := n.links[other]; c != nil && c.open[c.side(n)] {
		return c
	}
	return nil
}

// path is the one-way delay between two nodes: drawn from their names, so that
// it is the same whenever it is first needed.
func (w *World) path(a, b *Node) time.Duration {
	if w.Far <= w.Near {
		return w.Near
	}
	x := w.Seed ^ uint64(min(a.index, b.index))<<32 ^ uint64(max(a.index, b.index))
	x += 0x9e3779b97f4a7c15 // splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return w.Near + time.Duration(x%uint64(w.Far-w.Near))
}

// dial connects n to another, or lets it fail.
func (w *World) dial(n, to *Node) {
	if w.connOf(n, to) != nil || n.dialling[to] {
		return
	}
	n.dialling[to] = true
	if !w.reachable(n, to) {
		w.after(dialTimeout, n, act{kind: doFailed, arg: to})
		return
	}
	late := 3 * w.path(n, to)
	for range 3 {
		late += w.lateness(n, to, packetSize)
	}
	if late > dialTimeout {
		w.after(dialTimeout, n, act{kind: doFailed, arg: to})
		return
	}
	w.after(late, n, act{kind: doDialled, arg: to})
}

// reachable reports whether a handshake gets through, both ways.
func (w *World) reachable(a, b *Node) bool {
	return b.alive && !b.paused && !w.barred(a, b) && !w.barred(b, a) && (w.Reach == nil || w.Reach(a, b))
}

// dialled ends a dial: both ends are up.
func (w *World) dialled(n, to *Node) {
	if !n.dialling[to] {
		return
	}
	if n.paused || !w.reachable(n, to) {
		w.after(dialTimeout, n, act{kind: doFailed, arg: to})
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
	c := &conn{ends: [2]*Node{n, to}, open: [2]bool{true, true}, delay: w.path(n, to), used: w.t}
	for i, end := range c.ends {
		end.links[c.ends[1-i]] = c
		end.conns = append(end.conns, c)
		c.ways[i].init()
	}
	for _, end := range c.ends {
		end.handle(relay.Up{Peer: c.other(end).id})
		end.tellRTT(c)
	}
	w.watch(c)
}

func (n *Node) dialFailed(to *Node) {
	if n.dialling[to] {
		delete(n.dialling, to)
		n.handle(relay.Down{Peer: to.id, Dialed: true})
	}
}

// tellRTT tells the core the round-trip time of a connection if it changed by a
// tenth since it was told.
func (n *Node) tellRTT(c *conn) {
	i := c.side(n)
	if !c.open[i] {
		return
	}
	rtt := 2*c.delay + n.w.queueing(c)
	if change := rtt - c.told[i]; max(change, -change)*10 <= c.told[i] {
		return
	}
	c.told[i] = rtt
	n.handle(relay.Measured{Peer: c.other(n).id, RTT: rtt, RTTVar: rtt / 8})
}

// close marks n's end closed, and forgets the connection when both are.
func (c *conn) close(n *Node) {
	i := c.side(n)
	if !c.open[i] {
		return
	}
	c.open[i] = false
	n.dropBox(&c.ways[i])
	if c.open[1-i] {
		return
	}
	for _, end := range c.ends {
		if other := c.other(end); end.links[other] == c {
			delete(end.links, other)
		}
		end.conns = slices.DeleteFunc(end.conns, func(o *conn) bool { return o == c })
	}
}

// shut closes a connection at one end, which is told.
func (w *World) shut(c *conn, n *Node) {
	if c.open[c.side(n)] {
		c.close(n)
		if n.alive {
			n.handle(relay.Down{Peer: c.other(n).id, Unused: c.spare})
		}
	}
}

// hangup closes a connection at n's end; the other hears of it.
func (w *World) hangup(c *conn, n *Node) {
	w.shut(c, n)
	w.carry(c, n, act{kind: doDown, c: c}, 0)
}

// sendShard puts a shard on the way.
func (w *World) sendShard(c *conn, from *Node, p parcel) {
	c.used = w.t
	w.carry(c, from, act{kind: doShard, c: c, shard: p.Shard, asked: p.asked, sent: w.t}, len(p.Encoded()))
}

func (w *World) sendMessage(c *conn, from *Node, b []byte) {
	c.used = w.t
	if to := c.other(from); !c.open[c.side(to)] && w.reachable(from, to) {
		w.after(2*c.delay, from, act{kind: doDown, c: c}) // a stateless reset answers
		return
	}
	w.carry(c, from, act{kind: doMessage, c: c, arg: b}, len(b))
}

// watch looks at a connection again when it might be found dead.
func (w *World) watch(c *conn) {
	if !c.check && (c.open[0] || c.open[1]) {
		c.check = true
		w.after(watchEvery, nil, act{kind: doIdle, c: c})
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
		case !c.open[1-i] && peer.alive && w.t-peer.since >= keepAlive && w.reachable(n, peer):
			w.shut(c, n) // a keep-alive met a stateless reset
		}
	}
	if c.open[0] && c.open[1] && !c.pins[0] && !c.pins[1] && w.t-c.used > unusedTimeout {
		c.spare = true
		w.hangup(c, c.ends[0])
	}
	w.watch(c)
}

// heard is when ends[i] last heard anything of its peer, who says something
// every second if it can.
func (w *World) heard(c *conn, i int) time.Duration {
	n, peer := c.ends[i], c.ends[1-i]
	at := w.t
	if since, blocked := w.barredSince(peer, n); blocked {
		at = min(at, since)
	}
	if !peer.alive || peer.paused {
		at = min(at, peer.since)
	}
	return at
}

// receive takes what the network brings.
func (n *Node) receive(a act) {
	w := n.w
	if a.c == nil || a.kind != doDown && !a.c.open[a.c.side(n)] {
		return
	}
	switch from := a.c.other(n); a.kind {
	case doDown:
		w.shut(a.c, n)
	case doMessage:
		b := a.arg.([]byte)
		m, err := overlay.Decode(b)
		if err != nil {
			w.audit.accuse(w, "%s said %x: %v", from.Name, b, err)
			return
		}
		w.noteBytes(b)
		if w.hidden(n, m) || w.refused(n, a.c, m) {
			return
		}
		n.handle(relay.Heard{Peer: from.id, Msg: m})
	case doShard:
		if w.t-a.sent > lateAfter {
			return
		}
		w.note(a.shard.Number<<6 | uint64(a.shard.Index))
		n.ledger.came(n, from, a.shard, a.asked)
		if !a.asked {
			n.repaired(from, a.shard.Index)
		}
		n.handle(relay.Arrived{Peer: from.id, Shard: a.shard.Encoded()})
	}
}
