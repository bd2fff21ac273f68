package store

import (
	"bytes"
	"slices"
	"time"
)

// run is the writer.
func (s *Store) run() {
	defer close(s.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case p := <-s.queue:
			s.take(p)
		case <-tick.C:
			s.tick(time.Now())
		case <-s.closing:
			for len(s.queue) > 0 {
				s.take(<-s.queue)
			}
			s.finish(time.Now())
			return
		}
	}
}

// take gathers what waited into its tape's next write.
func (s *Store) take(p put) {
	size := len(p.info)
	if p.shard != nil {
		size = len(p.shard.Encoded())
	}
	s.queued.Add(-int64(size))
	t := s.addTape(p.key)
	if t == nil {
		s.dropped.Add(1)
		return
	}
	if p.shard == nil && !s.isNews(t, p.info) {
		return
	}
	if s.paused {
		s.dropped.Add(1)
		return
	}
	offset := uint32(len(t.pending))
	if p.shard == nil {
		t.pending = appendRecord(t.pending, t.salt, kindInfo, p.info)
	} else if s.isHeld(t, p) {
		return
	} else {
		t.pending = appendRecord(t.pending, t.salt, kindShard, p.shard.Encoded())
	}
	t.puts = append(t.puts, pendingPut{p.shard, offset})
	if len(t.pending) >= batchBytes {
		s.flush(time.Now(), t)
	}
}

// isNews notes an info and tells whether the segment under way lacks it: the next one
// begins with it anyway.
func (s *Store) isNews(t *tape, info []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := bytes.Equal(t.info, info)
	t.info = info
	return t.active != nil && !(same && t.active.info != 0)
}

// isHeld tells whether a segment has the shard: the one under way, or one of before, for
// who starts again is sent some that it had.
func (s *Store) isHeld(t *tape, p put) bool {
	h := &p.shard.Header
	for _, g := range s.covering(t.key, h.Number, h.Number) {
		if s.holds(g.segment, uint32(h.Number), p.shard.Index) {
			return true
		}
	}
	return false
}

// holds tells whether a segment has a shard. It may wait for the disk.
func (s *Store) holds(g *segment, number uint32, i int) bool {
	l, err := s.acquire(g)
	if err != nil {
		return false // what cannot be read is kept again
	}
	defer s.release(g)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _, held := l.index.where(number, i)
	return held
}

// tick writes what was gathered and ends segments that are old.
func (s *Store) tick(now time.Time) {
	if s.paused && !now.Before(s.retryAt) {
		s.paused = false
	}
	for _, t := range s.tapes {
		s.flush(now, t)
		if t.active != nil && now.Sub(t.opened) >= s.cfg.segmentTime() {
			if err := s.seal(t); err != nil && !s.giveWay(now, err, 0) {
				s.fail(now, err)
			}
		}
	}
	if now.Sub(s.upkept) >= upkeepEvery {
		s.upkeep(now)
	}
}

// flush writes what a tape has gathered, or loses it.
func (s *Store) flush(now time.Time, t *tape) {
	if len(t.pending) == 0 {
		return
	}
	err := s.write(now, t)
	if s.giveWay(now, err, 2*int64(len(t.pending))) {
		err = s.write(now, t)
	}
	if err != nil {
		s.dropped.Add(uint64(len(t.puts)))
		s.fail(now, err)
	} else {
		s.mend()
	}
	clear(t.puts)
	t.pending, t.puts = t.pending[:0], t.puts[:0]
}

func (s *Store) write(now time.Time, t *tape) error {
	need := int64(len(t.pending))
	if g := t.active; g != nil && (g.size+need > s.full || int(g.shards)+len(t.puts) > MaxSegmentShards) {
		if err := s.seal(t); err != nil {
			return err
		}
	}
	if err := s.acquireLock(); err != nil {
		return err
	}
	if err := s.room(need); err != nil {
		return err
	}
	if t.active == nil {
		if err := s.begin(now, t); err != nil {
			return err
		}
	}
	g := t.active
	if _, err := g.loaded.file.WriteAt(t.pending, g.size); err != nil {
		_ = g.loaded.file.Truncate(g.size) // what is left is cut off when it is read
		s.detach(t)
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range t.puts {
		at := uint32(g.size) + p.offset
		if p.shard == nil {
			g.info = at
		} else if newBlock, ok := g.loaded.index.add(&p.shard.Header, p.shard.Index, uint32(len(p.shard.Encoded())), at); ok {
			g.add(&p.shard.Header, newBlock)
		}
	}
	g.size += need
	g.written = now
	s.bytes += need
	return nil
}

// begin makes a tape's next segment.
func (s *Store) begin(now time.Time, t *tape) error {
	g := &segment{tape: t, seq: t.seq, written: now}
	t.seq++
	head := header(t.key)
	if info, err := s.Info(t.key); err == nil {
		g.info = uint32(len(head))
		head = appendRecord(head, t.salt, kindInfo, info)
	}
	f, err := s.fs.Create(g.path())
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		f.Close()
		_ = s.fs.Remove(g.path()) // it is found empty, and removed, by the next Open
		return err
	}
	g.loaded, g.size = &loaded{file: f}, int64(len(head))
	t.active, t.opened = g, now
	s.mu.Lock()
	defer s.mu.Unlock()
	t.segments = append(t.segments, g)
	s.files++
	s.bytes += g.size
	return nil
}

// seal finishes the segment under way and makes it durable. If that fails it is left
// as it is, and its records are read one by one when they are needed.
func (s *Store) seal(t *tape) error {
	g := t.active
	s.mu.Lock()
	foot := g.foot(&g.loaded.index)
	s.mu.Unlock()
	before := g.size
	err := s.writeFoot(g, g.loaded.file, foot)
	s.mu.Lock()
	s.bytes += g.size - before
	s.mu.Unlock()
	s.detach(t)
	return err
}

// foot is index and trailer of a segment.
func (g *segment) foot(x *index) []byte {
	foot := appendRecord(nil, g.tape.salt, kindIndex, x.encode())
	end := trailer{summary: g.summary, index: uint32(g.size), indexLen: uint32(len(foot))}
	return appendRecord(foot, g.tape.salt, kindTrailer, end.encode())
}

// writeFoot ends a segment's file with its foot.
func (s *Store) writeFoot(g *segment, f File, foot []byte) error {
	_, err := f.WriteAt(foot, g.size)
	if err == nil {
		err = f.Truncate(g.size + int64(len(foot)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.size += int64(len(foot))
	g.sealed = true
	return nil
}

// detach makes a segment one that is not written to any more.
func (s *Store) detach(t *tape) {
	g := t.active
	t.active = nil
	s.mu.Lock()
	s.cached = append(s.cached, g)
	closing := s.evict()
	s.mu.Unlock()
	closeAll(closing)
}

// finish ends the writer's work.
func (s *Store) finish(now time.Time) {
	s.paused = false
	for _, t := range s.tapes {
		s.flush(now, t)
		if t.active != nil {
			if err := s.seal(t); err != nil {
				s.fail(now, err)
			}
		}
	}
	s.mu.Lock()
	s.ended = true
	var closing []File
	for _, g := range slices.Concat(s.cached, s.doomed) {
		if g.loaded != nil && g.refs == 0 {
			closing = append(closing, g.loaded.file)
			g.loaded = nil
		}
	}
	s.cached = nil
	s.mu.Unlock()
	closeAll(closing)
	if s.lock != nil {
		s.lock.Close()
	}
}

func closeAll(files []File) {
	for _, f := range files {
		f.Close() // nothing is written to it any more
	}
}
