package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Seek is where one who wants to see a time begins: the newest random access block
// whose source time is not after it, or the first block of the extent if there is
// none. Of a stream that has none for long it is the newest block not after it.
func (h *Host) Seek(ctx context.Context, id stripe.ID, at time.Time) (number uint64, err error) {
	o := h.past.stream(id)
	if o == nil {
		return 0, ErrNoStream
	}
	e, ok := h.extent(o)
	if !ok {
		return 0, ErrAbsent
	}
	if err := h.begin(ctx, h.past.readers); err != nil {
		return 0, err
	}
	number, ok = h.seekOwn(o, &e, at)
	leave(h.past.readers)
	if ok {
		return number, nil
	}
	if !h.cfg.Participant.Play {
		return 0, ErrAbsent
	}
	if err := h.begin(ctx, h.past.askers); err != nil {
		return 0, err
	}
	defer leave(h.past.askers)
	return h.seekFar(ctx, o, &e, at)
}

// seekOwn looks in our own store, and is certain only if no newer block to start at
// can be elsewhere: there must be no gap between the one found and the time.
func (h *Host) seekOwn(o *open, e *Extent, at time.Time) (number uint64, ok bool) {
	if h.cfg.Store == nil {
		return 0, false
	}
	found, err := h.cfg.Store.Seek(o.key(), at)
	switch {
	case err != nil:
		return 0, false
	case found.SourceTime > at.UnixMilli():
		span, _ := h.cfg.Store.Span(o.key())
		return e.First, span.First <= e.First+seekGap
	}
	last := found.Number
	for {
		blocks, err := h.cfg.Store.Blocks(o.key(), last+1, last+seekList)
		if err != nil {
			return 0, false
		}
		for _, b := range blocks {
			if b.Number > last+seekGap {
				return 0, false
			}
			if b.SourceTime > at.UnixMilli() {
				return found.Number, true
			}
			last = b.Number
		}
		if len(blocks) == 0 {
			return found.Number, last+seekGap >= e.Last
		}
	}
}

// point is a block and its source time in Unix ms.
type point struct {
	number uint64
	time   int64
}

// seekFar asks neighbours for headers: those of a few blocks where the time should be,
// between the nearest that are known, until it lies among them. Where they have
// nothing, whatever they said, the stretch begins later.
func (h *Host) seekFar(ctx context.Context, o *open, e *Extent, at time.Time) (number uint64, err error) {
	ms := at.UnixMilli()
	high, err := h.edge(ctx, o, e.Last-min(e.Last-e.First, seekAfter), e.Last, true)
	if err != nil {
		return 0, err
	}
	guessed := func(number uint64) point {
		return point{number, high.time - int64(high.number-number)*o.info.BlockTime.Milliseconds()}
	}
	low, err := h.edge(ctx, o, e.First, min(e.First+seekAfter, e.Last), false)
	switch {
	case errors.Is(err, ErrAbsent):
		low = guessed(e.First)
	case err != nil:
		return 0, err
	case ms < low.time:
		return e.First, nil
	}
	lost := false
	for range maxSeekRounds {
		guess := between(low, high, ms)
		if lost {
			guess = low.number + (high.number-low.number)/2
		}
		from, upto := max(e.First, guess-min(guess, seekBefore)), min(e.Last, guess+seekAfter)
		headers, err := h.headers(ctx, o, from, upto)
		switch {
		case err != nil:
			return 0, err
		case len(headers) == 0 && upto < high.number:
			low, lost = guessed(upto), true
			continue
		case len(headers) == 0:
			return 0, ErrAbsent
		}
		lost = false
		first, last := headers[0], headers[len(headers)-1]
		switch {
		case first.SourceTime > ms && from > e.First && first.Number < high.number:
			high = point{first.Number, first.SourceTime}
		case last.SourceTime <= ms && last.Number > low.number && upto < high.number:
			low = point{last.Number, last.SourceTime}
		default:
			return h.startBefore(ctx, o, e, headers, from, ms)
		}
	}
	return low.number, nil // its source's clock jumps about
}

// between is where a time should be between two blocks.
func between(low, high point, ms int64) uint64 {
	switch {
	case ms >= high.time:
		return high.number
	case ms <= low.time || low.number >= high.number:
		return low.number
	}
	return low.number + uint64(float64(high.number-low.number)*float64(ms-low.time)/float64(high.time-low.time))
}

// startBefore is the newest block to start at among these headers and before them.
func (h *Host) startBefore(ctx context.Context, o *open, e *Extent, headers []stripe.Header, from uint64, ms int64) (uint64, error) {
	newest, oldest := e.First, headers[0].Number
	for range maxSeekRounds {
		for _, b := range slices.Backward(headers) {
			if b.SourceTime > ms {
				continue
			}
			if b.Has(stripe.RandomAccess) {
				return b.Number, nil
			}
			newest = max(newest, b.Number)
		}
		if from <= e.First {
			return e.First, nil
		}
		upto := from - 1
		from = max(e.First, from-min(from, maxHeaders))
		var err error
		if headers, err = h.headers(ctx, o, from, upto); err != nil {
			return 0, err
		}
		if len(headers) == 0 {
			return oldest, nil // there is nothing before it
		}
		oldest = headers[0].Number
	}
	return newest, nil
}

// edge is the first or the last of some blocks that can be had.
func (h *Host) edge(ctx context.Context, o *open, from, upto uint64, last bool) (point, error) {
	number := from
	if last {
		number = upto
	}
	if at, ok := h.ownTime(o, number); ok {
		return point{number, at.UnixMilli()}, nil
	}
	headers, err := h.headers(ctx, o, from, upto)
	switch {
	case err != nil:
		return point{}, err
	case len(headers) == 0:
		return point{}, ErrAbsent
	case last:
		b := &headers[len(headers)-1]
		return point{b.Number, b.SourceTime}, nil
	}
	return point{headers[0].Number, headers[0].SourceTime}, nil
}

// headers has the headers of some blocks fetched, at most maxHeaders.
func (h *Host) headers(ctx context.Context, o *open, from, upto uint64) ([]stripe.Header, error) {
	a := h.wait(ctx, &wish{key: o.key(), from: from, upto: upto, headers: true})
	return a.headers, a.err
}
