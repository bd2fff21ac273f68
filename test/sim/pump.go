package sim

import (
	"slices"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// box is what waits for one child: the real Outbox, and beside it the same shards,
// to know which of them it dropped.
type box struct {
	relay.Outbox
	shards []parcel
	ready  bool // stands in Node.ready
	shut   bool // the window is full; doRoom will come
}

// parcel is a shard on its way to a child, or to a neighbour that asked for it.
type parcel struct {
	*stripe.Shard
	asked bool
}

// forward sends a shard to a child, or lets it wait.
func (n *Node) forward(o relay.Forward) {
	w := n.w
	to := w.byID[o.Peer]
	c := w.connOf(n, to)
	if c == nil {
		return
	}
	l, size := &c.ways[c.side(n)], len(o.Shard.Encoded())
	if !n.pumping && !n.paused && len(n.ready) == 0 && len(l.shards) == 0 {
		if _, ok := l.room(w.t, size); ok {
			n.meter(c, parcel{o.Shard, o.Pulled})
			return
		}
	}
	if !o.Expires.After(w.now()) {
		n.dropped(to, o.Shard)
		return
	}
	before := l.Len()
	l.Push(w.now(), relay.Item{Data: o.Shard.Encoded(), Expires: o.Expires})
	if before == relay.OutboxLimit {
		n.dropped(to, l.shards[0].Shard)
		n.queued -= len(l.shards[0].Encoded())
		l.shards = slices.Delete(l.shards, 0, 1)
	}
	l.shards = append(l.shards, parcel{o.Shard, o.Pulled})
	n.queued += size
	n.Figures.QueueMax = max(n.Figures.QueueMax, n.queued)
	if !l.ready && !l.shut {
		l.ready = true
		n.ready = append(n.ready, c)
	}
	n.pump()
}

// meter takes a shard's bytes from the upload and sends it when there is some.
func (n *Node) meter(c *conn, p parcel) {
	if wait := n.bucket.Take(n.w.now(), len(p.Encoded())*11/10); wait > 0 {
		n.pumping = true
		n.w.after(wait, n, act{kind: doPump, c: c, shard: p.Shard, asked: p.asked})
		return
	}
	n.send(c, p)
}

// pump sends what the upload and the windows let it, one child after the other.
func (n *Node) pump() {
	w := n.w
	for !n.pumping && !n.paused && len(n.ready) > 0 {
		n.turn++
		c := n.ready[n.turn%len(n.ready)]
		l := &c.ways[c.side(n)]
		if len(l.shards) > 0 {
			if at, ok := l.room(w.t, len(l.shards[0].Encoded())); !ok {
				l.shut = true
				n.unready(c, l)
				if at > 0 {
					w.after(at-w.t, n, act{kind: doRoom, c: c})
				}
				continue
			}
		}
		item, ok := l.Pop(w.now())
		for len(l.shards) > 0 && !(ok && &l.shards[0].Encoded()[0] == &item.Data[0]) {
			n.dropped(c.other(n), l.shards[0].Shard)
			n.shift(l)
		}
		if !ok {
			n.unready(c, l)
			continue
		}
		p := l.shards[0]
		n.shift(l)
		n.meter(c, p)
	}
}

func (n *Node) shift(l *lane) {
	n.queued -= len(l.shards[0].Encoded())
	l.shards = l.shards[1:]
	if len(l.shards) == 0 {
		l.shards = nil
	}
}

func (n *Node) unready(c *conn, l *lane) {
	l.ready = false
	n.ready = slices.DeleteFunc(n.ready, func(o *conn) bool { return o == c })
}

// roomAt lets a lane's window be looked at again.
func (n *Node) roomAt(l *lane) {
	if !l.shut {
		return
	}
	l.shut = false
	for _, c := range n.conns {
		if &c.ways[c.side(n)] == l && c.open[c.side(n)] {
			l.ready = true
			n.ready = append(n.ready, c)
		}
	}
	n.pump()
}

// dropped says that a shard waited too long for a child.
func (n *Node) dropped(to *Node, s *stripe.Shard) {
	n.Figures.Dropped++
	why := Queue
	if n.w.barred(n, to) {
		why = Cut
	}
	to.ledger.mark(s, why)
}

// send gives the network one shard.
func (n *Node) send(c *conn, p parcel) {
	if !c.open[c.side(n)] {
		return
	}
	size := len(p.Encoded())
	n.Figures.Forwards++
	n.Figures.ForwardBytes += size
	if p.asked {
		n.Figures.Served++
		n.Figures.ServedBytes += size
	}
	n.w.audit.sent(n, c.other(n), p.Shard)
	n.w.sendShard(c, n, p)
}

// dropBox forgets what waited for the other end of a connection that is closed.
func (n *Node) dropBox(l *lane) {
	for len(l.shards) > 0 {
		n.shift(l)
	}
	if l.ready {
		n.ready = slices.DeleteFunc(n.ready, func(o *conn) bool { return &o.ways[o.side(n)] == l })
	}
	l.box = box{}
}
