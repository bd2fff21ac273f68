//go:build unix

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe/ts"
)

// waiting starts a source whose input is still to come.
func waiting(t testing.TB, args ...string) *node {
	t.Helper()
	args = append([]string{"source", anyUDP, anyHTTP, "--key", filepath.Join(t.TempDir(), "key")}, args...)
	n := &node{proc: stripecast(t, options{}, "source", args...)}
	n.says(t, "waiting for ", patience)
	return n
}

// linked waits for the link of a source whose input has come.
func (n *node) linked(t testing.TB) string {
	t.Helper()
	link := n.prints(t, `(?m)^(stripecast://\S+)$`, patience)[1]
	n.url = n.says(t, `status at (http://\S+/)`, patience)[1]
	return link
}

// watched is what a viewer has once it is so much. Then source and viewer end.
func watched(t testing.TB, source *node, least int) []byte {
	t.Helper()
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	eventually(t, patience, "the viewer has enough", func() bool { return viewer.out.Len() >= least || !viewer.running() })
	return interrupted(t, source, viewer)
}

// interrupted ends a source, and with it a viewer, and returns what that has.
func interrupted(t testing.TB, source, viewer *node) []byte {
	t.Helper()
	source.signal(t, syscall.SIGINT)
	source.mustEnd(t, patience)
	viewer.mustEnd(t, patience)
	return viewer.out.Bytes()
}

// second is the bytes of a second of the clip.
var second = len(clip.TS()) / int(clipTime/time.Second)

// TestDatagrams: what comes by UDP is published, byte for byte.
func TestDatagrams(t *testing.T) {
	free := ownUDP(t)
	source := waiting(t, "udp://"+free)
	to, err := net.Dial("udp", free)
	if err != nil {
		t.Fatal(err)
	}
	input := record(t, 0, 12*time.Second)
	go func() {
		defer to.Close()
		in := pace(input, 12*time.Second)
		for buf := make([]byte, 7*ts.PacketLen); ; {
			n, err := io.ReadFull(in, buf)
			if n == 0 || err != nil {
				return
			}
			to.Write(buf[:n]) // until nobody listens
		}
	}()
	mustBePart(t, "viewer", watched(t, source, second), input, second)
}

// TestMulticast: ffmpeg sends RTP to a group, and a source that joins it on loopback
// publishes it.
func TestMulticast(t *testing.T) {
	need(t, "ffmpeg")
	_, port, _ := net.SplitHostPort(ownUDP(t))
	source := waiting(t, "udp://239.255.70.70:"+port+"?iface=127.0.0.1")
	file := writeFile(t, "clip.ts", record(t, 0, 12*time.Second))
	launch(t, options{}, "sender", "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-map", "0", "-c", "copy",
		"-f", "rtp_mpegts", "rtp://239.255.70.70:"+port+"?localaddr=127.0.0.1&pkt_size=1328")
	mustDecode(t, "viewer", watched(t, source, second))
}

// TestBodyOnTheWeb: a stream on a web server is published, and when the connection is cut
// the stream goes on with the next one.
func TestBodyOnTheWeb(t *testing.T) {
	var asked atomic.Int32
	first, then := record(t, 0, 12*time.Second), record(t, 20*time.Second, 12*time.Second)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		if asked.Add(1) == 1 {
			io.CopyN(w, pace(first, 12*time.Second), int64(2*second))
			panic(http.ErrAbortHandler)
		}
		io.Copy(w, pace(then, 12*time.Second))
	}))
	defer server.Close()
	defer server.CloseClientConnections()
	source := waiting(t, server.URL+"/live.ts")
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	source.says(t, `the input is gone \(.+\); waiting for it …\nthe input is back`, patience)
	eventually(t, patience, "the viewer has both", func() bool { return viewer.out.Len() >= 3*second })
	got := interrupted(t, source, viewer)
	mark := -1
	for at := 0; at < len(got) && mark < 0; at += ts.PacketLen {
		if ts.Packet(got[at : at+ts.PacketLen]).Discontinuity() {
			mark = at
		}
	}
	if mark < 0 {
		t.Fatal("no packet tells of the break")
	}
	mustBePart(t, "viewer, before the break", got[:mark], first, second/2)
	for mark < len(got) && ts.Packet(got[mark:mark+ts.PacketLen]).Discontinuity() {
		mark += ts.PacketLen
	}
	mustBePart(t, "viewer, after it", got[mark:], then, second/2)
}

