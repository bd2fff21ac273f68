// Package rewindtest is a past for tests: a stream that was really cut, coded and
// sealed, of which a test says what is held. Blocks are rebuilt from k of their shards.
package rewindtest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// BlockTime is how long a block is.
const BlockTime = 100 * time.Millisecond

// Began is when the source closed a film's first block.
var Began = time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)

// Film implements rewind.Past.
type Film struct {
	coder *fec.Coder

	mu      sync.Mutex // guards what follows
	info    stripe.Info
	headers []stripe.Header
	data    [][]byte          // as cut
	shards  [][]*stripe.Shard // by number
	first   uint64
	last    uint64
	live    bool
	absent  map[uint64]bool
	lengths bool
	told    bool
	undated bool
	gate    chan struct{} // Block waits for it; nil: it does not
	asked   []uint64
	now     int // Blocks under way
	most    int // of them at once
}

// New cuts, codes and seals a transport stream. All of it is held, and it has ended.
func New(epoch uint32, input []byte) *Film {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	f := &Film{absent: map[uint64]bool{}}
	f.info = stripe.Info{
		Stream: stripe.IDOf(key), Epoch: epoch, Layout: stripe.Layout{K: 4, M: 2},
		BlockTime: BlockTime, Rate: 1e6, Media: stripe.MediaTS, Name: "film",
	}
	coder, err := fec.New(f.info.Layout)
	if err != nil {
		panic(err)
	}
	f.coder = coder
	cutter := ts.NewCutter(ts.DefaultConfig())
	cuts := append([]ts.Cut(nil), cutter.Write(Began, input)...)
	cuts = append(cuts, cutter.Flush(Began)...)
	for i, c := range append(cuts, ts.Cut{}) {
		pieces := coder.Encode(c.Data)
		h := stripe.Header{
			Stream: f.info.Stream, Epoch: epoch, Number: uint64(i), Layout: f.info.Layout,
			ShardLen: len(pieces[0]), DataLen: len(c.Data), MediaTime: c.MediaTime,
			SourceTime: Began.Add(time.Duration(i) * BlockTime).UnixMilli(),
		}
		if c.RandomAccess {
			h.Flags |= stripe.RandomAccess
		}
		if i == len(cuts) {
			h.Flags |= stripe.End
		}
		f.headers, f.data = append(f.headers, h), append(f.data, c.Data)
		f.shards = append(f.shards, stripe.Seal(key, h, pieces))
	}
	f.last = uint64(len(cuts))
	return f
}

// Hold says what is held, and whether more is to come.
func (f *Film) Hold(first, last uint64, live bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first, f.last, f.live = first, last, live
}

// Lose makes nobody have these blocks.
func (f *Film) Lose(numbers ...uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range numbers {
		f.absent[n] = true
	}
}

// Find ends that.
func (f *Film) Find(numbers ...uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range numbers {
		delete(f.absent, n)
	}
}

// Index makes all lengths known, or none.
func (f *Film) Index(known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lengths = known
}

// Tell makes others know all lengths, or none.
func (f *Film) Tell(known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = known
}

// Undate makes the extent not say when it begins and ends.
func (f *Film) Undate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.undated = true
}

// Shut makes every Block wait until the returned function is called.
func (f *Film) Shut() (open func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.gate = gate
	return sync.OnceFunc(func() { close(gate) })
}

// Asked is which blocks were asked for, in order, and how many at once at the most.
func (f *Film) Asked() (numbers []uint64, most int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]uint64(nil), f.asked...), f.most
}

// Len is how many blocks there are, the one that ends it too.
func (f *Film) Len() int { return len(f.data) }

// Cut is a block as it was cut.
func (f *Film) Cut(number uint64) (stripe.Header, []byte) { return f.headers[number], f.data[number] }

// Join is the bytes of the blocks from one number to another, both included.
func (f *Film) Join(first, last uint64) []byte { return bytes.Join(f.data[first:last+1], nil) }

// Extent implements rewind.Past.
func (f *Film) Extent() (rewind.Extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := func(n uint64) time.Time {
		if f.undated {
			return time.Time{}
		}
		return time.UnixMilli(f.headers[n].SourceTime)
	}
	return rewind.Extent{Info: f.info, First: f.first, Last: f.last, From: at(f.first), To: at(f.last), Live: f.live}, true
}

// Seek implements rewind.Past.
func (f *Film) Seek(_ context.Context, at time.Time) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.headers[f.first : f.last+1]
	after := sort.Search(len(held), func(i int) bool { return held[i].SourceTime > at.UnixMilli() })
	for i := after - 1; i >= 0; i-- {
		if held[i].Has(stripe.RandomAccess) {
			return held[i].Number, nil
		}
	}
	for _, h := range held {
		if h.Has(stripe.RandomAccess) {
			return h.Number, nil
		}
	}
	return f.first, nil
}

// Block implements rewind.Past.
func (f *Film) Block(ctx context.Context, number uint64) (stripe.Header, []byte, error) {
	f.mu.Lock()
	f.asked = append(f.asked, number)
	f.now++
	f.most = max(f.most, f.now)
	gate, held := f.gate, number >= f.first && number <= f.last && !f.absent[number]
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.now--
	}()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return stripe.Header{}, nil, ctx.Err()
		}
	}
	if !held {
		return stripe.Header{}, nil, fmt.Errorf("block %d: %w", number, rewind.ErrAbsent)
	}
	of := f.shards[number]
	have := make([][]byte, len(of))
	for i := range f.info.Layout.K { // which k changes from block to block
		at := (int(number) + i) % len(of)
		have[at] = of[at].Data
	}
	all, err := f.coder.Rebuild(have)
	if err != nil {
		return stripe.Header{}, nil, err
	}
	return of[0].Header, f.coder.Join(all, of[0].DataLen), nil
}

// Lengths implements rewind.Past.
func (f *Film) Lengths(_ context.Context, from, to uint64, learn func(number uint64, length int) bool) {
	f.mu.Lock()
	known := f.lengths
	f.mu.Unlock()
	for n := from; known && n <= to; n++ {
		if !learn(n, f.headers[n].DataLen) {
			return
		}
	}
}

// Ask implements rewind.Past. Nobody knows the length of what is absent.
func (f *Film) Ask(_ context.Context, from, to uint64, learn func(number uint64, length int) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.told {
		return fmt.Errorf("block %d: %w", from, rewind.ErrAbsent)
	}
	for n := from; n <= min(to, from+rewind.MaxAsk-1); n++ {
		if !f.absent[n] && !learn(n, f.headers[n].DataLen) {
			break
		}
	}
	return nil
}

// Format joins the blocks of a film.
func Format(stripe.Media) rewind.Format {
	return rewind.Format{MarkGap: ts.MarkGap, Starts: ts.HasTables, Prologue: ts.Prologue}
}
