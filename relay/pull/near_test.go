package pull

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// window is what a neighbour with everything says.
func window(ask, lonely bool) *overlay.Window {
	return &overlay.Window{Epoch: 9, Ask: ask, Lonely: lonely, Live: true, Stripes: 63, Runs: []overlay.Run{{First: 0, Last: 9}}}
}

// Who is connected is proposed to, up to six; who answers is a neighbour.
func TestPropose(t *testing.T) {
	r := newRig(t, nil)
	for i := 1; i <= 12; i++ {
		r.p.Up(r.now, node(i))
	}
	proposed := 0
	for range 20 {
		r.pass(seekEvery)
		for i := 1; i <= 12; i++ {
			for _, m := range heardBy[*overlay.Window](r, i) {
				if m.Ask {
					proposed++
					r.hear(i, window(false, false))
				}
			}
		}
	}
	if len(r.p.near) != IdealNeighbours || proposed != IdealNeighbours {
		t.Errorf("%d proposals, %d neighbours", proposed, len(r.p.near))
	}
}

// Who does not answer, or says no, is left alone for a while.
func TestDeclined(t *testing.T) {
	for _, says := range []bool{true, false} {
		r := newRig(t, nil)
		r.p.Up(r.now, node(1))
		r.step()
		r.pass(seekEvery)
		if got := heardBy[*overlay.Window](r, 1); len(got) != 1 || !got[0].Ask || !got[0].Lonely {
			t.Fatalf("proposed: %v", got)
		}
		again := shunTime
		if says {
			r.hear(1, &overlay.Part{})
			again = shunLonely
		}
		r.pass(again - time.Second)
		if got := heardBy[*overlay.Window](r, 1); len(got) > 0 {
			t.Errorf("says no %v: asked again", says)
		}
		r.pass(2*proposeWait + seekEvery)
		if got := heardBy[*overlay.Window](r, 1); len(got) != 1 {
			t.Errorf("says no %v: after a while %d proposals", says, len(got))
		}
	}
}

// Whoever proposes is answered: with a Window while there is room, then with Part;
// one that is lonely takes another's place.
func TestProposed(t *testing.T) {
	r := newRig(t, nil)
	for i := 1; i <= MaxNeighbours; i++ {
		r.join(i, 63, 5)
		if got := heardBy[*overlay.Window](r, i); len(got) != 1 || got[0].Ask {
			t.Fatalf("node %d hears %v", i, got)
		}
	}
	r.pass(settleTime)
	for i, lonely := range []bool{false, true, true} {
		i += MaxNeighbours + 1
		r.p.Up(r.now, node(i))
		r.hear(i, window(true, lonely))
		in := r.p.neighbour(node(i)) != nil
		if want := i == MaxNeighbours+2; in != want || len(r.p.near) != MaxNeighbours {
			t.Errorf("node %d, lonely %v: let in %v, one of %d", i, lonely, in, len(r.p.near))
		}
		if parts := heardBy[*overlay.Part](r, i); len(parts) != 1 && !in {
			t.Errorf("node %d hears %v", i, parts)
		}
	}
}

// While fewer than three neighbours have everything, the one with the fewest stripes
// makes place: for one that proposes, and for one that is looked for.
func TestThinNeighbours(t *testing.T) {
	full := func() *rig {
		r := newRig(t, nil)
		for i := 1; i <= MaxNeighbours; i++ {
			stripes := uint64(0b110)
			if i == 3 {
				stripes = 1
			}
			r.join(i, stripes, 5)
		}
		r.pass(settleTime)
		return r
	}
	r := full()
	for i := MaxNeighbours + 1; i <= MaxNeighbours+4; i++ {
		r.p.Up(r.now, node(i))
		r.hear(i, window(true, false))
		in, want := r.p.neighbour(node(i)) != nil, i <= MaxNeighbours+enoughWhole
		if in != want || r.p.neighbour(node(3)) != nil || len(r.p.near) != MaxNeighbours {
			t.Errorf("node %d is let in %v, want %v; the thinnest is there %v, of %d", i, in, want, r.p.neighbour(node(3)) != nil, len(r.p.near))
		}
	}
	for _, stripes := range []uint64{63, 0b11} {
		r = full()
		r.p.Up(r.now, node(20))
		r.pass(exchangeEvery)
		asked := heardBy[*overlay.Window](r, 20)
		if len(asked) != 1 || !asked[0].Ask {
			t.Fatalf("one more hears %v", asked)
		}
		r.hear(20, &overlay.Window{Epoch: 9, Live: true, Stripes: stripes, Runs: []overlay.Run{{First: 0, Last: 9}}})
		if in, want := r.p.neighbour(node(20)) != nil, stripes == 63; in != want || len(r.p.near) != MaxNeighbours || (r.p.neighbour(node(3)) != nil) == want {
			t.Errorf("one with stripes %b is let in %v, of %d", stripes, in, len(r.p.near))
		}
		r.pass(shunTime / 2)
		if again := heardBy[*overlay.Window](r, 20); stripes != 63 && len(again) > 0 {
			t.Errorf("one who has as little is asked again: %v", again)
		}
	}
}

