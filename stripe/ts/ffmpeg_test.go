package ts

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// ffmpeg runs one of its programs and returns what it printed, or skips.
func ffmpeg(t *testing.T, program string, args ...string) (stdout, stderr string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: runs ffmpeg")
	}
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if strings.Contains(errs.String(), "Unknown encoder") {
			t.Skipf("ffmpeg has no such encoder: %s", errs.String())
		}
		t.Fatalf("%s %v: %v\n%s", program, args, err, errs.String())
	}
	return out.String(), errs.String()
}

// made is what ffmpeg makes of a test picture and a tone with args.
func made(t *testing.T, name, args string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	in := "-v error -f lavfi -i testsrc2=size=320x180:rate=25:duration=4 -f lavfi -i sine=frequency=440:duration=4 "
	ffmpeg(t, "ffmpeg", append(strings.Fields(in+args), file)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ffmpeg's own streams: how many random access points, and what the oracle reads.
func TestRealTransport(t *testing.T) {
	for name, c := range map[string]struct {
		args   string
		access int // 4 s with a key frame each second
	}{
		"h264":      {"-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -c:a aac -f mpegts", 4},
		"b-frames":  {"-c:v libx264 -preset veryfast -bf 3 -g 25 -sc_threshold 0 -c:a aac -f mpegts", 4},
		"mpeg2":     {"-c:v mpeg2video -g 25 -sc_threshold 1000000000 -b:v 800k -c:a mp2 -f mpegts", 4},
		"hevc":      {"-c:v libx265 -preset ultrafast -x265-params keyint=25:min-keyint=25:scenecut=0:log-level=error -c:a aac -f mpegts", 4},
		"cbr":       {"-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -b:v 500k -c:a aac -f mpegts -muxrate 1500k", 4},
		"two":       {"-c:v libx264 -preset ultrafast -g 25 -sc_threshold 0 -c:a aac -map 0:v -map 1:a -map 0:v -map 1:a -program st=0:st=1 -program st=2:st=3 -f mpegts", 4},
		"audio TS":  {"-map 1:a -c:a aac -f mpegts", -1},
		"audio MP2": {"-map 1:a -c:a mp2 -f mpegts", -1},
	} {
		t.Run(name, func(t *testing.T) {
			b := made(t, "x.ts", c.args)
			if media, ok := Sniff(b[:4096]); media != stripe.MediaTS || !ok {
				t.Errorf("sniffed %v %v", media, ok)
			}
			againstAstits(t, b)
			_, cuts := cutAll(tsConfig(100*ms, stripe.MaxBlock), rand.New(rand.NewPCG(1, 1)), b)
			if !bytes.Equal(joined(cuts), b) {
				t.Fatal("bytes lost")
			}
			access, span := 0, time.Duration(0)
			for i, c := range cuts {
				span += c.Span
				if c.Discontinuity || c.Span > 350*ms { // ffmpeg clocks thin audio every 325 ms
					t.Errorf("block %d: %s", i, brief(c))
				}
				if c.RandomAccess {
					access++
				}
			}
			if c.access >= 0 && access != c.access || c.access < 0 && access < len(cuts)*9/10 {
				t.Errorf("%d of %d blocks are random access points, want %d", access, len(cuts), c.access)
			}
			if span < 3500*ms || span > 4200*ms {
				t.Errorf("%v in %d blocks, want about 4s", span, len(cuts))
			}
			want := float64(len(b)) * 8 / 4
			if rate, ok := Estimate(b); !ok || rate < want/2 || rate > want*2 {
				t.Errorf("estimated %.0f, is %.0f over all", rate, want)
			}
		})
	}
}

func TestRealAudio(t *testing.T) {
	for name, c := range map[string]struct {
		args  string
		media stripe.Media
		exact bool // about one block in 100 ms
	}{
		"x.mp3":  {"-map 1:a -c:a libmp3lame -b:a 128k", stripe.MediaMP3, true},
		"x.mp2":  {"-map 1:a -c:a mp2 -b:a 128k", stripe.MediaMP3, true},
		"x.aac":  {"-map 1:a -c:a aac -b:a 96k -f adts", stripe.MediaAAC, true},
		"x.ogg":  {"-map 1:a -c:a libvorbis", stripe.MediaOgg, false},
		"x.opus": {"-map 1:a -c:a libopus -f ogg", stripe.MediaOgg, false},
		"x.oga":  {"-map 1:a -c:a flac -f ogg", stripe.MediaOgg, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := made(t, name, c.args)
			media, ok := Sniff(b[:min(len(b), 8192)])
			if media != c.media || !ok {
				t.Fatalf("sniffed %v %v", media, ok)
			}
			_, cuts := cutAll(audioConfig(media), rand.New(rand.NewPCG(1, 1)), b)
			if !bytes.Equal(joined(cuts), b) {
				t.Fatal("bytes changed")
			}
			span := time.Duration(0)
			for _, cut := range cuts {
				span += cut.Span
			}
			if span < 3950*ms || span > 4150*ms {
				t.Errorf("%v in %d blocks, want about 4s", span, len(cuts))
			}
			if c.exact && (len(cuts) < 40 || len(cuts) > 42) {
				t.Errorf("%d blocks, want 40 or so", len(cuts))
			}
		})
	}
}

// Several rounds of a clip, and what is left of one after a skip, are a clean
// stream to ffmpeg.
func TestRealLoop(t *testing.T) {
	for name, clip := range map[string]func(*testing.T) []byte{
		"the clip": func(t *testing.T) []byte { return readClip(t) },
		"h264":     func(t *testing.T) []byte { return made(t, "x.ts", "-c:v libx264 -bf 2 -g 25 -c:a aac -f mpegts") },
		"mpeg2":    func(t *testing.T) []byte { return made(t, "x.ts", "-c:v mpeg2video -g 25 -c:a mp2 -f mpegts") },
	} {
		t.Run(name, func(t *testing.T) {
			b := clip(t)
			file := filepath.Join(t.TempDir(), "loop.ts")
			if err := os.WriteFile(file, rounds(t, b, 4), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, errs := ffmpeg(t, "ffmpeg", "-v", "error", "-i", file, "-f", "null", "-"); errs != "" {
				t.Errorf("ffmpeg complains:\n%s", errs)
			}
			for _, stream := range []string{"v:0", "a:0"} {
				checkStamps(t, file, stream, stream == "v:0" && name == "the clip")
			}
		})
	}
}

// checkStamps has ffprobe list a stream's time stamps: DTS must rise, and with
// even, the pictures of the whole file stand 40 ms apart.
func checkStamps(t *testing.T, file, stream string, even bool) {
	t.Helper()
	out, _ := ffmpeg(t, "ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "packet=dts,pts", "-of", "csv=p=0", file)
	last, n := int64(-1<<62), 0
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), ",")
		if len(f) < 2 {
			continue
		}
		dts, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			t.Fatalf("%s: %q", stream, line)
		}
		if dts <= last || even && n > 0 && dts-last != 3600 {
			t.Errorf("%s packet %d: DTS %d after %d", stream, n, dts, last)
		}
		last, n = dts, n+1
	}
	if n < 300 && stream == "v:0" {
		t.Errorf("%s: %d packets in four rounds", stream, n)
	}
}

// ffmpeg takes the marks after a skip for what they say: the counters are in order.
func TestRealGap(t *testing.T) {
	clip := readClip(t)
	_, cuts := cutAll(DefaultConfig(), rand.New(rand.NewPCG(1, 1)), clip)
	next := 12
	for !cuts[next].RandomAccess {
		next++
	}
	complaints := func(marks []byte) int {
		b := append(append(joined(cuts[:8]), marks...), joined(cuts[next:])...)
		file := filepath.Join(t.TempDir(), "gap.ts")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, errs := ffmpeg(t, "ffmpeg", "-v", "debug", "-i", file, "-c", "copy", "-f", "null", "-")
		return strings.Count(errs, "Continuity check failed")
	}
	if n := complaints(nil); n == 0 {
		t.Error("the skip does not show without marks: this test sees nothing")
	}
	if n := complaints(MarkGap(cuts[next].Data)); n != 0 {
		t.Errorf("%d broken counters in spite of the marks", n)
	}
}
