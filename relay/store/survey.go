package store

import (
	"cmp"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// survey finds the segments of a directory. What is not named as we name things is
// not ours and is left alone.
func (s *Store) survey(now time.Time) {
	for _, e := range s.list(now, s.dir) {
		id, err := stripe.ParseID(e.Name)
		if err != nil || !e.Dir || id.String() != e.Name {
			continue
		}
		for _, e := range s.list(now, filepath.Join(s.dir, e.Name)) {
			epoch, ok := parseHex(e.Name, 8)
			if !ok || !e.Dir {
				continue
			}
			if t := s.addTape(Key{id, uint32(epoch)}); t != nil {
				s.surveyTape(now, t)
			}
		}
	}
}

func (s *Store) list(now time.Time, dir string) []Entry {
	entries, err := s.fs.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fail(now, err)
	}
	return entries
}

func (s *Store) surveyTape(now time.Time, t *tape) {
	for _, e := range s.list(now, t.dir) {
		name, ours := strings.CutSuffix(e.Name, suffix)
		seq, ok := parseHex(name, 16)
		if !ours || !ok || e.Dir || seq == 1<<64-1 {
			continue
		}
		t.seq = max(t.seq, seq+1)
		g := &segment{tape: t, seq: seq, size: e.Size, written: e.Modified}
		if g.written.After(now) {
			g.written = now // the clock went back
		}
		if s.files >= MaxSegments {
			continue
		}
		keep, err := s.examine(g)
		if err != nil {
			s.fail(now, err)
		}
		if keep {
			t.segments = append(t.segments, g)
			s.files++
			s.bytes += g.size
		}
	}
	slices.SortFunc(t.segments, func(a, b *segment) int { return cmp.Compare(a.seq, b.seq) })
}

// examine reads a segment's trailer, or its records if it has none: then it was cut
// off, and is finished now. One with nothing in it is not kept.
func (s *Store) examine(g *segment) (keep bool, err error) {
	f, err := s.fs.Open(g.path(), false)
	if err != nil {
		return false, err
	}
	end, err := readTrailer(f, g.size, g.tape.salt)
	if err == nil && end.shards > 0 {
		g.summary, g.sealed = end.summary, true
		f.Close()
		return true, nil
	}
	x, sum, whole, err := scan(f, g.size, g.tape.key)
	f.Close()
	g.summary = sum
	if err != nil || s.lock == nil {
		return sum.shards > 0, err
	}
	if sum.shards == 0 {
		return false, s.fs.Remove(g.path())
	}
	if f, err = s.fs.Open(g.path(), true); err != nil {
		return true, err
	}
	defer f.Close()
	size := g.size
	g.size = whole
	if err := s.writeFoot(g, f, g.foot(&x)); err != nil {
		g.size = size
		return true, err
	}
	return true, nil
}