// What is no proposal, of another epoch, or comes again at once makes no neighbour.
func TestNotProposed(t *testing.T) {
	for what, m := range map[string]*overlay.Window{
		"no question":   window(false, false),
		"another epoch": {Epoch: 8, Ask: true},
	} {
		r := newRig(t, func(c *Config) { c.Pulls = false })
		r.p.Up(r.now, node(1))
		r.hear(1, m)
		if got := heardBy[*overlay.Part](r, 1); len(got) != 1 || len(r.p.near) > 0 {
			t.Errorf("%s: %d neighbours, hears %v", what, len(r.p.near), got)
		}
	}
	r := newRig(t, func(c *Config) { c.Pulls = false })
	r.p.Up(r.now, node(1))
	for range 1000 {
		r.hear(1, window(true, false))
		r.hear(1, &overlay.Part{})
	}
	if n := len(heardBy[*overlay.Window](r, 1)) + len(heardBy[*overlay.Part](r, 1)); n > 2 {
		t.Errorf("a thousand proposals at once are answered %d times", n)
	}
	r.hear(2, window(true, false))
	if r.p.neighbour(node(2)) != nil {
		t.Error("one who is not connected is a neighbour")
	}
}

// Who says nothing for three of its intervals is gone; who carries one stripe of
// sixteen has longer ones.
func TestSilentNeighbour(t *testing.T) {
	for _, c := range []struct {
		stripes uint64
		after   time.Duration
	}{{all20, 6 * time.Second}, {1, 30 * time.Second}, {0xff, 12 * time.Second}} {
		r := newRig(t, func(c *Config) { c.Info = streamInfo(16, 4) })
		r.join(1, c.stripes, 5)
		r.pass(c.after - time.Millisecond)
		if len(r.p.near) != 1 {
			t.Errorf("stripes %x: gone before %v", c.stripes, c.after)
		}
		r.pass(time.Millisecond)
		if len(r.p.near) != 0 || len(heardBy[*overlay.Part](r, 1)) != 1 {
			t.Errorf("stripes %x: not gone after %v", c.stripes, c.after)
		}
	}
}

// Who is down is no neighbour any more, and asked for nothing.
func TestDown(t *testing.T) {
	r := short(t)
	r.p.Down(r.now, node(1))
	r.step()
	if len(r.p.near) != 1 || len(r.p.asks) != 3 || r.p.Expects(node(1), 0, 2) {
		t.Errorf("%d neighbours, %d asked for", len(r.p.near), len(r.p.asks))
	}
}

// record puts a node with an address into the book.
func record(t *testing.T, r *rig, i int, addr string) membership.NodeID {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, ed25519.SeedSize))
	rec := membership.Record{
		Node: membership.NodeIDOf(key), Seq: 1, TTL: time.Hour,
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort(addr)},
		Streams: []membership.Carried{{Stream: r.p.cfg.Info.Stream, Epoch: 9}},
	}
	if _, err := r.p.book.Add(r.now, rec.Sign(key)); err != nil {
		t.Fatal(err)
	}
	return rec.Node
}

