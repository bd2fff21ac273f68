package sim

import (
	"math"
	"time"
)

// What is modelled of the way from one node to another:
//
//   - packets: 1,200 bytes; a shard or message is there when its last packet is.
//   - loss: QUIC sends a lost packet again after about 9/8 of a round trip and
//     then half as long again each time. What takes a shard beyond two seconds is
//     reset, and lost. With Final it is lost at once and for good.
//   - the window: NewReno, one for every QUIC connection between two nodes (lanes),
//     summed up: it grows by a packet a round trip and lane while it is full, and
//     a loss cuts one lane's, as quic-go does. What does not fit waits in the child's outbox.
//   - queues: one before a node's uplink, one before its downlink, both fluid. What
//     would wait longer than queueMax is dropped, and sent again.
//   - order: messages keep theirs. Shards do not.
//
// What is not: acknowledgements get lost or cost nothing; the two ends' clocks
// agree; handshakes cost no bandwidth; gossip has no ways at all (see gossip.go).

const (
	packetSize = 1200
	// queueMax is the most that waits before an uplink or a downlink, as time.
	queueMax = 200 * time.Millisecond
	// wireShare is what IP, UDP, QUIC and acknowledgements add to what is sent.
	wireShare = 1.06
	// firstWindow and leastWindow are quic-go's congestion windows, in bytes, of
	// one lane.
	firstWindow = 32 * packetSize
	leastWindow = 2 * packetSize
	// lossCut is the part of its window that quic-go's NewReno gives up after a loss.
	lossCut = 0.3
)

// Conditions says how things travel. The zero value is a way without faults.
// Those of the net, of both nodes and of the way itself add up.
type Conditions struct {
	// Loss is the chance that a packet is lost.
	Loss float64
	// Final is the chance that a shard is lost for good; nothing sends it again.
	Final float64
	// Reorder is the chance that something is delayed by up to Jitter.
	Reorder float64
	Jitter  time.Duration
	// Duplicate is the chance that a shard comes twice, up to a second apart.
	Duplicate float64
	// Outage of every Period nothing gets through. Each way has its own phase, unless
	// one is given. If it is Fatal, no shard that meets it is sent again.
	Outage, Period, Phase time.Duration
	Fatal                 bool
	// Good and Bad are the mean stays, exponentially distributed, in the two states
	// of a Gilbert–Elliott channel; in the bad one BadLoss is lost as well.
	Good, Bad time.Duration
	BadLoss   float64
}

// with adds further conditions.
func (c Conditions) with(o Conditions) Conditions {
	both := func(a, b float64) float64 { return 1 - (1-a)*(1-b) }
	c.Loss, c.Final = both(c.Loss, o.Loss), both(c.Final, o.Final)
	c.Reorder, c.Duplicate = both(c.Reorder, o.Reorder), both(c.Duplicate, o.Duplicate)
	c.Jitter = max(c.Jitter, o.Jitter)
	if o.Period > 0 {
		c.Outage, c.Period, c.Phase, c.Fatal = o.Outage, o.Period, o.Phase, o.Fatal
	}
	if o.Good > 0 {
		c.Good, c.Bad, c.BadLoss = o.Good, o.Bad, o.BadLoss
	}
	return c
}

// network is the state of everything between the nodes.
type network struct {
	all     Conditions
	ways    map[way]Conditions // never ranged over
	walls   map[way]barrier    // never ranged over
	split   bool               // nodes of different groups are cut off from each other
	splitAt time.Duration
	splits  int  // partitions there were
	version int  // of all conditions
	calm    bool // there are none, nor any limited link
	barred  bool // a wall, a clog or a partition may be somewhere
}

// way is a direction between two nodes.
type way struct{ from, to *Node }

// barrier is what nothing passes.
type barrier struct {
	since time.Duration
	clog  bool // what waits behind it is let go, however old
}

func (net *network) init(all Conditions) {
	net.ways, net.walls = map[way]Conditions{}, map[way]barrier{}
	net.all = all
	net.calm = all == Conditions{}
	net.version = 1
}

// changed says that some condition was set.
func (net *network) changed() { net.version, net.calm = net.version+1, false }

// lane is one direction of a connection: all its QUIC connections together.
type lane struct {
	count   int // QUIC connections
	cond    Conditions
	version int             // of cond
	bad     bool            // the state of a Gilbert–Elliott channel up to the first of turns
	turns   []time.Duration // when it changes next
	window  float64         // bytes
	slow    float64         // above it the window grows slowly
	flight  []flying
	flying  int           // bytes on the way, or held
	cutAt   time.Duration // the window is not cut again for a loss before
	held    []held
	box
}

