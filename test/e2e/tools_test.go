//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// need skips a test on a machine without these programs, or fails it where they
// must be.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("STRIPECAST_REQUIRE_TOOLS") == "1" {
			t.Fatalf("%s is missing, and STRIPECAST_REQUIRE_TOOLS is 1", p)
		}
		t.Skipf("%s is missing", p)
	}
}

// full is how long a test runs by default, and with STRIPECAST_FULL=1.
func full(usual, long time.Duration) time.Duration {
	if os.Getenv("STRIPECAST_FULL") == "1" && !testing.Short() {
		return long
	}
	return usual
}

// ffmpeg makes a file and returns its path.
func ffmpeg(t testing.TB, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	args = append(append([]string{"-v", "error", "-nostdin"}, args...), out)
	p := launch(t, options{}, "ffmpeg", "ffmpeg", args...)
	p.mustEnd(t, 5*time.Minute)
	return out
}

// Pictures and tone for ffmpeg to code.
func pictures(d time.Duration, size string) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=25:duration=%d", size, int(d.Seconds()))}
}

func tone(d time.Duration, hz int) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=%d:sample_rate=48000:duration=%d", hz, int(d.Seconds()))}
}

func join(parts ...[]string) (all []string) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func words(s string) []string { return strings.Fields(s) }

// hd is 720p at 4 Mbit/s.
func hd(t testing.TB, d time.Duration) string {
	return ffmpeg(t, "hd.ts", join(pictures(d, "1280x720"), tone(d, 440),
		words("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -b:v 3700k -minrate 3700k -maxrate 3700k -bufsize 1850k -x264-params nal-hrd=cbr"),
		words("-c:a aac -b:a 128k -f mpegts"))...)
}

// encoder is ffmpeg that sends a file at its pace, as a camera would, and what
// it has sent.
type encoder struct {
	io.Reader
	sent text
}

func startEncoder(t testing.TB, file string) *encoder {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	launch(t, options{stdout: w}, "encoder", "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file,
		"-map", "0", "-c", "copy", "-f", "mpegts", "-")
	w.Close()
	e := &encoder{}
	e.Reader = io.TeeReader(r, &e.sent)
	return e
}

// mustDecode wants a decoder to have nothing to complain of.
func mustDecode(t testing.TB, who string, b []byte) {
	t.Helper()
	p := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-i", writeFile(t, "out.ts", b), "-f", "null", "-")
	p.mustEnd(t, 2*time.Minute)
	if p.err.Len() > 0 {
		t.Errorf("%s does not decode:\n%s", who, tail(p.err.String(), 1000))
	}
}

// TestLiveEncoder: 4 Mbit/s from an encoder, and a relay that dies.
func TestLiveEncoder(t *testing.T) {
	need(t, "ffmpeg")
	length := full(15*time.Second, time.Minute)
	enc := startEncoder(t, hd(t, length))
	source, link := startSource(t, options{stdin: enc}, "--upload", "40M")
	relays := startRelays(t, 8, link)
	carrying(t, relays...)
	var viewers []*node
	for i := range 5 {
		viewers = append(viewers, startViewer(t, fmt.Sprintf("viewer %d", i+1), link, "-o", "-"))
	}
	playing(t, viewers...)
	keepPlaying(t, length/10, viewers...)
	relays[busiest(t, relays)].signal(t, syscall.SIGKILL)
	keepPlaying(t, length/5, viewers...)
	source.mustEnd(t, length+patience)
	sent := enc.sent.Bytes()
	for _, v := range viewers {
		v.mustEnd(t, patience)
		mustEndAs(t, v.name, v.out.Bytes(), sent, len(sent)/4)
		mustDecode(t, v.name, v.out.Bytes())
	}
	t.Logf("%d bytes to each of %d viewers (%s)", len(sent), len(viewers), load())
}

