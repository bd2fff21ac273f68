package agenda

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestOrder: events come in the order of their times, and of equal ones in that of
// their coming, whatever was taken in between.
func TestOrder(t *testing.T) {
	type event struct {
		at time.Duration
		n  int
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	var a Agenda[event]
	var want []event
	for n := range 20_000 {
		if len(want) > 0 && rnd.IntN(3) == 0 {
			next, ok := a.Next()
			at, e := a.Take()
			if !ok || next != at || e != want[0] || at != e.at {
				t.Fatalf("took %v of %v, not %v", e, at, want[0])
			}
			want = want[1:]
			continue
		}
		e := event{time.Duration(rnd.IntN(50)), n}
		a.Add(e.at, e)
		i, _ := slices.BinarySearchFunc(want, e, func(x, y event) int {
			if x.at != y.at {
				return int(x.at - y.at)
			}
			return x.n - y.n
		})
		want = slices.Insert(want, i, e)
	}
	if a.Len() != len(want) {
		t.Fatalf("%d events, not %d", a.Len(), len(want))
	}
	sum := 0
	a.Each(func(at time.Duration, e *event) {
		if at == e.at {
			sum++
		}
	})
	if sum != len(want) {
		t.Errorf("each saw %d of %d", sum, len(want))
	}
	for len(want) > 0 {
		if _, e := a.Take(); e != want[0] {
			t.Fatalf("took %v, not %v", e, want[0])
		}
		want = want[1:]
	}
	if _, ok := a.Next(); ok {
		t.Error("something is left")
	}
}
