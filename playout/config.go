package playout

import (
	"errors"
	"fmt"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Config is how a Buffer plays.
type Config struct {
	// Delay is Δ, from a block's source time to its play. Default 1.5 s;
	// MinDelay … MaxDelay.
	Delay time.Duration
	// BlockTime is the stream's T, as its Info says. Default 100 ms; above 0 and
	// up to stripe.MaxBlockTime. It only helps to guess the turn of blocks of
	// which nothing was seen.
	BlockTime time.Duration
}

// ErrConfig is wrapped by every refusal of a Config.
var ErrConfig = errors.New("bad play-out config")

// DefaultConfig is 1.5 s of delay and blocks of 100 ms.
func DefaultConfig() Config {
	return Config{Delay: 1500 * time.Millisecond, BlockTime: 100 * time.Millisecond}
}

// Validate reports what is out of bounds and changes nothing.
func (c Config) Validate() error {
	switch {
	case c.Delay < MinDelay || c.Delay > MaxDelay:
		return fmt.Errorf("%w: delay %v is not from %v to %v", ErrConfig, c.Delay, MinDelay, MaxDelay)
	case c.BlockTime <= 0 || c.BlockTime > stripe.MaxBlockTime:
		return fmt.Errorf("%w: block time %v is not above 0 and up to %v", ErrConfig, c.BlockTime, stripe.MaxBlockTime)
	}
	return nil
}

// burstWait is how long a hole in the first burst is waited for.
func (c Config) burstWait() time.Duration { return max(minBurstWait, c.Delay/2) }

// Stats are counts since the Buffer was made, unless said otherwise.
type Stats struct {
	Played    uint64
	Skipped   uint64 // blocks whose turn came while they were missing
	Rebuilt   uint64 // blocks accepted whose rebuilding took parity
	Late      uint64 // blocks that came after their turn, or of an older epoch
	Duplicate uint64 // blocks that were held already
	Dropped   uint64 // held blocks that got no turn: before the start, or an old epoch's
	Early     uint64 // blocks played before their time because the buffer was full
	Held      int    // blocks held now
	Bytes     int    // bytes held now
	// Delay is how long after its source time, on the measured base, the last
	// block played: Config.Delay when on time.
	Delay time.Duration
}
