package httpd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// serve runs a server on a free port until the test ends.
func serve(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	s, stop := serveUntil(t, change)
	t.Cleanup(func() { stop() })
	return s
}

// serveUntil runs a server until stop, which returns what Run returned.
func serveUntil(t *testing.T, change func(*Config)) (s *Server, stop func() error) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addr, cfg.Fallback = "127.0.0.1:0", false
	cfg.Status = func() any { return map[string]any{"spare": 4} }
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, sync.OnceValue(func() error {
		cancel()
		return <-done
	})
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, method, url, host string) (*http.Response, string) {
	t.Helper()
	resp := open(t, method, url, host)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func open(t *testing.T, method, url, host string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host, req.Close = host, true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestManyClients: twenty clients, joining as the stream goes, get the same bytes
// from a random access block on, to the end.
func TestManyClients(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaTS})
	s := serve(t, func(c *Config) { c.Stream = b })
	const blocks, clients = 100, 20
	var all [][]byte
	for n := range uint64(blocks) {
		all = append(all, bytes.Repeat(text(n), 2000))
	}
	bodies := make(chan string, clients)
	for n := range uint64(blocks) {
		b.Push(play(n, all[n]))
		if n%15 != 4 || n/15 >= 5 {
			continue
		}
		for range clients / 5 {
			resp := open(t, "GET", s.URL()+"live.ts", "") // it has a place now
			if got := resp.Header.Get("Content-Type"); got != "video/mp2t" {
				t.Fatalf("content type %q", got)
			}
			go func() {
				body, err := io.ReadAll(resp.Body)
				bodies <- string(body) + fmt.Sprint(err)
			}()
		}
	}
	b.End()
	starts := map[int]bool{}
	for range clients {
		body := <-bodies
		start := slices.IndexFunc(all, func(block []byte) bool { return strings.HasPrefix(body, string(block)) })
		if start < 0 || start%10 != 0 || body != string(bytes.Join(all[start:], nil))+"<nil>" {
			t.Fatalf("a client got %d bytes, from block %d", len(body), start)
		}
		starts[start] = true
	}
	if len(starts) < 3 {
		t.Fatalf("all began at %v", starts)
	}
}

// TestSlowClient: one client does not read. The other gets every block, and the
// slow one is closed in the end.
func TestSlowClient(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaTS})
	// Longer than a busy machine may keep the other from reading.
	s := serve(t, func(c *Config) { c.Stream, c.WriteTimeout = b, 3*time.Second })
	data := bytes.Repeat([]byte("x"), stripe.MaxBlock)
	b.Push(play(0, data))
	slow, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
	eventually(t, "the slow client joins", func() bool { return b.Stats().Clients == 1 })
	fast := open(t, "GET", s.URL()+"stream", "")
	got := make([]byte, len(data))
	for n := range uint64(60) {
		if _, err := io.ReadFull(fast.Body, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("block %d: %v", n, err)
		}
		b.Push(play(n+1, data))
	}
	eventually(t, "the slow client is closed", func() bool { return b.Stats().Clients == 1 })
	if _, err := io.ReadFull(fast.Body, got); err != nil {
		t.Fatal(err)
	}
}

func TestPlayerComesBeforeTheStream(t *testing.T) {
	b := NewBroadcaster()
	s := serve(t, func(c *Config) { c.Stream = b })
	got := make(chan *http.Response)
	go func() { got <- open(t, "GET", s.URL()+"live.mp3", "") }()
	eventually(t, "the request waits", func() bool { return s.clients.Load() == 1 })
	b.Begin(Format{Media: stripe.MediaMP3})
	b.Push(play(0, text(0)))
	b.End()
	resp := <-got
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "audio/mpeg" || string(body) != "block 0\n" {
		t.Fatalf("%v %q %v", resp, body, err)
	}
}

func TestStreamThatDoesNotBegin(t *testing.T) {
	s := serve(t, func(c *Config) { c.Stream, c.StartTimeout = NewBroadcaster(), 20*time.Millisecond })
	resp, body := ask(t, "GET", s.URL()+"stream", "")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "not begun") {
		t.Fatalf("%v %q", resp, body)
	}
}

