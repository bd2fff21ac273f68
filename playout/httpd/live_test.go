package httpd

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// loop is the clip, looped, as blocks of 100 ms that begin with number 0.
type loop struct {
	t    testing.TB
	clip *ts.Looper
	size int
	n    uint64
}

func newLoop(t testing.TB) *loop {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	packets := len(clip.TS()) / ts.PacketLen
	return &loop{t: t, clip: l, size: packets / int(l.Period()/(100*time.Millisecond)) * ts.PacketLen}
}

// push gives a broadcast the next blocks.
func (f *loop) push(b *Broadcaster, blocks int) {
	f.t.Helper()
	for range blocks {
		data := make([]byte, f.size)
		if _, err := io.ReadFull(f.clip, data); err != nil {
			f.t.Fatal(err)
		}
		h := stripe.Header{Number: f.n, SourceTime: 1e12 + int64(f.n)*100}
		if f.n%20 == 0 {
			h.Flags = stripe.RandomAccess
		}
		b.Push(playout.Play{Header: h, Data: data})
		f.n++
	}
}

// TestLiveHLS: a player asks for what is there, and for what comes next.
func TestLiveHLS(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaTS})
	s := serve(t, func(c *Config) { c.Stream = b })
	f := newLoop(t)
	f.push(b, 60)
	resp, body := ask(t, "GET", s.URL()+LivePath[1:], "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/vnd.apple.mpegurl" || !strings.Contains(body, "\nstream.m3u8\n") {
		t.Fatalf("%v\n%s", resp, body)
	}
	get := func(name string) (int, string) {
		resp, body := ask(t, "GET", s.URL()+"live/"+name, "")
		return resp.StatusCode, body
	}
	// It was made of what had been broadcast already.
	if code, body := get("stream.m3u8?_HLS_msn=1"); code != 200 || !strings.Contains(body, "\n1.m4s\n") {
		t.Fatalf("%d\n%s", code, body)
	}
	_, text := get("stream.m3u8")
	_, hint, _ := strings.Cut(text, "PRELOAD-HINT:TYPE=PART,URI=\"")
	hint, _, _ = strings.Cut(hint, "\"")
	number, part, ok := strings.Cut(strings.TrimSuffix(hint, ".m4s"), ".")
	if !ok {
		t.Fatalf("no hint in\n%s", text)
	}
	answers := make(chan string, 2)
	for _, name := range []string{hint, "stream.m3u8?_HLS_msn=" + number + "&_HLS_part=" + part} {
		go func() {
			resp, err := http.Get(s.URL() + "live/" + name)
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			answers <- resp.Status + string(body) + errText(err)
		}()
	}
	eventually(t, "both are answered once there is more", func() bool {
		f.push(b, 1)
		return len(answers) == 2
	})
	for range 2 {
		if a := <-answers; !strings.HasPrefix(a, "200 OK") || !strings.Contains(a, "moof") && !strings.Contains(a, "URI=\""+hint) {
			t.Errorf("%.300q", a)
		}
	}
	for name, want := range map[string]int{
		"0.mp4": 200, "0.m4s": 200, "0.0.m4s": 200, "99.m4s": 404, "1.mp4": 404, "x": 404, "": 404, "99.0.m4s": 404,
		"stream.m3u8?_HLS_msn=99": 400, "stream.m3u8?_HLS_msn=x": 400, "stream.m3u8?_HLS_part=1": 400, "stream.m3u8?_HLS_msn=-1": 400,
	} {
		if code, body := get(name); code != want {
			t.Errorf("%s: %d, want %d\n%.100s", name, code, want, body)
		}
	}
	head, _ := ask(t, "HEAD", s.URL()+"live/0.m4s", "")
	if n, _ := strconv.Atoi(head.Header.Get("Content-Length")); n < 1000 {
		t.Errorf("HEAD: %v", head.Header)
	}
	if s.Clients() != 1 {
		t.Errorf("%d clients", s.Clients())
	}
	b.End()
	eventually(t, "the playlist says that the stream has ended", func() bool {
		_, text := get("stream.m3u8")
		return strings.HasSuffix(text, "#EXT-X-ENDLIST\n")
	})
	b.Begin(Format{Media: stripe.MediaTS})
	f.push(b, 60)
	eventually(t, "another broadcast goes on with other numbers", func() bool {
		_, text := get("stream.m3u8")
		return strings.Contains(text, "#EXT-X-DISCONTINUITY\n") && !strings.Contains(text, "ENDLIST") && !strings.Contains(text, "\n0.m4s\n")
	})
}

func errText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestHLSCannot: what cannot be in HLS is said in words, with the URL that does.
func TestHLSCannot(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaOgg})
	b.Push(play(0, []byte("OggS")))
	s := serve(t, func(c *Config) { c.Stream = b })
	resp, body := ask(t, "GET", s.URL()+LivePath[1:], "")
	if resp.StatusCode != 415 || !strings.Contains(body, "application/ogg") || !strings.Contains(body, s.URL()+"stream") {
		t.Errorf("%s\n%s", resp.Status, body)
	}
	if resp, _ := ask(t, "GET", serve(t, nil).URL()+LivePath[1:], ""); resp.StatusCode != 404 {
		t.Errorf("of a relay: %s", resp.Status)
	}
	empty := serve(t, func(c *Config) { c.Stream, c.StartTimeout = NewBroadcaster(), 20*time.Millisecond })
	if resp, body := ask(t, "GET", empty.URL()+LivePath[1:], ""); resp.StatusCode != 503 || !strings.Contains(body, "not begun") {
		t.Errorf("of nothing yet: %s\n%s", resp.Status, body)
	}
}

// TestSegmenterRests: it takes a client's place while it is asked, and not for long
// after.
func TestSegmenterRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBroadcaster()
		b.Begin(Format{Media: stripe.MediaTS})
		newLoop(t).push(b, 50)
		g := newSegmenter(b)
		g.start(t.Context())
		if synctest.Wait(); b.Stats().Clients != 0 {
			t.Fatal("it runs before it is asked")
		}
		for range 3 {
			g.ask(time.Now())
			if synctest.Wait(); b.Stats().Clients != 1 || !g.watched(time.Now()) {
				t.Fatal("it does not run")
			}
			<-time.After(MaxIdle * 2 / 3)
			g.ask(time.Now())
			<-time.After(MaxIdle * 2 / 3)
			if synctest.Wait(); b.Stats().Clients != 1 || g.watched(time.Now()) {
				t.Fatal("it stopped, or is still watched")
			}
			<-time.After(MaxIdle)
			if synctest.Wait(); b.Stats().Clients != 0 || g.muxer != nil {
				t.Fatal("it runs on")
			}
		}
		if g.next == 0 {
			t.Error("numbers begin anew")
		}
	})
}
