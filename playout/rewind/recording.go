package rewind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// ErrLengths means that not all blocks' lengths are known, so that nobody can tell how
// long the file is.
var ErrLengths = errors.New("the lengths of some blocks are not known yet")

// unknown is the length of a block that is not known.
const unknown = -1

// index is the lengths of the blocks of a finished stream.
type index struct {
	token chan struct{} // whoever puts one in reads lengths from the disk

	mu      sync.Mutex // guards what follows
	asking  bool       // lengths are asked of others
	wanted  time.Time  // when a client last wanted them all
	askAt   time.Time  // when they may be asked for again
	epoch   uint32
	first   uint64
	lengths []int32
	missing int      // of them
	ends    []uint64 // of each block in the file, once nothing is missing; nobody changes it
}

// fit makes the index one of the extent. What is known of it already stays.
func (x *index) fit(ext Extent) {
	x.mu.Lock()
	defer x.mu.Unlock()
	count := ext.Last - ext.First + 1
	if x.epoch == ext.Info.Epoch && x.first == ext.First && uint64(len(x.lengths)) == count {
		return
	}
	old, oldFirst, same := x.lengths, x.first, x.epoch == ext.Info.Epoch
	x.epoch, x.first, x.ends = ext.Info.Epoch, ext.First, nil
	x.lengths, x.missing = make([]int32, count), 0
	for i := range x.lengths {
		x.lengths[i] = unknown
		if at := x.first + uint64(i) - oldFirst; same && at < uint64(len(old)) {
			x.lengths[i] = old[at]
		}
		if x.lengths[i] == unknown {
			x.missing++
		}
	}
}

// learn notes a length; if it is of another epoch or extent it is of no use.
func (x *index) learn(epoch uint32, number uint64, length int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := number - x.first
	if epoch != x.epoch || at >= uint64(len(x.lengths)) || x.lengths[at] != unknown || length < 0 || length > stripe.MaxBlock {
		return
	}
	x.lengths[at] = int32(length)
	x.missing--
}

// gap is the first run of blocks whose length is not known, from a number on.
func (x *index) gap(from uint64) (first, last uint64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	at := from - min(from, x.first)
	for ; at < uint64(len(x.lengths)) && x.lengths[at] != unknown; at++ {
	}
	end := at
	for ; end < uint64(len(x.lengths)) && x.lengths[end] == unknown; end++ {
	}
	return x.first + at, x.first + end - 1, end > at
}

// whole is where each block ends in the file, and the number of the first; nil while
// something is missing.
func (x *index) whole() (epoch uint32, first uint64, ends []uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.missing > 0 || len(x.lengths) == 0 {
		return 0, 0, nil
	}
	if x.ends == nil {
		x.ends = make([]uint64, len(x.lengths))
		total := uint64(0)
		for i, n := range x.lengths {
			total += uint64(n)
			x.ends[i] = total
		}
	}
	return x.epoch, x.first, x.ends
}

func (s *Stream) learn(epoch uint32, number uint64, length int) { s.index.learn(epoch, number, length) }

// Recording opens a finished stream as a file: its blocks, one after the other, and
// nothing else. ErrLengths: that cannot be done yet, or ever if nobody has some of
// them. It waits for the disk, but not for long. Close the recording when done.
func (s *Stream) Recording(ctx context.Context) (*Recording, error) {
	ext, ok := s.Finished()
	if !ok {
		return nil, ErrNothing
	}
	if ext.Last-ext.First >= MaxIndex {
		return nil, ErrLengths
	}
	s.index.fit(ext)
	epoch, first, ends := s.index.whole()
	if ends == nil {
		s.readLengths(ctx)
		s.askLengths(ctx)
		if epoch, first, ends = s.index.whole(); ends == nil {
			return nil, ErrLengths
		}
	}
	if epoch != ext.Info.Epoch || first != ext.First || len(ends) != int(ext.Last-ext.First+1) {
		return nil, ErrLengths // another began meanwhile
	}
	return &Recording{ctx: ctx, s: s, ext: ext, ends: ends}, nil
}

