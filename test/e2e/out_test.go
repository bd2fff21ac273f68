//go:build unix

package e2e

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startLoop is a source that sends the built-in clip for ever, and a viewer of it that
// plays.
func startLoop(t testing.TB, args ...string) (viewer *node, link string) {
	t.Helper()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, link = startSource(t, options{}, file, "--loop", "--name", "clip", "--upload", "40M")
	viewer = startViewer(t, "viewer", link, args...)
	playing(t, viewer)
	return viewer, link
}

// output is what a program that ends by itself prints.
func output(t testing.TB, program string, args ...string) string {
	t.Helper()
	p := launch(t, options{}, program, program, args...)
	p.mustEnd(t, patience)
	return p.out.String() + p.err.String()
}

// TestLiveHLS: ffprobe finds picture and sound, ffmpeg decodes it without complaint and
// mpv plays it, while the live edge moves.
func TestLiveHLS(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "mpv", "curl")
	viewer, _ := startLoop(t)
	url := viewer.url + "live/index.m3u8"
	if st := viewer.status(t); len(st.URLs) != 4 || st.URLs[3] != url {
		t.Errorf("the status names %q", st.URLs)
	}
	found := output(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv=p=0", url)
	if !strings.Contains(found, "h264,640") || !strings.Contains(found, "aac") {
		t.Errorf("ffprobe finds %q", found)
	}
	hint := func() string {
		text := output(t, "curl", "-sS", "--fail", viewer.url+"live/stream.m3u8")
		m := regexp.MustCompile(`PRELOAD-HINT:TYPE=PART,URI="([^"]+)"`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no hint in\n%s", text)
		}
		return m[1]
	}
	before := hint()
	mpv := launch(t, options{}, "mpv", "mpv", append(words(mpvCommand)[1:], "--length=2", url)...)
	// It is allowed to find the tables of each segment anew.
	decoder := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-i", url, "-t", "3", "-f", "null", "-")
	if after := hint(); after == before {
		eventually(t, patience, "the live edge moves", func() bool { return hint() != before })
	}
	// What comes next is waited for.
	if b, err := exec.Command("curl", "-sS", "--fail", "--max-time", "10", viewer.url+"live/"+hint()).Output(); err != nil || !strings.Contains(string(b), "moof") {
		t.Errorf("the part that comes next: %d bytes, %v", len(b), err)
	}
	advances(t, mpv, mpvPosition, 1)
	mpv.mustEnd(t, patience)
	decoder.mustEnd(t, patience)
	if decoder.err.Len() > 0 {
		t.Errorf("ffmpeg: %s", decoder.err)
	}
	noneSkipped(t, viewer)
}

// TestHLSCannot: a codec that cannot be in it is told, and where to go instead.
func TestHLSCannot(t *testing.T) {
	need(t, "ffmpeg", "curl")
	file := ffmpeg(t, "old.ts", join(pictures(3*time.Second, "320x240"), words("-c:v mpeg2video -g 12 -f mpegts"))...)
	_, link := startSource(t, options{}, file, "--loop", "--upload", "40M")
	viewer := startViewer(t, "viewer", link)
	playing(t, viewer)
	said := output(t, "curl", "-sS", "-w", "%{http_code}", viewer.url+"live/index.m3u8")
	if !strings.Contains(said, "MPEG-2 video") || !strings.Contains(said, viewer.url+"stream") || !strings.HasSuffix(said, "415") {
		t.Errorf("%q", said)
	}
}

// TestListeners: what ffprobe and curl get of a radio's name and title, and that the stream
// between the titles is the source's.
func TestListeners(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "curl")
	file := ffmpeg(t, "tone.mp3", join(tone(30*time.Second, 440), words("-c:a libmp3lame -b:a 128k"))...)
	_, link := startSource(t, options{}, file, "--name", "tone", "--upload", "40M")
	viewer := startViewer(t, "viewer", link)
	playing(t, viewer)
	url := viewer.url + "stream"
	found := output(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name:format_tags", "-of", "flat", url)
	for _, want := range []string{`codec_name="mp3"`, `icy_name="tone"`, `StreamTitle="tone"`, `icy_br="1`} {
		if !strings.Contains(found, want) {
			t.Errorf("no %s in what ffprobe finds:\n%s", want, found)
		}
	}
	titled := launch(t, options{}, "curl", "curl", "-sS", "-i", "-H", "Icy-MetaData: 1", "--max-time", "30", url)
	eventually(t, patience, "a title comes", func() bool { return titled.out.Len() > 20000 })
	head, body, _ := strings.Cut(titled.out.String(), "\r\n\r\n")
	if !strings.Contains(strings.ToLower(head), "icy-metaint: 16000\r\n") {
		t.Fatalf("no interval in\n%s", head)
	}
	const title = "StreamTitle='tone';"
	if len(body) < 16000+33 || body[16000] != 2 || strings.TrimRight(body[16001:][:32], "\x00") != title {
		t.Errorf("at the title's place: %q", body[16000:min(16033, len(body))])
	}
	if input := string(readFile(t, file)); !strings.Contains(input, body[:16000]+body[16033:20000]) {
		t.Error("what is between the titles is not the source's")
	}
}

