package overlay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// pair is two stripes, each with a parent, fed every 100 ms until end, the first of
// them so much later; and a third relay that is connected.
func pair(t *testing.T, end, lag time.Duration) *teller {
	t.Helper()
	var story strings.Builder
	story.WriteString("config layout=1+1 all\n0ms know a homes=0\n0ms know b homes=1\n0ms up a\n0ms up b\n" +
		"60ms a accept 0 source,a\n60ms b accept 1 source,b\n70ms know c homes=0,1\n70ms up c\n")
	after := 0
	for n := 1; n <= int(end/(100*time.Millisecond)); n++ {
		fmt.Fprintf(&story, "%v got 1 %d\n", time.Duration(n)*100*time.Millisecond, n)
		if after = n - int(lag/(100*time.Millisecond)); after > 0 {
			fmt.Fprintf(&story, "%v got 0 %d\n", time.Duration(n)*100*time.Millisecond+lag%(100*time.Millisecond), after)
		}
	}
	teller := newTeller(t)
	teller.tell(story.String())
	return teller
}

// TestSlowParent: who brings every block late is called slow before it is left, and who
// brings nothing too.
func TestSlowParent(t *testing.T) {
	for _, c := range []struct {
		lag  time.Duration
		slow bool
	}{{20 * time.Millisecond, false}, {240 * time.Millisecond, false}, {440 * time.Millisecond, true}} {
		s := pair(t, 6*time.Second, c.lag)
		now := storyStart.Add(6*time.Second + c.lag%(100*time.Millisecond))
		b := s.forest.Branch(now, 0)
		if b.Slow != c.slow || b.Lag < c.lag*9/10 || b.Lag > c.lag*11/10 {
			t.Errorf("%v behind: slow %v, lag %v", c.lag, b.Slow, b.Lag)
		}
		if b := s.forest.Branch(now, 1); b.Slow || b.Lag > 10*time.Millisecond {
			t.Errorf("the first stripe: slow %v, lag %v", b.Slow, b.Lag)
		}
	}
	s := pair(t, 4*time.Second, 0)
	s.tell("4.1s got 1 41\n4.2s got 1 42\n4.35s wait\n")
	if b := s.forest.Branch(storyStart.Add(4350*time.Millisecond), 0); b.Slow || !b.Live {
		t.Errorf("after 0.25 s of silence: %+v", b)
	}
	if b := s.forest.Branch(storyStart.Add(4500*time.Millisecond), 0); !b.Slow || b.Live || b.Lag != 400*time.Millisecond {
		t.Errorf("after 0.4 s of silence: %+v", b)
	}
}

// TestChanges: the first parents are changes without a gap; one that fell silent, one
// that is out of reach and one that says goodbye are told apart.
func TestChanges(t *testing.T) {
	says := func(s *teller, c Change) string {
		return fmt.Sprintf("%d: %s to %s after %v, lost %v", c.Stripe, s.name(c.From), s.name(c.To), c.Gap, c.Lost)
	}
	last := func(s *teller, want string) {
		t.Helper()
		all := s.forest.Changes()
		if got := says(s, all[len(all)-1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s := pair(t, 4*time.Second, 0)
	if all := s.forest.Changes(); len(all) != 2 || says(s, all[0]) != "0: nobody to a after 0s, lost false" {
		t.Errorf("%+v", all)
	}
	s.tell("4.1s got 1 41\n4.2s got 1 42\n4.3s got 1 43\n4.4s got 1 44\n4.45s c accept 0 source,c\n")
	last(s, "0: a to c after 450ms, lost true")

	s = pair(t, 4*time.Second, 0)
	s.tell("4.02s down a\n4.06s c accept 0 source,c\n")
	last(s, "0: a to c after 60ms, lost true")

	s = pair(t, 4*time.Second, 0)
	s.tell("4.02s a drop 0 leaving\n4.06s c accept 0 source,c\n")
	last(s, "0: a to c after 60ms, lost false")

	s.forest.note(storyStart.Add(time.Second), &branch{stripe: 1, heard: storyStart, former: nodeID("a")}, nodeID("b"))
	last(s, "1: a to b after 1s, lost true") // b accepted after all, when the search was over

	for i := range 2 * maxChanges {
		s.forest.note(storyStart, &branch{stripe: 1, search: &search{}, former: membership.NodeID{byte(i)}}, nodeID("b"))
	}
	if all := s.forest.Changes(); len(all) != maxChanges || all[len(all)-1].From != (membership.NodeID{2*maxChanges - 1}) {
		t.Errorf("%d changes, the last %+v", len(all), all[len(all)-1])
	}
}

// TestCrowd: who carries this run of the stream counts, once each, and nobody else.
func TestCrowd(t *testing.T) {
	s := newTeller(t)
	s.tell("config source slots=20\n0ms know a homes=0 depth=2\n0ms know b homes=1,2 depth=3\n0ms know c\n")
	key := nodeKey("viewer")
	rec := membership.Record{Node: membership.NodeIDOf(key), Seq: 1, TTL: time.Minute, Slots: 4,
		Streams: []membership.Carried{{Stream: s.info.Stream, Epoch: 1, Plays: true, Homes: 1, Depth: 4, Free: 3}}}
	if _, err := s.book.Add(storyStart, rec.Sign(key)); err != nil {
		t.Fatal(err)
	}
	if c := s.forest.Crowd(); c != (Crowd{Relays: 3, Viewers: 1, Depth: 4}) {
		t.Errorf("%+v", c)
	}
	s.tell("3s wait\n")
	if c := s.forest.Cover(0); c != (Cover{Relays: 3, Roots: 1, Free: 13, slots: 20}) {
		t.Errorf("%+v", c)
	}
	s.book.Doubt(rec.Node)
	if c := s.forest.Crowd(); c != (Crowd{Relays: 3, Depth: 3}) {
		t.Errorf("with a doubted one: %+v", c)
	}
}
