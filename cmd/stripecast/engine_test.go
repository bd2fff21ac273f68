package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/stripe"
)

// opened puts a stream that nobody takes into an engine, and returns which it is and
// whether it was closed.
func (e *engine) opened(t *testing.T, n byte) (o *opening, closed *bool) {
	closed = new(bool)
	o = &opening{ready: make(chan struct{}), used: time.Now(), asked: time.Now(), close: func() { *closed = true }}
	o.link.ID[0] = n
	cfg := httpd.DefaultConfig()
	cfg.Stream = httpd.NewBroadcaster()
	o.part = httpd.NewPart(t.Context(), "x", cfg)
	close(o.ready)
	e.open = append(e.open, o)
	return o, closed
}

func newEngine(most int) *engine {
	return &engine{console: &console{err: &bytes.Buffer{}}, flags: &viewFlags{most: most}}
}

// TestEngineCloses: what nobody takes is closed after a minute, or at once to make room
// for another; but not what somebody has just asked for.
func TestEngineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(2)
		_, first := e.opened(t, 1)
		<-time.After(engineIdle / 2)
		second, other := e.opened(t, 2)
		e.closeIdle(time.Now())
		if e.runs.Wait(); *first || *other {
			t.Error("closed too early")
		}
		<-time.After(engineIdle/2 + time.Second)
		e.closeIdle(time.Now())
		if e.runs.Wait(); !*first || *other || !slices.Equal(e.open, []*opening{second}) {
			t.Errorf("after a minute: first closed %v, second %v", *first, *other)
		}
		third, last := e.opened(t, 3)
		if _, err := e.find(stripe.Link{ID: third.link.ID}); err != nil {
			t.Error(err)
		}
		<-time.After(engineAsked)
		second.asked = time.Now()
		if !e.makeRoom(time.Now()) {
			t.Error("there is no room")
		}
		if e.runs.Wait(); *other || !*last {
			t.Error("what was just asked for was closed")
		}
		if _, err := e.find(stripe.Link{ID: stripe.ID{2}}); err != nil || len(e.open) != 1 {
			t.Error("what is open is not found")
		}
		e.opened(t, 4)
		if _, err := e.find(stripe.Link{ID: stripe.ID{9}}); !errors.Is(err, httpd.ErrBusy) {
			t.Errorf("a third of two: %v", err)
		}
	})
}

// TestEngineChannels: what was open is listed with the URL that opens it again, the newest
// last, and no more than maxKnown of them.
func TestEngineChannels(t *testing.T) {
	e := newEngine(1)
	for i := range byte(maxKnown + 1) {
		link := stripe.Link{ID: stripe.ID{i}, Hosts: []string{"[::1]:7070", "example.org:1"}, Name: "of the link"}
		e.learn(&opening{link: link, name: "as it says", media: stripe.MediaMP3, logo: "https://example.org/x.png"})
	}
	all := e.channels()
	want := "/play/" + stripe.ID{maxKnown}.String() + "@--1.ipv6-literal.net:7070,example.org:1/as%20it%20says.mp3"
	if c := all[len(all)-1]; len(all) != maxKnown || !c.Radio || c.Name != "as it says" || c.Logo != "https://example.org/x.png" || c.Path != want {
		t.Errorf("%d channels, the last %+v, want %s", len(all), c, want)
	}
	if all[0].ID != (stripe.ID{1}).String() {
		t.Errorf("the first is %+v", all[0])
	}
}

// TestEngineRefuses: what is no link opens nothing.
func TestEngineRefuses(t *testing.T) {
	e := newEngine(1)
	for _, hosts := range []string{"", "x", "x@127.0.0.1:1", "@127.0.0.1:1"} {
		if _, err := e.play(context.Background(), hosts, "name"); !errors.Is(err, stripe.ErrLink) || len(e.open) > 0 {
			t.Errorf("%q: %v", hosts, err)
		}
	}
	for _, args := range [][]string{
		{"view", "--engine", "-o", "-"}, {"view", "--engine", "--from", "-5m"}, {"view", "--engine", "--player", "mpv"},
		{"view", "--engine", "--streams", "0"}, {"view", "--engine", "--streams", "17"}, {"view", "--engine", "--listen", ":7070"},
		{"view", "--engine", "--upload", "auto"}, {"view", "--engine", "--delay", "1h"},
	} {
		if code, _, errs := call(t, args...); code != 1 || !bytes.Contains([]byte(errs), []byte("hint: ")) {
			t.Errorf("%q: %d, %s", args, code, errs)
		}
	}
	if code, _, _ := call(t, "view", "--engine", "stripecast://x"); code != 2 {
		t.Errorf("an engine with a link: %d", code)
	}
}
