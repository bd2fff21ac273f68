package main

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

const (
	// gonePatience is how long a stream of which only the past is known is waited for
	// before its source is believed gone.
	gonePatience = 3 * time.Second
	// freshTime is how old the newest block of a live stream is at the most, if the
	// source's clock goes right; tailTime is how long the last of an ended one takes
	// to come.
	freshTime = 3 * time.Second
	tailTime  = 1500 * time.Millisecond
	// newsTime is how long it takes until all neighbours have said what they hold.
	newsTime = 3 * time.Second
	// datePatience is how long a viewer looks for the past before it says what it found.
	datePatience = 10 * time.Second
	// plenty is how many times as fast as it plays the past should come.
	plenty = 1.2
)

// held is what a participant, and whoever it can ask, has of one stream.
type held struct {
	h    *host.Host
	id   stripe.ID
	keys *view.Keyring
	info atomic.Pointer[stripe.Info] // of the epoch of which a block was last decrypted
}

// Extent implements rewind.Past.
func (p *held) Extent() (rewind.Extent, bool) {
	e, ok := p.h.Extent(p.id)
	return rewind.Extent{Info: e.Info, First: e.First, Last: e.Last, From: e.From, To: e.To, Live: e.Live}, ok
}

// Seek implements rewind.Past.
func (p *held) Seek(ctx context.Context, at time.Time) (uint64, error) {
	return p.h.Seek(ctx, p.id, at)
}

// Block implements rewind.Past.
func (p *held) Block(ctx context.Context, number uint64) (stripe.Header, []byte, error) {
	h, data, err := p.h.Block(ctx, p.id, number)
	if err == nil {
		data, err = p.decrypt(&h, data)
	}
	if errors.Is(err, host.ErrAbsent) {
		err = fmt.Errorf("block %d: %w", number, rewind.ErrAbsent)
	}
	return h, data, err
}

// decrypt is a block as the source had it. One that no key decrypts is as good as absent;
// where the key is wrong, so are all, and nothing is read.
func (p *held) decrypt(h *stripe.Header, sent []byte) ([]byte, error) {
	info := p.info.Load()
	if info == nil || info.Epoch != h.Epoch {
		e, ok := p.h.Extent(p.id)
		if !ok || e.Info.Epoch != h.Epoch {
			return nil, host.ErrAbsent // a later run began meanwhile
		}
		info = &e.Info // its lock is the same throughout the epoch
		p.info.Store(info)
	}
	data, err := p.keys.Decrypt(*info, h, sent)
	if errors.Is(err, stripe.ErrCipher) {
		err = host.ErrAbsent
	}
	return data, err
}

// Lengths implements rewind.Past: any shard of a block has its header.
func (p *held) Lengths(ctx context.Context, from, to uint64, learn func(number uint64, length int) bool) {
	e, ok := p.h.Extent(p.id)
	s := p.h.Store()
	if !ok || s == nil {
		return
	}
	key := store.Key{Stream: p.id, Epoch: e.Info.Epoch}
	for from <= to && ctx.Err() == nil {
		blocks, _ := s.Blocks(key, from, to) // what cannot be read was reported
		for _, b := range blocks {
			sh, err := s.Get(key, b.Number, bits.TrailingZeros64(b.Have))
			if err == nil && !learn(b.Number, e.Info.PlainLen(sh.DataLen)) {
				return
			}
		}
		if len(blocks) == 0 {
			return
		}
		from = blocks[len(blocks)-1].Number + 1
	}
}

// Ask implements rewind.Past.
func (p *held) Ask(ctx context.Context, from, to uint64, learn func(number uint64, length int) bool) error {
	e, ok := p.h.Extent(p.id)
	headers, err := p.h.Headers(ctx, p.id, from, min(to, from+host.MaxHeaders-1))
	for _, h := range headers {
		if !ok || h.Epoch != e.Info.Epoch || !learn(h.Number, e.Info.PlainLen(h.DataLen)) {
			break
		}
	}
	if errors.Is(err, host.ErrAbsent) {
		return nil // of these; of the next somebody may
	}
	return err
}

// formatOf is how the past of a medium is joined.
func formatOf(m stripe.Media) rewind.Format {
	if m != stripe.MediaTS {
		return rewind.Format{}
	}
	return rewind.Format{MarkGap: ts.MarkGap, Starts: ts.HasTables, Prologue: ts.Prologue}
}

func newPast(h *host.Host, id stripe.ID, keys *view.Keyring, live *httpd.Broadcaster) *rewind.Stream {
	return rewind.New(rewind.Config{Past: &held{h: h, id: id, keys: keys}, Live: live, Settle: newsTime, Format: formatOf})
}

