package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// lastWords is how long a source stays after the end of its input for children
// that have not got all of it.
const lastWords = 4 * time.Second

type sourceFlags struct {
	node
	key, name, layout string
	block             time.Duration
	loop, opaque      bool
}

func newSource(c *console) *cobra.Command {
	f := sourceFlags{}
	cmd := &cobra.Command{
		Use:   "source [INPUT]",
		Short: "Publish a live stream",
		Long: "Publish INPUT, an MPEG-TS or MP3, AAC or Ogg audio: a file, which is sent at its\n" +
			"own pace, or - for standard input (the default). The first line on standard\n" +
			"output is the link to give to viewers.",
		Example: "  ffmpeg -re -i film.mkv -c copy -f mpegts - | stripecast source --name film\n" +
			"  stripecast source film.ts --loop --upload 50M\n" +
			"  stripecast source film.ts --record recordings",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			input := "-"
			if len(args) == 1 {
				input = args[0]
			}
			return runSource(cmd, c, &f, input)
		},
	}
	cmd.Annotations = map[string]string{argsKey: "input"}
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "`FILE` with the stream's key, made if missing (default: source.key in the user's config directory)")
	flags.StringVar(&f.name, "name", "live", "the stream's `NAME`, for people")
	flags.StringVar(&f.layout, "layout", stripe.DefaultLayout.String(), "`K+M`: K shards rebuild a block, M more may be lost; a thin stream gets fewer unless this is given")
	flags.DurationVar(&f.block, "block", 100*time.Millisecond, "length of a block, 10ms to 500ms; a thin stream gets longer ones unless this is given")
	flags.BoolVar(&f.loop, "loop", false, "send the file again and again, with a clock that goes on (MPEG-TS only)")
	flags.BoolVar(&f.opaque, "opaque", false, "send standard input even if it is neither TS nor known audio")
	f.node.flags(flags, ":7070", "20M", "127.0.0.1:0")
	f.buffer.recordFlag(flags, "the stream")
	return cmd
}

func runSource(cmd *cobra.Command, c *console, f *sourceFlags, input string) error {
	ctx := cmd.Context()
	layout, upload, err := f.check()
	if err != nil {
		return err
	}
	in, paced, err := openInput(ctx, c, input, f.loop)
	if err != nil {
		return err
	}
	key, where, made, err := sourceKey(f.key)
	if err != nil {
		return err
	}
	if made {
		c.say("made a new key in %s: keep it, it is the stream's identity", where)
	}
	if input == "-" {
		c.say("waiting for the stream on standard input …")
	}
	logger := c.logger(verbose(cmd))
	cfg := source.Config{
		Key: key, Name: f.name, Input: in, Paced: paced, Opaque: f.opaque, Logger: logger,
		Layout: layout, LayoutFixed: cmd.Flags().Changed("layout"),
		BlockTime: f.block, BlockTimeFixed: cmd.Flags().Changed("block"),
	}
	src, err := source.Probe(ctx, cfg)
	if err != nil {
		return explainInput(ctx, err, input)
	}
	info := src.Info()
	if f.auto { // all stripes once, until it is known better
		f.least = info.LeastUpload()
		upload = max(upload, f.least*float64(info.Layout.N())/float64(info.Layout.K))
	}
	if least := info.LeastUpload(); upload > 0 && upload < least {
		c.say("warning: %s of upload do not carry this stream of %s once; it needs %s (--upload)",
			rate(upload), rate(float64(info.Rate)), rate(least))
	}
	hup := c.hangups()
	h, err := f.start(ctx, c, logger, relay.Config{Key: nodeKey(key), Upload: upload}, true)
	if err != nil {
		return err
	}
	defer h.Leave()
	epoch, err := nextEpoch(where)
	if err != nil {
		return err
	}
	src.SetEpoch(epoch)
	src.Announce(h)
	link := stripe.Link{ID: info.Stream, Hosts: []string{h.Advertised().String()}, Name: f.name}
	rates := newPace()
	web, err := (&site{
		addr: f.http, host: h,
		status: func(urls []string) status { return describe("source", h, nil, urls) },
		forest: func() forestStatus { return describeForest("source", h, nil, rates) },
		ready:  func(flows func() error) error { return flows() },
		count:  func() uint64 { return published(h.Status()) },
	}).serve()
	if err != nil {
		return err
	}
	defer web.close()
	fmt.Fprintln(c.out, link)
	c.say("publishing %s: %s, %s, %v, blocks of %v; status at %s", f.name, info.Media, rate(float64(info.Rate)), info.Layout, info.BlockTime, web.url)
	c.say("watch it with: stripecast view %s", link)
	defer c.keepSaying(sourceLine(h))()
	go c.reloads(ctx, hup, cmd, func(change *changes) error { return f.reload(change, h) })
	err = src.Run(ctx, h)
	if ctx.Err() == nil {
		awaitChildren(ctx, h)
	}
	return err
}

