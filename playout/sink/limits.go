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

	// udpTick is how much too early a datagram may go.
	udpTick = 2 * time.Millisecond
	// udpSpan is the longest time over which a block is sent as datagrams. One that
	// plays longer, or of which that is not known, is sent in a tenth of it.
	udpSpan = time.Second
)
