package httpd

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/rewind/rewindtest"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// film is some seconds of the clip, cut and sealed.
func film(t testing.TB, seconds int) (*rewindtest.Film, []byte) {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	input := make([]byte, len(clip.TS())/ts.PacketLen*seconds/4*ts.PacketLen)
	if _, err := io.ReadFull(l, input); err != nil {
		t.Fatal(err)
	}
	return rewindtest.New(3, input), input
}

// project serves a film, and what plays of it.
func project(t *testing.T, f *rewindtest.Film) (*Server, *Broadcaster) {
	t.Helper()
	b := NewBroadcaster()
	past := rewind.New(rewind.Config{Past: f, Live: b, Format: rewindtest.Format})
	return serve(t, func(c *Config) { c.Stream, c.Past, c.Name = b, past, "film" }), b
}

// get makes a request with headers.
func get(t *testing.T, method, url string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
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
	return resp, body
}

func TestRange(t *testing.T) {
	f, input := film(t, 8)
	f.Index(true)
	s, _ := project(t, f)
	at := s.URL() + "recording.ts"
	resp, body := get(t, "GET", at)
	etag, size := resp.Header.Get("ETag"), strconv.Itoa(len(input))
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "video/mp2t" || resp.Header.Get("Accept-Ranges") != "bytes" ||
		resp.Header.Get("Content-Length") != size || !regexp.MustCompile(`^"[\w-]+"$`).MatchString(etag) || !bytes.Equal(body, input) {
		t.Fatalf("%s, %v, %d bytes", resp.Status, resp.Header, len(body))
	}
	for _, c := range []struct {
		method, ranges, ifRange string
		code                    int
		from, to                int // of the body
	}{
		{"HEAD", "", "", 200, 0, 0},
		{"GET", "bytes=0-0", "", 206, 0, 1},
		{"GET", "bytes=1000-2999", "", 206, 1000, 3000},
		{"GET", "bytes=1000-2999", etag, 206, 1000, 3000},
		{"GET", "bytes=1000-2999", `"another"`, 200, 0, len(input)},
		{"GET", "bytes=1000-2999", "W/" + etag, 200, 0, len(input)}, // only a strong one is good enough
		{"GET", "bytes=-2000", "", 206, len(input) - 2000, len(input)},
		{"GET", "bytes=500000-", "", 206, 500000, len(input)},
		{"GET", "bytes=500000-" + size + "0", "", 206, 500000, len(input)},
		{"GET", "bytes=" + size + "-", "", 416, 0, 0},
		{"GET", "bytes=x", "", 416, 0, 0},
		{"GET", "bytes=0-1,5-9", "", 200, 0, len(input)}, // several parts may be had as the whole
		{"HEAD", "bytes=5-9", "", 206, 0, 0},
	} {
		headers := []string{"Range", c.ranges}
		if c.ranges == "" {
			headers = nil
		}
		if c.ifRange != "" {
			headers = append(headers, "If-Range", c.ifRange)
		}
		resp, body := get(t, c.method, at, headers...)
		if resp.StatusCode != c.code || c.code != 416 && !bytes.Equal(body, input[c.from:c.to]) {
			t.Errorf("%s %s if %s: %s, %d bytes", c.method, c.ranges, c.ifRange, resp.Status, len(body))
		}
		want := ""
		switch {
		case c.code == 416:
			want = "bytes */" + size
		case c.code == 206 && c.method == "GET":
			want = fmt.Sprintf("bytes %d-%d/%s", c.from, c.to-1, size)
		case c.code == 206:
			want = "bytes 5-9/" + size
		}
		if got := resp.Header.Get("Content-Range"); got != want && c.ranges != "bytes=x" {
			t.Errorf("%s %s: Content-Range %q, want %q", c.method, c.ranges, got, want)
		}
	}
	if resp, _ := get(t, "GET", at, "If-None-Match", etag); resp.StatusCode != 304 {
		t.Errorf("the same again: %s", resp.Status)
	}
	f.Hold(20, uint64(f.Len()-1), false)
	if resp, body := get(t, "GET", at, "Range", "bytes=5-9", "If-Range", etag); resp.StatusCode != 200 || !bytes.Equal(body, f.Join(20, uint64(f.Len()-1))) {
		t.Errorf("when some was forgotten: %s, %d bytes", resp.Status, len(body))
	}
}

