//go:build unix

package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program makes a shell script the ffmpeg of this test.
func program(t *testing.T, script string, job Job) *Program {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	p, err := New(job)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestEnds: a file ends in order, a live input never does, and a program that fails is
// quoted.
func TestEnds(t *testing.T) {
	long := strings.Repeat("x", 2*maxTold)
	for _, c := range []struct {
		name, script string
		kind         Kind
		bytes        string
		err          error
		says         string
	}{
		{"a file", "printf abc; echo a warning >&2", File, "abc", io.EOF, ""},
		{"a file of nothing", "echo no stream in it >&2", File, "", nil, "ffmpeg: no stream in it"},
		{"a file that breaks", "printf abc; exit 1", File, "abc", nil, "ffmpeg: exit status 1"},
		{"a URL", "printf abc", URL, "abc", ErrEnded, ""},
		{"a URL with warnings", "printf abc; echo strange >&2", URL, "abc", ErrEnded, ""},
		{"a URL of nobody", "echo one >&2; echo two >&2; echo three >&2; echo >&2; echo Connection refused >&2; exit 1", URL, "", nil, "ffmpeg: two; three; Connection refused"},
		{"a long story", "echo " + long + " >&2; exit 1", URL, "", nil, "ffmpeg: …" + long[:maxTold]},
		{"a codec that nobody knows", "echo '[mpegts @ 1] Stream 0, codec x, is muxed as a private data stream and' >&2; while printf abc; do sleep 0.02; done", File, "", ErrCodec, ""},
		{"a device that is there no more", "printf abc; exit 3", Device, "abc", nil, "ffmpeg: exit status 3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program(t, c.script, Job{Input: "x", Kind: c.kind})
			r, err := p.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got := ""
			for err == nil {
				var n int
				b := make([]byte, 100)
				n, err = r.Read(b)
				got += string(b[:n])
			}
			if c.err != ErrCodec && got != c.bytes {
				t.Errorf("%q, want %q", got, c.bytes)
			}
			if c.err != nil && !errors.Is(err, c.err) || c.says != "" && err.Error() != c.says {
				t.Errorf("%v, want %v%s", err, c.err, c.says)
			}
		})
	}
}

// TestHangs: a live input that falls silent is ended, one that has not begun is waited for,
// and whoever closes a program, or its context, leaves none behind.
func TestHangs(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	gone := func() {
		t.Helper()
		b, err := os.ReadFile(pid)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		fmt.Sscan(string(b), &n)
		deadline := time.Now().Add(20 * time.Second)
		for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
			if p, err := os.FindProcess(n); err != nil || p.Signal(syscall.Signal(0)) != nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("the program still runs")
			}
		}
	}
	p := program(t, "echo $$ > "+pid+"; printf abc; exec sleep 60", Job{Input: "x", Kind: URL})
	p.silent = 50 * time.Millisecond
	r, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); string(b) != "abc" || err == nil || !strings.Contains(err.Error(), "nothing for 50ms") {
		t.Errorf("%q, %v", b, err)
	}
	gone()
	p = program(t, "echo $$ > "+pid+"; sleep 0.3; printf abc; exec sleep 60", Job{Input: "x", Kind: URL})
	p.silent = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	if r, err = p.Open(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Errorf("one that takes long to begin: %d, %v", n, err)
	}
	cancel()
	if n, err := r.Read(make([]byte, 3)); err == nil {
		t.Errorf("after the end: %d, %v", n, err)
	}
	gone()
	p = program(t, "echo $$ > "+pid+"; [ -e "+pid+".again ] || printf abc; touch "+pid+".again; exec sleep 60", Job{Input: "x", Kind: URL})
	p.silent, p.begins = 50*time.Millisecond, 60*time.Millisecond
	for _, want := range []struct{ text, says string }{{"abc", "nothing for 50ms"}, {"", "nothing for 60ms"}} {
		if r, err = p.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != want.text || err == nil || !strings.Contains(err.Error(), want.says) {
			t.Errorf("one that connects again and brings nothing: %q, %v", b, err)
		}
		gone()
	}
	p = program(t, "echo $$ > "+pid+"; printf abc; exec sleep 60", Job{Input: "x", Kind: File})
	if r, err = p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 3)); err != nil {
		t.Error(err)
	}
	p.Close()
	gone()
}

func TestMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := New(Job{}); !errors.Is(err, ErrMissing) {
		t.Errorf("%v", err)
	}
}

// TestArguments: what a person wrote is one argument behind -i, and no option; nothing is
// coded anew that need not be.
func TestArguments(t *testing.T) {
	for _, c := range []struct {
		job         Job
		input       []string
		has, hasNot string
	}{
		{Job{"film.mkv", File, 0}, []string{"-i", "file:film.mkv"}, "-c copy", "libx264"},
		{Job{"-y", File, 0}, []string{"-i", "file:-y"}, "-protocol_whitelist file", "libx264"},
		{Job{"rtmp://x/y", URL, 0}, []string{"-i", "rtmp://x/y"}, "-c copy", "-rtsp_transport"},
		{Job{"RTSP://x/y", URL, 0}, []string{"-i", "RTSP://x/y"}, "-rtsp_transport tcp", "whitelist"},
		{Job{"srt://x:1", URL, 2e6}, []string{"-i", "srt://x:1"}, "-b:v 1872000", "-c copy"},
		{Job{"thin.mkv", File, 200e3}, []string{"-i", "file:thin.mkv"}, "-b:v 100000", "zerolatency"},
	} {
		args := arguments(c.job)
		line := strings.Join(args, " ")
		at := slices.Index(args, "-i")
		if at < 0 || !slices.Equal(args[at:at+2], c.input) || !strings.Contains(line, c.has) || strings.Contains(line, c.hasNot) || args[len(args)-1] != "pipe:1" {
			t.Errorf("%+v: %q", c.job, args)
		}
	}
	for system, want := range map[string]string{
		"linux": "-f v4l2 -i cam", "freebsd": "-f v4l2 -i cam", "darwin": "-f avfoundation -i cam", "windows": "-f dshow -i video=cam",
	} {
		if got := strings.Join(capture(system, "cam"), " "); got != want {
			t.Errorf("%s: %s", system, got)
		}
	}
}
