package relay

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

var (
	viewer  = Config{Play: true}
	sharing = Config{Play: true, Gossips: true, Upload: 10e6}
)

func (r *rig) up(name string) { r.in(Up{Peer: testNode(name)}) }

func (r *rig) arriveBytes(from string, b []byte) { r.in(Arrived{Peer: testNode(from), Shard: b}) }

// took forgets what was put out so far.
func (r *rig) took() { r.out = nil }

// salted is block number of the rig's stream with data of its own for every salt.
func (r *rig) salted(number uint64, salt byte, flags stripe.Flags) []*stripe.Shard {
	data := payload(number)
	data[0] ^= salt
	h := r.header(number)
	h.Flags |= flags
	return stripe.Seal(r.key, h, r.coder.Encode(data))
}

// tell says the rig's info, changed, by the source.
func (r *rig) tell(change func(*stripe.Info)) {
	change(&r.info)
	r.coder, _ = fec.New(r.info.Layout)
	r.say("source", &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
}

// blamed fails unless exactly these peers were hung up on.
func (r *rig) blamed(names ...string) {
	r.Helper()
	var got, want []membership.NodeID
	for _, h := range take[Hangup](r) {
		got = append(got, h.Peer)
	}
	for _, n := range names {
		want = append(want, testNode(n))
	}
	if !slices.Equal(got, want) {
		r.Errorf("hung up on %+v, want %v", take[Hangup](r), names)
	}
}

func (r *rig) signatures() (n int) {
	for _, c := range take[Check](r) {
		if c.Known == nil {
			n++
		}
	}
	return n
}

func (r *rig) unproven() int { return len(r.core.stream(r.id).window.unproven) }

// flipped is a shard's bytes with one bit flipped, counted from the end if negative.
func flipped(s *stripe.Shard, bit int) []byte {
	b := bytes.Clone(s.Encoded())
	if bit < 0 {
		bit += len(b) * 8
	}
	b[bit/8] ^= 1 << (bit % 8)
	return b
}

// All shards of a block at once, from as many peers, each three times, cost one
// signature and one check a shard.
func TestOneSignatureFromManyPeers(t *testing.T) {
	r := newRig(t, viewer)
	r.tell(func(i *stripe.Info) { i.Epoch, i.Layout = i.Epoch+1, stripe.DefaultLayout })
	n := r.info.Layout.N()
	for i := range n {
		r.up(fmt.Sprint("p", i))
	}
	r.took()
	r.hold = true
	s := r.block(9)
	for round := range 3 {
		for i := range s {
			r.arrive(fmt.Sprint("p", (i+round)%n), s[i])
		}
	}
	if got := take[Check](r); len(got) != 1 || got[0].Known != nil {
		t.Fatalf("%d checks before the first verdict", len(got))
	}
	r.release()
	if r.signatures() != 1 || len(take[Check](r)) != n || len(take[Deliver](r)) != 1 {
		t.Errorf("%d signatures, %d checks, delivered %d times", r.signatures(), len(take[Check](r)), len(take[Deliver](r)))
	}
	if c := r.counters(); c.Signature != 1 || c.Shards != uint64(n) {
		t.Errorf("%+v", c)
	}
	r.blamed()
}

// A1: whatever is bad about them, the third bad shard ends the peer, and the block
// comes from others.
func TestBadShardsEndThePeer(t *testing.T) {
	for what, forge := range map[string]func(r *rig, s *stripe.Shard, i int) []byte{
		"too short for a tag": func(_ *rig, s *stripe.Shard, _ int) []byte { return s.Encoded()[:8] },
		"cut":                 func(_ *rig, s *stripe.Shard, i int) []byte { return s.Encoded()[:100+i] },
		"a byte more":         func(_ *rig, s *stripe.Shard, _ int) []byte { return append(bytes.Clone(s.Encoded()), 0) },
		"data of another root": func(_ *rig, s *stripe.Shard, i int) []byte {
			return flipped(s, -1-i)
		},
		"no such index": func(r *rig, s *stripe.Shard, _ int) []byte {
			b := bytes.Clone(s.Encoded())
			b[9] = byte(r.info.Layout.N())
			return b
		},
		"another index": func(_ *rig, s *stripe.Shard, _ int) []byte {
			b := bytes.Clone(s.Encoded())
			b[9] ^= 1 // 2 and 3, or 4 and 5, which there is not
			return b
		},
		"signed by another": func(r *rig, s *stripe.Shard, _ int) []byte {
			other := stripe.Seal(testKey("liar"), r.header(s.Number), r.coder.Encode(payload(1)))
			return other[s.Index].Encoded()
		},
	} {
		for _, known := range []bool{false, true} {
			r := newRig(t, viewer)
			r.up("liar")
			good := r.block(7)
			if known {
				r.arrive("source", good[0])
			}
			before := r.counters().Shards
			for i := range MaxStrikes {
				r.blamed()
				r.arriveBytes("liar", forge(r, good[2+i], i))
			}
			r.blamed("liar")
			r.arrive("liar", good[1])
			if got := r.counters().Shards; got != before {
				t.Errorf("%s: %d shards taken", what, got-before)
			}
			r.arrive("source", good...)
			if got := take[Deliver](r); len(got) != 1 || !bytes.Equal(got[0].Data, payload(7)) {
				t.Errorf("%s: the block is lost", what)
			}
			r.blamed("liar")
			if t.Failed() {
				t.Fatalf("%s, known root: %v", what, known)
			}
		}
	}
}

// Whatever bit of header and proof is flipped, or one of each byte of data, under a root that is known or not: it is not
// held, and leaves nothing behind.
func TestEveryBitIsProved(t *testing.T) {
	for _, known := range []bool{true, false} {
		r := newRig(t, viewer)
		r.tell(func(i *stripe.Info) { i.Epoch, i.Layout = i.Epoch+1, oneOne })
		s := r.block(7)
		if known {
			r.arrive("source", s[0])
		}
		before := r.counters().Shards
		r.took()
		for bit := 0; bit < len(s[1].Encoded())*8; bit++ {
			if bit/8 >= oneOne.ShardOverhead() {
				bit += 7
			}
			id := membership.NodeID(sha256.Sum256(fmt.Append(nil, bit)))
			r.in(Up{Peer: id})
			r.in(Arrived{Peer: id, Shard: flipped(s[1], bit)})
			r.in(Down{Peer: id})
		}
		if got := r.counters().Shards; got != before || len(take[Deliver](r)) != 0 {
			t.Errorf("known root %v: %d shards taken", known, got-before)
		}
		if n := r.unproven(); n != 0 {
			t.Errorf("known root %v: %d blocks stay open", known, n)
		}
		r.arrive("source", s[1])
		if got := r.counters().Shards; got != before+1 {
			t.Errorf("known root %v: the shard itself is not taken afterwards", known)
		}
	}
}

// What is of another epoch or layout is dropped without a check or blame; a newer
// epoch is reason to ask.
func TestDroppedWithoutBlame(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*rig)
		asks   bool
	}{
		{"an older epoch", func(r *rig) { r.info.Epoch-- }, false},
		{"a newer epoch", func(r *rig) { r.info.Epoch++ }, true},
		{"another layout", func(r *rig) {
			r.info.Layout = stripe.Layout{K: 2, M: 3}
			r.coder, _ = fec.New(r.info.Layout)
		}, false},
	} {
		r := newRig(t, viewer)
		c.change(r)
		s := r.block(7)
		r.took()
		for range 2 * MaxStrikes {
			r.arrive("source", s[0])
		}
		asks := 0
		for _, say := range take[Say](r) {
			if _, ok := say.Msg.(*overlay.Ask); ok && say.Peer == testNode("source") {
				asks++
			}
		}
		if len(take[Check](r)) != 0 || r.unproven() != 0 || c.asks != (asks > 0) {
			t.Errorf("%s: %d checks, asked %d times", c.what, len(take[Check](r)), asks)
		}
		r.blamed()
	}
}

