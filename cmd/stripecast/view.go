package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/sink"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

const (
	// flushPatience is how long a slow reader of -o has for the end of the stream.
	flushPatience = 5 * time.Second
	// endPatience is how long a player that we started may go on after the end.
	endPatience = 10 * time.Second
	// playerPatience is how long a player has to end when told to; then it is killed.
	playerPatience = 2 * time.Second
)

type viewFlags struct {
	node
	out     string
	delay   time.Duration
	from    string
	player  string
	noShare bool
	engine  bool
	most    int // streams of an engine
}

func newView(c *console) *cobra.Command {
	f := viewFlags{}
	cmd := &cobra.Command{
		Use:   "view [LINK]",
		Short: "Watch a stream",
		Long: "Rebuild the stream and play it: at a local URL that any player opens, many at\n" +
			"once; into a player that it starts; to a file or to standard output. A viewer\n" +
			"passes a part of the stream on to others unless told not to.\n\n" +
			"--from begins in the past, as far as this machine or others still hold it, and\n" +
			"goes on into live as fast as it is read: -5m is five minutes ago, 20:15:00 when it\n" +
			"was last so late, start the beginning. The same is ?from=-5m in the URL. When the\n" +
			"source is gone, what others hold is played, and a player can seek in it.\n\n" +
			"With --engine there is no LINK: a stream is opened when a player asks for it, at\n" +
			"/play/ID@host:port/name.ts or name.m3u8, which is a link without its scheme, and\n" +
			"closed when nobody has taken it for a minute.",
		Example: "  stripecast view 'stripecast://…' --player mpv\n" +
			"  stripecast view 'stripecast://…' --from -5m --player mpv\n" +
			"  stripecast view 'stripecast://…' -o - | ffplay -\n" +
			"  stripecast view --engine",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.engine {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.engine {
				return runEngine(cmd, c, &f)
			}
			return runView(cmd, c, &f, args[0])
		},
	}
	cmd.Annotations = map[string]string{argsKey: "link"}
	flags := cmd.Flags()
	f.node.flags(flags, ":0", "10M", httpd.DefaultAddr)
	flags.StringVarP(&f.out, "output", "o", "", "write the stream to `FILE`, to - (standard output), or to udp://HOST:PORT, which may be a multicast group")
	flags.DurationVar(&f.delay, "delay", playout.DefaultConfig().Delay, "time from the source to the player, 100ms to 1m: more survives more")
	flags.StringVar(&f.from, "from", "", "begin at this `MOMENT` of the past: -5m, 20:15:00 or start")
	flags.StringVar(&f.player, "player", "", "start this `COMMAND` with the stream's URL, and end with it")
	flags.BoolVar(&f.noShare, "no-share", false, "pass nothing on to others")
	flags.BoolVar(&f.engine, "engine", false, "open any stream that a player asks for by URL")
	flags.IntVar(&f.most, "streams", 4, "`NUMBER` of streams that an engine has open at once, 1 to 16; each gets its part of --upload")
	return cmd
}

func runView(cmd *cobra.Command, c *console, f *viewFlags, arg string) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	link, err := stripe.ParseLink(arg)
	if err != nil {
		return fail(err, "a link looks like stripecast://ID@host:port/name, as the source printed it")
	}
	if err := checkDelay(f.delay); err != nil {
		return err
	}
	from, err := parseFrom(f.from, cmd.Flags().Changed("from"))
	if err != nil {
		return err
	}
	upload, err := f.capacity()
	if err != nil {
		return err
	}
	if _, err := f.buffer.config(); err != nil {
		return err
	}
	if f.noShare {
		upload, f.auto = 0, false
	}
	player, err := findPlayer(f.player)
	if err != nil {
		return err
	}
	if from != nil && strings.HasPrefix(f.out, sink.UDPScheme) {
		return fail(errors.New("datagrams go at the pace of what is live, and the past has none"), "leave out --from, or give -o a file or -")
	}
	v := &viewer{console: c, share: upload > 0, from: from}
	if f.out != "" {
		if v.file, err = sink.Open(sink.Config{Path: f.out, MarkGap: v.markGap}); err != nil {
			return fail(err, "give -o a file that can be written, - for standard output, or udp://HOST:PORT")
		}
		defer v.leaveFile()
	}
	f.join = append(f.join, link.Hosts...)
	hup := c.hangups()
	h, err := f.start(ctx, c, c.logger(verbose(cmd)), relay.Config{
		Key: host.NewKey(), Upload: upload, Streams: []stripe.ID{link.ID}, Play: true, Back: f.delay,
	}, v.share)
	if err != nil {
		return err
	}
	defer h.Leave()
	go c.reloads(ctx, hup, cmd, func(change *changes) error {
		if f.noShare {
			return nil
		}
		return f.reload(change, h)
	})
	if err := awaitStream(ctx, c, h, link); err != nil {
		return err
	}
	return v.run(ctx, cancel, h, f, link, player, cmd.Flags().Changed("http"))
}

