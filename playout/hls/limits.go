package hls

import "time"

// Every bound of this package.
const (
	// PartTarget is the longest part. A picture that would make it longer begins the
	// next one.
	PartTarget = 500 * time.Millisecond
	// SegmentTarget is the longest segment, and how often a player without parts asks.
	// A stream that has no key picture for so long gets a segment that begins with none.
	SegmentTarget = 4 * time.Second

	// segmentLeast is how long a segment is before a key picture ends it.
	segmentLeast = 1500 * time.Millisecond
	// listed is how much the playlist lists, at the least; older segments leave it.
	listed = 4 * SegmentTarget
	// detailed is of how much the playlist lists the parts, from the end.
	detailed = 3 * SegmentTarget
	// grace is how many segments can be had after they have left the playlist.
	grace = 2
	// maxBytes is how much all segments may take, in bytes. Beyond that the oldest go,
	// from the playlist too, but for the one under way, which ends with its next part.
	maxBytes = 64 << 20
	// maxSegments is how many segments the playlist lists. With one more the oldest
	// leaves it, however short all are.
	maxSegments = 128
	// maxSkew is how far a track may be ahead of the other before it is not waited for.
	maxSkew = time.Second
	// maxBlank is how much sound there is before a picture, the first or the next, is
	// waited for no longer.
	maxBlank = 5 * time.Second
	// maxQueue is how many units of a track wait for that; with one more they wait no
	// longer, and if they wait for nothing the oldest goes.
	maxQueue = 4096
	// maxWaiting is how many bytes of a track wait for that, by the same rule.
	maxWaiting = 32 << 20
	// maxSample is the longest that one unit lasts; a longer pause of one track is a
	// discontinuity.
	maxSample = 2 * time.Second
	// aheadMost is how many segments ahead of the last a client may ask for; for more it
	// waits in vain.
	aheadMost = 1
)
