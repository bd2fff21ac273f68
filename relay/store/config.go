package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// AutoQuota as a quota is a tenth of what is free when the store is opened, what it
// holds itself counted as free, and no more than MaxAutoQuota.
const AutoQuota = -1

// Config says what a store keeps.
type Config struct {
	// Keep is for how long after it was written a shard is kept, at least; 0 is for
	// ever, which makes the store a recording. The default is DefaultKeep.
	Keep time.Duration
	// Quota is how many bytes the store may use; 0 is any number, AutoQuota its own
	// choice and the default. At the quota the oldest segment goes, of a recording too.
	Quota int64
	// Free is how many bytes of the file system are left free: DefaultFree.
	Free int64
	// Logger hears of a disk that fails, at level Error, once a minute at most, and at
	// level Info when it works again. It must not be nil.
	Logger *slog.Logger
	// FS is the file system; nil is the machine's own.
	FS FS
}

// DefaultConfig is a back buffer as design and default have it. The Logger is missing.
func DefaultConfig() Config {
	return Config{Keep: DefaultKeep, Quota: AutoQuota, Free: DefaultFree}
}

// Validate reports what is wrong with the config.
func (c Config) Validate() error {
	switch {
	case c.Keep < 0:
		return fmt.Errorf("keep %v: it is negative", c.Keep)
	case c.Keep > 0 && c.Keep < time.Second:
		return fmt.Errorf("keep %v: a second is the least", c.Keep)
	case c.Quota != 0 && c.Quota != AutoQuota && c.Quota < MinQuota:
		return fmt.Errorf("quota of %d bytes: %d MiB is the least", c.Quota, MinQuota>>20)
	case c.Free < 0:
		return fmt.Errorf("free space of %d bytes: it is negative", c.Free)
	case c.Logger == nil:
		return errors.New("no logger")
	}
	return nil
}

// segmentTime is when a segment ends that does not get full.
func (c Config) segmentTime() time.Duration {
	if c.Keep == 0 {
		return recordSegmentTime
	}
	return min(max(c.Keep/keepParts, time.Second), bufferSegmentTime)
}

// segmentBytes is when a segment is full.
func segmentBytes(quota int64) int64 {
	if quota == 0 {
		return MaxSegmentBytes
	}
	return min(max(quota/quotaParts, minSegmentBytes), MaxSegmentBytes)
}

// what the store is to a person.
func (c Config) what() string {
	if c.Keep == 0 {
		return "recording"
	}
	return "back buffer"
}
