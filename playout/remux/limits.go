package remux

import "time"

// Every bound of this package.
const (
	// MaxUnit is the longest access unit, in bytes. A longer one is dropped, and what
	// follows must be decodable without it.
	MaxUnit = 8 << 20

	// maxSets is how many parameter sets of a kind are told to a decoder; further ones
	// stay in the pictures.
	maxSets = 16
	// maxSet is the longest parameter set, in bytes. With a longer one the picture
	// counts as undecodable.
	maxSet = 4 << 10
	// maxJump is the longest step of a stream's time stamps that is not a new clock.
	maxJump = 10 * time.Second
	// settleUnits is how many time stamps make a new clock settled: before that as many
	// of another clock in a row are dropped, and then they are the new one.
	settleUnits = 100
)
