//go:build linux

package netns

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// status is what these tests read of /api/status.
type status struct {
	Node    string
	Live    int `json:"live_stripes"`
	Spare   int `json:"spare_stripes"`
	Stripes []struct {
		Parent   string
		Live     bool
		Home     bool
		Children int
	}
	Children int
	Slots    int
	Blocks   struct{ Played, Skipped uint64 }
}

// fedBy says whether any stripe comes from one of these nodes.
func (s status) fedBy(nodes map[string]bool) bool {
	for _, b := range s.Stripes {
		if nodes[b.Parent] {
			return true
		}
	}
	return false
}

// member is a participant under way.
type member struct {
	*process
	plays bool
	eye   *eye // of a viewer
	http  *http.Client
	url   string
}

// look asks for a status. The router is a neighbour of every host, so what is
// asked crosses a limited uplink but nothing that loses UDP.
func (m *member) look() (status, error) {
	var st status
	r, err := m.http.Get(m.url)
	if err != nil {
		return st, err
	}
	defer r.Body.Close()
	return st, json.NewDecoder(r.Body).Decode(&st)
}

func (m *member) status(t testing.TB) status {
	t.Helper()
	st, err := m.look()
	if err != nil {
		t.Fatalf("%s: status: %v (%s)", m.name, err, load())
	}
	return st
}

// cast is all participants of one stream.
type cast struct {
	*network
	camera  *camera
	source  *member
	relays  []*member
	viewers []*member
}

// plan says who takes part and with what upload, in bits a second.
type plan struct {
	relays, viewers           int
	sourceUp, relayUp, viewUp float64       // as the program is told
	sourceLimit               float64       // of the link; 0: none
	block                     time.Duration // 0: what the source finds best
}

const (
	playDelay = 2 * time.Second
	parity    = 4 // of the layout 16+4
)

// assemble starts everybody.
func assemble(t testing.TB, p plan) *cast {
	t.Helper()
	names := []string{"source"}
	for i := range p.relays {
		names = append(names, fmt.Sprintf("relay%d", i+1))
	}
	for i := range p.viewers {
		names = append(names, fmt.Sprintf("viewer%d", i+1))
	}
	c := &cast{network: newNetwork(t, names...), camera: newCamera(t)}
	if p.sourceLimit > 0 {
		c.limit(c.hosts[0], p.sourceLimit)
	}
	link := &text{}
	args := []string{"source", "--layout", "16+4", "--key", filepath.Join(t.TempDir(), "key"), "--upload", fmt.Sprint(p.sourceUp)}
	if p.block > 0 {
		args = append(args, "--block", p.block.String())
	}
	c.source = c.join(c.hosts[0], c.camera, link, args...)
	address := says(t, c.source.process, link, `(?m)^(stripecast://\S+)$`)
	for _, h := range c.hosts[1 : 1+p.relays] {
		c.relays = append(c.relays, c.join(h, nil, nil, "relay", address, "--upload", fmt.Sprint(p.relayUp)))
	}
	for _, h := range c.hosts[1+p.relays:] {
		e := newEye(c.camera)
		v := c.join(h, nil, e, "view", address, "-o", "-", "--delay", playDelay.String(), "--upload", fmt.Sprint(p.viewUp))
		v.plays, v.eye = true, e
		c.viewers = append(c.viewers, v)
	}
	return c
}

// join starts a participant. A nil stdout is nobody's.
func (c *cast) join(h *host, stdin *camera, stdout any, args ...string) *member {
	c.t.Helper()
	web := net.JoinHostPort(h.ip, "8080")
	args = append(args, "--listen", h.ip+":7070", "--http", web)
	m := &member{url: "http://" + web + "/api/status"}
	transport := &http.Transport{MaxConnsPerHost: 1}
	m.http = &http.Client{Timeout: 5 * time.Second, Transport: transport}
	c.t.Cleanup(transport.CloseIdleConnections)
	switch out := stdout.(type) {
	case *text:
		m.process = start(c.t, h, stdin, out, args...)
	case *eye:
		m.process = start(c.t, h, nil, out, args...)
	default:
		m.process = start(c.t, h, nil, nil, args...)
	}
	return m
}

func (c *cast) eventually(what string, ok func() bool) {
	c.t.Helper()
	if poll(patience, ok) {
		return
	}
	for _, m := range append([]*member{c.source}, c.alive()...) {
		st, err := m.look()
		c.t.Logf("%-8s live %2d, spare %2d, children %2d, played %d, skipped %d, %v",
			m.name, st.Live, st.Spare, st.Children, st.Blocks.Played, st.Blocks.Skipped, err)
	}
	c.t.Fatalf("not within %v: %s (%s)", patience, what, load())
}

// playing is how many viewers have played something.
func (c *cast) playing() int {
	n := 0
	for _, v := range c.viewers {
		if st, err := v.look(); err == nil && st.Blocks.Played > 0 {
			n++
		}
	}
	return n
}

// settled waits until everybody plays and has all that it wants, and so for a second.
func (c *cast) settled() {
	c.t.Helper()
	c.eventually("all viewers play", func() bool { return c.playing() == len(c.viewers) })
	since := time.Now()
	c.eventually("all stripes of all are fed", func() bool { return c.calm(&since) })
}

// calm says whether everybody has had all that it wants for a second.
func (c *cast) calm(since *time.Time) bool {
	c.t.Helper()
	for _, m := range c.alive() {
		if !whole(m, m.status(c.t), nil) {
			*since = time.Now()
		}
	}
	return time.Since(*since) > time.Second
}

// alive is relays and viewers that run.
func (c *cast) alive() []*member {
	var alive []*member
	for _, all := range [][]*member{c.relays, c.viewers} {
		for _, m := range all {
			if m.running() {
				alive = append(alive, m)
			}
		}
	}
	return alive
}

// whole says whether every stripe that a participant wants comes from a live
// parent that is none of those.
func whole(m *member, st status, dead map[string]bool) bool {
	want := 0
	if m.plays {
		want = parity
	}
	return st.Live > 0 && st.Spare >= want && !st.fedBy(dead)
}

// glance is a status and when it was had.
type glance struct {
	at time.Time
	status
}

// watch asks all of them for their status at every tick, until the context ends,
// and returns what each said.
func watch(ctx context.Context, every time.Duration, members []*member) (stop func() map[*member][]glance) {
	var (
		mu   sync.Mutex // guards seen
		seen = map[*member][]glance{}
		all  sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(ctx)
	for _, m := range members {
		all.Go(func() {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				if st, err := m.look(); err == nil {
					mu.Lock()
					seen[m] = append(seen[m], glance{time.Now(), st})
					mu.Unlock()
				}
			}
		})
	}
	return func() map[*member][]glance {
		cancel()
		all.Wait()
		return seen
	}
}