// TestFormats: whatever goes in comes out, byte for byte from its first, at a
// viewer that was there before it began, and at one on HTTP.
func TestFormats(t *testing.T) {
	need(t, "ffmpeg")
	const length = 8 * time.Second
	video, sound := pictures(length, "640x360"), tone(length, 440)
	for _, f := range []struct {
		name, file string
		args       []string
		decode     bool
	}{
		{"H.264 and AAC", "avc.ts", join(video, sound, words("-c:v libx264 -preset ultrafast -g 25 -b:v 1M -c:a aac -f mpegts")), true},
		{"MPEG-2 and MP2", "mpeg2.ts", join(video, sound, words("-c:v mpeg2video -g 12 -b:v 2M -c:a mp2 -f mpegts")), true},
		{"HEVC and AAC", "hevc.ts", join(video, sound, words("-c:v libx265 -preset ultrafast -g 25 -b:v 1M -x265-params log-level=error -c:a aac -f mpegts")), true},
		{"two programmes", "two.ts", join(video, sound, video, tone(length, 880), words(
			"-map 0 -map 1 -map 2 -map 3 -program title=one:st=0:st=1 -program title=two:st=2:st=3"+
				" -c:v libx264 -preset ultrafast -g 25 -b:v 800k -c:a aac -f mpegts")), true},
		{"sound alone in TS", "radio.ts", join(sound, words("-c:a mp2 -b:a 192k -f mpegts")), true},
		{"MP3", "tone.mp3", join(sound, words("-c:a libmp3lame -b:a 128k")), false},
		{"AAC", "tone.aac", join(sound, words("-c:a aac -b:a 96k -f adts")), false},
		{"Ogg", "tone.ogg", join(sound, words("-c:a libvorbis -b:a 96k")), false},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			file := ffmpeg(t, f.file, f.args...)
			input := readFile(t, file)
			pool := startRelay(t, "pool", "--new-pool")
			at := pool.says(t, `--join (127\.0\.0\.1:\d+)`, patience)[1]
			key := filepath.Join(t.TempDir(), "key")
			made := stripecast(t, options{}, "key", "key", "new", key)
			made.mustEnd(t, patience)
			link := "stripecast://" + strings.TrimSpace(made.out.String()) + "@" + at + "/" + f.file
			early := startViewer(t, "viewer from the start", link, "-o", "-")
			early.says(t, "asking the pool", patience)
			began := time.Now()
			source, _ := startSource(t, options{}, file, "--key", key, "--join", at)
			early.ready(t)
			client := readHTTP(t, "HTTP client", early.url+"stream")
			source.mustEnd(t, length+patience)
			took := time.Since(began)
			early.mustEnd(t, patience)
			client.mustEnd(t, patience)
			if got := early.out.Bytes(); !bytes.Equal(got, input) {
				t.Errorf("viewer from the start: %d bytes of %d; %s (%s)", len(got), len(input), difference(got, input), load())
			}
			mustEndAs(t, client.name, client.Bytes(), input, len(input)/2)
			if f.decode {
				mustDecode(t, client.name, client.Bytes())
			}
			if took < length*3/4 || took > length*3/2+patience/2 {
				t.Errorf("%v were sent in %v", length, took)
			}
			t.Logf("%d bytes, %v of media in %v (%s)", len(input), length, took.Round(100*time.Millisecond), load())
		})
	}
}

// TestEgress: the source's upload hardly depends on how many watch.
func TestEgress(t *testing.T) {
	// Each stripe goes to two relays at once, twenty shards for sixteen; the rest
	// is headers, proofs and control.
	const most = 1.1 * 2 * 20 / 16
	measured := full(12*time.Second, 40*time.Second)
	// The clip's 1.5 Mbit/s in longer blocks: shards as long as those of 4 Mbit/s, for
	// less than half of the work. Participants that wait for a CPU feed others too
	// late, and who is not fed in time goes to the source.
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--block", "250ms", "--upload", "200M")
	relays := startRelays(t, 8, link, "--upload", "20M")
	carrying(t, relays...)
	var viewers []*node
	for _, n := range []int{5, 12} {
		for len(viewers) < n { // one by one: this is no flash crowd
			v := startViewer(t, fmt.Sprintf("viewer %d", len(viewers)+1), link, "-o", os.DevNull)
			playing(t, v)
			viewers = append(viewers, v)
		}
		keepPlaying(t, 5*time.Second, viewers...) // what newcomers burst is over
		from := source.status(t)
		pass(measured, source.proc)
		to := source.status(t)
		factor := float64(to.Bytes.Out-from.Bytes.Out) / float64(to.Bytes.Payload-from.Bytes.Payload)
		t.Logf("%d relays and %d viewers: the source sends %.2f × the stream (%.1f Mbit/s) to %d children, at most %.2f; %s", len(relays), n, factor,
			float64(to.Bytes.Payload-from.Bytes.Payload)*8/measured.Seconds()/1e6, to.Children, most, load())
		if factor > most {
			t.Errorf("the source sends %.2f × the stream to %d viewers, want at most %.2f", factor, n, most)
		}
		noneSkipped(t, viewers...)
	}
}