// A relay that does not play checks its home stripes' shards only.
func TestUnwantedStripe(t *testing.T) {
	r := newRig(t, Config{Gossips: true, Upload: 10e6})
	homes := 0
	for i, s := range r.block(7) {
		home := r.core.stream(r.id).forest.Home(i)
		r.took()
		r.arrive("source", s)
		if got := len(take[Check](r)); (got == 1) != home {
			t.Errorf("stripe %d, home %v: %d checks", i, home, got)
		}
		if home {
			homes++
		}
	}
	if homes == 0 || homes == r.info.Layout.N() {
		t.Errorf("%d home stripes: this shows nothing", homes)
	}
}

// A2: each shard a new fake root, 20,000 in a second. Verdicts at once, or late.
func TestFakeRoots(t *testing.T) {
	for _, lag := range []int{1, 1000, 5000} { // shards that come before a verdict
		r := newRig(t, viewer)
		r.up("liar")
		var blocks [][]*stripe.Shard
		for n := range uint64(250) {
			blocks = append(blocks, r.block(100+n))
		}
		r.took()
		sent := 0
		for ; sent < 20_000 && r.core.peer(testNode("liar")) != nil; sent++ {
			r.now = r.now.Add(50 * time.Microsecond)
			shards := blocks[sent%len(blocks)]
			r.hold = lag > 1
			r.arriveBytes("liar", flipped(shards[sent/len(blocks)%len(shards)], -1-sent/len(blocks)))
			if sent%lag == lag-1 {
				r.release()
			}
		}
		r.release()
		r.blamed("liar")
		most := MaxStrikes
		if lag > 1 { // one for every block that may be open, and the strikes free some again
			most = MaxUnproven + MaxStrikes
		}
		if n := r.signatures(); n > most || n < MaxStrikes || n > checkBurst {
			t.Errorf("verdicts after %d shards: %d signatures checked for %d fakes, at most %d", lag, n, sent, most)
		}
		if r.counters().Shards != 0 || r.unproven() != 0 {
			t.Errorf("verdicts after %d shards: %d blocks stay open, %+v", lag, r.unproven(), r.counters())
		}
		r.arrive("source", r.block(100)...)
		if len(take[Deliver](r)) != 1 {
			t.Errorf("verdicts after %d shards: the honest block is lost", lag)
		}
	}
}

