package rewind

import (
	"context"
	"sync"

	"github.com/stripecast/stripecast/stripe"
)

// ahead asks for blocks before they are wanted. One goroutine uses it.
type ahead struct {
	past   Past
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	waiting []*fetch // consecutive numbers
	size    int      // of the largest of the blocks lately, halving
}

type fetch struct {
	number uint64
	done   chan struct{} // closed when the rest is there
	header stripe.Header
	data   []byte
	err    error
}

func newAhead(past Past) *ahead {
	ctx, cancel := context.WithCancel(context.Background())
	return &ahead{past: past, ctx: ctx, cancel: cancel}
}

// close calls off what is under way, and waits for that.
func (a *ahead) close() {
	a.cancel()
	a.wg.Wait()
}

// forget calls off what is under way.
func (a *ahead) forget() {
	if len(a.waiting) == 0 {
		return
	}
	a.cancel()
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.waiting = nil
}

// take waits for a block, and asks for those behind it up to last.
func (a *ahead) take(ctx context.Context, number, last uint64) (*fetch, error) {
	if len(a.waiting) > 0 && a.waiting[0].number != number {
		a.forget()
	}
	for next := number + uint64(len(a.waiting)); next <= last && len(a.waiting) < a.depth(); next++ {
		a.waiting = append(a.waiting, a.ask(next))
	}
	f := a.waiting[0]
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a.waiting[0] = nil
	a.waiting = a.waiting[1:]
	a.size = max(len(f.data), a.size-a.size/sizeFades)
	return f, nil
}

// depth is how many blocks may wait.
func (a *ahead) depth() int {
	return min(max(readAheadBytes/max(a.size, 1), leastAhead), readAhead)
}

func (a *ahead) ask(number uint64) *fetch {
	f := &fetch{number: number, done: make(chan struct{})}
	ctx := a.ctx
	a.wg.Go(func() {
		defer close(f.done)
		f.header, f.data, f.err = a.past.Block(ctx, number)
	})
	return f
}
