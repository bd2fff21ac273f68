package ts

import "time"

// Every bound on what this package keeps or accepts. Input is hostile: whatever
// it says, a Cutter stays below 4 MiB beside the blocks it has handed out.
const (
	// MaxClip is the longest clip a Looper takes, in bytes; more is refused.
	MaxClip = 64 << 20
	// EstimateLen is how much of the input Estimate looks at, in bytes; the rest
	// is ignored.
	EstimateLen = 2 << 20

	// maxSection is the longest PAT or PMT section (13818-1, 2.4.4); a longer one
	// is skipped.
	maxSection = 1024
	// maxPrograms is how many programmes of a PAT are followed, in its order; later
	// ones are carried like any data.
	maxPrograms = 128
	// maxStreams is how many streams of a PMT are kept, in its order; later ones
	// are ignored.
	maxStreams = 64
	// holdLen is how much input a Cutter may hold back undecided, in bytes. It
	// must exceed two of the longest frames; input beyond it is taken in pieces.
	holdLen = 64 << 10
	// minBuf is the least room a new block's buffer gets, in bytes.
	minBuf = 4 << 10
	// syncRun is how many sync bytes at a packet's stride make a lock.
	syncRun = 5
	// maxSplice is how much of a stream a Splicer holds back to find its beginning, in
	// bytes; one that has not said by then where it begins is taken as it is known.
	maxSplice = 1 << 20
	// maxTail is how much of each PES packet a Splicer keeps to tell how long it lasts,
	// in bytes; the rest of a longer one counts for nothing.
	maxTail = 16 << 10
	// spliceGap is the least step of the clock from one stream to the next, in 1/90000 s.
	spliceGap = 90
	// maxGapPIDs is how many PIDs MarkGap marks; later ones are left unmarked.
	maxGapPIDs = 64
	// maxUnits is how many table units a TableCache keeps; further ones are not
	// kept until the PAT changes.
	maxUnits = 64
	// maxUnit is the longest run of packets that is one unit, in packets; a longer
	// one is not kept.
	maxUnit = 16
	// sniffLen is how much Sniff looks at, in bytes; the rest is ignored.
	sniffLen = 64 << 10
	// rateSlots and rateSlot make the rate meter's window: the oldest slot leaves.
	rateSlots = 20
	rateSlot  = 250 * time.Millisecond
	// maxJump is the longest step of a stream's clock that is not a discontinuity.
	maxJump = time.Second
	// maxLate is how late an input may run before a Pacer starts its count anew.
	maxLate = time.Second
	// maxPage is the longest time that one Ogg page spans; a longer step is a
	// stream joined on its way, and moves no clock.
	maxPage = 10 * time.Second
	// stallPeriods is how many T without a tick of the stream's clock make the
	// Cutter go by arrival time.
	stallPeriods = 3
)
