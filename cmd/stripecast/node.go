package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/quicnet"
	"github.com/stripecast/stripecast/stripe"
)

// maxJoin is how many hosts may be named to join a pool: four links' worth.
const maxJoin = 4 * stripe.MaxHosts

// node is what the flags of every participant have in common.
type node struct {
	listen, advertise, upload, http string
	join                            []string
	buffer                          buffer

	auto  bool    // --upload auto
	least float64 // what the uplink should carry if it can; only with auto
}

// autoUpload is the cap until the uplink has been measured, in bits a second.
const autoUpload = 2e6

// capacity reads --upload: the cap, or where to start with auto.
func (n *node) capacity() (float64, error) {
	if n.upload == "auto" {
		n.auto = true
		return autoUpload, nil
	}
	return parseRate(n.upload)
}

// reload takes another cap.
func (n *node) reload(change *changes, h *host.Host) error {
	values, ok := change.of("upload")
	if !ok {
		return nil
	}
	if n.auto || values[0] == "auto" {
		return errors.New("an uplink that is measured, or is to be, needs a new start")
	}
	upload, err := parseRate(values[0])
	if err != nil {
		return err
	}
	change.does(func() { h.SetUpload(upload) })
	return nil
}

// tellUplink says what the uplink was found to carry, once it was.
func (n *node) tellUplink(ctx context.Context, c *console, h *host.Host) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		up := h.Uplink()
		if up.Measured == 0 {
			continue
		}
		c.say("the uplink carries %s; using %s", rate(up.Measured), rate(up.Cap))
		if up.Cap < n.least {
			c.say("warning: the stream needs %s", rate(n.least))
		}
		return
	}
}

func (n *node) flags(f *pflag.FlagSet, listen, upload, http string) {
	f.StringVar(&n.listen, "listen", listen, "UDP `[HOST]:PORT` for everything; port 0 takes any")
	f.StringVar(&n.advertise, "advertise", "", "`HOST:PORT` by which others reach this machine (default: found out)")
	f.StringSliceVar(&n.join, "join", nil, "`HOST:PORT` of pool members, several with commas")
	f.StringVar(&n.upload, "upload", upload, "upload cap in bits a second, as in `20M`; auto measures the uplink and uses 80 % of it")
	f.StringVar(&n.http, "http", http, "`HOST:PORT` of the status page and, for a viewer, of the stream")
	n.buffer.flags(f)
}

// verbose is the one flag that all commands share.
func verbose(cmd *cobra.Command) bool {
	v, _ := cmd.Flags().GetBool("verbose")
	return v
}

// start runs a participant and, if there is a pool to join, waits for it.
func (n *node) start(ctx context.Context, c *console, logger *slog.Logger, cfg relay.Config, gossip bool) (*host.Host, error) {
	if len(n.join) > maxJoin {
		return nil, fail(fmt.Errorf("%d hosts to join are too many", len(n.join)), "name at most %d, in links and --join together", maxJoin)
	}
	for _, j := range n.join {
		if _, port, err := net.SplitHostPort(j); err != nil || !isPort(port) {
			return nil, fail(fmt.Errorf("%q is not host:port", j), "give --join as in pool.example.org:7070")
		}
	}
	if cfg.Back == 0 {
		cfg.Back = 4 * time.Second // what a newcomer to this relay may ask for
	}
	kept, err := n.buffer.open(c)
	if err != nil {
		return nil, err
	}
	h, err := host.Start(host.Config{
		Participant: cfg, Listen: n.listen, Advertise: n.advertise, Join: n.join, Gossip: gossip, Logger: logger,
		Measure: n.auto, Least: n.least, Store: kept,
	})
	if err != nil && kept != nil {
		_ = kept.Close() // nothing was written
	}
	switch {
	case errors.Is(err, quicnet.ErrPortTaken):
		return nil, fail(fmt.Errorf("UDP %s is taken", n.listen), "another stripecast may run here; give --listen with another port, or :0 for any")
	case err != nil:
		return nil, fail(err, "check --listen and --advertise")
	}
	if err := n.reach(ctx, c, h); err != nil {
		h.Leave()
		return nil, err
	}
	if n.auto {
		go n.tellUplink(ctx, c, h)
	}
	return h, nil
}

