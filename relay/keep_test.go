package relay

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stripecast/stripecast/stripe"
)

// kept is how often each shard of a block was to be kept since took.
func (r *rig) kept(number uint64) []int {
	r.Helper()
	counts := make([]int, r.info.Layout.N())
	want := r.block(number)
	for _, k := range take[Keep](r) {
		if k.Shard.Number != number {
			continue
		}
		counts[k.Shard.Index]++
		if !k.Shard.Check() || !bytes.Equal(k.Shard.Encoded(), want[k.Shard.Index].Encoded()) {
			r.Errorf("block %d: what is kept for shard %d is not the source's", number, k.Shard.Index)
		}
	}
	return counts
}

func (r *rig) mustKeep(number uint64, want ...int) {
	r.Helper()
	if got := r.kept(number); !slices.Equal(got, want) {
		r.Errorf("block %d: shards were kept %v times, want %v", number, got, want)
	}
}

// Every genuine shard is kept once: also when it comes from several, while another
// is checked, and after the block was rebuilt. What is forged, doubled or under a
// second root is not.
func TestKeepsEachShardOnce(t *testing.T) {
	cfg := viewer
	cfg.Keep = true
	r := newRig(t, cfg)
	r.up("echo")
	r.up("liar")
	s := r.block(7)
	r.took()
	r.in(Arrived{Peer: testNode("liar"), Shard: altered(s[0], -1)})
	r.mustKeep(7, 0, 0, 0, 0, 0)
	r.hold = true
	r.arrive("source", s[0], s[1])
	r.arrive("echo", s[1], s[0])
	r.in(Arrived{Peer: testNode("liar"), Shard: altered(s[1], -1)})
	r.mustKeep(7, 0, 0, 0, 0, 0) // not before it is checked
	r.release()
	r.mustKeep(7, 1, 1, 0, 0, 0)
	r.arrive("source", s...)
	r.arrive("echo", s...)
	r.arrive("echo", stripe.Seal(r.key, r.header(7), r.coder.Encode(payload(8)))...)
	r.mustKeep(7, 1, 1, 1, 1, 1)
	if c := r.counters(); c.Shards != 5 || c.Forged == 0 || c.Twice == 0 {
		t.Errorf("the test did not do what it should: %+v", c)
	}
}

// A viewer that has rebuilt a block keeps what came and no more, but for shards of
// its home stripes, which it made because it passes them on.
func TestKeepsWhatItMade(t *testing.T) {
	cfg := sharing
	cfg.Keep = true
	r := newRig(t, cfg)
	homes := 0
	for _, b := range r.core.Status(r.now).Streams[0].Stripes {
		if b.Home {
			homes |= 1 << b.Stripe
		}
	}
	s, want, came := r.block(7), make([]int, 5), 0
	r.took()
	for i := range s {
		if homes>>i&1 == 1 {
			want[i] = 1
		} else if came < r.info.Layout.K {
			want[i] = 1
			came++
			r.arrive("source", s[i])
		}
	}
	if homes == 0 || came < r.info.Layout.K {
		t.Fatalf("homes %b, %d other shards: there is nothing to make", homes, came)
	}
	r.mustKeep(7, want...)
	if c := r.counters(); c.Remade == 0 {
		t.Errorf("%+v", c)
	}
	r.arrive("source", s...)
	r.mustKeep(7, 1, 1, 1, 1, 1)
}

// A source keeps all that it publishes, under the info that it announced.
func TestSourceKeeps(t *testing.T) {
	r := newRig(t, viewer)
	raw := r.info.Sign(r.key)
	core := New(r.now, Config{
		Key: testKey("source"), Addrs: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")}, Upload: 5e6, Keep: true,
	}, rand.New(rand.NewPCG(1, 1)))
	r.took()
	for _, in := range []Input{Announce{Info: raw}, Publish{Shards: r.block(7)}} {
		r.out = append(r.out, core.Handle(r.now, in)...)
	}
	r.mustKeep(7, 1, 1, 1, 1, 1)
	if opened := take[Opened](r); len(opened) != 1 || !bytes.Equal(opened[0].Raw, raw) {
		t.Errorf("opened %+v", opened)
	}
}

// Who has no place for it is not told. The info comes as it was signed, each time.
func TestKeepsNothingUnasked(t *testing.T) {
	r := newRig(t, viewer)
	r.took()
	r.arrive("source", r.block(7)...)
	r.mustKeep(7, 0, 0, 0, 0, 0)
	r.tell(func(i *stripe.Info) { i.Seq++; i.Rate *= 2 })
	opened := take[Opened](r)
	if len(opened) != 1 {
		t.Fatalf("opened %d times", len(opened))
	}
	if info, err := stripe.OpenInfo(opened[0].Raw); err != nil || info != opened[0].Info {
		t.Errorf("%+v is signed, %+v told: %v", info, opened[0].Info, err)
	}
}

// A home stripe's shard that is being checked when it is made again is kept once.
func TestKeepsOnceWhatIsMadeMeanwhile(t *testing.T) {
	cfg := sharing
	cfg.Keep = true
	r := newRig(t, cfg)
	home := r.home()
	var others []*stripe.Shard
	s := r.block(7)
	for i := range s {
		if i != home {
			others = append(others, s[i])
		}
	}
	r.took()
	k := r.info.Layout.K
	r.arrive("source", others[:k-1]...)
	r.hold = true
	r.arrive("source", others[k-1], s[home])
	late := r.ready[1]
	r.ready = r.ready[:1]
	r.release()
	if r.kept(7)[home] != 1 || r.counters().Remade == 0 {
		t.Fatalf("shard %d was not made: %+v", home, r.counters())
	}
	r.in(late)
	if got := r.kept(7); slices.Max(got) != 1 || got[home] != 1 {
		t.Errorf("shards were kept %v times", got)
	}
}
