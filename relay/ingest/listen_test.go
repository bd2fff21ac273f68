package ingest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/source"
)

// received is what comes out of a Listener: bytes, | at each break and [title].
type received struct {
	mu   sync.Mutex // guards what follows
	text strings.Builder
	said strings.Builder
}

func (r *received) write(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(s)
}

func (r *received) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *received) words() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func (r *received) say(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.said, format+"\n", a...)
}

// listen starts a Listener and reads it to the end of the test.
func listen(t *testing.T, password string) (*Listener, *received) {
	t.Helper()
	got := &received{}
	l, err := Listen(t.Context(), "127.0.0.1:0", password, got.say)
	if err != nil {
		t.Fatal(err)
	}
	in := Resume(t.Context(), l, got.say)
	in.Ready = true
	go func() {
		for buf := make([]byte, 32<<10); ; {
			n, err := in.Read(buf)
			got.write(string(buf[:n]))
			var mark source.Mark
			switch {
			case errors.As(err, &mark) && mark.Break:
				got.write("|")
			case errors.As(err, &mark):
				got.write("[" + mark.Title + "]")
			case err != nil:
				return
			}
		}
	}()
	return l, got
}

// until waits until something is so.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// talk is a connection on which a client sends.
type talk struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func call(t *testing.T, l *Listener) *talk {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &talk{t, c, bufio.NewReader(c)}
}

func (c *talk) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads a line of an answer and what follows it up to an empty one.
func (c *talk) hear() string {
	line, _ := c.in.ReadString('\n')
	for {
		more, err := c.in.ReadString('\n')
		if err != nil || strings.TrimSpace(more) == "" {
			return strings.TrimSpace(line)
		}
	}
}

func chunked(s string) (out string) {
	for len(s) > 0 {
		n := min(len(s), 777)
		out += fmt.Sprintf("%x\r\n%s\r\n", n, s[:n])
		s = s[n:]
	}
	return out + "0\r\n\r\n"
}

// TestListener: what clients push in their different ways comes out, one after the other.
func TestListener(t *testing.T) {
	l, got := listen(t, "")
	want := ""
	for i, c := range []struct {
		name, head, ready string
		body              func(string) string
		end               string
	}{
		{"PUT with a length", "PUT /live HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5640\r\n\r\n", "", nil, "HTTP/1.1 200 OK"},
		{"POST in chunks", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "", chunked, "HTTP/1.1 200 OK"},
		{"PUT in chunks that asks", "PUT /a/b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 100 Continue", chunked, "HTTP/1.1 200 OK"},
		{"Icecast, SOURCE", "SOURCE /live.ts HTTP/1.0\r\nContent-Type: video/mp2t\r\nIce-Name: x\r\n\r\n", "HTTP/1.0 200 OK", nil, ""},
		{"Icecast, PUT", "PUT /live HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 100 Continue", nil, "HTTP/1.1 200 OK"},
		{"PUT of whatever comes", "PUT /live HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK", nil, ""},
	} {
		body := string(packets(30, byte(i)))
		if want != "" {
			want += "|"
		}
		want += body
		if c.body != nil {
			body = c.body(body)
		}
		conn := call(t, l)
		conn.send(c.head)
		if c.ready != "" {
			if says := conn.hear(); says != c.ready {
				t.Errorf("%s: it was told %q, want %q", c.name, says, c.ready)
			}
		}
		conn.send(body)
		conn.Conn.(*net.TCPConn).CloseWrite()
		if says := conn.hear(); says != c.end {
			t.Errorf("%s: at the end it was told %q, want %q", c.name, says, c.end)
		}
		until(t, c.name, func() bool { return got.String() == want })
		until(t, c.name+" has left", func() bool { return strings.Count(got.words(), "has left") == i+1 })
	}
}

