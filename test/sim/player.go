package sim

import (
	"bytes"
	"fmt"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// player is what a viewer watches with: the real play-out buffer, and the
// knowledge of what should have come.
type player struct {
	n       *Node
	buffer  *playout.Buffer
	dueAt   time.Duration
	started bool
	epoch   uint32
	next    uint64 // expected next
	last    time.Duration
	ended   bool
	early   uint64        // blocks skipped in the first startTime of playing
	still   time.Duration // the longest time between two plays
	lag     time.Duration // from publishing the last block to its play
	resumed time.Duration // when the first block of the epoch played

	skips   []skip
	told    int // of skips: how many have been explained
	gaps    []gap
	seconds []second
}

// skip is a run of blocks that were not played.
type skip struct {
	at       time.Duration
	epoch    uint32
	from, to uint64
	early    bool   // in the first startTime of playing
	orphans  uint64 // bit i: stripe i had no parent then
}

// gap is a time in which the picture stood still: from one play to the next. That of
// a newcomer does: it shows its first picture at once, and goes on when it is time.
type gap struct {
	from, to time.Duration
	early    bool // it begins in the first startTime of playing
}

// second is what happened in one second of the world's time.
type second struct {
	played  int
	lag     time.Duration // from publishing to play, at the most
	rebuilt int
	ready   time.Duration // from publishing to the block's rebuilding, summed up
	readied time.Duration // at the most
}

func newPlayer(n *Node) *player { return &player{n: n, dueAt: -1} }

func (p *player) second() *second {
	at := int(p.n.w.t / time.Second)
	for len(p.seconds) <= at {
		p.seconds = append(p.seconds, second{})
	}
	return &p.seconds[at]
}

// media takes what the core says of the stream.
func (p *player) media(o relay.Output) {
	switch o := o.(type) {
	case relay.Opened:
		if p.buffer == nil {
			p.buffer = playout.New(playout.Config{Delay: p.n.w.Delay, BlockTime: o.Info.BlockTime})
		}
	case relay.Seen:
		p.handle(playout.Head{Epoch: o.Header.Epoch, Number: o.Header.Number, SourceTime: o.Header.SourceTime, Flags: o.Header.Flags})
	case relay.Deliver:
		p.delivered(o)
		p.handle(playout.Block{Header: o.Header, Data: o.Data, Parity: o.Parity})
	default:
		panic(fmt.Sprintf("sim: media %T", o))
	}
}

func (p *player) delivered(o relay.Deliver) {
	n := p.n
	m := n.w.source.truth[blockID{o.Header.Epoch, o.Header.Number}]
	if m == nil || !bytes.Equal(m.data, o.Data) {
		n.w.audit.accuse(n.w, "%s got block %d.%d that the source did not make", n.Name, o.Header.Epoch, o.Header.Number)
		return
	}
	if m.access && n.Figures.FirstAccess == 0 {
		n.Figures.FirstAccess = n.w.t
	}
	if m.at > n.Figures.Joined {
		s := p.second()
		s.rebuilt++
		s.ready += n.w.t - m.at
		s.readied = max(s.readied, n.w.t-m.at)
	}
}

func (p *player) handle(in playout.Input) {
	w := p.n.w
	for _, o := range p.buffer.Handle(w.now(), in) {
		switch o := o.(type) {
		case playout.Play:
			p.play(o)
		case playout.Skip:
			p.skip(o)
			p.next = o.To + 1
			w.note(o.From)
			w.note(o.To)
		case playout.Epoch:
		case playout.Ended:
			p.ended = true
		default:
			panic(fmt.Sprintf("sim: play-out %T", o))
		}
	}
	at, ok := p.buffer.Deadline()
	if !ok {
		p.dueAt = -1
		return
	}
	due := max(at.Sub(epoch0), w.t)
	if due != p.dueAt {
		p.dueAt = due
		w.after(due-w.t, p.n, act{kind: doPlay})
	}
}

// startTime is how long after its first play, in any epoch, a viewer is a newcomer.
const startTime = 2 * time.Second

func (p *player) skip(o playout.Skip) {
	s := skip{
		at: p.n.w.t, epoch: p.epoch, from: o.From, to: o.To,
		early: p.n.w.t-p.resumed < startTime, orphans: p.n.orphans(),
	}
	if s.early {
		p.early += o.To - o.From + 1
	}
	p.skips = append(p.skips, s)
}

func (n *Node) playDue() {
	if p := n.player; p != nil && p.buffer != nil && !n.paused && p.dueAt >= 0 && p.dueAt <= n.w.t {
		p.dueAt = -1
		p.handle(playout.Wake{})
	}
}

func (p *player) play(o playout.Play) {
	w := p.n.w
	m := w.source.truth[blockID{o.Header.Epoch, o.Header.Number}]
	if m == nil || !bytes.Equal(m.data, o.Data) {
		w.audit.accuse(w, "%s played block %d.%d that the source did not make", p.n.Name, o.Header.Epoch, o.Header.Number)
		return
	}
	w.note(o.Header.Number)
	if !p.started || o.Header.Epoch != p.epoch {
		p.resumed = w.t
	}
	if !p.started {
		p.started, p.n.Figures.FirstPlay = true, w.t
		if o.Header.Flags&stripe.RandomAccess == 0 {
			p.n.w.audit.blind++
		}
	} else {
		if o.Header.Epoch == p.epoch && o.Header.Number != p.next {
			w.audit.accuse(w, "%s played %d after %d", p.n.Name, o.Header.Number, p.next-1)
		}
		p.still = max(p.still, w.t-p.last)
		if w.t-p.last > w.BlockTime*3/2 {
			p.gaps = append(p.gaps, gap{p.last, w.t, p.last-p.resumed < startTime})
		}
	}
	p.epoch, p.next, p.last = o.Header.Epoch, o.Header.Number+1, w.t
	p.lag = w.t - m.at
	s := p.second()
	s.played++
	s.lag = max(s.lag, p.lag)
}
