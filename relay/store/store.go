package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// What a reader is told.
var (
	// ErrNotHeld means that the store does not have it.
	ErrNotHeld = errors.New("not held")
	// ErrClosed means that the store is closed.
	ErrClosed = errors.New("the store is closed")
)

// Store is an open directory of segments. All methods may be called from anywhere.
type Store struct {
	dir  string
	cfg  Config
	fs   FS
	log  *slog.Logger
	quit sync.Once

	queue   chan put
	queued  atomic.Int64 // bytes of shards that wait in it
	dropped atomic.Uint64
	closing chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended

	// owned by Open, then by the writer
	lock    io.Closer // nil while the directory could not be locked
	quota   int64     // 0: none
	full    int64     // bytes at which a segment ends
	doomed  []*segment
	upkept  time.Time // when age and free space were last looked at
	starved bool      // fewer than cfg.Free bytes are free, and nothing is to be removed
	failing bool      // the last write failed
	paused  bool      // and until retryAt no other is tried
	retry   time.Duration
	retryAt time.Time
	shrunk  time.Time // when last a segment went for want of free space

	mu     sync.Mutex // nothing waits while it is held
	tapes  []*tape    // by key; only the writer changes which
	cached []*segment // finished ones with an index in memory
	uses   uint64
	bytes  int64 // of all files, doomed ones too
	files  int   // segments that are not doomed
	held   int64 // of bytes, those of doomed segments with readers
	ended  bool
	writes reporter
	reads  reporter
}

type put struct {
	key   Key
	shard *stripe.Shard // nil: it is an info
	info  []byte
}

// Open opens a directory, which need not exist, repairs what the last process left
// unfinished, and starts to write. It fails only if the config is wrong or another
// Store has the directory (ErrLocked): a disk that fails is reported, and tried again.
func Open(dir string, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{
		dir: dir, cfg: cfg, fs: cfg.FS, log: cfg.Logger, quota: cfg.Quota,
		queue: make(chan put, MaxQueue), closing: make(chan struct{}), done: make(chan struct{}),
	}
	if s.fs == nil {
		s.fs = machine{}
	}
	now := time.Now()
	err := s.acquireLock()
	if errors.Is(err, ErrLocked) {
		return nil, fmt.Errorf("%s: %w", cfg.what(), err)
	}
	if err != nil {
		s.fail(now, err)
	}
	s.survey(now)
	if s.quota == AutoQuota {
		s.quota = s.autoQuota()
	}
	s.full = segmentBytes(s.quota)
	s.upkeep(now)
	go s.run()
	return s, nil
}

func (s *Store) acquireLock() error {
	if s.lock != nil {
		return nil
	}
	lock, err := s.fs.Lock(filepath.Join(s.dir, "lock"))
	if err != nil {
		return err
	}
	s.lock = lock
	return nil
}

// autoQuota is AutoQuota in bytes.
func (s *Store) autoQuota() int64 {
	free, err := s.fs.Free(s.dir)
	if err != nil {
		return MaxAutoQuota
	}
	return max(min((free+s.bytes)/autoShare, MaxAutoQuota), MinQuota)
}

// Dir is the directory.
func (s *Store) Dir() string { return s.dir }

// Keep is how long the store reaches back; 0: for ever.
func (s *Store) Keep() time.Duration { return s.cfg.Keep }

// Put takes a shard to be written, and never waits. It is false if the shard will
// not be kept because too much is waiting or the store is closed; it may also be lost
// later, if the disk fails. The shard must have been checked, for what is kept is
// offered to others.
func (s *Store) Put(sh *stripe.Shard) bool {
	return s.enqueue(put{key: KeyOf(&sh.Header), shard: sh}, int64(len(sh.Encoded())))
}

// PutInfo takes the signed info of a stream, so that a later process that finds
// shards knows what they are of. It does not wait, and is like Put otherwise. The
// caller must not change info any more.
func (s *Store) PutInfo(key Key, info []byte) bool {
	if len(info) > stripe.MaxInfo {
		return false
	}
	return s.enqueue(put{key: key, info: info}, int64(len(info)))
}

func (s *Store) enqueue(p put, size int64) bool {
	if s.queued.Add(size) <= MaxQueueBytes {
		select {
		case <-s.closing:
		default:
			select {
			case s.queue <- p:
				return true
			default:
			}
		}
	}
	s.queued.Add(-size)
	s.dropped.Add(1)
	return false
}

// Close writes what waits, finishes the segments and lets the directory go. The error
// is why writing fails, if it does. Close waits for a disk that does not answer no
// longer than closePatience.
func (s *Store) Close() error {
	s.quit.Do(func() { close(s.closing) })
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case <-s.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.writes.err
	case <-patience.C:
		return fmt.Errorf("%s in %s: the disk did not answer within %v", s.cfg.what(), s.dir, closePatience)
	}
}

// Stats is how a store is.
type Stats struct {
	Bytes          int64 // of its files
	Quota          int64 // 0: none
	Segments       int
	Blocks         uint64 // one that two segments share counts twice
	Shards         uint64
	Oldest, Newest time.Time // of the blocks, by their sources' clocks; zero if there are none
	Dropped        uint64    // shards and infos that were not kept
	// Problem says to a person what is wrong with writing; empty: nothing.
	Problem string
}

// Stats says how the store is. It does not wait for the disk.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Bytes: s.bytes, Quota: s.quota, Segments: s.files, Dropped: s.dropped.Load(), Problem: s.writes.problem}
	var all summary
	for _, t := range s.tapes {
		for _, g := range t.segments {
			st.Shards += uint64(g.shards)
			st.Blocks += uint64(g.blocks)
			all.join(&g.summary)
		}
	}
	if all.blocks > 0 {
		st.Oldest, st.Newest = time.UnixMilli(all.oldest.time), time.UnixMilli(all.newest.time)
	}
	return st
}
