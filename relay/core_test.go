package relay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func testNode(name string) membership.NodeID { return membership.NodeIDOf(testKey(name)) }

// rig is one Core and a source that exists only as keys.
type rig struct {
	*testing.T
	core  *Core
	now   time.Time
	key   ed25519.PrivateKey
	id    stripe.ID
	info  stripe.Info
	coder *fec.Coder
	ready []Input // results of work that was not handed back yet
	hold  bool    // keep them
	out   []Output
}

const rigBlock = 100 * time.Millisecond

// newRig is one that takes no part in pull, so that anybody's shards are looked at.
func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	cfg.PushOnly = true
	return newPullRig(t, cfg)
}

func newPullRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := lone(t, cfg)
	r.in(Up{Peer: testNode("source")})
	r.in(Heard{Peer: testNode("source"), Msg: &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)}})
	r.pass(700 * time.Millisecond) // whom it asks and its home stripes are settled
	for s := range r.info.Layout.N() {
		r.say("source", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short()}})
	}
	r.out = nil
	return r
}

// lone is one who knows nobody.
func lone(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := &rig{T: t, now: time.Unix(1_700_000_000, 0), key: testKey("stream")}
	r.id = stripe.IDOf(r.key)
	r.info = stripe.Info{
		Stream: r.id, Epoch: 5, Seq: 1, Layout: stripe.Layout{K: 3, M: 2}, BlockTime: rigBlock,
		Rate: 400_000, Root: testNode("source"), Name: "test",
	}
	r.coder, _ = fec.New(r.info.Layout)
	cfg.Key, cfg.Back = testKey("me"), 1500*time.Millisecond
	if !cfg.Any {
		cfg.Streams = []stripe.ID{r.id}
	}
	cfg.Addrs = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:7070")}
	r.core = New(r.now, cfg, rand.New(rand.NewPCG(1, 1)))
	return r
}

// in hands the core an input, and what work that brought about comes to.
func (r *rig) in(in Input) {
	for queue := []Input{in}; len(queue) > 0; queue = queue[1:] {
		for _, o := range r.core.Handle(r.now, queue[0]) {
			r.out = append(r.out, o)
			if w, ok := o.(Work); ok && r.hold {
				r.ready = append(r.ready, w.Do())
			} else if ok {
				queue = append(queue, w.Do())
			}
		}
	}
}

// release hands back the work that was held.
func (r *rig) release() {
	r.hold = false
	ready := r.ready
	r.ready = nil
	for _, in := range ready {
		r.in(in)
	}
}

func (r *rig) say(from string, m overlay.Message) { r.in(Heard{Peer: testNode(from), Msg: m}) }

// pass lets time pass, with a wake at every deadline.
func (r *rig) pass(d time.Duration) {
	end := r.now.Add(d)
	for {
		at, ok := r.core.Deadline()
		if !ok || at.After(end) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		r.in(Wake{})
		if next, ok := r.core.Deadline(); ok && !next.After(r.now) {
			r.Fatalf("a wake leaves the deadline %v behind", r.now.Sub(next))
		}
	}
	r.now = end
}

func payload(number uint64) []byte { return bytes.Repeat([]byte{byte(number), 1, 2}, 100) }

func (r *rig) header(number uint64) stripe.Header {
	data := payload(number)
	h := stripe.Header{
		Stream: r.id, Epoch: r.info.Epoch, Number: number, Layout: r.info.Layout,
		ShardLen: r.info.Layout.ShardLen(len(data)), DataLen: len(data),
		SourceTime: 1_700_000_000_000 + int64(number)*rigBlock.Milliseconds(),
	}
	if number%10 == 0 {
		h.Flags = stripe.RandomAccess
	}
	return h
}

func (r *rig) block(number uint64) []*stripe.Shard {
	return stripe.Seal(r.key, r.header(number), r.coder.Encode(payload(number)))
}

func (r *rig) arrive(from string, shards ...*stripe.Shard) {
	for _, s := range shards {
		r.in(Arrived{Peer: testNode(from), Shard: s.Encoded()})
	}
}

func (r *rig) counters() Counters { return r.core.Status(r.now).Streams[0].Counters }

// take returns the outputs of one type since the last call of reset.
func take[T Output](r *rig) (got []T) {
	for _, o := range r.out {
		if o, ok := o.(T); ok {
			got = append(got, o)
		}
	}
	return got
}

