package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

const (
	// maxEngine bounds --streams: each is a participant of its own, for its pool is.
	maxEngine = 16
	// engineIdle is how long a stream stays open that nobody takes.
	engineIdle = time.Minute
	// engineAsked is how long after it asked a player may need to begin.
	engineAsked = 2 * time.Second
	// maxKnown is how many streams that were open are still listed; then the one that
	// was used the longest ago is not.
	maxKnown = 64
)

// engine opens streams as players ask for them, and closes them when nobody does. Each
// is a participant: a link names its own pool.
type engine struct {
	*console
	flags  *viewFlags
	upload float64 // of each
	logger *slog.Logger
	ctx    context.Context
	runs   sync.WaitGroup

	mu    sync.Mutex // guards what follows
	open  []*opening // in the order in which they were opened
	known []heard
}

// heard is a stream that is open, or was.
type heard struct {
	link  stripe.Link // with the stream's name
	media stripe.Media
	logo  string // the URL of a picture
}

// opening is a stream that is open, or about to be.
type opening struct {
	link  stripe.Link
	ready chan struct{} // closed when what follows is there
	err   error         // why it could not be opened
	name  string        // as the source calls it, else the link, else its ID
	media stripe.Media
	logo  string // the URL of a picture
	part  *httpd.Part
	host  *host.Host
	plays *view.Player
	live  *httpd.Broadcaster
	close func() // and wait until it is closed

	private bool // it needs the link's key, and is in no list

	used  time.Time // when it was last seen in use; under the engine's lock
	asked time.Time // when a player last asked for it; likewise
}

func runEngine(cmd *cobra.Command, c *console, f *viewFlags) error {
	given := cmd.Flags().Changed
	for _, flag := range []string{"output", "from", "player"} {
		if given(flag) {
			return fail(fmt.Errorf("--%s does not go with --engine", flag), "an engine plays to whoever asks by URL: leave out --%s, or view one LINK", flag)
		}
	}
	if err := checkDelay(f.delay); err != nil {
		return err
	}
	switch {
	case f.most < 1 || f.most > maxEngine:
		return fail(fmt.Errorf("%d streams at once are too few or too many", f.most), "give --streams from 1 to %d", maxEngine)
	case f.most > 1 && !strings.HasSuffix(f.listen, ":0"):
		return fail(errors.New("several streams cannot share one port"), "leave out --listen: each stream has a port of its own; or give --streams 1")
	}
	upload, err := f.capacity()
	if err != nil {
		return err
	}
	if f.auto && f.most > 1 && !f.noShare {
		return fail(errors.New("several streams cannot each measure the uplink that they share"),
			"give the cap of all streams together, as in --upload 10M, or --streams 1")
	}
	if _, err := f.buffer.config(); err != nil {
		return err
	}
	if f.noShare {
		upload, f.auto = 0, false
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	e := &engine{
		console: c, flags: f, upload: upload / float64(f.most), logger: c.logger(verbose(cmd)), ctx: ctx,
	}
	web, cfg := &web{}, httpd.DefaultConfig()
	cfg.Addr, cfg.Fallback = f.http, !given("http")
	cfg.Play, cfg.Channels = e.play, e.channels
	cfg.Status = func() any { return e.status(web.urls) }
	alive := &heartbeat{ask: func() { e.status(nil) }}
	cfg.Healthy = alive.feel
	hup := c.hangups()
	if err := web.serve(cfg, func(ctx context.Context) { watchdog(ctx, alive) }); err != nil {
		return err
	}
	go c.reloads(ctx, hup, cmd, func(*changes) error { return nil })
	c.say("open %splay/ID@host:port/name.ts or .m3u8 in a player: a link without stripecast://", web.url)
	c.say("page %s, channels %schannels.m3u", web.url, web.url)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-tick.C:
			e.closeIdle(now)
		case <-ctx.Done():
		}
	}
	web.close()
	e.closeAll()
	return nil
}

// play implements httpd.Config's Play.
func (e *engine) play(ctx context.Context, hosts, name string) (*httpd.Part, error) {
	link, err := stripe.ParseLink(stripe.LinkScheme + hosts)
	if err != nil {
		return nil, err
	}
	if !stripe.ValidName(name) {
		name = ""
	}
	link.Name = name
	o, err := e.find(link)
	if err != nil {
		return nil, err
	}
	select {
	case <-o.ready:
		return o.part, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: the stream is not there yet", httpd.ErrBusy)
	}
}

