package rewind

import (
	"context"
	"errors"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Extent is what there is of a stream's newest epoch, here and elsewhere.
type Extent struct {
	Info        stripe.Info
	First, Last uint64    // numbers of the oldest and the newest block
	From, To    time.Time // when the source closed them; zero where nobody here knows
	Live        bool      // more is to come
}

// Duration is how long it is; 0 if that is not known.
func (e Extent) Duration() time.Duration {
	if e.From.IsZero() || e.To.IsZero() {
		return 0
	}
	return max(0, e.To.Sub(e.From))
}

// ErrAbsent means that nobody has a block. It is skipped.
var ErrAbsent = errors.New("nobody has the block")

// ErrNothing means that nobody is known to have anything of the stream.
var ErrNothing = errors.New("nobody has anything of the stream")

// Past is one stream as far as somebody holds it. Its methods are called by many
// goroutines at once.
type Past interface {
	// Extent is what there is; false: nothing. It does not wait.
	Extent() (Extent, bool)
	// Seek finds the newest block that one can start at and that the source closed at
	// that time or before; if there is none, the oldest that one can start at.
	Seek(ctx context.Context, at time.Time) (number uint64, err error)
	// Block brings a block from whoever has it, or ErrAbsent. Nobody changes the bytes.
	Block(ctx context.Context, number uint64) (stripe.Header, []byte, error)
	// Lengths calls learn with the length of each block from one number to another,
	// both included, that is known without asking others, until learn says no or ctx
	// ends. It may wait for the disk.
	Lengths(ctx context.Context, from, to uint64, learn func(number uint64, length int) bool)
	// Ask does so with those that others know, at most MaxAsk, as long as that takes: it
	// gives way to every Block and Seek. What nobody knows is left out; the error is why no
	// more can be had.
	Ask(ctx context.Context, from, to uint64, learn func(number uint64, length int) bool) error
}

// Live is the end of the stream that plays now.
type Live interface {
	// At looks for a block of an epoch. changed is closed when the answer may be
	// another.
	At(epoch uint32, number uint64) (data []byte, place Place, changed <-chan struct{})
}

// Place is where a block stands in what plays now.
type Place uint8

const (
	// Elsewhere: not there, and not to come.
	Elsewhere Place = iota
	// Here: these are its bytes.
	Here
	// Ahead: its turn is yet to come.
	Ahead
)

// Format says how blocks of a medium are joined where they do not follow each other.
// All functions are called by many goroutines at once; any may be nil.
type Format struct {
	// MarkGap returns what to send before next to a client that misses what came
	// before it.
	MarkGap func(next []byte) []byte
	// Starts reports whether a decoder can begin with a block alone, if the block is
	// one to start at.
	Starts func(block []byte) bool
	// Prologue returns what a client that begins with a block needs first, taken from
	// the blocks before it, oldest first.
	Prologue func(before [][]byte, block []byte) []byte
}
