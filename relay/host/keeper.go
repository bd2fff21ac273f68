package host

import (
	"context"
	"slices"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/store"
)

// This file reads the store for the Core: which streams and stretches it has, and
// shards that neighbours ask for. All of it may wait for the disk, and so nobody waits
// for it, at the end neither.

// keep tells the Core what the store has.
func (h *Host) keep(ctx context.Context) {
	tick := time.NewTicker(storedEvery)
	defer tick.Stop()
	again := time.NewTicker(carryEvery)
	defer again.Stop()
	h.carry()
	for {
		h.tellStored()
		select {
		case <-tick.C:
		case <-again.C:
			h.carry()
		case <-h.past.poke:
		case <-ctx.Done():
			return
		}
	}
}

// carry has the Core open the streams of which the store has something: those with the
// newest blocks first.
func (h *Host) carry() {
	type found struct {
		key  store.Key
		span store.Span
	}
	var newest []found // of each stream the last run of its source
	for _, key := range h.cfg.Store.Keys() {
		span, _ := h.cfg.Store.Span(key)
		if n := len(newest); n > 0 && newest[n-1].key.Stream == key.Stream {
			newest = newest[:n-1]
		}
		newest = append(newest, found{key, span})
	}
	slices.SortStableFunc(newest, func(a, b found) int { return b.span.To.Compare(a.span.To) })
	for i, f := range newest[:min(len(newest), maxCarried)] {
		raw, err := h.cfg.Store.Info(f.key)
		if err != nil {
			continue
		}
		h.tell(relay.Carry{Info: raw, Blocks: f.span.Blocks})
		if i < relay.MaxStreams { // of another it is told if it is opened
			h.tell(h.stored(f.key))
		}
	}
}

func (h *Host) tellStored() {
	for _, o := range h.past.all() {
		h.tell(h.stored(o.key()))
	}
}

// stored is what the store has of a stream: of who rebuilds blocks, where it can.
func (h *Host) stored(key store.Key) relay.Stored {
	least := 1
	if o := h.past.stream(key.Stream); o != nil && h.cfg.Participant.Play {
		least = o.info.Layout.K
	}
	in := relay.Stored{Stream: key.Stream, Epoch: key.Epoch}
	for _, r := range h.cfg.Store.Runs(key, least, relay.MaxStretches) {
		in.Stretches = append(in.Stretches, relay.Stretch{First: r.First, Last: r.Last, Stripes: r.Stripes})
	}
	return in
}

// recall reads the shards that neighbours ask for.
func (h *Host) recall(ctx context.Context) {
	for {
		select {
		case r := <-h.past.recalls:
			if time.Now().After(r.Expires) {
				h.tell(relay.Lost{Recall: r, Busy: true})
				continue
			}
			sh, err := h.cfg.Store.Get(store.Key{Stream: r.Stream, Epoch: r.Epoch}, r.Number, r.Stripe)
			if err != nil {
				h.tell(relay.Lost{Recall: r})
				continue
			}
			h.net.Forward(r.Peer, sh.Encoded(), r.Expires)
			if over := len(sh.Encoded()) - r.Paid; over > 0 {
				h.tell(relay.Larger{Bytes: over})
			}
		case <-ctx.Done():
			return
		}
	}
}