// advances wants a player's clock to go on by so many seconds.
func advances(t testing.TB, p *proc, pattern string, seconds float64) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	at := func() (first, last float64, ok bool) {
		all := re.FindAllStringSubmatch(p.out.String()+p.err.String(), -1)
		if len(all) < 2 {
			return 0, 0, false
		}
		fmt.Sscan(all[0][1], &first)
		fmt.Sscan(all[len(all)-1][1], &last)
		return first, last, true
	}
	var first, last float64
	if !poll(patience, func() (ok bool) {
		gone := !p.running()
		first, last, ok = at()
		return gone || ok && last-first >= seconds
	}) || last-first < seconds {
		t.Fatalf("%s played from %.1f to %.1f s (%s)\n%s", p.name, first, last, load(), tail(p.out.String()+p.err.String(), 1000))
	}
}

const (
	mpvCommand  = "mpv --no-config --vo=null --ao=null --msg-level=all=warn,statusline=status --term-status-msg=pos=${=time-pos}"
	mpvPosition = `pos=(\d+\.\d+)`
)

// TestPlayers: real players play it, from the URL and started by us, and end.
func TestPlayers(t *testing.T) {
	need(t, "ffmpeg", "ffplay", "mpv", "curl")
	const length = 24 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)}, "--upload", "30M")
	relays := startRelays(t, 3, link)
	carrying(t, relays...)
	viewer := startViewer(t, "viewer", link)
	playing(t, viewer)
	url := viewer.url + "stream"
	list := viewer.url + "live.m3u"

	var curls []*proc
	for i := range 20 {
		curls = append(curls, launch(t, options{}, fmt.Sprintf("curl %d", i+1), "curl", "-sS", "--fail", "--max-time", "60", url))
	}
	quiet := options{env: []string{"SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy"}}
	mpv := launch(t, options{}, "mpv", "mpv", append(words(mpvCommand)[1:], "--length=3", list)...)
	ffplay := launch(t, quiet, "ffplay", "ffplay", "-nodisp", "-autoexit", "-t", "4", "-stats", "-i", url)
	decoder := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-t", "4", "-f", "null", "-")
	started := startViewer(t, "viewer with mpv", link, "--player", mpvCommand)
	quits := startViewer(t, "viewer whose mpv quits", link, "--player", mpvCommand+" --length=2")
	killed := startViewer(t, "viewer with mpv, interrupted", link, "--player", mpvCommand)

	advances(t, mpv, mpvPosition, 2)
	mpv.mustEnd(t, patience)
	advances(t, ffplay, `(\d+\.\d+) +M-A:`, 2)
	ffplay.mustEnd(t, patience)
	decoder.mustEnd(t, patience)
	if decoder.err.Len() > 0 {
		t.Errorf("ffmpeg on the URL: %s", decoder.err)
	}
	advances(t, quits.proc, mpvPosition, 1)
	quits.mustEnd(t, patience)
	advances(t, killed.proc, mpvPosition, 2)
	killed.signal(t, syscall.SIGINT)
	killed.mustEnd(t, patience)
	advances(t, started.proc, mpvPosition, 3)

	source.mustEnd(t, length+patience)
	for _, c := range curls {
		c.mustEnd(t, patience)
		mustEndAs(t, c.name, c.out.Bytes(), input, len(input)/3)
	}
	viewer.mustEnd(t, patience)
	started.mustEnd(t, patience) // its mpv plays to the end and quits
	for _, v := range []*node{started, quits, killed} {
		if err := syscall.Kill(-v.cmd.Process.Pid, 0); err != syscall.ESRCH {
			t.Errorf("%s left its player running", v.name)
		}
	}
	t.Log(load())
}