// flying is a shard that will be acknowledged.
type flying struct {
	at    time.Duration
	bytes int
}

// held waits behind a barrier.
type held struct {
	act
	since time.Duration
	bytes int
}

func (l *lane) init() { l.count, l.window, l.slow = 1, firstWindow, math.Inf(1) }

// lanes sets the number of QUIC connections.
func (l *lane) lanes(count int) {
	l.window = max(leastWindow, l.window+float64((count-l.count)*firstWindow))
	l.count = count
}

// room reports whether the window lets so many bytes go, and if not when to ask
// again; 0 means that only the end of a barrier helps.
func (l *lane) room(now time.Duration, bytes int) (at time.Duration, ok bool) {
	if l.flying == 0 {
		return 0, true
	}
	full := float64(l.flying) > l.window/2
	kept := l.flight[:0]
	for _, f := range l.flight {
		if f.at > now {
			kept = append(kept, f)
			continue
		}
		l.flying -= f.bytes
		switch {
		case !full:
		case l.window < l.slow:
			l.window += float64(f.bytes)
		default:
			l.window += packetSize * float64(l.count) * float64(f.bytes) / l.window
		}
	}
	l.flight = kept
	if l.flying == 0 || float64(l.flying+bytes) <= l.window {
		return 0, true
	}
	for _, f := range l.flight {
		if at == 0 || f.at < at {
			at = f.at
		}
	}
	return at, false
}

// cut makes the window smaller after a loss, once a round trip.
func (l *lane) cut(now, rtt time.Duration) {
	if now >= l.cutAt {
		l.window = max(leastWindow*float64(l.count), l.window*(1-lossCut/float64(l.count)))
		l.slow, l.cutAt = l.window, now+rtt
	}
}

// queue is the fluid queue before a link. It is filled when things are sent, as
// if all came over ways of one length: that shifts it in time, and keeps its rate.
type queue struct {
	rate  float64 // bytes a second; 0 = no limit
	level float64 // bytes
	at    time.Duration
}

// wait is how long what is sent now waits behind the rest.
func (q *queue) wait(now time.Duration) time.Duration {
	if q.rate == 0 {
		return 0
	}
	if d := now - q.at; d > 0 {
		q.level, q.at = max(0, q.level-q.rate*d.Seconds()), now
	}
	return time.Duration(q.level / q.rate * float64(time.Second))
}

// add puts bytes into the queue and says when they are through; false if it is full.
func (q *queue) add(now time.Duration, bytes int) (time.Duration, bool) {
	if q.rate == 0 {
		return 0, true
	}
	if q.wait(now) > queueMax {
		return 0, false
	}
	q.level += wireShare * float64(bytes)
	return q.wait(now), true
}

// queueing is what the links' queues add to a connection's round trip now.
func (w *World) queueing(c *conn) (d time.Duration) {
	for _, n := range c.ends {
		d += n.up.wait(w.t) + n.down.wait(w.t)
	}
	return d
}

// conditions of a way as things are now.
func (w *World) conditions(from, to *Node) Conditions {
	return w.net.all.with(from.cond).with(to.cond).with(w.net.ways[way{from, to}])
}

// weather brings a lane's conditions up to date.
func (w *World) weather(l *lane, from, to *Node) {
	if l.version != w.net.version {
		l.version, l.cond = w.net.version, w.conditions(from, to)
	}
}

// loses reports whether a packet sent at a time is lost.
func (w *World) loses(l *lane, from, to *Node, at time.Duration) bool {
	c := &l.cond
	if w.isOut(c, from, to, at) {
		return true
	}
	p := c.Loss
	if c.Good > 0 && w.isBad(l, at) {
		p = 1 - (1-p)*(1-c.BadLoss)
	}
	return w.chance(p)
}

// isOut reports whether a way has an outage at a time.
func (w *World) isOut(c *Conditions, from, to *Node, at time.Duration) bool {
	if c.Period == 0 {
		return false
	}
	phase := c.Phase
	if phase == 0 {
		phase = w.path(from, to) * 7919
	}
	return (at+phase)%c.Period < c.Outage
}

