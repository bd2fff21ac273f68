package playout

import (
	"fmt"
	"slices"
	"time"
)

// Buffer holds rebuilt blocks until their turn. Its owner calls Handle with
// every input, and with Wake when the Deadline comes.
//
// Inside, time is counted from the first input; a block's "at" is its source
// time, counted from the first block's and freed from the jumps of the source's
// clock, so that it never falls as numbers rise.
type Buffer struct {
	cfg    Config
	origin time.Time
	now    time.Duration // the latest, so that time never runs back
	out    []Output
	stats  Stats

	stopped bool
	begun   bool // an epoch is known
	epoch   uint32

	// Of the epoch.
	base      base
	entries   []*entry // by number; none below next once started
	heads     int      // entries that are not held
	first     time.Duration
	hasFirst  bool // a block was rebuilt, at first
	started   bool
	startedAt time.Duration
	ended     bool
	next      uint64 // the playhead: the number whose turn is next
	last      *entry // the last one passed whose source time is known
	skipped   int    // blocks skipped since the last play
	broken    bool   // the next play does not continue the previous one
}

// entry is one block of which something is known.
type entry struct {
	Head
	at   time.Duration
	seen time.Duration // first header or block
	held bool
	got  time.Duration // when it was rebuilt
	Block
}

// New returns an empty buffer. A config that does not Validate is a bug.
func New(cfg Config) *Buffer {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &Buffer{cfg: cfg}
}

// Stats is a snapshot.
func (b *Buffer) Stats() Stats { return b.stats }

// Handle takes one input and returns what happens because of it and of the time,
// in order. now must not run backwards; if it does, it stands still.
func (b *Buffer) Handle(now time.Time, in Input) []Output {
	if b.origin.IsZero() {
		b.origin = now
	}
	b.now = max(b.now, now.Sub(b.origin))
	switch in := in.(type) {
	case Block:
		b.onBlock(in)
	case Head:
		b.onHead(in)
	case Wake:
	case Stop:
		b.onStop()
	default:
		panic(fmt.Sprintf("playout: unknown input %T", in))
	}
	for at, ok := b.turn(); ok && at <= b.now; at, ok = b.turn() {
		b.move()
	}
	out := b.out
	b.out = nil
	return out
}

// Deadline is when Handle has something to do without any input.
func (b *Buffer) Deadline() (time.Time, bool) {
	at, ok := b.turn()
	return b.origin.Add(at), ok
}

func (b *Buffer) onBlock(in Block) {
	if b.stopped {
		return
	}
	e := b.note(HeadOf(&in.Header), true)
	switch {
	case e == nil:
		b.stats.Late++
		return
	case e.held:
		b.stats.Duplicate++
		return
	}
	e.held, e.got, e.Flags, e.Block = true, b.now, in.Header.Flags, in
	b.heads--
	b.stats.Held++
	b.stats.Bytes += len(in.Data)
	if in.Parity {
		b.stats.Rebuilt++
	}
	if !b.hasFirst {
		b.hasFirst, b.first = true, b.now
	}
	for b.stats.Held > MaxHeld || b.stats.Bytes > MaxHeldBytes {
		b.stats.Early++
		b.force()
	}
}

func (b *Buffer) onHead(h Head) {
	if !b.stopped {
		b.note(h, false)
	}
}

func (b *Buffer) onStop() {
	if b.stopped {
		return
	}
	for b.stats.Held > 0 {
		b.force()
	}
	if !b.ended {
		b.end()
	}
	b.stopped = true
}

// note finds or makes the entry of a block. It returns nil for one whose turn is
// over, and for a mere header when there is no room for it.
func (b *Buffer) note(h Head, block bool) *entry {
	if !b.begun || h.Epoch > b.epoch {
		b.enter(h.Epoch)
	}
	if h.Epoch < b.epoch || b.ended || b.started && h.Number < b.next || h.Number >= maxSteps {
		return nil
	}
	i, found := b.find(h.Number)
	if found {
		return b.entries[i]
	}
	if !block && b.heads == MaxHeads {
		return nil
	}
	h.SourceTime = min(max(h.SourceTime, 0), maxSourceTime)
	e := &entry{Head: h, seen: b.now}
	e.at = b.place(i, e)
	b.base.sample(b.now, b.now-e.at)
	b.entries = slices.Insert(b.entries, i, e)
	b.heads++
	return e
}

// enter begins a higher epoch. The old one's blocks are dropped even if their
// turn is near: its source is gone, and playing on would only delay the new one.
func (b *Buffer) enter(epoch uint32) {
	played := b.broken || b.last != nil
	if b.begun {
		b.out = append(b.out, Epoch{Epoch: epoch, Dropped: b.stats.Held})
		b.drop(len(b.entries))
	}
	*b = Buffer{
		cfg: b.cfg, origin: b.origin, now: b.now, out: b.out, stats: b.stats,
		begun: true, epoch: epoch, broken: played,
	}
}

// find is where number stands, or would stand, among the entries.
func (b *Buffer) find(number uint64) (int, bool) {
	return slices.BinarySearchFunc(b.entries, number, func(e *entry, n uint64) int {
		switch {
		case e.Number < n:
			return -1
		case e.Number > n:
			return 1
		}
		return 0
	})
}

// drop forgets the first n entries; those held got no turn.
func (b *Buffer) drop(n int) {
	for _, e := range b.entries[:n] {
		if e.held {
			b.stats.Dropped++
		}
		b.forget(e)
	}
	b.entries = slices.Delete(b.entries, 0, n)
}

func (b *Buffer) forget(e *entry) {
	if !e.held {
		b.heads--
		return
	}
	b.stats.Held--
	b.stats.Bytes -= len(e.Data)
}
