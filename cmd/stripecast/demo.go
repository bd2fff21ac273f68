package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

const (
	demoListen       = "127.0.0.1:0"
	demoSourceUpload = 200e6
	demoRelayUpload  = 20e6
	demoViewerUpload = 10e6
	maxDemoRelays    = 100
	maxDemoViewers   = 50
)

type demoFlags struct {
	relays, viewers int
	layout, http    string
	player          string
	duration, kill  time.Duration
	drill           bool
}

func newDemo(c *console) *cobra.Command {
	f := demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it: a source, relays and viewers on this machine, and relays that die",
		Long: "Run a source with a built-in clip, relays and viewers on this machine, over real\n" +
			"QUIC on loopback. Every few seconds a relay is killed and another joins. It prints\n" +
			"a URL that any player opens, and at the end what the viewers saw. One skipped\n" +
			"block is a failure.\n\n" +
			"With --drill it is a rehearsal: three times, as many relays as the layout's m are\n" +
			"killed at one instant, those that feed the viewers most, and a table says what every\n" +
			"viewer saw of it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, c, &f) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.relays, "relays", 12, "`NUMBER` of relays")
	flags.IntVar(&f.viewers, "viewers", 3, "`NUMBER` of viewers")
	flags.StringVar(&f.layout, "layout", stripe.DefaultLayout.String(), "`K+M`: K shards rebuild a block, M more may be lost")
	flags.DurationVar(&f.duration, "duration", 0, "end after this time; 0: when interrupted")
	flags.DurationVar(&f.kill, "kill-every", 10*time.Second, "kill a relay this often; 0: never")
	flags.BoolVar(&f.drill, "drill", false, "kill several relays at one instant, three times, and report")
	flags.StringVar(&f.http, "http", httpd.DefaultAddr, "`HOST:PORT` of the page and the stream")
	flags.StringVar(&f.player, "player", "", "start this `COMMAND` with the first viewer's stream, and end with it")
	return cmd
}

func runDemo(cmd *cobra.Command, c *console, f *demoFlags) error {
	layout, err := stripe.ParseLayout(f.layout)
	if err != nil {
		return fail(err, "give --layout as k+m, as in 16+4")
	}
	if f.relays < 0 || f.relays > maxDemoRelays || f.viewers < 1 || f.viewers > maxDemoViewers {
		return fail(errors.New("too few or too many relays or viewers for one machine"),
			"give --relays from 0 to %d and --viewers from 1 to %d", maxDemoRelays, maxDemoViewers)
	}
	if f.kill < 0 || f.duration < 0 {
		return fail(errors.New("a time is below 0"), "give --duration and --kill-every of 0 or more")
	}
	if f.drill && (f.kill < minDrillEvery || f.relays == 0) {
		return fail(errors.New("there is nothing to rehearse"), "give --drill with --kill-every of %v or more and at least 1 relay", minDrillEvery)
	}
	player, err := findPlayer(f.player)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if f.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	d := &demo{console: c, flags: f, layout: layout, log: c.logger(verbose(cmd))}
	defer d.close()
	if err := d.open(ctx, cmd.Flags().Changed("http")); err != nil {
		switch {
		case cmd.Context().Err() != nil:
			return nil // interrupted
		case ctx.Err() != nil:
			return fail(errors.New("the time was over before all had joined"), "try a longer --duration")
		}
		return err
	}
	watched := startPlayer(ctx, cancel, d.console, player, d.web.urls[1])
	defer func() { cancel(); <-watched }()
	if f.drill {
		if err := d.rehearse(ctx); err != nil {
			return err
		}
	} else {
		d.watch(ctx)
	}
	return d.finish()
}

// demo is a small pool in one process. Its participants share nothing but
// loopback.
type demo struct {
	*console
	flags  *demoFlags
	layout stripe.Layout
	log    *slog.Logger

	source  *host.Host
	info    stripe.Info
	endFeed func()
	fed     chan error // the source's end
	relays  []*host.Host
	viewers []*viewing
	web     *web
	killed  atomic.Int64
	began   time.Time
}

func (d *demo) open(ctx context.Context, httpGiven bool) error {
	if err := d.openSource(ctx); err != nil {
		return err
	}
	d.say("source: a clip of %s for ever, %v, blocks of %v", rate(float64(d.info.Rate)), d.info.Layout, d.info.BlockTime)
	for range d.flags.relays {
		if err := d.addRelay(); err != nil {
			return err
		}
	}
	for i, r := range d.relays {
		if err := r.WaitJoined(ctx); err != nil {
			return fmt.Errorf("relay %d: %w", i, err)
		}
	}
	d.say("relays: %d have joined", len(d.relays))
	live := httpd.NewBroadcaster()
	for i := range d.flags.viewers {
		var sinks []view.Sink
		if i == 0 {
			sinks = append(sinks, &broadcast{to: live})
		}
		if err := d.addViewer(sinks); err != nil {
			return err
		}
	}
	first := d.viewers[0]
	var err error
	d.web, err = (&site{
		addr: d.flags.http, fallback: !httpGiven, name: "demo", stream: live, host: first.host,
		status: func(urls []string) status { return describe("view", first.host, first.player, urls) },
		forest: d.forest(first),
		ready:  func(flows func() error) error { return flows() },
		count:  func() uint64 { return first.player.Stats().Played },
	}).serve()
	if err != nil {
		return err
	}
	d.say("viewers: %d; open %s in any player (mpv, VLC, ffplay), or %s in a browser", len(d.viewers), d.web.urls[1], d.web.url)
	return nil
}

