package httpd

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"github.com/stripecast/stripecast/stripe"
)

// listen reads a stream with titles as a player does, and returns it without, and the
// titles.
func listen(t testing.TB, body io.Reader, every int) (sound []byte, titles []string) {
	t.Helper()
	for {
		b := make([]byte, every)
		n, err := io.ReadFull(body, b)
		sound = append(sound, b[:n]...)
		if err != nil {
			return sound, titles
		}
		var units [1]byte
		if _, err := io.ReadFull(body, units[:]); err != nil {
			t.Fatalf("no title after %d bytes: %v", len(sound), err)
		}
		text := make([]byte, 16*int(units[0]))
		if _, err := io.ReadFull(body, text); err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			continue
		}
		title, ok := strings.CutPrefix(string(text), "StreamTitle='")
		title, rest, found := strings.Cut(title, "';")
		if !ok || !found || strings.Trim(rest, "\x00") != "" {
			t.Fatalf("title %q", text)
		}
		titles = append(titles, title)
	}
}

// TestRadio: who asks for titles gets them at the right bytes, and the stream between;
// who does not ask gets the stream alone.
func TestRadio(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaMP3, Rate: 127_600})
	var title atomic.Value
	title.Store("")
	s := serve(t, func(c *Config) {
		c.Stream, c.Name, c.Title = b, "Späti FM\n", func() string { return title.Load().(string) }
	})
	get := func(asked string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Icy-MetaData", asked)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	r := rand.New(rand.NewPCG(5, 6))
	var all []byte
	push := func(n uint64) {
		data := make([]byte, 1+r.IntN(20000))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		all = append(all, data...)
		b.Push(play(n, data))
	}
	push(0)
	with, without := get("1"), get("0")
	for n := uint64(1); n < 20; n++ {
		if n == 10 {
			title.Store("It's on; 'loud'; now")
		}
		push(n)
	}
	b.End()
	if h := with.Header; h.Get("icy-metaint") != "16000" || h.Get("icy-name") != "Späti FM" || h.Get("icy-br") != "128" || h.Get("Content-Type") != "audio/mpeg" {
		t.Errorf("%v", h)
	}
	sound, titles := listen(t, with.Body, 16000)
	if !bytes.Equal(sound, all) {
		t.Errorf("%d bytes of %d, or others", len(sound), len(all))
	}
	if last := len(titles) - 1; last < 0 || last > 1 || titles[last] != "It's on; 'loud’; now" || last == 1 && titles[0] != "Späti FM" {
		t.Errorf("titles %q", titles)
	}
	if plain, err := io.ReadAll(without.Body); err != nil || !bytes.Equal(plain, all) || without.Header.Get("icy-metaint") != "" || without.Header.Get("icy-name") == "" {
		t.Errorf("without titles: %d bytes of %d, %v, %v", len(plain), len(all), err, without.Header)
	}
}

// TestNoRadio: what has pictures gets no such headers, Ogg no titles.
func TestNoRadio(t *testing.T) {
	for media, want := range map[stripe.Media][2]bool{ // named, titled
		stripe.MediaTS: {}, stripe.MediaMP3: {true, true}, stripe.MediaAAC: {true, true}, stripe.MediaOgg: {true, false}, stripe.MediaOpaque: {},
	} {
		b := NewBroadcaster()
		b.Begin(Format{Media: media})
		b.Push(play(0, text(0)))
		s := serve(t, func(c *Config) { c.Stream = b })
		req, err := http.NewRequestWithContext(context.Background(), "HEAD", s.URL()+"stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Icy-MetaData", "1")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := [2]bool{resp.Header.Get("icy-name") == "live", resp.Header.Get("icy-metaint") != ""}; got != want || resp.Header.Get("icy-br") != "" {
			t.Errorf("%v: %v", media, resp.Header)
		}
	}
}

// TestTitleBlock: any title makes a block that can be read, no longer than its one byte
// of length can say.
func TestTitleBlock(t *testing.T) {
	for _, title := range []string{"a", "", "';", "ä';;'", strings.Repeat("ä", 3000), strings.Repeat("';", 2100), strings.Repeat("x", icyTitle-1) + "ä"} {
		w := &icyWriter{title: func() string { return title }, last: "before"}
		b := w.block()
		_, titles := listen(t, bytes.NewReader(slices.Concat([]byte("s"), b)), 1)
		if len(b) > 1+255*16 || len(titles) != 1 || !utf8.ValidString(titles[0]) || titles[0] == "" != (title == "") {
			t.Errorf("%.20q: %d bytes, titles %.40q", title, len(b), titles)
		}
		if again := w.block(); !bytes.Equal(again, []byte{0}) {
			t.Errorf("%.20q again: %v", title, again)
		}
	}
}
