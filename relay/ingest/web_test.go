package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/source"
)

// fetch reads all of a URL as a source does.
func fetch(t *testing.T, address string) (string, error) {
	t.Helper()
	w, err := NewWeb(address)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(Resume(t.Context(), w, func(string, ...any) {}))
}

// TestWebBodies: a file is read to its end, wherever its connection breaks; what has no
// length is live, and asked for again.
func TestWebBodies(t *testing.T) {
	one, two := packets(300, 1), packets(300, 2)
	var asked atomic.Int32
	mux := http.NewServeMux()
	cut := func(w http.ResponseWriter, length, from int, b []byte) {
		w.Header().Set("Content-Length", strconv.Itoa(length))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+length-1, from+length))
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(b)
	}
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { cut(w, len(one), 0, one) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(strings.Trim(r.Header.Get("Range"), "bytes=-"))
		cut(w, len(one)-from, from, one[from:min(from+30_000, len(one))])
	})
	mux.HandleFunc("/rangeless", func(w http.ResponseWriter, r *http.Request) {
		cut(w, len(one), 0, one[:min(30_000*int(asked.Add(1)), len(one))])
	})
	mux.HandleFunc("/live", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		if asked.Add(1) == 1 {
			w.Write(one)
		} else {
			cut(w, len(two), 0, two)
			panic(http.ErrAbortHandler)
		}
	})
	mux.Handle("/moved", http.RedirectHandler("/file", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, want := range map[string]string{
		"/file": string(one), "/broken": string(one), "/rangeless": string(one), "/moved": string(one),
	} {
		asked.Store(0)
		if got, err := fetch(t, server.URL+path); got != want || !errors.Is(err, io.EOF) {
			t.Errorf("%s: %d bytes of %d, %v", path, len(got), len(want), err)
		}
	}
	asked.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, err := NewWeb(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	live := Resume(ctx, w, func(string, ...any) {})
	got, want := "", string(one)+"|"+string(two)
	for buf := make([]byte, 9999); len(got) < len(want); {
		n, err := live.Read(buf)
		got += string(buf[:n])
		if err != nil {
			got += "|"
		}
	}
	if got != want {
		t.Errorf("live: %d bytes, want %d", len(got), len(want))
	}
}

// TestWebRefuses: what is no stream is an error at once, and names what is wrong.
func TestWebRefuses(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("/wide", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) })
	mux.HandleFunc("/escape", func(w http.ResponseWriter, r *http.Request) { // what a terminal would obey
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 404 \x1b[2J\r\nContent-Length: 0\r\n\r\n")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, listMagic+"\n#EXT-X-TARGETDURATION:6\n")
		for range 2 << 20 {
			if _, err := io.WriteString(w, "#comment\n"); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, says := range map[string]string{
		"/none":    "404",
		"/escape":  "says 404 Not Found",
		"/round":   "redirects",
		"/away":    "file",
		"/wide":    "header",
		"/endless": "playlist",
	} {
		if got, err := fetch(t, server.URL+path); err == nil || !strings.Contains(err.Error(), says) || got != "" {
			t.Errorf("%s: %d bytes, %v, want an error with %q", path, len(got), err, says)
		}
	}
	for _, address := range []string{"http://", "https:///x", "ftp://example.org/", "http://a b/", "http"} {
		if _, err := NewWeb(address); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// site is a web in memory: what each URL says at the moment, without a network.
type site struct {
	say  func(url string) (string, error)
	hang bool // a body never ends
}

type hanging struct {
	io.Reader
	ctx context.Context
}

func (h hanging) Read(p []byte) (int, error) {
	if n, _ := h.Reader.Read(p); n > 0 {
		return n, nil
	}
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func (s site) RoundTrip(req *http.Request) (*http.Response, error) {
	text, err := s.say(req.URL.String())
	if err != nil {
		return nil, err
	}
	resp := &http.Response{StatusCode: 200, Status: "200 OK", ContentLength: -1, Request: req, Header: http.Header{}}
	if resp.Body = io.NopCloser(strings.NewReader(text)); s.hang {
		resp.Body = io.NopCloser(hanging{strings.NewReader(text), req.Context()})
	}
	if text == "" {
		resp.StatusCode, resp.Status = 404, "404 Not Found"
	}
	return resp, nil
}

func on(s site) *Web {
	u := &url.URL{Scheme: "http", Host: "example.org", Path: "/tv/live.m3u8"}
	return &Web{url: u, client: &http.Client{Transport: s}}
}

// TestWebHangs: a server that falls silent is given up.
func TestWebHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b, err := on(site{say: func(string) (string, error) { return string(packets(9, 1)), nil }, hang: true}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		got, err := io.ReadAll(b)
		if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "nothing came") || len(got) == 0 || took != idleTime {
			t.Errorf("%d bytes, %v after %v", len(got), err, took)
		}
	})
}

// segment is the bytes of segment i.
func segment(i int) string { return string(packets(9, byte(i))) }

// liveList is a window of segments, of four seconds each.
func liveList(first, n int, more ...string) string {
	s := listMagic + "\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:" + strconv.Itoa(first) + "\n"
	for i := first; i < first+n; i++ {
		s += fmt.Sprintf("#EXTINF:4,\n%d.ts\n", i)
	}
	return s + strings.Join(more, "\n")
}

// number is i of http://example.org/tv/i.ts.
func number(url string) int {
	i, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(url, "http://example.org/tv/"), ".ts"))
	if err != nil {
		return -1
	}
	return i
}

// TestFollow: a live playlist is joined near its end and followed to it; what is gone, or
// cannot be had, is a mark, and what begins anew is begun anew.
func TestFollow(t *testing.T) {
	all := func(from, to int) (s string) {
		for i := from; i <= to; i++ {
			s += segment(i)
		}
		return s
	}
	for _, c := range []struct {
		name string
		list func(passed time.Duration) string
		none int // this segment cannot be had
		want string
		err  string
	}{
		{"finished", func(time.Duration) string { return liveList(5, 6, "#EXT-X-ENDLIST") }, -1, all(5, 10), "EOF"},
		{"live, then finished", func(d time.Duration) string {
			if d > 41*time.Second {
				return liveList(20, 5, "#EXT-X-ENDLIST")
			}
			return liveList(10+int(d/(4*time.Second)), 5)
		}, -1, all(12, 24), "EOF"},
		{"a segment missing", func(d time.Duration) string { return liveList(5, 6, "#EXT-X-ENDLIST") }, 7, all(5, 6) + "|" + all(8, 10), "EOF"},
		{"a discontinuity", func(d time.Duration) string {
			return liveList(5, 3, "#EXT-X-DISCONTINUITY", "#EXTINF:4,", "8.ts", "#EXT-X-ENDLIST")
		}, -1, all(5, 7) + "|" + all(8, 8), "EOF"},
		{"the window leaps", func(d time.Duration) string {
			if d > 3*time.Second {
				return liveList(30, 2, "#EXT-X-ENDLIST")
			}
			return liveList(5, 3)
		}, -1, all(5, 7) + "|" + all(30, 31), "EOF"},
		{"it begins anew", func(d time.Duration) string {
			if d > 3*time.Second {
				return liveList(0, 2, "#EXT-X-ENDLIST")
			}
			return liveList(5, 3)
		}, -1, all(5, 7) + "|" + all(0, 1), "EOF"},
		{"it stands still", func(d time.Duration) string { return liveList(5, 3) }, -1, all(5, 7), "nothing new for"},
		{"it is gone", func(d time.Duration) string {
			if d > 3*time.Second {
				return ""
			}
			return liveList(5, 3)
		}, -1, all(5, 7), "nothing new for"},
		{"no pieces, ever", func(d time.Duration) string { return liveList(5, 0) }, -1, "", "nothing new for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), 0
				w := on(site{say: func(url string) (string, error) {
					switch i := number(url); {
					case strings.HasSuffix(url, ".m3u8"):
						asked++
						return c.list(time.Since(began)), nil
					case i == c.none:
						return "", nil
					default:
						return segment(i), nil
					}
				}})
				s, err := w.Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				got, err := readAll(s)
				if got != c.want || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%d bytes, %v; want %d, %s", len(got), err, len(c.want), c.err)
				}
				if took := time.Since(began); took > time.Minute || asked > 2+int(took/(2*time.Second)) {
					t.Errorf("the list was asked for %d times in %v", asked, took)
				}
			})
		})
	}
}

