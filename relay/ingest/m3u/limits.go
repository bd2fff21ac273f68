package m3u

import "time"

// Every bound on a list. What is beyond it makes the list be refused.
const (
	// MaxList is the longest list, in bytes.
	MaxList = 1 << 20
	// MaxEntries is how many variants and pieces a list may have, together.
	MaxEntries = 10_000
	// MaxTarget is the longest piece that a list may promise, and the longest there is.
	MaxTarget = time.Hour
)