// altered is a shard with one byte changed on the wire, at an offset from its end
// if that is negative.
func altered(s *stripe.Shard, at int) []byte {
	b := bytes.Clone(s.Encoded())
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return b
}

func TestDelivers(t *testing.T) {
	r := newRig(t, Config{Play: true})
	s := r.block(7)
	r.arrive("source", s[4], s[1])
	if got := take[Deliver](r); len(got) != 0 {
		t.Fatal("delivered from two shards of three")
	}
	r.arrive("source", s[3])
	got := take[Deliver](r)
	if len(got) != 1 || !bytes.Equal(got[0].Data, payload(7)) || !got[0].Parity {
		t.Fatalf("delivered %+v", got)
	}
	if seen := take[Seen](r); len(seen) != 1 || seen[0].Header.Number != 7 {
		t.Errorf("seen %+v", seen)
	}
	r.arrive("source", s[0], s[2])
	if got := take[Deliver](r); len(got) != 1 {
		t.Errorf("delivered %d times", len(got))
	}
}

func TestThreeForgedShards(t *testing.T) {
	r := newRig(t, Config{Play: true})
	r.in(Up{Peer: testNode("liar")})
	s := r.block(7)
	for i := range MaxStrikes {
		if len(take[Hangup](r)) > 0 {
			t.Fatalf("hung up after %d bad shards", i)
		}
		r.in(Arrived{Peer: testNode("liar"), Shard: altered(s[i], -1)})
	}
	if got := take[Hangup](r); len(got) != 1 || got[0].Peer != testNode("liar") {
		t.Fatalf("hangups %+v", got)
	}
	if c := r.counters(); c.Forged != MaxStrikes || c.Shards != 0 {
		t.Errorf("%+v", c)
	}
	r.arrive("source", s...)
	if got := take[Deliver](r); len(got) != 1 || !bytes.Equal(got[0].Data, payload(7)) {
		t.Error("the forged shards hurt the genuine ones")
	}
}

func TestOneSignatureABlock(t *testing.T) {
	r := newRig(t, Config{Play: true})
	r.hold = true
	r.arrive("source", r.block(7)...)
	if got := take[Check](r); len(got) != 1 || got[0].Known != nil {
		t.Fatalf("%d checks before the first verdict", len(got))
	}
	r.release()
	checks := take[Check](r)
	for _, c := range checks[1:] {
		if c.Known == nil {
			t.Error("a second check of the signature")
		}
	}
	if c := r.counters(); c.Signature != 1 || c.Shards != 5 {
		t.Errorf("%+v", c)
	}
}

func TestDuplicateCostsNothing(t *testing.T) {
	r := newRig(t, Config{Play: true})
	s := r.block(7)
	r.arrive("source", s[0])
	r.in(Up{Peer: testNode("echo")})
	before := len(take[Check](r))
	for range 1000 {
		r.arrive("echo", s[0])
	}
	if got := len(take[Check](r)); got != before {
		t.Errorf("%d checks of shards that are held", got-before)
	}
	if c := r.counters(); c.Twice != 1000 || c.Shards != 1 {
		t.Errorf("%+v", c)
	}
}

func TestHeaderAlteredUnderKnownRoot(t *testing.T) {
	r := newRig(t, Config{Play: true})
	s := r.block(7)
	r.arrive("source", s[0])
	const sourceTime = 26 // offset in the shard: its first byte
	lie := altered(s[1], sourceTime+5)
	if p, err := stripe.ParseShard(r.id, lie); err != nil || p.SourceTime == s[1].SourceTime {
		t.Fatalf("the lie is not about the source time: %v", err)
	}
	r.in(Arrived{Peer: testNode("source"), Shard: lie})
	if c := r.counters(); c.Forged != 1 || c.Shards != 1 {
		t.Errorf("%+v", c)
	}
}

func TestEquivocationBlamesNobody(t *testing.T) {
	r := newRig(t, Config{Play: true})
	first, other := r.block(7), payload(8)
	second := stripe.Seal(r.key, r.header(7), r.coder.Encode(other))
	r.arrive("source", first[0])
	for range 10 {
		r.arrive("source", second[1:]...)
	}
	if c := r.counters(); c.Equivocal != 40 || c.Forged != 0 {
		t.Errorf("%+v", c)
	}
	if got := take[Hangup](r); len(got) != 0 {
		t.Errorf("hung up: %+v", got)
	}
	r.arrive("source", first[1:]...)
	if got := take[Deliver](r); len(got) != 1 || !bytes.Equal(got[0].Data, payload(7)) {
		t.Error("the first root does not win")
	}
}

