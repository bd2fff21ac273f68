package overlay

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// pool is a Forest and others, all connected, of whom everybody answers a Subscribe at once.
type pool struct {
	t      *testing.T
	info   stripe.Info
	book   *membership.Book
	forest *Forest
	now    time.Time
	names  map[membership.NodeID]string
	answer func(name string, m *Subscribe) Message
	asked  map[string]int
	seq    uint64
}

func newPool(t *testing.T, slots int, answer func(name string, m *Subscribe) Message) *pool {
	p := &pool{
		t: t, book: membership.NewBook(nodeID("me"), nil), now: storyStart, names: map[membership.NodeID]string{},
		answer: answer, asked: map[string]int{},
		info: stripe.Info{
			Stream: stripe.ID{9}, Epoch: 1, Layout: stripe.Layout{K: 2, M: 1}, BlockTime: 100 * time.Millisecond,
			Root: nodeID("source"), Rate: 1e6,
		},
	}
	p.forest = New(p.now, Config{Self: nodeID("me"), Info: p.info, All: true, Slots: slots, Back: time.Second}, p.book, rand.New(rand.NewPCG(1, 2)))
	return p
}

// knows has the book have a node's new record: which stripe it feeds, and its free slots.
func (p *pool) knows(name string, home, free int) {
	p.t.Helper()
	p.seq++
	raw := membership.Record{
		Node: nodeID(name), Seq: p.seq, TTL: 20 * time.Minute, Slots: 8,
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")},
		Streams: []membership.Carried{{Stream: p.info.Stream, Epoch: 1, Homes: 1 << home, Free: free, Depth: 1, Source: name == "source"}},
	}.Sign(nodeKey(name))
	if _, err := p.book.Add(p.now, raw); err != nil {
		p.t.Fatal(err)
	}
	p.names[nodeID(name)] = name
	p.forest.Up(p.now, nodeID(name))
	p.take()
}

// take answers what the Forest asks, and counts it, but not questions to a backup.
func (p *pool) take() {
	for {
		out := p.forest.Take()
		if len(out) == 0 {
			return
		}
		for _, o := range out {
			m, ok := o.(Send)
			if !ok {
				continue
			}
			if ask, ok := m.Msg.(*Subscribe); ok && !ask.Standby {
				p.asked[p.names[m.To]]++
				p.forest.Heard(p.now, m.To, p.answer(p.names[m.To], ask))
			}
		}
	}
}

// run lets d pass, and returns how many Subscribes were sent in it.
func (p *pool) run(d time.Duration) int {
	end := p.now.Add(d)
	clear(p.asked)
	for {
		at, ok := p.forest.Deadline()
		if !ok || at.After(end) {
			break
		}
		p.now = at
		p.forest.Step(at)
		p.take()
	}
	p.now = end
	return p.count()
}

// count is how many Subscribes were sent since that was last begun.
func (p *pool) count() (n int) {
	for _, name := range p.names {
		n += p.asked[name]
	}
	return n
}

func (p *pool) refusal(m *Subscribe, why Reason) Message {
	return &Refuse{Stream: p.info.Stream, Stripe: m.Stripe, Reason: why}
}

// TestScarceRests: whom all refuse for want of slots asks less and less, but at once when
// somebody says that it has room.
func TestScarceRests(t *testing.T) {
	var p *pool
	p = newPool(t, 0, func(name string, m *Subscribe) Message {
		if name == "z" {
			return &Accept{Stream: p.info.Stream, Stripe: m.Stripe, Path: []membership.ShortID{nodeID("source").Short(), nodeID("z").Short()}}
		}
		return p.refusal(m, Full)
	})
	p.knows("source", 0, 0)
	for i := range 15 {
		p.knows(string(rune('a'+i)), i%3, 0)
	}
	first := p.run(10 * time.Second)
	p.run(2 * time.Minute)
	late := p.run(2 * time.Minute)
	// Three stripes, four asks each, after rests of half a minute at least.
	if first < 50 || late < 6 || late > 3*5*fewTried {
		t.Errorf("asked %d times in the first 10 s, and %d times in two minutes later", first, late)
	}
	p.knows("z", 1, 4)
	p.run(tidyEvery*3/2 + 17*rouseEach)
	if p.asked["z"] != 1 || p.forest.Branch(p.now, 1).Parent != nodeID("z") {
		t.Errorf("who has room was asked %d times", p.asked["z"])
	}
}