// check refuses flags that make no sense.
func (f *sourceFlags) check() (layout stripe.Layout, upload float64, err error) {
	if _, err = f.buffer.config(); err != nil {
		return layout, 0, err
	}
	layout, err = stripe.ParseLayout(f.layout)
	if err != nil {
		return layout, 0, fail(err, "give --layout as k+m with k of at least 1 and k+m of at most %d, as in 16+4", stripe.MaxShards)
	}
	if f.block < 10*time.Millisecond || f.block > stripe.MaxBlockTime {
		return layout, 0, fail(fmt.Errorf("blocks of %v are too short or too long", f.block), "give --block from 10ms to %v", stripe.MaxBlockTime)
	}
	if !stripe.ValidName(f.name) {
		return layout, 0, fail(fmt.Errorf("%q cannot be a name", f.name), "give --name of at most %d bytes, without control characters", stripe.MaxName)
	}
	upload, err = f.capacity()
	return layout, upload, err
}

// openInput opens what to publish, and says whether it comes at its own pace.
func openInput(ctx context.Context, c *console, input string, loop bool) (in io.Reader, paced bool, err error) {
	file := c.in
	if input != "-" {
		if file, err = open(ctx, input); ctx.Err() != nil {
			return nil, false, ctx.Err()
		} else if err != nil {
			return nil, false, fail(err, "give a file that exists, or - for standard input")
		}
	}
	st, err := file.Stat()
	if err != nil {
		return nil, false, fail(err, "give a file that exists, or - for standard input")
	}
	if st.IsDir() {
		return nil, false, fail(fmt.Errorf("%s is a directory", input), "give a file, or - for standard input")
	}
	if input == "-" && isTerminal(file) {
		return nil, false, misuse(errors.New("standard input is a terminal"), "pipe a stream into it, or name a file: stripecast source FILE")
	}
	if !loop {
		return file, !st.Mode().IsRegular(), nil
	}
	if !st.Mode().IsRegular() {
		return nil, false, fail(errors.New("only a file can be sent again and again"), "leave out --loop, or name a file")
	}
	clip, err := io.ReadAll(file)
	if err != nil {
		return nil, false, fail(err, "the file must be readable")
	}
	looper, err := ts.NewLooper(clip)
	if err != nil {
		return nil, false, fail(err, "--loop takes an MPEG-TS; make one with: ffmpeg -i FILE -c copy -f mpegts FILE.ts")
	}
	return looper, false, nil
}

// open opens a file; a named pipe waits for its writer, or until ctx ends.
func open(ctx context.Context, path string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result, 1)
	go func() {
		f, err := os.Open(path)
		done <- result{f, err}
	}()
	select {
	case r := <-done:
		return r.file, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func explainInput(ctx context.Context, err error, input string) error {
	if input == "-" {
		input = "standard input"
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, source.ErrUnknown):
		return fail(err, "make it MPEG-TS with: ffmpeg -i INPUT -c copy -f mpegts - | stripecast source; or send standard input as it is with --opaque")
	case errors.Is(err, source.ErrNoClock):
		return fail(err, "pipe it in at the pace at which it should be played")
	case errors.Is(err, source.ErrEmpty):
		return fail(err, "check what %s is made by", input)
	default:
		return fail(err, "check that %s can be read", input)
	}
}

// awaitChildren gives children the time to get the last blocks.
func awaitChildren(ctx context.Context, h *host.Host) {
	end := time.NewTimer(lastWords)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			children := 0
			for _, s := range h.Status().Streams {
				children += s.Children
			}
			if children == 0 {
				return
			}
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func sourceLine(h *host.Host) func() string {
	out, cut := newMeter(), newMeter()
	return func() string {
		st := h.Status()
		if len(st.Streams) == 0 {
			return ""
		}
		s := st.Streams[0]
		now := time.Now()
		stream := cut.rate(now, s.Counters.Payload)
		up := out.rate(now, h.Net().Out)
		factor := 0.0
		if stream > 0 {
			factor = up / stream
		}
		return fmt.Sprintf("%s  sending %s = %.2f × the stream  %d children  %d relays known",
			rate(stream), rate(up), factor, s.Children, st.Known)
	}
}

// unreachable explains why the pool cannot be joined.
func unreachable(hosts []string) error {
	for _, h := range hosts {
		name, _, err := net.SplitHostPort(h)
		if err != nil {
			continue
		}
		if _, err := net.LookupHost(name); err != nil {
			return fail(fmt.Errorf("%w: %v", host.ErrUnreachable, err), "check the host names in the link or in --join")
		}
	}
	return fail(fmt.Errorf("%w, tried %v for %v", host.ErrUnreachable, hosts, host.JoinPatience),
		"check that a source or relay runs there and that its UDP port is open")
}