// find is the opening of a link, which begins with that unless it has. Who asks with another
// key, or none, gets nothing of what others have opened.
func (e *engine) find(link stripe.Link) (*opening, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if i := slices.IndexFunc(e.open, func(o *opening) bool { return o.link.ID == link.ID && o.link.Key.Is(link.Key) }); i >= 0 {
		e.open[i].used, e.open[i].asked = now, now
		return e.open[i], nil
	}
	if len(e.open) == e.flags.most && !e.makeRoom(now) {
		return nil, fmt.Errorf("%w: %d streams are played already; --streams allows more", httpd.ErrBusy, e.flags.most)
	}
	o := &opening{link: link, ready: make(chan struct{}), used: now, asked: now}
	e.open = append(e.open, o)
	e.runs.Go(func() {
		defer close(o.ready)
		if o.err = e.start(o); o.err == nil {
			e.learn(o)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.forget(o)
	})
	return o, nil
}

// makeRoom closes the stream that was used the longest ago, if nobody takes it, nor has
// just asked for it.
func (e *engine) makeRoom(now time.Time) bool {
	var idle *opening
	for _, o := range e.open {
		if o.isIdle() && now.Sub(o.asked) >= engineAsked && (idle == nil || o.used.Before(idle.used)) {
			idle = o
		}
	}
	if idle == nil {
		return false
	}
	e.forget(idle)
	e.runs.Go(idle.close)
	return true
}

// isIdle reports whether it is open and nobody takes it.
func (o *opening) isIdle() bool {
	select {
	case <-o.ready:
		return o.err == nil && o.part.Clients() == 0
	default:
		return false
	}
}

func (e *engine) forget(o *opening) {
	e.open = slices.DeleteFunc(e.open, func(other *opening) bool { return other == o })
}

// start joins the stream's pool and begins to play.
func (e *engine) start(o *opening) error {
	n := e.flags.node
	n.join = append(slices.Clone(o.link.Hosts), n.join...)
	n.join = n.join[:min(len(n.join), maxJoin)]
	ctx, cancel := context.WithCancel(e.ctx)
	h, err := n.start(ctx, e.console, e.logger, relay.Config{
		Key: host.NewKey(), Upload: e.upload, Streams: []stripe.ID{o.link.ID}, Play: true, Back: e.flags.delay,
	}, e.upload > 0)
	if err != nil {
		cancel()
		return err
	}
	if err := awaitStream(ctx, e.console, h, o.link); err != nil {
		cancel()
		h.Leave()
		return err
	}
	info := infoOf(h)
	o.name = cmp.Or(info.Name, o.link.Name, o.link.ID.Short())
	o.media, o.logo, o.private = info.Media, info.Thumbnail, info.Private()
	o.host, o.live = h, httpd.NewBroadcaster()
	o.plays = view.New(e.flags.delay, &broadcast{to: o.live})
	o.plays.Unlock(view.NewKeyring(o.link.Key), func(err error) { e.say("warning: %s: %v", o.name, err) })
	cfg := httpd.DefaultConfig()
	cfg.Stream, cfg.Name = o.live, o.name
	o.part = httpd.NewPart(ctx, playedHosts(o.link), cfg)
	played := make(chan struct{})
	go func() {
		defer close(played)
		for ctx.Err() == nil { // a later epoch, when it comes
			o.plays.Run(ctx, h.Media())
			if !o.plays.Stats().Ended {
				break
			}
		}
		for range h.Media() { // until h ends
		}
	}()
	o.close = sync.OnceFunc(func() {
		cancel()
		o.part.Wait()
		h.Leave()
		<-played
		e.say("closed %s", o.name)
	})
	e.say("opened %s", o.name)
	return nil
}

// learn keeps a stream for the list of channels, which anybody may read who reaches us: a URL
// that plays a private one would hold its key. One that is open needs none, and a key that it
// was asked for with opens what is private before and after.
func (e *engine) learn(o *opening) {
	if o.private {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	link := o.link.Public()
	link.Name = o.name
	e.known = slices.DeleteFunc(e.known, func(k heard) bool { return k.link.ID == link.ID })
	if e.known = append(e.known, heard{link, o.media, o.logo}); len(e.known) > maxKnown {
		e.known = slices.Delete(e.known, 0, 1)
	}
}

// playedHosts is what stands in a link between scheme and name, as in a URL that plays it.
func playedHosts(link stripe.Link) string {
	link.Name = ""
	return strings.TrimSuffix(strings.TrimPrefix(link.String(), stripe.LinkScheme), "/")
}

// channels is what is open or was.
func (e *engine) channels() (all []httpd.Channel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, k := range e.known {
		all = append(all, httpd.Channel{
			ID: k.link.ID.String(), Name: k.link.Name, Group: channelGroup, Radio: k.media.Radio(), Logo: k.logo,
			Path: httpd.PlayPath(playedHosts(k.link), k.link.Name, k.media),
		})
	}
	return all
}

// closeIdle closes what nobody has taken for engineIdle.
func (e *engine) closeIdle(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range slices.Clone(e.open) {
		switch idle := o.isIdle(); {
		case !idle:
			o.used = now
		case now.Sub(o.used) > engineIdle:
			e.forget(o)
			e.runs.Go(o.close)
		}
	}
}

// closeAll closes everything, and waits for it.
func (e *engine) closeAll() {
	e.mu.Lock()
	open := e.open
	e.open = nil
	e.mu.Unlock()
	for _, o := range open {
		e.runs.Go(func() {
			if <-o.ready; o.err == nil {
				o.close()
			}
		})
	}
	e.runs.Wait()
}

// status is all that is open.
func (e *engine) status(urls []string) status {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := status{Role: "engine", URLs: urls, Upload: e.upload * float64(e.flags.most), Streams: []streamStatus{}}
	out.Stripes = []stripeStatus{}
	for _, o := range e.open {
		select {
		case <-o.ready:
		default:
			continue
		}
		if o.err != nil {
			continue
		}
		one := describe("view", o.host, o.plays, nil)
		if e.flags.auto { // it is the only one
			out.Upload, out.Uplink = one.Upload, one.Uplink
		}
		out.Streams = append(out.Streams, one.Streams...)
		out.Bytes.In += one.Bytes.In
		out.Bytes.Out += one.Bytes.Out
		out.Bytes.Payload += one.Bytes.Payload
		out.Peers += one.Peers
		out.RelaysKnown += one.RelaysKnown
	}
	if len(out.Streams) > 0 {
		out.streamStatus = out.Streams[0]
	}
	return out
}
