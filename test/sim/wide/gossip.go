package wide

import (
	"math/bits"
	"slices"
	"time"
)

// Gossip is a queue: a member's record waits until it is spread, a newer one in
// the place of an older; so many are spread a second, and reach a member some
// time later.
//
// The rate is what the pool's settings allow: 2 packets of 1,150 B every 200 ms,
// each of about 3 records in their wrapping; nearly a half bring something new.
const (
	gossipEvery   = 150 * time.Millisecond
	gossipBatch   = 2   // records spread every gossipEvery
	gossipRoom    = 4.5 // records that a member can send in that time
	gossipMult    = 8   // memberlist's RetransmitMult
	gossipSpread  = 600 * time.Millisecond
	gossipJitter  = 800 * time.Millisecond
	exchangeNodes = 512 // what a newcomer is told at once
	wrapping      = 120 // bytes around a record
	rumourAfter   = 11 * time.Second
	rumourJitter  = 4 * time.Second
)

type gossip struct {
	members int
	waiting []int32 // in the order in which they came
	log     []news
	state   []int32 // whose record was ever spread
	owed    float64 // records that each member has still to send
	bytes   int     // sent by all members
}

type news struct {
	at   time.Duration
	node int32
	raw  []byte // nil: it is thought gone
}

// spread queues a member's newest record.
func (w *World) spread(n *node, raw []byte) {
	n.toSpread = raw
	if !slices.Contains(w.gossip.waiting, n.index) {
		w.gossip.waiting = append(w.gossip.waiting, n.index)
	}
}

// gossipRound spreads the next records.
func (w *World) gossipRound() {
	g := &w.gossip
	w.After(gossipEvery, w.gossipRound)
	for range min(gossipBatch, len(g.waiting)) {
		n := w.nodes[g.waiting[0]]
		g.waiting = g.waiting[1:]
		if !n.alive {
			continue
		}
		if n.spreadRaw == nil {
			g.state = append(g.state, n.index)
		}
		n.spreadRaw = n.toSpread
		g.log = append(g.log, news{w.t, n.index, n.spreadRaw})
		digits := (bits.Len(uint(g.members))*3 + 9) / 10 // of the number of members
		// A member's newer record takes the place of its older one in the queue.
		each := float64(gossipMult * digits)
		g.owed = min(g.owed+each, each*float64(g.members))
	}
	sent := min(g.owed, gossipRoom)
	g.owed -= sent
	g.bytes += int(sent * float64(g.members) * float64(wrapping+len(w.nodes[0].announcer.Raw())))
}

// exchange is what a member is told when it joins.
func (w *World) exchange(n *node) {
	n.cursor = len(w.gossip.log)
	n.spreadLag = gossipSpread + time.Duration(w.rnd.Int64N(int64(gossipJitter)))
	state := w.gossip.state
	for i := range min(exchangeNodes, len(state)) {
		j := i + w.rnd.IntN(len(state)-i)
		state[i], state[j] = state[j], state[i]
		n.learn(w.nodes[state[i]].spreadRaw)
		w.gossip.bytes += wrapping + len(w.nodes[state[i]].spreadRaw)
	}
}

// readGossip takes what has reached a member.
func (n *node) readGossip() {
	g := &n.w.gossip
	for ; n.cursor < len(g.log) && g.log[n.cursor].at+n.spreadLag <= n.w.t; n.cursor++ {
		if item := &g.log[n.cursor]; item.raw != nil {
			n.learn(item.raw)
		} else {
			n.book.Doubt(n.w.nodes[item.node].id)
		}
	}
}

// mourn spreads that a member is gone, some time later.
func (g *gossip) mourn(w *World, n *node) {
	if n.member {
		w.After(rumourAfter+time.Duration(w.rnd.Int64N(int64(rumourJitter))), func() {
			g.log = append(g.log, news{w.t, n.index, nil})
		})
	}
}
