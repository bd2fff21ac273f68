package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Block is what a store has of a block.
type Block struct {
	Number     uint64
	SourceTime int64 // Unix ms
	Flags      stripe.Flags
	Have       uint64 // bit i: shard i
}

// Span is what a store has of an epoch.
type Span struct {
	First, Last uint64    // numbers of blocks, both held; between them some may not be
	From, To    time.Time // when the source closed the first and the last of them
	Blocks      uint64    // one that two segments share counts twice
	Shards      uint64
	Bytes       int64
}

// Get reads a shard. What it returns is what was put: the checksum is right, and it is
// the shard asked for. Whether its source made it is for the caller to check, as with
// a shard from anywhere. ErrNotHeld: the store does not have it.
func (s *Store) Get(key Key, number uint64, i int) (*stripe.Shard, error) {
	if number >= 1<<32 || i < 0 || i >= stripe.MaxShards {
		return nil, ErrNotHeld
	}
	failure := error(ErrNotHeld)
	for _, g := range s.covering(key, number, number) {
		sh, err := s.read(g, uint32(number), i)
		if err == nil {
			return sh, nil
		}
		if !errors.Is(err, ErrNotHeld) {
			failure = err
		}
	}
	return nil, failure
}

// Has is which shards of a block are held: bit i is shard i. It may wait for the disk.
func (s *Store) Has(key Key, number uint64) (uint64, error) {
	b, err := s.Blocks(key, number, number)
	if len(b) == 0 {
		return 0, err
	}
	return b[0].Have, err
}

// Blocks lists the blocks held from one number to another, both included, ascending,
// and no more than MaxBlocks of them. It may wait for the disk; a part that cannot be
// read is left out, and then there is an error too.
func (s *Store) Blocks(key Key, from, to uint64) (blocks []Block, err error) {
	covering := s.covering(key, from, to)
	slices.SortStableFunc(covering, func(a, b view) int { return cmp.Compare(a.first, b.first) })
	for _, g := range covering {
		if len(blocks) >= MaxBlocks && blocks[MaxBlocks-1].Number < uint64(g.first) {
			break
		}
		l, failure := s.acquire(g.segment)
		if failure != nil {
			if !errors.Is(failure, ErrNotHeld) {
				err = failure
			}
			continue
		}
		s.mu.Lock()
		at, _ := l.index.find(uint32(min(from, 1<<32-1)))
		var more []Block
		for _, e := range l.index.entries[at:] {
			if uint64(e.number) > to || len(more) == MaxBlocks {
				break
			}
			if e.have != 0 {
				more = append(more, Block{uint64(e.number), e.time, e.flags, e.have})
			}
		}
		s.mu.Unlock()
		s.release(g.segment)
		blocks = join(blocks, more)
	}
	return blocks[:min(len(blocks), MaxBlocks)], err
}

// join merges two lists of blocks.
func join(a, b []Block) []Block {
	if len(a) == 0 || len(b) == 0 || a[len(a)-1].Number < b[0].Number {
		return append(a, b...)
	}
	var all []Block
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0].Number, b[0].Number) {
		case -1:
			all, a = append(all, a[0]), a[1:]
		case 1:
			all, b = append(all, b[0]), b[1:]
		default:
			a[0].Have |= b[0].Have
			b = b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// Seek finds where one who wants to see a time begins: the newest block that one can
// start at and that the source closed at or before it; else the oldest that one can
// start at; else the oldest. ErrNotHeld: there is none. It may wait for the disk.
func (s *Store) Seek(key Key, at time.Time) (Block, error) {
	ms := at.UnixMilli()
	var best, first, oldest mark
	var found, starts, any bool
	better := func(m mark) {
		if !found || best.before(m) {
			best, found = m, true
		}
	}
	for _, g := range s.covering(key, 0, 1<<32-1) {
		if !any || g.oldest.before(oldest) {
			oldest, any = g.oldest, true
		}
		if !g.starts {
			continue
		}
		if !starts || g.startFirst.before(first) {
			first, starts = g.startFirst, true
		}
		switch {
		case g.startLast.time <= ms:
			better(g.startLast)
		case g.startFirst.time <= ms:
			l, err := s.acquire(g.segment)
			if err != nil {
				continue // it was reported; there may be another
			}
			s.mu.Lock()
			m, ok := l.index.access(ms)
			s.mu.Unlock()
			s.release(g.segment)
			if ok {
				better(m)
			}
		}
	}
	switch {
	case found:
	case starts:
		best = first
	case any:
		best = oldest
	default:
		return Block{}, ErrNotHeld
	}
	b, err := s.Blocks(key, uint64(best.number), uint64(best.number))
	if len(b) == 0 {
		return Block{}, cmp.Or(err, ErrNotHeld)
	}
	return b[0], nil
}

// Keys lists what the store has anything of, in order. It does not wait for the disk.
func (s *Store) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []Key
	for _, t := range s.tapes {
		if len(t.segments) > 0 {
			keys = append(keys, t.key)
		}
	}
	return keys
}