// readLengths reads from the disk what lengths it can within indexPatience, or waits
// for another that does.
func (s *Stream) readLengths(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	select {
	case s.index.token <- struct{}{}:
		defer func() { <-s.index.token }()
	case <-ctx.Done():
		return
	}
	s.index.mu.Lock()
	epoch, at := s.index.epoch, s.index.first
	s.index.mu.Unlock()
	for ctx.Err() == nil {
		first, last, ok := s.index.gap(at)
		if !ok {
			return
		}
		s.cfg.Past.Lengths(ctx, first, last, func(number uint64, length int) bool {
			s.index.learn(epoch, number, length)
			return ctx.Err() == nil
		})
		at = last + 1
	}
}

// askLengths has the lengths that are missing asked of others, and waits for them, but
// not for long.
func (s *Stream) askLengths(ctx context.Context) {
	x := &s.index
	x.mu.Lock()
	now := time.Now()
	x.wanted = now
	if !x.asking && x.missing > 0 && !now.Before(x.askAt) {
		x.asking = true
		go s.ask(x.epoch, x.first)
	}
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, indexPatience)
	defer cancel()
	for {
		x.mu.Lock()
		done := !x.asking || x.missing == 0
		x.mu.Unlock()
		if done || wait(ctx, nil) != nil {
			return
		}
	}
}

// ask asks others for the lengths of an epoch's blocks from a number on, once for each,
// until nobody wants them any more.
func (s *Stream) ask(epoch uint32, at uint64) {
	x := &s.index
	for {
		x.mu.Lock()
		wanted := x.epoch == epoch && time.Since(x.wanted) < askLinger
		x.mu.Unlock()
		first, last, ok := x.gap(at)
		if !wanted || !ok {
			break
		}
		last = min(last, first+MaxAsk-1)
		if s.cfg.Past.Ask(context.Background(), first, last, func(number uint64, length int) bool {
			x.learn(epoch, number, length)
			return true
		}) != nil {
			break
		}
		at = last + 1
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asking, x.askAt = false, time.Now().Add(askAgain)
}

// Recording is a finished stream as a file that is read and sought in. One goroutine
// uses it.
type Recording struct {
	ctx  context.Context
	s    *Stream
	ext  Extent
	ends []uint64 // of each block

	at   uint64  // offset of the next byte
	r    *Reader // nil: not begun, or somewhere else
	rest []byte  // bytes at at
}

// Media is what the file is.
func (f *Recording) Media() stripe.Media { return f.ext.Info.Media }

// Size is its length in bytes.
func (f *Recording) Size() int64 { return int64(f.ends[len(f.ends)-1]) }

// Tag is different for everything that is not the same to the last byte: a source
// signs one block for each number of an epoch.
func (f *Recording) Tag() string {
	return fmt.Sprintf("%s-%d-%d-%d-%d", f.ext.Info.Stream.Short(), f.ext.Info.Epoch, f.ext.First, f.ext.Last, f.Size())
}

// Close calls off what is under way.
func (f *Recording) Close() error {
	if f.r != nil {
		f.r.Close()
		f.r = nil
	}
	return nil
}

// Seek implements io.Seeker. It waits for nothing.
func (f *Recording) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += int64(f.at)
	case io.SeekEnd:
		offset += f.Size()
	default:
		return 0, fmt.Errorf("rewind: seek from %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("rewind: seek to before the start")
	}
	if uint64(offset) != f.at {
		f.at, f.rest = uint64(offset), nil
		f.Close()
	}
	return offset, nil
}

// Read implements io.Reader. It fetches the blocks it needs, and a few ahead.
func (f *Recording) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.at >= f.ends[len(f.ends)-1] {
			return 0, io.EOF
		}
		if err := f.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	f.at += uint64(n)
	return n, nil
}

// load gets the block in which the next byte is.
func (f *Recording) load() error {
	i := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > f.at })
	if f.r == nil {
		f.r = f.s.reader(f.ext, f.ext.First+uint64(i))
		f.r.raw, f.r.part, f.r.end = true, true, f.ext.Last+1
	}
	begin := uint64(0)
	if i > 0 {
		begin = f.ends[i-1]
	}
	_, data, err := f.r.Next(f.ctx)
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case f.r.next != f.ext.First+uint64(i)+1 || uint64(len(data)) != f.ends[i]-begin:
		return fmt.Errorf("block %d has another length than it had", f.r.next-1)
	}
	f.rest = data[f.at-begin:]
	return nil
}