// forest is the first viewer's, and what the source knows besides.
func (d *demo) forest(first *viewing) func() forestStatus {
	rates, sourceRates := newPace(), newPace()
	return func() forestStatus {
		f := describeForest("view", first.host, first.player, rates)
		f.Source = describeForest("source", d.source, nil, sourceRates).Source
		return f
	}
}

func (d *demo) openSource(ctx context.Context) error {
	loop, err := ts.NewLooper(clip.TS())
	if err != nil {
		return fmt.Errorf("the built-in clip: %w", err)
	}
	key := host.NewKey()
	src, err := source.Probe(ctx, source.Config{
		Key: key, Name: "demo", Input: io.Reader(loop), Logger: d.log,
		Layout: d.layout, LayoutFixed: true, BlockTime: playout.DefaultConfig().BlockTime,
	})
	if err != nil {
		return fmt.Errorf("the built-in clip: %w", err)
	}
	src.SetEpoch(1)
	d.info = src.Info()
	d.source, err = d.start(relay.Config{Key: nodeKey(key), Upload: demoSourceUpload}, nil)
	if err != nil {
		return err
	}
	feed, end := context.WithCancel(context.WithoutCancel(ctx))
	d.endFeed, d.fed = end, make(chan error, 1)
	d.began = time.Now()
	go func() { d.fed <- src.Run(feed, d.source) }()
	return nil
}

func (d *demo) start(cfg relay.Config, join []string) (*host.Host, error) {
	cfg.Back = max(cfg.Back, playout.DefaultConfig().Delay)
	h, err := host.Start(host.Config{Participant: cfg, Listen: demoListen, Join: join, Gossip: true, Logger: d.log})
	if err != nil {
		return nil, fail(err, "the demo needs UDP on 127.0.0.1")
	}
	return h, nil
}

func (d *demo) join() []string { return []string{d.source.Advertised().String()} }

func (d *demo) addRelay() error {
	r, err := d.start(relay.Config{
		Key: host.NewKey(), Upload: demoRelayUpload, Streams: []stripe.ID{d.info.Stream}, Back: 4 * time.Second,
	}, d.join())
	if err == nil {
		d.relays = append(d.relays, r)
	}
	return err
}

func (d *demo) addViewer(sinks []view.Sink) error {
	h, err := d.start(relay.Config{
		Key: host.NewKey(), Upload: demoViewerUpload, Streams: []stripe.ID{d.info.Stream}, Play: true,
	}, d.join())
	if err != nil {
		return err
	}
	d.viewers = append(d.viewers, watchHost(h, stripe.LinkKey{}, playout.DefaultConfig().Delay, sinks...))
	return nil
}

