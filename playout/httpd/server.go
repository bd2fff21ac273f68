// Package httpd is a participant's HTTP server: the stream to many players at
// once, its state as JSON, and a small page. It listens on loopback unless told
// otherwise.
//
//	playout ──Push──▶ Broadcaster ══ one ring ══▶ a Follower per client ──▶ player
//	                          ├── segmenter, while asked for ══ live HLS ══▶ players
//	                          └── caught up ──┐
//	rewind.Stream ──▶ a Reader per client ════╧════════════════════════▶ player
//
// The package knows no media format and decides nothing: what it shows, the host
// gives it.
package httpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripecast/stripecast/playout/rewind"
)

// DefaultAddr is where a participant listens when nobody says where.
const DefaultAddr = "127.0.0.1:7080"

// DefaultName is what a stream is called that nobody gave a name.
const DefaultName = "live"

// Config is what a Server serves, and where.
type Config struct {
	// Addr is host:port to listen on. Default DefaultAddr.
	Addr string
	// Fallback: Addr is only a suggestion. If it cannot be had, the next ports up
	// to 100 further are tried.
	Fallback bool
	// Status is shown as JSON. It is called by many goroutines at once.
	Status func() any
	// Forest is what the page draws, as JSON; nil: nothing. Likewise.
	Forest func() any
	// Metrics is what a monitoring system gets; nil: nothing. It is asked by many
	// goroutines at once, as the next two are.
	Metrics http.Handler
	// Healthy says why whoever runs the participant should start it again, and Ready
	// why nothing should be expected of it yet; nil, the function or its answer: there
	// is no reason. They answer when the context ends, at the latest.
	Healthy, Ready func(context.Context) error
	// Stream is what players get; nil for a participant that does not play.
	Stream *Broadcaster
	// Past is where players get what was before; nil: nowhere. It needs Stream.
	Past *rewind.Stream
	// Name is the stream's, for people and in its URL; "" is DefaultName.
	Name string
	// Play opens the stream of a link, by what stands in it between scheme and name, or
	// finds it open; name is what the client calls it, and may be empty. Nil: URLs open
	// nothing. It is called by many goroutines at once, and may take as long as ctx.
	Play func(ctx context.Context, hosts, name string) (*Part, error)
	// Channels is what can be played here, in the order in which players show it; nil:
	// there is no such list. It is called by many goroutines at once.
	Channels func() []Channel
	// Title is what plays at this moment, for those who listen to a radio; nil, or "",
	// is Name. It is called by many goroutines at once.
	Title func() string
	// Thumbnail is the URL of a picture of the stream, for players; nil, or "", is none. It
	// is called by many goroutines at once.
	Thumbnail func() string
	// StartTimeout is how long a player waits for the stream's first block before
	// it is answered 503. Default 30 s.
	StartTimeout time.Duration
	// WriteTimeout is how long a player may read nothing before it is closed.
	// Default 30 s.
	WriteTimeout time.Duration
	// PauseTimeout is the same for one that takes the past, and may be paused. Default
	// 12 h: who has gone is found out by TCP.
	PauseTimeout time.Duration
}

// DefaultConfig listens on DefaultAddr or a port after it, and serves nothing yet.
func DefaultConfig() Config {
	return Config{
		Addr: DefaultAddr, Fallback: true,
		StartTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, PauseTimeout: 12 * time.Hour,
	}
}

// Server is one participant's HTTP server.
type Server struct {
	cfg      Config
	host     string // as it stands in Addr, lower case
	name     string
	prefix   string // of all paths, as the client sees them
	listener net.Listener
	clients  atomic.Int64 // answers that hold a client's place
	rewinds  atomic.Int64 // of them, those that take the past
	conns    atomic.Int64
	segments *segmenter // nil: there is no stream
}

// New listens. Run serves.
func New(cfg Config) (*Server, error) {
	host, port, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("httpd: %w", err)
	}
	switch {
	case cfg.Status == nil:
		return nil, errors.New("httpd: no status to show")
	case cfg.StartTimeout <= 0 || cfg.WriteTimeout <= 0 || cfg.PauseTimeout <= 0:
		return nil, errors.New("httpd: a timeout is not above 0")
	case cfg.Past != nil && cfg.Stream == nil:
		return nil, errors.New("httpd: a past of no stream")
	}
	s := &Server{cfg: cfg, host: strings.ToLower(host), name: cmp.Or(cfg.Name, DefaultName)}
	if cfg.Stream != nil {
		s.segments = newSegmenter(cfg.Stream)
	}
	s.listener, err = net.Listen("tcp", cfg.Addr)
	if n, e := strconv.Atoi(port); err != nil && e == nil && cfg.Fallback {
		s.listener = listenAfter(host, n)
	}
	if s.listener == nil {
		return nil, fmt.Errorf("httpd: %w", err)
	}
	return s, nil
}

// listenAfter takes the first port after this one that can be had. Whatever
// keeps one from us (Windows reserves ranges) need not hold for the next.
func listenAfter(host string, port int) net.Listener {
	for n := port + 1; n <= min(port+fallbackPorts, 65535); n++ {
		if l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(n))); err == nil {
			return l
		}
	}
	return nil
}

// URL is where the page is, for this machine.
func (s *Server) URL() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%d/", addr.Port)
	}
	return "http://" + addr.String() + "/"
}

// Clients is how many take the stream or its past now. All HLS players are one.
func (s *Server) Clients() int {
	n := int(s.clients.Load())
	if s.segments != nil && s.segments.watched(time.Now()) {
		n++
	}
	return n
}

// Run serves until ctx ends; then streams end cleanly, and Run returns nil.
// Call it once.
func (s *Server) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler:           s.guard(http.HandlerFunc(s.route)),
		ReadHeaderTimeout: headerTimeout, // no ReadTimeout: it would end a stream
		WriteTimeout:      answerTimeout, // a stream sets its own
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         s.countConns,
	}
	if s.segments != nil {
		s.segments.start(ctx)
		defer s.segments.wait()
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if srv.Shutdown(late) != nil {
			srv.Close()
		}
		closed <- nil
	})
	err := srv.Serve(s.listener)
	if !stop() {
		return <-closed
	}
	return fmt.Errorf("httpd: %w", err)
}

// countConns closes a connection over MaxConns before it is read from.
func (s *Server) countConns(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.conns.Add(1) > MaxConns {
			c.Close()
		}
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	}
}
