package relay

import (
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// crowded is a rig that carries some recordings of six blocks each, and whose peer "a"
// says that it has everything of the rig's stream and of some others.
func crowded(t *testing.T, cfg Config, recordings int, others ...stripe.ID) *rig {
	t.Helper()
	cfg.Upload, cfg.Gossips, cfg.Any = 10e6, true, true
	r := lone(t, cfg)
	for i := range recordings {
		r.in(Carry{Info: other(i), Blocks: 6})
	}
	if got := r.carried(); len(got) != recordings {
		t.Fatalf("%d streams of %d", len(got), recordings)
	}
	r.in(Up{Peer: testNode("a")})
	r.tellOf("a", append(others, r.id)...)
	r.pass(time.Second)
	return r
}

func otherID(t *testing.T, i int) stripe.ID {
	t.Helper()
	info, err := stripe.OpenInfo(other(i))
	if err != nil {
		t.Fatal(err)
	}
	return info.Stream
}

// sample tells of the rig's stream.
func (r *rig) sample() *overlay.Sample {
	return &overlay.Sample{Stream: r.id, Info: r.info.Sign(r.key)}
}

// begin has a block of the rig's stream come from peer "a".
func (r *rig) begin() {
	r.Helper()
	r.pass(700 * time.Millisecond)
	for s := range r.info.Layout.N() {
		r.say("a", &overlay.Accept{Stream: r.id, Stripe: s, Path: []membership.ShortID{testNode("source").Short(), testNode("a").Short()}})
	}
	r.arrive("a", r.block(1)...)
}

// TestNoPlaceForNothing: a recording is not put out for a larger one that its place is
// not given to, because it is wanted for a stream that was named.
func TestNoPlaceForNothing(t *testing.T) {
	named := otherID(t, 20)
	r := crowded(t, Config{Streams: []stripe.ID{named}}, MaxStreams-1)
	r.say("a", r.sample())
	before := r.carried()
	if len(before) != MaxStreams || !slices.Contains(before, r.id) {
		t.Fatalf("carried: %v", before)
	}
	r.in(Carry{Info: other(9), Blocks: 60})
	if got := r.carried(); !slices.Equal(got, before) {
		t.Errorf("carried: %v, before: %v", got, before)
	}
}

// TestNamedIsNotPutOut: the place of a recording that was named is wanted for it as soon
// as it is put out, so nothing larger gets it.
func TestNamedIsNotPutOut(t *testing.T) {
	r := crowded(t, Config{Streams: []stripe.ID{otherID(t, 0)}}, MaxStreams)
	r.in(Carry{Info: other(9), Blocks: 60})
	got := r.carried()
	if len(got) != MaxStreams || !slices.Contains(got, otherID(t, 0)) || !slices.Contains(got, otherID(t, 9)) {
		t.Errorf("carried: %v", got)
	}
}

// TestTrialTakesNoRecordingsPlace: the place of a recording that is put out for a larger
// one is not given to a stream on trial, of which nothing has come.
func TestTrialTakesNoRecordingsPlace(t *testing.T) {
	r := crowded(t, Config{}, MaxStreams)
	r.say("a", r.sample())
	if got := r.carried(); len(got) != MaxStreams+1 {
		t.Fatalf("carried: %v", got)
	}
	r.in(Carry{Info: other(9), Blocks: 60})
	r.pass(time.Second)
	got := r.carried()
	if len(got) != MaxStreams+1 || !slices.Contains(got, otherID(t, 9)) || r.core.onTrial() == nil {
		t.Errorf("carried: %v, on trial: %v", got, r.core.onTrial())
	}
}

// TestLiveIsNotBarred: a stream on trial that turns out to be live, while all recordings
// are being read, is taken up as soon as one is not.
func TestLiveIsNotBarred(t *testing.T) {
	r := crowded(t, Config{Play: true}, MaxStreams)
	r.say("a", r.sample())
	if got := r.carried(); len(got) != MaxStreams+1 {
		t.Fatalf("carried: %v", got)
	}
	for i := range MaxStreams {
		r.in(Fetch{Stream: otherID(t, i), Upto: 99, Ahead: 1})
	}
	r.begin()
	if got := r.carried(); len(got) != MaxStreams || slices.Contains(got, r.id) {
		t.Fatalf("carried: %v", got)
	}
	told := func() []stripe.ID {
		r.tellOf("a", r.id)
		r.pass(time.Second)
		r.say("a", r.sample())
		return r.carried()
	}
	if got := told(); len(got) != MaxStreams || slices.Contains(got, r.id) {
		t.Errorf("tried again, without a place that it could get: %v", got)
	}
	r.in(StopFetch{Stream: otherID(t, 2)})
	told()
	r.begin()
	if got := r.carried(); len(got) != MaxStreams || !slices.Contains(got, r.id) || slices.Contains(got, otherID(t, 2)) {
		t.Errorf("carried: %v", got)
	}
}

// Who is told that it may carry less leaves what it may not; more may come when it may
// carry more, and what it was named stays.
func TestPermit(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true, Any: true})
	r.in(Carry{Info: other(1), Blocks: 100})
	r.in(Carry{Info: other(2), Blocks: 100})
	all := r.carried()
	if len(all) != 2 {
		t.Fatalf("carried: %v", all)
	}
	r.in(Permit{Allow: all[1:]})
	if got := r.carried(); !slices.Equal(got, all[1:]) {
		t.Errorf("carried: %v, want %v", got, all[1:])
	}
	r.in(Carry{Info: other(1), Blocks: 100})
	if got := r.carried(); len(got) != 1 {
		t.Errorf("carried, though not allowed: %v", got)
	}
	r.in(Permit{})
	r.in(Carry{Info: other(1), Blocks: 100})
	if got := r.carried(); len(got) != 2 {
		t.Errorf("carried, though all is allowed: %v", got)
	}

	r.in(Permit{Allow: all, Deny: all[:1]})
	if got := r.carried(); !slices.Equal(got, all[1:]) {
		t.Errorf("carried: %v, though it is denied; want %v", got, all[1:])
	}
	r.in(Carry{Info: other(1), Blocks: 100})
	if got := r.carried(); len(got) != 1 {
		t.Errorf("carried again, though it is denied: %v", got)
	}
	r.in(Permit{Deny: all[1:]})
	r.in(Carry{Info: other(1), Blocks: 100})
	if got := r.carried(); !slices.Equal(got, all[:1]) {
		t.Errorf("carried: %v, with the other denied; want %v", got, all[:1])
	}

	r = lone(t, Config{Upload: 10e6, Gossips: true})
	r.in(Carry{Info: r.info.Sign(r.key), Blocks: 100})
	r.in(Permit{Allow: all[1:]})
	if got := r.carried(); !slices.Equal(got, []stripe.ID{r.id}) {
		t.Errorf("carried, of what it was named: %v", got)
	}
}