// checkDelay refuses a --delay that no play-out can have.
func checkDelay(delay time.Duration) error {
	cfg := playout.DefaultConfig()
	cfg.Delay = delay
	if err := cfg.Validate(); err != nil {
		return fail(err, "give --delay from %v to %v", playout.MinDelay, playout.MaxDelay)
	}
	return nil
}

// findPlayer is a --player in words, the first of which is a program here; of none, none.
func findPlayer(player string) ([]string, error) {
	if player == "" {
		return nil, nil
	}
	command, err := playerCommand(player)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fail(err, "install %s, name another player, or open the URL in any player", command[0])
	}
	return command, nil
}

// playerCommand is a --player in words, of which there is at least one.
func playerCommand(player string) ([]string, error) {
	command := strings.Fields(player)
	if len(command) == 0 {
		return nil, fail(errors.New("the player has no name"), "give --player as in --player mpv")
	}
	return command, nil
}

// viewer is a view under way.
type viewer struct {
	*console
	share bool
	from  *rewind.From // where to begin; nil: live
	file  *sink.Sink   // nil without -o
	wrote chan error   // from the file's writer, once it runs
	live  *httpd.Broadcaster
	plays *broadcast
	past  *rewind.Stream
	begun chan struct{}         // closed when it is clear what is played
	gone  atomic.Bool           // the source is, and only the past is played
	back  chan struct{}         // closed when it is there again
	media atomic.Int32          // stripe.Media
	shut  atomic.Pointer[error] // why the link does not open a later run; nil: it does
}

func (v *viewer) run(ctx context.Context, cancel func(), h *host.Host, f *viewFlags, link stripe.Link, command []string, httpGiven bool) error {
	v.live = httpd.NewBroadcaster()
	keys := view.NewKeyring(link.Key)
	v.past = newPast(h, link.ID, keys, v.live)
	v.plays, v.begun, v.back = &broadcast{to: v.live}, make(chan struct{}), make(chan struct{})
	sinks := []view.Sink{v.plays}
	if v.file != nil {
		sinks = append(sinks, &fileSink{v.file, &v.media})
	}
	player, rates := view.New(f.delay, sinks...), newPace()
	player.Unlock(keys, v.locked(cancel))
	web, err := (&site{
		addr: f.http, fallback: !httpGiven, name: link.Name, stream: v.live, past: v.past, host: h,
		status:   func(urls []string) status { return describeView(h, player, v.past, urls) },
		forest:   func() forestStatus { return describeForest("view", h, player, rates) },
		channels: v.channels(link, h),
		ready:    v.ready,
		count:    func() uint64 { return player.Stats().Played },
	}).serve()
	if err != nil {
		return err
	}
	defer web.close()
	played := make(chan struct{})
	go func() {
		for player.Run(ctx, h.Media()); player.Stats().Ended && v.waits(ctx); {
			player.Run(ctx, h.Media()) // a later epoch, when it comes
		}
		close(played)
		for range h.Media() { // what comes after the end nobody wants, until h ends
		}
	}()
	url, line := v.begin(ctx, h, player, link, web)
	close(v.begun)
	defer v.keepSaying(line)()

	if v.file != nil {
		v.wrote = make(chan error, 1)
		go func() { v.wrote <- v.write(ctx) }()
	}
	watched := startPlayer(ctx, cancel, v.console, command, url)
	over, err := v.await(ctx, cancel, played)
	if over || err == nil && player.Stats().Ended {
		v.say("the stream has ended")
		v.drain(ctx, web)
		// Some players show the last picture for ever.
		defer time.AfterFunc(endPatience, cancel).Stop()
	} else {
		cancel()
	}
	<-watched
	cancel()
	<-played
	if shut := v.shut.Load(); shut != nil {
		return explainKey(*shut)
	}
	var explained *failure
	switch {
	case errors.As(err, &explained):
		return err
	case err != nil && !errors.Is(err, sink.ErrReaderGone):
		return fail(err, "check that there is room where -o writes to")
	}
	return nil
}

