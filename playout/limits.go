package playout

import "time"

// Every bound of this package.
const (
	// MaxHeld is how many rebuilt blocks wait for their turn. One more plays the
	// oldest early.
	MaxHeld = 1024
	// MaxHeldBytes is how many bytes they may be, by the same rule.
	MaxHeldBytes = 64 << 20
	// MaxHeads is how many blocks may be known by header only. One more is
	// forgotten: its turn is then guessed from its neighbours.
	MaxHeads = 1024

	// MinDelay and MaxDelay bound Config.Delay; Validate refuses what is outside.
	MinDelay = 100 * time.Millisecond
	MaxDelay = 60 * time.Second
)

const (
	// startWait is how long after the first rebuilt block the first byte comes at
	// the latest, whether or not a random access point has been found by then.
	startWait = 600 * time.Millisecond
	// settleTime is how long a random access block that could start waits for an
	// earlier one that is known to be arriving.
	settleTime = 150 * time.Millisecond
	// minBurstWait is the least time a hole in the first burst is waited for.
	minBurstWait = 500 * time.Millisecond

	// bucketTime is the length of each of the base's two buckets.
	bucketTime = time.Minute
	// slewPart is the share of the time passed by which the base may move: 1 %.
	slewPart = 100
	// leapTime is how far the source's clock must jump to be taken for a jump and
	// not for a pause or a faster path.
	leapTime = 5 * time.Second
	// thinnest is how many times shorter than the block time real blocks are at
	// the most, on average over a gap.
	thinnest = 8

	// maxSourceTime is the largest source time that can travel, in ms.
	maxSourceTime = 1<<48 - 1
	// maxSteps is above every block number that can travel. A block at or over it
	// is dropped as late.
	maxSteps = 1 << 32
)
