package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stripecast/stripecast/stripe"
)

// TestPlay: a URL opens what it names, in the form that it names; only one that names a
// stream opens anything.
func TestPlay(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaTS})
	newLoop(t).push(b, 60)
	cfg := DefaultConfig()
	cfg.Stream = b
	var opened []string
	s := serve(t, func(c *Config) {
		c.Play = func(_ context.Context, hosts, name string) (*Part, error) {
			opened = append(opened, hosts+" "+name)
			switch hosts {
			case "id@h:1":
				return NewPart(t.Context(), hosts, cfg), nil
			case "id@busy:1":
				return nil, fmt.Errorf("%w: too many", ErrBusy)
			case "id@bad:1":
				return nil, stripe.ErrLink
			}
			return nil, errors.New("nobody answers")
		}
	})
	for _, c := range []struct {
		path   string
		code   int
		mime   string
		opened string
	}{
		{"id@h:1/a%20b.ts", 200, "video/mp2t", "id@h:1 a b"},
		{"id@h:1/a.mp3", 404, "", "id@h:1 a"},
		{"id@h:1/stream", 200, "video/mp2t", "id@h:1 "},
		{"id@h:1/a.m3u8", 307, "", ""},
		{"id@h:1/live/index.m3u8", 200, "application/vnd.apple.mpegurl", "id@h:1 "},
		{"id@h:1/live/x", 404, "", "id@h:1 "},
		{"id@h:1/a.exe", 404, "", ""},
		{"id@h:1/a/b.ts", 404, "", ""},
		{"id@h:1/", 404, "", ""},
		{"id@h:1", 404, "", ""},
		{"", 404, "", ""},
		{"id@busy:1/a.ts", 503, "", "id@busy:1 a"},
		{"id@bad:1/a.ts", 400, "", "id@bad:1 a"},
		{"id@gone:1/a.ts", 502, "", "id@gone:1 a"},
	} {
		opened = nil
		resp := open(t, "HEAD", s.URL()+"play/"+c.path, "")
		if resp.StatusCode != c.code || c.mime != "" && resp.Header.Get("Content-Type") != c.mime || strings.Join(opened, ",") != c.opened {
			t.Errorf("%s: %s, %s, opened %q", c.path, resp.Status, resp.Header.Get("Content-Type"), opened)
		}
		if to := resp.Header.Get("Location"); c.code == 307 && to != "/play/id@h:1/live/index.m3u8" {
			t.Errorf("%s: to %q", c.path, to)
		}
	}
	if resp := open(t, "GET", serve(t, nil).URL()+"play/id@h:1/a.ts", ""); resp.StatusCode != 404 {
		t.Errorf("of a relay: %s", resp.Status)
	}
}

// TestPlayForOthers: no page of others has us open anything, whatever its browser tells of
// it, and however its name leads to us; a player, and our own page, do.
func TestPlayForOthers(t *testing.T) {
	opened := 0
	s := serve(t, func(c *Config) {
		c.Play = func(context.Context, string, string) (*Part, error) {
			opened++
			return nil, ErrBusy
		}
	})
	ours := strings.TrimSuffix(s.URL(), "/")
	for _, c := range []struct {
		name string
		head []string
		ok   bool
	}{
		{"a player", []string{"User-Agent", "VLC/3.0.24 LibVLC/3.0.24"}, true},
		{"one that says nothing", []string{"User-Agent", ""}, true},
		{"what was typed", []string{"Sec-Fetch-Site", "none", "User-Agent", "Mozilla/5.0"}, true},
		{"our page", []string{"Sec-Fetch-Site", "same-origin", "User-Agent", "Mozilla/5.0"}, true},
		{"our page, in an old browser", []string{"Referer", ours + "/", "User-Agent", "Mozilla/5.0"}, true},
		{"our page's script", []string{"Origin", ours, "User-Agent", "Mozilla/5.0"}, true},
		{"a page of others", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"a page at another port", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"a page that lies about its Referer", []string{"Sec-Fetch-Site", "cross-site", "Referer", ours + "/"}, false},
		{"a script of others", []string{"Origin", "http://evil.example"}, false},
		{"a page without an origin", []string{"Origin", "null"}, false},
		{"a page of the same name by another scheme", []string{"Origin", strings.Replace(ours, "http", "https", 1)}, false},
		{"a picture in an old browser", []string{"Referer", "http://evil.example/x", "User-Agent", "Mozilla/5.0"}, false},
		{"a picture that hides where it is", []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"}, false},
		{"a name that was made to lead here", []string{"Host", "evil.example"}, false},
	} {
		opened = 0
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"play/id@h:1/a.ts", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(c.head); i += 2 {
			req.Header.Set(c.head[i], c.head[i+1])
			if c.head[i] == "Host" {
				req.Host = c.head[i+1]
			}
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if want := map[bool]int{true: 503, false: 403}[c.ok]; resp.StatusCode != want || (opened == 1) != c.ok {
			t.Errorf("%s: %s, opened %d", c.name, resp.Status, opened)
		}
	}
}