// A3: valid old shards, held or behind the window, cost nothing and go nowhere.
func TestReplay(t *testing.T) {
	r := newRig(t, sharing)
	r.feedChild("child", false, 0)
	var all []*stripe.Shard
	for n := range uint64(MaxWindowBlocks + 20) {
		s := r.block(n)
		r.pass(rigBlock)
		r.arrive("source", s...)
		all = append(all, s...)
	}
	r.up("liar")
	r.took()
	before := r.counters()
	r.arrive("liar", all...)
	if len(take[Check](r)) != 0 || len(take[Forward](r)) != 0 {
		t.Errorf("%d checks, %d passed on", len(take[Check](r)), len(take[Forward](r)))
	}
	stale, twice := r.counters().Stale-before.Stale, r.counters().Twice-before.Twice
	if stale == 0 || twice == 0 || stale+twice != uint64(len(all)) {
		t.Errorf("of %d replayed, %d are behind the window and %d held", len(all), stale, twice)
	}
	r.blamed()
}

// Two roots that come while nothing is proved yet: one of them wins, the other is
// nobody's fault.
func TestEquivocationAtOnce(t *testing.T) {
	r := newRig(t, viewer)
	first, second := r.salted(7, 1, 0), r.salted(7, 2, 0)
	for i := range first {
		r.up(fmt.Sprint("p", i))
	}
	r.took()
	r.hold = true
	r.arrive("p0", first[0])
	for i := range second {
		r.arrive(fmt.Sprint("p", i), second[i])
	}
	for i := range first {
		r.arrive(fmt.Sprint("p", i), first[i])
	}
	r.release()
	r.arrive("source", first...)
	r.blamed()
	for i := range first {
		if r.core.peer(testNode(fmt.Sprint("p", i))).strikes != 0 {
			t.Errorf("p%d is blamed", i)
		}
	}
	want := payload(7)
	want[0] ^= 1
	if got := take[Deliver](r); len(got) != 1 || !bytes.Equal(got[0].Data, want) {
		t.Errorf("delivered %d times, or the roots are mixed", len(got))
	}
	if r.counters().Equivocal == 0 {
		t.Error("nobody noticed")
	}
}

// A14: whichever shard is not of the codeword and whichever k come first, all
// reject the block, and what follows is delivered.
func TestNonsenseIsRejectedByAll(t *testing.T) {
	for bad := range 5 {
		for first := range 5 {
			r := newRig(t, viewer)
			pieces := r.coder.Encode(payload(7))
			pieces[bad][0] ^= 1
			s := stripe.Seal(r.key, r.header(7), pieces)
			r.took()
			for i := range s {
				r.arrive("source", s[(first+i)%len(s)])
			}
			if c := r.counters(); len(take[Deliver](r)) != 0 || len(take[Rebuild](r)) != 1 || c.Nonsense != 1 || c.Shards != uint64(len(s)) {
				t.Fatalf("shard %d bad, from %d on: delivered %d, rebuilt %d, %+v", bad, first, len(take[Deliver](r)), len(take[Rebuild](r)), c)
			}
			r.arrive("source", r.block(8)...)
			if len(take[Deliver](r)) != 1 {
				t.Fatal("what follows is lost too")
			}
			r.blamed()
		}
	}
}