// TestUnknownLength: a recording whose length is not known is sent whole, without one;
// after that it is.
func TestUnknownLength(t *testing.T) {
	f, input := film(t, 8)
	s, _ := project(t, f)
	at := s.URL() + "recording.ts"
	resp, body := get(t, "GET", at, "Range", "bytes=5-9")
	if resp.StatusCode != 200 || resp.ContentLength >= 0 || resp.Header.Get("Accept-Ranges") != "none" || resp.Header.Get("ETag") != "" || !bytes.Equal(body, input) {
		t.Errorf("%s, %v, %d bytes", resp.Status, resp.Header, len(body))
	}
	if resp, body = get(t, "GET", at, "Range", "bytes=5-9"); resp.StatusCode != 206 || !bytes.Equal(body, input[5:10]) {
		t.Errorf("%s, %d bytes", resp.Status, len(body))
	}
}

// TestRangeAtOnce: of a recording of which nothing is here a part can be had as soon as
// others have said how long all blocks are.
func TestRangeAtOnce(t *testing.T) {
	f, input := film(t, 8)
	f.Tell(true)
	s, _ := project(t, f)
	resp, body := get(t, "GET", s.URL()+"recording.ts", "Range", "bytes=500000-500009")
	if resp.StatusCode != 206 || !bytes.Equal(body, input[500000:500010]) {
		t.Errorf("%s, %d bytes", resp.Status, len(body))
	}
	if asked, _ := f.Asked(); len(asked) > 8 {
		t.Errorf("%d blocks were read for it", len(asked))
	}
}

// TestPlaylists: the list of pieces is as long as the recording, its pieces joined are
// it, and the playlist leads there.
func TestPlaylists(t *testing.T) {
	f, input := film(t, 20)
	s, _ := project(t, f)
	_, list := get(t, "GET", s.URL()+"live.m3u")
	if want := s.URL() + "recording.m3u8\n"; !strings.HasSuffix(string(list), want) {
		t.Fatalf("%s, want %s", list, want)
	}
	resp, list := get(t, "GET", s.URL()+"recording.m3u8")
	text := string(list)
	if resp.Header.Get("Content-Type") != "application/vnd.apple.mpegurl" || !strings.HasPrefix(text, "#EXTM3U\n") ||
		!strings.HasSuffix(text, "#EXT-X-ENDLIST\n") || !strings.Contains(text, "#EXT-X-PLAYLIST-TYPE:VOD\n") {
		t.Errorf("%v\n%s", resp.Header, text)
	}
	if resp, body := get(t, "HEAD", s.URL()+"recording.m3u8"); resp.ContentLength != int64(len(list)) || len(body) != 0 {
		t.Errorf("%v", resp.Header)
	}
	base, err := url.Parse(s.URL() + "recording.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	var joined []byte
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]+$`).FindAllString(text, -1) {
		at, err := base.Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		resp, body := get(t, "GET", at.String())
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "video/mp2t" {
			t.Errorf("%s: %s %v", m, resp.Status, resp.Header)
		}
		joined = append(joined, body...)
	}
	total := 0.0
	for _, m := range regexp.MustCompile(`(?m)^#EXTINF:([\d.]+),$`).FindAllStringSubmatch(text, -1) {
		d, err := strconv.ParseFloat(m[1], 64)
		if err != nil || d > rewind.PieceTime.Seconds() {
			t.Errorf("%s: %v", m[0], err)
		}
		total += d
	}
	if want := (time.Duration(f.Len()-1) * rewindtest.BlockTime).Seconds(); total < want-0.01 || total > want+0.01 {
		t.Errorf("%v s, want %v", total, want)
	}
	if left := withoutTables(joined, input); !bytes.Equal(left, input) || len(joined) > len(left)+20*ts.PacketLen {
		t.Errorf("%d bytes, %d without tables, want %d", len(joined), len(left), len(input))
	}
}

// withoutTables drops packets that stand before others only because a piece begins.
func withoutTables(got, input []byte) (left []byte) {
	for len(got) > 0 {
		if n := len(left); n+ts.PacketLen <= len(input) && !bytes.Equal(got[:ts.PacketLen], input[n:n+ts.PacketLen]) {
			got = got[ts.PacketLen:]
			continue
		}
		left, got = append(left, got[:ts.PacketLen]...), got[ts.PacketLen:]
	}
	return left
}

