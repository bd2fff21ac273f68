package main

import (
	"context"
	"slices"
	"time"

	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// comeback notices that a source is there, or is there again after it was gone: new
// blocks come, and go on to come for longer than the last ones of a stream would.
type comeback struct {
	was    view.Head // the newest block before
	newest view.Head
	since  time.Time // since when newer ones come; zero: none do
	at     time.Time // when the newest came
}

// look takes the newest block there is, and whether it is the last.
func (b *comeback) look(now time.Time, newest view.Head, ended bool) (back bool) {
	if !b.since.IsZero() && now.Sub(b.at) > tailTime {
		b.was, b.since = b.newest, time.Time{} // those were the last
	}
	if ended || !newest.After(b.was) {
		b.since = time.Time{}
		return false
	}
	if newest.After(b.newest) {
		b.newest, b.at = newest, now
	}
	if b.since.IsZero() {
		b.since = now
	}
	return b.at.Equal(now) && now.Sub(b.since) >= tailTime
}

// awaitBack waits until the source that was gone is back; false if ctx ended before.
func awaitBack(ctx context.Context, h *host.Host, id stripe.ID, player *view.Player, was view.Head) bool {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for b := (comeback{was: was, newest: was}); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
		if b.look(time.Now(), player.Stats().Head, hasEnded(h, id)) {
			return true
		}
	}
}

// hasEnded reports whether the last block of a stream is known.
func hasEnded(h *host.Host, id stripe.ID) bool {
	return slices.ContainsFunc(h.Status().Streams, func(s relay.StreamStatus) bool { return s.Info.Stream == id && s.Ended })
}

// comeBack returns to what is live, once the source is back. The past can be had beside it.
func (v *viewer) comeBack(ctx context.Context, h *host.Host, player *view.Player, id stripe.ID, url string) {
	was := player.Stats().Head
	if ext, ok := v.past.Extent(); ok {
		if last := (view.Head{Epoch: ext.Info.Epoch, Number: ext.Last}); last.After(was) {
			was = last
		}
	}
	if !awaitBack(ctx, h, id, player, was) {
		return
	}
	v.plays.begin()
	v.gone.Store(false)
	v.say("the source is back; playing live at %s", url)
	close(v.back)
}
