package ingest

import (
	"bufio"
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Listener is a Line to whoever pushes a stream to an HTTP port of ours: by PUT or POST, or
// as a source client of Icecast 2 does, by SOURCE or by PUT without a length, with its
// titles at /admin/metadata. Any path does. One client at a time is let in; the next may
// come when it has left.
type Listener struct {
	ln       net.Listener
	password string
	say      func(format string, a ...any)
	came     chan *client
	over     <-chan struct{} // closed when it listens no more

	mu  sync.Mutex // guards what follows
	cur *client    // who is let in
}

// Listen listens at host:port until ctx ends, and lets in whoever says the password; with
// an empty one, everybody. say tells a person who comes.
func Listen(ctx context.Context, at, password string, say func(format string, a ...any)) (*Listener, error) {
	ln, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	l := &Listener{ln: ln, password: password, say: say, came: make(chan *client), over: ctx.Done()}
	server := &http.Server{
		Handler: l, ReadHeaderTimeout: clientHeaderTime, MaxHeaderBytes: maxClientHeader, IdleTimeout: idleTime,
		ErrorLog: log.New(io.Discard, "", 0), BaseContext: func(net.Listener) context.Context { return ctx },
	}
	go server.Serve(&door{Listener: ln, room: make(chan struct{}, maxClients)})
	context.AfterFunc(ctx, func() { server.Close() })
	return l, nil
}

// ListenAddress reads listen://[HOST]:PORT; without a host it is loopback. Only those who
// are on this machine reach it if local.
func ListenAddress(address string) (at string, local bool, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", false, fmt.Errorf("%w: %v", ErrAddress, err)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Port() == "" {
		return "", false, fmt.Errorf("%w: %s is not listen://HOST:PORT", ErrAddress, u.Redacted())
	}
	host := u.Hostname()
	if host == "" {
		host = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	local = host == "localhost" || err == nil && ip.IsLoopback()
	return net.JoinHostPort(host, u.Port()), local, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.ln.Addr() }

// Open waits for a client.
func (l *Listener) Open(ctx context.Context) (io.ReadCloser, error) {
	select {
	case c := <-l.came:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ServeHTTP answers a client.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "PUT, POST, SOURCE")
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch {
	case fromPage(r):
		refuse(w, http.StatusForbidden, "a page in a browser may not push a stream")
	case l.password == "" && !isHere(r.Host):
		refuse(w, http.StatusForbidden, "without a password this answers to an address and to localhost only")
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case !l.knows(r):
		pause := time.NewTimer(guessTime) // so that guessing takes long
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-r.Context().Done():
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="stripecast"`)
		refuse(w, http.StatusUnauthorized, "the user is source, and the password the one that the source of this stream was given")
	case r.URL.Path == "/admin/metadata":
		l.metadata(w, r)
	case r.Method == http.MethodPut, r.Method == http.MethodPost, r.Method == "SOURCE":
		l.letIn(w, r)
	default:
		refuse(w, http.StatusMethodNotAllowed, "push a stream here with PUT, POST or SOURCE: MPEG-TS, or MP3, AAC or Ogg audio")
	}
}

// fromPage reports whether a page in a browser asks, which says Origin of what it sends
// and Sec-Fetch-Site (W3C Fetch Metadata) of what it only loads, such as a picture.
func fromPage(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Header.Get("Origin") != "" || site != "" && site != "none"
}

// isHere reports whether a Host header is no name that somebody may have made lead to
// us, for a page of theirs in a browser here (DNS rebinding). HTTP/1.0 has none.
func isHere(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	_, err := netip.ParseAddr(host)
	return host == "" || host == "localhost" || err == nil
}

func refuse(w http.ResponseWriter, status int, why string) {
	w.WriteHeader(status)
	fmt.Fprintln(w, why)
}

// knows reports whether the client says the password.
func (l *Listener) knows(r *http.Request) bool {
	user, password, _ := r.BasicAuth()
	return l.password == "" || user == "source" && subtle.ConstantTimeCompare([]byte(password), []byte(l.password)) == 1
}

// letIn makes who asks the client, if there is none, and lets it send.
func (l *Listener) letIn(w http.ResponseWriter, r *http.Request) {
	c := &client{l: l}
	l.mu.Lock()
	free := l.cur == nil
	if free {
		l.cur = c
	}
	l.mu.Unlock()
	if !free {
		refuse(w, http.StatusForbidden, "another source client is connected; this stream takes one at a time")
		return
	}
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		l.leave(c)
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	c.conn, c.body = conn, contentOf(r, buf.Reader)
	conn.SetDeadline(time.Time{})
	c.answer(r)
	l.say("source client %s is connected", conn.RemoteAddr())
	select {
	case l.came <- c: // even if it will send no more: what it has sent is to be read
	case <-l.over:
		c.Close()
	}
}

// contentOf is what follows the header: it may be of chunks, of a length, or all that comes.
func contentOf(r *http.Request, rest *bufio.Reader) io.Reader {
	switch {
	case r.ContentLength < 0:
		return httputil.NewChunkedReader(rest)
	case r.Header.Get("Content-Length") != "":
		return io.LimitReader(rest, r.ContentLength)
	}
	return rest
}

func (l *Listener) leave(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur == c {
		l.cur = nil
	}
}

// door lets in so many connections as there is room for; others are closed at once.
type door struct {
	net.Listener
	room chan struct{}
}

func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case d.room <- struct{}{}:
			return &guest{Conn: conn, leave: sync.OnceFunc(func() { <-d.room })}, nil
		default:
			conn.Close()
		}
	}
}

// guest is a connection that takes room until it is closed.
type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
