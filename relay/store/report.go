package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

var errStarved = errors.New("the disk is nearly full")

// reporter says that something fails, once a minute at most, and that it works again.
// It is guarded by Store.mu.
type reporter struct {
	problem string    // in words; empty while all is well
	err     error     // nil: what is wrong costs history only, and is done
	last    time.Time // of the last line
	said    bool      // that it fails, since it began to
}

// failed notes a problem and tells whether it is to be logged.
func (r *reporter) failed(now time.Time, err error, problem string) bool {
	r.err, r.problem = err, problem
	if !r.last.IsZero() && now.Sub(r.last) < reportEvery {
		return false
	}
	r.last, r.said = now, true
	return true
}

// mended tells whether it is to be logged that all is well again.
func (r *reporter) mended() bool {
	said := r.said
	r.err, r.problem, r.said = nil, "", false
	return said
}

// fail is what happens when writing failed: the store pauses, and tries again later.
func (s *Store) fail(now time.Time, err error) {
	s.failing, s.paused = true, true
	s.retry = min(max(2*s.retry, retryMin), retryMax)
	s.retryAt = now.Add(s.retry)
	s.report(now, err, fmt.Sprintf("the %s is paused, live goes on: %s", s.cfg.what(), explain(err)))
}

// report logs a problem with writing.
func (s *Store) report(now time.Time, err error, problem string) {
	s.mu.Lock()
	say := s.writes.failed(now, err, problem)
	s.mu.Unlock()
	if say {
		s.log.Error(problem, slog.String("dir", s.dir))
	}
}

// mend is what happens when writing works.
func (s *Store) mend() {
	if !s.failing {
		return
	}
	s.failing, s.paused, s.retry = false, false, 0
	s.mu.Lock()
	say := s.writes.mended()
	s.mu.Unlock()
	if say {
		s.log.Info(fmt.Sprintf("the %s goes on", s.cfg.what()), slog.String("dir", s.dir),
			slog.Uint64("lost", s.dropped.Load()))
	}
}

// readFailed logs that something written cannot be read.
func (s *Store) readFailed(g *segment, err error) {
	problem := fmt.Sprintf("a part of the %s cannot be read and is left out: %v", s.cfg.what(), err)
	now := time.Now()
	s.mu.Lock()
	say := s.reads.failed(now, err, problem)
	s.mu.Unlock()
	if say {
		s.log.Error(problem, slog.String("file", g.path()))
	}
}
