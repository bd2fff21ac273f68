package sink

import "time"

// Every bound of this package.
const (
	// MaxQueued is how many bytes wait for a reader that is too slow. One block
	// more drops the oldest.
	MaxQueued = 64 << 20
	// MaxAge is how long a block waits; older ones are dropped when the next
	// comes, so that a reader that was stopped goes on near the live edge.
	MaxAge = 8 * time.Second
)
