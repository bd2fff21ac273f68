package hls

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/playout/remux"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

const blockLen = 50 * ts.PacketLen

var began = time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)

// feed pushes so much of the clip, looped, and calls each after every block.
func feed(t testing.TB, m *Muxer, length time.Duration, each func()) {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	total := int(float64(len(clip.TS())) * length.Seconds() / l.Period().Seconds())
	for n := 0; n < total; n += blockLen {
		b := make([]byte, blockLen)
		for at := 0; at < len(b); {
			k, err := l.Read(b[at:])
			if err != nil {
				t.Fatal(err)
			}
			at += k
		}
		m.Push(b, false, began.Add(length*time.Duration(n)/time.Duration(total)))
		if each != nil {
			each()
		}
	}
}

// listing is a media playlist, read as a player would.
type listing struct {
	sequence, breaks int
	segments         []entry
	parts            int
	hint             string
	ended            bool
}

type entry struct {
	uri, init string
	duration  float64
	parts     []float64
	broken    bool
}

func read(t testing.TB, text []byte) (l listing) {
	t.Helper()
	var cur entry
	init := ""
	num := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return f
	}
	attribute := func(line, name string) string {
		m := regexp.MustCompile(name + `="?([^",]+)`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no %s in %q", name, line)
		}
		return m[1]
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		tag, value, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-MEDIA-SEQUENCE":
			l.sequence = int(num(value))
		case "#EXT-X-DISCONTINUITY-SEQUENCE":
			l.breaks = int(num(value))
		case "#EXT-X-DISCONTINUITY":
			cur.broken = true
		case "#EXT-X-MAP":
			init = attribute(line, "URI")
		case "#EXT-X-PART":
			cur.parts = append(cur.parts, num(attribute(line, "DURATION")))
			l.parts++
		case "#EXTINF":
			cur.duration = num(strings.TrimSuffix(value, ","))
		case "#EXT-X-PRELOAD-HINT":
			l.hint = attribute(line, "URI")
		case "#EXT-X-ENDLIST":
			l.ended = true
		}
		if !strings.HasPrefix(line, "#") {
			cur.uri, cur.init = line, init
			l.segments, cur = append(l.segments, cur), entry{}
		}
	}
	if len(cur.parts) > 0 || cur.broken {
		cur.init = init
		l.segments = append(l.segments, cur) // under way
	}
	return l
}

// TestLive: half a minute of a stream. At every moment the playlist is one that a
// player may be given, what it names can be had, and it takes bounded room.
func TestLive(t *testing.T) {
	m := New(stripe.MediaTS, 0)
	seen := map[string]string{} // name → content: no file ever changes
	moved := 0
	last := listing{}
	feed(t, m, 40*time.Second, func() {
		l := read(t, m.MediaPlaylist())
		if len(l.segments) == 0 {
			return
		}
		if l.sequence < last.sequence || l.sequence > last.sequence+1 || l.ended || l.breaks != 0 {
			t.Fatalf("%+v after %+v", l, last)
		}
		if l.sequence > last.sequence {
			moved++
		}
		last = l
		total := 0.0
		for i, s := range l.segments {
			open := s.uri == ""
			if open && i != len(l.segments)-1 || s.broken || s.init != "0.mp4" {
				t.Fatalf("segment %d of %+v", i, l)
			}
			sum := 0.0
			for j, d := range s.parts {
				sum += d
				if d > PartTarget.Seconds() || d < 0.85*PartTarget.Seconds() && (j < len(s.parts)-1) {
					t.Fatalf("part %d of segment %d: %v s", j, i, d)
				}
				check(t, m, seen, partName(l.sequence+i, j))
			}
			if open {
				break
			}
			total += s.duration
			if s.duration > SegmentTarget.Seconds() || len(s.parts) > 0 && (sum-s.duration > 1e-4 || s.duration-sum > 1e-4) {
				t.Fatalf("segment %d lasts %v, its parts %v", i, s.duration, sum)
			}
			check(t, m, seen, s.uri)
		}
		check(t, m, seen, "0.mp4")
		if _, _, ok := m.File(l.hint); ok || l.hint == "" {
			t.Fatalf("the hint %q is there", l.hint)
		}
		if l.sequence > 0 && total < 3*SegmentTarget.Seconds() {
			t.Fatalf("the playlist is %v s long", total)
		}
	})
	if kept := len(m.list.segments); moved < 5 || kept > 12 || last.parts > 40 {
		t.Errorf("moved %d times, %d segments and %d parts are kept", moved, kept, last.parts)
	}
	m.End()
	if l := read(t, m.MediaPlaylist()); !l.ended || l.hint != "" || l.segments[len(l.segments)-1].uri == "" {
		t.Errorf("at the end: %+v", l)
	}
}