// locked ends the viewer when a later run of the source is not opened by the link's key, and
// says of a block that is not that it is skipped.
func (v *viewer) locked(cancel func()) func(error) {
	return func(err error) {
		if errors.Is(err, stripe.ErrCipher) {
			v.say("warning: %v: it and others like it are skipped", err)
			return
		}
		v.shut.Store(&err)
		cancel()
	}
}

// ready says why there is nothing to see.
func (v *viewer) ready(flows func() error) error {
	if !v.gone.Load() {
		return flows()
	}
	if _, ok := v.past.Finished(); !ok {
		return errors.New("the source is gone, and nobody holds the past of it")
	}
	return nil
}

// waits reports whether a later run of the source is waited for, once that is clear.
func (v *viewer) waits(ctx context.Context) bool {
	select {
	case <-v.begun:
	case <-ctx.Done():
	}
	return ctx.Err() == nil && v.gone.Load()
}

// begin finds out what there is to play, and says it. It returns the URL for a player,
// and the status line.
func (v *viewer) begin(ctx context.Context, h *host.Host, player *view.Player, link stripe.Link, web *web) (url string, line func() string) {
	url, line = web.urls[1], viewLine(h, player)
	path := ""
	if v.from != nil {
		path = httpd.StreamPath(*v.from)
	}
	if !awaitLive(ctx, h, link.ID, v.past, player) {
		ext := tellPast(ctx, v.console, v.past)
		v.gone.Store(true)
		line = pastLine(v.past, v.gone.Load, line)
		v.live.End() // of the stream's last moments, which may have begun to play
		if v.from == nil {
			v.from = &rewind.From{}
			path = httpd.RecordingPath(ext)
		}
	}
	if path != "" {
		url = strings.TrimSuffix(web.url, "/") + path
	}
	v.say("playing %s at %s", link.Name, url)
	v.say("page %s, playlist %s", web.url, web.urls[2])
	if v.gone.Load() {
		go v.comeBack(ctx, h, player, link.ID, web.urls[1])
	}
	if v.from != nil {
		go tellSpeed(ctx, v.console, v.past, *v.from)
	}
	return url, line
}

// write is what -o gets: what plays, and lives a little longer than ctx so that it gets
// the end; or the past, and then what plays.
func (v *viewer) write(ctx context.Context) error {
	if v.from == nil {
		return v.file.Run(context.WithoutCancel(ctx))
	}
	reader, err := openPast(ctx, v.past, *v.from)
	if err != nil {
		v.closeFile()
		return err
	}
	defer func() {
		if ctx.Err() == nil { // else the file's writer may be in it still, until we end
			reader.Close()
		}
	}()
	return v.file.RunFrom(ctx, func(ctx context.Context) (before, data []byte, err error) {
		before, data, err = reader.Next(ctx)
		if err != nil && !errors.Is(err, io.EOF) && ctx.Err() == nil {
			err = fail(err, "try again; --from begins where it stopped")
		}
		return before, data, err
	})
}

// await waits for the end: of what plays, or of what is written. Of a past that is only
// shown there is none, unless its source comes back. over: the past was written to its end.
func (v *viewer) await(ctx context.Context, cancel func(), played <-chan struct{}) (over bool, err error) {
	if v.from != nil && v.file != nil {
		err = <-v.wrote
		if ctx.Err() != nil {
			err = nil // interrupted
		} else if err == nil {
			return true, nil
		}
		return false, err
	}
	if v.gone.Load() {
		select {
		case <-v.back:
		case <-ctx.Done():
			return false, nil
		}
	}
	select {
	case <-played:
		return false, v.flush(ctx)
	case err = <-v.wrote: // nil only when played, too
		if err != nil {
			cancel()
		}
		<-played
	}
	return false, err
}

