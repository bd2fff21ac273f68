package rewind

import "time"

// Every bound of this package.
const (
	// PieceTime is how much of a stream a piece of a playlist is.
	PieceTime = 6 * time.Second
	// MaxPieces is how many pieces a playlist may have: 54 hours of stream. A longer
	// one has no playlist.
	MaxPieces = 1 << 15
	// MaxIndex is how many blocks' lengths are remembered, 12 bytes each: 58 hours in
	// blocks of 100 ms. A longer stream cannot be sought in by bytes.
	MaxIndex = 1 << 21

	// readAhead and readAheadBytes bound what a Reader asks for before its client wants
	// it: blocks, and bytes if blocks go on as large as they were. One more waits. It is
	// few, because who holds the past fetches ahead too.
	readAhead      = 4
	readAheadBytes = 4 << 20
	// leastAhead is how many blocks that is, however large they are, and sizeFades over
	// how many one that was large counts.
	leastAhead = 2
	sizeFades  = 16
	// lookBack is in how many blocks before its first a Reader looks for what a decoder
	// needs; what is older is done without.
	lookBack = 8
	// pollEvery is how often a Reader that has caught up with what is held looks for
	// more while nothing plays.
	pollEvery = 200 * time.Millisecond
	// indexPatience is how long a client waits for lengths to be read from the disk.
	// They go on being read for the next one.
	indexPatience = 2 * time.Second
	// MaxAsk is how many lengths are asked of others at once. They go on being asked for
	// until askLinger after a client last wanted them; what nobody knew is asked for again
	// askAgain later.
	MaxAsk    = 1024
	askLinger = time.Minute
	askAgain  = 10 * time.Second
	// gaugeBlocks is of how many blocks the speed of fetching is told.
	gaugeBlocks = 16
)
