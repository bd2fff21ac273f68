package host

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// What a reader of the past is told.
var (
	// ErrAbsent means that nobody within reach has enough of the block: skip it.
	ErrAbsent = errors.New("nobody has this block")
	// ErrNoStream means that nothing is known of the stream, yet or any more.
	ErrNoStream = errors.New("the stream is not known")
	// ErrEnded means that the participant has ended.
	ErrEnded = errors.New("the participant has ended")
)

// Extent is the stretch of a stream that can be had now: from our own window and
// store, or from neighbours. Some blocks within it may be absent.
type Extent struct {
	Info        stripe.Info
	First, Last uint64
	From, To    time.Time // source times of them; zero where not known yet
	Live        bool      // new blocks come: Last grows
}

// open is a stream that was opened.
type open struct {
	info  stripe.Info
	coder *fec.Coder
}

func (o *open) key() store.Key { return store.Key{Stream: o.info.Stream, Epoch: o.info.Epoch} }

// past is what a Host needs to read the past of its streams.
type past struct {
	readers chan struct{} // one for each call of Block and Seek under way

	mu   sync.Mutex // guards what follows
	open []*open
}

func newPast() past { return past{readers: make(chan struct{}, maxReaders)} }

// opened notes a stream's info.
func (p *past) opened(info stripe.Info) {
	coder, err := fec.New(info.Layout)
	if err != nil {
		panic(err) // the Core validated it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.open {
		if o.info.Stream == info.Stream {
			p.open[i] = &open{info, coder}
			return
		}
	}
	p.open = append(p.open, &open{info, coder})
	if len(p.open) > maxOpen {
		p.open = p.open[1:]
	}
}

func (p *past) stream(id stripe.ID) *open {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		if o.info.Stream == id {
			return o
		}
	}
	return nil
}

// begin waits for a reader's place; the caller must call end if the error is nil.
func (h *Host) begin(ctx context.Context) error {
	select {
	case h.past.readers <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return ErrEnded
	}
}

func (h *Host) finish() { <-h.past.readers }

// Extent is what can be had of a stream; false if that is nothing, or not known yet.
func (h *Host) Extent(id stripe.ID) (Extent, bool) {
	o := h.past.stream(id)
	if o == nil || h.cfg.Store == nil {
		return Extent{}, false
	}
	span, ok := h.cfg.Store.Span(o.key())
	return Extent{Info: o.info, First: span.First, Last: span.Last, From: span.From, To: span.To}, ok
}

// Seek is where one who wants to see a time begins: the newest random access block
// whose source time is not after it, or the first block of the extent if there is none.
func (h *Host) Seek(ctx context.Context, id stripe.ID, at time.Time) (number uint64, err error) {
	if err := h.begin(ctx); err != nil {
		return 0, err
	}
	defer h.finish()
	o := h.past.stream(id)
	if o == nil {
		return 0, ErrNoStream
	}
	if h.cfg.Store == nil {
		return 0, ErrAbsent
	}
	b, err := h.cfg.Store.Seek(o.key(), at)
	if err != nil {
		return 0, ErrAbsent
	}
	return b.Number, nil
}

// Block returns a block of the past: from our own window or store if k shards of it
// are there, else from neighbours, who are asked for the next ones too while calls
// ask for ascending numbers. ErrAbsent: nobody has it. Nobody may change the bytes.
func (h *Host) Block(ctx context.Context, id stripe.ID, number uint64) (stripe.Header, []byte, error) {
	if err := h.begin(ctx); err != nil {
		return stripe.Header{}, nil, err
	}
	defer h.finish()
	o := h.past.stream(id)
	if o == nil {
		return stripe.Header{}, nil, ErrNoStream
	}
	if b, ok := h.own(o, number); ok {
		return b.Header, b.Data, nil
	}
	return stripe.Header{}, nil, ErrAbsent
}

// own makes a block of what our own store has. It is believed no more than what a
// stranger sends.
func (h *Host) own(o *open, number uint64) (b relay.Recovered, ok bool) {
	if h.cfg.Store == nil {
		return b, false
	}
	layout := o.info.Layout
	have, _ := h.cfg.Store.Has(o.key(), number) // what cannot be read was reported
	shards, count := make([]*stripe.Shard, layout.N()), 0
	var known *relay.Proof
	for i := 0; i < layout.N() && count < layout.K; i++ {
		if count+bits.OnesCount64(have>>i) < layout.K {
			return b, false
		}
		if have>>i&1 == 0 {
			continue
		}
		sh, err := h.cfg.Store.Get(o.key(), number, i)
		if err != nil || sh.Layout != layout {
			continue
		}
		done := relay.Check{Shard: sh, Known: known}.Do().(relay.Checked)
		if done.Verdict != relay.Genuine {
			continue
		}
		known = &relay.Proof{Header: sh.Header, Root: done.Root, Sig: sh.Sig}
		shards[i], count = sh, count+1
	}
	if count < layout.K {
		return b, false
	}
	done := relay.Rebuild{Coder: o.coder, Shards: shards}.Do().(relay.Rebuilt)
	if done.Shards == nil {
		return b, false // the source signed nonsense
	}
	return relay.Recovered{Header: done.Shards[0].Header, Data: done.Data}, true
}
