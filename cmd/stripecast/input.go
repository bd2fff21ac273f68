package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/ingest/ffmpeg"
	"github.com/stripecast/stripecast/relay/ingest/station"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe/ts"
)

// usualCoded and leastCoded are what ffmpeg codes to, in bits a second.
const (
	usualCoded = 4e6
	leastCoded = 200e3
)

// input is what a source publishes.
type input struct {
	bytes io.Reader
	name  string // for people
	paced bool   // it comes at its own pace
	live  bool   // it may have to be waited for
	from  string // where that is
	stop  func() // ends what was started for it
}

// remuxed are the schemes of URLs that are left to ffmpeg.
var remuxed = []string{"rtmp", "rtmps", "rtmpt", "rtsp", "rtsps", "rtp", "srt", "rist", "tcp", "mms", "mmsh", "ftp"}

// openInput opens what to publish.
func (f *sourceFlags) openInput(ctx context.Context, c *console, arg string) (input, error) {
	if err := f.fits(arg); err != nil {
		return input{}, err
	}
	in, err := f.openAny(ctx, c, arg)
	if err == nil && f.slate != "" {
		in.bytes, err = f.slated(ctx, c, in)
	}
	if err != nil && in.stop != nil {
		in.stop()
	}
	return in, err
}

// slated is an input with something to show while nothing comes of it.
func (f *sourceFlags) slated(ctx context.Context, c *console, in input) (io.Reader, error) {
	if !in.paced {
		return nil, fail(errors.New("a file is never gone"), "leave out --slate, or name an INPUT that is live")
	}
	file, err := os.Open(f.slate)
	if err != nil {
		return nil, fail(err, "give --slate a file that exists")
	}
	defer file.Close()
	clip, err := io.ReadAll(io.LimitReader(file, ts.MaxClip+1)) // more is refused
	if err != nil {
		return nil, fail(err, "give --slate a file that exists")
	}
	s, err := ingest.Slate(ctx, in.bytes, clip, c.say)
	if err != nil {
		return nil, fail(err, "--slate takes an MPEG-TS; make one with: ffmpeg -loop 1 -i PICTURE -t 5 -c:v libx264 -pix_fmt yuv420p -f mpegts FILE.ts")
	}
	return s, nil
}

// openAny opens it, whatever it is.
func (f *sourceFlags) openAny(ctx context.Context, c *console, arg string) (input, error) {
	scheme := schemeOf(arg)
	switch {
	case f.playlist != "":
		return f.openStation(ctx, c)
	case f.capture != "":
		return f.openProgram(ctx, c, ffmpeg.Job{Input: f.capture, Kind: ffmpeg.Device, Rate: f.coded})
	case scheme == "listen":
		return f.listenAt(ctx, c, arg)
	case scheme != "" && (f.remux || f.coded > 0 || slices.Contains(remuxed, scheme)):
		return f.openProgram(ctx, c, ffmpeg.Job{Input: arg, Kind: ffmpeg.URL, Rate: f.coded})
	case scheme != "":
		return openURL(ctx, c, scheme, arg)
	}
	return f.openFile(ctx, c, arg)
}

// schemeOf is what stands before :// in a URL; "" if arg is none.
func schemeOf(arg string) string {
	scheme, _, found := strings.Cut(arg, "://")
	if !found {
		return ""
	}
	return strings.ToLower(scheme)
}

