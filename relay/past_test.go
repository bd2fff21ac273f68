package relay

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// archive is a rig that takes part in pull, whose source is gone: two neighbours have
// blocks 0 to 99.
func archive(t *testing.T, cfg Config) *rig {
	t.Helper()
	r := lone(t, cfg)
	for _, name := range []string{"a", "b"} {
		r.in(Up{Peer: testNode(name)})
		r.say(name, &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
		r.offer(name, 0, 99)
	}
	r.took()
	return r
}

func (r *rig) offer(name string, first, last uint64) {
	r.say(name, &overlay.Window{
		Tag: r.id.Tag(), Epoch: r.info.Epoch, Ask: true, Stripes: 31, Runs: []overlay.Run{{First: first, Last: last}},
	})
}

// asked is what was wanted of a peer since took.
func (r *rig) asked(name string) (pieces []overlay.Piece) {
	for _, s := range take[Say](r) {
		if m, ok := s.Msg.(*overlay.Want); ok && s.Peer == testNode(name) {
			pieces = append(pieces, m.Pieces...)
		}
	}
	return pieces
}

// serveAll has the two neighbours send what they are asked for, as it is after change.
func (r *rig) serveAll(change func(name string, s *stripe.Shard) []byte) (sent int) {
	for {
		var shards []func()
		for _, name := range []string{"a", "b"} {
			for _, p := range r.asked(name) {
				for i, s := range r.block(p.Number) {
					if p.Stripes>>i&1 == 1 {
						shards = append(shards, func() { r.in(Arrived{Peer: testNode(name), Shard: change(name, s)}) })
					}
				}
			}
		}
		r.out = slices.DeleteFunc(r.out, func(o Output) bool { _, is := o.(Say); return is })
		if len(shards) == 0 {
			return sent
		}
		for _, send := range shards {
			send()
		}
		sent += len(shards)
		r.pass(50 * time.Millisecond)
	}
}

func genuine(_ string, s *stripe.Shard) []byte { return s.Encoded() }

// What is fetched comes once, as the source made it, and says nothing of what is live:
// nobody is sent it, and the window does not begin with it.
func TestFetches(t *testing.T) {
	cfg := sharing
	cfg.Keep = true
	r := archive(t, cfg)
	for s := range r.info.Layout.N() {
		r.in(Up{Peer: testNode("child")})
		r.say("child", &overlay.Subscribe{Stream: r.id, Stripe: s, Fresh: true})
	}
	r.took()
	r.in(Fetch{Stream: r.id, From: 20, Upto: 39, Ahead: 8})
	sent := r.serveAll(genuine)
	got := take[Recovered](r)
	slices.SortFunc(got, func(a, b Recovered) int { return int(a.Header.Number) - int(b.Header.Number) })
	if len(got) != 20 || sent != 20*3 {
		t.Fatalf("%d blocks of %d shards", len(got), sent)
	}
	for i, b := range got {
		if b.Header.Number != uint64(20+i) || !bytes.Equal(b.Data, payload(b.Header.Number)) {
			t.Errorf("block %d: %+v", 20+i, b.Header)
		}
	}
	if n := len(take[Forward](r)) + len(take[Deliver](r)) + len(take[Seen](r)); n > 0 {
		t.Errorf("%d outputs as if it were live", n)
	}
	if st := r.core.Status(r.now).Streams[0]; st.Started || st.Counters.Fetched != 60 || st.Counters.Blocks != 0 {
		t.Errorf("%+v", st)
	}
	r.mustKeep(25, 1, 1, 1, 0, 0)
	if n := len(r.core.stream(r.id).past.blocks); n > 0 {
		t.Errorf("%d blocks are kept for nothing", n)
	}
}

// One shard of each block has its header.
func TestFetchesHeaders(t *testing.T) {
	r := archive(t, Config{Play: true, Keep: true})
	r.in(Fetch{Stream: r.id, From: 20, Upto: 39, Ahead: 32, Headers: true})
	sent := r.serveAll(genuine)
	for _, f := range take[Found](r) {
		if f.Header != r.header(f.Header.Number) {
			t.Errorf("%+v", f.Header)
		}
	}
	if got := len(take[Found](r)); got != 20 || sent != 20 || len(take[Keep](r)) != 0 {
		t.Errorf("%d headers of %d shards", got, sent)
	}
}

// A neighbour whose shards are not the source's is struck and cut; the other has all.
func TestForgedPast(t *testing.T) {
	r := archive(t, Config{Play: true})
	r.in(Fetch{Stream: r.id, From: 0, Upto: 9, Ahead: 10})
	lies := 0
	for range 100 {
		r.serveAll(func(name string, s *stripe.Shard) []byte {
			if name == "a" {
				lies++
				return altered(s, -1)
			}
			return s.Encoded()
		})
		r.offer("b", 0, 99)
		r.pass(50 * time.Millisecond)
	}
	if got := take[Hangup](r); len(got) != 1 || got[0].Peer != testNode("a") || lies < MaxStrikes {
		t.Fatalf("after %d lies: %+v", lies, got)
	}
	if got := take[Recovered](r); len(got) != 10 {
		t.Errorf("%d blocks came", len(got))
	}
	if c := r.counters(); c.Forged < MaxStrikes || c.Fetched != 30 {
		t.Errorf("%+v", c)
	}
}

// What comes when it is not wanted any more begins no window, of a parent neither, and
// what nobody asked for is not looked at.
func TestLatePast(t *testing.T) {
	r := archive(t, Config{Play: true})
	r.in(Fetch{Stream: r.id, From: 50, Upto: 59, Ahead: 10})
	r.pass(20 * time.Millisecond)
	asked := map[string][]overlay.Piece{"a": r.asked("a"), "b": r.asked("b")}
	if len(asked["a"]) == 0 || len(asked["b"]) == 0 {
		t.Fatalf("asked for %v", asked)
	}
	r.in(StopFetch{Stream: r.id})
	for s := range r.info.Layout.N() {
		r.say("a", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short(), testNode("a").Short()}})
	}
	for name, pieces := range asked {
		for _, p := range pieces {
			for i, s := range r.block(p.Number) {
				if p.Stripes>>i&1 == 1 {
					r.arrive(name, s)
				}
			}
		}
	}
	r.arrive("b", r.block(70)[0])
	if st := r.core.Status(r.now).Streams[0]; st.Started || st.Pull.Unasked != 1 || len(take[Seen](r)) > 0 {
		t.Errorf("%+v", st)
	}
}

