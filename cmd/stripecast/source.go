package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
)

// lastWords is how long a source stays after the end of its input for children
// that have not got all of it.
const lastWords = 4 * time.Second

// passwordFlag is the one flag whose value is nobody's business.
const passwordFlag = "password"

type sourceFlags struct {
	node
	key, name, layout string
	description       string
	thumbnail         string
	password          string
	capture, playlist string
	slate             string
	remux             bool
	transcode         string
	coded             float64 // what transcode says, in bits a second; 0: not at all
	block             time.Duration
	loop, opaque      bool
	private           bool
}

func newSource(c *console) *cobra.Command {
	f := sourceFlags{}
	cmd := &cobra.Command{
		Use:   "source [INPUT]",
		Short: "Publish a live stream",
		Long: "Publish INPUT, an MPEG-TS or MP3, AAC or Ogg audio. The first line on standard\n" +
			"output is the link to give to viewers. INPUT is\n\n" +
			"  a file                 which is sent at its own pace\n" +
			"  -                      standard input, the default\n" +
			"  udp://HOST:PORT        datagrams to an address of this machine or a multicast\n" +
			"                         group, with RTP headers or without; ?iface=NAME says at\n" +
			"                         which interface a group is joined\n" +
			"  http://…, https://…    what is there: a stream, or an HLS playlist of MPEG-TS\n" +
			"  listen://HOST:PORT     what a source client pushes there by HTTP: OBS, ffmpeg or\n" +
			"                         curl with PUT or POST, butt or liquidsoap as to an Icecast\n" +
			"  rtmp://…, rtsp://…, srt://…, and files of other kinds (mkv, mp4, flv …)\n" +
			"                         what an installed ffmpeg reads; it only packs it anew\n\n" +
			"An input from the network that is gone is waited for, and the stream goes on; with\n" +
			"--slate something is shown meanwhile.",
		Example: "  ffmpeg -re -i film.mkv -c copy -f mpegts - | stripecast source --name film\n" +
			"  stripecast source film.ts --loop --upload 50M\n" +
			"  stripecast source listen://0.0.0.0:8000 --name radio\n" +
			"  stripecast source --capture /dev/video0 --transcode=2M\n" +
			"  stripecast source --playlist songs --name radio\n" +
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
	flags.StringVar(&f.name, "name", httpd.DefaultName, "the stream's `NAME`, for people")
	flags.StringVar(&f.description, "description", "", "what the stream is, for people: a `TEXT` of one line")
	flags.StringVar(&f.thumbnail, "thumbnail", "", "https `URL` of a picture of the stream, for lists of channels: a player that shows it tells its host who watches")
	flags.BoolVar(&f.private, "private", false, "encrypt the stream, so that only who has the key in its link can watch; that is kept beside --key, and name and titles stay public")
	flags.StringVar(&f.password, passwordFlag, "", "`PASSWORD` of source clients at listen://, whose user is source (default: none on loopback, else a new one that is printed)")
	flags.StringVar(&f.capture, "capture", "", "take what a capture `DEVICE` gives instead of INPUT, as in --capture /dev/video0; ffmpeg codes it")
	flags.StringVar(&f.playlist, "playlist", "", "send the files of a `LIST` instead of INPUT, in order, for ever: an M3U list, a directory, or an RSS feed; a file or a URL")
	flags.StringVar(&f.slate, "slate", "", "show this `FILE`, an MPEG-TS, again and again while a live INPUT brings nothing")
	flags.BoolVar(&f.remux, "remux", false, "have ffmpeg read INPUT, whatever it is")
	flags.StringVar(&f.transcode, "transcode", "", "have ffmpeg code INPUT anew, as H.264 and AAC, with this `RATE` in bits a second")
	flags.Lookup("transcode").NoOptDefVal = "4M"
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
	in, err := f.openInput(ctx, c, input)
	if err != nil {
		return err
	}
	if in.stop != nil {
		defer in.stop()
	}
	key, secret, where, err := f.keys(c)
	if err != nil {
		return err
	}
	if in.live {
		c.say("waiting for the stream %s …", in.from)
	}
	logger := c.logger(verbose(cmd))
	cfg := source.Config{
		Key: key, Name: f.name, Description: f.description, Thumbnail: f.thumbnail, LinkKey: secret, Input: in.bytes, Paced: in.paced, Opaque: f.opaque, Logger: logger,
		Layout: layout, LayoutFixed: cmd.Flags().Changed("layout"),
		BlockTime: f.block, BlockTimeFixed: cmd.Flags().Changed("block"),
	}
	src, err := source.Probe(ctx, cfg)
	if err != nil {
		return explainInput(ctx, err, in.name)
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
	link := stripe.Link{ID: info.Stream, Key: secret, Hosts: []string{h.Advertised().String()}, Name: f.name}
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
	tellLink(c, link)
	defer c.keepSaying(sourceLine(h))()
	go c.reloads(ctx, hup, cmd, func(change *changes) error { return f.reload(change, h) })
	err = src.Run(ctx, h)
	if ctx.Err() == nil {
		awaitChildren(ctx, h)
	}
	return err
}

// keys are the stream's key, which is in the file where, and that of its links if it is private.
func (f *sourceFlags) keys(c *console) (key ed25519.PrivateKey, secret stripe.LinkKey, where string, err error) {
	key, where, made, err := sourceKey(f.key)
	if err != nil {
		return nil, secret, "", err
	}
	if made {
		c.say("made a new key in %s: keep it, it is the stream's identity", where)
	}
	if !f.private {
		if wasPrivate(where) {
			c.say("warning: without --private anyone can watch the stream, which was private before")
		}
		return key, secret, where, nil
	}
	secret, made, err = linkKey(where)
	if made && err == nil {
		c.say("made a key for the stream's links in %s%s", where, linkKeyEnd)
	}
	return key, secret, where, err
}

// tellLink says who needs which link. A key is on standard output, and nowhere else.
func tellLink(c *console, link stripe.Link) {
	if link.Key.IsZero() {
		c.say("watch it with: stripecast view %s", link)
		return
	}
	c.say("private: whoever has the link on standard output can watch it with stripecast view")
	c.say("relay it with: stripecast relay %s", link.Public())
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
	if !stripe.ValidText(f.description, stripe.MaxDescription) {
		return layout, 0, fail(fmt.Errorf("%q cannot be a description", f.description), "give --description of at most %d bytes, without control characters", stripe.MaxDescription)
	}
	if !stripe.ValidThumbnail(f.thumbnail) {
		return layout, 0, fail(fmt.Errorf("%q cannot be a thumbnail", f.thumbnail), "give --thumbnail an https:// URL of at most %d bytes, without spaces, quotes or letters beyond ASCII", stripe.MaxThumbnail)
	}
	upload, err = f.capacity()
	return layout, upload, err
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
		return fmt.Sprintf("%s  sending %s = %.2f × the stream  %s  %s known",
			rate(stream), rate(up), factor, many(s.Children, "child", "children"), many(st.Known, "relay"))
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
