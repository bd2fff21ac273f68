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
	opened = nil
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"play/id@h:1/a.ts", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 403 || len(opened) > 0 {
		t.Errorf("another site's page: %s, %q", resp.Status, opened)
	}
	if resp := open(t, "GET", serve(t, nil).URL()+"play/id@h:1/a.ts", ""); resp.StatusCode != 404 {
		t.Errorf("of a relay: %s", resp.Status)
	}
}