// flush waits until what is queued for -o is written. A reader that is slow gets
// flushPatience, and less after an interrupt; the rest is lost.
func (v *viewer) flush(ctx context.Context) error {
	if v.file == nil {
		return nil
	}
	late := time.NewTimer(flushPatience)
	defer late.Stop()
	stop := context.AfterFunc(ctx, func() { late.Reset(flushPatience / 10) })
	defer stop()
	select {
	case err := <-v.wrote:
		return err
	case <-late.C:
		if n := v.file.Stats().Queued; n > 0 {
			v.say("whoever reads the output is too slow: it misses the last %d kB", n/1000)
		}
		return nil
	}
}

// leaveFile leaves an output to which nothing was written as it was found.
func (v *viewer) leaveFile() {
	if v.wrote == nil {
		v.closeFile()
	}
}

func (v *viewer) closeFile() {
	v.file.End()
	v.file.Run(context.Background())
}

// drain lets players on HTTP read what they have not yet.
func (v *viewer) drain(ctx context.Context, web *web) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for web.clients() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (v *viewer) markGap(next []byte) []byte {
	if stripe.Media(v.media.Load()) != stripe.MediaTS {
		return nil
	}
	return ts.MarkGap(next)
}

// startPlayer has a player open url, if there is one, and calls cancel when it has ended.
// What it returns is closed then.
func startPlayer(ctx context.Context, cancel func(), c *console, command []string, url string) (watched <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if len(command) > 0 {
			runPlayer(ctx, c, append(command, url))
			cancel()
		}
	}()
	return ended
}

// runPlayer runs a player until it ends, or is told to because ctx ended. It may
// write to our standard error.
func runPlayer(ctx context.Context, c *console, command []string) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = playerPatience
	cmd.Stderr, cmd.Stdout = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		c.say("%s: %v", command[0], err)
	}
}

// broadcast gives the stream to HTTP clients.
type broadcast struct {
	to    *httpd.Broadcaster
	media atomic.Int32 // stripe.Media
	rate  atomic.Uint64
}

func (b *broadcast) Open(info stripe.Info) {
	b.media.Store(int32(info.Media))
	b.rate.Store(info.Rate)
	b.begin()
}

// begin begins a broadcast of the medium that was opened last.
func (b *broadcast) begin() {
	f := httpd.Format{Media: stripe.Media(b.media.Load()), Rate: b.rate.Load()}
	if f.Media == stripe.MediaTS {
		tables := &ts.TableCache{}
		f.MarkGap = ts.MarkGap
		f.Prologue = func(block []byte) []byte {
			tables.Push(block)
			if ts.HasTables(block) {
				return nil
			}
			return tables.AppendTo(nil)
		}
	}
	b.to.Begin(f)
}

func (b *broadcast) Push(p playout.Play) { b.to.Push(p) }
func (b *broadcast) End()                { b.to.End() }

// fileSink gives it to a file or standard output.
type fileSink struct {
	to    *sink.Sink
	media *atomic.Int32
}

func (f *fileSink) Open(info stripe.Info) { f.media.Store(int32(info.Media)) }
func (f *fileSink) Push(p playout.Play)   { f.to.Push(p) }
func (f *fileSink) End()                  { f.to.End() }

func viewLine(h *host.Host, player *view.Player) func() string {
	payload := newMeter()
	return func() string {
		st := h.Status()
		if len(st.Streams) == 0 {
			return "the stream is gone; waiting for it"
		}
		s, net, p := st.Streams[0], h.Net(), player.Stats()
		return fmt.Sprintf("%s  delay %.1f s  spare %d  shared %.2f  played %d  skipped %d",
			rate(payload.rate(time.Now(), p.Payload)), p.Delay.Seconds(), s.Spare, sharedRatio(net), p.Played, p.Skipped)
	}
}
