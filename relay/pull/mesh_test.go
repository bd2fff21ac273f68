package pull

import (
	"container/heap"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// mesh runs many Pullers in virtual time: one heap of events, one seed, one run. Push
// is a model: every shard comes to every node at its own time, or not at all. So is the
// network: messages and shards are late by chance, as on a path that sends again what
// it loses; shards are sometimes given up.
type mesh struct {
	t      *testing.T
	set    setting
	rnd    *rand.Rand
	now    time.Time
	events events
	seq    uint64
	nodes  []*member
	last   map[[2]int]time.Time // when the last message of a pair comes: they keep their order
}

// setting is what a run is like.
type setting struct {
	nodes   int
	length  time.Duration
	layout  stripe.Layout
	rate    float64 // bits a second of stream
	delay   time.Duration
	path    time.Duration // one way, between two nodes
	loss    float64       // of packets: messages and served shards are late by it
	push    float64       // of pushed shards, never to come
	spread  time.Duration // within which the shards of a block come
	reorder float64       // of shards later by up to 50 ms more
	twice   float64       // of shards that come again
	upload  float64       // bits a second for serving; 0 is no limit
	seed    uint64

	dead   func(m *mesh, node int, now time.Duration) uint64 // stripes that bring nothing
	silent bool                                              // the forest says so
	gone   func(node int, now time.Duration) bool            // it does nothing any more
	bad    func(m *mesh, n *member, msg overlay.Message) bool
	begin  func(m *mesh)
}

// member is one participant of the mesh.
type member struct {
	mesh   *mesh
	index  int
	p      *Puller
	store  *holder
	lag    time.Duration // of push
	wake   time.Time
	due    int // blocks that should have been rebuilt, and of them
	lost   int
	pushed uint64          // shards that push brought
	served map[int]int     // to whom how many
	hung   map[int]bool    // on whom it hung up
	whole  map[uint64]bool // blocks rebuilt
	absent []uint64
	rogue  bool // it wants what it does not need
}

type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (m *mesh) in(d time.Duration, do func()) {
	m.seq++
	heap.Push(&m.events, event{m.now.Add(d), m.seq, do})
}

func (m *mesh) passed() time.Duration { return m.now.Sub(epoch0) }

// run makes a mesh and lets it run to its end.
func run(t *testing.T, set setting) *mesh {
	t.Helper()
	if set.layout.K == 0 {
		set.layout = stripe.Layout{K: 16, M: 4}
	}
	if set.rate == 0 {
		set.rate = 1_000_000
	}
	if set.delay == 0 {
		set.delay = 1500 * time.Millisecond
	}
	if set.path == 0 {
		set.path = 25 * time.Millisecond
	}
	if set.spread == 0 {
		set.spread = 60 * time.Millisecond
	}
	m := &mesh{t: t, set: set, rnd: rand.New(rand.NewPCG(set.seed, 77)), now: epoch0, last: map[[2]int]time.Time{}}
	for i := range set.nodes {
		m.add(i)
	}
	for _, a := range m.nodes {
		for _, b := range m.nodes {
			if a != b {
				a.p.Up(m.now, node(b.index))
				a.p.Measured(node(b.index), 2*set.path, set.path/5)
			}
		}
		a.step()
	}
	if set.begin != nil {
		set.begin(m)
	}
	for number := range uint64(set.length / (100 * time.Millisecond)) {
		m.in(time.Duration(number)*100*time.Millisecond, func() { m.publish(number) })
	}
	end := epoch0.Add(set.length + set.delay + time.Second)
	for len(m.events) > 0 && m.events[0].at.Before(end) {
		e := heap.Pop(&m.events).(event)
		m.now = e.at
		e.do()
	}
	return m
}

func (m *mesh) add(i int) *member {
	size := m.set.layout.ShardLen(int(m.set.rate/80)) + 200
	n := &member{
		mesh: m, index: i, store: &holder{has: map[uint64]uint64{}, size: size},
		lag:    time.Duration(m.rnd.Int64N(int64(150 * time.Millisecond))),
		served: map[int]int{}, hung: map[int]bool{}, whole: map[uint64]bool{},
	}
	info := streamInfo(m.set.layout.K, m.set.layout.M)
	cfg := Config{Self: node(i), Info: info, Pulls: true, Delay: m.set.delay, Store: n.store, Meter: unmetered{}}
	if m.set.upload > 0 {
		cfg.Meter = &metered{rate: m.set.upload / 8, at: m.now}
	}
	n.p = New(m.now, cfg, membership.NewBook(cfg.Self, nil), rand.New(rand.NewPCG(m.set.seed, uint64(i))))
	m.nodes = append(m.nodes, n)
	return n
}

// publish lets the source send a block down all stripes.
func (m *mesh) publish(number uint64) {
	all := uint64(1)<<m.set.layout.N() - 1
	for _, n := range m.nodes {
		if m.gone(n) {
			continue
		}
		var dead uint64
		if m.set.dead != nil {
			dead = m.set.dead(m, n.index, m.passed())
		}
		if m.set.silent {
			n.p.Silent(dead)
		}
		for s := range m.set.layout.N() {
			late := n.lag + time.Duration(m.rnd.Int64N(int64(m.set.spread)))
			if m.rnd.Float64() < m.set.reorder {
				late += time.Duration(m.rnd.Int64N(int64(50 * time.Millisecond)))
			}
			if dead>>s&1 == 1 || m.rnd.Float64() < m.set.push {
				continue
			}
			m.in(late, func() { n.take(-1, number, s) })
			if m.rnd.Float64() < m.set.twice {
				m.in(late+20*time.Millisecond, func() { n.take(-1, number, s) })
			}
		}
		m.in(n.lag+m.set.delay, func() {
			if m.gone(n) || !n.p.started || number < n.p.begin {
				return // what was before it came is history
			}
			if n.rogue {
				return // it has what it deserves
			}
			n.due++
			if n.store.has[number] != all {
				n.lost++
			}
		})
	}
}

func (m *mesh) gone(n *member) bool { return m.set.gone != nil && m.set.gone(n.index, m.passed()) }

// take has a shard come, pushed if from is negative.
func (n *member) take(from int, number uint64, s int) {
	m := n.mesh
	if m.gone(n) {
		return
	}
	id := membership.NodeID{}
	if from < 0 {
		n.pushed++
	} else {
		id = node(from)
		if n.rogue && !n.p.Expects(id, number, s) {
			return
		}
		if !n.p.Expects(id, number, s) {
			n.p.Unasked(m.now, id)
			n.step()
			return
		}
	}
	if pulled := n.p.Got(m.now, id, number, s, 5000+int64(number)*100); pulled != (from >= 0) {
		m.t.Errorf("pulled is %v of a shard from %d", pulled, from)
	}
	n.store.has[number] |= 1 << s
	if bits.OnesCount64(n.store.has[number]) >= m.set.layout.K && !n.whole[number] {
		n.whole[number] = true
		m.in(5*time.Millisecond, func() {
			n.store.has[number] = uint64(1)<<m.set.layout.N() - 1
			n.p.Rebuilt(m.now, number)
			n.step()
		})
	}
	n.step()
}

// step does what is due and what is wanted, and looks for faults.
func (n *member) step() {
	m := n.mesh
	if m.gone(n) {
		return
	}
	n.p.Step(m.now)
	for _, fault := range faults(m.now, n.p) {
		m.t.Fatalf("seed %d, node %d at %v: %s", m.set.seed, n.index, m.passed(), fault)
	}
	for _, o := range n.p.Take() {
		switch o := o.(type) {
		case Say:
			m.carry(n, o)
		case Serve:
			n.serve(o)
		case Hangup:
			n.hung[indexOf(o.Peer)] = true
		case Taken:
		case Absent:
			n.absent = append(n.absent, o.Number)
		default:
			m.t.Fatalf("output %T", o)
		}
	}
	at := n.p.Deadline()
	if n.wake.After(m.now) && !at.Before(n.wake) {
		return
	}
	n.wake = at
	m.in(at.Sub(m.now), func() {
		if n.wake.Equal(at) {
			n.step()
		}
	})
}

func indexOf(id membership.NodeID) int { return int(id[0])<<8 | int(id[1]) }

// late is how much later than a path's own time packets come: what is lost is sent
// again after a round trip and a half.
func (m *mesh) late(packets int) (d time.Duration) {
	for range packets {
		for m.rnd.Float64() < m.set.loss {
			d += 3*m.set.path + 10*time.Millisecond
		}
	}
	return d + time.Duration(m.rnd.Int64N(int64(m.set.path/5)))
}

// carry brings a message to whom it is for, after those before it.
func (m *mesh) carry(from *member, o Say) {
	to := m.nodes[indexOf(o.To)]
	msg, err := overlay.Decode(overlay.Encode(o.Msg))
	if err != nil {
		m.t.Fatal(err)
	}
	at, pair := m.now.Add(m.set.path+m.late(1)), [2]int{from.index, to.index}
	if at.Before(m.last[pair]) {
		at = m.last[pair]
	}
	m.last[pair] = at
	m.in(at.Sub(m.now), func() {
		if m.gone(to) || to.hung[from.index] || m.set.bad != nil && m.set.bad(m, to, msg) {
			return
		}
		to.p.Heard(m.now, node(from.index), msg)
		to.step()
	})
}

// serve sends a shard; one in ten of those that would be lost is given up.
func (n *member) serve(o Serve) {
	m := n.mesh
	if n.store.has[o.Number]>>o.Stripe&1 == 0 {
		m.t.Fatalf("node %d serves what it has not", n.index)
	}
	to := m.nodes[indexOf(o.To)]
	n.served[to.index]++
	if m.rnd.Float64() < m.set.loss/10 {
		return
	}
	m.in(m.set.path+m.late(n.store.size/1200+1), func() {
		if !to.hung[n.index] {
			to.take(n.index, o.Number, o.Stripe)
		}
	})
}

// flood has a node ask one of its neighbours after another for shards, each every
// pause, from a time on to another.
func (m *mesh) flood(n *member, from, pause, upto time.Duration) {
	m.in(from, func() {
		if m.passed() > upto {
			return
		}
		n.rogue = true
		for _, nb := range n.p.near {
			number := n.p.settled - uint64(m.rnd.IntN(8))
			m.carry(n, Say{nb.id, &overlay.Want{Tag: n.p.tag, Pieces: []overlay.Piece{{Number: number, Stripes: 1 << m.rnd.IntN(20)}}}})
		}
		m.flood(n, pause, pause, upto)
	})
}

// totals are the counters of all, with blocks due and lost, and shards pushed.
func (m *mesh) totals() (c Counters, due, lost int, pushed uint64) {
	for _, n := range m.nodes {
		if m.gone(n) {
			continue
		}
		x := n.p.Counters()
		c.Asked += x.Asked
		c.Answered += x.Answered
		c.Late += x.Late
		c.Wasted += x.Wasted
		c.Retried += x.Retried
		c.Lacked += x.Lacked
		c.Busy += x.Busy
		c.Cancelled += x.Cancelled
		c.Unasked += x.Unasked
		c.Missed += x.Missed
		c.Served += x.Served
		c.Refused += x.Refused
		c.Dropped += x.Dropped
		c.Told += x.Told
		c.Spoken += x.Spoken
		due, lost, pushed = due+n.due, lost+n.lost, pushed+n.pushed
	}
	return c, due, lost, pushed
}

// report is the figures of a run in one line. Frames are of two bytes more than
// messages.
func (m *mesh) report(what string) string {
	c, due, lost, pushed := m.totals()
	stream := m.set.rate / 8 * m.set.length.Seconds() * float64(len(m.nodes))
	return fmt.Sprintf("%s: %d of %d blocks lost; asked %d, answered %d, late %d, wasted %d (%.2f %% of all shards, %.1f %% of answers), retried %d, lacked %d, busy %d, cancelled %d; messages %.3f %% of the stream, states %.3f %%",
		what, lost, due, c.Asked, c.Answered, c.Late, c.Wasted,
		100*float64(c.Wasted)/float64(pushed+c.Answered), 100*float64(c.Wasted)/float64(max(1, c.Answered+c.Late)),
		c.Retried, c.Lacked, c.Busy, c.Cancelled, 100*float64(c.Spoken)/stream, 100*float64(c.Told)/stream)
}