// TestChoose: of variants the best that has its own sound is read, and what is no plain
// MPEG-TS is refused with a reason.
func TestChoose(t *testing.T) {
	master := listMagic + "\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhttp://other.example.org/high.m3u8\n"
	one := liveList(0, 1, "#EXT-X-ENDLIST")
	for _, c := range []struct {
		name, live, high, segment string
		err                       string
	}{
		{"variants", master, one, segment(0), ""},
		{"variants of variants", master, master, "", "offers variants"},
		{"a variant gone", master, "", "", "404"},
		{"a variant that is none", master, "hello", "", "no playlist"},
		{"sound apart", listMagic + "\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"a\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nlow.m3u8\n", "", "", "sound is apart"},
		{"a variant on this machine", strings.ReplaceAll(master, "http://other.example.org/high.m3u8", "file:///etc/passwd"), "", "", "no http://"},
		{"a segment on this machine", listMagic + "\n#EXT-X-TARGETDURATION:4\nfile:///etc/passwd\n", "", "", "no http://"},
		{"a plain list", listMagic + "\nhttp://example.org/a.mp3\n", "", "", "plain list"},
		{"fragmented MP4", listMagic + "\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"i.mp4\"\n0.m4s\n", "", "", "fragmented MP4"},
		{"segments of something else", one, "", strings.Repeat("x", 500), "no plain MPEG-TS"},
		{"not even text", listMagic + "\n\xff", "", "", "bad playlist"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := on(site{say: func(url string) (string, error) {
				switch {
				case strings.HasSuffix(url, "live.m3u8"):
					return c.live, nil
				case strings.HasSuffix(url, "high.m3u8"):
					return c.high, nil
				default:
					return c.segment, nil
				}
			}})
			got, err := readAll(Resume(t.Context(), w, func(string, ...any) {}))
			switch {
			case c.err == "" && (got != c.segment || !errors.Is(err, io.EOF)):
				t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
			case c.err != "" && (got != "" || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s: %d bytes, %v, want %q", c.name, len(got), err, c.err)
			}
		})
	}
}

// TestDead: nobody at the address is an error at once.
func TestDead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := fetch(t, "http://"+l.Addr().String()+"/"); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%v", err)
	}
}

