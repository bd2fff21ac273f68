package wide

import (
	"slices"
	"time"
)

// flow is what a node holds of one stripe, and from whom.
type flow struct {
	last    int64         // the newest block, -1 if none, as last looked at
	at      time.Duration // when that was seen to be new
	feeders []feeder
	stalled bool // nothing new came, since the mass kill
	direct  bool // its parent was among the killed

	// The way from the source, if all on it are fed by one: how long a block takes,
	// and when the first came that way. Zero is not known. Who knows it stands below
	// one who does.
	way   time.Duration
	wayAt time.Duration
}

// feeder is one who feeds a node a stripe, from since until until.
type feeder struct {
	from  int32
	since time.Duration
	until time.Duration // open if zero
}

// kid is one whom a node feeds.
type kid struct {
	child  int32
	stripe uint8
}

// repair is how long a stripe of a survivor stood still.
type repair struct {
	Took   time.Duration
	Direct bool // its own parent died, not one further up
}

// maxHops ends a walk up a loop.
const maxHops = 12

// held is the newest block of a stripe that node i holds at t, -1 if none.
func (w *World) held(i int32, s int, t time.Duration, hops int) int64 {
	n := w.nodes[i]
	if !n.alive && t > n.died {
		t = n.died
	}
	if i == 0 {
		return int64(t / w.BlockTime)
	}
	fl, best := &n.flows[s], int64(-1)
	if fl.at <= t {
		best = fl.last
	}
	if n.alive && w.findWay(n, s, hops) && t >= fl.wayAt {
		return max(best, int64((t-fl.way)/w.BlockTime))
	}
	if hops > maxHops {
		return best
	}
	for _, f := range fl.feeders {
		at := t - w.path(i, f.from) - forwarding
		if f.until > 0 {
			at = min(at, f.until)
		}
		if at >= f.since {
			best = max(best, w.held(f.from, s, at, hops+1))
		}
	}
	return best
}

// findWay reports whether a node's way from the source in a stripe is known.
func (w *World) findWay(n *node, s, hops int) bool {
	fl := &n.flows[s]
	if fl.way > 0 {
		return true
	}
	if hops > maxHops || len(fl.feeders) != 1 {
		return false
	}
	f := &fl.feeders[0]
	p := w.nodes[f.from]
	if f.until > 0 || !p.alive {
		return false
	}
	hop := w.path(n.index, f.from) + forwarding
	if f.from == 0 {
		fl.way, fl.wayAt = hop, f.since+hop
		return true
	}
	if !w.findWay(p, s, hops+1) {
		return false
	}
	above := &p.flows[s]
	fl.way, fl.wayAt = above.way+hop, max(above.wayAt, f.since)+hop
	return true
}

// loseWay forgets the ways of a node and of all below it in a stripe.
func (w *World) loseWay(n *node, s int) {
	if n.flows == nil || n.flows[s].way == 0 {
		return
	}
	n.flows[s].way = 0
	for _, k := range n.kids {
		if int(k.stripe) == s {
			w.loseWay(w.nodes[k.child], s)
		}
	}
}

// feed begins to feed a child.
func (w *World) feed(n, c *node, s int) {
	fl := &c.flows[s]
	fed := slices.ContainsFunc(fl.feeders, func(f feeder) bool { return f.until == 0 && w.nodes[f.from].alive })
	if !slices.ContainsFunc(fl.feeders, func(f feeder) bool { return f.from == n.index && f.until == 0 }) {
		fl.feeders = append(fl.feeders, feeder{from: n.index, since: w.t})
	}
	if k := (kid{c.index, uint8(s)}); !slices.Contains(n.kids, k) {
		n.kids = append(n.kids, k)
	}
	w.loseWay(c, s)
	if n.index == 0 {
		w.peak = max(w.peak, len(n.kids))
	}
	if fed {
		c.alert()
	} else {
		w.disturb(c, s, 0)
	}
}

// starve ends a feed.
func (w *World) starve(n, c *node, s int) {
	if i := slices.Index(n.kids, kid{c.index, uint8(s)}); i >= 0 {
		n.kids = slices.Delete(n.kids, i, i+1)
	}
	if !c.alive {
		return
	}
	w.loseWay(c, s)
	fed := false
	for i := range c.flows[s].feeders {
		f := &c.flows[s].feeders[i]
		if f.from == n.index && f.until == 0 {
			f.until = w.t
		}
		fed = fed || f.until == 0 && w.nodes[f.from].alive
	}
	if !fed {
		w.disturb(c, s, 0)
	}
}

