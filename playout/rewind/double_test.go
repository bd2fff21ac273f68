package rewind_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/rewind/rewindtest"
	"github.com/stripecast/stripecast/stripe"
)

// bigBlocks is a past without an end, of blocks as large as they may be.
type bigBlocks struct {
	data  []byte
	asked atomic.Int64
}

func (b *bigBlocks) Extent() (rewind.Extent, bool) { return rewind.Extent{Last: 1 << 20}, true }
func (b *bigBlocks) Seek(context.Context, time.Time) (uint64, error) {
	return 0, nil
}
func (b *bigBlocks) Block(_ context.Context, number uint64) (stripe.Header, []byte, error) {
	b.asked.Add(1)
	return stripe.Header{Number: number}, b.data, nil
}
func (b *bigBlocks) Lengths(context.Context, uint64, uint64, func(uint64, int) bool) {}

func (b *bigBlocks) Ask(context.Context, uint64, uint64, func(uint64, int) bool) error {
	return rewind.ErrAbsent
}

func openStart(t *testing.T, s *rewind.Stream) *rewind.Reader {
	t.Helper()
	r, err := s.Open(t.Context(), rewind.From{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runs is a past in which one film takes another's place.
type runs struct {
	mu sync.Mutex // guards Film
	*rewindtest.Film
}

func (r *runs) now() *rewindtest.Film {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Film
}

func (r *runs) swap(f *rewindtest.Film) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Film = f
}

func (r *runs) Extent() (rewind.Extent, bool) { return r.now().Extent() }
func (r *runs) Block(ctx context.Context, number uint64) (stripe.Header, []byte, error) {
	return r.now().Block(ctx, number)
}
