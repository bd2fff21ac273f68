package store

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/stripecast/stripecast/stripe"
)

// entry is where a segment has the shards of one block.
type entry struct {
	mark
	size  uint32 // of each of its shards, encoded
	flags stripe.Flags
	have  uint64   // bit i: shard i is here
	at    []uint32 // offsets of their records, by index
}

// mark is a block and when the source closed it, in Unix ms.
type mark struct {
	number uint32
	time   int64
}

func markOf(h *stripe.Header) mark { return mark{uint32(h.Number), h.SourceTime} }

// before orders marks by time.
func (m mark) before(o mark) bool {
	return cmp.Or(cmp.Compare(m.time, o.time), cmp.Compare(m.number, o.number)) < 0
}

// place is how many shards with a lower index the entry has.
func (e *entry) place(i int) int { return bits.OnesCount64(e.have & (1<<i - 1)) }

// index is where the shards of a segment are, by block number.
type index struct{ entries []entry }

func (x *index) find(number uint32) (int, bool) {
	if n := len(x.entries); n > 0 && x.entries[n-1].number == number {
		return n - 1, true // the usual case of one who writes
	}
	return slices.BinarySearchFunc(x.entries, number, func(e entry, n uint32) int { return cmp.Compare(e.number, n) })
}

// where is the offset and size of a shard.
func (x *index) where(number uint32, i int) (offset, size uint32, ok bool) {
	at, found := x.find(number)
	if !found || x.entries[at].have>>i&1 == 0 {
		return 0, 0, false
	}
	e := &x.entries[at]
	return e.at[e.place(i)], e.size, true
}

// add enters a shard. It is refused if it is there, or if its block has shards of
// another size, as one of two blocks that a source signed for one number may have.
func (x *index) add(h *stripe.Header, i int, size, offset uint32) (newBlock, ok bool) {
	at, found := x.find(uint32(h.Number))
	if !found {
		x.entries = slices.Insert(x.entries, at, entry{mark: markOf(h), size: size, flags: h.Flags})
	}
	e := &x.entries[at]
	if e.size != size || e.have>>i&1 == 1 {
		return false, false
	}
	if e.at == nil {
		e.at = make([]uint32, 0, h.Layout.N())
	}
	e.at = slices.Insert(e.at, e.place(i), offset)
	e.have |= 1 << i
	return !found, true
}

// forget drops a shard that proved damaged.
func (x *index) forget(number uint32, i int) {
	if _, _, ok := x.where(number, i); !ok {
		return
	}
	at, _ := x.find(number)
	e := &x.entries[at]
	e.at = slices.Delete(e.at, e.place(i), e.place(i)+1)
	e.have &^= 1 << i
}

// access is the newest block at or before time that one can start at.
func (x *index) access(time int64) (best mark, ok bool) {
	for i := range x.entries {
		if e := &x.entries[i]; e.flags&stripe.RandomAccess != 0 && e.time <= time && (!ok || best.before(e.mark)) {
			best, ok = e.mark, true
		}
	}
	return best, ok
}

// summary is what is known of a segment without its index.
type summary struct {
	first, last    uint32 // numbers of blocks
	blocks, shards uint32
	oldest, newest mark // by source time
	starts         bool // a block is one to start at; then the first and last of these
	startFirst     mark
	startLast      mark
	info           uint32 // offset of the newest info's record; 0: none
}

// add counts a shard.
func (s *summary) add(h *stripe.Header, newBlock bool) {
	s.shards++
	if !newBlock {
		return
	}
	m := markOf(h)
	if s.blocks++; s.blocks == 1 {
		s.first, s.last, s.oldest, s.newest = m.number, m.number, m, m
	}
	s.first, s.last = min(s.first, m.number), max(s.last, m.number)
	widen(&s.oldest, &s.newest, m)
	if h.Has(stripe.RandomAccess) {
		if !s.starts {
			s.starts, s.startFirst, s.startLast = true, m, m
		}
		widen(&s.startFirst, &s.startLast, m)
	}
}

func widen(low, high *mark, m mark) {
	if m.before(*low) {
		*low = m
	}
	if high.before(m) {
		*high = m
	}
}

// join makes s the summary of two segments' blocks; infos apart.
func (s *summary) join(o *summary) {
	if o.blocks == 0 {
		return
	}
	if s.blocks == 0 {
		*s = *o
		return
	}
	s.first, s.last = min(s.first, o.first), max(s.last, o.last)
	s.blocks += o.blocks
	s.shards += o.shards
	widen(&s.oldest, &s.newest, o.oldest)
	widen(&s.oldest, &s.newest, o.newest)
	if o.starts {
		if !s.starts {
			s.starts, s.startFirst, s.startLast = true, o.startFirst, o.startLast
		}
		widen(&s.startFirst, &s.startLast, o.startFirst)
		widen(&s.startFirst, &s.startLast, o.startLast)
	}
}