// Span is what the store has of an epoch. It does not wait for the disk.
func (s *Store) Span(key Key) (Span, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tape(key)
	if t == nil {
		return Span{}, false
	}
	var all summary
	var span Span
	for _, g := range t.segments {
		all.join(&g.summary)
		span.Blocks += uint64(g.blocks)
		span.Shards += uint64(g.shards)
		span.Bytes += g.size
	}
	span.First, span.Last = uint64(all.first), uint64(all.last)
	span.From, span.To = time.UnixMilli(all.oldest.time), time.UnixMilli(all.newest.time)
	return span, all.blocks > 0
}

// Info is the newest signed info that was put, to be checked by the caller. It may
// wait for the disk.
func (s *Store) Info(key Key) ([]byte, error) {
	s.mu.Lock()
	t := s.tape(key)
	if t == nil || t.info != nil || s.ended {
		defer s.mu.Unlock()
		if t == nil || t.info == nil {
			return nil, ErrNotHeld
		}
		return t.info, nil
	}
	segments := slices.Clone(t.segments)
	infos := make([]uint32, len(segments))
	for i, g := range segments {
		infos[i] = g.info
	}
	s.mu.Unlock()
	for i, g := range slices.Backward(segments) {
		if infos[i] == 0 {
			continue
		}
		if info, err := s.readInfo(g, infos[i]); err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if t.info == nil {
				t.info = info
			}
			return t.info, nil
		}
	}
	return nil, ErrNotHeld
}

func (s *Store) readInfo(g *segment, at uint32) ([]byte, error) {
	l, err := s.acquire(g)
	if err != nil {
		return nil, err
	}
	defer s.release(g)
	head := make([]byte, recordHead)
	if err := readFull(l.file, head, int64(at)); err != nil {
		return nil, err
	}
	r := wire.NewReader(head)
	r.U32()
	n := int(r.U32())
	if n > stripe.MaxInfo {
		return nil, errDamaged
	}
	b := make([]byte, recordHead+n)
	if err := readFull(l.file, b, int64(at)); err != nil {
		return nil, err
	}
	kind, body, err := openRecord(b, g.tape.salt)
	if err != nil || kind != kindInfo {
		return nil, errDamaged
	}
	return body, nil
}

// view is a segment as it was a moment ago.
type view struct {
	*segment
	summary
}

// covering is the segments that may have blocks of these numbers, newest first.
func (s *Store) covering(key Key, from, to uint64) (views []view) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tape(key)
	if t == nil {
		return nil
	}
	for _, g := range slices.Backward(t.segments) {
		if g.blocks > 0 && uint64(g.first) <= to && uint64(g.last) >= from {
			views = append(views, view{g, g.summary})
		}
	}
	return views
}