// TestPlaylistOnTheWeb: a live HLS playlist that ffmpeg writes is followed.
func TestPlaylistOnTheWeb(t *testing.T) {
	need(t, "ffmpeg")
	dir := t.TempDir()
	file := writeFile(t, "clip.ts", record(t, 0, 16*time.Second))
	launch(t, options{}, "packager", "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-map", "0", "-c", "copy",
		"-f", "hls", "-hls_time", "1", "-hls_list_size", "4", "-hls_flags", "temp_file", filepath.Join(dir, "live.m3u8"))
	master := fmt.Sprintf("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=%d\nlive.m3u8\n", 8*second)
	if err := os.WriteFile(filepath.Join(dir, "master.m3u8"), []byte(master), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	eventually(t, patience, "there is a segment", func() bool { _, err := os.Stat(filepath.Join(dir, "live.m3u8")); return err == nil })
	mustDecode(t, "viewer", watched(t, waiting(t, server.URL+"/master.m3u8"), 2*second))
}

// pushed starts a source that lets clients come, and returns where.
func pushed(t testing.TB, args ...string) (source *node, at string) {
	t.Helper()
	source = waiting(t, append([]string{"listen://127.0.0.1:0"}, args...)...)
	return source, source.says(t, `push to (http://\S+/live) `, patience)[1]
}

// TestPushed: ffmpeg pushes MPEG-TS by PUT, and then another by POST, as OBS does; a second
// one at the same time is turned away, and the stream goes on in its epoch.
func TestPushed(t *testing.T) {
	need(t, "ffmpeg", "curl")
	source, at := pushed(t)
	file := writeFile(t, "clip.ts", record(t, 0, 12*time.Second))
	push := func(name, method string) *proc {
		return launch(t, options{}, name, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-method", method, at)
	}
	first := push("first encoder", "PUT")
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	refused := launch(t, options{}, "curl", "curl", "-sS", "-T", file, at)
	refused.mustEnd(t, patience)
	if says := refused.out.String(); !regexp.MustCompile("another source client").MatchString(says) {
		t.Errorf("the second is told %q", says)
	}
	playing(t, viewer)
	epoch := source.status(t).Epoch
	first.signal(t, syscall.SIGKILL)
	source.says(t, "has left", patience)
	push("second encoder", "POST")
	before := viewer.out.Len()
	eventually(t, patience, "the stream goes on", func() bool { return viewer.out.Len() > before+second })
	if now := source.status(t).Epoch; now != epoch {
		t.Errorf("epoch %d after %d", now, epoch)
	}
	if got := interrupted(t, source, viewer); !wholePackets(got) {
		t.Errorf("the viewer has %d bytes, not of whole packets", len(got))
	}
}

// TestSlate: while no source client is there a viewer gets a slate, as MPEG-TS without a
// break; then the next client's stream.
func TestSlate(t *testing.T) {
	need(t, "ffmpeg")
	file := writeFile(t, "clip.ts", record(t, 0, 12*time.Second))
	slate := ffmpeg(t, "slate.ts", join(pictures(2*time.Second, "160x120"), tone(2*time.Second, 220),
		words("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 0 -c:a aac -f mpegts"))...)
	source, at := pushed(t, "--slate", slate)
	push := func(name string) *proc {
		return launch(t, options{}, name, "ffmpeg", "-v", "error", "-nostdin", "-re", "-i", file, "-map", "0", "-c", "copy", "-f", "mpegts", "-method", "PUT", at)
	}
	first := push("encoder")
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	playing(t, viewer)
	first.signal(t, syscall.SIGKILL)
	source.says(t, "showing the slate", patience)
	before := viewer.status(t).Blocks.Played
	eventually(t, patience, "the slate plays", func() bool { return viewer.status(t).Blocks.Played > before+20 })
	push("second encoder")
	source.says(t, "the input is shown again", patience)
	from := viewer.out.Len()
	eventually(t, patience, "the input plays", func() bool { return viewer.out.Len() > from+2*second })
	skipped := viewer.status(t).Blocks.Skipped
	got := interrupted(t, source, viewer)
	if !wholePackets(got) {
		t.Errorf("the viewer has %d bytes, not of whole packets", len(got))
	}
	cutter := ts.NewCutter(ts.DefaultConfig())
	for i, c := range cutter.Write(time.Now(), got) {
		if c.Discontinuity && i > 0 && skipped == 0 {
			t.Errorf("block %d of what the viewer has is broken off from the one before", i)
		}
	}
}

// TestRadio: an Icecast source client brings MP3 with a password, and its titles are in
// the stream's info at a viewer.
func TestRadio(t *testing.T) {
	need(t, "ffmpeg", "curl")
	source, at := pushed(t, "--password", "hackme", "--description", "tones", "--thumbnail", "https://example.org/tones.png")
	mount := strings.Replace(at, "http://", "icecast://source:hackme@", 1)
	launch(t, options{}, "client", "ffmpeg", join(words("-v error -nostdin -re"), tone(12*time.Second, 440),
		words("-c:a libmp3lame -b:a 128k -f mp3 -content_type audio/mpeg "+mount))...)
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	playing(t, viewer)
	admin := strings.Replace(at, "/live", "/admin/metadata?mode=updinfo&mount=/live&song=Sine%20-%20440", 1)
	launch(t, options{}, "curl", "curl", "-sS", "--fail", "-u", "source:hackme", admin).mustEnd(t, patience)
	eventually(t, patience, "the title is known", func() bool {
		st := viewer.status(t)
		return st.Title == "Sine - 440" && st.Description == "tones" && st.Media == "mp3"
	})
	if list := output(t, "curl", "-sS", viewer.url+"channels.m3u"); !strings.Contains(list, ` tvg-logo="https://example.org/tones.png" radio="true",live`) {
		t.Errorf("the list of channels is\n%s", list)
	}
	listener := launch(t, options{}, "listener", "curl", "-sS", "-H", "Icy-MetaData: 1", viewer.url+"stream")
	eventually(t, patience, "a listener hears the title", func() bool {
		return strings.Contains(listener.out.String(), "StreamTitle='Sine - 440';")
	})
	if n := len(interrupted(t, source, viewer)); n < 16000 {
		t.Errorf("the viewer has %d bytes", n)
	}
}

// TestOtherContainers: a Matroska file goes through ffmpeg as it is, and an AVI that
// MPEG-TS cannot hold is coded anew, each to its end.
func TestOtherContainers(t *testing.T) {
	need(t, "ffmpeg")
	for _, c := range []struct {
		name, says string
		file       []string
		more       []string
	}{
		{"clip.mkv", "as it is coded", []string{"-i", writeFile(t, "clip.ts", record(t, 0, clipTime)), "-map", "0", "-c", "copy"}, nil},
		{"clip.avi", "anew, with 300 kbit/s", join(pictures(clipTime, "160x120"), tone(clipTime, 440), words("-c:v mjpeg -c:a pcm_s16le")), []string{"--transcode=300k"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := ffmpeg(t, c.name, c.file...)
			source, link := startSource(t, options{}, append(c.more, file)...)
			source.says(t, "ffmpeg .*"+c.name+".* "+c.says, patience)
			viewer := startViewer(t, "viewer", link, "-o", "-")
			playing(t, viewer)
			source.mustEnd(t, patience)
			viewer.mustEnd(t, patience)
			mustDecode(t, "viewer", viewer.out.Bytes())
			if n := viewer.out.Len(); n < 30_000 {
				t.Errorf("the viewer has %d bytes", n)
			}
		})
	}
	dull := ffmpeg(t, "dull.avi", join(pictures(time.Second, "160x120"), words("-c:v mjpeg"))...)
	args := []string{"source", anyUDP, anyHTTP, "--key", filepath.Join(t.TempDir(), "key"), dull}
	checkMistake(t, mistake{name: "a codec that MPEG-TS cannot hold", code: 1, says: "cannot hold", hint: "--transcode"}, stripecast(t, options{}, "source", args...), patience)
}

// TestProgramAgain: a stream by RTMP goes through ffmpeg; when its other end is
// gone and comes back, ffmpeg is started again and the stream goes on.
func TestProgramAgain(t *testing.T) {
	need(t, "ffmpeg")
	_, port, _ := net.SplitHostPort(ownUDP(t))
	url := "rtmp://127.0.0.1:" + port + "/live/x"
	file := writeFile(t, "clip.ts", record(t, 0, 12*time.Second))
	serve := func(name string) *proc {
		p := launch(t, options{}, name, "ffmpeg", "-v", "info", "-nostdin", "-re", "-i", file, "-c", "copy", "-f", "flv", "-listen", "1", url)
		p.says(t, "Input #0", patience)
		return p
	}
	first := serve("server")
	source := waiting(t, url)
	source.says(t, "ffmpeg packs rtmp://", patience)
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	playing(t, viewer)
	first.signal(t, syscall.SIGKILL)
	source.says(t, `the input is gone \(ffmpeg`, patience)
	serve("server again")
	source.says(t, "the input is back", patience)
	before := viewer.out.Len()
	eventually(t, patience, "the stream goes on", func() bool { return viewer.out.Len() > before+second })
	if got := interrupted(t, source, viewer); !wholePackets(got) {
		t.Errorf("the viewer has %d bytes, not of whole packets", len(got))
	}
}

// TestStation: files of different kinds follow each other for ever, as one stream with one
// clock, and a viewer knows what plays.
func TestStation(t *testing.T) {
	need(t, "ffmpeg")
	const each = 2 * time.Second
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"One.mkv": join(pictures(each, "160x120"), tone(each, 440), words("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac")),
		"Two.ts":  join(pictures(each, "320x180"), tone(each, 880), words("-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -bf 2 -c:a aac -f mpegts")),
	} {
		if err := os.Rename(ffmpeg(t, name, args...), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	source, link := startSource(t, options{}, "--playlist", dir)
	viewer := startViewer(t, "viewer", link, "-o", "-")
	playing(t, viewer)
	var titles []string
	eventually(t, patience, "three titles", func() bool {
		if now := viewer.status(t).Title; len(titles) == 0 || now != titles[len(titles)-1] {
			titles = append(titles, now)
		}
		return len(titles) == 3
	})
	skipped := viewer.status(t).Blocks.Skipped
	source.signal(t, syscall.SIGINT)
	source.mustEnd(t, patience)
	viewer.mustEnd(t, patience)
	if titles[0] != titles[2] || titles[0]+titles[1] != "OneTwo" && titles[0]+titles[1] != "TwoOne" {
		t.Errorf("titles %q", titles)
	}
	cutter, broken := ts.NewCutter(ts.DefaultConfig()), 0
	for _, c := range cutter.Write(time.Now(), viewer.out.Bytes()) {
		if c.Discontinuity {
			broken++
		}
	}
	if broken > 0 && skipped == 0 {
		t.Errorf("%d discontinuities in %d bytes", broken, viewer.out.Len())
	}
}
