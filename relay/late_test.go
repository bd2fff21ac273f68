package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// A parent whose shards come, but after they were made again, is not silent.
func TestSlowParentOfAHomeStripeIsKept(t *testing.T) {
	r := newRig(t, sharing)
	home := r.feedChild("child", false, 0)
	r.up("backup")
	r.in(Learned{Record: membership.Record{
		Node: testNode("backup"), Seq: 1, TTL: time.Minute, Slots: 8, Addrs: r.core.cfg.Addrs,
		Streams: []membership.Carried{{Stream: r.id, Epoch: r.info.Epoch, Homes: 1 << home, Free: 3, Depth: 1}},
	}.Sign(testKey("backup"))})
	r.took()
	for n := range uint64(30) {
		s := r.block(n)
		for i := range s {
			if i != home {
				r.arrive("source", s[i])
			}
		}
		r.pass(20 * time.Millisecond)
		r.arrive("source", s[home])
		r.pass(rigBlock - 20*time.Millisecond)
	}
	for _, say := range take[Say](r) {
		if m, ok := say.Msg.(*overlay.Subscribe); ok && m.Stripe == home && m.IfNewer {
			t.Fatalf("asks for another parent of stripe %d, whose every shard comes 20 ms after the others", home)
		}
	}
}

// Asking again to resume sends nothing twice.
func TestAskingAgainToResumeSendsNothingTwice(t *testing.T) {
	r := filled(t, sharing, 60)
	for range 8 {
		r.request("child", overlay.Subscribe{From: 40})
		r.pass(10 * time.Millisecond)
	}
	r.pass(2 * time.Second)
	got := r.forwards("child")
	if slices.Sort(got); !slices.Equal(got, run(40, 60)) {
		t.Errorf("it got %v, want 40 … 59 once each", got)
	}
}