// firstPiece is where the first piece of a film is.
var firstPiece = fmt.Sprintf("recording/%d.ts", rewindtest.Began.UnixMilli()/rewind.PieceTime.Milliseconds())

func TestPastRoutes(t *testing.T) {
	f, _ := film(t, 8)
	over, _ := project(t, f)
	g, _ := film(t, 4)
	g.Hold(0, 20, true)
	live, b := project(t, g)
	b.Begin(Format{Media: stripe.MediaTS})
	none := serve(t, func(c *Config) { c.Stream = begun() })
	relay := serve(t, nil)
	for _, c := range []struct {
		server *Server
		path   string
		code   int
		body   string // a part of it
	}{
		{over, "stream?from=5m", 400, `from="5m" is no moment of a stream: want -5m`},
		{over, "stream?from=", 400, `from="" is no moment`},
		{over, "film.ts?from=yesterday", 400, "no moment"},
		{over, "film.mp3?from=start", 404, ""},
		{over, "recording.mp3", 404, ""},
		{over, "recording", 404, ""},
		{over, "recording/", 404, ""},
		{over, "recording/1.ts", 404, "no such piece"},
		{over, "recording/01.ts", 404, "page not found"},
		{over, "recording/99999999999999999999.ts", 404, "page not found"},
		{over, "recording/x.ts", 404, "page not found"},
		{live, "recording.ts", 404, "/stream?from=start"},
		{live, "recording.m3u8", 404, "/stream?from=start"},
		{live, firstPiece, 200, string(g.Join(0, 20))}, // it was finished a moment ago
		{live, "recording/1.ts", 404, "no such piece"},
		{none, "stream?from=-5m", 400, "nothing of the past is kept here"},
		{none, "recording.ts", 404, "no recording here"},
		{relay, "recording.ts", 404, ""},
		{relay, "stream?from=start", 404, ""},
	} {
		resp, body := get(t, "GET", c.server.URL()+c.path)
		if resp.StatusCode != c.code || !strings.Contains(string(body), c.body) {
			t.Errorf("%s: %s, %.200q", c.path, resp.Status, body)
		}
	}
	if resp, body := get(t, "HEAD", over.URL()+"stream?from=-5s"); resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("Content-Type") != "video/mp2t" {
		t.Errorf("%v", resp)
	}
}

// TestFinishedStream: without a moment it begins at the start.
func TestFinishedStream(t *testing.T) {
	f, input := film(t, 8)
	s, _ := project(t, f)
	for _, path := range []string{"stream", "film.ts", "stream?from=start", "film.ts?from=-1h"} {
		if resp, body := get(t, "GET", s.URL()+path); resp.StatusCode != 200 || !bytes.Equal(body, input) {
			t.Errorf("%s: %s, %d bytes of %d", path, resp.Status, len(body), len(input))
		}
	}
}

// TestIntoLive: clients that begin at different places in the past, while the stream
// plays, all have every byte from there to its end; one of them pauses until the ring
// has long forgotten its place.
func TestIntoLive(t *testing.T) {
	f, input := film(t, 40)
	last := uint64(f.Len() - 1)
	const held = 100
	f.Hold(0, held, true)
	s, b := project(t, f)
	b.Begin(Format{Media: stripe.MediaTS})
	push := func(n uint64) {
		h, data := f.Cut(n)
		b.Push(playout.Play{Header: h, Data: data})
	}
	for n := uint64(80); n <= held-5; n++ { // play-out is a little behind
		push(n)
	}
	paused := open(t, "GET", s.URL()+"stream?from=start", "")
	bodies := make(chan []byte)
	froms := []string{"start", "-9s", "-5s", "-2s", "-1s", "-0s", "-500ms"}
	for _, from := range froms {
		resp := open(t, "GET", s.URL()+"stream?from="+from, "")
		go func() {
			body, err := io.ReadAll(resp.Body)
			bodies <- append(body, fmt.Sprint(err)...)
		}()
	}
	for n := uint64(held - 4); n < last; n++ {
		f.Hold(0, min(n+5, last), true)
		push(n)
	}
	if st := b.Stats(); st.Blocks > 150 {
		t.Fatalf("the ring holds all: %+v", st)
	}
	f.Hold(0, last, false)
	b.End()
	begins := map[int]bool{}
	for range froms {
		body := <-bodies
		body, ok := bytes.CutSuffix(body, []byte("<nil>"))
		for !bytes.HasSuffix(input, body) && len(body) > ts.PacketLen { // tables
			body = body[ts.PacketLen:]
		}
		if !ok || len(body) < len(f.Join(held+1, last)) {
			t.Errorf("a client has the last %d bytes", len(body))
		}
		begins[len(body)] = true
	}
	if len(begins) < 4 {
		t.Errorf("they began at %d places", len(begins))
	}
	got, err := io.ReadAll(paused.Body)
	if err != nil || !bytes.Equal(got, input) {
		t.Errorf("the one that paused has %d bytes of %d, %v", len(got), len(input), err)
	}
	eventually(t, "all places are free", func() bool { return s.Clients() == 0 && s.rewinds.Load() == 0 })
	if st := s.cfg.Past.Stats(); st.Absent != 0 || st.Readers != 0 {
		t.Errorf("%+v", st)
	}
}

