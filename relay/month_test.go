package relay

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// TestMonth: months are counted apart, by UTC, and a clock that is set back begins none.
func TestMonth(t *testing.T) {
	east := time.FixedZone("east", 5*3600)
	var m Month
	for _, c := range []struct {
		now         time.Time
		bytes, want uint64
	}{
		{time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC), 10, 10},
		{time.Date(2026, 1, 31, 23, 59, 59, 999, time.UTC), 5, 15},
		{time.Date(2026, 2, 1, 4, 59, 0, 0, east), 1, 16}, // January still, by UTC
		{time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), 7, 7},
		{time.Date(2026, 1, 20, 0, 0, 0, 0, time.UTC), 1, 8}, // a clock that was set back
		{time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC), 0, 8},
		{time.Date(2027, 2, 2, 0, 0, 0, 0, time.UTC), 3, 3},
		{time.Date(2027, 2, 3, 0, 0, 0, 0, time.UTC), 1<<64 - 1, 1 << 63}, // not round to nothing
	} {
		if m.add(c.now, c.bytes); m.Sent != c.want {
			t.Errorf("%v: %d bytes, want %d", c.now, m.Sent, c.want)
		}
	}
	if ends := m.Ends(); !ends.Equal(time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("it ends at %v", ends)
	}
}

// homes is how many home stripes there are, and fed how many parents.
func (r *rig) homesAndParents() (homes, fed int) {
	for _, b := range r.core.Status(r.now).Streams[0].Stripes {
		if b.Home {
			homes++
		}
		if !b.Parent.IsZero() {
			fed++
		}
	}
	return homes, fed
}

// TestMonthly: who has sent all that it may in a month hands its children over, gives up its
// slots and then its stripes, and says so; in the next month it takes up again.
func TestMonthly(t *testing.T) {
	const most = 1000_000
	r := newRig(t, Config{Upload: 10e6, Gossips: true, Monthly: most})
	home := r.feedChild("child", true, 0)
	r.in(Sent{Bytes: most - most/monthReserve - 1})
	r.pass(time.Second)
	st := r.core.Status(r.now)
	if st.Spent || st.Streams[0].Slots == 0 || st.Streams[0].Children != 1 || st.Month.Sent != most-most/monthReserve-1 {
		t.Fatalf("before: %+v, %d slots, %d children", st.Month, st.Streams[0].Slots, st.Streams[0].Children)
	}
	r.took()
	r.in(Sent{Bytes: 1})
	dropped := false
	for _, s := range take[Say](r) {
		m, ok := s.Msg.(*overlay.Drop)
		dropped = dropped || ok && s.Peer == testNode("child") && m.Stripe == home && m.Reason == overlay.Leaving
	}
	if !dropped {
		t.Error("the child is not told to look for another parent")
	}
	r.took()
	if r.arrive("source", r.block(7)[home]); len(r.forwards("child")) != 1 {
		t.Error("the child is not fed while it looks")
	}
	r.pass(5 * time.Second)
	st = r.core.Status(r.now)
	if homes, fed := r.homesAndParents(); !st.Spent || st.Streams[0].Slots != 0 || st.Streams[0].Children != 0 || homes != 0 || fed != 0 {
		t.Errorf("spent %v: %d slots, %d children, %d homes, %d parents", st.Spent, st.Streams[0].Slots, st.Streams[0].Children, homes, fed)
	}
	r.took()
	r.say("child", &overlay.Subscribe{Stream: r.id, Stripe: home, LastResort: true})
	if refused := take[Say](r); len(refused) == 0 {
		t.Error("who asks is told nothing")
	} else if _, ok := refused[0].Msg.(*overlay.Refuse); !ok {
		t.Errorf("who asks is told %+v", refused[0].Msg)
	}
	r.now = st.Month.Ends()
	r.in(Sent{})
	r.pass(10 * time.Second)
	st = r.core.Status(r.now)
	if homes, _ := r.homesAndParents(); st.Spent || st.Month.Sent != 0 || st.Streams[0].Slots == 0 || homes == 0 {
		t.Errorf("the next month: spent %v, %+v, %d slots, %d homes", st.Spent, st.Month, st.Streams[0].Slots, homes)
	}
}

// TestMonthlyFromBefore: what was sent before a restart counts, in its own month only.
func TestMonthlyFromBefore(t *testing.T) {
	now := time.Unix(1_700_000_000, 0) // a rig's clock
	for _, c := range []struct {
		began time.Time
		spent bool
	}{{monthOf(now), true}, {monthOf(now).AddDate(0, -1, 0), false}} {
		r := newRig(t, Config{Upload: 10e6, Gossips: true, Monthly: 1000, Month: Month{Began: c.began, Sent: 1000}})
		if st := r.core.Status(r.now); st.Spent != c.spent || (st.Streams[0].Slots == 0) != c.spent {
			t.Errorf("of %v: spent %v, %d slots", c.began, st.Spent, st.Streams[0].Slots)
		}
	}
}

// TestStreamUpload: one stream has no more slots than its cap carries, and no more goes out of
// it whatever comes.
func TestStreamUpload(t *testing.T) {
	const most = 2e6
	r := newRig(t, Config{Upload: 10e6, Gossips: true, StreamUpload: most})
	st := r.core.Status(r.now).Streams[0]
	if want := int(most * 0.85 * 0.875 / r.info.SlotRate()); st.Slots != want {
		t.Errorf("%d slots, want %d", st.Slots, want)
	}
	home := r.feedChild("child", true, 0)
	r.pass(time.Second)
	r.took()
	const seconds = 4
	bytes, came := 0, 0
	for n := range uint64(seconds * 50) { // far more than the stream should have
		data := make([]byte, 60_000)
		h := r.header(100 + n)
		h.DataLen, h.ShardLen = len(data), r.info.Layout.ShardLen(len(data))
		shard := stripe.Seal(r.key, h, r.coder.Encode(data))[home]
		came += len(shard.Encoded())
		r.arrive("source", shard)
		for _, f := range take[Forward](r) {
			bytes += len(f.Shard.Encoded())
		}
		r.took()
		r.now = r.now.Add(20 * time.Millisecond)
	}
	sent, limit := float64(bytes)*8*1.1, most*(seconds+BucketBurst.Seconds()+queueWait.Seconds())
	if sent > limit || sent < most*seconds*0.9 || float64(came)*8 < 2*limit {
		t.Errorf("%.0f bits went out of %d, at most %.0f may", sent, came*8, limit)
	}
	if got := r.core.Status(r.now).Streams[0].Counters.Capped; got == 0 {
		t.Error("what was not sent is not counted")
	}
}
