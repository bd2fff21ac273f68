//go:build linux

package netns

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe/ts"
)

// camera is the built-in clip for ever, at its own pace: what the source reads.
// It remembers what it gave and when.
type camera struct {
	stream *ts.Looper
	began  time.Time

	mu    sync.Mutex // guards what follows
	given []byte
	times []moment
}

// moment is when so many bytes had been given.
type moment struct {
	bytes int
	at    time.Time
}

// clipTime is how long the built-in clip lasts.
const clipTime = 4 * time.Second

func newCamera(t testing.TB) *camera {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	return &camera{stream: l}
}

// rate is the stream's, in bits a second.
func rate() float64 { return float64(len(clip.TS())) * 8 / clipTime.Seconds() }

func (c *camera) Read(p []byte) (int, error) {
	const step = 20 * time.Millisecond
	if c.began.IsZero() {
		c.began = time.Now()
	}
	pass(step)
	c.mu.Lock()
	defer c.mu.Unlock()
	due := int(rate()/8*time.Since(c.began).Seconds()) - len(c.given)
	n, err := io.ReadFull(c.stream, p[:min(due, len(p))])
	c.given = append(c.given, p[:n]...)
	c.times = append(c.times, moment{len(c.given), time.Now()})
	return n, err
}

// when is when the byte at an offset was given.
func (c *camera) when(offset int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.times, offset+1, func(m moment, want int) int { return m.bytes - want })
	return c.times[min(i, len(c.times)-1)].at
}

// find is where a piece stands in what was given, from an offset on; -1 if nowhere.
func (c *camera) find(piece []byte, from int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := bytes.Index(c.given[from:], piece); at >= 0 {
		return from + at
	}
	return -1
}

// same is how many whole packets of got stand at an offset of what was given, in bytes.
func (c *camera) same(got []byte, offset int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n+packet <= len(got) && offset+n+packet <= len(c.given) &&
		bytes.Equal(got[n:n+packet], c.given[offset+n:offset+n+packet]) {
		n += packet
	}
	return n
}

const (
	packet = ts.PacketLen
	// anchor is how much of the stream is looked for to know where it goes on.
	anchor = 8 * packet
	// maxMarkers is how many packets may mark a gap.
	maxMarkers = 16
)

// eye watches what one viewer hands to a player, while it does.
type eye struct {
	of *camera

	mu      sync.Mutex    // guards what follows
	pending []byte        // not yet compared
	at      int           // where in the stream the next byte belongs; -1 before the first
	right   int           // bytes
	wrong   int           // bytes that the source never sent, markers apart
	gaps    int           // since the last mark
	base    time.Duration // the usual age of what is played; 0: not known yet
	worst   time.Duration // the greatest since the last mark
}

func newEye(of *camera) *eye { return &eye{of: of, at: -1} }

func (e *eye) Write(p []byte) (int, error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pending = append(e.pending, p...)
	for len(e.pending) >= packet {
		if e.at >= 0 {
			n := e.of.same(e.pending, e.at)
			if n > 0 {
				e.worst = max(e.worst, now.Sub(e.of.when(e.at)))
			}
			e.right += n
			e.at += n
			e.pending = e.pending[n:]
		}
		if len(e.pending) < anchor+maxMarkers*packet {
			break // more will show where it goes on
		}
		began := e.at >= 0
		if !e.jump() {
			e.wrong += packet
			e.pending = e.pending[packet:]
		} else if began {
			e.gaps++
		}
	}
	return len(p), nil
}

// jump finds where pending goes on, behind markers of a gap.
func (e *eye) jump() bool {
	for range maxMarkers + 1 {
		if at := e.of.find(e.pending[:anchor], max(e.at, 0)); at >= 0 {
			e.at = at
			return true
		}
		if !marker(e.pending) {
			return false
		}
		e.pending = e.pending[packet:]
	}
	return false
}

// marker says whether a packet says that there is a gap, and has no payload.
func marker(p []byte) bool {
	return p[3]>>4&3 == 2 && p[4] > 0 && p[5]&0x80 != 0
}

// mark begins a row: what is played now is as old as what is played should be.
func (e *eye) mark() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.base, e.worst, e.gaps = e.worst, 0, 0
}

// jitter is how much later than usual a player can take its bytes before the
// picture stands still.
const jitter = 250 * time.Millisecond

// sight is what an eye has seen.
type sight struct {
	right, wrong, gaps int           // gaps: since the mark
	stood              time.Duration // the picture, since the mark: what came latest came so much too late, or has not come yet
}

func (e *eye) seen(now time.Time) sight {
	e.mu.Lock()
	defer e.mu.Unlock()
	worst := e.worst
	if e.at >= 0 {
		worst = max(worst, now.Sub(e.of.when(e.at)))
	}
	return sight{e.right, e.wrong, e.gaps, max(0, worst-e.base-jitter)}
}