// TestListenerRefuses: one client at a time, with the password, and no stream of another
// kind; each is told why.
func TestListenerRefuses(t *testing.T) {
	const login = "Authorization: Basic c291cmNlOmhhY2ttZQ==\r\n" // source:hackme
	const put = "PUT /live HTTP/1.1\r\nHost: x\r\n"
	l, got := listen(t, "hackme")
	ask := func(head string) string {
		c := call(t, l)
		c.send(head + "\r\n")
		return c.hear()
	}
	first := call(t, l)
	first.send("SOURCE /live HTTP/1.0\r\n" + login + "\r\n")
	if says := first.hear(); says != "HTTP/1.0 200 OK" {
		t.Fatalf("the first was told %q", says)
	}
	first.send(string(packets(9, 1)))
	until(t, "the first is read", func() bool { return got.String() == string(packets(9, 1)) })
	for _, c := range []struct{ name, head, says string }{
		{"no password", put, "401 Unauthorized"},
		{"a wrong password", put + "Authorization: Basic c291cmNlOmhhY2tlZA==\r\n", "401 Unauthorized"},
		{"another user", put + "Authorization: Basic YWRtaW46aGFja21l\r\n", "401 Unauthorized"},
		{"a second client", put + login, "403 Forbidden"},
		{"a page in a browser", put + login + "Origin: http://example.org\r\n", "403 Forbidden"},
		{"a picture in a page", "GET /admin/metadata?mode=updinfo&song=x HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: cross-site\r\n" + login, "403 Forbidden"},
		{"a listener", "GET /live HTTP/1.1\r\nHost: x\r\n" + login, "405 Method Not Allowed"},
		{"one who asks what may be done", "OPTIONS * HTTP/1.1\r\nHost: x\r\n", "200 OK"},
		{"a title of nothing", "GET /admin/metadata?mode=updinfo HTTP/1.1\r\nHost: x\r\n" + login, "400 Bad Request"},
		{"an order of another kind", "GET /admin/metadata?mode=kill&song=x HTTP/1.1\r\nHost: x\r\n" + login, "400 Bad Request"},
		{"a title without the password", "GET /admin/metadata?mode=updinfo&song=x HTTP/1.1\r\nHost: x\r\n", "401 Unauthorized"},
		{"a header without end", put + "X: " + strings.Repeat("x", 2*maxClientHeader) + "\r\n", "431 Request Header Fields Too Large"},
	} {
		if says := ask(c.head); says != "HTTP/1.1 "+c.says {
			t.Errorf("%s: %q, want %q", c.name, says, c.says)
		}
	}
	for query, title := range map[string]string{
		"mode=updinfo&mount=/live&song=A%20-%20B":   "A - B",
		"mode=updinfo&song=caf%E9":                  "café",
		"mode=updinfo&song=caf%C3%A9&charset=UTF-8": "café",
		"mode=updinfo&artist=A&title=B":             "A - B",
		"mode=updinfo&title=B":                      "B",
	} {
		before := got.String()
		if says := ask("GET /admin/metadata?" + query + " HTTP/1.1\r\nHost: x\r\n" + login); says != "HTTP/1.1 200 OK" {
			t.Errorf("%s: %q", query, says)
		}
		first.send(string(packets(1, 1)) + string(packets(1, 1)))
		until(t, title+" is told", func() bool { return strings.Contains(got.String()[len(before):], "["+title+"]") })
	}
	first.Close()
	until(t, "the first has left", func() bool { return strings.Contains(got.words(), "has left") })
	if says := ask("GET /admin/metadata?mode=updinfo&song=x HTTP/1.1\r\nHost: x\r\n" + login); says != "HTTP/1.1 404 Not Found" {
		t.Errorf("a title of nobody: %q", says)
	}
	other := call(t, l)
	other.send(put + login + "\r\n")
	other.send(string(mp3(9)))
	until(t, "another kind is refused", func() bool { return strings.Contains(got.words(), "was ts") })
	next := call(t, l)
	next.send(put + login + "\r\n")
	next.send(string(packets(9, 2)))
	until(t, "the next is read", func() bool { return strings.HasSuffix(got.String(), "|"+string(packets(9, 2))) })
}

// TestListenerNames: without a password it answers to no name that may be anybody's.
func TestListenerNames(t *testing.T) {
	l, _ := listen(t, "")
	for host, says := range map[string]string{
		"localhost:8000": "404 Not Found", "127.0.0.1:8000": "404 Not Found", "[::1]:8000": "404 Not Found", "LOCALHOST.": "404 Not Found",
		"rebound.example:8000": "403 Forbidden", "localhost.example": "403 Forbidden",
	} {
		c := call(t, l)
		c.send("GET /admin/metadata?mode=updinfo&song=x HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if got := c.hear(); got != "HTTP/1.1 "+says {
			t.Errorf("%s: %q, want %q", host, got, says)
		}
	}
}

// TestListenerNoise: who brings what is no stream, or nothing, does not end the wait for
// one who does.
func TestListenerNoise(t *testing.T) {
	l, got := listen(t, "")
	for i, body := range []string{"", "hello", strings.Repeat("noise", maxLook)} {
		c := call(t, l)
		c.send("PUT /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
		io.WriteString(c, body)
		c.Conn.(*net.TCPConn).CloseWrite()
		until(t, "noise is noticed", func() bool { return strings.Count(got.words(), "is gone") == i+1 })
	}
	if got.String() != "" {
		t.Errorf("%d bytes of noise came through", len(got.String()))
	}
	c := call(t, l)
	c.send("PUT /live HTTP/1.1\r\nHost: localhost\r\n\r\n" + string(packets(9, 1)))
	until(t, "a stream is read", func() bool { return got.String() == string(packets(9, 1)) })
}

// TestListenerCrowd: of a crowd of connections so many are heard, and the others closed.
func TestListenerCrowd(t *testing.T) {
	l, _ := listen(t, "")
	var crowd []*talk
	for range maxClients {
		c := call(t, l)
		c.send("GET") // and no more
		crowd = append(crowd, c)
	}
	late := call(t, l)
	io.WriteString(late, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if says := late.hear(); says != "" {
		t.Errorf("one too many is told %q", says)
	}
	crowd[0].Close()
	until(t, "there is room again", func() bool {
		resp, err := http.Get("http://" + l.Addr().String() + "/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusMethodNotAllowed
	})
}

func TestListenAddress(t *testing.T) {
	for address, want := range map[string]string{
		"listen://127.0.0.1:8000":     "127.0.0.1:8000 true",
		"listen://:8000":              "127.0.0.1:8000 true",
		"listen://localhost:8000/":    "localhost:8000 true",
		"listen://[::1]:8000":         "[::1]:8000 true",
		"listen://0.0.0.0:8000":       "0.0.0.0:8000 false",
		"listen://192.0.2.1:8000":     "192.0.2.1:8000 false",
		"listen://radio.example:8000": "radio.example:8000 false",
		"listen://":                   "",
		"listen://127.0.0.1":          "",
		"listen://127.0.0.1:8000/a":   "",
		"listen://127.0.0.1:8000?a":   "",
		"listen://a:b@127.0.0.1:8000": "",
		"listen://127.0.0.1:99999999": "127.0.0.1:99999999 true", // refused by who listens
	} {
		at, local, err := ListenAddress(address)
		switch got := fmt.Sprint(at, " ", local); {
		case want == "" && !errors.Is(err, ErrAddress):
			t.Errorf("%s: %s, %v", address, got, err)
		case want != "" && (err != nil || got != want):
			t.Errorf("%s: %s, %v, want %s", address, got, err, want)
		}
	}
}