// Blocks that are in the window need nobody.
func TestFetchesFromTheWindow(t *testing.T) {
	r := lone(t, Config{Play: true})
	r.in(Up{Peer: testNode("source")})
	r.say("source", &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
	r.pass(700 * time.Millisecond)
	for s := range r.info.Layout.N() {
		r.say("source", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short()}})
	}
	for n := uint64(10); n < 20; n++ {
		r.arrive("source", r.block(n)...)
	}
	r.took()
	r.in(Fetch{Stream: r.id, From: 10, Upto: 19, Ahead: 32})
	got := take[Recovered](r)
	if len(got) != 10 || !bytes.Equal(got[3].Data, payload(got[3].Header.Number)) {
		t.Errorf("%d blocks", len(got))
	}
	if e, ok := r.core.Extent(r.now, r.id); !ok || e != (Extent{First: 10, Last: 19, From: r.header(10).SourceTime, To: r.header(19).SourceTime, Live: true}) {
		t.Errorf("%+v %t", e, ok)
	}
}

// While something live comes, neighbours who say that they have what there cannot be
// do not take the place of what there is.
func TestExtentBesideLiars(t *testing.T) {
	for _, first := range []uint64{0, 1<<32 - 1} {
		r := lone(t, Config{Play: true})
		r.in(Up{Peer: testNode("source")})
		r.say("source", &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
		r.pass(700 * time.Millisecond)
		for s := range r.info.Layout.N() {
			r.say("source", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short()}})
		}
		for _, name := range []string{"a", "b"} {
			r.in(Up{Peer: testNode(name)})
			r.offer(name, first, 1<<32-1)
		}
		for n := uint64(10); n < 20; n++ {
			r.arrive("source", r.block(n)...)
		}
		want := min(first, 10)
		if e, ok := r.core.Extent(r.now, r.id); !ok || e.First != want || e.Last != 19 || !e.Live {
			t.Errorf("who says %d to 2^32-1: %+v %t, want %d to 19", first, e, ok, want)
		}
	}
}

