package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe/ts"
)

// input is what a source publishes.
type input struct {
	bytes io.Reader
	name  string // for people
	paced bool   // it comes at its own pace
	live  bool   // it may have to be waited for
	from  string // where that is
}

// openInput opens what to publish.
func (f *sourceFlags) openInput(ctx context.Context, c *console, arg string) (input, error) {
	scheme, _, isURL := strings.Cut(arg, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case f.password != "" && (!isURL || scheme != "listen"):
		return input{}, misuse(errors.New("nobody comes with a password"), "leave out --password, or name listen://HOST:PORT")
	case isURL && f.loop:
		return input{}, fail(errors.New("only a file can be sent again and again"), "leave out --loop, or name a file")
	case isURL && scheme == "listen":
		return f.listenAt(ctx, c, arg)
	case isURL:
		return openURL(ctx, c, scheme, arg)
	}
	return openFile(ctx, c, arg, f.loop)
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
	c.say("push to http://%s/live with PUT or POST, or as an Icecast source client", l.Addr())
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
		return input{}, fail(fmt.Errorf("%s:// is no input that could be read", scheme), "give udp://, http://, https:// or listen://, or let ffmpeg read it: ffmpeg -i URL -c copy -f mpegts - | stripecast source")
	}
	return in, nil
}

// openFile opens a file or standard input.
func openFile(ctx context.Context, c *console, name string, loop bool) (in input, err error) {
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
		return in, fail(fmt.Errorf("%s is a directory", name), "give a file, or - for standard input")
	}
	if in.live && isTerminal(file) {
		return in, misuse(errors.New("standard input is a terminal"), "pipe a stream into it, or name a file: stripecast source FILE")
	}
	in.bytes, in.paced = file, !st.Mode().IsRegular()
	if !loop {
		return in, nil
	}
	if in.paced {
		return in, fail(errors.New("only a file can be sent again and again"), "leave out --loop, or name a file")
	}
	clip, err := io.ReadAll(file)
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
	case errors.Is(err, source.ErrUnknown):
		return fail(err, "make it MPEG-TS with: ffmpeg -i INPUT -c copy -f mpegts - | stripecast source; or send standard input as it is with --opaque")
	case errors.Is(err, source.ErrNoClock):
		return fail(err, "pipe it in at the pace at which it should be played")
	case errors.Is(err, source.ErrEmpty):
		return fail(err, "check what %s is made by", input)
	case errors.Is(err, ingest.ErrSegments):
		return fail(err, "let ffmpeg fetch it: ffmpeg -i URL -c copy -f mpegts - | stripecast source")
	default:
		return fail(err, "check that %s can be read", input)
	}
}
