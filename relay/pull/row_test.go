package pull

import (
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

const all20 = 1<<20 - 1

// row is a run and what must come of it.
type row struct {
	name string
	set  setting
	// wasted is how much of all shards may come by pull and not be needed, in percent,
	// and needless the same of what came by pull; 0 is no bound.
	wasted, needless float64
	check            func(t *testing.T, m *mesh)
}

// rows are all of 1 Mbit/s, 16+4, RTT 50 ms. In none a block is lost that k shards of
// were to be had.
func rows() []row {
	return []row{
		{name: "no loss", wasted: 0.001, check: func(t *testing.T, m *mesh) {
			c, _, _, _ := m.totals()
			if share := float64(c.Spoken) / (m.set.rate / 8 * m.set.length.Seconds() * float64(len(m.nodes))); share > 0.003 || c.Asked > 0 {
				t.Errorf("messages are %.2f %% of the stream, %d shards are asked for", share*100, c.Asked)
			}
		}},
		{name: "loss 5 %", set: setting{push: .05, loss: .025}, wasted: 0.1},
		{name: "loss 10 %", set: setting{push: .1, loss: .05}, wasted: 0.1, needless: 4},
		{name: "loss 20 %", set: setting{push: .2, loss: .1}, wasted: 1},
		{name: "loss 30 %", set: setting{push: .3, loss: .1}, wasted: 2},
		{name: "bursts: 300 ms of each 10 s", set: setting{loss: .02, dead: bursts}, wasted: 0.1, needless: 2},
		{name: "reorder 25 %, twice 50 %", set: setting{reorder: .25, twice: .5}, wasted: 0.2},
		{name: "8 of 20 stripes dead", set: setting{loss: .01, dead: someDead}, wasted: 1, needless: 2},
		{name: "8 of 20 stripes silent", set: setting{loss: .01, silent: true, dead: someDead}, wasted: 1},
		{name: "one cut off from all parents", set: setting{loss: .01, dead: oneCutOff}, wasted: 0.1},
		{name: "narrow uplinks", set: setting{push: .2, loss: .02, upload: 250_000}, wasted: 1},
		{name: "half die", wasted: 0.2, set: setting{nodes: 50, loss: .02, delay: 4 * time.Second, gone: oddGone, dead: deadAfterwards}},
		{name: "liars", wasted: 0.2, set: setting{push: .15, loss: .05, begin: lie, bad: answerNothing}, check: func(t *testing.T, m *mesh) {
			for _, n := range m.nodes[liars:] {
				for i := range liars {
					if nb := n.p.neighbour(node(i)); nb != nil && nb.tries > 8 && nb.good == 0 && nb.fails >= maxFails {
						t.Errorf("node %d keeps liar %d, of whom it wanted %d shards", n.index, i, nb.tries)
					}
				}
			}
		}},
		{name: "a want-flood", wasted: 0.5, set: setting{push: .15, loss: .02, upload: 500_000, begin: func(m *mesh) {
			m.flood(m.nodes[0], 3*time.Second, 100*time.Microsecond, 4*time.Second)
		}}, check: floodedEvenly},
		{name: "history while live is short", wasted: 1, set: setting{push: .2, loss: .02, begin: func(m *mesh) {
			m.in(12*time.Second, func() {
				n := m.nodes[1]
				for number := range uint64(60) {
					delete(n.store.has, number+30)
					delete(n.whole, number+30)
				}
				n.p.Fetch(m.now, History{From: 30, Upto: 89, Ahead: 16})
				n.step()
			})
		}}, check: func(t *testing.T, m *mesh) {
			if at, on := m.nodes[1].p.Fetching(); on {
				t.Errorf("history got to %d only", at)
			}
		}},
	}
}

func bursts(m *mesh, n int, now time.Duration) uint64 {
	if (now+time.Duration(n)*370*time.Millisecond)%(10*time.Second) < 300*time.Millisecond {
		return all20
	}
	return 0
}

func someDead(m *mesh, n int, now time.Duration) uint64 { return 0xff << (n % 13) }

func oneCutOff(m *mesh, n int, now time.Duration) uint64 {
	if n == 3 && now > 5*time.Second && now < 10*time.Second {
		return all20
	}
	return 0
}

func oddGone(n int, now time.Duration) bool { return n%2 == 1 && now > 8*time.Second }

// deadAfterwards is what half of the parents leave dead for a second.
func deadAfterwards(m *mesh, n int, now time.Duration) uint64 {
	if now > 8*time.Second && now < 9*time.Second {
		return 0x3ff << (n % 11)
	}
	return 0
}

const liars = 5

func lie(m *mesh) {
	for _, n := range m.nodes[:liars] {
		n.store.lies = true
	}
}

func answerNothing(m *mesh, n *member, msg overlay.Message) bool {
	_, is := msg.(*overlay.Want)
	return is && n.index < liars
}

// floodedEvenly: the flooder gets no more than its turn of each meter, and all others
// what they need.
func floodedEvenly(t *testing.T, m *mesh) {
	c, _, _, _ := m.totals()
	if c.Dropped < 20_000 {
		t.Errorf("only %d wants over the rate", c.Dropped)
	}
	for _, n := range m.nodes[1:] {
		if got, most := n.served[0], int(m.set.upload/8*m.set.length.Seconds())/n.store.size; got > most {
			t.Errorf("node %d sent the flooder %d shards, and its meter has %d", n.index, got, most)
		}
	}
}

// TestRows runs every row, with a seed of its own for each of two runs.
func TestRows(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			seeds := uint64(3)
			if underRace {
				seeds = 1 // ten times as slow
			}
			for seed := range seeds {
				set := r.set
				set.seed, set.length = seed+1, 15*time.Second
				if set.nodes == 0 {
					set.nodes = 20
				}
				m := run(t, set)
				t.Log(m.report(r.name))
				c, due, lost, pushed := m.totals()
				if lost > 0 || due < set.nodes*10 {
					t.Errorf("seed %d: %d of %d blocks lost", set.seed, lost, due)
				}
				if share := 100 * float64(c.Wasted) / float64(pushed+c.Answered); r.wasted > 0 && share > r.wasted {
					t.Errorf("seed %d: %.3f %% of all shards came without need", set.seed, share)
				}
				if share := 100 * float64(c.Wasted) / float64(c.Answered+c.Late+1); r.needless > 0 && share > r.needless {
					t.Errorf("seed %d: %.2f %% of what was pulled came without need", set.seed, share)
				}
				if c.Unasked > 0 {
					t.Errorf("seed %d: %d shards came unasked", set.seed, c.Unasked)
				}
				if r.check != nil {
					r.check(t, m)
				}
			}
		})
	}
}