// A stream that is wanted, and not allowed any more, is asked about no longer.
func TestPermitEndsQuestions(t *testing.T) {
	r := lone(t, Config{Upload: 10e6, Gossips: true, Any: true})
	r.in(Up{Peer: testNode("a")})
	id := stripe.IDOf(testKey("wanted"))
	r.in(Learned{Record: membership.Record{
		Node: testNode("a"), Seq: 1, TTL: time.Minute, Addrs: r.core.cfg.Addrs,
		Streams: []membership.Carried{{Stream: id, Epoch: 1, Homes: 1, Free: 8, Depth: 1}},
	}.Sign(testKey("a"))})
	asks := func() (n int) {
		r.took()
		r.pass(3 * time.Second)
		for _, s := range take[Say](r) {
			if m, ok := s.Msg.(*overlay.Ask); ok && m.Stream == id {
				n++
			}
		}
		return n
	}
	if asks() == 0 {
		t.Fatal("nobody was asked about a stream that may be carried")
	}
	for _, p := range []Permit{{Allow: []stripe.ID{{1}}}, {Deny: []stripe.ID{id}}} {
		r.in(p)
		if n := asks(); n != 0 {
			t.Errorf("%+v: %d questions about a stream that may not", p, n)
		}
		r.in(Permit{Deny: []stripe.ID{{1}}})
		if asks() == 0 {
			t.Error("nobody is asked when it may be carried again")
		}
	}
}
