package relay

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// A relay that may download takes k stripes besides its own and passes on what
// did not come; one that may not takes home stripes only.
func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name     string
		download float64
		wanted   int
		remade   bool
	}{
		{"none", 0, 2, false},
		{"too little", 400_000, 2, false},
		{"enough", 2e6, 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{Upload: 10e6, Gossips: true, Download: c.download})
			home := r.home()
			r.feedChild("child", false, 0)
			wanted := 0
			for _, s := range r.core.Status(r.now).Streams[0].Stripes {
				if s.Wanted {
					wanted++
				}
			}
			if wanted != c.wanted {
				t.Errorf("%d stripes wanted, want %d", wanted, c.wanted)
			}
			r.took()
			for i, s := range r.block(7) {
				if i != home {
					r.arrive("source", s)
				}
			}
			if got := r.forwards("child"); (len(got) == 1) != c.remade {
				t.Errorf("the child got %v", got)
			}
			if len(take[Deliver](r)) > 0 {
				t.Error("a relay has nobody to deliver to")
			}
		})
	}
}

// A source short of uplink has k slots and feeds the data stripes; its record says so.
func TestShortSource(t *testing.T) {
	r := newRig(t, viewer)
	slot := r.info.SlotRate()
	for _, c := range []struct {
		slots  float64 // of upload
		want   int
		stripe int // fed the first time
		home   bool
	}{
		{2.5, 2, 2, false},
		{3 / stripe.SourceShare, 3, 2, true},
		{3.2, 3, 3, false},
		{10 / 0.85 / 0.875, 10, 4, true},
		{12 / 0.85 / 0.875, 12, 4, true},
	} {
		core := New(r.now, Config{Key: testKey("source"), Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")}, Upload: c.slots*slot + 1, Gossips: true}, rand.New(rand.NewPCG(1, 1)))
		core.Handle(r.now, Announce{Info: r.info.Sign(r.key)})
		core.Handle(r.now, Wake{})
		st := core.Status(r.now).Streams[0]
		if st.Slots != c.want || st.Stripes[c.stripe].Home != c.home {
			t.Errorf("upload for %v slots: %d, want %d; stripe %d home %v", c.slots, st.Slots, c.want, c.stripe, st.Stripes[c.stripe].Home)
		}
	}
}

// A viewer makes a home stripe that the source feeds to nobody, and feeds it on.
func TestMaker(t *testing.T) {
	r := newRig(t, Config{Upload: 10e6, Gossips: true, Play: true})
	var homes uint64
	for _, s := range r.core.Status(r.now).Streams[0].Stripes {
		if !s.Home {
			homes |= 1 << s.Stripe
		}
	}
	rec := membership.Record{
		Node: testNode("source"), Seq: 1, TTL: time.Minute, Slots: 3,
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:7070")},
		Streams: []membership.Carried{{Stream: r.id, Epoch: r.info.Epoch, Source: true, Homes: homes}},
	}
	r.in(Learned{Record: rec.Sign(testKey("source"))})
	for i := range uint64(20) {
		r.arrive("source", r.block(100+i)...)
		r.pass(rigBlock)
	}
	made := -1
	for _, s := range r.core.Status(r.now).Streams[0].Stripes {
		if fed := homes>>s.Stripe&1 == 1; s.Made == fed {
			t.Errorf("fed by the source: %v, %+v", fed, s)
		}
		if s.Made {
			made = s.Stripe
		}
	}
	r.up("child")
	r.took()
	r.say("child", &overlay.Subscribe{Stream: r.id, Stripe: made, From: 130})
	for i, s := range r.block(130) {
		if homes>>i&1 == 1 {
			r.arrive("source", s)
		}
	}
	if got := r.forwards("child"); len(got) != 1 || got[0] != 130 {
		t.Errorf("the child of a made stripe got %v", got)
	}
}
