package host

import (
	"context"
	"errors"
	"math/bits"
	"slices"
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
	readers chan struct{}     // one for each call of Block and Seek that reads our store
	askers  chan struct{}     // one for each that waits for neighbours
	asks    chan reading      // to the loop, from readers
	extents chan query        // to the loop
	recalls chan relay.Recall // to those who read the store
	poke    chan struct{}     // a stream was opened
	lookUps chan struct{}     // one for each under way

	mu   sync.Mutex // guards what follows
	open []*open
}

// reading is a wish, or the end of one.
type reading struct {
	*wish
	over bool
}

// query asks the loop how far a stream's past reaches.
type query struct {
	open   *open
	answer chan Extent // closed without one if nothing can be had
}

func newPast() past {
	return past{
		readers: make(chan struct{}, maxReaders), askers: make(chan struct{}, maxAskers), asks: make(chan reading), extents: make(chan query),
		recalls: make(chan relay.Recall, maxRecalls), poke: make(chan struct{}, 1),
		lookUps: make(chan struct{}, maxLookUps),
	}
}

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

func (p *past) all() []*open {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.open)
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

// isOpened takes the news that a stream was opened. It is for the loop.
func (h *Host) isOpened(info stripe.Info) {
	h.past.opened(info)
	h.lib.opened(time.Now(), info)
	select {
	case h.past.poke <- struct{}{}:
	default:
	}
}

// read takes a wish, or its end. It is for the loop.
func (h *Host) read(r reading) {
	if r.over {
		h.lib.take(time.Now(), r.wish)
	} else if o := h.past.stream(r.key.Stream); o == nil || o.key() != r.key {
		r.answer <- answer{err: ErrAbsent}
	} else {
		h.lib.ask(time.Now(), r.wish)
	}
	h.drain()
}

// reach answers a query. It is for the loop.
func (h *Host) reach(q query) {
	key := q.open.key()
	e, ok := h.core.Extent(time.Now(), key.Stream)
	if !ok {
		close(q.answer)
		return
	}
	guess := func(number uint64, known int64) time.Time {
		if known == 0 {
			known, _ = h.lib.marks.about(key, number, q.open.info.BlockTime)
		}
		if known == 0 {
			return time.Time{}
		}
		return time.UnixMilli(known)
	}
	q.answer <- Extent{
		Info: q.open.info, First: e.First, Last: e.Last, Live: e.Live,
		From: guess(e.First, e.From), To: guess(e.Last, e.To),
	}
}

// begin waits for one of some places; the caller must leave it if the error is nil. Who
// waits for neighbours keeps nobody from our own store.
func (h *Host) begin(ctx context.Context, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return ErrEnded
	}
}

func leave(places chan struct{}) { <-places }

// wait has the library answer a wish.
func (h *Host) wait(ctx context.Context, w *wish) (a answer) {
	w.since, w.answer = time.Now(), make(chan answer, 1)
	select {
	case h.past.asks <- reading{wish: w}:
	case <-ctx.Done():
		return answer{err: ctx.Err()}
	case <-h.done:
		return answer{err: ErrEnded}
	}
	select {
	case a = <-w.answer:
		return a
	case <-ctx.Done():
		a.err = ctx.Err()
	case <-h.done:
		return answer{err: ErrEnded}
	}
	select {
	case h.past.asks <- reading{w, true}:
	case <-h.done:
	}
	return a
}

// Extent is what can be had of a stream; false if that is nothing, or not known yet.
// A source time that is not known is asked of neighbours, and is there a little later.
// It may wait for the disk.
func (h *Host) Extent(id stripe.ID) (Extent, bool) {
	o := h.past.stream(id)
	if o == nil {
		return Extent{}, false
	}
	e, ok := h.extent(o)
	if !ok {
		return e, false
	}
	for _, end := range []struct {
		number uint64
		at     *time.Time
	}{{e.First, &e.From}, {e.Last, &e.To}} {
		if at, ok := h.ownTime(o, end.number); ok {
			*end.at = at
		} else if end.at.IsZero() && h.cfg.Participant.Play {
			h.lookUp(o, end.number)
		}
	}
	return e, true
}

