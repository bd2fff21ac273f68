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

// full is a source all of whose slots have those who give nothing.
type full struct {
	*pool
	out []Output
}

func newFull(t *testing.T, slots int) *full {
	p := &pool{
		t: t, book: membership.NewBook(nodeID("source"), nil), now: storyStart,
		info: stripe.Info{
			Stream: stripe.ID{9}, Epoch: 1, Layout: stripe.Layout{K: 4, M: 1}, BlockTime: 100 * time.Millisecond,
			Root: nodeID("source"), Rate: 1e6,
		},
	}
	p.forest = New(p.now, Config{Self: nodeID("source"), Info: p.info, Source: true, Slots: slots}, p.book, rand.New(rand.NewPCG(1, 2)))
	f := &full{pool: p}
	f.pass(5 * time.Second) // none is new any more that has no record
	for i := range slots {
		id := nodeID(fmt.Sprint("rider", i))
		p.forest.Up(p.now, id)
		p.forest.Heard(p.now, id, &Subscribe{Stream: p.info.Stream, Stripe: i % 5, LastResort: true, Live: 1})
	}
	f.pass(5 * time.Second)
	if p.forest.Children() != slots {
		t.Fatalf("%d children of %d", p.forest.Children(), slots)
	}
	return f
}

// offers has the book know a node that offers slots.
func (f *full) offers(name string) {
	f.t.Helper()
	f.seq++
	raw := membership.Record{
		Node: nodeID(name), Seq: f.seq, TTL: 20 * time.Minute, Slots: 8,
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")},
		Streams: []membership.Carried{{Stream: f.info.Stream, Epoch: 1}},
	}.Sign(nodeKey(name))
	if _, err := f.book.Add(f.now, raw); err != nil {
		f.t.Fatal(err)
	}
}

// asks has a node ask for a stripe, of which it has two others.
func (f *full) asks(name string, s int) {
	f.forest.Up(f.now, nodeID(name))
	f.forest.Heard(f.now, nodeID(name), &Subscribe{Stream: f.info.Stream, Stripe: s, LastResort: true, Live: 2})
	f.out = append(f.out, f.forest.Take()...)
}

func (f *full) pass(d time.Duration) {
	end := f.now.Add(d)
	for {
		at, ok := f.forest.Deadline()
		if !ok || at.After(end) {
			break
		}
		f.now = at
		f.forest.Step(at)
		f.out = append(f.out, f.forest.Take()...)
	}
	f.now = end
}

// said is how many messages like m were sent to a node, since this was last asked.
func (f *full) said(name string) (shows, accepts, refusals int) {
	for _, o := range f.out {
		if m, ok := o.(Send); ok && m.To == nodeID(name) {
			switch m.Msg.(type) {
			case *Show:
				shows++
			case *Accept:
				accepts++
			case *Refuse:
				refusals++
			}
		}
	}
	f.out = nil
	return shows, accepts, refusals
}

// TestTrialWaits: who is known for long and asks for the first time is answered when it has
// shown what it gives: it gets the place of one that gives nothing, but not if it has nothing
// to show.
func TestTrialWaits(t *testing.T) {
	f := newFull(t, 16)
	f.offers("giver")
	f.offers("liar")
	for range 10 {
		f.asks("rider0", 3) // slots are short all the time
		f.pass(6 * time.Second)
	}
	f.out = nil
	f.asks("giver", 0)
	if shows, accepts, refusals := f.said("giver"); shows != 1 || accepts+refusals != 0 {
		t.Errorf("who may give was asked %d times, and answered %d", shows, accepts+refusals)
	}
	f.forest.Showed(f.now, nodeID("giver"), 2)
	f.out = append(f.out, f.forest.Take()...)
	if _, accepts, refusals := f.said("giver"); accepts != 1 || refusals != 0 {
		t.Errorf("who gives was accepted %d times, and refused %d", accepts, refusals)
	}
	for s := range 2 {
		f.asks("liar", s)
		f.pass(answerWait)
		if _, accepts, refusals := f.said("liar"); accepts != 0 || refusals != 1 {
			t.Errorf("who shows nothing was accepted %d times, and refused %d", accepts, refusals)
		}
	}
}

// TestTrialRate: however many come that only say that they give, they get a small part of
// the slots; who then shows that it does gives its trial back.
func TestTrialRate(t *testing.T) {
	for _, honest := range []bool{false, true} {
		f := newFull(t, 16)
		accepted := 0
		const minutes = 10
		for i := range minutes * 30 {
			name := fmt.Sprint("new", i)
			f.offers(name)
			f.out = nil
			f.asks(name, i%5)
			f.pass(time.Second)
			_, accepts, _ := f.said(name)
			if accepts > 0 && honest {
				f.forest.Showed(f.now, nodeID(name), 1)
			}
			f.forest.Down(f.now, nodeID(name))
			f.asks(fmt.Sprint("more", i), i%5) // its place is free now
			f.pass(time.Second)
			accepted += accepts
		}
		most := 16/optimistic + int(minutes*time.Minute/proveTime)*16/trialPart
		if honest != (accepted > most) || accepted < most/2 {
			t.Errorf("%d were tried in %d minutes, honest %v; no more than %d who are not", accepted, minutes, honest, most)
		}
	}
}

// TestTrialBound: no more than maxAskers wait for their answer.
func TestTrialBound(t *testing.T) {
	f := newFull(t, 4)
	f.out = nil
	answered := 0
	for i := range maxAskers + 5 {
		name := fmt.Sprint("new", i)
		f.offers(name)
		f.asks(name, 0)
		_, accepts, refusals := f.said(name)
		answered += accepts + refusals
	}
	if len(f.forest.askers) != maxAskers || answered != 5 {
		t.Errorf("%d wait, %d were answered", len(f.forest.askers), answered)
	}
	f.pass(answerWait)
	if len(f.forest.askers) != 0 {
		t.Errorf("%d wait for ever", len(f.forest.askers))
	}
}