// TestHoleInTheRing: what live had to skip is played from the past, if that has it, and
// else marked.
func TestHoleInTheRing(t *testing.T) {
	f, _ := film(t, 8)
	last := uint64(f.Len() - 1)
	f.Hold(0, last, true)
	f.Lose(30, 31)
	s, b := project(t, f)
	b.Begin(Format{Media: stripe.MediaTS})
	for n := uint64(10); n < last; n++ {
		if n/10 != 2 && n != 30 && n != 31 {
			h, data := f.Cut(n)
			b.Push(playout.Play{Header: h, Data: data})
		}
	}
	b.End()
	f.Hold(0, last, false)
	_, body := get(t, "GET", s.URL()+"stream?from=start")
	_, after := f.Cut(32)
	if want := slices.Concat(f.Join(0, 29), ts.MarkGap(after), f.Join(32, last)); !bytes.Equal(body, want) {
		t.Errorf("%d bytes, want %d", len(body), len(want))
	}
}

// TestTooManyRewinds: the past is for a few at once, and live is not touched by that.
func TestTooManyRewinds(t *testing.T) {
	f, _ := film(t, 8)
	s, b := project(t, f)
	gate := f.Shut()
	for range MaxRewinds {
		go func() {
			resp, err := http.Get(s.URL() + "stream?from=start")
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	eventually(t, "all have a place", func() bool { return s.rewinds.Load() == MaxRewinds })
	for _, path := range []string{"stream?from=-1s", "recording.ts", firstPiece, "stream"} {
		if resp, body := get(t, "GET", s.URL()+path); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "too many") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	b.Begin(Format{Media: stripe.MediaTS})
	b.Push(play(0, text(0)))
	if resp := open(t, "GET", s.URL()+"stream", ""); resp.StatusCode != 200 {
		t.Errorf("live: %s", resp.Status)
	}
	gate()
	eventually(t, "the places are free again", func() bool { return s.rewinds.Load() == 0 })
}

// TestTooManyLists: who asks how long a recording is takes a place too, while that is
// looked for.
func TestTooManyLists(t *testing.T) {
	f, _ := film(t, 8)
	f.Undate()
	s, _ := project(t, f)
	gate := f.Shut()
	paths := []string{"recording.m3u8", "live.m3u", "recording.ts", "recording/1.ts"}
	for i := range MaxRewinds {
		go func() {
			resp, err := http.Get(s.URL() + paths[i%len(paths)])
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
	eventually(t, "all have a place", func() bool { return s.rewinds.Load() == MaxRewinds })
	for _, path := range paths {
		if resp, body := get(t, "GET", s.URL()+path); resp.StatusCode != 503 || !strings.Contains(string(body), "too many") {
			t.Errorf("%s: %s %s", path, resp.Status, body)
		}
	}
	gate()
	eventually(t, "the places are free again", func() bool { return s.rewinds.Load() == 0 && s.Clients() == 0 })
	if resp, _ := get(t, "GET", s.URL()+"recording.m3u8"); resp.StatusCode != 200 {
		t.Errorf("then: %s", resp.Status)
	}
}