func TestSignedNonsense(t *testing.T) {
	r := newRig(t, Config{Play: true})
	pieces := r.coder.Encode(payload(7))
	pieces[3][0] ^= 1
	s := stripe.Seal(r.key, r.header(7), pieces)
	r.arrive("source", s...)
	if c := r.counters(); c.Nonsense != 1 || c.Forged != 0 {
		t.Errorf("%+v", c)
	}
	if len(take[Deliver](r))+len(take[Hangup](r)) != 0 {
		t.Error("delivered, or blamed on somebody")
	}
}

func TestVerifyBudget(t *testing.T) {
	r := newRig(t, Config{Play: true})
	for n := range uint64(checkBurst + 50) {
		r.arrive("source", r.block(n)[0])
	}
	if c := r.counters(); c.Signature != checkBurst || c.Unchecked != 50 {
		t.Errorf("at one instant %d signature checks and %d refused", c.Signature, c.Unchecked)
	}
	r.in(Up{Peer: testNode("other")})
	r.arrive("other", r.block(200)[0])
	if c := r.counters(); c.Signature != checkBurst+1 {
		t.Error("one peer's budget is another's")
	}
	r.now = r.now.Add(time.Second)
	r.arrive("source", r.block(201)[0])
	if c := r.counters(); c.Signature != checkBurst+2 {
		t.Error("the budget does not fill up again")
	}
}

// feedChild makes a child of the first home stripe and returns that stripe.
func (r *rig) feedChild(name string, fresh bool, from uint64) int {
	r.Helper()
	st := r.core.Status(r.now).Streams[0]
	for _, b := range st.Stripes {
		if b.Home {
			r.in(Up{Peer: testNode(name)})
			r.say(name, &overlay.Subscribe{Stream: r.id, Stripe: b.Stripe, Fresh: fresh, From: from, Back: time.Second})
			return b.Stripe
		}
	}
	r.Fatal("no home stripe")
	return 0
}

func (r *rig) forwards(to string) (numbers []uint64) {
	for _, f := range take[Forward](r) {
		if f.Peer == testNode(to) {
			numbers = append(numbers, f.Shard.Number)
		}
	}
	return numbers
}

func TestNothingUncheckedIsPassedOn(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 10e6})
	home := r.feedChild("child", false, 0)
	s := r.block(7)
	r.in(Arrived{Peer: testNode("source"), Shard: altered(s[home], -1)})
	r.hold = true
	r.arrive("source", s[home])
	if got := r.forwards("child"); len(got) != 0 {
		t.Fatalf("passed on before it was checked: %v", got)
	}
	r.release()
	if got := r.forwards("child"); len(got) != 1 {
		t.Errorf("passed on %d times", len(got))
	}
}

func TestRegenerates(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 10e6})
	home := r.feedChild("child", false, 0)
	s := r.block(7)
	for i, shard := range s {
		if i != home {
			r.arrive("source", shard)
		}
	}
	got := take[Forward](r)
	if len(got) != 1 || got[0].Peer != testNode("child") || !bytes.Equal(got[0].Shard.Encoded(), s[home].Encoded()) {
		t.Fatalf("forwards %+v", got)
	}
	r.arrive("source", s[home])
	if got := r.forwards("child"); len(got) != 1 {
		t.Error("passed on again when it came at last")
	}
	if c := r.counters(); c.Remade == 0 {
		t.Errorf("%+v", c)
	}
}