func check(t *testing.T, m *Muxer, seen map[string]string, name string) {
	t.Helper()
	pieces, mime, ok := m.File(name)
	if all := string(bytes.Join(pieces, nil)); !ok || mime != "video/mp4" || len(all) == 0 {
		t.Fatalf("%s: %v, %d bytes", name, ok, len(all))
	} else if before, again := seen[name]; again && before != all {
		t.Fatalf("%s has changed", name)
	} else {
		seen[name] = all
	}
}

// times is where each fragment of each track begins and ends, in the track's timescale.
func times(t testing.TB, file []byte) (from, to map[int]int) {
	t.Helper()
	from, to = map[int]int{}, map[int]int{}
	be := func(at, n int) (v int) {
		for _, c := range file[at:][:n] {
			v = v<<8 | int(c)
		}
		return v
	}
	for at := 0; ; {
		n := bytes.Index(file[at:], []byte("tfhd"))
		if n < 0 {
			return from, to
		}
		at += n
		track := be(at+8, 4)
		at += bytes.Index(file[at:], []byte("tfdt"))
		begin := be(at+8, 8)
		at += bytes.Index(file[at:], []byte("trun"))
		count, width, p := be(at+8, 4), 8, at+16
		if be(at+4, 4)&0xc00 != 0 {
			width = 16
		}
		if _, ok := from[track]; !ok {
			from[track] = begin
		}
		if end, ok := to[track]; ok && begin != end {
			t.Fatalf("track %d ends at %d and goes on at %d", track, end, begin)
		}
		to[track] = begin
		for i := range count {
			to[track] += be(p+i*width, 4)
		}
		at = p
	}
}

// TestGap: what was skipped is a discontinuity that takes no time, and the same init
// goes on.
func TestGap(t *testing.T) {
	m := New(stripe.MediaTS, 0)
	one := clip.TS()
	half := len(one) * 3 / 8 / blockLen * blockLen
	for at := 0; at < half; at += blockLen {
		m.Push(one[at:at+blockLen], false, began)
	}
	m.Push(one[half+20*blockLen:], true, began)
	m.End()
	l := read(t, m.MediaPlaylist())
	if len(l.segments) != 2 || l.segments[0].broken || !l.segments[1].broken || l.segments[1].init != l.segments[0].init {
		t.Fatalf("%+v", l)
	}
	var files [2][]byte
	for i := range files {
		pieces, _, _ := m.File(fmt.Sprintf("%d.m4s", i))
		files[i] = bytes.Join(pieces, nil)
	}
	_, end := times(t, files[0])
	from, _ := times(t, files[1])
	// In seconds; the longest unit is a picture's 40 ms.
	before, after := max(float64(end[1])/90000, float64(end[2])/32000), float64(from[1])/90000
	if d := after - before; d < -1e-4 || d > 1e-4 {
		t.Errorf("it ends at %v and goes on at %v", before, after)
	}
	if d := float64(from[2])/32000 - after; d < 0 || d > 0.04 {
		t.Errorf("pictures go on at %v, sound %v later", after, d)
	}
}

// TestTimes: without a gap there is no hole and no overlap between parts.
func TestTimes(t *testing.T) {
	m := New(stripe.MediaTS, 0)
	feed(t, m, 14*time.Second, nil)
	m.End()
	var all []byte
	for i := range m.Next() {
		pieces, _, ok := m.File(strconv.Itoa(i) + segmentSuffix)
		if !ok {
			t.Fatalf("segment %d", i)
		}
		all = append(all, bytes.Join(pieces, nil)...)
	}
	from, to := times(t, all)
	if from[1] != 0 || to[1] < 13*90000 || to[2] < 13*32000 || from[2] > 1280 {
		t.Errorf("from %v to %v", from, to)
	}
}

