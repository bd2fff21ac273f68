//go:build unix

package e2e

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mistake is something a person gets wrong, and what they are told.
type mistake struct {
	name  string
	args  []string
	stdin string // "" is an empty file
	code  int
	says  string // pattern of what follows error:
	hint  string // pattern of what follows hint:
	path  string // where programs are looked for, if not where they are
	slow  bool   // it takes as long as an unreachable pool is tried
}

// places are where mistakes are made: a directory with things in it, and ports
// that are taken or dead.
type places struct {
	dir, clip, text, empty, film, key, garbage, old string
	link, lost                                      string // lost: the pool is there, the stream is not
	udp, tcp, dead                                  string
}

const oldContent = "what was there before"

func newPlaces(t *testing.T) places {
	p := places{dir: t.TempDir()}
	write := func(name string, b []byte) string {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p.clip = write("clip.ts", record(t, 0, clipTime))
	p.text = write("notes.txt", bytes.Repeat([]byte("this is no stream\n"), 1000))
	p.film = write("film.mkv", []byte("\x1a\x45\xdf\xa3 and then something else"))
	p.empty = write("empty.ts", nil)
	p.garbage = write("garbage.key", []byte("not a key\n"))
	p.old = write("old.ts", []byte(oldContent))
	p.key = filepath.Join(p.dir, "good.key")
	stripecast(t, options{}, "key", "key", "new", p.key).mustEnd(t, patience)

	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	p.udp, p.tcp, p.dead = udp.LocalAddr().String(), tcp.Addr().String(), silentUDP(t)

	pool := startRelay(t, "pool without a stream", "--new-pool")
	at := pool.says(t, `--join (127\.0\.0\.1:\d+)`, patience)[1]
	show := stripecast(t, options{}, "key", "key", "show", p.key)
	show.mustEnd(t, patience)
	id := strings.TrimSpace(show.out.String())
	p.lost = "stripecast://" + id + "@" + at + "/x"
	p.link = "stripecast://" + id + "@" + p.dead + "/x"
	return p
}

// linkHint is what a bad link is answered with.
const linkHint = "stripecast://ID@host:port/name"

func mistakes(p places) []mistake {
	return slices.Concat(sourceMistakes(p), relayMistakes(p), viewMistakes(p), otherMistakes(p))
}

func sourceMistakes(p places) []mistake {
	newKey := filepath.Join(p.dir, "new.key")
	source := func(args ...string) []string {
		return append([]string{"source", anyUDP, anyHTTP, "--key", newKey}, args...)
	}
	return []mistake{
		{name: "no such input", args: source(p.dir + "/nothing.ts"), code: 1, says: "no such file", hint: "file that exists"},
		{name: "input is a directory", args: source(p.dir), code: 1, says: "is a directory", hint: "give a file"},
		{name: "input is text", args: source(p.text), code: 1, says: "neither MPEG-TS nor", hint: "ffmpeg .*--opaque"},
		{name: "piped text", args: source(), stdin: p.text, code: 1, says: "neither MPEG-TS nor", hint: "ffmpeg .*--opaque"},
		{name: "opaque file", args: source(p.text, "--opaque"), code: 1, says: "without a pace", hint: "pipe it"},
		{name: "empty input", args: source(p.empty), code: 1, says: "empty", hint: regexp.QuoteMeta(p.empty)},
		{name: "empty standard input", args: source(), code: 1, says: "empty", hint: "standard input"},
		{name: "looped standard input", args: append(source("--loop"), "-"), stdin: "pipe", code: 1, says: "only a file", hint: "--loop"},
		{name: "looped text", args: source(p.text, "--loop"), code: 1, says: "cannot be looped", hint: "ffmpeg"},
		{name: "looped URL", args: source("--loop", "udp://127.0.0.1:1"), code: 1, says: "only a file", hint: "--loop"},
		{name: "URL of another kind", args: source("gopher://example.org/"), code: 1, says: "gopher:// is no input", hint: "--remux"},
		{name: "datagrams without a port", args: source("udp://127.0.0.1"), code: 1, says: "bad input address", hint: "udp://HOST:PORT"},
		{name: "datagrams' port taken", args: source("udp://" + p.udp), code: 1, says: "in use", hint: "nobody else has"},
		{name: "web without a host", args: source("http://"), code: 1, says: "bad input address", hint: "HLS"},
		{name: "listens at a path", args: source("listen://127.0.0.1:0/live"), code: 1, says: "bad input address", hint: "listen://HOST:PORT"},
		{name: "listens where another does", args: source("listen://" + p.tcp), code: 1, says: "in use", hint: "nobody else has"},
		{name: "password of nobody", args: source("udp://:1", "--password", "x"), code: 2, says: "password", hint: "listen://"},
		{name: "two inputs, one captured", args: source(p.clip, "--capture", "/dev/video0"), code: 2, says: "two inputs", hint: "--capture DEVICE"},
		{name: "no such device", args: source("--capture", p.dir+"/video"), code: 1, says: "ffmpeg: .*No such file", hint: "can be read"},
		{name: "ffmpeg reads standard input", args: source("--remux"), code: 2, says: "can open itself", hint: "leave out --remux"},
		{name: "ffmpeg reads a key", args: source(p.garbage, "--remux"), code: 1, says: "ffmpeg: .*Invalid data", hint: "can be read"},
		{name: "transcoded to nothing", args: source(p.clip, "--transcode=1k"), code: 1, says: "too little", hint: "--transcode=2M"},
		{name: "transcoded to words", args: source(p.clip, "--transcode=well"), code: 1, says: "no rate", hint: "20M"},
		{name: "no server of RTMP", args: source("rtmp://" + p.dead + "/live"), code: 1, says: "ffmpeg: .*refused", hint: "can be read"},
		{name: "film and no ffmpeg", args: source(p.film), path: p.dir, code: 1, says: "needs ffmpeg: .*not installed", hint: "install ffmpeg"},
		{name: "looped and broken film", args: source(p.film, "--loop"), code: 1, says: "ffmpeg|cannot be looped", hint: "ffmpeg|readable"},
		{name: "playlist and a file", args: source(p.clip, "--playlist", p.dir), code: 2, says: "not the only input", hint: "--playlist"},
		{name: "looped playlist", args: source("--playlist", p.dir, "--loop"), code: 2, says: "for ever", hint: "--loop"},
		{name: "no such playlist", args: source("--playlist", p.dir+"/none.m3u"), code: 1, says: "no such file", hint: "M3U"},
		{name: "playlist of nothing", args: source("--playlist", p.empty), code: 1, says: "nothing to play", hint: "M3U"},
		{name: "playlist of what is not there", args: source("--playlist", p.text), code: 1, says: "nothing of .* can be played", hint: "can be read"},
		{name: "nobody at the URL", args: source("http://" + p.dead + "/x.ts"), code: 1, says: "refused", hint: "can be read"},
		{name: "layout of words", args: source(p.clip, "--layout", "many"), code: 1, says: "layout", hint: `16\+4`},
		{name: "layout too big", args: source(p.clip, "--layout", "60+20"), code: 1, says: "layout", hint: `16\+4`},
		{name: "layout of none", args: source(p.clip, "--layout", "0+4"), code: 1, says: "layout", hint: `16\+4`},
		{name: "block too short", args: source(p.clip, "--block", "1ms"), code: 1, says: "1ms", hint: "10ms to 500ms"},
		{name: "block too long", args: source(p.clip, "--block", "2s"), code: 1, says: "2s", hint: "10ms to 500ms"},
		{name: "block of words", args: source(p.clip, "--block", "long"), code: 2, says: "block", hint: "source --help"},
		{name: "name too long", args: source(p.clip, "--name", strings.Repeat("x", 300)), code: 1, says: "cannot be a name", hint: "at most"},
		{name: "name of two lines", args: source(p.clip, "--name", "a\nb"), code: 1, says: "cannot be a name", hint: "control characters"},
		{name: "description of two lines", args: source(p.clip, "--description", "a\nb"), code: 1, says: "cannot be a description", hint: "control characters"},
		{name: "upload of words", args: source(p.clip, "--upload", "fast"), code: 1, says: `"fast" is no rate`, hint: "20M"},
		{name: "two inputs", args: source(p.clip, p.clip), code: 2, says: "arg", hint: "help"},
		{name: "key is garbage", args: []string{"source", p.clip, "--key", p.garbage}, code: 1, says: "no Ed25519 key", hint: "key new"},
		{name: "key in no directory", args: []string{"source", p.clip, "--key", p.dir + "/no/key"}, code: 1, says: "no such file", hint: "directory"},
		{name: "source: UDP port taken", args: []string{"source", p.clip, "--key", p.dir + "/a.key", anyHTTP, "--listen", p.udp}, code: 1, says: "taken", hint: "--listen"},
		{name: "source: buffer of a moment", args: source(p.clip, "--buffer", "5ms"), code: 1, says: "5ms", hint: "--buffer of 1s"},
		{name: "source: buffer of words", args: source(p.clip, "--buffer", "long"), code: 2, says: "buffer", hint: "source --help"},
		{name: "source: records in a file", args: source(p.clip, "--record", p.old), code: 1, says: "directory", hint: "--record a directory"},
		{name: "source: records nowhere", args: source(p.clip, "--record", ""), code: 1, says: "no directory", hint: "--record DIR"},
		{name: "source: records and forgets", args: source(p.clip, "--record", p.dir+"/r", "--buffer", "5m"), code: 1, says: "recording and a buffer", hint: "leave out --buffer"},
		{name: "source: HTTP port taken", args: []string{"source", p.clip, "--key", p.dir + "/b.key", anyUDP, "--http", p.tcp}, code: 1, says: "in use", hint: "--http"},
		{name: "source: HTTP address of words", args: []string{"source", p.clip, "--key", p.dir + "/c.key", anyUDP, "--http", "here"}, code: 1, says: "here", hint: "--http"},
		{name: "source: cannot be reached there", args: source(p.clip, "--advertise", "0.0.0.0:70"), code: 1, says: "advertise", hint: "--advertise"},
		{name: "source: listens nowhere", args: []string{"source", p.clip, "--key", p.dir + "/d.key", anyHTTP, "--listen", "nowhere"}, code: 1, says: "listen", hint: "--listen"},
		{name: "source: unreachable pool", args: []string{"source", p.clip, "--key", p.dir + "/e.key", anyUDP, anyHTTP, "--join", p.dead}, code: 1, says: "no host of the pool answers", hint: "UDP port", slow: true},
		{name: "source: joins without a port", args: source(p.clip, "--join", "example.org"), code: 1, says: "host:port", hint: "--join"},
	}
}

func relayMistakes(p places) []mistake {
	relay := func(args ...string) []string { return append([]string{"relay", anyUDP, anyHTTP}, args...) }
	return []mistake{
		{name: "relay without a pool", args: relay(), code: 2, says: "no pool", hint: "--new-pool"},
		{name: "relay: bad link", args: relay("http://example.org"), code: 1, says: "bad link", hint: linkHint},
		{name: "relay: five links", args: relay(p.link, p.link, p.link, p.link, p.link), code: 1, says: "5 links", hint: "at most 4"},
		{name: "relay: allows words", args: relay("--join", p.dead, "--allow", "everything"), code: 1, says: "ID", hint: "--allow"},
		{name: "relay: joins without a port", args: relay("--join", "example.org"), code: 1, says: "host:port", hint: "--join"},
		{name: "relay: UDP port taken", args: []string{"relay", "--new-pool", anyHTTP, "--listen", p.udp}, code: 1, says: "taken", hint: "--listen"},
		{name: "relay: HTTP port taken", args: []string{"relay", "--new-pool", anyUDP, "--http", p.tcp}, code: 1, says: "in use", hint: "--http"},
		{name: "relay: negative upload", args: relay("--new-pool", "--upload=-1M"), code: 1, says: "no rate", hint: "20M"},
		{name: "relay: quota of words", args: relay("--new-pool", "--buffer-quota", "much"), code: 1, says: `"much" is no number`, hint: "500M"},
		{name: "relay: quota of nothing", args: relay("--new-pool", "--buffer-quota", "1M"), code: 1, says: "quota of 1.0 MB", hint: "16.8 MB or more"},
		{name: "relay: records in two places", args: relay("--new-pool", "--record", p.dir+"/r", "--buffer-dir", p.dir+"/b"), code: 1, says: "recording and a buffer", hint: "leave out .*--buffer-dir"},
		{name: "relay: records in nothing", args: relay("--new-pool", "--record", p.dir+"/r", "--buffer-quota", "1M"), code: 1, says: "quota of 1.0 MB", hint: "16.8 MB or more"},
		{name: "relay: unreachable pool", args: relay("--join", p.dead), code: 1, says: "no host of the pool answers", hint: "UDP port", slow: true},
	}
}

func viewMistakes(p places) []mistake {
	view := func(args ...string) []string { return append([]string{"view", anyUDP, anyHTTP}, args...) }
	return []mistake{
		{name: "view without a link", args: view(), code: 2, says: "arg", hint: "help"},
		{name: "view: no link", args: view("film"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link without hosts", args: view(strings.Split(p.link, "@")[0] + "@"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link with a bad ID", args: view("stripecast://abc@127.0.0.1:7070/x"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link with a weak ID", args: view("stripecast://" + strings.Repeat("a", 52) + "@127.0.0.1:7070/x"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link with port 0", args: view(strings.Split(p.link, "@")[0] + "@127.0.0.1:0/x"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link with many hosts", args: view(strings.Split(p.link, "@")[0] + "@" + strings.Repeat("a:1,", 40) + "a:1/x"), code: 1, says: "bad link", hint: linkHint},
		{name: "view: link of a megabyte", args: view(p.link + strings.Repeat("x", 100_000)), code: 1, says: "bad link", hint: linkHint},
		{name: "view: delay too short", args: view(p.link, "--delay", "1ms"), code: 1, says: "1ms", hint: "100ms to 1m"},
		{name: "view: delay too long", args: view(p.link, "--delay", "1h"), code: 1, says: "1h", hint: "100ms to 1m"},
		{name: "view: from some time", args: view(p.link, "--from", "yesterday"), code: 1, says: `"yesterday" is no moment`, hint: "--from -5m"},
		{name: "view: from later", args: view(p.link, "--from", "5m"), code: 1, says: `"5m" is no moment`, hint: "--from -5m"},
		{name: "view: from nothing", args: view(p.link, "--from="), code: 1, says: `"" is no moment`, hint: "--from -5m"},
		{name: "view: no such player", args: view(p.link, "--player", "no-such-player"), code: 1, says: "no-such-player", hint: "install"},
		{name: "view: blank player", args: view(p.link, "--player", " "), code: 1, says: "player", hint: "--player"},
		{name: "view: output in no directory", args: view(p.link, "-o", p.dir+"/no/out.ts"), code: 1, says: "no such file", hint: "-o"},
		{name: "view: output is a directory", args: view(p.link, "-o", p.dir), code: 1, says: "is a directory", hint: "-o"},
		{name: "view: nobody carries it, no output", args: view(p.lost), code: 1, says: "nobody in the pool", hint: "source runs", slow: true},
		{name: "view: negative buffer", args: view(p.link, "--buffer=-1m"), code: 1, says: "-1m", hint: "--buffer of 1s"},
		{name: "view: UDP port taken", args: []string{"view", p.link, anyHTTP, "--listen", p.udp}, code: 1, says: "taken", hint: "--listen"},
		{name: "view: unreachable pool", args: view(p.link, "-o", p.old), code: 1, says: "no host of the pool answers", hint: "UDP port", slow: true},
		{name: "view: nobody carries the stream", args: view(p.lost, "-o", p.dir+"/never.ts"), code: 1, says: "nobody in the pool carries", hint: "source runs", slow: true},
		{name: "unknown flag", args: view("--fast"), code: 2, says: "--fast", hint: "view --help"},
	}
}

func otherMistakes(p places) []mistake {
	return []mistake{
		{name: "key new over a key", args: []string{"key", "new", p.key}, code: 1, says: "exists already", hint: "key show"},
		{name: "key new over a file", args: []string{"key", "new", p.old}, code: 1, says: "exists already", hint: "key show"},
		{name: "key new in no directory", args: []string{"key", "new", p.dir + "/no/key"}, code: 1, says: "no such file", hint: "directory"},
		{name: "key show of garbage", args: []string{"key", "show", p.garbage}, code: 1, says: "no Ed25519 key", hint: "key new"},
		{name: "key show of nothing", args: []string{"key", "show", p.dir + "/nothing"}, code: 1, says: "no such file", hint: "key new"},
		{name: "key new without a file", args: []string{"key", "new"}, code: 2, says: "arg", hint: "help"},
		{name: "key of another kind", args: []string{"key", "old"}, code: 2, says: "old", hint: "help"},
		{name: "status of no place", args: []string{"status", "nowhere"}, code: 1, says: "is not host:port", hint: "HOST:PORT"},
		{name: "status of nobody", args: []string{"status", "127.0.0.1:1"}, code: 1, says: "nobody answers there", hint: "HOST:PORT"},
		{name: "demo of too many", args: []string{"demo", "--relays", "5000"}, code: 1, says: "too many", hint: "--relays"},
		{name: "demo without viewers", args: []string{"demo", "--viewers", "0"}, code: 1, says: "too few", hint: "--viewers"},
		{name: "demo: bad layout", args: []string{"demo", "--layout", "4"}, code: 1, says: "layout", hint: "--layout"},
		{name: "demo: too short", args: []string{"demo", "--duration", "1ms"}, code: 1, says: "before all had joined", hint: "longer"},
		{name: "demo: negative time", args: []string{"demo", "--duration=-1s"}, code: 1, says: "below 0", hint: "--duration"},
		{name: "demo: HTTP port taken", args: []string{"demo", "--relays", "0", "--http", p.tcp}, code: 1, says: "in use", hint: "--http"},
		{name: "unknown command", args: []string{"watch"}, code: 2, says: "watch", hint: "help"},
		{name: "unknown short flag", args: []string{"-z"}, code: 2, says: "z", hint: "--help"},
		{name: "version of something", args: []string{"version", "x"}, code: 2, says: "x|arg", hint: "help"},
	}
}

// TestMistakes: whatever is wrong, one is told so and what to do, nothing goes to
// standard output, and nothing that was there is lost.
func TestMistakes(t *testing.T) {
	t.Parallel()
	p := newPlaces(t)
	before := map[string][]byte{}
	for _, path := range []string{p.key, p.garbage, p.old, p.clip} {
		before[path] = readFile(t, path)
	}
	var table []mistake
	for _, m := range mistakes(p) { // the slow ones wait while the others run
		if m.slow {
			table = append([]mistake{m}, table...)
		} else {
			table = append(table, m)
		}
	}
	run := func(m mistake) *proc {
		o := options{}
		if m.path != "" {
			o.env = []string{"PATH=" + m.path}
		}
		switch m.stdin {
		case "": // nothing: exec gives the null device
		case "pipe":
			o.stdin = strings.NewReader("piped")
		default:
			f, err := os.Open(m.stdin)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			o.stdin = f
		}
		return stripecast(t, o, m.name, m.args...)
	}
	var slow []*proc
	for i, m := range table {
		if m.slow {
			slow = append(slow, run(m))
			continue
		}
		checkMistake(t, table[i], run(m), patience)
	}
	for i, s := range slow {
		checkMistake(t, table[i], s, 30*time.Second)
		if !regexp.MustCompile(`trying .* s of 15|asking the pool`).MatchString(s.err.String()) {
			t.Errorf("%s: no word while it waited:\n%s", s.name, s.err)
		}
	}
	for path, b := range before {
		if !bytes.Equal(readFile(t, path), b) {
			t.Errorf("%s has changed", path)
		}
	}
	if _, err := os.Stat(p.dir + "/never.ts"); err == nil {
		t.Error("an output was left for a stream that never came")
	}
}

func checkMistake(t *testing.T, m mistake, p *proc, within time.Duration) {
	t.Helper()
	if code := p.exit(t, within); code != m.code {
		t.Errorf("%s: exit code %d, want %d\n%s", m.name, code, m.code, p.err)
	}
	lines := strings.Split(strings.TrimRight(p.err.String(), "\n"), "\n")
	if len(lines) < 2 {
		t.Errorf("%s: said only %q", m.name, p.err)
		return
	}
	said, hint := lines[len(lines)-2], lines[len(lines)-1]
	if !regexp.MustCompile("^error: .*(" + m.says + ")").MatchString(said) {
		t.Errorf("%s: %q, want error: … %s", m.name, said, m.says)
	}
	if !regexp.MustCompile("^hint: .*(" + m.hint + ")").MatchString(hint) {
		t.Errorf("%s: %q, want hint: … %s", m.name, hint, m.hint)
	}
	if len(said) > 400 || len(hint) > 400 {
		t.Errorf("%s: an error of %d bytes, a hint of %d", m.name, len(said), len(hint))
	}
	if p.out.Len() > 0 {
		t.Errorf("%s: wrote %q to standard output", m.name, p.out)
	}
	if strings.Contains(p.err.String(), "goroutine ") {
		t.Errorf("%s: it panicked:\n%s", m.name, p.err)
	}
}

// TestKeyFile: a key is private, is never overwritten, and every run has a higher
// epoch than the one before.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "source.key")
	made := stripecast(t, options{}, "key new", "key", "new", key)
	made.mustEnd(t, patience)
	show := stripecast(t, options{}, "key show", "key", "show", key)
	show.mustEnd(t, patience)
	id := show.out.String()
	if id != made.out.String() || !regexp.MustCompile(`^[a-z2-7]{52}\n$`).MatchString(id) {
		t.Errorf("made %q, showed %q", made.out, id)
	}
	before := readFile(t, key)
	input := record(t, 0, 500*time.Millisecond)
	last := uint32(0)
	for range 3 {
		source, link := startSource(t, options{stdin: pace(input, 500*time.Millisecond)}, "--key", key)
		if !strings.HasPrefix(link, "stripecast://"+strings.TrimSpace(id)+"@") {
			t.Errorf("link %s of key %s", link, id)
		}
		source.mustEnd(t, patience)
		epoch := strings.TrimSpace(string(readFile(t, key+".epoch")))
		if e := atoi(t, epoch); e <= last {
			t.Errorf("epoch %d after %d", e, last)
		} else {
			last = e
		}
	}
	if !bytes.Equal(readFile(t, key), before) {
		t.Error("the key was changed by its use")
	}
	// One that a source made for itself is as private.
	own := filepath.Join(t.TempDir(), "own.key")
	source, _ := startSource(t, options{stdin: pace(input, 500*time.Millisecond)}, "--key", own)
	source.mustEnd(t, patience)
	for _, path := range []string{key, own} {
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, st.Mode(), err)
		}
	}
	// A damaged epoch file stops the source: a repeated epoch would be worse.
	if err := os.WriteFile(own+".epoch", []byte("many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	clip := writeFile(t, "clip.ts", record(t, 0, clipTime))
	damaged := stripecast(t, options{}, "damaged epoch", "source", clip, "--key", own, anyUDP, anyHTTP)
	checkMistake(t, mistake{name: "damaged epoch", code: 1, says: "damaged", hint: "remove"}, damaged, patience)
}

// TestDefaultPortTaken: of two viewers on one machine the second takes the next
// port and says so.
func TestDefaultPortTaken(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "127.0.0.1:7080"); err == nil {
		defer l.Close()
	} // else somebody has it, which does as well
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, link := startSource(t, options{}, file, "--loop")
	viewer := &node{proc: stripecast(t, options{}, "viewer", "view", anyUDP, link)}
	playing(t, viewer)
	if !regexp.MustCompile(`^http://127\.0\.0\.1:7\d\d\d/$`).MatchString(viewer.url) || strings.Contains(viewer.url, ":7080") {
		t.Errorf("it serves at %s", viewer.url)
	}
	if st := viewer.status(t); len(st.URLs) != 4 || st.URLs[0] != viewer.url {
		t.Errorf("status names %q", st.URLs)
	}
	// One that was told where to serve takes no other port.
	old := writeFile(t, "old.ts", []byte(oldContent))
	told := strings.Trim(strings.TrimPrefix(viewer.url, "http://"), "/")
	second := stripecast(t, options{}, "second viewer", "view", anyUDP, link, "--http", told, "-o", old)
	checkMistake(t, mistake{name: second.name, code: 1, says: "in use", hint: "--http"}, second, patience)
	if got := readFile(t, old); string(got) != oldContent {
		t.Errorf("its output file has %d bytes now", len(got))
	}
	viewer.signal(t, syscall.SIGINT)
	viewer.mustEnd(t, patience)
}
