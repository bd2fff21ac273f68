package httpd

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/stripe"
)

// Format says what a broadcast's bytes are, and how to join them where they do
// not follow each other. The broadcaster itself knows no media format.
type Format struct {
	Media stripe.Media
	// Rate is the stream's in bits a second, as it began; 0 is not known.
	Rate uint64
	// MarkGap returns what to send before next to a client that misses what came
	// before it; nil sends nothing. Clients call it at the same time.
	MarkGap func(next []byte) []byte
	// Prologue is given every block in order and returns what a client that
	// begins with this block needs first; nil sends nothing.
	Prologue func(block []byte) []byte
}

// Broadcaster hands one play-out to many clients. All share its ring of recent
// blocks; each has only a place in it. Nobody waits for a client: who falls out
// of the ring skips to the newest random access point.
//
// Begin, Push and End are called in this order by one owner; Push never waits.
type Broadcaster struct {
	mu      sync.Mutex // guards what follows
	format  Format
	run     int    // counts Begin
	live    bool   // between Begin and End
	ring    []slot // the last blocks
	first   uint64 // sequence number of ring[0]
	bytes   int
	changed chan struct{} // closed and replaced when anything changes
	stats   BroadcastStats
}

type slot struct {
	data     []byte
	prologue []byte
	gap      bool // does not follow the slot before
	access   bool // random access
	source   int64
	epoch    uint32
	number   uint64
}

// BroadcastStats are a Broadcaster's counts.
type BroadcastStats struct {
	Clients int    // following now
	Blocks  int    // in the ring
	Bytes   int    // in the ring
	Lagged  uint64 // times a client was too slow and skipped
}

// NewBroadcaster returns one that has not begun.
func NewBroadcaster() *Broadcaster { return &Broadcaster{changed: make(chan struct{})} }

// Begin starts a broadcast. Who still follows an earlier one is at its end.
func (b *Broadcaster) Begin(f Format) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.format, b.live = f, true
	b.run++
	b.first += uint64(len(b.ring))
	b.ring, b.bytes = nil, 0
	b.wake()
}

// Push adds the next block, whose Data must not change any more. Before Begin
// and after End it does nothing.
func (b *Broadcaster) Push(p playout.Play) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.live || len(p.Data) == 0 {
		return
	}
	s := slot{
		data: p.Data, gap: p.Discontinuity,
		access: p.Header.Has(stripe.RandomAccess), source: p.Header.SourceTime,
		epoch: p.Header.Epoch, number: p.Header.Number,
	}
	if b.format.Prologue != nil {
		s.prologue = b.format.Prologue(p.Data)
	}
	b.ring = append(b.ring, s)
	b.bytes += s.size()
	b.trim()
	b.wake()
}

// End ends the broadcast: clients get what is left and are done.
func (b *Broadcaster) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = false
	b.wake()
}

// At implements rewind.Live: whoever comes from the past goes on here.
func (b *Broadcaster) At(epoch uint32, number uint64) ([]byte, rewind.Place, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.ring) - 1; i >= 0; i-- {
		switch s := &b.ring[i]; {
		case s.epoch == epoch && s.number == number:
			return s.data, rewind.Here, b.changed
		case s.epoch != epoch || s.number > number:
		case b.live && i == len(b.ring)-1:
			return nil, rewind.Ahead, b.changed
		default:
			return nil, rewind.Elsewhere, b.changed
		}
	}
	return nil, rewind.Elsewhere, b.changed
}

// Stats is a snapshot.
func (b *Broadcaster) Stats() BroadcastStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Blocks, s.Bytes = len(b.ring), b.bytes
	return s
}

// Media is what is broadcast, and whether anything is.
func (b *Broadcaster) Media() (stripe.Media, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.format.Media, b.live
}

func (b *Broadcaster) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (s *slot) size() int { return len(s.data) + len(s.prologue) }

// trim drops the oldest blocks over the bounds, and those that neither a
// newcomer nor a client a little behind needs.
func (b *Broadcaster) trim() {
	start := b.start()
	drop := 0
	for over := b.bytes; drop < len(b.ring)-1; drop++ {
		full := over > MaxRing || len(b.ring)-drop > MaxRingBlocks
		if !full && (drop >= start || b.behind(drop) <= keep) {
			break
		}
		over -= b.ring[drop].size()
	}
	for i := range drop {
		b.bytes -= b.ring[i].size()
		b.ring[i] = slot{}
	}
	b.ring, b.first = b.ring[drop:], b.first+uint64(drop)
}

