package wide

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// TestCalendar: what is added happens at the end of its moment and not before the next
// one, however far ahead it is; of one moment by node, and of one node in turn.
func TestCalendar(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	type want struct {
		at         time.Duration
		node, peer int32
	}
	var c calendar
	var wants []want
	add := func(n int32) {
		at := time.Duration(c.present)*moment + time.Duration(rnd.Int64N(int64(2*ahead*moment)))
		if rnd.IntN(2) == 0 {
			at = time.Duration(c.present)*moment + time.Duration(rnd.Int64N(int64(3*moment)))
		}
		e := event{node: rnd.Int32N(5), peer: n}
		is := c.add(at, e)
		if is < at || is >= at+moment && at > time.Duration(c.present)*moment || is <= time.Duration(c.present)*moment || is%moment != 0 {
			t.Fatalf("%v is put at %v, and it is %v", at, is, time.Duration(c.present)*moment)
		}
		wants = append(wants, want{is, e.node, n})
	}
	var got []want
	for n := range int32(20_000) {
		add(n)
		for rnd.IntN(4) == 0 {
			for i := range c.turn() {
				e := c.take(i)
				got = append(got, want{time.Duration(c.present) * moment, e.node, e.peer})
			}
		}
	}
	for range 2*ahead + 1 {
		for i := range c.turn() {
			e := c.take(i)
			got = append(got, want{time.Duration(c.present) * moment, e.node, e.peer})
		}
	}
	slices.SortStableFunc(wants, func(a, b want) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.node - b.node)
	})
	order := func(of []want) {
		// What waited on the agenda comes after what was added later: only that.
		slices.SortFunc(of, func(a, b want) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			if a.node != b.node {
				return int(a.node - b.node)
			}
			return int(a.peer - b.peer)
		})
	}
	if !slices.IsSortedFunc(got, func(a, b want) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.node - b.node)
	}) {
		t.Error("not by moment and node")
	}
	order(got)
	order(wants)
	if !slices.Equal(got, wants) {
		t.Errorf("%d came of %d", len(got), len(wants))
	}
	if len(c.events) > 4*ahead {
		t.Errorf("places for %d events", len(c.events))
	}
}

// TestInTurn: of what one node has to do in one moment the first added is the first.
func TestInTurn(t *testing.T) {
	var c calendar
	for n := range int32(300) {
		c.add(moment, event{node: n % 3, peer: n})
		if n == 100 {
			c.add(2*moment, event{node: 1})
		}
	}
	last := [3]int32{-1, -1, -1}
	if n := c.turn(); n != 300 {
		t.Fatalf("%d in the first moment", n)
	}
	for i := range 300 {
		e := c.take(i)
		if e.node != int32(i/100) || e.peer <= last[e.node] {
			t.Fatalf("%d: node %d, after %d comes %d", i, e.node, last[e.node], e.peer)
		}
		last[e.node] = e.peer
	}
}

// TestSizeOf: a message is as long as its encoding.
func TestSizeOf(t *testing.T) {
	path := []membership.ShortID{{1}, {2}, {3}}
	records := [][]byte{make([]byte, 200), make([]byte, 177)}
	for _, m := range []overlay.Message{
		&overlay.Hello{Record: records[0]}, &overlay.Ask{}, &overlay.Sample{Info: make([]byte, 99), Records: records}, &overlay.Sample{},
		&overlay.Subscribe{Stripe: 3, From: 7, Live: 4}, &overlay.Accept{Path: path}, &overlay.Refuse{Alternatives: records},
		&overlay.Leave{}, &overlay.Drop{Alternatives: records[:1]}, &overlay.Drop{}, &overlay.Route{Path: path[:1]}, &overlay.Repairing{},
		&overlay.Live{Stripes: 20}, &overlay.Promise{Path: path}, &overlay.Show{}, &overlay.Receipts{Of: make([]overlay.Receipt, 3)},
	} {
		b := overlay.Encode(m)
		if kind, size := sizeOf(m); kind != int(b[0]) || size != len(b) {
			t.Errorf("%T: kind %d of %d bytes, not %d of %d", m, kind, size, b[0], len(b))
		}
	}
}
