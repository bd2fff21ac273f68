package remux

import "time"

// Config is how to decode a track. It does not change: a track that needs another has
// another, and it is compared by its address.
type Config struct {
	Video     bool
	Codec     string // RFC 6381
	Timescale uint32 // units of a track's times a second, above 0
	Width     int    // of video, in pixels
	Height    int
	Rate      int // of audio, in Hz
	Channels  int

	entry []byte // its sample entry
}

// Unit is an access unit: what a decoder takes at once.
type Unit struct {
	Config *Config
	Time   int64 // when to decode it, in the track's timescale
	Offset int32 // from Time to when it is shown
	// Length is how long it lasts if nothing says otherwise, in the track's timescale.
	// Of video it is not known, and 0.
	Length int64
	Key    bool // it can be decoded alone
	Data   []byte
	// Run counts from 0 each time that what follows does not continue what was
	// before: another clock, other tracks, or bytes that are missing.
	Run int
}

// At is the unit's time as a duration from an origin that all tracks of a run share.
func (u *Unit) At() time.Duration { return u.Config.Duration(u.Time) }

// Duration turns a track's time into a duration.
func (c *Config) Duration(t int64) time.Duration {
	scale := int64(c.Timescale)
	return time.Duration(t/scale)*time.Second + time.Duration(t%scale)*time.Second/time.Duration(scale)
}

// Ticks turns a duration into a track's time, rounded to the nearest.
func (c *Config) Ticks(d time.Duration) int64 {
	scale := int64(c.Timescale)
	rest, half := int64(d%time.Second)*scale, int64(time.Second/2)
	if rest < 0 {
		half = -half
	}
	return int64(d/time.Second)*scale + (rest+half)/int64(time.Second)
}
