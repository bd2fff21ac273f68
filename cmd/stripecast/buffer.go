package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/stripecast/stripecast/relay/store"
)

const (
	// maxBuffers is how many participants of one user on one machine have a back
	// buffer in the default place; further ones have none.
	maxBuffers = 64
	// leftover is for how long at least a back buffer in the default place outlives
	// whoever wrote it.
	leftover = 24 * time.Hour
)

// buffer is the flags of the back buffer, or of a recording, which is one that forgets
// nothing. The zero buffer is none.
type buffer struct {
	keep       time.Duration
	dir, quota string
	record     string         // directory; empty: a back buffer
	set        *pflag.FlagSet // nil: what is not as by default was given
}

func (b *buffer) flags(f *pflag.FlagSet) {
	b.set = f
	f.DurationVar(&b.keep, "buffer", store.DefaultKeep, "how much of the past to keep on disk; 0 keeps nothing")
	f.StringVar(&b.dir, "buffer-dir", "", "`DIR` to keep it in (default: stripecast/buffer in the user's cache directory)")
	f.StringVar(&b.quota, "buffer-quota", "auto", "most `BYTES` that it may take, as in 500M or 4G; auto is a tenth of what is free and at most 2 GiB")
}

// recordFlag is for those who can record.
func (b *buffer) recordFlag(f *pflag.FlagSet, what string) {
	f.StringVar(&b.record, "record", "", "keep "+what+" for ever in `DIR`, in place of a buffer; --buffer-quota bounds it, and nothing else does")
}

// given reports whether the user gave any of these flags.
func (b *buffer) given(names ...string) bool {
	return b.set != nil && slices.ContainsFunc(names, b.set.Changed)
}

// config is what the flags come to, without a logger. It is nil if nothing is kept.
func (b *buffer) config() (*store.Config, error) {
	cfg := store.DefaultConfig()
	switch {
	case b.record != "":
		if b.given("buffer", "buffer-dir") {
			return nil, fail(errors.New("a recording and a buffer do not go together"), "a recording holds all that a buffer would: leave out --buffer and --buffer-dir, or --record")
		}
		cfg.Keep, cfg.Quota = 0, 0
	case b.given("record"):
		return nil, fail(errors.New("a recording in no directory"), "give --record DIR")
	case b.keep == 0:
		return nil, nil
	default:
		cfg.Keep = b.keep
	}
	if b.record == "" && b.keep < time.Second {
		return nil, fail(fmt.Errorf("a buffer of %v is too short", b.keep), "give --buffer of 1s or more, as in 15m, or 0 to keep nothing")
	}
	if b.quota != "auto" {
		var err error
		if cfg.Quota, err = parseBytes(b.quota); err != nil {
			return nil, err
		}
		if cfg.Quota < store.MinQuota {
			return nil, fail(fmt.Errorf("a quota of %s is too small", size(cfg.Quota)), "give --buffer-quota of %s or more, or leave it out", size(store.MinQuota))
		}
	}
	return &cfg, nil
}

// open opens the back buffer; nil if there is none. Only a directory that the user
// named and another process has is an error: what else is wrong costs the past alone,
// and is told.
func (b *buffer) open(c *console) (*store.Store, error) {
	cfg, err := b.config()
	if cfg == nil {
		return nil, err
	}
	cfg.Logger = c.words()
	if b.record != "" {
		return b.openRecord(c, *cfg)
	}
	var s *store.Store
	if b.dir != "" {
		dir, err := filepath.Abs(b.dir)
		if err != nil {
			return nil, fail(err, "give --buffer-dir with its whole path")
		}
		s, err = store.Open(dir, *cfg)
		if errors.Is(err, store.ErrLocked) {
			return nil, fail(err, "another stripecast keeps its past there: give --buffer-dir another directory, or --buffer 0")
		} else if err != nil {
			return nil, err
		}
	} else if s, err = openDefault(*cfg); err != nil {
		c.say("warning: nothing of the past is kept: %v; --buffer-dir says where to", err)
		return nil, nil
	}
	if s.Stats().Problem == "" {
		c.say("keeping the last %s in %s, at most %s", short(b.keep), s.Dir(), size(s.Stats().Quota))
	}
	return s, nil
}

// openRecord opens a directory to record in. Whoever asks for that is told at once if it
// cannot be done.
func (b *buffer) openRecord(c *console, cfg store.Config) (*store.Store, error) {
	dir, err := filepath.Abs(b.record)
	if err != nil {
		return nil, fail(err, "give --record with its whole path")
	}
	s, err := store.Open(dir, cfg)
	switch {
	case errors.Is(err, store.ErrLocked):
		return nil, fail(err, "another stripecast records there: give --record another directory")
	case err != nil:
		return nil, err
	}
	if why := s.Stats().Problem; why != "" {
		_ = s.Close() // it wrote nothing
		return nil, fail(fmt.Errorf("%s: %s", dir, why), "give --record a directory that can be made or written to, with more than %s free", size(store.DefaultFree))
	}
	if quota := s.Stats().Quota; quota > 0 {
		c.say("recording to %s, at most %s: then the oldest goes", dir, size(quota))
	} else {
		c.say("recording to %s", dir)
	}
	return s, nil
}

// openDefault opens the first directory of the default place that no other process has.
func openDefault(cfg store.Config) (*store.Store, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	for i := range maxBuffers {
		s, err := store.Open(defaultDir(cache, i), cfg)
		if errors.Is(err, store.ErrLocked) {
			continue
		}
		if err == nil {
			sweep(cache, cfg)
		}
		return s, err
	}
	return nil, fmt.Errorf("%d others keep theirs in %s", maxBuffers, filepath.Join(cache, "stripecast"))
}

func defaultDir(cache string, i int) string {
	dir := filepath.Join(cache, "stripecast", "buffer")
	if i > 0 {
		dir += fmt.Sprintf("-%d", i+1)
	}
	return dir
}

// sweep removes what is left in the default place by those who do not run any more:
// nobody may come again who would use as many directories.
func sweep(cache string, cfg store.Config) {
	cfg.Keep, cfg.Quota, cfg.Free = max(cfg.Keep, leftover), 0, 0
	cfg.Logger = slog.New(slog.DiscardHandler) // the disk is not ours to complain of
	for i := range maxBuffers {
		dir := defaultDir(cache, i)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if s, err := store.Open(dir, cfg); err == nil {
			_ = s.Close() // it wrote nothing
		}
	}
}
