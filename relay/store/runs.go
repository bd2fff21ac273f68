package store

import (
	"cmp"
	"math/bits"
	"slices"
)

// Run is a stretch of blocks, both ends held, that has no long gap.
type Run struct {
	First, Last uint64
	Stripes     uint64 // the shards that at least three quarters of its blocks have
}

// Runs lists the stretches of an epoch whose blocks have at least that many shards
// each, ascending by their first blocks, and no more than limit: the newest. What two
// segments have may overlap. It may wait for the disk: what is in a finished segment is
// read once, and of the newest surveyAtOnce that were not read yet at a time. The others
// are listed later.
func (s *Store) Runs(key Key, least, limit int) []Run {
	var all []Run
	least = max(1, least)
	read := 0
	for _, g := range s.covering(key, 0, 1<<32-1) {
		s.mu.Lock()
		runs, known := g.runs, g.surveyed == least
		s.mu.Unlock()
		if !known {
			if read++; read > surveyAtOnce {
				break
			}
			runs = s.surveyRuns(g.segment, least)
		}
		all = append(all, runs...)
	}
	slices.SortFunc(all, func(a, b Run) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) })
	var merged []Run
	for _, r := range all {
		if n := len(merged); n > 0 && merged[n-1].touches(r) {
			last := &merged[n-1]
			last.Last, last.Stripes = max(last.Last, r.Last), last.Stripes&r.Stripes
			continue
		}
		merged = append(merged, r)
	}
	return merged[max(0, len(merged)-limit):]
}

// touches reports whether a later run goes on where r ends, with about the same
// stripes.
func (r Run) touches(next Run) bool {
	same, any := bits.OnesCount64(r.Stripes&next.Stripes), bits.OnesCount64(r.Stripes|next.Stripes)
	return next.First <= r.Last+maxGap && 4*same >= 3*any
}

// surveyRuns finds the runs of one segment, and remembers them if it is finished.
func (s *Store) surveyRuns(g *segment, least int) []Run {
	l, err := s.acquire(g)
	if err != nil {
		return nil
	}
	defer s.release(g)
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := l.index.runs(least)
	if g.sealed {
		g.runs, g.surveyed = runs, least
	}
	return runs
}

// runs are the newest maxSegmentRuns runs of an index.
func (x *index) runs(least int) (runs []Run) {
	var counts [64]int
	blocks := 0
	end := func() {
		if blocks == 0 {
			return
		}
		r := &runs[len(runs)-1]
		for i, n := range counts {
			if 4*n >= 3*blocks {
				r.Stripes |= 1 << i
			}
		}
		counts, blocks = [64]int{}, 0
	}
	for i := range x.entries {
		e := &x.entries[i]
		if bits.OnesCount64(e.have) < least {
			continue
		}
		number := uint64(e.number)
		if blocks == 0 || number > runs[len(runs)-1].Last+maxGap {
			end()
			runs = append(runs, Run{First: number})
		}
		runs[len(runs)-1].Last = number
		blocks++
		for have := e.have; have != 0; have &= have - 1 {
			counts[bits.TrailingZeros64(have)]++
		}
	}
	end()
	return slices.Clone(runs[max(0, len(runs)-maxSegmentRuns):])
}