func TestCatchUp(t *testing.T) {
	for _, c := range []struct {
		name   string
		fresh  bool
		from   uint64
		first  uint64
		last   uint64
		blocks int
	}{
		{"who changed its parent, oldest first", false, 25, 25, 29, 5},
		{"a newcomer, newest first from a random access block", true, 0, 29, 10, 20},
	} {
		r := newRig(t, Config{Play: true, Gossips: true, Upload: 10e6})
		for n := range uint64(30) {
			r.arrive("source", r.block(n)...)
			r.now = r.now.Add(rigBlock)
		}
		r.feedChild("child", c.fresh, c.from)
		r.pass(rigBlock / 2)
		if got := r.forwards("child"); len(got) == 0 || len(got) > 3*catchUpBatch {
			t.Errorf("%s: %d shards within half a block time", c.name, len(got))
		}
		r.arrive("source", r.block(30)...)
		live := r.forwards("child")
		if live[len(live)-1] != 30 {
			t.Errorf("%s: the live shard waits for the past: %v", c.name, live)
		}
		for range 9 { // the source goes on, so that nobody is given up
			r.pass(rigBlock / 2)
		}
		got := r.forwards("child")
		if len(got) != c.blocks+1 || got[0] != c.first {
			t.Errorf("%s: %v", c.name, got)
		}
		count := map[uint64]int{}
		for _, n := range got {
			count[n]++
		}
		for n := min(c.first, c.last); n <= 30; n++ {
			if count[n] != 1 {
				t.Errorf("%s: block %d came %d times", c.name, n, count[n])
			}
		}
	}
}

func TestEpochChange(t *testing.T) {
	r := newRig(t, Config{Play: true})
	r.arrive("source", r.block(7)...)
	old := r.block(8)
	tell := func(info stripe.Info) {
		r.say("source", &overlay.Sample{Stream: r.id, Info: info.Sign(r.key)})
	}
	other := r.info
	other.Layout, other.Seq = stripe.Layout{K: 2, M: 2}, 9
	tell(other)
	if st := r.core.Status(r.now).Streams[0]; st.Info.Layout != r.info.Layout {
		t.Fatal("the layout changed within an epoch")
	}
	other = r.info
	other.Lock, other.Seq = stripe.Lock{Salt: [16]byte{1}}, 9
	tell(other)
	if st := r.core.Status(r.now).Streams[0]; st.Info.Private() {
		t.Fatal("the stream became private within an epoch")
	}
	past := r.info
	past.Epoch, past.Seq = 4, 9
	tell(past)
	if st := r.core.Status(r.now).Streams[0]; st.Info.Epoch != 5 {
		t.Fatal("the epoch went down")
	}
	r.out = nil
	r.info.Epoch, r.info.Seq = 6, 1
	tell(r.info)
	if got := take[Opened](r); len(got) != 1 || got[0].Info.Epoch != 6 {
		t.Fatalf("opened %+v", got)
	}
	r.arrive("source", old...)
	if len(take[Deliver](r)) != 0 || r.counters().Stale != 5 {
		t.Error("shards of the old epoch are taken")
	}
	r.arrive("source", r.block(0)...)
	if got := take[Deliver](r); len(got) != 1 || got[0].Header.Epoch != 6 {
		t.Errorf("delivered %+v", got)
	}
	r.out = nil
	past.Epoch = 5
	tell(past)
	if st := r.core.Status(r.now).Streams; len(st) != 1 || st[0].Info.Epoch != 6 {
		t.Error("an epoch that is over was opened again")
	}
}

func TestStrangers(t *testing.T) {
	r := newRig(t, Config{Play: true})
	s := r.block(7)
	r.arrive("nobody", s...)
	r.say("nobody", &overlay.Ask{Stream: r.id})
	if len(r.out) != 0 {
		t.Errorf("who is not connected is answered: %+v", r.out)
	}
	foreign := testKey("another stream")
	h := r.header(7)
	h.Stream = stripe.IDOf(foreign)
	r.arrive("source", stripe.Seal(foreign, h, r.coder.Encode(payload(7)))...)
	if len(take[Check](r)) != 0 {
		t.Error("a shard of a stream that nobody wants is checked")
	}
}

func TestGoodbye(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 10e6})
	home := r.feedChild("child", false, 0)
	r.out = nil
	r.in(Leave{})
	r.arrive("source", r.block(7)...)
	if got := r.forwards("child"); len(got) != 1 {
		t.Error("a child is starved before the goodbye is over")
	}
	r.pass(2 * time.Second)
	if got := take[Left](r); len(got) != 1 {
		t.Fatalf("left %d times", len(got))
	}
	dropped, leaves := false, 0
	for _, s := range take[Say](r) {
		switch m := s.Msg.(type) {
		case *overlay.Drop:
			dropped = dropped || s.Peer == testNode("child") && m.Stripe == home && m.Reason == overlay.Leaving
		case *overlay.Leave:
			leaves++
		}
	}
	if !dropped || leaves != r.info.Layout.N() {
		t.Errorf("child told: %v, parents left: %d", dropped, leaves)
	}
}