// behind is how long before the newest block the source closed that one.
func (b *Broadcaster) behind(i int) time.Duration {
	return time.Duration(b.ring[len(b.ring)-1].source-b.ring[i].source) * time.Millisecond
}

// start is where a newcomer begins: at the newest random access block with the
// lead behind it, else at the oldest. A medium without any begins anywhere.
func (b *Broadcaster) start() int {
	access, ready := -1, 0
	for i := len(b.ring) - 1; i >= 0; i-- {
		if b.ring[i].access {
			access = i
		}
		if b.behind(i) < lead {
			continue
		}
		if b.ring[i].access {
			return i
		}
		ready = max(ready, i)
	}
	if access >= 0 {
		return access
	}
	return ready
}

// oldest is the first random access block, else the oldest.
func (b *Broadcaster) oldest() int {
	for i := range b.ring {
		if b.ring[i].access {
			return i
		}
	}
	return 0
}

// newest is where a client goes on that fell out of the ring.
func (b *Broadcaster) newest() int {
	for i := len(b.ring) - 1; i >= 0; i-- {
		if b.ring[i].access {
			return i
		}
	}
	return len(b.ring) - 1
}

// Follower is one client's place in a broadcast. One goroutine uses it.
type Follower struct {
	b      *Broadcaster
	format Format
	run    int
	next   uint64
	begun  bool // it has had a block
}

// Follow waits for the first block of a broadcast, until ctx ends: of the live
// one, or of one that begins meanwhile, however short it is. Close the follower
// when done.
func (b *Broadcaster) Follow(ctx context.Context) (*Follower, error) {
	return b.follow(ctx, b.start)
}

// follow is Follow from the place in the ring that start says.
func (b *Broadcaster) follow(ctx context.Context, start func() int) (*Follower, error) {
	for run := -1; ; {
		b.mu.Lock()
		if run < 0 {
			run = b.run
		}
		if (b.live || b.run != run) && len(b.ring) > 0 {
			b.stats.Clients++
			f := &Follower{b: b, format: b.format, run: b.run, next: b.first + uint64(start())}
			b.mu.Unlock()
			return f, nil
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Media is what the follower gets.
func (f *Follower) Media() stripe.Media { return f.format.Media }

// Close gives the place up.
func (f *Follower) Close() {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.b.stats.Clients--
}

// Next waits for the next block and returns it, and what must go before it if
// anything does. All clients share the bytes. It returns io.EOF at the end of
// the broadcast.
func (f *Follower) Next(ctx context.Context) (before, data []byte, err error) {
	s, lagged, err := f.await(ctx)
	if err != nil {
		return nil, nil, err
	}
	return f.before(s, lagged), s.data, nil
}

// await waits for the next slot. lagged: what came before it was missed.
func (f *Follower) await(ctx context.Context) (s slot, lagged bool, err error) {
	for {
		s, lagged, changed, err := f.look()
		if err != nil || changed == nil {
			return s, lagged, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return slot{}, false, ctx.Err()
		}
	}
}

// look takes the next slot, or returns what to wait for.
func (f *Follower) look() (s slot, lagged bool, changed <-chan struct{}, err error) {
	b := f.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.run != b.run {
		return s, false, nil, io.EOF
	}
	if f.next < b.first {
		lagged = true
		b.stats.Lagged++
		f.next = b.first + uint64(b.newest())
	}
	if i := f.next - b.first; i < uint64(len(b.ring)) {
		f.next++
		return b.ring[i], lagged, nil, nil
	}
	if !b.live {
		return s, false, nil, io.EOF
	}
	return s, false, b.changed, nil
}

func (f *Follower) before(s slot, lagged bool) []byte {
	switch {
	case !f.begun:
		f.begun = true
		return s.prologue
	case (lagged || s.gap) && f.format.MarkGap != nil:
		return f.format.MarkGap(s.data)
	}
	return nil
}
