package host

import (
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// TestLateHeaders: who waited in vain for headers is answered once, and they are not
// fetched any more. A second answer would find no room, and hold up the loop.
func TestLateHeaders(t *testing.T) {
	var did []relay.Input
	l := library{do: func(in relay.Input) { did = append(did, in) }}
	key, now := store.Key{Stream: stripe.ID{1}, Epoch: 7}, time.Unix(1_000_000_000, 0)
	w := &wish{key: key, from: 3, upto: 4, headers: true, since: now, answer: make(chan answer, 1)}
	l.ask(now, w)
	l.found(now, stripe.Header{Stream: key.Stream, Epoch: key.Epoch, Number: 3})
	now = now.Add(readPatience)
	l.steer(now)
	if l.cur != nil || !slices.Contains(did, relay.Input(relay.StopFetch{Stream: key.Stream})) {
		t.Fatalf("it is still fetched: %v", did)
	}
	l.passedOver(now, relay.Absent{Stream: key.Stream, Epoch: key.Epoch, Number: 4})
	if a := <-w.answer; len(a.headers) != 1 || a.headers[0].Number != 3 || len(w.answer) != 0 {
		t.Errorf("%+v, and %d more", a, len(w.answer))
	}
}
