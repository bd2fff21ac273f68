package relay

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// tellOffer has gossip bring what a node says of the rig's stream.
func (r *rig) tellOffer(name string, seq uint64, carried ...membership.Carried) {
	rec := membership.Record{
		Node: testNode(name), Seq: seq, TTL: time.Minute, Streams: carried,
		Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:7070")},
	}
	r.in(Learned{Record: rec.Sign(testKey(name))})
}

// TestLook: who looks adds up what records say of a stream, asks who carries it for its
// info, and opens nothing.
func TestLook(t *testing.T) {
	r := lone(t, Config{Gossips: true, Look: true, Any: true})
	r.core.cfg.Any, r.core.wants = false, nil
	carried := membership.Carried{Stream: r.id, Epoch: 5, Homes: 0b101, Free: 3}
	source := membership.Carried{Stream: r.id, Epoch: 5, Source: true, Homes: 0b10, Free: 1}
	r.in(Up{Peer: testNode("a")})
	r.tellOffer("a", 1, carried)
	r.tellOffer("b", 1, carried, membership.Carried{Stream: otherID(t, 1), Epoch: 1})
	r.tellOffer("source", 1, source)
	r.tellOffer("old", 1, membership.Carried{Stream: r.id, Epoch: 4, Free: 9})
	r.pass(5 * time.Second)
	asked, dialled := 0, map[membership.NodeID]bool{}
	for _, o := range r.out {
		switch o := o.(type) {
		case Say:
			if m, ok := o.Msg.(*overlay.Ask); ok && m.Stream == r.id {
				asked++
			}
		case Dial:
			dialled[o.Peer] = true
		case Opened:
			t.Error("it opens a stream")
		}
	}
	if asked == 0 || asked > 5 || !dialled[testNode("b")] {
		t.Errorf("asked %d times, dialled %v", asked, dialled)
	}
	pool := func() map[stripe.ID]Offer {
		all := map[stripe.ID]Offer{}
		for _, o := range r.core.Status(r.now).Pool {
			all[o.ID] = o
		}
		return all
	}
	got := pool()[r.id]
	if want := (Offer{ID: r.id, Epoch: 5, Claimed: 5, Source: true, Relays: 2, Free: 7, Homes: 0b111}); got != want || len(pool()) != 2 {
		t.Errorf("%+v of %d, want %+v", got, len(pool()), want)
	}
	r.say("a", r.sample())
	if got := pool()[r.id]; got.Info.Name != "test" || got.Info.Rate != 400_000 {
		t.Errorf("its info: %+v", got.Info)
	}
	r.out = nil
	r.pass(5 * time.Second)
	for _, o := range r.out {
		if say, ok := o.(Say); ok {
			if m, ok := say.Msg.(*overlay.Ask); ok && m.Stream == r.id {
				t.Error("it asks for what it knows")
			}
		}
	}
	r.say("a", &overlay.Sample{Stream: otherID(t, 2), Info: other(2)})
	if _, ok := r.core.looked[otherID(t, 2)]; ok {
		t.Error("it keeps an info that it did not ask for")
	}
	if len(r.core.streams) > 0 || len(r.core.wants) > 0 {
		t.Error("it carries something")
	}
}

// TestLookAtALiar: who claims a run that never was, for a stream of others, hides neither
// the run that is nor who carries it; and a later run counts as soon as its source has
// signed it.
func TestLookAtALiar(t *testing.T) {
	r := lone(t, Config{Gossips: true, Look: true})
	r.core.cfg.Any, r.core.wants = false, nil
	r.in(Up{Peer: testNode("a")})
	r.in(Up{Peer: testNode("liar")})
	r.tellOffer("liar", 1, membership.Carried{Stream: r.id, Epoch: 1<<32 - 1, Source: true, Free: 60})
	r.tellOffer("a", 1, membership.Carried{Stream: r.id, Epoch: r.info.Epoch, Homes: 1, Free: 3})
	asked := func() bool {
		for _, o := range r.out {
			if say, ok := o.(Say); ok && say.Peer == testNode("a") {
				if m, ok := say.Msg.(*overlay.Ask); ok && m.Stream == r.id {
					return true
				}
			}
		}
		return false
	}
	r.pass(10 * time.Second)
	if !asked() {
		t.Fatal("who carries the stream is not asked for it")
	}
	r.say("a", r.sample())
	got := r.core.Status(r.now).Pool[0]
	if want := (Offer{ID: r.id, Epoch: r.info.Epoch, Claimed: 1<<32 - 1, Info: r.info, Relays: 1, Free: 3, Homes: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	later := r.info
	later.Epoch++
	r.tellOffer("a", 2, membership.Carried{Stream: r.id, Epoch: later.Epoch, Homes: 3, Free: 2})
	r.out = nil
	r.pass(10 * time.Second)
	if !asked() {
		t.Fatal("nobody is asked for the later run")
	}
	r.say("a", &overlay.Sample{Stream: r.id, Info: later.Sign(r.key)})
	got = r.core.Status(r.now).Pool[0]
	if want := (Offer{ID: r.id, Epoch: later.Epoch, Claimed: 1<<32 - 1, Info: later, Relays: 1, Free: 2, Homes: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestLookIsBounded: a pool of more streams than anybody has is not listed whole.
func TestLookIsBounded(t *testing.T) {
	r := lone(t, Config{Gossips: true, Look: true})
	for i := range maxOffers {
		var carried []membership.Carried
		for j := range membership.MaxStreams {
			id := stripe.IDOf(testKey(string(rune('a'+j)) + string(rune(i+1))))
			carried = append(carried, membership.Carried{Stream: id, Epoch: 1})
		}
		r.tellOffer("n"+string(rune(i+1)), 1, carried...)
		if i == 300 {
			break
		}
	}
	if n := len(r.core.Status(r.now).Pool); n != maxOffers {
		t.Errorf("%d streams", n)
	}
}
