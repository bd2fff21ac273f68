//go:build unix

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe/ts"
)

// firstTables is how much of the clip comes before the first block that one can start
// at: a relay that joins when that has been sent may begin with that.
const firstTables = 5 * ts.PacketLen

// recorders are relays that record, once they run, and where to join them.
func recorders(t testing.TB, n int, link string) (relays []*node, join string) {
	t.Helper()
	for i := range n {
		r := startRelay(t, fmt.Sprintf("relay %d", i+1), "--record", filepath.Join(t.TempDir(), "kept"), link)
		r.says(t, `recording to .*/kept\n`, patience)
		join = r.says(t, `relaying on (127\.0\.0\.1:\d+)`, patience)[1]
		r.ready(t)
		relays = append(relays, r)
	}
	return relays, join
}

// past is what a participant says of a stream's past.
func (n *node) past(t testing.TB) pastStatus {
	t.Helper()
	return n.status(t).Past
}

// TestRewind: while a stream runs, viewers and players begin in its past and have every
// byte from there to its end. Its start is what relays have that came a little later.
func TestRewind(t *testing.T) {
	t.Parallel()
	const length = 24 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)}, "--upload", "30M")
	relays, _ := recorders(t, 3, link)
	carrying(t, relays...)
	eventually(t, patience, "the stream has run for 8 s", func() bool { return source.status(t).played() > 8 })

	whole := startViewer(t, "viewer from the start", link, "--from", "start", "-o", "-")
	later := startViewer(t, "viewer from 4 s ago", link, "--from", "-4s", "-o", "-")
	live := startViewer(t, "viewer", link, "--buffer", "0")
	playing(t, live)
	now := time.Now()
	clients := []*reader{
		readHTTP(t, "HTTP client from the start", live.url+"stream?from=start"),
		readHTTP(t, "HTTP client from 3 s ago", live.url+"stream?from=-3s"),
		readHTTP(t, "HTTP client from a time of day", live.url+"stream?from="+now.Add(-5*time.Second).Format("15:04:05")),
	}
	if b, err := get(live.url + "stream?from=5m"); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("from 5m: %d bytes, %v", len(b), err)
	}
	whole.says(t, `the past comes at|more than 100 times`, patience)
	source.mustEnd(t, length+patience)
	for i, c := range clients {
		c.mustEnd(t, patience)
		least := len(input) / 4
		if i == 0 {
			least = len(input) * 4 / 5
		}
		mustEndAs(t, c.name, c.Bytes(), input, least)
	}
	for _, v := range []*node{whole, later, live} {
		v.mustEnd(t, patience)
		v.says(t, "the stream has ended", 0)
	}
	mustEndAs(t, whole.name, whole.out.Bytes(), input, len(input)*4/5)
	mustEndAs(t, later.name, later.out.Bytes(), input, len(input)/4)
}

// TestRecording: the source is gone, and three relays have what it sent. Who comes then
// is told so, and plays it to the last byte; players know how long it is, and seek.
func TestRecording(t *testing.T) {
	t.Parallel()
	const length = 20 * time.Second
	input := record(t, 0, length)
	source, link := startSource(t, options{stdin: pace(input, length)}, "--upload", "30M")
	relays, join := recorders(t, 3, link)
	carrying(t, relays...)
	source.mustEnd(t, length+patience)

	saver := startViewer(t, "viewer to standard output", link, "--join", join, "-o", "-", "--no-share")
	saver.says(t, `the source is gone; playing (all|the last) (19|20|21)s`, patience)
	saver.mustEnd(t, 2*patience)
	mustEndAs(t, saver.name, saver.out.Bytes(), input, len(input)-firstTables)

	viewer := startViewer(t, "viewer", link, "--join", join, "--no-share")
	viewer.says(t, `playing live at http://\S+/recording\.m3u8`, patience)
	viewer.ready(t)
	p := viewer.past(t)
	if p.First == 1 {
		input = input[firstTables:]
	}
	if p.Live || p.First > 1 || p.Duration < 19 || p.Duration > 21 {
		t.Errorf("%+v", p)
	}
	if list, err := get(viewer.url + "live.m3u"); err != nil || !bytes.HasSuffix(list, []byte("/recording.m3u8\n")) {
		t.Errorf("%s, %v", list, err)
	}
	checkPieces(t, viewer, input)
	checkRanges(t, viewer, input)
	if b := viewer.past(t); b.Absent != 0 || b.Blocks == 0 {
		t.Errorf("%+v", b)
	}
	viewer.signal(t, syscall.SIGINT)
	viewer.mustEnd(t, patience)
	for _, r := range relays {
		if !r.running() {
			t.Errorf("%s did not stay", r.name)
		}
	}
}