// fits refuses flags that make no sense with the input.
func (f *sourceFlags) fits(arg string) (err error) {
	scheme := schemeOf(arg)
	if f.transcode != "" {
		if f.coded, err = parseRate(f.transcode); err != nil {
			return err
		}
		if f.coded < leastCoded {
			return fail(fmt.Errorf("%s is too little to transcode to", rate(f.coded)), "give --transcode=RATE of %s or more, as in --transcode=2M", rate(leastCoded))
		}
	}
	program := f.remux || f.coded > 0
	switch {
	case f.playlist != "" && (arg != "-" || f.capture != ""):
		return misuse(fmt.Errorf("%s is not the only input", f.playlist), "name an input, or --playlist, or --capture")
	case f.playlist != "" && (f.loop || f.remux):
		return misuse(errors.New("a playlist is sent for ever, and ffmpeg reads of it what it must"), "leave out --loop and --remux")
	case f.capture != "" && arg != "-":
		return misuse(fmt.Errorf("%s and %s are two inputs", arg, f.capture), "name an input or --capture DEVICE")
	case f.capture != "" && f.coded == 0:
		f.coded = usualCoded
	case program && f.capture == "" && f.playlist == "" && (arg == "-" || scheme == "listen"):
		return misuse(errors.New("ffmpeg reads what it can open itself"), "name a file or URL, or leave out --remux and --transcode")
	}
	switch {
	case f.password != "" && scheme != "listen":
		return misuse(errors.New("only who pushes to listen:// comes with a password"), "leave out --password, or name listen://HOST:PORT")
	case f.loop && (scheme != "" || f.capture != ""):
		return fail(errors.New("only a file can be sent again and again"), "leave out --loop, or name a file")
	}
	return nil
}

// openStation plays a list for ever.
func (f *sourceFlags) openStation(ctx context.Context, c *console) (input, error) {
	s, err := station.New(ctx, f.playlist, f.coded, c.say)
	if err != nil {
		return input{}, fail(err, "give --playlist an M3U list, a directory with media files, or an RSS feed with enclosures")
	}
	return input{bytes: s, name: f.playlist}, nil
}

// openProgram has ffmpeg read what we cannot.
func (f *sourceFlags) openProgram(ctx context.Context, c *console, job ffmpeg.Job) (input, error) {
	p, err := ffmpeg.New(job)
	if err != nil {
		return input{}, fail(fmt.Errorf("%s needs ffmpeg: %w", job.Input, err), "install ffmpeg, or make it MPEG-TS elsewhere and pipe it in")
	}
	in := input{name: job.Input, stop: func() { p.Close() }}
	if job.Rate > 0 {
		c.say("ffmpeg codes %s anew, with %s", job.Input, rate(job.Rate))
	} else {
		c.say("ffmpeg packs %s as MPEG-TS, as it is coded", job.Input)
	}
	if job.Kind == ffmpeg.File {
		in.bytes, err = p.Open(ctx)
		return in, err
	}
	in.bytes, in.paced, in.live, in.from = ingest.Resume(ctx, p, c.say), true, true, "from "+job.Input
	return in, nil
}

// listenAt lets source clients come.
func (f *sourceFlags) listenAt(ctx context.Context, c *console, address string) (input, error) {
	const hint = "give listen://HOST:PORT with an address of this machine and a port that nobody else has, as in listen://127.0.0.1:8000"
	at, local, err := ingest.ListenAddress(address)
	if err != nil {
		return input{}, fail(err, hint)
	}
	password := f.password
	if password == "" && !local {
		password = strings.ToLower(rand.Text())
	}
	l, err := ingest.Listen(ctx, at, password, c.say)
	if err != nil {
		return input{}, fail(err, hint)
	}
	host, _, _ := net.SplitHostPort(at)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c.say("push to http://%s/live with PUT or POST, or as an Icecast source client", net.JoinHostPort(host, port))
	if f.password == "" && password != "" {
		c.say("its user is source, and the password %s (--password sets another)", password)
	}
	in := ingest.Resume(ctx, l, c.say)
	in.Ready = true
	return input{bytes: in, name: address, paced: true, live: true, from: "at " + address}, nil
}

