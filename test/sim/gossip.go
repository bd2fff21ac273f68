package sim

import (
	"time"

	"github.com/stripecast/stripecast/relay"
)

// Gossip is one list of all that was ever said. Every member reads on in it from
// time to time: it gets what is at least gossipMin old, the newest word about each
// node, and no more of it than its rate allows, oldest first. So a record takes
// 0.2 to 1 s to everybody, and longer if too much is said. Who is new gets all
// that holds at the moment.
const (
	gossipMin   = 200 * time.Millisecond
	gossipEvery = 800 * time.Millisecond
	// gossipRate is what memberlist can spread: some fifty records a second.
	gossipRate = 50
)

type gossip struct {
	log   []word
	parts int // length of log when the last partition began
	bytes int // of records brought
}

// word is what is said of a node: its new record, or that it is gone.
type word struct {
	node   *Node
	record []byte // nil: gone
	at     time.Duration
}

// tell spreads a node's record over all members.
func (w *World) tell(n *Node, record []byte) {
	n.record = record
	if record != nil {
		w.say(word{n, record, w.t})
	}
}

func (w *World) say(s word) {
	s.node.said = len(w.gossip.log)
	w.gossip.log = append(w.gossip.log, s)
}

// mourn spreads the rumour that a node is gone, if it does not come back before.
func (w *World) mourn(n *Node, soonest, latest time.Duration) {
	life, since := n.life, n.since
	w.After(w.between(soonest, latest), func() {
		if n.life != life || n.since != since || n.alive && !n.paused {
			return
		}
		if !n.alive {
			n.record = nil
		}
		w.say(word{n, nil, w.t})
	})
}

// hearAll brings a new member what holds at the moment.
func (n *Node) hearAll() {
	w := n.w
	n.cursor = len(w.gossip.log)
	for _, m := range w.nodes {
		if m != n && m.record != nil && (!w.net.split || m.group == n.group) && w.knows(n, m) {
			w.gossip.bytes += len(m.record)
			n.queue = append(n.queue, relay.Learned{Record: m.record})
		}
	}
	n.handle(relay.Wake{})
}

// hear brings a member what is new.
func (n *Node) hear() {
	w := n.w
	w.after(gossipEvery, n, act{kind: doGossip})
	if n.paused {
		return
	}
	if n.cursor < 0 {
		n.hearAll()
		return
	}
	log, most := w.gossip.log, max(1, int(w.GossipRate*gossipEvery.Seconds()))
	for ; n.cursor < len(log) && most > 0; n.cursor++ {
		s := log[n.cursor]
		if w.t-s.at < gossipMin {
			break
		}
		said := s.node.said
		if s.node == n || said > n.cursor && w.t-log[said].at >= gossipMin || w.net.split && s.node.group != n.group || !w.knows(n, s.node) {
			continue
		}
		most--
		if s.record == nil {
			n.queue = append(n.queue, relay.Rumour{Node: s.node.id})
		} else {
			w.gossip.bytes += len(s.record)
			n.queue = append(n.queue, relay.Learned{Record: s.record})
		}
	}
	n.drain()
}

// gossipParts lets each side of a partition take the other for dead after a while.
func (w *World) gossipParts() {
	w.gossip.parts = len(w.gossip.log)
	partition := w.net.splits
	w.After(w.between(11*time.Second, 15*time.Second), func() {
		if !w.net.split || w.net.splits != partition {
			return
		}
		for _, n := range w.nodes {
			if !n.alive || n.paused || !n.cfg.Gossips {
				continue
			}
			for _, m := range w.nodes {
				if m.group != n.group && m.record != nil {
					n.queue = append(n.queue, relay.Rumour{Node: m.id})
				}
			}
			n.drain()
		}
	})
}

// gossipJoins lets both sides hear what the other said meanwhile.
func (w *World) gossipJoins() {
	for _, n := range w.nodes {
		n.cursor = min(n.cursor, w.gossip.parts)
	}
}
