// Package sink writes what is played to standard output, to a file, or as datagrams.
//
//	Push ──▶ bounded queue ──Run──▶ stdout, file, pipe, UDP
//	         the past ──RunFrom──▶
//
// Push never waits: whoever reads may be slow, stopped or gone, and nothing else
// may notice. What does not fit is dropped in whole blocks, oldest first, and the
// gap is marked for the decoder by the function the host gives. What is past waits for
// its reader instead. The package knows no media format.
package sink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/stripecast/stripecast/playout"
)

// Stdout is the path that means standard output.
const Stdout = "-"

// ErrReaderGone means that the other end of the pipe was closed: a player that
// was quit. It is the ordinary end of a sink, not a fault.
var ErrReaderGone = errors.New("the reader has gone")

// Config says where to and how.
type Config struct {
	// Path is Stdout, udp://HOST:PORT, or a file or named pipe. A file is overwritten,
	// but only once there is something to write.
	Path string
	// MarkGap returns what to write before next when blocks are missing before
	// it; nil writes nothing.
	MarkGap func(next []byte) []byte
}

// Stats are counts since Open.
type Stats struct {
	Blocks  uint64 // written
	Bytes   uint64 // of them
	Dropped uint64 // blocks dropped because the reader was too slow or gone
	Queued  int    // bytes waiting now
}

// Sink is one output. Push, End and Stats may be called from anywhere.
type Sink struct {
	cfg     Config
	created bool          // by Open
	wake    chan struct{} // holds a token when there may be something to do

	// owned by the writer
	file *os.File   // nil until a pipe is opened
	udp  *datagrams // nil: there is a file

	mu    sync.Mutex // guards what follows
	queue []item
	last  int64 // when the source closed the newest block, ms
	ended bool  // no more is pushed, or wanted
	stats Stats
}

type item struct {
	data []byte
	gap  bool // blocks are missing before it
	came time.Time
	step time.Duration // since the block before it was closed
}

// Open prepares to write to cfg.Path; an existing file is left as it is until
// the first block. A named pipe is opened by Run, since that waits for its reader.
//
// For Stdout it also takes over SIGPIPE, which would kill the process where a
// write should fail.
func Open(cfg Config) (*Sink, error) {
	s := &Sink{cfg: cfg, wake: make(chan struct{}, 1)}
	if cfg.Path == Stdout {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		s.file = os.Stdout
		return s, nil
	}
	if info, err := os.Stat(cfg.Path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		return s, nil
	}
	if isUDP(cfg.Path) {
		var err error
		if s.udp, err = dialUDP(cfg.Path); err != nil {
			return nil, fmt.Errorf("sink: %w", err)
		}
		return s, nil
	}
	const mode = 0o666
	f, err := os.OpenFile(cfg.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	s.created = err == nil
	if errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(cfg.Path, os.O_WRONLY|os.O_CREATE, mode)
	}
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s.file = f
	return s, nil
}

// Push queues a block. It never waits; p.Data must not change any more.
func (s *Sink) Push(p playout.Play) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.stats.Dropped++
		return
	}
	now := time.Now()
	step := time.Duration(p.Header.SourceTime-s.last) * time.Millisecond
	s.last = p.Header.SourceTime
	s.queue = append(s.queue, item{data: p.Data, gap: p.Discontinuity, came: now, step: step})
	s.stats.Queued += len(p.Data)
	for len(s.queue) > 1 && (s.stats.Queued > MaxQueued || now.Sub(s.queue[0].came) > MaxAge) {
		s.take()
		s.stats.Dropped++
		s.queue[0].gap = true
	}
	s.poke()
}

// End says that nothing more is pushed. Run writes what is queued and returns.
func (s *Sink) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.poke()
}

// Stats is a snapshot.
func (s *Sink) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take removes the oldest item.
func (s *Sink) take() item {
	it := s.queue[0]
	s.queue[0] = item{}
	s.queue = s.queue[1:]
	s.stats.Queued -= len(it.data)
	return it
}

