//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long anything may take that should take a moment. The machine
// may be busy.
const patience = 20 * time.Second

const (
	anyUDP  = "--listen=127.0.0.1:0"
	anyHTTP = "--http=127.0.0.1:0"
)

// startSource starts a source and returns it with its link.
func startSource(t testing.TB, o options, args ...string) (*node, string) {
	t.Helper()
	dir := t.TempDir()
	args = append([]string{"source", anyUDP, anyHTTP, "--key", filepath.Join(dir, "key")}, args...)
	n := &node{proc: stripecast(t, o, "source", args...)}
	link := n.prints(t, `(?m)^(stripecast://\S+)$`, patience)[1]
	n.url = n.says(t, `status at (http://\S+/)`, patience)[1]
	return n, link
}

func startRelay(t testing.TB, name string, args ...string) *node {
	t.Helper()
	args = append([]string{"relay", anyUDP, anyHTTP}, args...)
	return &node{proc: stripecast(t, options{}, name, args...)}
}

// startRelays starts n of them and waits until they run.
func startRelays(t testing.TB, n int, args ...string) []*node {
	t.Helper()
	var relays []*node
	for i := range n {
		relays = append(relays, startRelay(t, fmt.Sprintf("relay %d", i+1), args...))
	}
	for _, r := range relays {
		r.ready(t)
	}
	return relays
}

// ready waits for a relay's or a viewer's URL.
func (n *node) ready(t testing.TB) {
	t.Helper()
	n.url = n.says(t, `(?:status at|page) (http://[^\s,]+/)`, patience)[1]
}

// carrying waits until each carries something.
func carrying(t testing.TB, relays ...*node) {
	t.Helper()
	for _, r := range relays {
		eventually(t, patience, r.name+" is fed", func() bool {
			st, err := r.look()
			live := 0
			for _, s := range st.Stripes {
				if s.Live {
					live++
				}
			}
			return err == nil && live > 0
		})
	}
}

func startViewer(t testing.TB, name, link string, args ...string) *node {
	t.Helper()
	args = append([]string{"view", anyUDP, anyHTTP, link}, args...)
	return &node{proc: stripecast(t, options{}, name, args...)}
}

// playing waits until a viewer has played something.
func playing(t testing.TB, viewers ...*node) {
	t.Helper()
	for _, v := range viewers {
		v.ready(t)
		eventually(t, patience, v.name+" plays", func() bool {
			st, err := v.look()
			return err == nil && st.Blocks.Played > 0
		})
	}
}

// reader is a client that takes the stream over HTTP to its end.
type reader struct {
	text
	name string
	done chan struct{}
	err  error // once done
}

func readHTTP(t testing.TB, name, url string) *reader {
	r := &reader{name: name, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			r.err = err
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			r.err = fmt.Errorf("%s", resp.Status)
			return
		}
		_, r.err = io.Copy(&r.text, resp.Body)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// mustEnd wants the client to reach the stream's end in order.
func (r *reader) mustEnd(t testing.TB, within time.Duration) {
	t.Helper()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-r.done:
		if r.err != nil {
			t.Fatalf("%s: %v", r.name, r.err)
		}
	case <-late.C:
		t.Fatalf("%s is not at the end after %v", r.name, within)
	}
}

// silentUDP is a port of loopback from which no answer comes. It is held until the
// test ends: of those that are merely free another test may get one meanwhile.
func silentUDP(t testing.TB) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}

// ownUDP is a port of loopback that is free, and stays so until who is told of it
// takes it: it is below those that a system gives to who asks for any, as all other
// tests do.
func ownUDP(t testing.TB) string {
	t.Helper()
	const first, count = 20_000, 10_000
	for range 100 {
		c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(count)))
		if err == nil {
			defer c.Close()
			return c.LocalAddr().String()
		}
	}
	t.Fatalf("of the ports from %d on none of a hundred is free", first)
	return ""
}

// busiest is the relay with the most children, once there is one with any.
func busiest(t testing.TB, relays []*node) (best int) {
	t.Helper()
	eventually(t, patience, "a relay feeds somebody", func() bool {
		most := 0
		for i, r := range relays {
			if !r.running() {
				continue
			}
			if c := r.status(t).Children; c > most {
				best, most = i, c
			}
		}
		return most > 0
	})
	return best
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// noneSkipped wants that of every viewer.
func noneSkipped(t testing.TB, viewers ...*node) {
	t.Helper()
	for _, v := range viewers {
		if b := v.status(t).Blocks; b.Skipped != 0 || b.Played == 0 {
			t.Errorf("%s: %+v (%s)", v.name, b, load())
		}
	}
}

// keepPlaying wants the viewers to play so much more of the stream, without a skip.
func keepPlaying(t testing.TB, more time.Duration, viewers ...*node) {
	t.Helper()
	until := make([]float64, len(viewers))
	for i, v := range viewers {
		until[i] = v.status(t).played() + more.Seconds()
	}
	for i, v := range viewers {
		eventually(t, more+patience, v.name+" plays on", func() bool {
			st, err := v.look()
			return err == nil && st.played() >= until[i]
		})
	}
	noneSkipped(t, viewers...)
}

// played is how many seconds a viewer has played.
func (s status) played() float64 { return float64(s.Blocks.Played) * s.Block }

func wholePackets(b []byte) bool {
	return len(b)%188 == 0 && (len(b) == 0 || bytes.HasPrefix(b, []byte{0x47}))
}