// TestSourceComesBack: a viewer that came when the source was gone plays what is live as
// soon as it is there again: as it was, or started anew.
func TestSourceComesBack(t *testing.T) {
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	for _, anew := range []bool{false, true} {
		t.Run(fmt.Sprintf("started anew %t", anew), func(t *testing.T) {
			t.Parallel()
			key := filepath.Join(t.TempDir(), "key")
			made := stripecast(t, options{}, "key", "key", "new", key)
			made.mustEnd(t, patience)
			at := ownUDP(t)
			start := func() *node {
				n := &node{proc: stripecast(t, options{}, "source", "source", file, "--loop", "--key", key, "--listen="+at, anyHTTP, "--upload", "30M")}
				n.prints(t, `(?m)^stripecast://\S+$`, patience)
				return n
			}
			source := start()
			link := "stripecast://" + strings.TrimSpace(made.out.String()) + "@" + at + "/film"
			relays, join := recorders(t, 3, link)
			carrying(t, relays...)
			eventually(t, patience, "something is recorded", func() bool { return relays[0].past(t).Duration > 3 })
			if anew {
				source.signal(t, syscall.SIGKILL)
				source.exit(t, patience)
			} else {
				source.signal(t, syscall.SIGSTOP)
			}
			pass(4*time.Second, relays[0].proc) // until its last block does not look like one just made
			viewer := startViewer(t, "viewer", link, "--join", join, "--no-share")
			viewer.says(t, `the source is gone; playing`, patience)
			viewer.ready(t)
			if list, err := get(viewer.url + "live.m3u"); err != nil || !bytes.HasSuffix(list, []byte("/recording.m3u8\n")) {
				t.Errorf("%s, %v", list, err)
			}
			before := viewer.status(t)
			if anew {
				source = start()
			} else {
				source.signal(t, syscall.SIGCONT)
			}
			began := time.Now()
			viewer.says(t, `the source is back; playing live at http://\S+/stream`, patience)
			t.Logf("it plays live %v after the source is there again (%s)", time.Since(began).Round(10*time.Millisecond), load())
			if list, err := get(viewer.url + "live.m3u"); err != nil || !bytes.HasSuffix(list, []byte("/film.ts\n")) {
				t.Errorf("%s, %v", list, err)
			}
			client := readHTTP(t, "HTTP client", viewer.url+"stream")
			eventually(t, patience, "a player gets what is live", func() bool { return client.Len() > 100_000 })
			if st := viewer.status(t); !st.Past.Live || (st.Epoch > before.Epoch) != anew {
				t.Errorf("epoch %d after %d; %+v", st.Epoch, before.Epoch, st.Past)
			}
			source.signal(t, syscall.SIGINT)
			viewer.says(t, `the stream has ended`, patience)
			client.mustEnd(t, patience)
			viewer.mustEnd(t, patience)
		})
	}
}

