//go:build unix

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// locked is the link of a private stream, in its parts.
type locked struct {
	link stripe.Link
	text string // as the source printed it
}

func lockedBy(t testing.TB, text string) locked {
	t.Helper()
	link, err := stripe.ParseLink(text)
	if err != nil || link.Key.IsZero() {
		t.Fatalf("%s: no link with a key: %v", text, err)
	}
	return locked{link, text}
}

// with is the link with another key.
func (l locked) with(key stripe.LinkKey) string {
	l.link.Key = key
	return l.link.String()
}

// mustNotTell wants the key nowhere in what somebody wrote or served.
func (l locked) mustNotTell(t testing.TB, who string, said []byte) {
	t.Helper()
	k := l.link.Key
	for _, form := range []string{
		k.Text()[:40], strings.ToUpper(k.Text()[:40]), hex.EncodeToString(k[:16]), strings.ToUpper(hex.EncodeToString(k[:16])), string(k[:16]),
		base64.StdEncoding.EncodeToString(k[:18]), base64.URLEncoding.EncodeToString(k[:18]), strings.Trim(fmt.Sprint(k[:16]), "[]"),
	} {
		if at := bytes.Index(said, []byte(form)); at >= 0 {
			t.Errorf("%s tells the key: …%q", who, said[max(0, at-80):at])
		}
	}
}

// mustBeDiscreet wants the key in nothing that a process says or serves, and in its command
// line only if it was given there.
func (l locked) mustBeDiscreet(t testing.TB, n *node, args bool) {
	t.Helper()
	l.mustNotTell(t, n.name+" on standard error", n.err.Bytes())
	for _, path := range []string{"", "api/status", "api/forest", "metrics", "healthz", "readyz", "live.m3u", "live.xspf", "channels.m3u", "live/index.m3u8", "live/stream.m3u8"} {
		b, err := get(n.url + path)
		if err != nil && path == "api/status" {
			t.Errorf("%s: %v", n.name, err)
		}
		l.mustNotTell(t, n.name+" at /"+path, append(b, fmt.Sprint(err)...))
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.cmd.Process.Pid)); err == nil && !args {
		l.mustNotTell(t, n.name+"'s command line", b)
	}
}

// mustBeSealed wants neither the key nor anything of the stream in a directory.
func (l locked) mustBeSealed(t testing.TB, dir string, input []byte) {
	t.Helper()
	files, size := 0, 0
	var parts [][]byte // of packets with much in them
	for at := 0; at+ts.PacketLen <= len(input) && len(parts) < 500; at += 7 * ts.PacketLen {
		if p := input[at+100 : at+132]; bytes.Count(p, p[:1]) < 4 {
			parts = append(parts, p)
		}
	}
	if len(parts) < 100 {
		t.Fatalf("only %d parts of the stream to look for", len(parts))
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b := readFile(t, path)
		files, size = files+1, size+len(b)
		l.mustNotTell(t, path, b)
		for _, p := range parts {
			if bytes.Contains(b, p) {
				t.Errorf("%s can be read: %x", path, p)
				break
			}
		}
		return nil
	})
	if err != nil || files == 0 || size < len(input)/2 {
		t.Errorf("%s: %d files of %d bytes: %v", dir, files, size, err)
	}
}

// TestPrivate: who has the key gets every byte, live, from the past and through an engine; who
// has not is told so at once; and nobody but the viewers' command lines and the source's
// standard output tells it.
func TestPrivate(t *testing.T) {
	t.Parallel()
	const length = 20 * time.Second
	input := record(t, 0, length)
	key := filepath.Join(t.TempDir(), "key")
	source, text := startSource(t, options{stdin: pace(input, length)}, "--private", "-v", "--key", key, "--name", "secret", "--upload", "30M")
	l := lockedBy(t, text)
	public := l.link.Public().String()
	kept := filepath.Join(t.TempDir(), "kept")
	relays := []*node{startRelay(t, "relay", "-v", "--record", kept, public), startRelay(t, "relay 2", "-v", public)}
	for _, r := range relays {
		r.ready(t)
	}
	carrying(t, relays...)

	refusesOthers(t, l)
	viewer := startViewer(t, "viewer", text, "-v", "-o", "-")
	past := startViewer(t, "viewer from the start", text, "-v", "--from", "start", "-o", "-")
	playing(t, viewer)
	past.ready(t)
	client := readHTTP(t, "HTTP client", viewer.url+"stream")
	engine := privateEngine(t, l)
	opened := readHTTP(t, "engine's client", engine.url+"play/"+strings.TrimPrefix(text, stripe.LinkScheme)+".ts")
	eventually(t, patience, "the engine plays", func() bool { return opened.Len() > 50_000 })
	l.mustBeDiscreet(t, engine, false)
	if b, err := get(engine.url + "channels.m3u"); err != nil || bytes.Contains(b, []byte("secret")) {
		t.Errorf("the engine lists it: %s, %v", b, err)
	}
	if _, err := get(engine.url + "play/" + strings.TrimPrefix(public, stripe.LinkScheme) + ".ts"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("the engine gives others what was opened with the key: %v", err)
	}
	list := stripecast(t, options{}, "list", "list", "--json", "--join", l.link.Hosts[0], "-v")
	list.mustEnd(t, patience)
	if !strings.Contains(list.out.String(), `"private": true`) || !strings.Contains(list.out.String(), l.link.ID.String()) {
		t.Errorf("the list: %s", list.out)
	}
	l.mustNotTell(t, "the list", append(list.out.Bytes(), list.err.Bytes()...))
	l.mustBeDiscreet(t, source, false)
	for _, r := range relays {
		l.mustBeDiscreet(t, r, false)
		l.mustNotTell(t, r.name+" on standard output", r.out.Bytes())
	}
	for _, v := range []*node{viewer, past} {
		l.mustBeDiscreet(t, v, true)
	}

	source.mustEnd(t, length+patience)
	for _, r := range []*reader{client, opened} {
		r.mustEnd(t, patience)
		mustEndAs(t, r.name, r.Bytes(), input, len(input)/5)
	}
	for _, v := range []*node{viewer, past} {
		v.mustEnd(t, patience)
		mustEndAs(t, v.name, v.out.Bytes(), input, len(input)/4)
	}
	engine.signal(t, syscall.SIGINT)
	engine.mustEnd(t, patience)
	for _, r := range relays {
		r.signal(t, syscall.SIGTERM)
		r.mustEnd(t, patience)
	}
	for _, n := range append(relays, source, viewer, past, engine) {
		l.mustNotTell(t, n.name+" in the end", n.err.Bytes())
	}
	l.mustBeSealed(t, kept, input)
}

