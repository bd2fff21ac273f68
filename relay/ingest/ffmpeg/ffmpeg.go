// Package ffmpeg is every other input: what an installed ffmpeg reads, as MPEG-TS. ffmpeg
// only packs anew what is in there, unless it is asked to transcode.
//
//	URL, device, file ──▶ ffmpeg ──MPEG-TS──▶ bytes
//	                        └──its last words──▶ the error
//
// It is a shell: it starts programs, and kills those that hang. To start one again is
// ingest.Resumed's.
package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Job says what ffmpeg is to read.
type Job struct {
	// Input is a file, a URL that ffmpeg knows, or a device.
	Input string
	// Kind says which.
	Kind Kind
	// Rate is what to transcode it to, in bits a second; 0 leaves it as it is. A device
	// must have one.
	Rate float64
}

// Kind is what kind of input a Job has.
type Kind uint8

const (
	// File ends with its bytes.
	File Kind = iota
	// URL is live: its end is a blip.
	URL
	// Device is a capture device of this machine; live too, and not coded yet.
	Device
)

var (
	// ErrMissing means that ffmpeg is not installed.
	ErrMissing = errors.New("ffmpeg is not installed")
	// ErrCodec means that MPEG-TS cannot hold what is in the input as it is.
	ErrCodec = errors.New("MPEG-TS cannot hold what it is coded with")
	// ErrEnded means that a live input ended in order.
	ErrEnded = errors.New("ffmpeg says that it has ended")
)

// Program is ffmpeg with a job: an ingest.Line.
type Program struct {
	job    Job
	path   string
	silent time.Duration // for so long a live input that has begun may bring nothing
	begins time.Duration // and for so long one that had begun before and was started again
	came   atomic.Bool   // some run of it has brought something

	mu  sync.Mutex // guards what follows
	cur *run
}

// New finds ffmpeg.
func New(job Job) (*Program, error) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMissing, err)
	}
	return &Program{job: job, path: path, silent: idleTime, begins: beginTime}, nil
}

// Open starts the program. Its bytes end with io.EOF where a file does; otherwise its last
// words say why they ended.
func (p *Program) Open(ctx context.Context) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &run{job: p.job, program: p, cancel: cancel}
	if p.job.Kind != File && p.came.Load() {
		r.limit = p.begins
	}
	r.cmd = exec.CommandContext(ctx, p.path, arguments(p.job)...)
	r.cmd.Stderr, r.cmd.WaitDelay = &r.last, endTime
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	r.out, r.wait = out, sync.OnceValue(r.cmd.Wait)
	r.idle = time.AfterFunc(time.Hour, r.tooLate)
	r.idle.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cur = r
	return r, nil
}

// Close ends the program if one runs, and waits for its end.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cur == nil {
		return nil
	}
	return p.cur.Close()
}

// run is one run of the program.
type run struct {
	job     Job
	program *Program
	cmd     *exec.Cmd
	out     io.Reader
	cancel  context.CancelFunc
	wait    func() error // for its end; as often as one likes
	last    words
	began   bool          // something has come
	limit   time.Duration // for so long Read may wait; 0 is for ever
	idle    *time.Timer   // runs while Read waits
	late    atomic.Bool   // idle has run out
}

func (r *run) tooLate() {
	r.late.Store(true)
	r.cancel()
}

func (r *run) Read(p []byte) (int, error) {
	if r.limit > 0 {
		r.idle.Reset(r.limit)
	}
	n, err := r.out.Read(p)
	r.idle.Stop()
	if n > 0 && !r.began {
		r.began = true
		r.program.came.Store(true)
		if r.job.Kind != File {
			r.limit = r.program.silent
		}
	}
	if r.job.Rate == 0 && r.last.foreign() {
		r.Close()
		return 0, fmt.Errorf("%w: %s", ErrCodec, r.last.tell())
	}
	if err != nil && n == 0 {
		err = r.end()
	} else {
		err = nil // it is there the next time
	}
	return n, err
}

// unknownCodec is what ffmpeg says of a codec that nobody will know again.
const unknownCodec = "muxed as a private data stream"

// end says why nothing comes any more.
func (r *run) end() error {
	err := r.wait()
	switch told := r.last.tell(); {
	case r.late.Load():
		return fmt.Errorf("ffmpeg got nothing for %v", r.limit)
	case err == nil && r.job.Kind == File && r.began:
		return io.EOF
	case err == nil && (told == "" || r.job.Kind != File):
		return ErrEnded
	case told == "":
		return fmt.Errorf("ffmpeg: %w", err)
	default:
		return fmt.Errorf("ffmpeg: %s", told)
	}
}

// Close kills the program and waits for its end.
func (r *run) Close() error {
	r.cancel()
	r.idle.Stop()
	r.wait() // that it was killed is no news
	return nil
}

// words keeps the end of what is written to it.
type words struct {
	mu  sync.Mutex // guards what follows
	b   []byte
	hit bool // unknownCodec was in it
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b = append(w.b, p...)
	w.hit = w.hit || bytes.Contains(w.b, []byte(unknownCodec))
	w.b = w.b[max(0, len(w.b)-maxWords):]
	return len(p), nil
}

func (w *words) foreign() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hit
}

// tell is the last lines, in one.
func (w *words) tell() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(string(w.b), "?")) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	told := strings.Join(lines[max(0, len(lines)-toldLines):], "; ")
	if len(told) > maxTold {
		told = "…" + strings.ToValidUTF8(told[len(told)-maxTold:], "")
	}
	return told
}