// TestScarceLost: who loses a place that it had for a short time only does not ask as many as
// one that never asked; nor if it was asked to go, and has a moment to find another.
func TestScarceLost(t *testing.T) {
	for _, why := range []Reason{Cut, Full} {
		var p *pool
		has := false
		p = newPool(t, 0, func(name string, m *Subscribe) Message {
			if name == "z" && !has {
				has = true
				return &Accept{Stream: p.info.Stream, Stripe: m.Stripe, Path: []membership.ShortID{nodeID("source").Short(), nodeID("z").Short()}}
			}
			return p.refusal(m, Full)
		})
		p.knows("source", 0, 0)
		for i := range 15 {
			p.knows(string(rune('a'+i)), 1, 0)
		}
		p.run(2 * time.Minute)
		p.knows("z", 1, 1)
		for i := range 50 {
			p.run(p.info.BlockTime)
			if p.forest.Branch(p.now, 1).Parent == nodeID("z") {
				p.forest.Got(p.now, nodeID("z"), 1, uint64(i))
			}
		}
		p.knows("z", 1, 0)
		if p.forest.Branch(p.now, 1).Parent != nodeID("z") {
			t.Fatal("it had no place")
		}
		p.forest.Heard(p.now, nodeID("z"), &Drop{Stream: p.info.Stream, Stripe: 1, Reason: why})
		clear(p.asked)
		p.take()
		if asked := p.count() + p.run(10*time.Second); asked == 0 || asked > 3*fewTried {
			t.Errorf("asked %d times in 10 s when its place was lost: %v", asked, why)
		}
	}
}

// TestScarceGives: who gives, and lacks comfort, goes on asking at the usual pace.
func TestScarceGives(t *testing.T) {
	var p *pool
	p = newPool(t, 4, func(_ string, m *Subscribe) Message { return p.refusal(m, Full) })
	p.knows("source", 0, 0)
	for i := range 15 {
		p.knows(string(rune('a'+i)), i%3, 0)
	}
	p.run(3 * time.Minute)
	if late := p.run(time.Minute); late < 3*60/5*5 {
		t.Errorf("asked %d times in a minute", late)
	}
}

// TestScarceHollow: who refuses whatever its record promises is asked less and less.
func TestScarceHollow(t *testing.T) {
	var p *pool
	p = newPool(t, 0, func(name string, m *Subscribe) Message {
		if name == "liar" {
			return p.refusal(m, NotHere)
		}
		return p.refusal(m, Full)
	})
	p.knows("source", 0, 0)
	for i := range 9 {
		p.knows(string(rune('a'+i)), i%3, 0)
	}
	for range 20 {
		p.knows("liar", 0, 7)
		p.run(15 * time.Second)
	}
	asked := 0
	for range 20 {
		p.knows("liar", 0, 7)
		p.run(15 * time.Second)
		asked += p.asked["liar"]
	}
	if asked > 4 {
		t.Errorf("who has no room was asked %d times in five minutes", asked)
	}
}

// TestScarceVain: somebody whose record promises room keeps nobody awake who rests, whatever
// it says when it is asked, or if it says nothing.
func TestScarceVain(t *testing.T) {
	for why := range reasonCount + 1 {
		var p *pool
		p = newPool(t, 0, func(name string, m *Subscribe) Message {
			switch {
			case name != "z":
				return p.refusal(m, Full)
			case why == reasonCount:
				return &Live{Stream: p.info.Stream} // no answer
			}
			return p.refusal(m, why)
		})
		p.knows("source", 0, 0)
		for i := range 15 {
			p.knows(string(rune('a'+i)), i%3, 0)
		}
		p.knows("z", 1, 4)
		p.run(4 * time.Minute)
		if late := p.run(2 * time.Minute); late < 6 || late > 3*5*fewTried || p.asked["z"] > 2 {
			t.Errorf("reason %d: asked %d times in two minutes, %d of them who promises room", why, late, p.asked["z"])
		}
	}
}

// TestHollowBound: no more than maxHollow are noted, and the one that counts again first goes.
func TestHollowBound(t *testing.T) {
	p := newPool(t, 0, nil)
	b := p.forest.branches[0]
	for i := range maxHollow + 10 {
		name := fmt.Sprint("n", i)
		p.seq++
		raw := membership.Record{
			Node: nodeID(name), Seq: p.seq, TTL: time.Minute, Slots: 8,
			Addrs:   []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")},
			Streams: []membership.Carried{{Stream: p.info.Stream, Epoch: 1, Homes: 1, Free: 1, Depth: 1}},
		}.Sign(nodeKey(name))
		if _, err := p.book.Add(p.now, raw); err != nil {
			t.Fatal(err)
		}
		p.now = p.now.Add(time.Millisecond)
		if !p.forest.refuted(p.now, b, nodeID(name), Full) {
			t.Fatal("not noted")
		}
	}
	if n := len(p.forest.hollow); n != maxHollow {
		t.Errorf("%d are noted", n)
	}
	entry := func(name string) *membership.Entry {
		e, _ := p.book.Get(nodeID(name))
		return e
	}
	if p.forest.isHollow(p.now, entry("n0")) || !p.forest.isHollow(p.now, entry("n10")) {
		t.Error("the wrong one was forgotten")
	}
	if p.forest.isHollow(p.now.Add(hollowTime), entry("n10")) {
		t.Error("it counts never again")
	}
	p.knows("n20", 0, 1)
	if p.forest.isHollow(p.now, entry("n20")) {
		t.Error("a newer record does not count")
	}
	p.forest.refuted(p.now, b, nodeID("n20"), Full)
	p.knows("n20", 0, 1)
	if !p.forest.isHollow(p.now.Add(hollowTime), entry("n20")) {
		t.Error("every newer record counts")
	}
}
