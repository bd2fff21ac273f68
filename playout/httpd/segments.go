package httpd

import (
	"context"
	"sync"
	"time"

	"github.com/stripecast/stripecast/playout/hls"
)

// segmenter makes live HLS of a broadcast while anybody asks for it: one for all
// players, which it follows the broadcast like any client for.
type segmenter struct {
	stream *Broadcaster
	runs   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	muxer   *hls.Muxer // nil until there is a stream
	running bool
	asked   time.Time // last
	next    int       // number of the next muxer's first segment
	changed chan struct{}
}

func newSegmenter(stream *Broadcaster) *segmenter {
	return &segmenter{stream: stream, changed: make(chan struct{})}
}

// start says how long it may run. wait waits for it to end after that.
func (g *segmenter) start(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ctx = ctx
}

func (g *segmenter) wait() { g.runs.Wait() }

// watched reports whether anybody takes what it makes.
func (g *segmenter) watched(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running && g.muxer != nil && now.Sub(g.asked) < lingerTime
}

// ask counts a request, and begins to make what it is for.
func (g *segmenter) ask(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = now
	if g.running || g.ctx == nil || g.ctx.Err() != nil {
		return
	}
	g.running = true
	ctx, cancel := context.WithCancel(g.ctx)
	g.runs.Go(func() {
		defer cancel()
		stop := make(chan struct{})
		g.runs.Go(func() { g.idle(cancel, stop) })
		g.run(ctx)
		close(stop)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.leave()
		g.running = false
	})
}

// idle ends the run when nobody has asked for long.
func (g *segmenter) idle(cancel func(), stop <-chan struct{}) {
	for left := MaxIdle; left > 0; {
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
			return
		}
		g.mu.Lock()
		left = MaxIdle - time.Since(g.asked)
		g.mu.Unlock()
	}
	cancel()
}

// run makes segments of one broadcast after the other until ctx ends.
func (g *segmenter) run(ctx context.Context) {
	for {
		f, err := g.stream.follow(ctx, g.stream.oldest)
		if err != nil {
			return
		}
		g.mu.Lock()
		g.leave()
		g.muxer = hls.New(f.Media(), g.next)
		g.wake()
		g.mu.Unlock()
		for err == nil {
			var s slot
			var lagged bool
			if s, lagged, err = f.await(ctx); err == nil {
				g.push(s, lagged)
			}
		}
		f.Close()
		if ctx.Err() != nil {
			return
		}
		g.mu.Lock()
		g.muxer.End()
		g.wake()
		g.mu.Unlock()
	}
}

func (g *segmenter) push(s slot, lagged bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.muxer.Push(s.data, lagged || s.gap, time.UnixMilli(s.source))
	g.wake()
}

// leave gives up what was made. The caller has the lock.
func (g *segmenter) leave() {
	if g.muxer != nil {
		g.next = g.muxer.Next() + 1
		g.muxer = nil
	}
}

func (g *segmenter) wake() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// await waits until ok says so of the muxer, or ctx ends. ok is called with the lock,
// and must not be kept from returning.
func (g *segmenter) await(ctx context.Context, ok func(*hls.Muxer) bool) bool {
	for {
		g.mu.Lock()
		done, changed := g.muxer != nil && ok(g.muxer), g.changed
		g.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
