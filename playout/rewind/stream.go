package rewind

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Config says whose past it is.
type Config struct {
	Past Past
	// Live is what plays now; nil: nothing does.
	Live Live
	// Settle is how long after the first news of the past more may come of what is
	// older: so long is waited where that matters.
	Settle time.Duration
	// Format tells how a medium's blocks are joined.
	Format func(stripe.Media) Format
}

// Stream is a stream with a past. All methods may be called from anywhere.
type Stream struct {
	cfg   Config
	index index

	mu    sync.Mutex // guards what follows
	stats Stats
	known time.Time // when there was first something
	dates [2]date   // of the first and the last block, where the extent did not say
}

// date is when the source closed a block.
type date struct {
	epoch  uint32
	number uint64
	at     time.Time
}

// Stats are the counts of all readers.
type Stats struct {
	Readers int    // open now
	Blocks  uint64 // given out
	Absent  uint64 // blocks that nobody had
}

// Stats is a snapshot.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Stream) count(readers int, blocks, absent uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Readers += readers
	s.stats.Blocks += blocks
	s.stats.Absent += absent
}

// New returns a stream with that past.
func New(cfg Config) *Stream {
	return &Stream{cfg: cfg, index: index{token: make(chan struct{}, 1)}}
}

// Extent is what there is; false: nothing. It does not wait.
func (s *Stream) Extent() (Extent, bool) {
	ext, ok := s.cfg.Past.Extent()
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok && s.known.IsZero() {
		s.known = time.Now()
	}
	for i, d := range s.dates {
		at, number := &ext.From, ext.First
		if i == 1 {
			at, number = &ext.To, ext.Last
		}
		// What is yet to come dates the last block well enough.
		if at.IsZero() && d.epoch == ext.Info.Epoch && (d.number == number || i == 1 && ext.Live) {
			*at = d.at
		}
	}
	return ext, ok
}

// Await waits until somebody is known to have something of the stream. It returns
// ErrNothing if ctx ends before.
func (s *Stream) Await(ctx context.Context) error {
	for {
		if _, ok := s.cfg.Past.Extent(); ok {
			return nil
		}
		if wait(ctx, nil) != nil {
			return ErrNothing
		}
	}
}

// Finished is the extent of a stream that has ended, or whose source is gone.
func (s *Stream) Finished() (Extent, bool) {
	ext, ok := s.Extent()
	return ext, ok && !ext.Live
}

// Date waits until it is known when the extent begins and ends. Where nobody here knows
// it fetches the first and the last block, or those next to them.
func (s *Stream) Date(ctx context.Context) (Extent, error) {
	ext, err := s.settled(ctx, func(e Extent) bool { return e.First == 0 })
	if err != nil {
		return ext, err
	}
	for i := range s.dates {
		known, number, step := ext.From, ext.First, uint64(1)
		if i == 1 {
			known, number, step = ext.To, ext.Last, ^uint64(0)
		}
		if !known.IsZero() {
			continue
		}
		at, err := s.date(ctx, ext, number, step)
		if err != nil {
			return ext, err
		}
		s.mu.Lock()
		s.dates[i] = date{ext.Info.Epoch, number, at}
		s.mu.Unlock()
		if i == 0 {
			ext.From = at
		} else {
			ext.To = at
		}
	}
	return ext, nil
}

// settled is the extent, once it is enough, or is not news any more.
func (s *Stream) settled(ctx context.Context, enough func(Extent) bool) (Extent, error) {
	for {
		ext, ok := s.Extent()
		if !ok {
			return ext, ErrNothing
		}
		s.mu.Lock()
		since := time.Since(s.known)
		s.mu.Unlock()
		if since >= s.cfg.Settle || enough(ext) {
			return ext, nil
		}
		if err := wait(ctx, nil); err != nil {
			return ext, err
		}
	}
}

// date looks at a few blocks from a number on, in steps.
func (s *Stream) date(ctx context.Context, ext Extent, number, step uint64) (time.Time, error) {
	for range lookBack {
		h, _, err := s.cfg.Past.Block(ctx, number)
		if err == nil && h.Epoch == ext.Info.Epoch {
			return time.UnixMilli(h.SourceTime), nil
		}
		if err != nil && !errors.Is(err, ErrAbsent) {
			return time.Time{}, err
		}
		if number += step; number < ext.First || number > ext.Last {
			break
		}
	}
	return time.Time{}, fmt.Errorf("the ends of what there is: %w", ErrAbsent)
}

