package store

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Key names what belongs together: one run of one source.
type Key struct {
	Stream stripe.ID
	Epoch  uint32
}

// KeyOf is the key under which a shard is kept.
func KeyOf(h *stripe.Header) Key { return Key{h.Stream, h.Epoch} }

func (k Key) compare(o Key) int {
	return cmp.Or(bytes.Compare(k.Stream[:], o.Stream[:]), cmp.Compare(k.Epoch, o.Epoch))
}

// tape is all segments of one key.
type tape struct {
	key  Key
	dir  string
	salt uint32

	// guarded by Store.mu
	segments []*segment // as they were begun
	info     []byte     // the newest; nil: not known, or not read yet

	// owned by the writer
	seq     uint64   // of the next segment
	active  *segment // the last of segments, if it is being written
	opened  time.Time
	pending []byte // records to be written, their offsets counted from its start
	puts    []pendingPut
}

type pendingPut struct {
	shard  *stripe.Shard // nil: an info
	offset uint32
}

// segment is one file.
type segment struct {
	tape *tape
	seq  uint64

	// guarded by Store.mu; while the segment is active only the writer changes it
	summary
	size    int64 // bytes of the file that are whole
	written time.Time
	sealed  bool    // it has a trailer
	loaded  *loaded // nil: only the summary is in memory
	refs    int     // readers of loaded
	used    uint64  // when it was last, counted by Store.uses
	gone    bool    // it is no part of its tape any more: its file is to be removed
	held    bool    // and has readers

	runs     []Run // of a finished segment, if surveyed
	surveyed int   // runs are of blocks with at least as many shards; 0: not known
}

// loaded is what is in memory of a segment that is read or written.
type loaded struct {
	file  File
	index index
}

const suffix = ".v1"

func tapeDir(dir string, key Key) string {
	return filepath.Join(dir, key.Stream.String(), fmt.Sprintf("%08x", key.Epoch))
}

func (g *segment) path() string { return segmentPath(g.tape.dir, g.seq) }

func segmentPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x", seq)+suffix)
}

// parseHex reads a name of exactly that many digits, as we write it.
func parseHex(name string, digits int) (uint64, bool) {
	if len(name) != digits || strings.ToLower(name) != name {
		return 0, false
	}
	v, err := strconv.ParseUint(name, 16, 64)
	return v, err == nil
}

// tape finds a tape, or nil. It is called with mu held, or by the writer, which alone
// adds and removes them.
func (s *Store) tape(key Key) *tape {
	if at, ok := s.findTape(key); ok {
		return s.tapes[at]
	}
	return nil
}

func (s *Store) findTape(key Key) (int, bool) {
	return slices.BinarySearchFunc(s.tapes, key, func(t *tape, k Key) int { return t.key.compare(k) })
}

// addTape makes a tape, or finds it; nil if there are too many. It is for the writer.
func (s *Store) addTape(key Key) *tape {
	at, ok := s.findTape(key)
	if ok {
		return s.tapes[at]
	}
	if len(s.tapes) >= MaxTapes && !s.forgetTapes() {
		return nil
	}
	at, _ = s.findTape(key)
	t := &tape{key: key, dir: tapeDir(s.dir, key), salt: salt(key)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tapes = slices.Insert(s.tapes, at, t)
	return t
}

// forgetTapes drops the tapes of which nothing is left, and tells whether there were
// any. It is for the writer.
func (s *Store) forgetTapes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.tapes)
	s.tapes = slices.DeleteFunc(s.tapes, func(t *tape) bool {
		return len(t.segments) == 0 && len(t.pending) == 0 &&
			!slices.ContainsFunc(s.doomed, func(g *segment) bool { return g.tape == t })
	})
	return len(s.tapes) < before
}
