package relay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// thanks are the receipts that the core sent to somebody, which must be true.
func (r *rig) thanks(to string) (all []overlay.Receipt) {
	for _, o := range take[Say](r) {
		if m, ok := o.Msg.(*overlay.Thanks); ok && o.Peer == testNode(to) {
			receipt := m.Receipt
			receipt.Taker = r.core.Self()
			if !receipt.Valid(&r.info, o.Peer) {
				r.Errorf("the receipt for %s of period %d is not signed", to, receipt.Period)
			}
			all = append(all, receipt)
		}
	}
	return all
}

// receipt is somebody's word on who gave.
func (r *rig) receipt(taker, giver string, period uint32, shards int) overlay.Receipt {
	return overlay.SignReceipt(testKey(taker), &r.info, testNode(giver), period, shards)
}

// Who brought shards that were new is thanked for so many, once a period.
func TestThanks(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true})
	for n := uint64(150); n < 310; n++ {
		b := r.block(n)
		r.arrive("source", b[0], b[1], b[2])
		if n%10 == 0 {
			r.arrive("source", b[2]) // nobody is thanked for what we have
		}
		r.pass(rigBlock)
	}
	got := r.thanks("source")
	if len(got) != 2 || got[0].Period != 1 || got[0].Shards != 3*50 || got[1].Period != 2 || got[1].Shards != 3*100 {
		t.Errorf("thanked for %+v", got)
	}
}

// What others sign of us is kept if it is true, the newest of each, and shown when asked.
func TestShows(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 5e6})
	r.arrive("source", r.block(350)[:3]...)
	for _, name := range []string{"child", "other", "liar", "late", "hasty"} {
		r.feedChild(name, false, 350)
	}
	thank := func(from string, receipt overlay.Receipt) {
		r.say(from, &overlay.Thanks{Tag: r.id.Tag(), Epoch: r.info.Epoch, Receipt: receipt})
	}
	thank("child", r.receipt("child", "me", 2, 70))
	thank("child", r.receipt("child", "me", 3, 90))
	thank("child", r.receipt("child", "me", 2, 100)) // older than what it said before
	thank("other", r.receipt("other", "me", 2, 40))
	thank("liar", r.receipt("liar", "me", 5, 500)) // of the future
	thank("late", r.receipt("late", "me", 1, 500)) // of long ago
	thank("hasty", r.receipt("hasty", "me", 4, 0)) // before its time, which hides nobody
	r.out = nil
	thank("liar", r.receipt("child", "me", 3, 500)) // another's
	if gone := take[Hangup](r); len(gone) != 1 || gone[0].Peer != testNode("liar") {
		t.Errorf("for another's receipt %+v", gone)
	}
	r.say("source", &overlay.Show{Tag: r.id.Tag()})
	r.say("source", &overlay.Show{Tag: r.id.Tag()}) // not twice
	var shown []*overlay.Receipts
	for _, o := range take[Say](r) {
		if m, ok := o.Msg.(*overlay.Receipts); ok {
			shown = append(shown, m)
		}
	}
	if len(shown) != 1 {
		t.Fatalf("showed %d times", len(shown))
	}
	want := []overlay.Receipt{r.receipt("child", "me", 3, 90), r.receipt("other", "me", 2, 40), r.receipt("hasty", "me", 4, 0)}
	if !slices.Equal(shown[0].Of, want) {
		t.Errorf("showed %+v", shown[0].Of)
	}
}