// TestPlayedDatagrams: ffmpeg takes a viewer's datagrams, and mpv and ffprobe its lists.
func TestPlayedDatagrams(t *testing.T) {
	need(t, "ffmpeg", "ffprobe", "curl")
	to := "udp://" + ownUDP(t)
	viewer, link := startLoop(t, "-o", to)
	// It begins in the middle, and looks for a key picture.
	receiver := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-i", to+"?timeout=10000000", "-map", "0", "-t", "2", "-c", "copy", "-f", "mpegts", "-")
	channels := output(t, "curl", "-sS", "--fail", viewer.url+"channels.m3u")
	id, _, _ := strings.Cut(strings.TrimPrefix(link, "stripecast://"), "@")
	want := "#EXTM3U\n#EXTINF:-1 tvg-id=\"" + id + "\" tvg-name=\"clip\" group-title=\"stripecast\",clip\n" + viewer.url + "clip.ts\n"
	if channels != want {
		t.Errorf("%q, want %q", channels, want)
	}
	if list := output(t, "curl", "-sS", "--fail", viewer.url+"live.xspf"); !strings.Contains(list, "<location>"+viewer.url+"clip.ts</location>") {
		t.Errorf("%s", list)
	}
	receiver.mustEnd(t, patience)
	got := receiver.out.Bytes()
	if len(got) < 100_000 || !wholePackets(got) {
		t.Errorf("%d bytes came", len(got))
	}
	mustDecode(t, "the receiver", got)
	noneSkipped(t, viewer)
}

// TestList: who looks at a pool sees both its streams, with what their sources signed,
// and can watch by the link that it prints.
func TestList(t *testing.T) {
	viewer, link := startLoop(t)
	at := regexp.MustCompile(`@([^/]+)/`).FindStringSubmatch(link)[1]
	file := writeFile(t, "other.ts", record(t, 0, clipTime))
	startSource(t, options{}, file, "--loop", "--name", "another", "--join", at)
	var list []struct {
		Stream, Name, Link, Media, Layout string
		Rate                              float64
		Source                            bool
		Relays                            int
		Free                              int `json:"free_slots"`
		Spare                             int `json:"spare_stripes"`
	}
	p := stripecast(t, options{}, "list", "list", "--join", at, "--json", "--listen", "127.0.0.1:0")
	p.mustEnd(t, patience)
	if err := json.Unmarshal(p.out.Bytes(), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v\n%s", err, p.out)
	}
	if l := list[0]; l.Name != "another" || list[1].Name != "clip" {
		t.Errorf("%+v", list)
	}
	l, st := list[1], viewer.status(t)
	if l.Link != link || l.Stream != st.Stream || l.Rate != st.Rate || l.Media != "ts" || l.Layout != st.Layout ||
		!l.Source || l.Relays < 1 || l.Free < 1 || l.Spare < 0 {
		t.Errorf("%+v; the link is %s", l, link)
	}
	table := stripecast(t, options{}, "list", "list", "--join", at, "--listen", "127.0.0.1:0")
	table.mustEnd(t, patience)
	if lines := strings.Split(table.out.String(), "\n"); len(lines) != 4 || !strings.HasPrefix(lines[2], "clip ") || !strings.HasSuffix(lines[2], link) {
		t.Errorf("%s", table.out)
	}
}

// TestEngine: one program plays what URLs name: two streams at once, no third, and the
// next when one is left.
func TestEngine(t *testing.T) {
	need(t, "ffprobe", "curl")
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, one := startSource(t, options{}, file, "--loop", "--name", "one", "--upload", "40M")
	_, two := startSource(t, options{}, file, "--loop", "--name", "two", "--upload", "40M")
	engine := &node{proc: stripecast(t, options{}, "engine", "view", "--engine", anyHTTP, "--streams", "1", "--listen=127.0.0.1:0")}
	engine.ready(t)
	base := engine.url + "play/"
	path := func(link string) string { return strings.TrimPrefix(link, "stripecast://") }
	curl := launch(t, options{}, "curl", "curl", "-sS", "--fail", "--max-time", "30", base+path(one)+".ts")
	eventually(t, patience, "the first stream plays", func() bool { return curl.out.Len() > 200_000 })
	if said := output(t, "curl", "-sS", "-w", "%{http_code}", base+path(two)+".ts"); !strings.Contains(said, "--streams") || !strings.HasSuffix(said, "503") {
		t.Errorf("a second of one: %q", said)
	}
	channels := output(t, "curl", "-sS", "--fail", engine.url+"channels.m3u")
	if !strings.Contains(channels, `group-title="stripecast",one`+"\n"+base+path(one)+".ts\n") {
		t.Errorf("%s", channels)
	}
	if st := engine.status(t); st.Role != "engine" || len(st.Streams) != 1 {
		t.Errorf("%+v", st)
	}
	if said := output(t, "curl", "-sS", "-w", "%{http_code}", base+"nonsense/x.ts"); !strings.HasSuffix(said, "400") {
		t.Errorf("nonsense: %q", said)
	}
	if got := curl.out.Bytes(); !wholePackets(got[:len(got)/188*188]) {
		t.Error("what came is no transport stream")
	}
	curl.signal(t, syscall.SIGTERM)
	eventually(t, patience, "the next is played when the first is left", func() bool {
		return strings.HasSuffix(output(t, "curl", "-sS", "-I", "-w", "%{http_code}", base+path(two)+".ts"), "200")
	})
	engine.says(t, "closed one", patience)
	found := output(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", base+path(two)+".m3u8")
	if !strings.Contains(found, "h264") || !strings.Contains(found, "aac") {
		t.Errorf("ffprobe finds %q", found)
	}
	engine.signal(t, syscall.SIGINT)
	engine.mustEnd(t, patience)
}
