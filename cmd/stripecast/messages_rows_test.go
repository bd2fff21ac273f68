//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/playout/httpd"
	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/ingest/ffmpeg"
	"github.com/stripecast/stripecast/relay/ingest/m3u"
	"github.com/stripecast/stripecast/relay/ingest/station"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// unheard is what stands in the source and has no row, and why.
var unheard = map[string]string{
	"relay %d: %w":                                      "a relay of the demo that reaches nobody on its own machine",
	"a new relay: %w":                                   "likewise",
	"the built-in clip: %w":                             "the clip's own tests would fail",
	"try again; --from begins where it stopped":         "the past is gone while it plays",
	"check that there is room where -o writes to":       "a disk that fills while a stream plays",
	"%w: block time %v is not above 0 and up to %v":     "a viewer is not asked for it",
	"block %d: %w":                                      "nobody has the block: of a stream that others carry",
	"the demo needs UDP on 127.0.0.1":                   "a machine without loopback",
	"ffmpeg says that it has ended":                     "it is waited for then",
	"ffmpeg got nothing for %v":                         "likewise",
	"nothing came for %v":                               "likewise",
	"the server has ended it":                           "likewise",
	"the server sends %q, not %q":                       "likewise",
	"the playlist has had nothing new for %v":           "likewise",
	"a block of the private stream cannot be decrypted": "a source that errs: the block is skipped",
	"%w: block %d is of another epoch":                  "likewise",
	"%w: block %d":                                      "likewise",
	"a segment of %d bytes: %w":                         "likewise",
	"it is of another kind than the items before":       "a station passes it over, and says so",
	"reading the input: %w":                             "a disk that breaks while it is read",
	"quicnet: %w":                                       "a key that is none",
	"listen address %q: %w":                             "relay/host looks at it before",
	"%w %v: parity cannot be negative":                  "a layout that is read has no sign",
}

// newPlaces is a directory with things in it, ports that are taken, and a link.
func newPlaces(t *testing.T) *strings.Replacer {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old", "what was there before")
	write("empty", "")
	write("text", strings.Repeat("this is no stream\n", 188))
	write("clip.ts", string(clip.TS()))
	write("jumps.ts", string(clip.TS())+string(clip.TS()))
	write("film.mkv", "\x1a\x45\xdf\xa3 and then something else")
	write("long.m3u", strings.Repeat("a\n", m3u.MaxEntries+1))
	write("longer.m3u", strings.Repeat("#\n", m3u.MaxList/2+1))
	write("longest.m3u", strings.Repeat("#\n", station.MaxList/2+1))
	write("latin.m3u", "caf\xe9.mp3\n")
	write("hls.m3u", "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na.ts\n")
	write("odd.m3u", "kept.epoch\n")
	for _, tag := range []string{"TARGETDURATION", "MEDIA-SEQUENCE", "STREAM-INF"} {
		write(tag+".m3u", "#EXT-X-"+tag+":BANDWIDTH=x\n")
	}
	write("big.yaml", strings.Repeat("# long\n", maxConfig/7+1))
	write("damaged.epoch", "many\n")
	write("last.epoch", "4294967295\n")
	if err := os.MkdirAll(filepath.Join(dir, "months", programName), 0o700); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join("months", programName, "relay.month"), "soon\n")
	if err := os.Mkdir(filepath.Join(dir, "kept.epoch"), 0o700); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	server := httptest.NewServer(http.HandlerFunc(strange))
	t.Cleanup(server.Close)
	id := stripe.IDOf(host.NewKey())
	return strings.NewReplacer("{dir}", dir, "{udp}", udp.LocalAddr().String(), "{id}", id.String(), "{short}", id.Short(),
		"{web}", strings.TrimPrefix(server.URL, "http://"), "{link}", "stripecast://"+id.String()+"@127.0.0.1:9/x")
}