// isBad is the state of a Gilbert–Elliott channel at a time, now or later. It
// begins in the good one.
func (w *World) isBad(l *lane, at time.Duration) bool {
	for len(l.turns) == 0 || l.turns[len(l.turns)-1] <= at {
		from, mean := w.t, l.cond.Good
		if last := len(l.turns) - 1; last >= 0 {
			from = l.turns[last]
		}
		if l.bad != (len(l.turns)%2 == 1) {
			mean = l.cond.Bad
		}
		l.turns = append(l.turns, from+1+time.Duration(w.rnd.ExpFloat64()*float64(mean)))
	}
	for l.turns[0] <= w.t {
		l.bad, l.turns = !l.bad, l.turns[1:]
	}
	bad := l.bad
	for _, turn := range l.turns {
		if turn <= at {
			bad = !bad
		}
	}
	return bad
}

// retransmits is what loss adds to the delay of something of that many bytes,
// and whether anything was lost.
func (w *World) retransmits(l *lane, from, to *Node, bytes int) (worst time.Duration, lost bool) {
	c := &l.cond
	if c.Loss == 0 && c.Period == 0 && c.Good == 0 {
		return 0, false
	}
	wait := w.patience(from, to)
	for range max(1, (bytes+packetSize-1)/packetSize) {
		extra, step := time.Duration(0), wait
		for extra <= lateAfter+dialTimeout && w.loses(l, from, to, w.t+extra) {
			extra += step
			step += step / 2
			lost = true
		}
		worst = max(worst, extra)
	}
	return worst, lost
}

// patience is how long QUIC waits for an acknowledgement.
func (w *World) patience(from, to *Node) time.Duration {
	return 9*2*w.path(from, to)/8 + 10*time.Millisecond
}

// lateness is retransmits between nodes that have no connection.
func (w *World) lateness(from, to *Node, bytes int) time.Duration {
	if w.net.calm {
		return 0
	}
	var l lane
	w.weather(&l, from, to)
	late, _ := w.retransmits(&l, from, to, bytes)
	return late
}

// carry brings something to the other end of a connection.
func (w *World) carry(c *conn, from *Node, a act, bytes int) {
	i := c.side(from)
	to, l := c.ends[1-i], &c.ways[i]
	if w.barred(from, to) {
		l.held = append(l.held, held{a, w.t, bytes})
		if a.kind == doShard {
			l.flying += bytes
			to.ledger.mark(a.shard, Cut)
		}
		return
	}
	delay := c.delay
	if !w.net.calm {
		extra, ok := w.travel(c, i, a, bytes)
		if !ok {
			return
		}
		delay += extra
	}
	if a.kind != doShard { // messages stay in order
		at := max(w.t+delay, c.last[1-i])
		c.last[1-i] = at
		delay = at - w.t
	}
	w.after(delay, to, a)
}

// travel is what faults and queues add to the delay of something from ends[i];
// false if it does not come, or is sent again later.
func (w *World) travel(c *conn, i int, a act, bytes int) (extra time.Duration, ok bool) {
	from, to, l := c.ends[i], c.ends[1-i], &c.ways[i]
	w.weather(l, from, to)
	rtt := 2 * c.delay
	shard := a.kind == doShard
	if shard && (w.chance(l.cond.Final) || l.cond.Fatal && w.isOut(&l.cond, from, to, w.t)) {
		to.ledger.mark(a.shard, Lost)
		return 0, false
	}
	up, okUp := from.up.add(w.t, bytes)
	down, okDown := time.Duration(0), true
	if okUp {
		down, okDown = to.down.add(w.t, bytes)
	}
	if !okUp || !okDown {
		l.cut(w.t, rtt)
		if shard {
			to.ledger.mark(a.shard, Queue)
			l.flying += bytes
			again := w.patience(from, to) + queueMax
			l.flight = append(l.flight, flying{w.t + again, bytes})
			w.after(again, from, act{kind: doResend, c: c, shard: a.shard, asked: a.asked, sent: a.sent})
			return 0, false
		}
		extra += queueMax + w.patience(from, to)
	}
	late, lost := w.retransmits(l, from, to, bytes)
	extra += up + down + late
	if lost && shard {
		l.cut(w.t, rtt)
	}
	if w.chance(l.cond.Reorder) {
		extra += w.between(0, l.cond.Jitter)
	}
	if !shard {
		return extra, true
	}
	if w.t+extra-a.sent > lateAfter {
		to.ledger.mark(a.shard, Lost)
		return 0, false
	}
	l.flying += bytes
	l.flight = append(l.flight, flying{w.t + extra + rtt, bytes})
	if w.chance(l.cond.Duplicate) {
		w.after(c.delay+extra+w.between(0, time.Second), to, a)
	}
	return extra, true
}
