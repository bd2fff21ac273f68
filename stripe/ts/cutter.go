package ts

import (
	"errors"
	"fmt"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Config says how a Cutter cuts.
type Config struct {
	// Media says what the input is; Sniff finds out.
	Media stripe.Media
	// BlockTime is T: the mean time between cuts, by the stream's clock. From 10 ms
	// to stripe.MaxBlockTime; 100 ms by default.
	BlockTime time.Duration
	// MaxBlock is the longest block in bytes, from 2 packets to stripe.MaxBlock,
	// the default.
	MaxBlock int
}

// DefaultConfig cuts a transport stream into blocks of 100 ms.
func DefaultConfig() Config {
	return Config{Media: stripe.MediaTS, BlockTime: 100 * time.Millisecond, MaxBlock: stripe.MaxBlock}
}

// ErrConfig is wrapped by every refusal of a Config.
var ErrConfig = errors.New("bad cutter config")

// Validate refuses what is out of the documented bounds.
func (c Config) Validate() error {
	switch {
	case c.Media > stripe.MediaOpaque:
		return fmt.Errorf("%w: media %d", ErrConfig, c.Media)
	case c.BlockTime < 10*time.Millisecond || c.BlockTime > stripe.MaxBlockTime:
		return fmt.Errorf("%w: block time %v, want 10 ms to %v", ErrConfig, c.BlockTime, stripe.MaxBlockTime)
	case c.MaxBlock < 2*PacketLen || c.MaxBlock > stripe.MaxBlock:
		return fmt.Errorf("%w: block of %d bytes, want %d to %d", ErrConfig, c.MaxBlock, 2*PacketLen, stripe.MaxBlock)
	}
	return nil
}

// Cut is one block of the stream.
type Cut struct {
	// Data is the block. It belongs to whoever receives the Cut.
	Data []byte
	// RandomAccess means that a newcomer can start here: the block begins with a
	// random access point of the first programme's video, or with the tables that
	// stand before one; without video, with an audio frame.
	RandomAccess bool
	// Discontinuity means that MediaTime does not continue the block before.
	Discontinuity bool
	// MediaTime is the stream's clock at the block's start, in 1/90000 s. It does
	// not wrap, and does not fall but at a Discontinuity.
	MediaTime uint64
	// Span is how far the stream's clock went within the block.
	Span time.Duration
}

// Cutter cuts a stream into blocks. A block ends at T by the stream's own clock,
// at the size limit, or before a random access point. Whole packets, frames and
// pages stay whole as far as the size limit lets them.
//
// A stream whose clock has not moved for three T of arrival time is cut by arrival
// time until it does.
type Cutter struct {
	b    block
	in   format
	hold []byte // input not decided on, at most holdLen
}

// format knows the units of one medium. take adds what it can of in to b and
// returns how many bytes of in are done with. It must take something from a full
// hold, and everything when in is the end of the stream.
type format interface {
	take(b *block, now time.Time, in []byte, end bool) int
	// anew forgets what another input need not share with the one before it.
	anew()
	dropped() uint64
}

// NewCutter returns a cutter. A cfg that Validate refuses is a bug and panics.
func NewCutter(cfg Config) *Cutter {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	c := &Cutter{
		b:    block{limit: cfg.MaxBlock, period: ticks(cfg.BlockTime), lead: -1},
		hold: make([]byte, 0, holdLen),
	}
	c.b.due = c.b.period
	c.b.running = cfg.Media != stripe.MediaTS
	c.b.always = cfg.Media == stripe.MediaMP3 || cfg.Media == stripe.MediaAAC || cfg.Media == stripe.MediaOpaque
	switch cfg.Media {
	case stripe.MediaTS:
		c.b.limit -= c.b.limit % PacketLen
		c.in = &transport{}
	case stripe.MediaMP3:
		c.in = &frames{parse: parseMPEG, need: mpegHeader}
	case stripe.MediaAAC:
		c.in = &frames{parse: parseADTS, need: adtsHeader}
	case stripe.MediaOgg:
		c.in = &pages{}
	case stripe.MediaOpaque:
		c.b.untimed = true
		c.in = opaque{}
	default:
		panic(fmt.Sprintf("ts: media %d", cfg.Media))
	}
	return c
}

// Write takes the next bytes of the stream, which arrived at now, and returns the
// blocks that are over. The slice is valid until the next call; p is not kept. An
// empty p only lets time pass, which ends a block that waits on a stalled input.
func (c *Cutter) Write(now time.Time, p []byte) []Cut {
	c.begin(now)
	for len(p) > 0 {
		n := min(len(p), cap(c.hold)-len(c.hold))
		c.hold = append(c.hold, p[:n]...)
		p = p[n:]
		c.take(now, false)
	}
	return c.b.cuts
}

// Flush ends the input and returns the blocks that were left. A Write after it
// begins anew, as after a loss of sync.
func (c *Cutter) Flush(now time.Time) []Cut {
	c.begin(now)
	c.take(now, true)
	c.b.cut(now, len(c.b.buf))
	return c.b.cuts
}

// Break says that what is written next does not continue what was written before:
// another connection, or another encoder. It returns the blocks that were left, as
// Flush does. The next one has Discontinuity set if there was one before it, and
// tables and time base are learned anew; where they go on, so does MediaTime.
func (c *Cutter) Break(now time.Time) []Cut {
	cuts := c.Flush(now)
	c.in.anew()
	c.b.broken = c.b.delivered
	return cuts
}

// Dropped is how many bytes were not delivered so far, because they are no part
// of a packet: those before a lock, after its loss, and of torn packets.
func (c *Cutter) Dropped() uint64 { return c.in.dropped() }

func (c *Cutter) begin(now time.Time) {
	clear(c.b.cuts)
	c.b.cuts = c.b.cuts[:0]
	c.b.arrive(now)
}

func (c *Cutter) take(now time.Time, end bool) {
	n := c.in.take(&c.b, now, c.hold, end)
	c.hold = c.hold[:copy(c.hold, c.hold[n:])]
}

// opaque is bytes without structure: any start is as good as another.
type opaque struct{}

func (opaque) take(b *block, now time.Time, in []byte, _ bool) int {
	b.addAll(now, in)
	return len(in)
}

func (opaque) anew() {}

func (opaque) dropped() uint64 { return 0 }