// What the store has is offered, read when it is asked for, and what it has not is
// said to lack.
func TestRecalls(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Carry{Info: r.info.Sign(r.key)})
	r.in(Stored{Stream: r.id, Epoch: 5, Stretches: []Stretch{{First: 10, Last: 80, Stripes: 0b110}}})
	r.pass(time.Second)
	r.in(Up{Peer: testNode("a")})
	r.took()
	r.offer("a", 0, 5)
	told := 0
	for _, s := range take[Say](r) {
		if w, ok := s.Msg.(*overlay.Window); ok {
			if told++; w.Stripes != 0b110 || w.Live || !slices.Equal(w.Runs, []overlay.Run{{First: 10, Last: 80}}) {
				t.Errorf("told %+v", w)
			}
		}
	}
	if told != 1 {
		t.Fatalf("told %d times", told)
	}
	r.took()
	r.say("a", &overlay.Want{Tag: r.id.Tag(), Pieces: []overlay.Piece{{Number: 50, Stripes: 0b111}, {Number: 81, Stripes: 0b10}}})
	recalls := take[Recall](r)
	if len(recalls) != 2 || recalls[0].Number != 50 || recalls[0].Stripe != 1 || recalls[1].Stripe != 2 ||
		recalls[0].Peer != testNode("a") || recalls[0].Epoch != 5 || !recalls[0].Expires.After(r.now) {
		t.Errorf("%+v", recalls)
	}
	r.in(Lost{Recall: recalls[1]})
	r.in(Lost{Recall: recalls[0], Busy: true})
	var lacks string
	for _, s := range take[Say](r) {
		if m, ok := s.Msg.(*overlay.Lack); ok {
			lacks += fmt.Sprint(m.Busy, m.Pieces)
		}
	}
	if want := "false [{50 1 0s} {81 2 0s}]false [{50 4 0s}]true [{50 2 0s}]"; lacks != want {
		t.Errorf("lacks %s, want %s", lacks, want)
	}
}

// TestCarriedAlready: what the store has is offered at once, too, if somebody told of
// the stream before the store was read.
func TestCarriedAlready(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Up{Peer: testNode("a")})
	r.say("a", &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
	r.in(Carry{Info: r.info.Sign(r.key)})
	r.in(Stored{Stream: r.id, Epoch: 5, Stretches: []Stretch{{First: 10, Last: 80, Stripes: 0b110}}})
	r.took()
	r.offer("a", 0, 5)
	w := said[*overlay.Window](r, "a")
	if len(w) != 1 || w[0].Stripes != 0b110 || !slices.Equal(w[0].Runs, []overlay.Run{{First: 10, Last: 80}}) {
		t.Errorf("told %+v", w)
	}
}

// TestLargeRecalls: shards that are larger than those of their stream are on average
// are paid for when that is known, and the next ones wait for it.
func TestLargeRecalls(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Carry{Info: r.info.Sign(r.key)})
	r.in(Stored{Stream: r.id, Epoch: 5, Stretches: []Stretch{{First: 10, Last: 80, Stripes: 0b110}}})
	r.in(Up{Peer: testNode("a")})
	r.offer("a", 0, 5)
	want := func(number uint64) (recalls []Recall, busy bool) {
		r.took()
		r.say("a", &overlay.Want{Tag: r.id.Tag(), Pieces: []overlay.Piece{{Number: number, Stripes: 0b10}}})
		recalls = take[Recall](r)
		for _, m := range said[*overlay.Lack](r, "a") {
			busy = busy || m.Busy
		}
		return recalls, busy
	}
	if got, _ := want(50); len(got) != 1 || got[0].Paid <= 0 || got[0].Paid > 10_000 {
		t.Fatalf("%+v", got)
	}
	r.in(Larger{Bytes: 1 << 20})
	if got, busy := want(51); len(got) != 0 || !busy {
		t.Errorf("a second's upload was sent, and %+v is", got)
	}
	r.pass(3 * time.Second)
	if got, _ := want(52); len(got) != 1 {
		t.Errorf("%+v when it was paid for", got)
	}
}

// other is the signed info of another stream.
func other(i int) []byte {
	key := testKey(fmt.Sprint("stream ", i))
	return stripe.Info{
		Stream: stripe.IDOf(key), Epoch: 1, Seq: 1, Layout: stripe.Layout{K: 3, M: 2}, BlockTime: rigBlock, Rate: 400_000,
		Root: testNode("source"),
	}.Sign(key)
}

func (r *rig) carried() (ids []stripe.ID) {
	for _, s := range r.core.Status(r.now).Streams {
		ids = append(ids, s.Info.Stream)
	}
	return ids
}

