package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// TestProbes: healthy and ready are two things; a participant that says nothing of
// them is both, and one that does not answer is not.
func TestProbes(t *testing.T) {
	var ready atomic.Bool
	s := serve(t, func(c *Config) {
		c.Healthy = func(ctx context.Context) error {
			if _, limited := ctx.Deadline(); !limited {
				return errors.New("there is no end to it")
			}
			return nil
		}
		c.Ready = func(context.Context) error {
			if !ready.Load() {
				return errors.New("nothing has come")
			}
			return nil
		}
	})
	check := func(path string, code int, body string) {
		t.Helper()
		resp, got := ask(t, "GET", s.URL()+path, "")
		if resp.StatusCode != code || got != body {
			t.Errorf("/%s: %d %q, want %d %q", path, resp.StatusCode, got, code, body)
		}
		if (resp.Header.Get("Retry-After") != "") != (code == 503) {
			t.Errorf("/%s: %d and Retry-After %q", path, code, resp.Header.Get("Retry-After"))
		}
	}
	check("healthz", 200, "ok\n")
	check("readyz", 503, "nothing has come\n")
	ready.Store(true)
	check("readyz", 200, "ok\n")
	check("metrics", 404, "404 page not found\n")
	check("healthzz", 404, "404 page not found\n")

	s = serve(t, func(c *Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, fmt.Sprintln("of", r.URL.Path)) })
	})
	check("healthz", 200, "ok\n")
	check("readyz", 200, "ok\n")
	check("metrics", 200, "of /metrics\n")
	if resp, _ := ask(t, "GET", s.URL()+"metrics", "elsewhere.example"); resp.StatusCode != 403 {
		t.Errorf("/metrics under a foreign name: %d", resp.StatusCode)
	}
}