func isPort(s string) bool {
	p, err := strconv.ParseUint(s, 10, 16)
	return err == nil && p > 0
}

// reach waits for the pool, and says so while it does.
func (n *node) reach(ctx context.Context, c *console, h *host.Host) error {
	if len(n.join) == 0 {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- h.WaitJoined(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case err := <-done:
			if errors.Is(err, host.ErrUnreachable) {
				return unreachable(n.join)
			}
			return err
		case <-tick.C:
			c.say("trying %s … %d s of %d", strings.Join(n.join, ", "), int(time.Since(began).Seconds()), int(host.JoinPatience.Seconds()))
		}
	}
}

// web is a participant's HTTP server.
type web struct {
	url     string
	urls    []string
	clients func() int // that take the stream or its past
	close   func()
}

// site is what a participant's HTTP server shows.
type site struct {
	addr     string
	fallback bool // addr is only a suggestion
	name     string
	stream   *httpd.Broadcaster // nil for a participant that does not play
	past     *rewind.Stream
	host     *host.Host
	status   func(urls []string) status
	forest   func() forestStatus
	channels func() []httpd.Channel // nil if nothing plays
	// ready says why nothing can be expected of it yet, or nothing. flows is its means
	// to find out whether count goes on counting.
	ready func(flows func() error) error
	count func() uint64
}

// infoOf is the info of the stream that a participant carries, or of its first.
func infoOf(h *host.Host) (info stripe.Info) {
	if streams := h.Status().Streams; len(streams) > 0 {
		info = streams[0].Info
	}
	return info
}

func (s *site) serve() (*web, error) {
	w := &web{}
	alive := &heartbeat{ask: func() { s.host.Status() }}
	progress := &flow{count: s.count}
	cfg := httpd.DefaultConfig()
	cfg.Addr, cfg.Fallback, cfg.Name, cfg.Stream, cfg.Past = s.addr, s.fallback, s.name, s.stream, s.past
	cfg.Status = func() any { return s.status(w.urls) }
	cfg.Title = func() string { return infoOf(s.host).Title }
	cfg.Thumbnail = func() string { return infoOf(s.host).Thumbnail }
	cfg.Forest = func() any { return s.forest() }
	cfg.Metrics = newMetrics(func() scrape { return scrape{s.status(w.urls), s.host.Net(), w.clients()} })
	cfg.Channels = s.channels
	cfg.Healthy = alive.feel
	cfg.Ready = func(ctx context.Context) error {
		if err := alive.feel(ctx); err != nil {
			return err
		}
		return s.ready(func() error { return progress.check(time.Now()) })
	}
	err := w.serve(cfg, func(ctx context.Context) {
		go watchdog(ctx, alive)
		progress.watch(ctx)
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// serve starts the server. watch runs as long as it does; nil: nothing is watched.
func (w *web) serve(cfg httpd.Config, watch func(context.Context)) error {
	srv, err := httpd.New(cfg)
	if err != nil {
		return fail(err, "give --http with a free port, as in 127.0.0.1:0")
	}
	w.url, w.clients = srv.URL(), srv.Clients
	w.urls = []string{w.url}
	if cfg.Stream != nil {
		w.urls = append(w.urls, w.url+"stream", w.url+"live.m3u", strings.TrimSuffix(w.url, "/")+httpd.LivePath)
	}
	// The server outlives the command's context, so that players get the end.
	ctx, cancel := context.WithCancel(context.Background())
	if watch != nil {
		go watch(ctx)
	}
	notify("READY=1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Run(ctx)
	}()
	removeNote := leaveNote(w.url)
	w.close = func() {
		notify("STOPPING=1")
		removeNote()
		cancel()
		<-done
	}
	return nil
}