// strange is a web server that is no stripecast.
func strange(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/status":
		io.WriteString(w, "<html>")
	case "/api/forest":
		io.WriteString(w, "{}")
	case "/list.m3u":
		io.WriteString(w, "file:///etc/passwd\n")
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/plain.m3u8":
		io.WriteString(w, "#EXTM3U\na.ts\n")
	case "/apart.m3u8":
		io.WriteString(w, "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"a.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nx.m3u8\n")
	case "/deep.m3u8":
		io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ndeep.m3u8\n")
	case "/lost.m3u8":
		io.WriteString(w, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nnone.txt\n")
	case "/none.m3u8":
		io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nnone.txt\n#EXT-X-ENDLIST\n")
	case "/none.txt":
		w.Write(make([]byte, 1000))
	case "/long":
		w.Write(make([]byte, maxAnswer+1))
	default:
		http.NotFound(w, r)
	}
}

// src, rel and vi are command lines of a source, a relay and a viewer.
func src(words ...string) func(*stage) error {
	return line(append([]string{"source", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--key", "{dir}/new.key"}, words...)...)
}

func rel(words ...string) func(*stage) error {
	return line(append([]string{"relay", "--new-pool", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, words...)...)
}

func vi(words ...string) func(*stage) error {
	return line(append([]string{"view", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"}, words...)...)
}

// lost runs where there is no directory any more.
func lost(by func(*stage) error) func(*stage) error {
	return func(s *stage) error {
		dir := filepath.Join(s.TempDir(), "lost")
		if err := os.Mkdir(dir, 0o700); err != nil {
			s.Fatal(err)
		}
		s.Chdir(dir)
		if err := os.Remove(dir); err != nil {
			s.Fatal(err)
		}
		return by(s)
	}
}

// taken runs while somebody has {dir}/taken.
func taken(by func(*stage) error) func(*stage) error {
	return func(s *stage) error {
		held, err := store.Open(s.filled("{dir}/taken"), store.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			s.Fatal(err)
		}
		defer held.Close()
		return by(s)
	}
}

// everyBuffer is one participant too many for the default place.
func everyBuffer(s *stage) error {
	s.Setenv("XDG_CACHE_HOME", s.filled("{dir}/cache"))
	for i := range maxBuffers {
		held, err := store.Open(defaultDir(s.filled("{dir}/cache"), i), store.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			s.Fatal(err)
		}
		defer held.Close()
	}
	_, err := openDefault(store.Config{Logger: slog.New(slog.DiscardHandler)})
	return err
}

// noPast is a stream of which nobody holds anything, and over a context that has ended.
func noPast(s *stage) (context.Context, *rewind.Stream) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx, newPast(begin(s.T, 0), stripe.ID{1}, view.NewKeyring(stripe.LinkKey{}), httpd.NewBroadcaster())
}

func ofNoPast(s *stage) error {
	ctx, past := noPast(s)
	_, err := openPast(ctx, past, rewind.From{})
	return err
}

func nothingToSee(s *stage) error {
	_, past := noPast(s)
	v := &viewer{past: past}
	v.gone.Store(true)
	return v.ready(nil)
}

// notReady asks an engine for a stream that is not there yet, and noRoom for one too many.
func notReady(s *stage) error {
	e := newEngine(1)
	o, _ := e.opened(s.T, 1)
	o.ready = make(chan struct{})
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	link, err := stripe.ParseLink(s.filled("{link}"))
	if err != nil {
		s.Fatal(err)
	}
	o.link.ID = link.ID
	_, err = e.play(ctx, playedHosts(link), "x")
	return err
}

func noRoom(s *stage) error {
	e := newEngine(1)
	e.opened(s.T, 1)
	_, err := e.find(stripe.Link{ID: stripe.ID{2}})
	return err
}

// mute is a participant whose loop stands still, and still one to which nothing comes.
func mute(s *stage) error {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	stands := make(chan struct{})
	defer close(stands)
	return (&heartbeat{ask: func() { <-stands }}).feel(ctx)
}

func still(*stage) error {
	f, now := &flow{count: func() uint64 { return 1 }}, time.Now()
	if err := f.check(now); err != nil {
		return err
	}
	return f.check(now.Add(stillness + time.Second))
}

// configured runs a relay with this file.
func configured(text string) func(*stage) error {
	return func(s *stage) error {
		if err := os.WriteFile(s.filled("{dir}/c.yaml"), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
		return line("relay", "--config", "{dir}/c.yaml")(s)
	}
}

// untold is an error for which no command has any advice.
func untold(*stage) error {
	root := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return io.ErrShortWrite }}
	root.Flags().String("log-format", "text", "")
	tellApart(&console{}, root)
	root.SetArgs(nil)
	return root.Execute()
}

// What several mistakes are answered with.
const (
	linkHint   = "a link looks like stripecast://ID@host:port/name, as the source printed it"
	listHint   = "give --playlist an M3U list, a directory with media files, or an RSS feed with enclosures"
	udpHint    = "give udp://HOST:PORT with a multicast group or an address of this machine, as in udp://239.1.1.1:5000 or udp://:5000"
	listenHint = "give listen://HOST:PORT with an address of this machine and a port that nobody else has, as in listen://127.0.0.1:8000"
	loopHint   = "--loop takes an MPEG-TS; make one with: ffmpeg -i FILE -c copy -f mpegts FILE.ts"
	layoutHint = "give --layout as k+m with k of at least 1 and k+m of at most 64, as in 16+4"
	outputHint = "give -o a file that can be written, - for standard output, or udp://HOST:PORT"
	rateHint   = "give bits a second, as in 800k, 20M or 1G"
	pageHint   = "give HOST:PORT of a page, as the participant said it when it began"
	helpHint   = "stripecast help shows every command and flag"
)

func messages() []message {
	return slices.Concat(sourceMessages(), inputMessages(), listMessages(), keyMessages(), privateMessages(), bufferMessages(), viewMessages(), linkMessages(), poolMessages(), drillMessages(), askMessages(), configMessages(), otherMessages())
}

func sourceMessages() []message {
	return []message{
		{src("--layout", "many"), `bad layout "many": want k+m, as in 16+4`, layoutHint},
		{src("--layout", "0+4"), "bad layout 0+4: at least one shard must carry data", layoutHint},
		{src("--layout", "60+5"), "bad layout 60+5: at most 64 shards in all", layoutHint},
		{src("--block", "1ms"), "blocks of 1ms are too short or too long", "give --block from 10ms to 500ms"},
		{src("--name", "a\nb"), `"a\nb" cannot be a name`, "give --name of at most 64 bytes, without control characters"},
		{src("--description", "a\nb"), `"a\nb" cannot be a description`, "give --description of at most 255 bytes, without control characters"},
		{src("--thumbnail", "http://example.org/x.jpg"), `"http://example.org/x.jpg" cannot be a thumbnail`, "give --thumbnail an https:// URL of at most 255 bytes, without spaces, quotes or letters beyond ASCII"},
		{src("--upload", "fast"), `"fast" is no rate`, rateHint},
		{src("--buffer-quota", "much"), `"much" is no number of bytes`, "give bytes as in 500M, 2G or 2GiB"},
		{src("--join", "a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1,l:1,m:1,n:1,o:1,p:1,q:1,r:1,s:1,t:1,u:1,v:1,w:1,x:1,y:1,z:1,a:2,b:2,c:2,d:2,e:2,f:2,g:2", "{dir}/clip.ts"), "33 hosts to join are too many", "name at most 32, in links and --join together"},
		{src("--join", "example.org", "{dir}/clip.ts"), `"example.org" is not host:port`, "give --join as in pool.example.org:7070"},
		{line("source", "{dir}/clip.ts", "--key", "{dir}/a.key", "--listen", "{udp}"), "UDP {udp} is taken", "another stripecast may run here; give --listen with another port, or :0 for any"},
		{src("{dir}/clip.ts", "--advertise", "0.0.0.0:70"), `advertise "0.0.0.0:70": want host:port that others can reach`, "check --listen and --advertise"},
		{line("source", "{dir}/clip.ts", "--key", "{dir}/a.key", "--listen", "127.0.0.1:0", "--http", "here"), "httpd: address here: missing port in address", "give --http with a free port, as in 127.0.0.1:0"},
		{src("--lay", "16+4"), "unknown flag: --lay", "stripecast source --help shows the flags"},
		{src("--block", "long"), `invalid argument "long" for "--block" flag: time: invalid duration "long"`, "stripecast source --help shows the flags"},
		{src("{dir}/clip.ts", "{dir}/clip.ts"), "accepts at most 1 arg(s), received 2", "write: stripecast source [INPUT] [flags]; stripecast source --help says more"},
	}
}

func inputMessages() []message {
	return []message{
		{src("--transcode=1k"), "1 kbit/s is too little to transcode to", "give --transcode=RATE of 200 kbit/s or more, as in --transcode=2M"},
		{src("--playlist", "{dir}", "{dir}/clip.ts"), "{dir} is not the only input", "name an input, or --playlist, or --capture"},
		{src("--playlist", "{dir}", "--loop"), "a playlist is sent for ever, and ffmpeg reads of it what it must", "leave out --loop and --remux"},
		{src("--capture", "/dev/video0", "{dir}/clip.ts"), "{dir}/clip.ts and /dev/video0 are two inputs", "name an input or --capture DEVICE"},
		{src("--remux"), "ffmpeg reads what it can open itself", "name a file or URL, or leave out --remux and --transcode"},
		{src("--password", "x"), "only who pushes to listen:// comes with a password", "leave out --password, or name listen://HOST:PORT"},
		{src("--loop", "udp://127.0.0.1:1"), "only a file can be sent again and again", "leave out --loop, or name a file"},
		{with("PATH", "{dir}", src("{dir}/film.mkv")), `{dir}/film.mkv needs ffmpeg: ffmpeg is not installed: exec: "ffmpeg": executable file not found in $PATH`, "install ffmpeg, or make it MPEG-TS elsewhere and pipe it in"},
		{src("listen://127.0.0.1:0/live"), "bad input address: listen://127.0.0.1:0/live is not listen://HOST:PORT", listenHint},
		{src("listen://{web}"), "listen tcp {web}: bind: address already in use", listenHint},
		{src("udp://127.0.0.1"), "bad input address: address 127.0.0.1: missing port in address", udpHint},
		{src("udp://127.0.0.1:1/x"), "bad input address: udp://127.0.0.1:1/x has a path", udpHint},
		{src("udp://127.0.0.1:0"), "bad input address: udp://127.0.0.1:0 has no port", udpHint},
		{src("udp://127.0.0.1:1?ttl=1"), "bad input address: udp://127.0.0.1:1?ttl=1 takes ?iface= only, not ttl", udpHint},
		{src("udp://127.0.0.1:1?iface=lo"), "bad input address: 127.0.0.1:1 is no multicast group, and has no interface to join it at", udpHint},
		{src("udp://239.1.1.1:1?iface=192.0.2.1"), "bad input address: no interface has the address 192.0.2.1", udpHint},
		{src("udp://{udp}"), "listen udp {udp}: bind: address already in use", "give an address of this machine and a port that nobody else has"},
		{src("http://"), "bad input address: http: is no http:// or https:// URL", "give the URL of a stream or of an HLS playlist"},
		{src("gopher://example.org"), "gopher:// is no input that could be read", "give udp://, http://, https:// or listen://, or have ffmpeg try, with --remux"},
		{src("{dir}/nothing.ts"), "open {dir}/nothing.ts: no such file or directory", "give a file that exists, or - for standard input"},
		{src("{dir}"), "{dir} is a directory", "give a file, or - for standard input; --playlist sends all files of a directory"},
		{with("stdin", "/dev/zero", src()), "standard input is a terminal", "pipe a stream into it, or name a file: stripecast source FILE"},
		{src("{dir}/text", "--loop"), "clip cannot be looped: byte 0 begins no undamaged packet", loopHint},
		{with("stdin", "{dir}/text", src("-")), "the input is neither MPEG-TS nor MP3, AAC or Ogg audio", "make it MPEG-TS with: ffmpeg -i INPUT -c copy -f mpegts - | stripecast source; or send standard input as it is with --opaque"},
		{src("{dir}/empty"), "the input is empty", "check what {dir}/empty is made by"},
		{src("{dir}/text", "--opaque"), "an opaque input without a pace of its own cannot be streamed live", "pipe it in at the pace at which it should be played"},
		{src("{dir}/jumps.ts", "--loop"), "clip cannot be looped: packet at byte 774560: the clock jumps", loopHint},
		{src("{dir}/latin.m3u", "--loop"), "clip cannot be looped: 9 bytes, want whole packets of 188 and at most 67108864", loopHint},
		{src("{dir}/clip.ts", "--slate", "{dir}/clip.ts"), "a file is never gone", "leave out --slate, or name an INPUT that is live"},
		{src("listen://127.0.0.1:0", "--slate", "{dir}/none.ts"), "open {dir}/none.ts: no such file or directory", "give --slate a file that exists"},
		{src("listen://127.0.0.1:0", "--slate", "/dev/zero"), "clip cannot be looped: 67108865 bytes, want whole packets of 188 and at most 67108864", "--slate takes an MPEG-TS; make one with: ffmpeg -loop 1 -i PICTURE -t 5 -c:v libx264 -pix_fmt yuv420p -f mpegts FILE.ts"},
		{src("listen://127.0.0.1:0", "--slate", "{dir}/text"), "clip cannot be looped: byte 0 begins no undamaged packet", "--slate takes an MPEG-TS; make one with: ffmpeg -loop 1 -i PICTURE -t 5 -c:v libx264 -pix_fmt yuv420p -f mpegts FILE.ts"},
		{func(*stage) error { _, err := looped(input{bytes: iotest.ErrReader(errors.New("broken"))}); return err }, "broken", "the file must be readable"},
		{func(s *stage) error { return explainInput(s.Context(), ffmpeg.ErrMissing, "INPUT") }, "ffmpeg is not installed", "install ffmpeg, or make it MPEG-TS elsewhere"},
		{func(s *stage) error { return explainInput(s.Context(), ffmpeg.ErrCodec, "INPUT") }, "MPEG-TS cannot hold what it is coded with", "have it coded anew, with --transcode"},
		{func(s *stage) error { return explainInput(s.Context(), ingest.ErrSegments, "INPUT") }, "the playlist has no plain MPEG-TS segments", "let ffmpeg fetch it, with --remux"},
		{func(s *stage) error { return explainInput(s.Context(), errors.New("out of order"), "INPUT") }, "out of order", "check that INPUT can be read"},
	}
}

func listMessages() []message {
	return []message{
		{src("--playlist", "{dir}/none.m3u"), "stat {dir}/none.m3u: no such file or directory", listHint},
		{src("--playlist", "{dir}/empty"), "bad playlist: there is nothing to play in {dir}/empty", listHint},
		{src("--playlist", "{dir}/text"), "nothing of {dir}/text can be played; of {dir}/this is no stream: stat {dir}/this is no stream: no such file or directory", "check that {dir}/text can be read"},
		{src("--playlist", "{dir}/long.m3u"), "bad playlist: more than 10000 entries", listHint},
		{src("--playlist", "{dir}/longer.m3u"), "bad playlist: more than 1048576 bytes", listHint},
		{src("--playlist", "{dir}/longest.m3u"), "bad playlist: more than 4194304 bytes", listHint},
		{src("--playlist", "{dir}/latin.m3u"), "bad playlist: it is no UTF-8 text", listHint},
		{src("--playlist", "{dir}/hls.m3u"), "bad playlist: it is an HLS playlist, which is one stream: name it as the input", listHint},
		{src("--playlist", "{dir}/TARGETDURATION.m3u"), `bad playlist: a target duration of "BANDWIDTH=x"`, listHint},
		{src("--playlist", "{dir}/MEDIA-SEQUENCE.m3u"), `bad playlist: a media sequence of "BANDWIDTH=x"`, listHint},
		{src("--playlist", "{dir}/STREAM-INF.m3u"), `bad playlist: a bandwidth of "x"`, listHint},
		{src("--playlist", "http://{web}/list.m3u"), "bad playlist: file:///etc/passwd is not on the web", listHint},
		{src("--playlist", "{dir}/odd.m3u"), "nothing of {dir}/odd.m3u can be played; of {dir}/kept.epoch: {dir}/kept.epoch is no file", "check that {dir}/odd.m3u can be read"},
		{src("http://{web}/nothing"), "http://{web}/nothing says 404 Not Found", "check that http://{web}/nothing can be read"},
		{src("http://{web}/loop"), `Get "/loop": more than 5 redirects`, "check that http://{web}/loop can be read"},
		{src("http://{web}/plain.m3u8"), "the playlist has no plain MPEG-TS segments: http://{web}/plain.m3u8 is a plain list", "let ffmpeg fetch it, with --remux"},
		{src("http://{web}/apart.m3u8"), "the playlist has no plain MPEG-TS segments: each variant's sound is apart from its picture", "let ffmpeg fetch it, with --remux"},
		{src("http://{web}/deep.m3u8"), "the playlist has no plain MPEG-TS segments: a variant offers variants", "let ffmpeg fetch it, with --remux"},
		{src("http://{web}/lost.m3u8"), "http://{web}/none.txt is no playlist", "check that http://{web}/lost.m3u8 can be read"},
		{src("http://{web}/none.m3u8"), "the playlist has no plain MPEG-TS segments: http://{web}/none.txt is none", "let ffmpeg fetch it, with --remux"},
	}
}

func keyMessages() []message {
	return []message{
		{line("key", "new", "{dir}/old"), "{dir}/old exists already", "stripecast key show {dir}/old prints its stream ID"},
		{line("key", "new", "{dir}/no/key"), "open {dir}/no/key: no such file or directory", "give a file in a directory that exists and that you may write to"},
		{line("key", "show", "{dir}/none"), "open {dir}/none: no such file or directory", "stripecast key new {dir}/none makes one"},
		{line("key", "show", "{dir}/old"), "{dir}/old holds no Ed25519 key", "stripecast key new FILE makes one"},
		{with("HOME", "", with("XDG_CONFIG_HOME", "", line("source", "{dir}/clip.ts"))), "neither $XDG_CONFIG_HOME nor $HOME are defined", "say where the key is with --key FILE"},
		{with("XDG_CONFIG_HOME", "{dir}/old", line("source", "{dir}/clip.ts")), "mkdir {dir}/old: not a directory", "say where the key is with --key FILE"},
		{func(s *stage) error { _, err := nextEpoch(s.filled("{dir}/damaged")); return err }, "{dir}/damaged.epoch is damaged: it holds no epoch", "if the stream's last run was before now, remove the file"},
		{func(s *stage) error { _, err := nextEpoch(s.filled("{dir}/last")); return err }, "this key has used all its epochs", "make a new key"},
		{func(s *stage) error { _, err := nextEpoch(s.filled("{dir}/kept")); return err }, "read {dir}/kept.epoch: is a directory", "the epoch must be kept beside the key; make the directory writable or move the key"},
	}
}

func bufferMessages() []message {
	return []message{
		{rel("--record", "r", "--buffer", "5m"), "a recording and a buffer do not go together", "a recording holds all that a buffer would: leave out --buffer and --buffer-dir, or --record"},
		{rel("--record", ""), "a recording in no directory", "give --record DIR"},
		{rel("--buffer", "5ms"), "a buffer of 5ms is too short", "give --buffer of 1s or more, as in 15m, or 0 to keep nothing"},
		{rel("--buffer-quota", "1M"), "a quota of 1.0 MB is too small", "give --buffer-quota of 16.8 MB or more, or leave it out"},
		{lost(rel("--buffer-dir", "b")), "getwd: no such file or directory", "give --buffer-dir with its whole path"},
		{lost(rel("--record", "r")), "getwd: no such file or directory", "give --record with its whole path"},
		{taken(rel("--buffer-dir", "{dir}/taken")), "back buffer: {dir}/taken/lock: another process uses it", "another stripecast keeps its past there: give --buffer-dir another directory, or --buffer 0"},
		{taken(rel("--record", "{dir}/taken")), "recording: {dir}/taken/lock: another process uses it", "another stripecast records there: give --record another directory"},
		{rel("--record", "{dir}/old"), "{dir}/old: the recording is paused, live goes on: not a directory", "give --record a directory that can be made or written to, with more than 209.7 MB free"},
		{everyBuffer, "64 others keep theirs in {dir}/cache/stripecast", ""},
	}
}

func viewMessages() []message {
	return []message{
		{vi("{link}", "--delay", "1ms"), "bad play-out config: delay 1ms is not from 100ms to 1m0s", "give --delay from 100ms to 1m0s"},
		{vi("{link}", "--from", "yesterday"), `"yesterday" is no moment of a stream: want -5m for five minutes ago, 20:15:00 for when it was last so late here, or start`, "give --from as in --from -5m, --from 20:15:00 or --from start"},
		{vi("{link}", "--player", " "), "the player has no name", "give --player as in --player mpv"},
		{vi("{link}", "--player", "no-such-player"), `exec: "no-such-player": executable file not found in $PATH`, "install no-such-player, name another player, or open the URL in any player"},
		{vi("{link}", "--from", "-5m", "-o", "udp://127.0.0.1:1"), "datagrams go at the pace of what is live, and the past has none", "leave out --from, or give -o a file or -"},
		{vi("{link}", "-o", "{dir}/no/out.ts"), "sink: open {dir}/no/out.ts: no such file or directory", outputHint},
		{vi("{link}", "-o", "udp://127.0.0.1"), "sink: udp://127.0.0.1 is not udp://HOST:PORT", outputHint},
		{ofNoPast, "nobody has anything of the stream", "leave out --from to see what is live"},
		{vi("--engine", "-o", "-"), "--output does not go with --engine", "an engine plays to whoever asks by URL: leave out --output, or view one LINK"},
		{vi("--engine", "--streams", "17"), "17 streams at once are too few or too many", "give --streams from 1 to 16"},
		{line("view", "--engine", "--listen", ":7070"), "several streams cannot share one port", "leave out --listen: each stream has a port of its own; or give --streams 1"},
		{vi("--engine", "--upload", "auto"), "several streams cannot each measure the uplink that they share", "give the cap of all streams together, as in --upload 10M, or --streams 1"},
		{notReady, "busy: the stream is not there yet", ""},
		{noRoom, "busy: 1 streams are played already; --streams allows more", ""},
		{vi(), "accepts 1 arg(s), received 0", "write: stripecast view [LINK] [flags]; stripecast view --help says more"},
		{vi("{link}", "{link}"), "accepts 1 arg(s), received 2", "write: stripecast view [LINK] [flags]; stripecast view --help says more"},
	}
}

func linkMessages() []message {
	return []message{
		{vi(strings.Repeat("x", 5000)), "bad link: longer than 4096 bytes", linkHint},
		{vi("film"), `bad link: "film" does not start with stripecast://`, linkHint},
		{vi("stripecast://film"), `bad link: "stripecast://film" has no @ between stream ID and hosts`, linkHint},
		{vi("stripecast://abc@127.0.0.1:1/x"), `bad link: "abc" is not a stream ID: want 52 letters a-z and digits 2-7`, linkHint},
		{vi("stripecast://" + strings.Repeat("b", 52) + "@127.0.0.1:1/x"), `bad link: "bbbbbbbbbbbbbbbbbbbbbbbb…" is not how a stream ID is written`, linkHint},
		{vi("stripecast://" + strings.Repeat("a", 52) + "@127.0.0.1:1/x"), "bad link: public key is not canonical or has small order", linkHint},
		{vi("stripecast://{id}@127.0.0.1/x"), `bad link: "127.0.0.1" is not host:port`, linkHint},
		{vi("stripecast://{id}@127.0.0.1:0/x"), `bad link: "127.0.0.1:0" has no port from 1 to 65535`, linkHint},
		{vi("stripecast://{id}@1-2.ipv6-literal.net:1/x"), `bad link: "1-2.ipv6-literal.net" is not an IPv6 address`, linkHint},
		{vi("stripecast://{id}@a!b:1/x"), `bad link: "a!b" is not a host name or address`, linkHint},
		{vi("stripecast://{id}@" + strings.Repeat("a:1,", 8) + "a:1/x"), "bad link: 9 hosts, at most 8", linkHint},
		{vi("stripecast://{id}@a:1/%zz"), `bad link: the name "%zz" is malformed or longer than 64 bytes`, linkHint},
	}
}

func poolMessages() []message {
	return []message{
		{line("relay"), "there is no pool to join", "give a link, or --join HOST:PORT, or --new-pool"},
		{line("relay", "{link}", "{link}", "{link}", "{link}", "{link}"), "5 links are too many", "a relay carries at most 4 streams"},
		{line("relay", "{link}", "--allow", "everything"), `"everything" is not a stream ID: want 52 letters a-z and digits 2-7`, "--allow takes stream IDs: what stands before @ in a link, and before the . of a private one's"},
		{line("relay", "{link}", "--allow", stripe.IDOf(host.NewKey()).String()), "the link's stream {short} is not among those allowed", "add its ID to --allow, or leave out --allow"},
		{line("relay", "{link}", "--deny", "everything"), `"everything" is not a stream ID: want 52 letters a-z and digits 2-7`, "--deny takes stream IDs: what stands before @ in a link, and before the . of a private one's"},
		{line("relay", "{link}", "--deny", "{id}"), "the link's stream {short} is among those denied", "take its ID out of --deny, or leave out the link"},
		{line("relay", "--new-pool", "--download", "much"), `"much" is no rate`, rateHint},
		{with("HOME", "", with("XDG_CONFIG_HOME", "", rel("--monthly", "1G"))), "neither $XDG_CONFIG_HOME nor $HOME are defined", "a monthly cap is counted in the user's config directory: set HOME or XDG_CONFIG_HOME, or leave out --monthly"},
		{with("XDG_CONFIG_HOME", "{dir}/old", rel("--monthly", "1G")), "mkdir {dir}/old: not a directory", "a monthly cap is counted there; make the directory writable, or leave out --monthly"},
		{with("XDG_CONFIG_HOME", "{dir}/months", rel("--monthly", "1G")), "{dir}/months/stripecast/relay.month is damaged: it holds no month and bytes", "remove the file, and this month is counted from now on"},
		{line("list"), "no pool is named", "give --join with a member, as in --join pool.example.org:7070"},
		{line("list", "--join", "a:1", "--wait", "1ms"), "a wait of 1ms is too short or too long", "give --wait from 1s to 5m0s"},
		{func(*stage) error { return notCarried(stripe.ID{}) }, "nobody in the pool carries the stream aaaaaaaa", "check that the source runs and that the link is the one it printed last"},
		{func(*stage) error { return unreachable([]string{"127.0.0.1:9"}) }, "no host of the pool answers, tried [127.0.0.1:9] for 15s", "check that a source or relay runs there and that its UDP port is open"},
		{func(*stage) error { return unreachable([]string{"a..b:9"}) }, "no host of the pool answers: lookup a..b: no such host", "check the host names in the link or in --join"},
		{func(*stage) error {
			return (&node{auto: true}).reload(&changes{values: map[string][]string{"upload": {"5M"}}}, nil)
		}, "an uplink that is measured, or is to be, needs a new start", ""},
		{mute, "the participant does not answer", ""},
		{func(*stage) error { return (&flow{count: func() uint64 { return 0 }}).check(time.Now()) }, "no block has come yet", ""},
		{still, "no block has come for 6 s", ""},
		{func(*stage) error { return hasBegun(relay.Status{}, true, nil) }, "nobody is connected", ""},
		{func(*stage) error { return hasBegun(relay.Status{}, false, []stripe.ID{{}}) }, "nobody has told of the stream aaaaaaaa", ""},
		{func(*stage) error {
			return hasBegun(relay.Status{Streams: []relay.StreamStatus{{}}}, false, []stripe.ID{{}})
		}, "nothing of the stream aaaaaaaa has come", ""},
		{nothingToSee, "the source is gone, and nobody holds the past of it", ""},
	}
}

func drillMessages() []message {
	return []message{
		{line("drill", "{link}", "--parents", "99"), "99 parents cannot be cut", "give --parents from 1 to 64, or 0 for the layout's m"},
		{line("drill", "{link}", "--rounds", "0"), "0 rounds are too few or too many", "give --rounds from 1 to 1000"},
		{line("drill", "{link}", "--viewers", "0"), "0 viewers are too few or too many", "give --viewers from 1 to 8: relays let in no more from one address"},
		{line("drill", "{link}", "--every", "1s"), "a round every 1s is too often or too seldom", "give --every from 3s to 10m0s"},
		{line("drill", "{link}", "--listen", "{udp}"), "UDP port is taken by another program: {udp}", "give --listen a port that is free, or :0 for any; several viewers need :0"},
		{func(*stage) error { _, err := (&drill{parents: 1}).cut([]sight{seen(0, "ss", 1, 0)}); return err }, "no parent is left but the source: there is nothing to rehearse", "start relays with stripecast relay LINK, and rehearse again"},
		{func(*stage) error { return (&report{Total: total{Due: 9, Skipped: 2}}).verdict() }, "2 of 9 blocks were skipped", "more relays, so that none feeds a viewer many stripes, or a longer --delay survive more"},
		{func(*stage) error { return errStreamEnded }, "the stream ended before the rehearsal did", "rehearse with a stream that lasts, or with fewer --rounds"},
		{func(*stage) error { return (&rehearsal{}).lacking([]sight{seen(0, "", 0, 0)}) }, "viewer 1 plays nothing", "check with stripecast view LINK that the stream plays"},
		{func(*stage) error { return (&rehearsal{}).lacking([]sight{seen(0, "ss", 1, 0)}) }, "viewer 1 has no parent but the source: there is nothing to rehearse", "the source is never cut; start relays with stripecast relay LINK, and rehearse again"},
		{func(*stage) error { return seen(0, "ab-", 1, 0).unready() }, "is not fed in all stripes", ""},
		{func(*stage) error { _, err := (&demo{}).killMost(nil, nil); return err }, "no parent is left but the source: there is nothing to rehearse", "try more --relays"},
		{line("demo", "--layout", "4"), `bad layout "4": want k+m, as in 16+4`, "give --layout as k+m, as in 16+4"},
		{line("demo", "--relays", "5000"), "too few or too many relays or viewers for one machine", "give --relays from 0 to 100 and --viewers from 1 to 50"},
		{line("demo", "--duration", "-1s"), "a time is below 0", "give --duration and --kill-every of 0 or more"},
		{line("demo", "--drill", "--relays", "0"), "there is nothing to rehearse", "give --drill with --kill-every of 3s or more and at least 1 relay"},
		{line("demo", "--duration", "1ms", "--http", "127.0.0.1:0"), "the time was over before all had joined", "try a longer --duration"},
		{func(*stage) error { return demoVerdict(2, 0, 0) }, "2 blocks were skipped", "this machine may be too busy; try fewer --relays"},
		{func(*stage) error { return demoVerdict(0, 2, 0) }, "2 viewers played nothing", "try a longer --duration"},
		{func(*stage) error { return demoVerdict(0, 0, 2) }, "2 viewers did not reach the end of the stream", "run again with --verbose"},
		{line("relay", "--new-pool", "--listen", "nowhere"), `listen "nowhere": address nowhere: missing port in address`, "check --listen and --advertise"},
		{line("relay", "--new-pool", "--listen", "127.0.0.1:many"), `listen "127.0.0.1:many": lookup udp/many: unknown port`, "check --listen and --advertise"},
		{line("relay", "--new-pool", "--listen", "192.0.2.1:70"), "listen on UDP 192.0.2.1:70: listen udp 192.0.2.1:70: bind: cannot assign requested address", "check --listen and --advertise"},
	}
}

func askMessages() []message {
	return []message{
		{line("status", "nowhere"), `"nowhere" is not host:port`, pageHint},
		{line("status", "127.0.0.1:1"), "nobody answers there: connect: connection refused", pageHint},
		{line("status", "{web}"), "what answers is no stripecast", pageHint},
		{line("status", "{web}", "--json"), "what answers is no stripecast: invalid character '<' looking for beginning of value", pageHint},
		{func(s *stage) error { _, err := fetchAnswer(s.Context(), s.filled("http://{web}/long")); return err }, "the answer is too long", ""},
		{func(s *stage) error { _, err := fetchAnswer(s.Context(), s.filled("http://{web}/none")); return err }, "it answers 404 Not Found", ""},
		{func(s *stage) error { return runStatus(s.Context(), &console{}, nil, false, "http://127.0.0.1:1/") }, "no participant of this user runs here", "start one, or say where its page is: stripecast status HOST:PORT"},
	}
}

func configMessages() []message {
	return []message{
		{line("relay", "--config", "{dir}/none.yaml"), "open {dir}/none.yaml: no such file or directory", "give --config a file that exists"},
		{line("relay", "--config", "{dir}/big.yaml"), "{dir}/big.yaml is larger than 1.0 MB", "docs/stripecast.yaml is an example with every key"},
		{configured("relay:\n  uplaod: 1M\n"), "{dir}/c.yaml:2: there is no key relay.uplaod", "did you mean relay.upload?"},
		{configured("relay:\n  links: x\n  zzzzzzzz: 1\n"), "{dir}/c.yaml:3: there is no key relay.zzzzzzzz", "there are advertise, allow, buffer, buffer-dir, buffer-quota, deny, download, http, join, links, listen, monthly, new-pool, record, stream-upload, upload"},
		{configured("source:\n  loop: perhaps\n"), `{dir}/c.yaml:2: loop: strconv.ParseBool: parsing "perhaps": invalid syntax`, "the command's help says what --loop takes"},
		{configured("relay:\n  upload: [1M]\n"), "{dir}/c.yaml:2: upload must be text, a number, true or false", "quote it if it is meant as text"},
		{configured("relay:\n  allow: [[a]]\n"), "{dir}/c.yaml:2: allow must be text, a number, true or false, or a list of it", "quote it if it is meant as text"},
		{configured("relay:\n  links: {a: b}\n"), "{dir}/c.yaml:2: links must be text, or a list of it", "write what would stand on the command line"},
		{configured("relay: 5\n"), "{dir}/c.yaml:1: here should be keys", "write KEY: VALUE"},
		{configured("verbose: true\n---\nverbose: false\n"), "{dir}/c.yaml:3: a second document", "docs/stripecast.yaml is an example with every key"},
		{configured("relay: [\n"), "{dir}/c.yaml:1: sequence end token ']' not found", "docs/stripecast.yaml is an example with every key"},
		{with("STRIPECAST_BUFFER", "soon", line("relay")), `STRIPECAST_BUFFER=soon: invalid argument "soon" for "--buffer" flag: time: invalid duration "soon"`, "stripecast relay --help says what --buffer takes"},
	}
}

func otherMessages() []message {
	return []message{
		{line("--log-format", "xml"), `"xml" is no format of a log`, "give --log-format text or --log-format json"},
		{line("papers", "{dir}/old"), "mkdir {dir}/old: not a directory", "give a directory that can be written to"},
		{line("watch"), `unknown command "watch" for "stripecast"`, helpHint},
		{line("version", "x"), `unknown command "x" for "stripecast version"`, helpHint},
		{with("HOME", "", with("XDG_DATA_HOME", "", line("desktop", "install"))), "$HOME is not defined", "set HOME, or XDG_DATA_HOME"},
		{with("XDG_DATA_HOME", "{dir}/old", line("desktop", "install")), "mkdir {dir}/old: not a directory", "check that {dir}/old/applications can be written"},
		{with("XDG_DATA_HOME", "{dir}", with("PATH", "{dir}", line("desktop", "install"))), `xdg-mime: exec: "xdg-mime": executable file not found in $PATH`, "install xdg-utils and run: xdg-mime default stripecast.desktop x-scheme-handler/stripecast"},
		{func(*stage) error { return installDesktop(&console{}, "windows", "") }, "this system knows no desktop entries", "give links to: stripecast view LINK --player mpv"},
		{untold, "short write", "run it again with --verbose to see what led to it"},
	}
}
