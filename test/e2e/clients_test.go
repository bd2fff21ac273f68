//go:build unix

package e2e

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// vlc plays a URL without a window, and says every half second where it is and what it
// has shown, until it is told to quit.
func vlc(t testing.TB, name, url string) (p *proc, quit func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	o := options{stdin: r, nobody: true, env: []string{"HOME=/nonexistent", "DISPLAY="}}
	p = launch(t, o, name, "cvlc", "-I", "oldrc", "--rc-fake-tty", "--no-color", "--vout", "dummy", "--aout", "dummy", url)
	r.Close()
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer w.Close()
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				io.WriteString(w, "get_time\nstats\n")
			case <-over:
				io.WriteString(w, "shutdown\n")
				return
			case <-p.exited:
				return
			}
		}
	}()
	return p, func() { close(over); <-done }
}

const (
	vlcPosition = `(?m)^(\d+)\r?$`
	vlcPictures = `frames displayed : +(\d+)`
)

// TestVLC: VLC plays the stream as it is, as HLS, and from the list of channels: its clock
// goes on, and it shows pictures.
func TestVLC(t *testing.T) {
	need(t, "cvlc")
	viewer, _ := startLoop(t)
	playing(t, viewer)
	var players []*proc
	var quits []func()
	for _, path := range []string{"stream", "live/index.m3u8", "channels.m3u"} {
		p, quit := vlc(t, "VLC with "+path, viewer.url+path)
		players, quits = append(players, p), append(quits, quit)
	}
	for i, p := range players {
		advances(t, p, vlcPosition, 2)
		advances(t, p, vlcPictures, 40)
		if found := regexp.MustCompile(`(demux corrupted|discontinuities) +: +[1-9]`).FindString(p.out.String()); found != "" {
			t.Errorf("%s says %s", p.name, found)
		}
		quits[i]()
		p.mustEnd(t, patience)
	}
	noneSkipped(t, viewer)
}

// TestLiquidsoap: a station that liquidsoap makes is pushed as to an Icecast, and what it
// says of the song is the stream's title at a viewer.
func TestLiquidsoap(t *testing.T) {
	need(t, "liquidsoap")
	source, at := pushed(t, "--password", "hackme")
	host, port, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(at, "http://"), "/live"), ":")
	script := writeFile(t, "station.liq", []byte(`
set("init.allow_root", true)
set("log.file", false)
set("log.stdout", true)
s = insert_metadata(sine(440.))
thread.run(delay=1., every=1., fun () -> s.insert_metadata([("artist", "Sine"), ("title", "440")]))
output.icecast(%mp3(bitrate=128), host="`+host+`", port=`+port+`, password="hackme", mount="live", s)
`))
	launch(t, options{}, "liquidsoap", "liquidsoap", script)
	viewer := startViewer(t, "viewer", source.linked(t), "-o", "-")
	playing(t, viewer)
	eventually(t, patience, "the title is known", func() bool {
		st := viewer.status(t)
		return st.Title == "Sine - 440" && st.Media == "mp3"
	})
	eventually(t, patience, "there are two seconds", func() bool { return viewer.out.Len() > 2*16000 })
	if got := interrupted(t, source, viewer); got[0] != 0xff || got[1]&0xe0 != 0xe0 {
		t.Errorf("the viewer's bytes begin with % x, and with no frame of MP3", got[:4])
	}
}