// TestTrackThatStops: if sound or pictures cease or never come, the other goes on.
func TestTrackThatStops(t *testing.T) {
	pid := func(b []byte) int { return int(b[1]&0x1f)<<8 | int(b[2]) }
	counts := map[int]int{}
	for b := clip.TS(); len(b) > 0; b = b[ts.PacketLen:] {
		counts[pid(b)]++
	}
	video, audio := 0, 0
	for p, n := range counts {
		if n > counts[video] {
			video = p
		}
	}
	for p, n := range counts {
		if p != video && n > counts[audio] {
			audio = p
		}
	}
	for name, c := range map[string]struct{ dead, after int }{"no sound": {audio, 0}, "no pictures": {video, 0}, "sound stops": {audio, 300}, "pictures stop": {video, 300}} {
		m := New(stripe.MediaTS, 0)
		l, err := ts.NewLooper(clip.TS())
		if err != nil {
			t.Fatal(err)
		}
		for n := range len(clip.TS()) / ts.PacketLen * 5 {
			b := make([]byte, ts.PacketLen)
			if _, err := l.Read(b); err != nil {
				t.Fatal(err)
			}
			if n >= c.after && pid(b) == c.dead {
				b[1], b[2] = 0x1f, 0xff
			}
			m.Push(b, false, began)
		}
		if l := read(t, m.MediaPlaylist()); len(l.segments) < 4 || !m.Ready() {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestHas: what is waited for, and what is not.
func TestHas(t *testing.T) {
	m := New(stripe.MediaTS, 10)
	if has, never := m.Has(10, 0); has || never {
		t.Error("the first part is there already, or never will be")
	}
	feed(t, m, 5*time.Second, nil)
	next := m.Next()
	parts := len(m.list.segments[len(m.list.segments)-1].parts)
	for _, c := range []struct {
		number, part int
		has, never   bool
	}{
		{next - 2, -1, true, false}, {next - 2, 99, true, false}, {next - 1, -1, false, false},
		{next - 1, parts - 1, true, false}, {next - 1, parts, false, false}, {next, 0, false, false}, {next + 1, 0, false, true},
	} {
		if has, never := m.Has(c.number, c.part); has != c.has || never != c.never {
			t.Errorf("%d.%d: %v, %v; the next is %d, of which %d parts", c.number, c.part, has, never, next, parts)
		}
	}
	m.End()
	if has, _ := m.Has(m.Next(), 0); !has {
		t.Error("after the end something is waited for")
	}
}

// TestGoesOn: who goes on where another was says that it is something else.
func TestGoesOn(t *testing.T) {
	m := New(stripe.MediaTS, 7)
	feed(t, m, 5*time.Second, nil)
	if l := read(t, m.MediaPlaylist()); l.sequence != 7 || !l.segments[0].broken || l.segments[0].init != "7.mp4" || l.segments[1].broken {
		t.Errorf("%+v", l)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string][2]int{"7.m4s": {7, -1}, "7.0.m4s": {7, 0}, "12.34.m4s": {12, 34}} {
		if n, p, ok := ParseName(name); !ok || n != want[0] || p != want[1] {
			t.Errorf("%s: %d, %d, %v", name, n, p, ok)
		}
	}
	for _, name := range []string{"", "m4s", ".m4s", "a.m4s", "-1.m4s", "07.m4s", "1.2.3.m4s", "1..m4s", "+1.m4s", "1.mp4"} {
		if _, _, ok := ParseName(name); ok {
			t.Errorf("%q is a name", name)
		}
	}
}

// TestFull: a stream too thick for the time listed keeps fewer segments, and stays
// below its bound.
func TestFull(t *testing.T) {
	l := &list{}
	const one = maxBytes / 20
	for range 100 {
		l.add(part{data: make([]byte, one), duration: PartTarget}, nil, false, began)
		if l.bytes > maxBytes+one {
			t.Fatalf("%d bytes", l.bytes)
		}
		if len(l.segments) > 1 && l.duration() >= 2*time.Second {
			l.close()
		}
	}
	if l.first == 0 {
		t.Error("nothing has gone")
	}
}

// TestShort: pictures that last next to nothing, each with sets of its own, make no more
// segments than there may be, and long ones do not wait without end.
func TestShort(t *testing.T) {
	m := New(stripe.MediaTS, 0)
	for i := range 3 * maxSegments {
		m.take(remux.Unit{Config: &remux.Config{Video: true, Timescale: 90000}, Time: int64(i), Key: true, Data: []byte{1}})
		m.cut(false)
	}
	if n := len(m.list.segments); n < maxSegments || n > maxSegments+grace+1 {
		t.Errorf("%d segments", n)
	}
	config, picture := &remux.Config{Video: true, Timescale: 90000}, make([]byte, remux.MaxUnit)
	for i := range 40 {
		m.take(remux.Unit{Config: config, Time: int64(i), Key: true, Data: picture})
		m.cut(false)
		waiting := 0
		for _, u := range m.tracks[pictures].units {
			waiting += len(u.Data)
		}
		if waiting > maxWaiting || waiting != m.tracks[pictures].bytes {
			t.Fatalf("%d bytes wait, counted as %d", waiting, m.tracks[pictures].bytes)
		}
	}
}

func TestRefused(t *testing.T) {
	m := New(stripe.MediaOgg, 0)
	m.Push([]byte("OggS"), false, began)
	if m.Refused() == "" || m.Ready() {
		t.Error("Ogg is not refused")
	}
}

// need skips without a program, or fails where it must be.
func need(t *testing.T, programs ...string) {
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

// TestFormats: what ffmpeg makes it can read again, every picture of it, without
// complaint.
func TestFormats(t *testing.T) {
	need(t, "ffmpeg", "ffprobe")
	run := func(dir, program string, args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Dir = dir
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v\n%s", program, err, errs.String())
		}
		return out.String()
	}
	const picture = "-f lavfi -i testsrc2=size=160x96:rate=25:duration=3 "
	const sound = "-f lavfi -i sine=frequency=440:sample_rate=44100:duration=3 "
	for _, c := range []struct {
		file, args string
		media      stripe.Media
		codecs     string
		video      bool
	}{
		{"a.ts", picture + sound + "-c:v libx264 -preset ultrafast -bf 3 -g 25 -c:a libmp3lame", stripe.MediaTS, `avc1\.4D40..,mp4a\.6B`, true},
		{"a.ts", picture + sound + "-c:v libx265 -preset ultrafast -x265-params log-level=error -g 25 -c:a aac", stripe.MediaTS, `hvc1\.1\.6\.L\d+\.90,mp4a\.40\.2`, true},
		{"a.mp3", sound + "-c:a libmp3lame", stripe.MediaMP3, `mp4a\.6B`, false},
		{"a.aac", sound + "-c:a aac", stripe.MediaAAC, `mp4a\.40\.2`, false},
	} {
		dir := t.TempDir()
		run(dir, "ffmpeg", append(strings.Fields("-v error -nostdin "+c.args), c.file)...)
		in, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		m := New(c.media, 0)
		for len(in) > 0 {
			n := min(len(in), blockLen)
			m.Push(in[:n], false, began)
			in = in[n:]
		}
		m.End()
		if !regexp.MustCompile(`CODECS="` + c.codecs + `"`).Match(m.MasterPlaylist()) {
			t.Errorf("%s, want %s", m.MasterPlaylist(), c.codecs)
		}
		var all []byte
		for _, name := range []string{"0.mp4", "0.m4s", "1.m4s", "2.m4s"} {
			pieces, _, _ := m.File(name)
			all = append(all, bytes.Join(pieces, nil)...)
		}
		if err := os.WriteFile(filepath.Join(dir, "all.mp4"), all, 0o600); err != nil {
			t.Fatal(err)
		}
		pictures := run(dir, "ffprobe", strings.Fields("-v warning -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0 all.mp4")...)
		if want := "75"; c.video && strings.TrimSpace(pictures) != want {
			t.Errorf("%s: %s pictures", c.args, pictures)
		}
		run(dir, "ffmpeg", strings.Fields("-v warning -nostdin -i all.mp4 -f null -")...)
	}
}
