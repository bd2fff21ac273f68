package station

import "time"

// Every bound on what a playlist may do to us.
const (
	// MaxList is the longest list or feed, in bytes; a longer one is refused.
	MaxList = 4 << 20
	// MaxItems is how many items are played of a directory or feed; later ones are not.
	MaxItems = 10_000
	// maxLook is how much of an item is looked at to tell what it is, in bytes.
	maxLook = 64 << 10
	// restTime is the pause when of a whole round nothing could be played.
	restTime = 5 * time.Second
)