// TestWithoutPull: the rows are hard enough that without pull blocks are lost. One is
// enough under the race detector, for there is one goroutine.
func TestWithoutPull(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, r := range rows() {
		if r.name == "no loss" || r.name == "a want-flood" || r.set.reorder > 0 || r.set.push == .05 {
			continue
		}
		if tried++; underRace && tried > 1 {
			break
		}
		set := r.set
		set.seed, set.length = 1, 10*time.Second
		if set.nodes == 0 {
			set.nodes = 20
		}
		set.bad = func(m *mesh, n *member, msg overlay.Message) bool {
			_, is := msg.(*overlay.Want)
			return is
		}
		if _, due, lost, _ := run(t, set).totals(); lost == 0 {
			t.Errorf("%s: none of %d blocks is lost without pull", r.name, due)
		}
	}
}

// TestSameSeed: one seed is one run.
func TestSameSeed(t *testing.T) {
	set := setting{nodes: 20, length: 5 * time.Second, push: .2, loss: .1, seed: 3}
	a, _, _, _ := run(t, set).totals()
	b, _, _, _ := run(t, set).totals()
	set.seed = 4
	c, _, _, _ := run(t, set).totals()
	if a != b || a == c {
		t.Errorf("%+v\n%+v\n%+v", a, b, c)
	}
}

// TestSourceGone: one who comes when nothing is sent any more plays what the others
// still hold, and so does one who skips through it.
func TestSourceGone(t *testing.T) {
	const late = 19
	set := setting{nodes: 20, length: 15 * time.Second, loss: .02, push: .02, delay: 4 * time.Second, seed: 5}
	set.dead = func(m *mesh, n int, now time.Duration) uint64 {
		if n == late {
			return all20
		}
		return 0
	}
	set.begin = func(m *mesh) {
		m.in(17*time.Second+500*time.Millisecond, func() {
			run, _, ok := m.nodes[late].p.Extent()
			if !ok || run != (overlay.Run{First: 0, Last: 149}) {
				t.Errorf("to be had are %v, %v", run, ok)
			}
			m.nodes[late].p.Fetch(m.now, History{From: 120, Upto: run.Last, Ahead: 10})
			m.nodes[late].step()
		})
	}
	m := run(t, set)
	n := m.nodes[late]
	for number := uint64(120); number < 150; number++ {
		if bits.OnesCount64(n.store.has[number]) < 16 {
			t.Errorf("block %d did not come", number)
		}
	}
	if len(n.absent) > 0 {
		t.Errorf("absent: %v", n.absent)
	}
	t.Log(m.report("source gone"))
}

// TestPace: a recording comes as fast as it is asked for, in order, and what nobody
// has is passed over.
func TestPace(t *testing.T) {
	const viewer = 3
	set := setting{nodes: 4, length: time.Second, layout: stripe.Layout{K: 16, M: 4}, delay: 40 * time.Second, seed: 6}
	set.gone = nil
	set.dead = func(*mesh, int, time.Duration) uint64 { return all20 }
	var firsts []uint64
	set.begin = func(m *mesh) {
		for _, n := range m.nodes[:viewer] {
			n.store.runs = []overlay.Run{{First: 0, Last: 399}}
			for number := range uint64(400) {
				n.store.has[number] = all20
			}
			delete(n.store.has, 250)
		}
		m.in(3*time.Second, func() {
			m.nodes[viewer].p.Fetch(m.now, History{From: 100, Upto: 399, Pace: 66 * time.Millisecond, Ahead: 12})
			m.nodes[viewer].step()
		})
		for i := range 30 {
			m.in(time.Duration(3+i)*time.Second, func() {
				number, on := m.nodes[viewer].p.Fetching()
				if on {
					firsts = append(firsts, number)
				}
			})
		}
	}
	m := run(t, set)
	n := m.nodes[viewer]
	for number := uint64(100); number < 400; number++ {
		if !n.whole[number] && number != 250 {
			t.Errorf("block %d did not come", number)
		}
	}
	if !slices.Equal(n.absent, []uint64{250}) {
		t.Errorf("absent: %v", n.absent)
	}
	if !slices.IsSorted(firsts) || len(firsts) < 20 || len(firsts) > 26 {
		t.Errorf("300 blocks at 15 a second, and 3 s for the one that nobody has: %v", firsts)
	}
}