// parseFrom reads --from; without it, it is nil.
func parseFrom(s string, given bool) (*rewind.From, error) {
	if !given {
		return nil, nil
	}
	from, err := rewind.ParseFrom(s)
	if err != nil {
		return nil, fail(err, "give --from as in --from -5m, --from 20:15:00 or --from start")
	}
	return &from, nil
}

// awaitLive waits until it is clear whether the stream is live: true as soon as a block
// comes that the source has just closed; false when the last one has come, or if nothing
// new comes for a while although others have the past. Who joins just after the end gets
// blocks too, as if it were live, newest first: where clocks differ it takes a moment to
// tell.
func awaitLive(ctx context.Context, h *host.Host, id stripe.ID, past *rewind.Stream, player *view.Player) bool {
	began := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for progress := (comeback{}); ; {
		st := player.Stats()
		_, ok := past.Extent()
		seen := liveness{
			held:  ok,
			fresh: !st.Newest.IsZero() && time.Since(st.Newest).Abs() < freshTime,
			ended: hasEnded(h, id),
		}
		seen.comes = progress.look(time.Now(), st.Head, seen.ended)
		seen.may = !progress.since.IsZero()
		if live, clear := seen.tell(time.Since(began)); clear {
			return live
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return true
		}
	}
}

// liveness is what hints at whether a stream is live.
type liveness struct {
	held  bool // somebody has something of it
	comes bool // newer and newer blocks come, for tailTime
	may   bool // that may be so in a moment
	fresh bool // the source has just closed one
	ended bool // the last one has come
}

// tell says whether it is live, once that is clear after so long.
func (l liveness) tell(after time.Duration) (live, clear bool) {
	switch {
	case l.ended && l.held:
		return false, true
	case l.fresh && !l.ended, l.comes:
		return true, true
	case after < gonePatience, l.may && !l.ended:
		return false, false
	default:
		return !l.held, l.held || l.ended
	}
}

// tellPast says what there is of a stream whose source is gone.
func tellPast(ctx context.Context, c *console, past *rewind.Stream) rewind.Extent {
	ctx, cancel := context.WithTimeout(ctx, datePatience)
	defer cancel()
	ext, err := past.Date(ctx)
	switch length := short(ext.Duration().Round(time.Second)); {
	case err != nil:
		c.say("the source is gone; playing what others hold")
	case ext.First == 0:
		c.say("the source is gone; playing all %s of it, which others hold", length)
	default:
		c.say("the source is gone; playing the last %s that others hold", length)
	}
	return ext
}

// openPast begins at a moment, as soon as somebody has something.
func openPast(ctx context.Context, past *rewind.Stream, from rewind.From) (*rewind.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, datePatience)
	defer cancel()
	reader, err := (*rewind.Reader)(nil), past.Await(ctx)
	if err == nil {
		reader, err = past.Open(ctx, from, time.Now())
	}
	if err != nil {
		return nil, fail(err, "leave out --from to see what is live")
	}
	return reader, nil
}

// tellSpeed says whether the past comes fast enough to be played.
func tellSpeed(ctx context.Context, c *console, past *rewind.Stream, from rewind.From) {
	late, cancel := context.WithTimeout(ctx, datePatience)
	defer cancel()
	err := past.Await(late)
	var bps float64
	if err == nil {
		bps, err = past.Speed(late, from, time.Now())
	}
	ext, ok := past.Extent()
	if ctx.Err() != nil {
		return
	}
	if err != nil || !ok {
		c.say("warning: nothing of the past comes at the moment: %v", err)
		return
	}
	c.say("%s", speedWords(bps, float64(ext.Info.Rate)))
}

func speedWords(bps, needed float64) string {
	times := bps / max(needed, 1)
	switch {
	case times >= 100:
		return "the past comes more than 100 times as fast as it plays"
	case times >= plenty:
		return fmt.Sprintf("the past comes at %s, %.1f times as fast as it plays", rate(bps), times)
	default:
		return fmt.Sprintf("warning: the past comes at %s and plays at %s, so it will stop now and then; pause for a while first, or save it with -o FILE",
			rate(bps), rate(needed))
	}
}

// pastLine is the status line of a viewer while its source is gone.
func pastLine(past *rewind.Stream, gone func() bool, live func() string) func() string {
	return func() string {
		if !gone() {
			return live()
		}
		ext, _ := past.Finished()
		st := past.Stats()
		return fmt.Sprintf("the source is gone  held %s  readers %d  blocks %d  absent %d",
			short(ext.Duration().Round(time.Second)), st.Readers, st.Blocks, st.Absent)
	}
}