// The best candidate, whatever chance says, is no ancestor, of a network that no neighbour is of, connected,
// and not the source.
func TestCandidate(t *testing.T) {
	first := func(change func(r *rig, a, b membership.NodeID)) bool {
		r := newRig(t, func(c *Config) {
			c.Info.Stream = [32]byte(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{77}, 32)).Public().(ed25519.PublicKey))
		})
		a, b := record(t, r, 1, "192.0.2.1:7"), record(t, r, 2, "198.51.100.1:7")
		change(r, a, b)
		for range 30 {
			id, ok := r.p.candidate(r.now)
			if !ok {
				t.Fatal("there is nobody")
			}
			if id != a {
				return false
			}
		}
		return true
	}
	for what, change := range map[string]func(r *rig, a, b membership.NodeID){
		"an ancestor":   func(r *rig, a, b membership.NodeID) { r.p.Ancestors([]membership.ShortID{b.Short()}) },
		"not connected": func(r *rig, a, b membership.NodeID) { r.p.Up(r.now, a) },
		"the source":    func(r *rig, a, b membership.NodeID) { r.p.cfg.Info.Root = b },
		"doubted":       func(r *rig, a, b membership.NodeID) { r.p.book.Doubt(b) },
		"shunned":       func(r *rig, a, b membership.NodeID) { r.p.shun(r.now, b, false) },
		"a neighbour's network": func(r *rig, a, b membership.NodeID) {
			c := record(t, r, 3, "198.51.100.200:7")
			r.p.Up(r.now, c)
			r.p.Heard(r.now, c, window(true, false))
		},
	} {
		if !first(change) {
			t.Errorf("%s is chosen", what)
		}
	}
}

// Who is not connected is dialled, proposed to when up, and shunned if not.
func TestDialled(t *testing.T) {
	for _, up := range []bool{true, false} {
		r := newRig(t, func(c *Config) {
			c.Info.Stream = [32]byte(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{77}, 32)).Public().(ed25519.PublicKey))
		})
		a := record(t, r, 1, "192.0.2.1:7")
		r.pass(seekEvery)
		if got := outputs[Dial](r); len(got) != 1 || got[0].Peer != a {
			t.Fatalf("dialled: %v", got)
		}
		if up {
			r.p.Up(r.now, a)
			r.step()
			if got := outputs[Say](r); len(got) != 1 || got[0].To != a {
				t.Errorf("says %v", got)
			}
			continue
		}
		r.p.Down(r.now, a)
		r.pass(10 * time.Second)
		if got := outputs[Dial](r); len(got) != 0 {
			t.Errorf("dialled again: %v", got)
		}
	}
}

// One who answers little is parted with, one at a time.
func TestReview(t *testing.T) {
	r := newRig(t, nil)
	for i := 1; i <= 3; i++ {
		r.join(i, 63, 5)
		r.p.near[i-1].tries, r.p.near[i-1].good = 20, 4+i-1
	}
	r.p.near[1].good = 1
	for range 15 {
		for i := 1; i <= 3; i++ {
			r.hear(i, window(false, false))
		}
		r.pass(reviewEvery / 15)
	}
	if len(r.p.near) != 2 || r.p.neighbour(node(2)) != nil {
		t.Errorf("left are %v", r.p.Neighbours())
	}
}

// The end of all.
func TestClose(t *testing.T) {
	r := short(t)
	r.p.Close(r.now)
	r.step()
	if len(r.p.near) > 0 || len(r.p.asks) > 0 || len(heardBy[*overlay.Part](r, 1)) != 1 {
		t.Error("somebody is a neighbour still")
	}
}

// Where the past reaches: what two neighbours have, or the only one, and as far back
// as they have enough shards together.
func TestExtent(t *testing.T) {
	r := newRig(t, nil)
	if _, _, ok := r.p.Extent(); ok {
		t.Error("nobody, and there is a past")
	}
	for i, c := range []struct {
		stripes   uint64
		live      bool
		runs      overlay.Run
		want      overlay.Run
		goes, any bool
	}{
		{stripes: 0b111, runs: overlay.Run{First: 5, Last: 90}}, // three of the four that are needed
		{stripes: 0b1001, runs: overlay.Run{First: 9, Last: 90}, want: overlay.Run{First: 9, Last: 90}, any: true},
		{stripes: 63, runs: overlay.Run{First: 7, Last: 80}, want: overlay.Run{First: 9, Last: 90}, any: true},
		{stripes: 63, live: true, runs: overlay.Run{First: 1, Last: 1 << 31}, want: overlay.Run{First: 1, Last: 90}, any: true}, // one who lies
		{stripes: 63, live: true, runs: overlay.Run{First: 1, Last: 95}, want: overlay.Run{First: 1, Last: 95}, goes: true, any: true},
	} {
		r.p.Up(r.now, node(i+1))
		r.hear(i+1, &overlay.Window{Epoch: 9, Ask: true, Live: c.live, Stripes: c.stripes, Runs: []overlay.Run{c.runs}})
		if got, live, ok := r.p.Extent(); ok != c.any || got != c.want || live != c.goes {
			t.Errorf("with %d neighbours: %v %t %t, want %v %t %t", i+1, got, live, ok, c.want, c.goes, c.any)
		}
	}
}