func TestTooManyClients(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	s := serve(t, func(c *Config) { c.Stream = b })
	for range MaxClients {
		if resp := open(t, "GET", s.URL()+"stream", ""); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	if resp, _ := ask(t, "GET", s.URL()+"stream", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Fatal(resp.Status)
	}
	b.End()
	eventually(t, "all places are free again", func() bool { return s.clients.Load() == 0 && b.Stats().Clients == 0 })
}

func TestTooManyConnections(t *testing.T) {
	s := serve(t, nil)
	for n := range MaxConns + 1 {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		if n < MaxConns != (err == nil) {
			t.Fatalf("connection %d: %v", n, err)
		}
	}
}

// TestRunEnds: a stream under way ends cleanly when the server does.
func TestRunEnds(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	s, stop := serveUntil(t, func(c *Config) { c.Stream = b })
	resp := open(t, "GET", s.URL()+"stream", "")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "tables for block 0\nblock 0\n" {
		t.Fatalf("%q %v", body, err)
	}
	if c, err := net.Dial("tcp", s.listener.Addr().String()); err == nil {
		c.Close()
		t.Fatal("still listening")
	}
}

func TestRoutes(t *testing.T) {
	b := begun()
	b.Push(play(0, text(0)))
	b.End()
	b.Begin(Format{Media: stripe.MediaAAC})
	b.Push(play(0, text(0)))
	viewer := serve(t, func(c *Config) { c.Stream, c.Name = b, "Späti FM\n" })
	relay := serve(t, nil)
	named := "Sp%C3%A4ti%20FM%0A"
	for _, c := range []struct {
		server       *Server
		method, path string
		code         int
		mime, body   string // body: a part of it
	}{
		{viewer, "GET", "api/status", 200, "application/json", `"spare": 4`},
		{viewer, "HEAD", "api/status", 200, "application/json", ""},
		{viewer, "POST", "api/status", 405, "text/plain; charset=utf-8", "only GET"},
		{viewer, "GET", "", 200, "text/html; charset=utf-8", "/live.m3u"},
		{viewer, "GET", "live.m3u", 200, "audio/x-mpegurl", "#EXTM3U\n#EXTINF:-1,Späti FM\n" + viewer.URL() + named + ".aac\n"},
		{viewer, "HEAD", "stream", 200, "audio/aac", ""},
		{viewer, "HEAD", named + ".aac", 200, "audio/aac", ""},
		{viewer, "GET", named + ".ts", 404, "text/plain; charset=utf-8", ""},
		{viewer, "GET", named + ".exe", 404, "text/plain; charset=utf-8", ""},
		{viewer, "GET", "live.aac", 404, "text/plain; charset=utf-8", ""},
		{viewer, "GET", "metrics", 404, "text/plain; charset=utf-8", ""},
		{relay, "GET", "api/status", 200, "application/json", `"spare": 4`},
		{relay, "GET", "", 200, "text/html; charset=utf-8", "stripecast"},
		{relay, "GET", "live.m3u", 404, "text/plain; charset=utf-8", ""},
		{relay, "GET", "stream", 404, "text/plain; charset=utf-8", ""},
		{relay, "GET", "live.ts", 404, "text/plain; charset=utf-8", ""},
	} {
		resp, body := ask(t, c.method, c.server.URL()+c.path, "")
		if resp.StatusCode != c.code || resp.Header.Get("Content-Type") != c.mime || !strings.Contains(body, c.body) {
			t.Errorf("%s /%s: %s, %s\n%s", c.method, c.path, resp.Status, resp.Header.Get("Content-Type"), body)
		}
		if resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s /%s: headers %v", c.method, c.path, resp.Header)
		}
		if c.server == relay && strings.Contains(body, PathStream) {
			t.Errorf("the relay's /%s offers a stream", c.path)
		}
	}
}

func TestStatusThatIsNotJSON(t *testing.T) {
	s := serve(t, func(c *Config) { c.Status = func() any { return func() {} } })
	if resp, _ := ask(t, "GET", s.URL()+"api/status", ""); resp.StatusCode != 500 {
		t.Fatal(resp.Status)
	}
}

// TestPagePolicy: the page's own style and script are the ones its policy allows.
func TestPagePolicy(t *testing.T) {
	s := serve(t, func(c *Config) { c.Name = "<script>alert(1)</script>" })
	resp, body := ask(t, "GET", s.URL(), "")
	for _, tag := range []string{"style", "script"} {
		found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(found) != 1 {
			t.Fatalf("%d %s elements:\n%s", len(found), tag, body)
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		want := tag + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
		if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, want) {
			t.Errorf("%s is not allowed by %s", tag, policy)
		}
	}
}

func TestHostHeader(t *testing.T) {
	local := serve(t, nil)
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST.:7080": true, "radio.localhost": true, "127.0.0.1:1": true,
		"127.8.9.1": true, "[::1]:7080": true, "[::ffff:127.0.0.1]": true,
		"evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"192.168.1.5:7080": false, "0.0.0.0": false, "[::]": false, "notlocalhost": false,
	} {
		resp, _ := ask(t, "GET", local.URL()+"api/status", host)
		if (resp.StatusCode == 200) != ok || !ok && resp.StatusCode != 403 {
			t.Errorf("%s: %s", host, resp.Status)
		}
	}
	for _, c := range []struct {
		listen, host string
		ok           bool
	}{
		{"0.0.0.0", "192.168.1.5:7080", true}, {"", "[2001:db8::1]", true}, {"::", "evil.example", false},
		{"", "", true}, {"tv.lan", "TV.lan:7080", true}, {"tv.lan", "192.168.1.5", false},
		{"192.168.1.5", "192.168.1.5:9", true}, {"192.168.1.5", "192.168.1.6", false},
	} {
		if s := (&Server{host: c.listen}); s.ours(c.host) != c.ok {
			t.Errorf("listening on %q, %q", c.listen, c.host)
		}
	}
}

func TestFallbackPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	cfg := DefaultConfig()
	cfg.Addr, cfg.Status = taken.Addr().String(), func() any { return nil }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	got := s.listener.Addr().(*net.TCPAddr).Port
	if got <= port || got > port+fallbackPorts || s.URL() != "http://127.0.0.1:"+strconv.Itoa(got)+"/" {
		t.Fatalf("%d is taken, got %d, %s", port, got, s.URL())
	}
	cfg.Fallback = false
	if _, err := New(cfg); err == nil {
		t.Fatal("an explicit address that is taken was no error")
	}
	var op *net.OpError
	if _, err := New(cfg); !errors.As(err, &op) {
		t.Fatalf("%v", err)
	}
}

func TestConfigRefused(t *testing.T) {
	good := func() Config {
		c := DefaultConfig()
		c.Addr, c.Status = "127.0.0.1:0", func() any { return nil }
		return c
	}
	for name, spoil := range map[string]func(*Config){
		"address": func(c *Config) { c.Addr = "nowhere" },
		"status":  func(c *Config) { c.Status = nil },
		"start":   func(c *Config) { c.StartTimeout = 0 },
		"write":   func(c *Config) { c.WriteTimeout = -1 },
	} {
		c := good()
		spoil(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