// Who was sent nothing says nothing of us, and pushes out nobody's word.
func TestStrangersThankNobody(t *testing.T) {
	r := newPullRig(t, sharing)
	child := r.feedChild("child", false, 0)
	r.feedChild("former", false, 0)
	r.fill(140)
	r.near("friend", 139, 0)
	thank := func(from string, shards int) {
		r.say(from, &overlay.Thanks{Tag: r.id.Tag(), Epoch: r.info.Epoch, Receipt: r.receipt(from, "me", 1, shards)})
	}
	r.say("former", &overlay.Leave{Stream: r.id, Stripe: child})
	r.say("friend", &overlay.Want{Tag: r.id.Tag(), Pieces: []overlay.Piece{{Number: 130, Stripes: 1}}})
	r.pass(rigBlock)
	for _, name := range []string{"child", "former", "friend"} {
		thank(name, 20)
	}
	for i := range maxHeld + 1 {
		name := fmt.Sprint("stranger ", i)
		r.up(name)
		thank(name, 500)
	}
	r.took()
	r.say("child", &overlay.Show{Tag: r.id.Tag()})
	want := []overlay.Receipt{r.receipt("child", "me", 1, 20), r.receipt("former", "me", 1, 20), r.receipt("friend", "me", 1, 20)}
	if got := said[*overlay.Receipts](r, "child"); len(got) != 1 || !slices.Equal(got[0].Of, want) {
		t.Errorf("showed %+v", got)
	}
}

// Of more than are kept the newest are, and of the most shards; of more than are shown
// those that count for the most.
func TestKeepsTheBestReceipts(t *testing.T) {
	r := newRig(t, sharing)
	var l ledger
	add := func(name string, period uint32, shards int) {
		l.hold(overlay.Receipt{Taker: testNode(name), Period: period, Shards: uint16(shards)})
	}
	add("old", 1, 500)
	for i := range maxHeld - 2 {
		add(fmt.Sprint(i), 2, 100)
	}
	add("small", 2, 1)
	add("big", 2, 500) // for which the old one goes
	add("more", 2, 2)  // and the small one
	add("none", 2, 0)  // which does not stay
	add("much", 2, 60_000)
	for name, kept := range map[string]bool{"old": false, "small": false, "big": true, "more": false, "none": false, "much": true} {
		if got := l.of(testNode(name)) >= 0; got != kept {
			t.Errorf("that of %s is kept: %v", name, got)
		}
	}
	if got := l.best(&r.info, 2); len(l.held) != maxHeld || got[0].Taker != testNode("big") || got[1].Taker != testNode("much") {
		t.Errorf("%d are kept, first shown %+v", len(l.held), got[:2])
	}
}

// Who asks in two streams is answered in both, and not twice in one.
func TestShowsInEveryStream(t *testing.T) {
	p, now := &peer{}, time.Unix(0, 0)
	for i := range MaxStreams {
		for n, want := range []bool{true, false} {
			if got := p.mayAsk(now, stripe.Tag{byte(i)}); got != want {
				t.Errorf("question %d in stream %d may be asked: %v", n, i, got)
			}
		}
	}
	if p.mayAsk(now, stripe.Tag{99}) {
		t.Error("a peer asks in more streams than we carry")
	}
	if now = now.Add(overlay.ShowEvery); !p.mayAsk(now, stripe.Tag{1}) || len(p.shows) != 1 {
		t.Errorf("after a while %d streams are remembered", len(p.shows))
	}
}

// What a peer shows is reckoned: each taker once, of late, for what was signed.
func TestReckons(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 5e6})
	m := &overlay.Receipts{Tag: r.id.Tag(), Epoch: r.info.Epoch, Of: []overlay.Receipt{
		r.receipt("one", "giver", 9, 150),
		r.receipt("one", "giver", 8, 100),                                       // once
		r.receipt("two", "giver", 8, 60_000),                                    // for no more than there are shards
		r.receipt("giver", "giver", 9, 100),                                     // not by itself
		r.receipt("three", "giver", 4, 100),                                     // long ago
		r.receipt("two", "somebody", 9, 1000),                                   // another's
		{Taker: membership.NodeID{1}, Period: 9, Shards: 100, Sig: [64]byte{1}}, // whose key signs anything
	}}
	slots := func() float64 {
		return m.Slots(&r.info, testNode("giver"), 9, func(x *overlay.Receipt) bool {
			return x.Valid(&r.info, testNode("giver"))
		})
	}
	if got := slots(); got != 1.5+5 {
		t.Errorf("a giver fills %v slots", got)
	}
	m.Epoch++
	if got := slots(); got != 0 {
		t.Errorf("another epoch's receipts fill %v slots", got)
	}
}