// pieces are the names in a recording's list, in order.
func pieces(t *testing.T, viewer *node) []string {
	t.Helper()
	list, err := get(viewer.url + "recording.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^recording/\d+\.ts$`).FindAllString(string(list), -1)
}

// checkPieces takes a recording as a player does, last piece first; joined they are it.
func checkPieces(t *testing.T, viewer *node, input []byte) {
	t.Helper()
	names := pieces(t, viewer)
	var joined []byte
	for i := len(names) - 1; i >= 0; i-- {
		piece, err := get(viewer.url + names[i])
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 4 && i > 0 && !bytes.Contains(input, piece); n++ { // tables
			piece = piece[ts.PacketLen:]
		}
		joined = append(piece, joined...)
	}
	if len(names) < 4 || !bytes.Equal(joined, input) {
		t.Errorf("%d pieces: %d bytes of %d; %s", len(names), len(joined), len(input), difference(joined, input))
	}
}

// seekable waits until a recording can be sought in by bytes, for which no more than some
// blocks are read.
func seekable(t *testing.T, viewer *node, most uint64) {
	t.Helper()
	began := time.Now()
	eventually(t, 2*patience, "the length of every block is known", func() bool {
		resp, err := http.Head(viewer.url + "recording.ts")
		return err == nil && resp.StatusCode == http.StatusOK && resp.Header.Get("Accept-Ranges") == "bytes"
	})
	if read := viewer.past(t).Blocks; read > most {
		t.Errorf("%d blocks were read for that", read)
	}
	t.Logf("it can be sought in by bytes after %v (%s)", time.Since(began).Round(10*time.Millisecond), load())
}

// checkRanges reads parts of a recording that can be sought in by bytes.
func checkRanges(t *testing.T, viewer *node, input []byte) {
	t.Helper()
	for _, at := range []int{0, len(input) - 1000, len(input) / 2, 12345} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "GET", viewer.url+"recording.ts", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+999))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		want := fmt.Sprintf("bytes %d-%d/%d", at, at+999, len(input))
		if err != nil || resp.StatusCode != 206 || resp.Header.Get("Content-Range") != want || !bytes.Equal(body, input[at:at+1000]) {
			t.Errorf("at %d: %s, %s, %d bytes, %v", at, resp.Status, resp.Header.Get("Content-Range"), len(body), err)
		}
	}
}

// TestPlayersSeek: mpv and ffmpeg know how long a recording is, begin in its middle, and
// decode what they get, by time and by bytes.
func TestPlayersSeek(t *testing.T) {
	if full(0, 1) == 0 {
		t.Skip("takes most of a minute, and TestHalfHour has players seek too: STRIPECAST_FULL=1 go test ./test/e2e -v -run TestPlayersSeek")
	}
	need(t, "ffmpeg", "ffprobe", "mpv")
	const length = 30 * time.Second
	source, link := startSource(t, options{stdin: startEncoder(t, hd(t, length))}, "--upload", "40M")
	relays, join := recorders(t, 3, link)
	carrying(t, relays...)
	source.mustEnd(t, length+patience)
	viewer := startViewer(t, "viewer", link, "--join", join, "--no-share")
	viewer.says(t, `the source is gone`, patience)
	viewer.ready(t)
	list, file := viewer.url+"live.m3u", viewer.url+"recording.ts"

	mpv := launch(t, options{}, "mpv", "mpv", append(words(mpvCommand)[1:], "--start=15", "--length=4", list)...)
	advances(t, mpv, mpvPosition, 3)
	mpv.mustEnd(t, patience)
	first, err := strconv.ParseFloat(regexp.MustCompile(mpvPosition).FindStringSubmatch(mpv.out.String() + mpv.err.String())[1], 64)
	if err != nil || first < 14 || first > 17 {
		t.Errorf("mpv begins at %v s, %v", first, err)
	}
	seekable(t, viewer, 500)
	all := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-i", viewer.url+"recording.m3u8", "-f", "null", "-")
	all.mustEnd(t, time.Minute)
	if all.err.Len() > 0 {
		t.Errorf("ffmpeg on the pieces: %s", tail(all.err.String(), 1000))
	}
	for _, url := range []string{viewer.url + "recording.m3u8", file} {
		probe := launch(t, options{}, "ffprobe", "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", url)
		probe.mustEnd(t, patience)
		if d, err := strconv.ParseFloat(strings.TrimSpace(probe.out.String()), 64); err != nil || d < 29 || d > 31 {
			t.Errorf("%s is %v s long, %v", url, d, err)
		}
		began := time.Now()
		seek := launch(t, options{}, "ffmpeg", "ffmpeg", "-v", "error", "-nostdin", "-ss", "20", "-i", url, "-t", "3", "-f", "null", "-")
		seek.mustEnd(t, patience)
		if seek.err.Len() > 0 {
			t.Errorf("ffmpeg from 20 s of %s: %s", url, tail(seek.err.String(), 1000))
		}
		t.Logf("ffmpeg begins at 20 s of %s and decodes 3 s within %v (%s)", url, time.Since(began).Round(10*time.Millisecond), load())
	}
	byBytes := launch(t, options{}, "mpv", "mpv", append(words(mpvCommand)[1:], "--start=50%", "--length=3", file)...)
	advances(t, byBytes, mpvPosition, 2)
	byBytes.mustEnd(t, patience)
}