func (h *Host) extent(o *open) (Extent, bool) {
	q := query{o, make(chan Extent, 1)}
	select {
	case h.past.extents <- q:
		e, ok := <-q.answer
		return e, ok
	case <-h.done:
		return Extent{}, false
	}
}

// ownTime is the source time of a block that our store has something of.
func (h *Host) ownTime(o *open, number uint64) (time.Time, bool) {
	if h.cfg.Store == nil {
		return time.Time{}, false
	}
	blocks, _ := h.cfg.Store.Blocks(o.key(), number, number) // what cannot be read was reported
	if len(blocks) == 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(blocks[0].SourceTime), true
}

// lookUp has a block's header fetched, unless enough are.
func (h *Host) lookUp(o *open, number uint64) {
	select {
	case h.past.lookUps <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-h.past.lookUps }()
		ctx, cancel := context.WithTimeout(context.Background(), lookUpTime)
		defer cancel()
		h.wait(ctx, &wish{key: o.key(), from: number, upto: number, headers: true})
	}()
}

// Block returns a block of the past: from our own window or store if k shards of it
// are there, else from neighbours, who are asked for the next ones too while calls
// ask for ascending numbers. ErrAbsent: nobody has it. Nobody may change the bytes.
func (h *Host) Block(ctx context.Context, id stripe.ID, number uint64) (stripe.Header, []byte, error) {
	o := h.past.stream(id)
	if o == nil {
		return stripe.Header{}, nil, ErrNoStream
	}
	if err := h.begin(ctx, h.past.readers); err != nil {
		return stripe.Header{}, nil, err
	}
	b, ok := h.own(o, number)
	upto := number
	if !ok {
		upto = h.lacks(o, number)
	}
	leave(h.past.readers)
	if ok {
		return b.Header, b.Data, nil
	}
	if !h.cfg.Participant.Play || number >= 1<<32 {
		return stripe.Header{}, nil, ErrAbsent
	}
	if err := h.begin(ctx, h.past.askers); err != nil {
		return stripe.Header{}, nil, err
	}
	defer leave(h.past.askers)
	a := h.wait(ctx, &wish{key: o.key(), from: number, upto: upto})
	return a.block.Header, a.block.Data, a.err
}

// Headers fetches the headers of blocks from neighbours, at most MaxHeaders at once and
// in no hurry: while anybody waits for a block it stands still. Those that nobody has
// are left out.
func (h *Host) Headers(ctx context.Context, id stripe.ID, from, upto uint64) ([]stripe.Header, error) {
	o := h.past.stream(id)
	switch {
	case o == nil:
		return nil, ErrNoStream
	case !h.cfg.Participant.Play || upto >= 1<<32 || from > upto || upto-from >= MaxHeaders:
		return nil, ErrAbsent
	}
	if err := h.begin(ctx, h.past.askers); err != nil {
		return nil, err
	}
	defer leave(h.past.askers)
	a := h.wait(ctx, &wish{key: o.key(), from: from, upto: upto, headers: true, idle: true})
	if len(a.headers) > 0 && errors.Is(a.err, ErrAbsent) {
		a.err = nil
	}
	return a.headers, a.err
}

// lacks is the last of the blocks from number on that our store has not enough of, as
// far as anything is fetched ahead.
func (h *Host) lacks(o *open, number uint64) uint64 {
	upto := min(number+maxFetchAhead, 1<<32-1)
	if h.cfg.Store == nil {
		return upto
	}
	blocks, _ := h.cfg.Store.Blocks(o.key(), number+1, upto)
	for _, b := range blocks {
		if bits.OnesCount64(b.Have) >= o.info.Layout.K {
			return b.Number - 1
		}
	}
	return upto
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