// watch shows how it goes, and kills, until ctx ends.
func (d *demo) watch(ctx context.Context) {
	defer d.keepSaying(d.line())()
	var kill <-chan time.Time
	if d.flags.kill > 0 {
		t := time.NewTicker(d.flags.kill)
		defer t.Stop()
		kill = t.C
	}
	for {
		select {
		case <-kill:
			if len(d.relays) == 0 {
				continue
			}
			i := rand.IntN(len(d.relays))
			d.relays[i].Kill()
			d.relays = slices.Delete(d.relays, i, i+1)
			d.killed.Add(1)
			if err := d.addRelay(); err != nil {
				d.say("a new relay could not join: %v", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// rehearse kills m relays at a time, and prints what the viewers saw.
func (d *demo) rehearse(ctx context.Context) error {
	dying := &sync.WaitGroup{}
	defer dying.Wait()
	r := &rehearsal{
		console: d.console, viewers: d.viewers, rounds: drillRounds, every: d.flags.kill,
		cut:  func(before []sight) ([][]membership.NodeID, error) { return d.killMost(before, dying) },
		mend: d.replace,
	}
	r.report.Stream, r.report.Name, r.report.Layout = d.info.Stream.String(), "demo", d.layout.String()
	end := d.keepSaying(d.line())
	err := r.run(ctx)
	end()
	if len(r.report.Rounds) > 0 {
		if werr := r.report.write(d.out, false); werr != nil {
			return werr
		}
	}
	if ctx.Err() != nil {
		return nil // as when there is no rehearsal: what was seen until then counts
	}
	return err
}

// killMost kills, at one instant, the m relays that feed the viewers most.
func (d *demo) killMost(before []sight, dying *sync.WaitGroup) ([][]membership.NodeID, error) {
	var fed [][]relay.StripeStatus
	for _, s := range before {
		fed = append(fed, s.stripes)
	}
	isRelay := func(id membership.NodeID) bool {
		return slices.ContainsFunc(d.relays, func(r *host.Host) bool { return r.ID() == id })
	}
	dead := chooseParents(fed, max(1, d.layout.M), isRelay)
	if len(dead) == 0 {
		return nil, fail(errNobody, "try more --relays")
	}
	d.relays = slices.DeleteFunc(d.relays, func(r *host.Host) bool {
		if !slices.Contains(dead, r.ID()) {
			return false
		}
		dying.Go(r.Kill)
		return true
	})
	d.killed.Add(int64(len(dead)))
	all := make([][]membership.NodeID, len(before))
	for i := range all {
		all[i] = dead
	}
	return all, nil
}

// replace starts as many relays as were killed, and waits for them.
func (d *demo) replace(ctx context.Context) error {
	old := len(d.relays)
	for len(d.relays) < d.flags.relays {
		if err := d.addRelay(); err != nil {
			return err
		}
	}
	for _, r := range d.relays[old:] {
		if err := r.WaitJoined(ctx); err != nil {
			return fmt.Errorf("a new relay: %w", err)
		}
	}
	return nil
}

func (d *demo) line() func() string {
	out, payload := newMeter(), newMeter()
	return func() string {
		st := d.source.Status()
		if len(st.Streams) == 0 {
			return ""
		}
		now := time.Now()
		cut := payload.rate(now, st.Streams[0].Counters.Payload)
		sent := out.rate(now, d.source.Net().Out)
		factor := 0.0
		if cut > 0 {
			factor = sent / cut
		}
		var b bytes.Buffer
		spare := 1 << 30
		var sum playout.Stats
		for _, v := range d.viewers {
			for _, s := range v.host.Status().Streams {
				spare = min(spare, s.Spare)
			}
			s := v.player.Stats()
			sum.Played += s.Played
			sum.Skipped += s.Skipped
			sum.Rebuilt += s.Rebuilt
		}
		if spare == 1<<30 {
			spare = -d.layout.K
		}
		fmt.Fprintf(&b, "%3.0f s  least spare %d  played %d  skipped %d  rebuilt %d  source sends %.2f × the stream  killed %d",
			now.Sub(d.began).Seconds(), spare, sum.Played, sum.Skipped, sum.Rebuilt, factor, d.killed.Load())
		return b.String()
	}
}

// finish ends the stream, lets the viewers play to its end, and says what they saw.
func (d *demo) finish() error {
	d.endFeed()
	feedErr := <-d.fed
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	unfinished := 0
	for _, v := range d.viewers {
		select {
		case <-v.played:
		case <-late.C:
			unfinished++
			late.Reset(0)
		}
	}
	var played, skipped, rebuilt uint64
	idle := 0
	for i, v := range d.viewers {
		s := v.player.Stats()
		played, skipped, rebuilt = played+s.Played, skipped+s.Skipped, rebuilt+s.Rebuilt
		if s.Played == 0 {
			idle++
		}
		d.say("viewer %d: %d blocks played, %d skipped, %d rebuilt from parity, first block after %.1f s",
			i+1, s.Played, s.Skipped, s.Rebuilt, s.First.Sub(s.Opened).Seconds())
	}
	factor := 0.0
	if st := d.source.Status(); len(st.Streams) > 0 && st.Streams[0].Counters.Payload > 0 {
		factor = float64(d.source.Net().Out) / float64(st.Streams[0].Counters.Payload)
	}
	fmt.Fprintf(d.out, "played %d  skipped %d  rebuilt %d  relays killed %d  source upload ÷ stream rate %.2f\n",
		played, skipped, rebuilt, d.killed.Load(), factor)
	if feedErr != nil {
		return feedErr
	}
	return demoVerdict(skipped, idle, unfinished)
}

// demoVerdict is the error of a demo in which blocks were skipped, or viewers played
// nothing or did not reach the end.
func demoVerdict(skipped uint64, idle, unfinished int) error {
	switch {
	case skipped > 0:
		return fail(fmt.Errorf("%d blocks were skipped", skipped), "this machine may be too busy; try fewer --relays")
	case idle > 0:
		return fail(fmt.Errorf("%d viewers played nothing", idle), "try a longer --duration")
	case unfinished > 0:
		return fail(fmt.Errorf("%d viewers did not reach the end of the stream", unfinished), "run again with --verbose")
	}
	return nil
}

func (d *demo) close() {
	if d.endFeed != nil {
		d.endFeed()
	}
	if d.web != nil {
		d.web.close()
	}
	for _, v := range d.viewers {
		v.host.Kill()
	}
	for _, r := range d.relays {
		r.Kill()
	}
	if d.source != nil {
		d.source.Kill()
	}
}
