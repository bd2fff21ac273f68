package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// errNoRoom means that the quota does not carry even what is being written.
var errNoRoom = errors.New("its quota is too small")

// upkeep removes what is too old, and what is in the way of others.
func (s *Store) upkeep(now time.Time) {
	s.upkept = now
	if s.lock != nil {
		err := s.eraseDoomed()
		if s.cfg.Keep > 0 {
			err = errors.Join(err, s.expire(now))
		}
		if err != nil && !s.paused {
			s.fail(now, err)
		}
	}
	s.makeFree(now)
}

// expire removes the segments that were last written to too long ago.
func (s *Store) expire(now time.Time) (err error) {
	for _, t := range s.tapes {
		for len(t.segments) > 0 && t.segments[0] != t.active && now.Sub(t.segments[0].written) > s.cfg.Keep {
			err = errors.Join(err, s.remove(t.segments[0]))
		}
	}
	return err
}

// makeFree removes the oldest segments of a back buffer while too little is free.
func (s *Store) makeFree(now time.Time) {
	free, err := s.fs.Free(s.dir)
	if err != nil {
		s.starved = false // not known: a full disk will say so itself
		return
	}
	for free < s.cfg.Free && s.cfg.Keep > 0 && s.lock != nil {
		freed := s.shrink(now)
		if freed == 0 {
			break
		}
		free += freed
	}
	switch {
	case free < s.cfg.Free:
		s.starved = true
		if !s.paused {
			s.fail(now, s.starving())
		}
	case s.starved && free >= s.cfg.Free+freeSlack:
		s.starved = false
		s.mend()
	case !s.failing && !s.shrunk.IsZero() && now.Sub(s.shrunk) > reportEvery:
		s.shrunk = time.Time{}
		s.mu.Lock()
		s.writes.mended()
		s.mu.Unlock()
	}
}

func (s *Store) starving() error {
	return fmt.Errorf("%w: less than %d MiB are free", errStarved, s.cfg.Free>>20)
}

// shrink removes the oldest segment for others, and is how many bytes that gave.
func (s *Store) shrink(now time.Time) int64 {
	if s.lock == nil {
		return 0 // another process may have it
	}
	g := s.oldest()
	if g == nil {
		return 0
	}
	if err := s.remove(g); err != nil {
		if !s.paused {
			s.fail(now, err)
		}
		return 0
	}
	s.shrunk = now
	if !s.failing {
		s.mu.Lock()
		left := s.bytes
		s.mu.Unlock()
		s.report(now, nil, fmt.Sprintf("%v: the %s shrinks to %d MiB, live goes on", errStarved, s.cfg.what(), left>>20))
	}
	return g.size
}

// giveWay removes old segments of a back buffer if err says that the disk is full,
// and tells whether that gave least bytes and a good part of what is held: what is
// written then comes in long segments again.
func (s *Store) giveWay(now time.Time, err error, least int64) bool {
	if !isFull(err) || s.cfg.Keep == 0 {
		return false
	}
	s.mu.Lock()
	least = max(least, s.bytes/givesPart)
	s.mu.Unlock()
	for least > 0 {
		freed := s.shrink(now)
		if freed == 0 {
			return false
		}
		least -= freed
	}
	return true
}

// room makes the quota carry need more bytes.
func (s *Store) room(need int64) error {
	if s.starved {
		return s.starving()
	}
	for {
		s.mu.Lock()
		over := s.files >= MaxSegments || s.quota > 0 && s.bytes-s.held+need+s.feet() > s.quota
		s.mu.Unlock()
		if !over {
			return nil
		}
		g := s.oldest()
		if g == nil {
			return errNoRoom
		}
		if err := s.remove(g); err != nil {
			return err
		}
	}
}

// feet is how long index and trailer of the segments under way will be.
func (s *Store) feet() (size int64) {
	for _, t := range s.tapes {
		if g := t.active; g != nil {
			size += int64(recordHead + 4 + int(g.blocks)*entryLen + int(g.shards)*4 + trailerLen)
		}
	}
	return size
}

// oldest is the segment to go first: the one last written to longest ago. If it is
// under way, for a stream that pauses or because there is no other, that ends it.
func (s *Store) oldest() (oldest *segment) {
	for _, t := range s.tapes {
		if len(t.segments) > 0 && (oldest == nil || t.segments[0].written.Before(oldest.written)) {
			oldest = t.segments[0]
		}
	}
	if oldest != nil && oldest == oldest.tape.active {
		s.detach(oldest.tape)
	}
	return oldest
}

// remove takes a finished segment, the first of its tape, out of the store, and its
// file away as soon as nobody reads it. If that fails it is tried again.
func (s *Store) remove(g *segment) error {
	s.mu.Lock()
	g.gone = true
	g.tape.segments = slices.DeleteFunc(g.tape.segments, func(o *segment) bool { return o == g })
	s.cached = slices.DeleteFunc(s.cached, func(o *segment) bool { return o == g })
	s.files--
	var closing []File
	if g.refs > 0 {
		g.held = true
		s.held += g.size
		s.doomed = append(s.doomed, g)
	} else if g.loaded != nil {
		closing = append(closing, g.loaded.file)
		g.loaded = nil
	}
	s.mu.Unlock()
	if g.held {
		return nil
	}
	closeAll(closing)
	err := s.erase(g)
	if err != nil {
		s.doomed = append(s.doomed, g)
	}
	return err
}

// eraseDoomed removes the files that could not be removed before.
func (s *Store) eraseDoomed() (err error) {
	s.doomed = slices.DeleteFunc(s.doomed, func(g *segment) bool {
		s.mu.Lock()
		read := g.refs > 0
		if !read && g.held {
			g.held = false
			s.held -= g.size
		}
		s.mu.Unlock()
		if read {
			return false
		}
		failure := s.erase(g)
		err = errors.Join(err, failure)
		return failure == nil
	})
	return err
}

// erase removes a segment's file, and the directories that are then empty.
func (s *Store) erase(g *segment) error {
	if err := s.fs.Remove(g.path()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.mu.Lock()
	s.bytes -= g.size
	empty := len(g.tape.segments) == 0
	s.mu.Unlock()
	if empty && s.fs.Remove(g.tape.dir) == nil {
		_ = s.fs.Remove(filepath.Dir(g.tape.dir)) // it may have another epoch
	}
	return nil
}