// refusesOthers wants viewers without the key, or with another, to be told so once and to end.
func refusesOthers(t *testing.T, l locked) {
	t.Helper()
	began := time.Now()
	for _, m := range []struct{ name, link, says, hint string }{
		{"viewer without a key", l.link.Public().String(), "the stream is private, and the link has no key", "whole link"},
		{"viewer with another key", l.with(stripe.LinkKey{1}), "the stream is private, and the link's key is not its key", "printed last"},
	} {
		v := startViewer(t, m.name, m.link, "-v", "-o", "-")
		v.exit(t, patience)
		if says := regexp.MustCompile("(?s)error: " + m.says + "\nhint: .*" + m.hint + "[^\n]*\n$"); v.cmd.ProcessState.ExitCode() != 1 || !says.MatchString(v.err.String()) || v.out.Len() > 0 {
			t.Errorf("%s: %v, %d bytes of stream, %s", m.name, v.cmd.ProcessState, v.out.Len(), tail(v.err.String(), 300))
		}
		if n := strings.Count(v.err.String(), "the stream is private"); n != 1 {
			t.Errorf("%s says it %d times", m.name, n)
		}
		l.mustNotTell(t, m.name, v.err.Bytes())
	}
	t.Logf("two were refused after %v", time.Since(began))
}

// privateEngine is an engine that refuses the stream without its key, or with another.
func privateEngine(t *testing.T, l locked) *node {
	t.Helper()
	engine := &node{proc: stripecast(t, options{}, "engine", "view", "--engine", "-v", anyHTTP, "--streams", "3")}
	engine.ready(t)
	for _, key := range []stripe.LinkKey{{}, {1}} {
		_, err := get(engine.url + "play/" + strings.TrimPrefix(l.with(key), stripe.LinkScheme) + ".ts")
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("an engine with a wrong key: %v", err)
		}
	}
	return engine
}

// TestPrivateAgain: a private source that comes back has its old links and a new epoch, as
// what it recorded shows: no block is encrypted as one before. What was recorded is played to
// the last byte when the source is gone. Without its epoch file's directory it does not start.
func TestPrivateAgain(t *testing.T) {
	t.Parallel()
	const length = 4 * time.Second
	input := record(t, 0, length)
	dir := t.TempDir()
	key, kept := filepath.Join(dir, "key"), filepath.Join(dir, "kept")
	var text string
	var epochs []uint32
	for run := range 2 {
		source, link := startSource(t, options{stdin: pace(input, length)}, "--private", "--key", key, "--record", kept)
		epochs = append(epochs, source.status(t).Epoch)
		if run > 0 && (lockedBy(t, link).link.Key != lockedBy(t, text).link.Key || epochs[1] <= epochs[0]) {
			t.Errorf("another key, or epochs %d", epochs)
		}
		text = link
		source.mustEnd(t, length+patience)
	}
	l := lockedBy(t, text)
	l.mustBeSealed(t, kept, input)
	mustPlayFrom(t, kept, text, input)
	if err := os.WriteFile(key+".epoch", []byte("lost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := stripecast(t, options{stdin: bytes.NewReader(input)}, "source without epochs", "source", anyUDP, anyHTTP, "--private", "--key", key)
	checkMistake(t, mistake{name: "no epoch", code: 1, says: "holds no epoch", hint: "remove the file"}, again, patience)
}