// Who has no upload says so, is asked for nothing, and has room only with those who do.
func TestNothingToOffer(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Meter = nil })
	r.join(1, 63, 5)
	if w := heardBy[*overlay.Window](r, 1); len(w) == 0 || w[len(w)-1].Stripes != 0 {
		t.Errorf("it offers %v", w)
	}
	r.p.Up(r.now, node(2))
	r.hear(2, &overlay.Window{Epoch: 9, Ask: true})
	if r.p.neighbour(node(2)) != nil || len(heardBy[*overlay.Part](r, 2)) != 1 {
		t.Error("two who offer nothing are neighbours")
	}
	r = newRig(t, nil)
	for i := range maxTakers + 1 {
		r.p.Up(r.now, node(1+i))
		r.hear(1+i, &overlay.Window{Epoch: 9, Ask: true})
	}
	if got := len(r.p.Neighbours()); got != maxTakers {
		t.Errorf("%d who offer nothing are neighbours, want %d", got, maxTakers)
	}
}

// Where there is no room for one more who offers nothing, one who is lonely takes the place
// of the eldest who is not, but of nobody who came just now, and one every two seconds.
func TestLonelyTaker(t *testing.T) {
	r := newRig(t, nil)
	window := &overlay.Window{Epoch: 9, Ask: true, Live: true}
	propose := func(i int, lonely bool) bool {
		r.p.Up(r.now, node(i))
		m := *window
		m.Lonely = lonely
		r.hear(i, &m)
		return r.p.neighbour(node(i)) != nil
	}
	for i := 1; i <= maxTakers; i++ {
		propose(i, i == 1)
		r.now = r.now.Add(10 * time.Millisecond)
	}
	if propose(5, true) {
		t.Error("one takes a place that was taken just now")
	}
	r.now = r.now.Add(settleTime)
	if propose(6, false) {
		t.Error("one who is not lonely takes a place")
	}
	if !propose(7, true) || r.p.neighbour(node(2)) != nil || len(heardBy[*overlay.Part](r, 2)) != 1 {
		t.Errorf("one who is lonely has not the place of the eldest who is not: %v", r.p.Neighbours())
	}
	if propose(8, true) {
		t.Error("a second takes a place at once")
	}
	r.now = r.now.Add(displaceEvery)
	if !propose(9, true) || r.p.neighbour(node(1)) == nil || len(r.p.Neighbours()) != maxTakers {
		t.Errorf("neighbours are %v", r.p.Neighbours())
	}
}

// One of eight who fails again and again goes first when one comes who has everything, though it
// said that it had, and one is looked for soon.
func TestFailingNeighbourIsExchanged(t *testing.T) {
	r := newRig(t, nil)
	for i := 1; i <= MaxNeighbours; i++ {
		stripes := uint64(0b11)
		if i <= enoughWhole {
			stripes = 63
		}
		r.join(i, stripes, 5)
	}
	r.pass(settleTime)
	for _, nb := range r.p.near {
		if nb.id == node(1) {
			nb.fails = weakFails
		}
	}
	r.p.Up(r.now, node(20))
	r.pass(seekEvery)
	if asked := heardBy[*overlay.Window](r, 20); len(asked) != 1 || !asked[0].Ask {
		t.Fatalf("one more hears %v", asked)
	}
	r.hear(20, window(true, false))
	if r.p.neighbour(node(20)) == nil || r.p.neighbour(node(1)) != nil || len(r.p.near) != MaxNeighbours {
		t.Errorf("neighbours are %v", r.p.Neighbours())
	}
}
