package relay

import (
	"math/bits"

	"github.com/stripecast/stripecast/stripe"
)

// block is what the window holds of one block.
type block struct {
	stripe.Header
	proof  *Proof          // nil until the source's signature was checked
	shards []*stripe.Shard // by index
	have   uint64          // bit i: shards[i] is held
	asked  uint64          // bit i: shard i is being checked or waits for it
	bytes  int

	old      bool      // it is of the past, and not in the window
	withheld uint64    // bit i: shard i was pulled, and not passed on
	checking bool      // a signature check is under way
	waiting  []Arrived // shards that came meanwhile
	rebuild  rebuildState
}

type rebuildState uint8

const (
	notRebuilt rebuildState = iota
	rebuilding
	rebuilt
)

func (b *block) count() int { return bits.OnesCount64(b.have) }

// window is the run of proved blocks of one stream that a participant holds, and
// a few ahead that are not proved yet. Only a proved block moves it.
type window struct {
	ring     [MaxWindowBlocks]*block // by number; only proved blocks
	head     uint64                  // newest proved block
	first    uint64                  // the block with which it began
	low      uint64                  // none below is held or taken any more
	started  bool
	bytes    int
	unproven []*block
}

// get returns the block of that number, proved or not, or nil.
func (w *window) get(number uint64) *block {
	if b := w.ring[number%MaxWindowBlocks]; b != nil && b.Number == number {
		return b
	}
	for _, b := range w.unproven {
		if b.Number == number {
			return b
		}
	}
	return nil
}

// at returns a proved block or nil.
func (w *window) at(number uint64) *block {
	if b := w.ring[number%MaxWindowBlocks]; b != nil && b.Number == number {
		return b
	}
	return nil
}

// open returns the block that a shard belongs to, a new unproved one if need be,
// or nil if it is behind the window or too much is unproved already.
func (w *window) open(h *stripe.Header) *block {
	if b := w.get(h.Number); b != nil {
		return b
	}
	if w.started && h.Number < w.low || len(w.unproven) >= MaxUnproven {
		return nil
	}
	b := &block{Header: *h, shards: make([]*stripe.Shard, h.Layout.N())}
	w.unproven = append(w.unproven, b)
	return b
}

// prove takes a block into the window.
func (w *window) prove(b *block, p *Proof) {
	b.Header, b.proof = p.Header, p
	w.forget(b)
	if w.started && b.Number < w.low {
		return
	}
	switch {
	case !w.started:
		w.started, w.head, w.first, w.low = true, b.Number, b.Number, 0
		if b.Number >= MaxWindowBlocks {
			w.low = b.Number - MaxWindowBlocks + 1
		}
	case b.Number > w.head:
		w.head = b.Number
		if b.Number >= MaxWindowBlocks {
			w.raise(b.Number - MaxWindowBlocks + 1)
		}
	}
	w.ring[b.Number%MaxWindowBlocks] = b
	w.trim()
}

// forget drops an unproved block.
func (w *window) forget(b *block) {
	for i, u := range w.unproven {
		if u == b {
			w.unproven = append(w.unproven[:i], w.unproven[i+1:]...)
			return
		}
	}
}

// put holds a checked shard of a proved block.
func (w *window) put(b *block, s *stripe.Shard) {
	b.shards[s.Index] = s
	b.have |= 1 << s.Index
	n := len(s.Encoded())
	b.bytes += n
	if w.at(b.Number) == b {
		w.bytes += n
	}
	for w.bytes > MaxWindowBytes && w.low < w.head {
		w.raise(w.low + 1)
	}
}

// raise drops the blocks below low.
func (w *window) raise(low uint64) {
	if low <= w.low {
		return
	}
	if low-w.low > MaxWindowBlocks {
		clear(w.ring[:])
		w.bytes, w.low = 0, low
		return
	}
	for ; w.low < low; w.low++ {
		if b := w.at(w.low); b != nil {
			w.bytes -= b.bytes
			w.ring[w.low%MaxWindowBlocks] = nil
		}
	}
}

// trim keeps the window's age within its bound, but never drops the head.
func (w *window) trim() {
	newest := w.at(w.head)
	for n := w.low; newest != nil && n < w.head; n++ {
		b := w.at(n)
		if b == nil {
			continue // may still come
		}
		if newest.SourceTime-b.SourceTime <= MaxWindowAge.Milliseconds() {
			return
		}
		w.raise(n + 1)
	}
}

// start is where a newcomer to stripe s begins: the newest random access block
// that is at least back (ms of source time) behind the head, else the oldest one
// held, else the oldest block less than back behind.
func (w *window) start(s int, back int64) uint64 {
	if !w.started {
		return 0
	}
	newest := w.at(w.head)
	var access, any uint64
	var hasAccess, hasAny bool
	for n := w.head; ; n-- {
		if b := w.at(n); b != nil && b.have>>s&1 == 1 {
			old := newest.SourceTime-b.SourceTime >= back
			if b.Has(stripe.RandomAccess) {
				if access, hasAccess = n, true; old {
					return n
				}
			}
			if !old || !hasAny {
				any, hasAny = n, true
			}
		}
		if n == w.low {
			break
		}
	}
	switch {
	case hasAccess:
		return access
	case hasAny:
		return any
	}
	return w.head + 1
}