// A home stripe's shard that is being checked when the block is rebuilt without it
// is passed on once.
func TestRemadeWhileChecked(t *testing.T) {
	r := newRig(t, sharing)
	home := r.feedChild("child", false, 0)
	s := r.block(7)
	var others []*stripe.Shard
	for i := range s {
		if i != home {
			others = append(others, s[i])
		}
	}
	k := r.info.Layout.K
	r.arrive("source", others[:k-1]...)
	r.hold = true
	r.arrive("source", others[k-1], s[home])
	if len(r.ready) != 2 {
		t.Fatalf("%d pieces of work, want 2 checks", len(r.ready))
	}
	late := r.ready[1]
	r.ready = r.ready[:1]
	r.release()
	r.in(late)
	if got := r.forwards("child"); !slices.Equal(got, []uint64{7}) {
		t.Errorf("passed on %v", got)
	}
	if c := r.counters(); c.Remade == 0 {
		t.Errorf("%+v", c)
	}
}

// Verdicts and blocks of the old epoch that come after the new one change nothing.
func TestWorkAcrossEpochs(t *testing.T) {
	r := newRig(t, viewer)
	r.hold = true
	old := r.block(3)
	r.arrive("source", old[:3]...)
	work := r.ready // the first check
	r.ready = nil
	r.in(work[0])
	r.tell(func(i *stripe.Info) { i.Epoch++ })
	r.took()
	r.release()
	if len(take[Deliver](r)) != 0 || r.counters() != (Counters{}) {
		t.Errorf("delivered %d, %+v", len(take[Deliver](r)), r.counters())
	}
	r.blamed()
}

// After the end nobody is suspected, those who are late are served for a while, and
// then the stream is gone and its epoch does not open again.
func TestEnd(t *testing.T) {
	r := newRig(t, sharing)
	for n := range uint64(5) {
		r.arrive("source", r.salted(n, 0, stripe.Flags(n/4)*stripe.End)...)
		r.pass(rigBlock)
	}
	if !r.core.Status(r.now).Streams[0].Ended {
		t.Fatal("not ended")
	}
	r.up("other") // who could be asked for what is newer
	r.say("other", r.unsolicited("other", 0)[0])
	r.took()
	r.pass(10 * time.Second)
	for _, s := range take[Say](r) {
		if _, ok := s.Msg.(*overlay.Subscribe); ok {
			t.Errorf("looks for a parent after the end: %+v", s.Msg)
		}
	}
	r.feedChild("late", true, 0)
	r.pass(5 * time.Second)
	if got := r.forwards("late"); len(got) != 5 {
		t.Errorf("a late child gets %v of 5 blocks", got)
	}
	r.pass(lingering)
	if len(r.core.Status(r.now).Streams) != 0 {
		t.Fatal("the stream is still carried")
	}
	r.tell(func(i *stripe.Info) { i.Seq++ })
	if len(r.core.Status(r.now).Streams) != 0 {
		t.Error("the ended epoch opens again")
	}
	r.tell(func(i *stripe.Info) { i.Epoch++ })
	if len(r.core.Status(r.now).Streams) != 1 {
		t.Error("the next epoch does not open")
	}
}

// unsolicited is every message about a stripe of the stream but Subscribe, well
// formed and true.
func (r *rig) unsolicited(from string, s int) []overlay.Message {
	path := []membership.ShortID{testNode("source").Short(), testNode(from).Short()}
	record := membership.Record{
		Node: testNode(from), Seq: 1, TTL: time.Minute, Slots: 8, Addrs: r.core.cfg.Addrs,
		Streams: []membership.Carried{{Stream: r.id, Epoch: r.info.Epoch, Homes: 31, Free: 8, Depth: 1}},
	}.Sign(testKey(from))
	return []overlay.Message{
		&overlay.Hello{Record: record},
		&overlay.Ask{Stream: r.id},
		&overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key), Records: [][]byte{record}},
		&overlay.Accept{Stream: r.id, Stripe: s, Path: path},
		&overlay.Refuse{Stream: r.id, Stripe: s, Reason: overlay.Full},
		&overlay.Leave{Stream: r.id, Stripe: s},
		&overlay.Drop{Stream: r.id, Stripe: s, Reason: overlay.Leaving},
		&overlay.Route{Stream: r.id, Stripe: s, Path: path},
	}
}