// disturb tells a node, and all below it in a stripe, that its flow may change.
func (w *World) disturb(n *node, s, hops int) {
	n.alert()
	if hops > maxHops {
		return
	}
	for _, k := range n.kids {
		if int(k.stripe) == s {
			w.disturb(w.nodes[k.child], s, hops+1)
		}
	}
}

// alert makes a node look at every block for a while.
func (n *node) alert() {
	if n.alerted || !n.alive || n.forest == nil || n.index == 0 {
		return
	}
	n.alerted = true
	t, phase := n.w.t, n.w.path(n.index, n.index)+forwarding
	next := (t-phase)/n.w.BlockTime*n.w.BlockTime + phase
	for next <= t {
		next += n.w.BlockTime
	}
	n.w.schedule(next, event{kind: evTick, node: n.index})
}

// tick brings a block to a node whose flows change.
func (n *node) tick() {
	w := n.w
	n.look()
	current, all := 0, true
	head := int64(w.t / w.BlockTime)
	n.lag = 0
	for s := range n.flows {
		fl := &n.flows[s]
		switch flows := fl.last >= 0 && w.t-fl.at < 2*w.BlockTime+w.BlockTime/2; {
		case flows && n.flowing(s, 0):
			current++
			n.lag = max(n.lag, head-fl.last+1)
		case n.play() || len(fl.feeders) > 0:
			all = false
		}
	}
	if current >= w.Layout.K && n.firstK == 0 {
		n.firstK = w.t - n.joined
	}
	if current == w.Layout.N() && n.firstAll == 0 {
		n.firstAll = w.t - n.joined
	}
	if n.alerted = !all; n.alerted {
		w.schedule(w.t+w.BlockTime, event{kind: evTick, node: n.index})
	}
	n.touch()
}

// look tells the forest what has come, stripe by stripe.
func (n *node) look() {
	for s := range n.flows {
		n.lookAt(s)
	}
}

func (n *node) lookAt(s int) {
	w, fl := n.w, &n.flows[s]
	if n.index == 0 {
		if h := int64(w.t / w.BlockTime); h > fl.last {
			fl.last, fl.at = h, w.t
			n.forest.Got(w.now(), n.forest.Branch(w.now(), s).Parent, s, uint64(h))
		}
		return
	}
	if len(fl.feeders) == 0 {
		return
	}
	if h := w.held(n.index, s, w.t, 0); h > fl.last {
		fl.last, fl.at = h, w.t
		n.forest.Got(w.now(), n.forest.Branch(w.now(), s).Parent, s, uint64(h))
		n.resumed(s)
	}
	fl.feeders = slices.DeleteFunc(fl.feeders, func(f feeder) bool {
		end := f.until
		if from := w.nodes[f.from]; !from.alive && (end == 0 || from.died < end) {
			end = from.died
		}
		return end > 0 && w.t > end+w.path(n.index, f.from)+forwarding
	})
}

// progress tells the forest that all is well, if it is; else what has come.
func (n *node) progress() {
	if n.alerted || n.index == 0 {
		n.look()
		return
	}
	h := int64(n.w.t/n.w.BlockTime) - n.lag
	for s := range n.flows {
		if fl := &n.flows[s]; len(fl.feeders) > 0 && h > fl.last {
			fl.last, fl.at = h, n.w.t
			n.forest.Got(n.w.now(), n.forest.Branch(n.w.now(), s).Parent, s, uint64(h))
			n.resumed(s)
		}
	}
}

// bereave notes which stripes of a survivor stand still.
func (n *node) bereave() {
	n.progress()
	for s := range n.flows {
		fl := &n.flows[s]
		if len(fl.feeders) == 0 || n.flowing(s, 0) {
			continue
		}
		fl.stalled = true
		fl.direct = !slices.ContainsFunc(fl.feeders, func(f feeder) bool { return n.w.nodes[f.from].alive })
	}
	n.alert()
}

// resumed notes that something came on a stripe after the kill that cannot have
// been on its way then.
func (n *node) resumed(s int) {
	w, fl := n.w, &n.flows[s]
	if fl.stalled && n.flowing(s, 0) {
		w.repairs = append(w.repairs, repair{w.t - w.killed, fl.direct})
		fl.stalled = false
	}
}

// flowing reports whether a stripe has an unbroken way from the source to n.
func (n *node) flowing(s, hops int) bool {
	if n.index == 0 {
		return n.alive
	}
	if !n.alive || hops > maxHops {
		return false
	}
	if n.w.findWay(n, s, hops) {
		return true
	}
	for _, f := range n.flows[s].feeders {
		if f.until == 0 && n.w.nodes[f.from].flowing(s, hops+1) {
			return true
		}
	}
	return false
}