// Run writes until End, ctx's end, or a failure: ErrReaderGone when a pipe's
// reader closed it, else what writing said. Call it, or RunFrom, once.
//
// A write to a reader that does not read cannot always be called off; if so it
// is left behind when ctx ends, until the process does.
func (s *Sink) Run(ctx context.Context) error {
	begun := false
	err := s.run(ctx, func(ctx context.Context) (before, data []byte, err error) {
		it, ok := s.next(ctx)
		if !ok {
			return nil, nil, cmp.Or(ctx.Err(), io.EOF)
		}
		if it.gap && begun && s.cfg.MarkGap != nil {
			before = s.cfg.MarkGap(it.data)
		}
		begun = true
		if s.udp != nil {
			s.udp.within = span(it.step, s.Stats().Queued > 0)
		}
		return before, it.data, nil
	})
	s.clear()
	return err
}

// RunFrom is like Run, but writes what next gives instead of what is pushed: a block,
// and what goes before it. Next is called when the reader has taken what was before,
// so that one that does not read loses nothing. It ends with what next ends with; with
// io.EOF in order. What is pushed is dropped.
func (s *Sink) RunFrom(ctx context.Context, next func(context.Context) (before, data []byte, err error)) error {
	s.End()
	s.clear()
	return s.run(ctx, next)
}

// clear drops what is queued.
func (s *Sink) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		s.take()
		s.stats.Dropped++
	}
}

func (s *Sink) run(ctx context.Context, next func(context.Context) (before, data []byte, err error)) error {
	done := make(chan error, 1)
	go func() { done <- s.write(ctx, next) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return err
}

// write is the writer. It is the only one that touches the file.
func (s *Sink) write(ctx context.Context, next func(context.Context) (before, data []byte, err error)) error {
	wrote, err := s.writeAll(ctx, next)
	switch {
	case s.udp != nil:
		if e := s.udp.close(); err == nil && e != nil {
			err = fmt.Errorf("sink: %w", e)
		}
		return err
	case s.file == nil || s.file == os.Stdout:
		return err
	}
	if e := s.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("sink: %w", e)
	}
	if s.created && !wrote {
		os.Remove(s.cfg.Path)
	}
	return err
}

func (s *Sink) writeAll(ctx context.Context, next func(context.Context) (before, data []byte, err error)) (wrote bool, err error) {
	for {
		before, data, err := next(ctx)
		if errors.Is(err, io.EOF) {
			return wrote, nil
		}
		if err != nil {
			return wrote, err
		}
		if !wrote && s.udp == nil {
			if err := s.begin(); err != nil {
				return false, fmt.Errorf("sink: %w", err)
			}
			// Where the system allows it, ctx ends a write that waits.
			f := s.file
			defer context.AfterFunc(ctx, func() { f.SetWriteDeadline(time.Unix(1, 0)) })()
		}
		wrote = true
		if err := s.put(ctx, before, data); err != nil {
			return true, err
		}
		s.mu.Lock()
		s.stats.Blocks++
		s.stats.Bytes += uint64(len(data))
		s.mu.Unlock()
	}
}

// put writes a block and what goes before it.
func (s *Sink) put(ctx context.Context, before, data []byte) error {
	if s.udp != nil {
		return s.udp.send(ctx, before, data)
	}
	for _, b := range [][]byte{before, data} {
		if len(b) == 0 {
			continue
		}
		if _, err := s.file.Write(b); err != nil {
			return failure(err)
		}
	}
	return nil
}

// next waits for the oldest block queued. There is none after End, or once ctx
// ended.
func (s *Sink) next(ctx context.Context) (item, bool) {
	for {
		s.mu.Lock()
		if len(s.queue) > 0 && ctx.Err() == nil {
			defer s.mu.Unlock()
			return s.take(), true
		}
		ended := s.ended
		s.mu.Unlock()
		if ended || ctx.Err() != nil {
			return item{}, false
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// begin opens a pipe, which waits for its reader, and empties a file.
func (s *Sink) begin() error {
	if s.file == nil {
		f, err := os.OpenFile(s.cfg.Path, os.O_WRONLY, 0)
		s.file = f
		return err
	}
	info, err := s.file.Stat()
	if err != nil || s.file == os.Stdout || !info.Mode().IsRegular() {
		return err
	}
	return s.file.Truncate(0)
}

// failure is what a failed write means.
func failure(err error) error {
	if errors.Is(err, syscall.EPIPE) || runtime.GOOS == "windows" &&
		(errors.Is(err, errBrokenPipe) || errors.Is(err, errNoData)) {
		return ErrReaderGone
	}
	return fmt.Errorf("sink: %w", err)
}

// What Windows says when a pipe's reader has gone (winerror.h).
const (
	errBrokenPipe = syscall.Errno(109)
	errNoData     = syscall.Errno(232)
)