// read reads a shard of one segment.
func (s *Store) read(g view, number uint32, i int) (*stripe.Shard, error) {
	l, err := s.acquire(g.segment)
	if err != nil {
		return nil, err
	}
	defer s.release(g.segment)
	s.mu.Lock()
	offset, size, ok := l.index.where(number, i)
	s.mu.Unlock()
	if !ok {
		return nil, ErrNotHeld
	}
	sh, err := readShard(l.file, g.tape, offset, size)
	if err == nil && (sh.Number != uint64(number) || sh.Index != i) {
		err = errDamaged
	}
	if err == nil {
		return sh, nil
	}
	if errors.Is(err, errDamaged) {
		s.mu.Lock()
		l.index.forget(number, i)
		s.mu.Unlock()
	}
	s.readFailed(g.segment, err)
	return nil, fmt.Errorf("block %d, shard %d: %w", number, i, err)
}

func readShard(f File, t *tape, offset, size uint32) (*stripe.Shard, error) {
	b := make([]byte, recordHead+int(size))
	if err := readFull(f, b, int64(offset)); err != nil {
		return nil, err
	}
	kind, body, err := openRecord(b, t.salt)
	if err != nil || kind != kindShard {
		return nil, errDamaged
	}
	sh, err := stripe.ParseShard(t.key.Stream, body)
	if err != nil || sh.Epoch != t.key.Epoch {
		return nil, errDamaged
	}
	return sh, nil
}

// acquire makes a segment's index be in memory until it is released.
func (s *Store) acquire(g *segment) (*loaded, error) {
	s.mu.Lock()
	if g.loaded == nil && !g.gone && !s.ended {
		sealed, size := g.sealed, g.size
		s.mu.Unlock()
		l, err := s.load(g, sealed, size)
		if err != nil {
			return nil, s.missed(g, err)
		}
		s.mu.Lock()
		if g.loaded == nil && !g.gone && !s.ended {
			g.loaded = l
			s.cached = append(s.cached, g)
		} else {
			defer l.file.Close()
		}
	}
	if g.gone || s.ended {
		defer s.mu.Unlock()
		if s.ended {
			return nil, ErrClosed
		}
		return nil, ErrNotHeld
	}
	g.refs++
	s.uses++
	g.used = s.uses
	l, closing := g.loaded, s.evict()
	s.mu.Unlock()
	closeAll(closing)
	return l, nil
}

// missed tells why a segment could not be loaded: perhaps it was removed meanwhile.
func (s *Store) missed(g *segment, err error) error {
	s.mu.Lock()
	gone := g.gone
	s.mu.Unlock()
	if gone {
		return ErrNotHeld
	}
	s.readFailed(g, err)
	return err
}

// release is the end of what acquire began.
func (s *Store) release(g *segment) {
	s.mu.Lock()
	var closing []File
	if g.refs--; g.refs == 0 && (g.gone || s.ended) {
		closing = append(closing, g.loaded.file)
		g.loaded = nil
	}
	s.mu.Unlock()
	closeAll(closing)
}

// evict takes the indexes used longest ago out of memory. It is called with mu held.
func (s *Store) evict() (closing []File) {
	for over := len(s.cached) - maxLoaded; over > 0; over-- {
		at := -1
		for i, g := range s.cached {
			if g.refs == 0 && (at < 0 || g.used < s.cached[at].used) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		g := s.cached[at]
		closing = append(closing, g.loaded.file)
		g.loaded = nil
		s.cached = slices.Delete(s.cached, at, at+1)
	}
	return closing
}

// load reads a segment's index, or makes it from the records.
func (s *Store) load(g *segment, sealed bool, size int64) (*loaded, error) {
	f, err := s.fs.Open(g.path(), false)
	if err != nil {
		return nil, err
	}
	if sealed {
		end, err := readTrailer(f, size, g.tape.salt)
		if err == nil {
			x, err := readIndex(f, end, g.tape.salt)
			if err == nil {
				return &loaded{f, x}, nil
			}
		}
	}
	x, _, _, err := scan(f, size, g.tape.key)
	if err != nil && len(x.entries) == 0 {
		f.Close()
		return nil, err
	}
	return &loaded{f, x}, nil
}
