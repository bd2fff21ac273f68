package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// This file says what /healthz and /readyz say. A participant is healthy when the loop
// that owns it answers; nothing else helps against one that does not than to start it
// again. It is ready when what it is for goes on:
//
//	source   a block was published in the last stillness
//	relay    it is connected, if there is a pool to join, and of every stream that it
//	         was given a link of it has had a block
//	view     a block was played in the last stillness; or the source is gone, and its
//	         past can be played

const (
	// stillness is for how long nothing need happen where something should.
	stillness = 5 * time.Second
	// flowEvery is how often it is looked.
	flowEvery = time.Second
)

// heartbeat finds out whether a question is answered.
type heartbeat struct {
	ask func() // blocks until it is

	mu    sync.Mutex    // guards what follows
	asked chan struct{} // closed when the question under way is answered; nil: none is
}

// feel asks, and waits for the answer until ctx ends. Of many that ask at once one
// does, so that a loop which stands still costs one goroutine.
func (b *heartbeat) feel(ctx context.Context) error {
	b.mu.Lock()
	asked := b.asked
	if asked == nil {
		asked = make(chan struct{})
		b.asked = asked
		go func() {
			b.ask()
			b.mu.Lock()
			b.asked = nil
			b.mu.Unlock()
			close(asked)
		}()
	}
	b.mu.Unlock()
	select {
	case <-asked:
		return nil
	case <-ctx.Done():
		return errors.New("the participant does not answer")
	}
}

// flow tells whether a counter goes on counting.
type flow struct {
	count func() uint64 // nil: nobody asks

	mu   sync.Mutex // guards what follows
	last uint64
	at   time.Time // when it was first seen to be that
}

// watch looks at the counter now and then, until ctx ends.
func (f *flow) watch(ctx context.Context) {
	if f.count == nil {
		return
	}
	tick := time.NewTicker(flowEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.look(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (f *flow) look(now time.Time) (total uint64, still time.Duration) {
	n := f.count()
	f.mu.Lock()
	defer f.mu.Unlock()
	if n != f.last {
		f.last, f.at = n, now
	}
	return f.last, now.Sub(f.at)
}

// check says that nothing has been counted lately.
func (f *flow) check(now time.Time) error {
	switch total, still := f.look(now); {
	case total == 0:
		return errors.New("no block has come yet")
	case still > stillness:
		return fmt.Errorf("no block has come for %d s", int(still.Seconds()))
	default:
		return nil
	}
}

// published is how many blocks a source has published.
func published(st relay.Status) (n uint64) {
	for _, s := range st.Streams {
		if s.Source {
			n += s.Counters.Blocks
		}
	}
	return n
}

// hasBegun says why a relay is of no use yet. joins: there is a pool to be connected to.
func hasBegun(st relay.Status, joins bool, links []stripe.ID) error {
	if joins && st.Peers == 0 {
		return errors.New("nobody is connected")
	}
	for _, id := range links {
		i := slices.IndexFunc(st.Streams, func(s relay.StreamStatus) bool { return s.Info.Stream == id })
		if i < 0 {
			return fmt.Errorf("nobody has told of the stream %s", id.Short())
		}
		if !st.Streams[i].Started {
			return fmt.Errorf("nothing of the stream %s has come", id.Short())
		}
	}
	return nil
}