func TestWhoWasNeverUpIsIgnored(t *testing.T) {
	r := newRig(t, sharing)
	before := fmt.Sprintf("%+v", r.core.Status(r.now))
	for _, m := range append(r.unsolicited("ghost", 3), &overlay.Subscribe{Stream: r.id, Fresh: true}) {
		r.say("ghost", m)
	}
	r.arrive("ghost", r.block(7)...)
	r.arriveBytes("ghost", nil)
	r.in(Measured{Peer: testNode("ghost"), RTT: time.Second})
	r.in(Down{Peer: testNode("ghost")})
	r.in(Down{Peer: testNode("ghost"), Dialed: true})
	r.in(Up{Peer: r.core.Self()}) // nor is a connection to ourselves one
	if len(r.out) != 0 {
		t.Errorf("%+v", r.out)
	}
	if after := fmt.Sprintf("%+v", r.core.Status(r.now)); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

// A peer that is no parent, nor asked to be one, changes nobody's place; what it
// says of stripes and streams that there are not is nothing.
func TestUnsolicitedMessages(t *testing.T) {
	r := newRig(t, sharing)
	home := r.feedChild("child", false, 0)
	r.up("ghost")
	r.arrive("source", r.block(0)...)
	place := func() (text string) {
		for _, s := range r.core.Status(r.now).Streams[0].Stripes {
			text += fmt.Sprintf("%d: parent %v depth %d home %v children %d\n", s.Stripe, s.Parent.Brief(), s.Depth, s.Home, s.Children)
		}
		return text
	}
	before := place()
	r.took()
	for s := range stripe.MaxShards {
		for _, m := range r.unsolicited("ghost", s) {
			r.say("ghost", m)
		}
	}
	r.blamed()
	if after := place(); after != before {
		t.Errorf("before\n%safter\n%s", before, after)
	}
	for _, s := range take[Say](r) {
		switch s.Msg.(type) {
		case *overlay.Leave, *overlay.Sample, *overlay.Hello:
		default:
			t.Errorf("says %T", s.Msg)
		}
	}
	r.took()
	r.arrive("source", r.block(1)[home])
	if got := r.forwards("child"); !slices.Equal(got, []uint64{1}) || len(r.forwards("ghost")) != 0 {
		t.Errorf("passed on %v", got)
	}
	r.took()
	unknown := stripe.ID{1}
	for _, m := range []overlay.Message{
		&overlay.Accept{Stream: unknown}, &overlay.Refuse{Stream: unknown}, &overlay.Leave{Stream: unknown},
		&overlay.Drop{Stream: unknown}, &overlay.Route{Stream: unknown},
	} {
		r.say("ghost", m)
	}
	if len(r.out) != 0 {
		t.Errorf("of a stream that nobody carries: %+v", r.out)
	}
	r.say("ghost", &overlay.Subscribe{Stream: unknown, Stripe: 2})
	if got := take[Say](r); len(got) != 1 || got[0].Msg.(*overlay.Refuse).Reason != overlay.NotHere {
		t.Errorf("%+v", got)
	}
}

// The source of a stream takes no shards of it and no parent.
func TestSourceCannotBeFed(t *testing.T) {
	r := newRig(t, viewer) // for its keys
	r.core = New(r.now, Config{Key: testKey("source"), Addrs: r.core.cfg.Addrs, Upload: 10e6, Gossips: true}, rand.New(rand.NewPCG(1, 1)))
	r.in(Announce{Info: r.info.Sign(r.key)})
	r.up("liar")
	r.up("child")
	r.say("child", &overlay.Subscribe{Stream: r.id, Fresh: true, LastResort: true})
	if !r.core.stream(r.id).forest.Wants(0) {
		t.Fatal("nobody wants stripe 0: this shows nothing")
	}
	r.took()
	r.arrive("liar", r.block(5)...)
	for _, m := range r.unsolicited("liar", 0) {
		r.say("liar", m)
	}
	if st := r.core.Status(r.now).Streams[0]; st.Started || !st.Stripes[0].Parent.IsZero() || !st.Source || len(take[Check](r)) != 0 {
		t.Errorf("%d checks, %+v", len(take[Check](r)), st)
	}
	r.in(Publish{Shards: r.block(5)})
	if st := r.core.Status(r.now).Streams[0]; st.Head != 5 || st.Counters.Blocks != 1 {
		t.Errorf("%+v", st)
	}
}

func TestBadInfoAndRecordsEndThePeer(t *testing.T) {
	r := newRig(t, viewer)
	newer := r.info
	newer.Seq++
	for what, m := range map[string]overlay.Message{
		"an info of another key":  &overlay.Sample{Stream: r.id, Info: newer.Sign(testKey("liar"))},
		"no info":                 &overlay.Sample{Stream: r.id, Info: []byte{1}},
		"no record":               &overlay.Hello{Record: []byte{1}},
		"a record of another key": &overlay.Hello{Record: membership.Record{Node: testNode("liar"), Seq: 2}.Sign(testKey("x"))},
		"another's record":        &overlay.Hello{Record: membership.Record{Node: testNode("x"), Seq: 2}.Sign(testKey("x"))},
	} {
		r.up("liar")
		r.took()
		r.say("liar", m)
		if r.blamed("liar"); t.Failed() {
			t.Fatal(what)
		}
	}
}

func TestMaxPeers(t *testing.T) {
	r := newRig(t, viewer)
	for i := range MaxPeers - 1 { // and the source
		r.up(fmt.Sprint("p", i))
	}
	r.blamed()
	r.up("one more")
	r.blamed("one more")
	if got := r.core.Status(r.now).Peers; got != MaxPeers {
		t.Errorf("%d peers", got)
	}
	r.arrive("one more", r.block(5)[0])
	if len(take[Check](r)) != 0 {
		t.Error("one too many is listened to")
	}
	r.in(Down{Peer: testNode("p3")})
	r.took()
	r.up("one more")
	r.blamed()
	r.took()
	r.up("p4")
	if len(r.out) != 0 {
		t.Errorf("up twice: %+v", r.out)
	}
}

// Whatever valid messages and shards come from whomever in whatever order and
// whenever work is done: nobody is blamed, nothing is said or sent to who is not
// there, no block is delivered twice, and nothing is left behind.
func TestChaos(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		r := newRig(t, sharing)
		var blocks [][]*stripe.Shard
		for n := range uint64(40) {
			blocks = append(blocks, r.block(n))
		}
		delivered, forwarded := map[uint64]bool{}, 0
		for range 500 {
			name := fmt.Sprint("p", rnd.IntN(6))
			if r.hold = rnd.IntN(3) == 0; !r.hold {
				r.release()
			}
			switch k := rnd.IntN(20); {
			case k == 0:
				r.up(name)
			case k == 1 && rnd.IntN(4) == 0:
				r.in(Down{Peer: testNode(name)})
			case k < 6:
				m := r.unsolicited(name, rnd.IntN(7))
				r.say(name, m[rnd.IntN(len(m))])
			case k < 8:
				r.say(name, &overlay.Subscribe{
					Stream: r.id, Stripe: rnd.IntN(7), From: rnd.Uint64N(50), Back: time.Duration(rnd.IntN(3000)) * time.Millisecond,
					Fresh: rnd.IntN(2) == 0, Interior: rnd.IntN(2) == 0, LastResort: rnd.IntN(2) == 0, IfNewer: rnd.IntN(4) == 0,
				})
			case k < 18:
				r.arrive([]string{name, "source"}[rnd.IntN(2)], blocks[rnd.IntN(len(blocks))][rnd.IntN(5)])
			default:
				r.pass(time.Duration(rnd.IntN(200)) * time.Millisecond)
			}
			r.blamed()
			for _, d := range take[Deliver](r) {
				if delivered[d.Header.Number] {
					t.Fatalf("seed %d: block %d is delivered twice", seed, d.Header.Number)
				}
				delivered[d.Header.Number] = true
			}
			for _, f := range take[Forward](r) {
				if forwarded++; r.core.peer(f.Peer) == nil {
					t.Fatalf("seed %d: passes on to who is gone", seed)
				}
			}
			for _, s := range take[Say](r) {
				if r.core.peer(s.Peer) == nil {
					t.Fatalf("seed %d: speaks to who is gone", seed)
				}
			}
			r.took()
		}
		r.release()
		if len(delivered) == 0 || forwarded == 0 {
			t.Errorf("seed %d: delivered %d, passed on %d: this shows nothing", seed, len(delivered), forwarded)
		}
		if r.unproven() != 0 {
			t.Errorf("seed %d: %d blocks stay open without a check", seed, r.unproven())
		}
		for _, feeds := range r.core.stream(r.id).feeds {
			for _, f := range feeds {
				if r.core.peer(f.child) == nil {
					t.Errorf("seed %d: feeds who is gone", seed)
				}
			}
		}
	}
}