// A stream that is carried for its past tells who asks, gives way to a later run, and
// to what is live when there is no more room.
func TestCarries(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true, Any: true})
	for i := range MaxStreams + 1 {
		r.in(Carry{Info: other(i)})
	}
	r.in(Carry{Info: []byte("no info")})
	if got := r.carried(); len(got) != MaxStreams {
		t.Fatalf("%d streams", len(got))
	}
	if opened := take[Opened](r); len(opened) != MaxStreams {
		t.Errorf("opened %d", len(opened))
	}
	first := r.carried()[0]
	r.in(Up{Peer: testNode("a")})
	r.took()
	r.say("a", &overlay.Ask{Stream: first})
	if got := take[Say](r); len(got) != 1 || !bytes.Equal(got[0].Msg.(*overlay.Sample).Info, other(0)) {
		t.Errorf("%+v", got)
	}
	r.tellOf("a", r.id)
	r.pass(time.Second)
	r.say("a", &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)})
	if got := r.carried(); len(got) != MaxStreams+1 || !slices.Contains(got, first) {
		t.Errorf("carried: %v", got)
	}
	r.pass(700 * time.Millisecond)
	for s := range r.info.Layout.N() {
		r.say("a", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short(), testNode("a").Short()}})
	}
	r.arriveBytes("a", flipped(r.block(1)[0], 2000))
	if got := r.carried(); len(got) != MaxStreams+1 {
		t.Errorf("a forged shard begins it: %v", got)
	}
	r.arrive("a", r.block(1)...)
	if got := r.carried(); len(got) != MaxStreams || !slices.Contains(got, r.id) || slices.Contains(got, first) {
		t.Errorf("carried: %v", got)
	}
	if slots := r.core.Status(r.now).Streams[MaxStreams-1].Slots; slots != lone(t, Config{}).slotsOf(10e6) {
		t.Errorf("%d slots: those that rest take a share", slots)
	}
	// What comes to rest gives its place back if there is nothing of it on disk.
	r.in(Carry{Info: other(0)})
	if got := r.carried(); slices.Contains(got, first) {
		t.Errorf("what is live was put out: %v", got)
	}
	r.pass(restAfter + time.Second)
	r.in(Carry{Info: other(0)})
	if got := r.carried(); len(got) != MaxStreams || !slices.Contains(got, first) || slices.Contains(got, r.id) {
		t.Errorf("carried: %v", got)
	}
}

// tellOf has a peer say in its record that it has all of some streams.
func (r *rig) tellOf(name string, ids ...stripe.ID) {
	rec := membership.Record{Node: testNode(name), Seq: 1, TTL: time.Minute, Addrs: r.core.cfg.Addrs}
	for _, id := range ids {
		rec.Streams = append(rec.Streams, membership.Carried{Stream: id, Epoch: r.info.Epoch, Homes: 31, Free: 8, Depth: 1})
	}
	r.in(Learned{Record: rec.Sign(testKey(name))})
}

// TestTrial: streams of which nothing comes, however well they are signed, put out
// nothing, are tried one after the other, and not again soon; and they do not keep
// out what our store has.
func TestTrial(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true, Any: true})
	r.in(Up{Peer: testNode("liar")})
	var told []stripe.ID
	for i := range 4 {
		info, err := stripe.OpenInfo(other(10 + i))
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, info.Stream)
	}
	r.tellOf("liar", told...)
	r.pass(time.Second)
	for i := range MaxStreams {
		r.in(Carry{Info: other(i)})
	}
	kept := r.carried()
	if len(kept) != MaxStreams {
		t.Fatalf("what the store has is not carried beside what others say there is: %v", kept)
	}
	tried := map[stripe.ID]int{}
	var on stripe.ID
	for range int(8*trialTime/time.Second) + 8 {
		for i := range told {
			r.say("liar", &overlay.Sample{Stream: told[i], Info: other(10 + i)})
		}
		r.pass(time.Second)
		got := r.carried()
		for _, id := range kept {
			if !slices.Contains(got, id) {
				t.Fatalf("%v was put out", id.Short())
			}
		}
		if len(got) > MaxStreams+1 {
			t.Fatalf("%d streams", len(got))
		}
		if len(got) > MaxStreams && got[MaxStreams] != on {
			on = got[MaxStreams]
			tried[on]++
		}
		r.tellOf("liar", told...)
	}
	for _, id := range told {
		if tried[id] != 1 {
			t.Errorf("%v was tried %d times", id.Short(), tried[id])
		}
	}
	if share := r.core.serveShare(); share != restShare {
		t.Errorf("neighbours may pull %v of the upload", share)
	}
}

