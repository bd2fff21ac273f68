package store

import "time"

// SegmentTime is when a segment ends that does not get full.
func (c Config) SegmentTime() time.Duration { return c.segmentTime() }

// Loaded is how many segments have their index in memory.
func (s *Store) Loaded() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tapes {
		for _, g := range t.segments {
			if g.loaded != nil {
				n++
			}
		}
	}
	return n
}
