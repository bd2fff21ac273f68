package rewind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Reader is one client's place in a stream. One goroutine uses it.
type Reader struct {
	s     *Stream
	media stripe.Media
	form  Format
	epoch uint32
	next  uint64
	first uint64 // of the extent when it was last looked at
	raw   bool   // only blocks: none may be missing, nothing is put between them
	part  bool   // it ends with the epoch, or before block end of it
	end   uint64

	ahead *ahead
	begun bool // a block was returned
	gap   bool // blocks are missing before the next
	ended bool // the source's last block was read
}

// Media is what the reader gives.
func (r *Reader) Media() stripe.Media { return r.media }

// Close calls off what is under way. Call it once.
func (r *Reader) Close() {
	r.ahead.close()
	r.s.count(-1, 0, 0)
}

// Next waits for the next block that somebody has and returns it, and what must go
// before it if anything does. Nobody may change the bytes. It returns io.EOF at the
// end of the stream, and io.ErrUnexpectedEOF if a later run took the place of one of which
// a piece is read.
func (r *Reader) Next(ctx context.Context) (before, data []byte, err error) {
	for {
		number := r.next
		data, err := r.block(ctx)
		if errors.Is(err, ErrAbsent) && !r.raw {
			// What is before the extent may still be had, or nothing of it.
			r.skip(max(r.next+1, r.first))
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		r.next++
		if len(data) == 0 {
			continue // it only ends the epoch
		}
		r.s.count(0, 1, 0)
		before, err := r.before(ctx, number, data)
		return before, data, err
	}
}

// skip goes on at a block, because nobody has those before it.
func (r *Reader) skip(to uint64) {
	r.s.count(0, 0, to-r.next)
	r.next, r.gap = to, true
}

// before is what goes before the block of that number.
func (r *Reader) before(ctx context.Context, number uint64, data []byte) ([]byte, error) {
	first, gap := !r.begun, r.gap
	r.begun, r.gap = true, false
	switch {
	case r.raw:
		return nil, nil
	case first && r.form.Prologue != nil && (r.form.Starts == nil || !r.form.Starts(data)):
		return r.prologue(ctx, number, data)
	case !first && gap && r.form.MarkGap != nil:
		return r.form.MarkGap(data), nil
	}
	return nil, nil
}

// prologue looks in the blocks before the first for what a decoder needs.
func (r *Reader) prologue(ctx context.Context, number uint64, data []byte) ([]byte, error) {
	ext, ok := r.s.cfg.Past.Extent()
	if !ok || ext.Info.Epoch != r.epoch || number == 0 {
		return r.form.Prologue(nil, data), nil
	}
	back := newAhead(r.s.cfg.Past)
	defer back.close()
	var blocks [][]byte
	for n := max(ext.First, number-min(number, lookBack)); n < number; n++ {
		f, err := back.take(ctx, n, number-1)
		if err != nil {
			return nil, err
		}
		if f.err == nil && f.header.Epoch == r.epoch {
			blocks = append(blocks, f.data)
		}
	}
	return r.form.Prologue(blocks, data), nil
}

// block is the next block, or why there is none: ErrAbsent, io.EOF, or worse. It waits
// for one that is to come.
func (r *Reader) block(ctx context.Context) ([]byte, error) {
	for {
		var changed <-chan struct{}
		place := Elsewhere
		if r.s.cfg.Live != nil && !r.part {
			var data []byte
			if data, place, changed = r.s.cfg.Live.At(r.epoch, r.next); place == Here {
				r.ahead.forget()
				return data, nil
			}
		}
		if place == Elsewhere {
			ext, ok := r.s.cfg.Past.Extent()
			if !ok {
				return nil, io.EOF
			}
			if ready, err := r.place(ext); err != nil {
				return nil, err
			} else if ready {
				return r.fetch(ctx, ext)
			}
		}
		if err := wait(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// place sees to it that the next block is one of the extent. It is false if that is yet
// to come.
func (r *Reader) place(ext Extent) (ready bool, err error) {
	switch {
	case ext.Info.Epoch != r.epoch && r.part:
		return false, io.ErrUnexpectedEOF // nobody has the run before any more
	case ext.Info.Epoch != r.epoch && ext.Info.Media != r.media:
		return false, io.EOF
	case ext.Info.Epoch != r.epoch:
		r.epoch, r.next, r.ended, r.gap = ext.Info.Epoch, ext.First, false, true
		r.ahead.forget()
	case r.ended || r.part && r.next >= r.end:
		return false, io.EOF
	}
	r.first = ext.First
	if r.next > ext.Last && (r.part || !ext.Live) {
		return false, io.EOF
	}
	return r.next <= ext.Last, nil
}

// fetch waits for the next block from whoever has it.
func (r *Reader) fetch(ctx context.Context, ext Extent) ([]byte, error) {
	last := ext.Last
	if r.part {
		last = min(last, r.end-1)
	}
	f, err := r.ahead.take(ctx, r.next, last)
	switch {
	case err != nil:
		return nil, err
	case f.err != nil:
		return nil, f.err
	case f.header.Epoch != r.epoch || f.header.Number != r.next:
		return nil, ErrAbsent // a new epoch began meanwhile
	}
	r.s.learn(r.epoch, r.next, len(f.data))
	r.ended = f.header.Has(stripe.End)
	return f.data, nil
}

// wait is over when changed is closed, or after pollEvery.
func wait(ctx context.Context, changed <-chan struct{}) error {
	poll := time.NewTimer(pollEvery)
	defer poll.Stop()
	select {
	case <-changed:
	case <-poll.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// Speed is how fast blocks come at the moment, in bits a second: the first few from a
// moment on are fetched, and thrown away.
func (s *Stream) Speed(ctx context.Context, from From, now time.Time) (bitsPerSecond float64, err error) {
	ext, first, err := s.find(ctx, from, now)
	if err != nil {
		return 0, err
	}
	a := newAhead(s.cfg.Past)
	defer a.close()
	began, bytes := time.Now(), 0
	last := min(ext.Last, first+gaugeBlocks-1)
	for n := first; n <= last; n++ {
		f, err := a.take(ctx, n, last)
		if err != nil {
			return 0, err
		}
		bytes += len(f.data)
	}
	if bytes == 0 {
		return 0, fmt.Errorf("blocks %d to %d: %w", first, last, ErrAbsent)
	}
	return float64(bytes) * 8 / max(time.Since(began), time.Microsecond).Seconds(), nil
}