// Open begins at a moment: at the block to start at before it. What lies before all
// that there is means its start. ErrNothing: there is nothing. Close the reader when
// done.
func (s *Stream) Open(ctx context.Context, from From, now time.Time) (*Reader, error) {
	ext, number, err := s.find(ctx, from, now)
	if err != nil {
		return nil, err
	}
	return s.reader(ext, number), nil
}

// find is what there is, and the block to start at for a moment.
func (s *Stream) find(ctx context.Context, from From, now time.Time) (Extent, uint64, error) {
	ext, err := s.settled(ctx, func(e Extent) bool {
		return e.First == 0 || !e.From.IsZero() && from.Time(now, e).After(e.From)
	})
	if err != nil {
		return ext, 0, err
	}
	if from.kind == fromAgo && ext.To.IsZero() {
		if ext, err = s.Date(ctx); err != nil {
			return ext, 0, err
		}
	}
	number, err := s.seek(ctx, ext, from.Time(now, ext))
	if err != nil {
		return ext, 0, fmt.Errorf("looking for %v: %w", from, err)
	}
	return ext, number, nil
}

// seek finds the block to start at. A stream's very first block is one too, whatever
// it begins with: nothing was before it.
func (s *Stream) seek(ctx context.Context, ext Extent, at time.Time) (uint64, error) {
	if ext.First == 0 && !at.After(ext.From) {
		return 0, nil
	}
	return s.cfg.Past.Seek(ctx, at)
}

func (s *Stream) reader(ext Extent, number uint64) *Reader {
	r := &Reader{
		s: s, media: ext.Info.Media, epoch: ext.Info.Epoch, next: number, ahead: newAhead(s.cfg.Past),
	}
	if s.cfg.Format != nil {
		r.form = s.cfg.Format(r.media)
	}
	if !ext.Live && ext.Last-ext.First < MaxIndex {
		s.index.fit(ext) // so that what is read is known from now on
	}
	s.count(1, 0, 0)
	return r
}

// Piece is a part of a finished stream: a run of blocks that begins with one that one
// can start at.
type Piece struct {
	Index    int64
	Duration time.Duration
}

// Pieces is the parts of an extent, in order; nil if there would be more than
// MaxPieces, or if it is not dated. Their indexes are of the source's clock and not of the extent: they stay
// the same when its beginning is forgotten.
func (e Extent) Pieces() []Piece {
	first, last := pieceAt(e.From), pieceAt(e.To)
	if e.From.IsZero() || e.To.IsZero() || last < first || last-first >= MaxPieces {
		return nil
	}
	var all []Piece
	for i := first; i <= last; i++ {
		from, to := e.From, e.To
		if i > first {
			from = pieceTime(i)
		}
		if i < last {
			to = pieceTime(i + 1)
		}
		all = append(all, Piece{i, to.Sub(from)})
	}
	return all
}

func pieceAt(t time.Time) int64   { return t.UnixMilli() / PieceTime.Milliseconds() }
func pieceTime(i int64) time.Time { return time.UnixMilli(i * PieceTime.Milliseconds()) }

// OpenPiece begins at a piece of a finished stream, or of one that goes on again; the
// reader ends with it. ErrNothing: there is no such piece, or it is of an earlier run.
func (s *Stream) OpenPiece(ctx context.Context, i int64) (*Reader, error) {
	ext, ok := s.Extent()
	if !ok || ext.Pieces() == nil || i < pieceAt(ext.From) || i > pieceAt(ext.To) {
		return nil, ErrNothing
	}
	from, err := s.seek(ctx, ext, pieceTime(i))
	if err != nil {
		return nil, fmt.Errorf("looking for piece %d: %w", i, err)
	}
	end := ext.Last + 1
	if i < pieceAt(ext.To) {
		if end, err = s.seek(ctx, ext, pieceTime(i+1)); err != nil {
			return nil, fmt.Errorf("looking for the end of piece %d: %w", i, err)
		}
	}
	r := s.reader(ext, from)
	r.part, r.end = true, end
	return r, nil
}
