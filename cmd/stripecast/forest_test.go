package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

var noon = time.Unix(1_700_000_000, 0)

// placed is what a Core may tell of a stream of three stripes: two from one parent that
// is slow in one of them, and one that was just lost.
func placed() relay.StreamStatus {
	root, one, two := membership.NodeID{1}, membership.NodeID{2}, membership.NodeID{3}
	fed := make([]membership.NodeID, maxFed+4)
	s := relay.StreamStatus{
		Info:  stripe.Info{Stream: stripe.ID{9}, Name: "film", Layout: stripe.Layout{K: 2, M: 1}, Rate: 1e6, Root: root},
		Spare: -1, Live: 1, Slots: 7, Children: 3,
		Crowd: overlay.Crowd{Relays: 5, Viewers: 2, Depth: 3},
		Changes: []overlay.Change{
			{At: noon.Add(-9 * time.Second), Stripe: 2, To: two},
			{At: noon.Add(-2 * time.Second), Stripe: 1, From: two, To: one, Gap: 400 * time.Millisecond, Lost: true},
		},
	}
	for i := range 3 {
		s.Stripes = append(s.Stripes, relay.StripeStatus{
			Stripe: i, Parent: one, Depth: 2, Live: i == 0, Wanted: true, Children: len(fed), Fed: fed,
			Path: []membership.ShortID{root.Short(), one.Short()},
			RTT:  20 * time.Millisecond, Lag: time.Duration(i) * 350 * time.Millisecond, Slow: i == 1,
			Cover: overlay.Cover{Relays: 4 - i, Free: 9},
		})
	}
	s.Stripes[2].Parent, s.Stripes[2].Path = membership.NodeID{}, nil
	return s
}

// TestFillForest: what the page draws is what the Core tells.
func TestFillForest(t *testing.T) {
	s := placed()
	f := forestStatus{}
	fillForest(&f, noon, s)
	one, root := s.Stripes[0].Parent.Brief(), membership.NodeID(s.Info.Root).Brief()
	if f.K != 2 || f.M != 1 || f.Spare != -1 || f.Root != root || len(f.Stripes) != 3 {
		t.Errorf("%+v", f)
	}
	if p := f.Stripes[1]; p.Parent != one || len(p.Path) != 2 || p.Path[0] != root || p.Path[1] != one || p.RTT != 0.02 || p.Late != 0.35 || !p.Slow || p.Live || p.Children != maxFed+4 || len(p.Fed) != maxFed {
		t.Errorf("%+v", p)
	}
	if p := f.Stripes[2]; p.Parent != "" || len(p.Path) != 0 || p.Path == nil {
		t.Errorf("%+v", p)
	}
	if len(f.Parents) != 1 || f.Parents[0].Node != one || len(f.Parents[0].Stripes) != 2 || !f.Parents[0].Slow || f.Parents[0].Late != 0.35 {
		t.Errorf("%+v", f.Parents)
	}
	if c := f.Changes[1]; c.Ago != 2 || c.From != membership.NodeID.Brief(membership.NodeID{3}) || c.To != one || c.Gap != 0.4 || !c.Lost {
		t.Errorf("%+v", c)
	}
	if c := f.Changes[0]; c.From != "" || c.Lost {
		t.Errorf("%+v", c)
	}
}

// TestThin: the thinnest stripe has the fewest free slots, and if that is a draw the
// fewest relays.
func TestThin(t *testing.T) {
	s := placed()
	if r := describeRoot(s, membership.NodeID{1}, 0); r.Thin != 2 || r.Viewers != 2 || r.Relays != 5 || r.Depth != 3 || r.InAll != 0 {
		t.Errorf("%+v", r)
	}
	s.Stripes[1].Cover.Free = 8
	s.Counters.Payload = 1000
	if r := describeRoot(s, membership.NodeID{1}, 2500); r.Thin != 1 || r.InAll != 2.5 {
		t.Errorf("%+v", r)
	}
	s.Crowd = overlay.Crowd{}
	if r := describeRoot(s, membership.NodeID{1}, 0); r.Thin != -1 {
		t.Errorf("with nobody who gives: %+v", r)
	}
}

// TestPace: a rate is of the last seconds, however often and by however many it is
// asked for, and a counter that began again is none.
func TestPace(t *testing.T) {
	p := &pace{fromAt: noon, midAt: noon}
	if in, _, _ := p.look(noon, tally{}); in != 0 {
		t.Errorf("%v in no time", in)
	}
	var total uint64
	for i := 1; i <= 40; i++ { // ten seconds of 800 kbit/s, then ten of 8 Mbit/s
		for range 3 {
			in, out, _ := p.look(noon.Add(time.Duration(i)*500*time.Millisecond), tally{in: total, out: 2 * total})
			if out != 2*in {
				t.Fatalf("%v in and %v out", in, out)
			}
		}
		total += 50_000
		if i >= 20 {
			total += 450_000
		}
	}
	in, _, _ := p.look(noon.Add(20*time.Second), tally{in: total})
	if in < 7.5e6 || in > 9e6 {
		t.Errorf("%v", in)
	}
	if in, _, _ := p.look(noon.Add(30*time.Second), tally{}); in != 0 {
		t.Errorf("a counter that began again: %v", in)
	}
}

// TestForestIsDescribed: it has the fields that openapi.yaml names, and no others.
func TestForestIsDescribed(t *testing.T) {
	h := begin(t, 0)
	url := show(t, &site{host: h, forest: func() forestStatus { return describeForest("relay", h, nil, newPace()) }})
	_, text := fetch(t, url+"api/openapi.yaml")
	all := readSchemas(t, text)
	_, text = fetch(t, url+"api/forest")
	var empty any
	if err := json.Unmarshal([]byte(text), &empty); err != nil {
		t.Fatal(err)
	}
	full := forestStatus{Role: "source"}
	fillForest(&full, noon, placed())
	full.Source = describeRoot(placed(), membership.NodeID{1}, 1)
	for _, v := range []any{empty, generic(t, full)} {
		for _, fault := range all.faults("forest", schema{Ref: "#/components/schemas/Forest"}, v) {
			t.Error(fault)
		}
	}
}