// TestNextToNothing: who has put out a recording with a block or two does not keep its
// place; recordings do not put out each other.
func TestNextToNothing(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true, Any: true})
	for i := range MaxStreams {
		r.in(Carry{Info: other(i), Blocks: 6})
	}
	for _, c := range []struct {
		blocks uint64
		has    bool
	}{{0, false}, {6, false}, {59, false}, {60, true}} {
		r.in(Carry{Info: other(9), Blocks: c.blocks})
		r.in(Carry{Info: other(0), Blocks: 6})
		info, err := stripe.OpenInfo(other(9))
		if got := r.carried(); err != nil || len(got) != MaxStreams || slices.Contains(got, info.Stream) != c.has {
			t.Errorf("%d blocks beside 6: %v, %v", c.blocks, got, err)
		}
	}
}

func (r *rig) slotsOf(upload float64) int { return int(upload / r.info.SlotRate() * 0.85 * 0.875) }

// Who is not to carry a stream does not, whatever its store has.
func TestCarriesOnlyItsOwn(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Carry{Info: other(1)})
	if got := r.carried(); len(got) > 0 {
		t.Errorf("carried: %v", got)
	}
	r = lone(t, Config{Upload: 10e6, Gossips: true, Any: true, Allow: []stripe.ID{{1}}})
	r.in(Carry{Info: other(1)})
	if got := r.carried(); len(got) > 0 {
		t.Errorf("carried: %v", got)
	}
}

// Who says that it has a later run is asked about it, and the later run is taken up.
func TestSeeksLaterRun(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Carry{Info: r.info.Sign(r.key)})
	r.in(Up{Peer: testNode("a")})
	r.pass(time.Second)
	record := membership.Record{
		Node: testNode("a"), Seq: 1, TTL: time.Minute, Addrs: r.core.cfg.Addrs,
		Streams: []membership.Carried{{Stream: r.id, Epoch: r.info.Epoch + 1, Homes: 31, Free: 8, Depth: 1}},
	}.Sign(testKey("a"))
	r.in(Learned{Record: record})
	r.took()
	r.pass(2 * time.Second)
	asks := 0
	for _, s := range take[Say](r) {
		if m, ok := s.Msg.(*overlay.Ask); ok && m.Stream == r.id && s.Peer == testNode("a") {
			asks++
		}
	}
	if asks == 0 || asks > 3 {
		t.Errorf("asked %d times", asks)
	}
	r.tell(func(i *stripe.Info) { i.Epoch++ })
	r.in(Heard{Peer: testNode("a"), Msg: &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)}})
	if st := r.core.Status(r.now).Streams; len(st) != 1 || st[0].Info.Epoch != r.info.Epoch {
		t.Errorf("%+v", st)
	}
}

// A stream that is over stays for those who want its past, if there is any here.
func TestEndedStays(t *testing.T) {
	r := newRig(t, Config{Play: true, Gossips: true, Upload: 10e6})
	r.arrive("source", r.block(0)...)
	r.in(Stored{Stream: r.id, Epoch: 5, Stretches: []Stretch{{First: 0, Last: 9, Stripes: 31}}})
	r.arrive("source", r.salted(9, 0, stripe.End)...)
	r.pass(2 * lingering)
	st := r.core.Status(r.now).Streams
	if len(st) != 1 || !st[0].Ended {
		t.Fatalf("%+v", st)
	}
	if e, ok := r.core.Extent(r.now, r.id); !ok || e.First != 0 || e.Last != 9 || e.Live {
		t.Errorf("%+v %t", e, ok)
	}
}

// Nobody is flooded by who carries a stream that nobody sends.
func TestRestsCalmly(t *testing.T) {
	for _, cfg := range []Config{{Upload: 10e6, Gossips: true}, {Play: true}} {
		r := archive(t, cfg)
		r.in(Stored{Stream: r.id, Epoch: 5, Stretches: []Stretch{{First: 0, Last: 99, Stripes: 31}}})
		r.pass(time.Minute)
		r.took()
		const seconds = 60
		for range seconds {
			for _, name := range []string{"a", "b"} {
				r.offer(name, 0, 99)
				for _, s := range take[Say](r) {
					if m, ok := s.Msg.(*overlay.Subscribe); ok && s.Peer == testNode(name) {
						r.say(name, &overlay.Refuse{Stream: r.id, Stripe: m.Stripe, Reason: overlay.NotReady})
					}
				}
			}
			r.pass(time.Second)
		}
		said := 0
		for _, s := range take[Say](r) {
			if _, ok := s.Msg.(*overlay.Window); !ok {
				said++
			}
		}
		if rate := float64(said) / seconds; rate > 10 {
			t.Errorf("%.1f messages a second", rate)
		} else {
			t.Logf("%.1f messages a second", rate)
		}
	}
}