// openURL opens what comes from the network.
func openURL(ctx context.Context, c *console, scheme, address string) (input, error) {
	in := input{name: address, paced: true, live: true, from: "at " + address}
	switch scheme {
	case "udp":
		u, err := ingest.OpenUDP(ctx, address)
		if errors.Is(err, ingest.ErrAddress) {
			return input{}, fail(err, "give udp://HOST:PORT with a multicast group or an address of this machine, as in udp://239.1.1.1:5000 or udp://:5000")
		} else if err != nil {
			return input{}, fail(err, "give an address of this machine and a port that nobody else has")
		}
		in.bytes = u
	case "http", "https":
		w, err := ingest.NewWeb(address)
		if err != nil {
			return input{}, fail(err, "give the URL of a stream or of an HLS playlist")
		}
		in.bytes = ingest.Resume(ctx, w, c.say)
	default:
		return input{}, fail(fmt.Errorf("%s:// is no input that could be read", scheme), "give udp://, http://, https:// or listen://, or have ffmpeg try, with --remux")
	}
	return in, nil
}

// openFile opens a file or standard input.
func (f *sourceFlags) openFile(ctx context.Context, c *console, name string) (in input, err error) {
	in = input{name: name}
	file := c.in
	if name != "-" {
		if file, err = open(ctx, name); ctx.Err() != nil {
			return in, ctx.Err()
		} else if err != nil {
			return in, fail(err, "give a file that exists, or - for standard input")
		}
	} else {
		in = input{name: "standard input", live: true, from: "on standard input"}
	}
	st, err := file.Stat()
	if err != nil {
		return in, fail(err, "give a file that exists, or - for standard input")
	}
	if st.IsDir() {
		return in, fail(fmt.Errorf("%s is a directory", name), "give a file, or - for standard input; --playlist sends all files of a directory")
	}
	if in.live && isTerminal(file) {
		return in, misuse(errors.New("standard input is a terminal"), "pipe a stream into it, or name a file: stripecast source FILE")
	}
	in.bytes, in.paced = file, !st.Mode().IsRegular()
	if !in.paced && name != "-" && (f.remux || f.coded > 0 || foreign(file)) {
		file.Close()
		if in, err = f.openProgram(ctx, c, ffmpeg.Job{Input: name, Kind: ffmpeg.File, Rate: f.coded}); err != nil {
			return in, err
		}
	}
	if f.loop {
		return looped(in)
	}
	return in, nil
}

// foreign reports whether a file is of a kind that only ffmpeg reads.
func foreign(file *os.File) bool {
	head := make([]byte, 16)
	n, _ := file.ReadAt(head, 0)
	return ts.Container(head[:n]) != ""
}

// looped sends a file again and again.
func looped(in input) (input, error) {
	if in.paced {
		return in, fail(errors.New("only a file can be sent again and again"), "leave out --loop, or name a file")
	}
	clip, err := io.ReadAll(io.LimitReader(in.bytes, ts.MaxClip+1))
	if in.stop != nil {
		in.stop()
		in.stop = nil
	}
	if err != nil {
		return in, fail(err, "the file must be readable")
	}
	if in.bytes, err = ts.NewLooper(clip); err != nil {
		return in, fail(err, "--loop takes an MPEG-TS; make one with: ffmpeg -i FILE -c copy -f mpegts FILE.ts")
	}
	return in, nil
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
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ffmpeg.ErrMissing):
		return fail(err, "install ffmpeg, or make it MPEG-TS elsewhere")
	case errors.Is(err, source.ErrUnknown):
		return fail(err, "make it MPEG-TS with: ffmpeg -i INPUT -c copy -f mpegts - | stripecast source; or send standard input as it is with --opaque")
	case errors.Is(err, source.ErrNoClock):
		return fail(err, "pipe it in at the pace at which it should be played")
	case errors.Is(err, source.ErrEmpty):
		return fail(err, "check what %s is made by", input)
	case errors.Is(err, ingest.ErrSegments):
		return fail(err, "let ffmpeg fetch it, with --remux")
	case errors.Is(err, ffmpeg.ErrCodec):
		return fail(err, "have it coded anew, with --transcode")
	default:
		return fail(err, "check that %s can be read", input)
	}
}
