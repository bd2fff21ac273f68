package relay

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// near makes a connected peer a neighbour that says it has the blocks up to last, of
// all stripes but those left out.
func (r *rig) near(name string, last uint64, without uint64) {
	r.Helper()
	r.up(name)
	r.say(name, &overlay.Window{
		Tag: r.id.Tag(), Epoch: r.info.Epoch, Ask: true, Live: true, Stripes: (1<<r.info.Layout.N() - 1) &^ without,
		Runs: []overlay.Run{{First: 0, Last: last}},
	})
	if got := r.core.Status(r.now).Streams[0].Neighbours; got == 0 {
		r.Fatalf("%s is no neighbour", name)
	}
}

// said are the messages of one type to one peer.
func said[M overlay.Message](r *rig, to string) (got []M) {
	for _, s := range take[Say](r) {
		if m, ok := s.Msg.(M); ok && s.Peer == testNode(to) {
			got = append(got, m)
		}
	}
	return got
}

func (r *rig) delivered(number uint64) (n int) {
	for _, d := range take[Deliver](r) {
		if d.Header.Number == number {
			n++
		}
	}
	return n
}

// A block that its parents leave short is made whole by a neighbour before it is
// played. What was pulled is not sent to children, but for a stripe whose parent sends
// it after all.
func TestPullsWhatPushDidNotBring(t *testing.T) {
	r := newPullRig(t, sharing)
	s := r.feedChild("child", false, 0)
	for n := range uint64(20) { // so that it is known how long blocks take
		r.arrive("source", r.block(n)...)
		r.pass(rigBlock)
	}
	r.near("friend", 19, 0)
	r.took()
	block := r.block(20)
	r.arrive("source", block[(s+2)%5], block[(s+3)%5])
	r.pass(5 * rigBlock) // a quarter of the delay, and more
	wants := said[*overlay.Want](r, "friend")
	if len(wants) == 0 || r.delivered(20) > 0 {
		t.Fatalf("%d Wants for a block that is one shard short", len(wants))
	}
	asked := uint64(0)
	for _, w := range wants {
		for _, p := range w.Pieces {
			if p.Number == 20 {
				asked |= p.Stripes
			}
		}
	}
	if asked>>((s+2)%5)&1 == 1 || asked == 0 {
		t.Errorf("asked for %05b", asked)
	}
	for i := range r.info.Layout.N() {
		if asked>>i&1 == 1 && r.delivered(20) == 0 {
			r.arrive("friend", block[i])
		}
	}
	if r.delivered(20) != 1 {
		t.Fatalf("delivered %d times", r.delivered(20))
	}
}

// What was pulled of a stripe goes to its children only if its parent sends it too.
func TestPulledIsWithheld(t *testing.T) {
	r := newPullRig(t, sharing)
	s := r.feedChild("child", false, 0)
	for n := range uint64(20) {
		r.arrive("source", r.block(n)...)
		r.pass(rigBlock)
	}
	r.near("friend", 19, ^uint64(1<<s))
	block := r.block(20)
	r.arrive("source", block[(s+1)%5])
	r.took()
	for range 100 {
		r.pass(rigBlock / 10)
		for _, w := range said[*overlay.Want](r, "friend") {
			for _, p := range w.Pieces {
				if p.Number != 20 || p.Stripes>>s&1 == 0 {
					continue
				}
				r.took()
				r.arrive("friend", block[s])
				if got := r.forwards("child"); len(got) > 0 {
					t.Fatalf("what was pulled is pushed on: %d", got)
				}
				r.arrive("source", block[s])
				if got := r.forwards("child"); len(got) != 1 || got[0] != 20 {
					t.Fatalf("what the parent sent late after all is not pushed on: %d", got)
				}
				r.arrive("source", block[s])
				if got := r.forwards("child"); len(got) != 1 {
					t.Fatalf("pushed on twice: %d", got)
				}
				return
			}
		}
	}
	t.Fatal("the stripe was never asked for")
}

// Shards of strangers cost nothing, and the third ends them. One who was a parent just
// now may have some on their way.
func TestStrangersShards(t *testing.T) {
	r := newPullRig(t, sharing)
	r.up("stranger")
	r.took()
	for i, shard := range r.block(3)[:3] {
		if len(take[Hangup](r)) > 0 {
			t.Fatalf("hung up on after %d", i)
		}
		r.arrive("stranger", shard)
	}
	if n := len(take[Check](r)); n > 0 {
		t.Errorf("%d checks", n)
	}
	if len(take[Hangup](r)) != 1 {
		t.Error("not hung up on")
	}
	r.took()
	for i := range r.info.Layout.N() {
		r.say("source", &overlay.Drop{Stream: r.id, Stripe: i})
	}
	r.took()
	r.arrive("source", r.block(4)...)
	if len(take[Hangup](r)) > 0 || len(take[Check](r)) == 0 {
		t.Error("a former parent's last shards are not taken")
	}
}

// A relay that does not play asks for nothing, and serves what it carries, as far as
// its upload goes. Without upload it serves nothing.
func TestServes(t *testing.T) {
	for _, c := range []struct {
		upload float64
		serves bool
	}{{10e6, true}, {0, false}} {
		cfg := sharing
		cfg.Upload = c.upload
		r := newPullRig(t, cfg)
		r.arrive("source", r.block(0)...)
		r.near("friend", 0, 0)
		r.took()
		r.say("friend", &overlay.Want{Tag: r.id.Tag(), Pieces: []overlay.Piece{{Number: 0, Stripes: 0b11}, {Number: 9, Stripes: 1}}})
		r.pass(100 * time.Millisecond)
		served := 0
		for _, f := range take[Forward](r) {
			if f.Peer == testNode("friend") && f.Shard.Number == 0 && f.Shard.Index < 2 {
				served++
			}
		}
		lacks, busy := 0, 0
		for _, l := range said[*overlay.Lack](r, "friend") {
			if l.Busy {
				busy++
			} else {
				lacks++
			}
		}
		if want := map[bool][3]int{true: {2, 1, 0}, false: {0, 1, 1}}[c.serves]; [3]int{served, lacks, busy} != want {
			t.Errorf("upload %v: served %d, lacking %d, busy %d, want %v", c.upload, served, lacks, busy, want)
		}
	}
}

// Who would be a neighbour in a stream that we do not carry, or are leaving, is told no.
func TestNoNeighbourHere(t *testing.T) {
	r := newPullRig(t, sharing)
	r.up("friend")
	r.took()
	r.say("friend", &overlay.Window{Tag: stripe.ID{1}.Tag(), Ask: true})
	if len(said[*overlay.Part](r, "friend")) != 1 {
		t.Error("no answer about a stream that is not carried")
	}
	r.near("friend", 0, 0)
	r.took()
	r.in(Leave{})
	if len(said[*overlay.Part](r, "friend")) != 1 {
		t.Error("who leaves does not part with its neighbours")
	}
}
