// Package view plays one stream in real time: it owns a playout.Buffer, feeds it
// what the participant delivers, decrypted if the stream is private, and gives what is due
// to the sinks.
//
//	host.Media() ─Opened, Seen, Deliver─▶ [Keyring] ─▶ playout.Buffer ─Play─▶ Sinks
//
// It is a shell: it lives in real time. One goroutine, Run, owns the buffer.
package view

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// Sink takes what is played. Its methods are called by Run alone, and must not
// wait for whoever reads.
type Sink interface {
	Open(info stripe.Info)
	Push(p playout.Play)
	End()
}

// Player plays one stream to its sinks.
type Player struct {
	delay  time.Duration
	sinks  []Sink
	keys   *Keyring
	locked func(error)

	// owned by Run
	info   stripe.Info // newest
	told   int64       // the epoch of which it was told that it cannot be read; -1: none
	buffer *playout.Buffer
	opened bool         // the sinks were told of
	medium stripe.Media // this one

	mu    sync.Mutex // guards what follows
	stats Stats
}

// Stats are the player's figures so far.
type Stats struct {
	playout.Stats
	Payload uint64    // bytes of stream played
	Newest  time.Time // when the source closed the newest block seen, by its clock
	Head    Head      // the newest block seen
	Opened  time.Time // when the stream's info came
	First   time.Time // when the first block was played
	Ended   bool      // the source ended the stream, and all was played
}

// Head is a block's place among all of a stream.
type Head struct {
	Epoch  uint32
	Number uint64
}

// After reports whether it is a later one.
func (h Head) After(o Head) bool {
	return h.Epoch > o.Epoch || h.Epoch == o.Epoch && h.Number > o.Number
}

// New returns a player with play-out delay Δ; delay must be within playout's bounds.
func New(delay time.Duration, sinks ...Sink) *Player {
	return &Player{delay: delay, sinks: sinks, keys: NewKeyring(stripe.LinkKey{}), locked: func(error) {}, told: -1}
}

// Unlock has private streams played with a link's key. locked is called by Run, once an
// epoch, with what cannot be read of it and why: stripe.ErrNoKey and stripe.ErrWrongKey mean
// all, stripe.ErrCipher a block, which is skipped as one that did not come. Call it before Run.
func (p *Player) Unlock(keys *Keyring, locked func(error)) { p.keys, p.locked = keys, locked }

// Stats are the figures at this moment.
func (p *Player) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run plays until the stream has ended, media is closed, or ctx ends. What is held
// when ctx ends is not played. After the end it may be called again, for a later epoch.
func (p *Player) Run(ctx context.Context, media <-chan relay.Output) {
	p.mu.Lock()
	p.stats.Ended = false
	p.mu.Unlock()
	defer func() {
		for _, s := range p.sinks {
			s.End()
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var in playout.Input = playout.Wake{}
		select {
		case o, ok := <-media:
			if !ok {
				return
			}
			if in = p.input(o); in == nil {
				continue
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if p.buffer == nil {
			continue
		}
		if p.step(time.Now(), in) {
			return
		}
		if at, ok := p.buffer.Deadline(); ok {
			timer.Reset(max(0, time.Until(at)))
		}
	}
}

// input turns what the participant delivers into what the buffer takes, or nil.
func (p *Player) input(o relay.Output) playout.Input {
	switch o := o.(type) {
	case relay.Opened:
		p.open(o.Info)
		return nil
	case relay.Seen:
		p.seen(&o.Header)
		return playout.HeadOf(&o.Header)
	case relay.Deliver:
		p.seen(&o.Header)
		data, err := p.keys.Decrypt(p.info, &o.Header, o.Data)
		if err != nil {
			p.tell(o.Header.Epoch, err)
			return playout.HeadOf(&o.Header)
		}
		return playout.Block{Header: o.Header, Data: data, Parity: o.Parity}
	default:
		panic(fmt.Sprintf("view: %T", o))
	}
}

// tell says once an epoch that something of it cannot be read.
func (p *Player) tell(epoch uint32, err error) {
	if p.told != int64(epoch) {
		p.told = int64(epoch)
		p.locked(err)
	}
}

func (p *Player) seen(h *stripe.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := time.UnixMilli(h.SourceTime); at.After(p.stats.Newest) {
		p.stats.Newest = at
	}
	if head := (Head{h.Epoch, h.Number}); head.After(p.stats.Head) {
		p.stats.Head = head
	}
}

func (p *Player) open(info stripe.Info) {
	if p.buffer == nil {
		p.buffer = playout.New(playout.Config{Delay: p.delay, BlockTime: info.BlockTime})
		p.mu.Lock()
		p.stats.Opened = time.Now()
		p.mu.Unlock()
	}
	p.info = info
	if err := p.keys.Opens(info); err != nil {
		p.tell(info.Epoch, err)
		return
	}
	if p.opened && p.medium == info.Media {
		return // news of the rate, or a new epoch of the same: who reads, reads on
	}
	p.opened, p.medium = true, info.Media
	for _, s := range p.sinks {
		s.Open(info)
	}
}

// step lets the buffer handle in and reports whether the stream has ended.
func (p *Player) step(now time.Time, in playout.Input) (ended bool) {
	var payload uint64
	first := false
	for _, o := range p.buffer.Handle(now, in) {
		switch o := o.(type) {
		case playout.Play:
			payload += uint64(len(o.Data))
			first = true
			for _, s := range p.sinks {
				s.Push(o)
			}
		case playout.Skip, playout.Epoch:
		case playout.Ended:
			ended = true
		default:
			panic(fmt.Sprintf("view: %T", o))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Stats = p.buffer.Stats()
	p.stats.Payload += payload
	p.stats.Ended = ended
	if first && p.stats.First.IsZero() {
		p.stats.First = now
	}
	return ended
}