// TestTitlesOnTheWeb: what a radio server says between the bytes is a mark, and no part of
// the stream.
func TestTitlesOnTheWeb(t *testing.T) {
	const every = 384 * 2
	meta := func(s string) string {
		n := (len(s) + 15) / 16
		return string(rune(n)) + s + strings.Repeat("\x00", 16*n-len(s))
	}
	music := string(mp3(10))
	text := ""
	for i, says := range []string{"StreamTitle='A - B';", "", "StreamTitle='A - B';", "StreamTitle='caf\xe9';StreamUrl='';"} {
		text += music[i*every:(i+1)*every] + meta(says)
	}
	text += music[4*every:] // it ends where a title is due
	want := music[:every] + "[A - B]" + music[every:4*every] + "[café]" + music[4*every:]
	for _, length := range []string{"", strconv.Itoa(len(text)), "999999999"} {
		if got, err := titles(t, every, length, text); got != want || errors.Is(err, io.EOF) {
			t.Errorf("of length %q: %q, %v, want %q", length, got, err, want)
		}
	}
}

// titles is what comes of a radio server's text, with marks in brackets.
func titles(t *testing.T, every int, length, text string) (got string, err error) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Icy-MetaData") != "1" {
			t.Error("it was not asked for titles")
		}
		if length != "" {
			w.Header().Set("Content-Length", length)
		}
		w.Header().Set("icy-metaint", strconv.Itoa(every))
		w.(http.Flusher).Flush()
		io.WriteString(w, text)
	}))
	defer server.Close()
	w, err := NewWeb(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for err == nil || errors.As(err, &source.Mark{}) {
		var n int
		buf := make([]byte, 1000)
		n, err = b.Read(buf)
		got += string(buf[:n])
		var mark source.Mark
		if errors.As(err, &mark) {
			got += "[" + mark.Title + "]"
		}
	}
	return got, err
}
