package main

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// fetch gets what is at a URL.
func fetch(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// begin starts a participant that knows nobody and carries nothing yet.
func begin(t *testing.T, upload float64) *host.Host {
	t.Helper()
	c, n := &console{err: io.Discard}, node{listen: "127.0.0.1:0"}
	h, err := n.start(t.Context(), c, c.logger(false), relay.Config{Key: host.NewKey(), Upload: upload}, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Kill)
	return h
}

// show serves a site, and returns its URL.
func show(t *testing.T, s *site) string {
	t.Helper()
	s.addr = "127.0.0.1:0"
	w, err := s.serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w.url
}

// TestFlow: a counter that counts is well, one that stands still for a while is not,
// and it does not matter how often anybody asks.
func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Uint64
		ctx, cancel := context.WithCancel(t.Context())
		f := &flow{count: n.Load}
		done := make(chan struct{})
		go func() { f.watch(ctx); close(done) }()
		for _, step := range []struct {
			counts uint64
			wait   time.Duration
			says   string
		}{
			{0, 0, "no block has come yet"},
			{0, time.Minute, "no block has come yet"},
			{1, 0, ""},
			{1, stillness, ""},
			{1, 2 * time.Second, "no block has come for 7 s"},
			{1, time.Hour, "no block has come for 3607 s"},
			{2, 0, ""},
		} {
			n.Store(step.counts)
			<-time.After(step.wait)
			synctest.Wait()
			says := ""
			if err := f.check(time.Now()); err != nil {
				says = err.Error()
			}
			if says != step.says {
				t.Errorf("%d, after %v: %q, want %q", step.counts, step.wait, says, step.says)
			}
		}
		// A block that came long ago, while nobody asked, is no block that comes.
		n.Store(3)
		<-time.After(time.Minute)
		if f.check(time.Now()) == nil {
			t.Error("what came a minute ago flows")
		}
		cancel()
		<-done
	})
}

// TestHeartbeat: whoever asks is answered, or told that nobody answers; many that ask
// are one question.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var questions atomic.Int64
		answer := make(chan struct{})
		b := &heartbeat{ask: func() { questions.Add(1); <-answer }}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := b.feel(ctx); err == nil || err.Error() != "the participant does not answer" {
				t.Errorf("nobody answers, and it says %v", err)
			}
			cancel()
		}
		if n := questions.Load(); n != 1 {
			t.Errorf("%d questions are under way", n)
		}
		close(answer)
		synctest.Wait()
		if err := b.feel(t.Context()); err != nil || questions.Load() != 2 {
			t.Errorf("after %d questions: %v", questions.Load(), err)
		}
	})
}

func TestHasBegun(t *testing.T) {
	id, other := stripe.ID{1}, stripe.ID{2}
	carries := func(id stripe.ID, started bool) relay.StreamStatus {
		return relay.StreamStatus{Info: stripe.Info{Stream: id}, Started: started}
	}
	for _, c := range []struct {
		name  string
		peers int
		joins bool
		has   []relay.StreamStatus
		links []stripe.ID
		ready bool
	}{
		{"a pool of its own", 0, false, nil, nil, true},
		{"nobody is there", 0, true, nil, nil, false},
		{"a pool without streams", 1, true, nil, nil, true},
		{"a link of which nobody knows", 1, true, []relay.StreamStatus{carries(other, true)}, []stripe.ID{id}, false},
		{"a stream of which nothing came", 1, true, []relay.StreamStatus{carries(id, false)}, []stripe.ID{id}, false},
		{"a stream", 1, true, []relay.StreamStatus{carries(other, false), carries(id, true)}, []stripe.ID{id}, true},
	} {
		st := relay.Status{Peers: c.peers, Streams: c.has}
		if err := hasBegun(st, c.joins, c.links); (err == nil) != c.ready {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
