package store

import (
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Every bound of this package.
const (
	// DefaultKeep is how long the back buffer reaches back.
	DefaultKeep = 15 * time.Minute
	// DefaultFree is how many bytes of the file system are left to others. When
	// there is less, the oldest segment of a back buffer goes, and then it pauses; a
	// recording pauses.
	DefaultFree = 200 << 20
	// MaxAutoQuota and autoShare bound what AutoQuota comes to: bytes, and the part
	// of what is free when the store is opened.
	MaxAutoQuota = 2 << 30
	autoShare    = 10
	// MinQuota is the smallest quota that may be asked for, in bytes.
	MinQuota = 16 << 20
	// MaxQueue and MaxQueueBytes bound what waits for the writer: shards and infos,
	// and bytes of shards. When full, the newest is not kept, and is counted.
	MaxQueue      = 4096
	MaxQueueBytes = 16 << 20
	// MaxSegmentBytes, MaxSegmentShards and the two times end a segment. A segment is
	// also at most 1/quotaParts of the quota, but no less than minSegmentBytes. A back
	// buffer forgets whole segments, so a segment is short beside what is kept.
	MaxSegmentBytes    = 64 << 20
	MaxSegmentShards   = 1 << 16
	minSegmentBytes    = 256 << 10
	quotaParts         = 16
	keepParts          = 15
	bufferSegmentTime  = time.Minute
	recordSegmentTime  = 5 * time.Minute
	maxSegmentOverhead = 4 << 20 // of the last batch, index and trailer
	// MaxSegments is how many segments a directory may have. At it the oldest goes
	// for a new one; those that a directory has beyond it are not looked at.
	MaxSegments = 1 << 16
	// MaxTapes is how many streams' epochs a directory may have. A further one is
	// not kept.
	MaxTapes = 1024
	// maxLoaded is how many finished segments have their index in memory, at most
	// about a megabyte each, and a file open. The one used longest ago goes.
	maxLoaded = 8
	// MaxBlocks is how many blocks Blocks lists at once; the rest is asked for again.
	MaxBlocks = 4096

	// maxGap is how many blocks further the next one of a Run may be, and
	// maxSegmentRuns how many runs of a segment are listed: the newest.
	maxGap         = 8
	maxSegmentRuns = 16
	// surveyAtOnce is how many finished segments one Runs reads at the most.
	surveyAtOnce = 16

	// batchBytes and flushEvery are how much, and how long, shards are gathered for
	// one write.
	batchBytes = 256 << 10
	flushEvery = 250 * time.Millisecond
	// upkeepEvery is how often age and free space are looked at.
	upkeepEvery = time.Second
	// givesPart is which part of its bytes a back buffer gives up on a full disk.
	givesPart = 16
	// retryMin and retryMax are how long after a failed write the next is tried:
	// twice as long each time. What comes meanwhile is not kept, and is counted.
	retryMin = time.Second
	retryMax = 30 * time.Second
	// reportEvery is how often at most a failing disk is logged.
	reportEvery = time.Minute
	// closePatience is how long Close waits for a disk that does not answer.
	closePatience = 5 * time.Second
	// freeSlack is how many bytes over Config.Free must be free before a store that
	// paused for want of them goes on.
	freeSlack = 8 << 20

	// maxRecord is the longest body of a record that holds a shard or an info.
	maxRecord = stripe.MaxShardWire
)
