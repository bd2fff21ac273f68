package station

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

func mp3(frames int) (b []byte) {
	for range frames {
		b = append(append(b, 0xff, 0xfb, 0x94, 0xc0), make([]byte, 380)...)
	}
	return b
}

func adts(frames int) (b []byte) {
	for range frames {
		b = append(append(b, 0xff, 0xf1, 0x4c, 0x80, 0x1f, 0xff, 0xfc), make([]byte, 248)...)
	}
	return b
}

// files makes a directory with these files.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const feed = `<?xml version="1.0"?><rss version="2.0"><channel><title>Show</title>
<item><title>Second &amp; last</title><enclosure url="%s" type="audio/mpeg" length="1"/></item>
<item><title>No sound</title></item>
<item><enclosure url="https://example.org/a/first.mp3?x=1"/></item></channel></rss>`

func TestList(t *testing.T) {
	dir := files(t, map[string]string{
		"b.mp3": "", "a.TS": "", "c.txt": "", ".d.mp3": "", "sub.mp3/e.mp3": "",
		"list.m3u":  "#EXTM3U\n#EXTINF:1,Two - Words\nsub.mp3/e.mp3\n/abs/f.ogg\nhttp://example.org/x/g.aac\nfile:///h.mp3\n",
		"feed.xml":  fmt.Sprintf(feed, "http://example.org/last.mp3"),
		"hls.m3u8":  "#EXTM3U\n#EXT-X-TARGETDURATION:3\n1.ts\n",
		"bad.xml":   "<rss><channel>",
		"local.xml": fmt.Sprintf(feed, "/etc/passwd"),
		"empty.m3u": "#EXTM3U\n",
		"huge.m3u":  strings.Repeat("#", MaxList+1),
	})
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	long := files(t, map[string]string{"list": strings.Repeat("x.mp3\n", MaxItems)})
	for _, c := range []struct {
		where string
		want  []Item
		err   string
	}{
		{dir, []Item{{dir + "/a.TS", "a"}, {dir + "/b.mp3", "b"}}, ""},
		{dir + "/list.m3u", []Item{{dir + "/sub.mp3/e.mp3", "Two - Words"}, {"/abs/f.ogg", "f"}, {"http://example.org/x/g.aac", "g"}, {"/h.mp3", "h"}}, ""},
		{dir + "/feed.xml", []Item{{"http://example.org/last.mp3", "Second & last"}, {"https://example.org/a/first.mp3?x=1", "first"}}, ""},
		{server.URL + "/feed.xml", []Item{{"http://example.org/last.mp3", "Second & last"}, {"https://example.org/a/first.mp3?x=1", "first"}}, ""},
		{server.URL + "/local.xml", []Item{{server.URL + "/etc/passwd", "Second & last"}, {"https://example.org/a/first.mp3?x=1", "first"}}, ""},
		{server.URL + "/list.m3u", nil, "not on the web"},
		{server.URL + "/none.m3u", nil, "404"},
		{dir + "/none", nil, "no such file"},
		{dir + "/hls.m3u8", nil, "HLS"},
		{dir + "/bad.xml", nil, "bad playlist"},
		{dir + "/empty.m3u", nil, "nothing to play"},
		{dir + "/huge.m3u", nil, "more than"},
		{server.URL + "/huge.m3u", nil, "more than"},
		{filepath.Join(dir, "sub.mp3"), []Item{{dir + "/sub.mp3/e.mp3", "e"}}, ""},
	} {
		got, err := List(t.Context(), c.where)
		if c.err == "" && (err != nil || !slices.Equal(got, c.want)) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %q, %v; want %q, %s", c.where, got, err, c.want, c.err)
		}
	}
	if got, err := List(t.Context(), long+"/list"); err != nil || len(got) != MaxItems {
		t.Errorf("%d items, %v", len(got), err)
	}
}

// play reads so many bytes, with titles in brackets, and what was said.
func play(t *testing.T, ctx context.Context, where string, bytes int) (text, said string, err error) {
	t.Helper()
	s, err := New(ctx, where, 0, func(format string, a ...any) { said += fmt.Sprintf(format, a...) + "\n" })
	if err != nil {
		return "", "", err
	}
	for buf := make([]byte, 7777); bytes > 0; {
		n, err := s.Read(buf[:min(len(buf), bytes)])
		text += string(buf[:n])
		bytes -= n
		var mark source.Mark
		if errors.As(err, &mark) {
			text += "[" + mark.Title + "]"
		} else if err != nil {
			return text, said, err
		}
	}
	return text, said, nil
}

// TestRounds: items follow each other with their titles, and again from the first; what
// cannot be played is passed over and said, and the list may change between rounds.
func TestRounds(t *testing.T) {
	one, two := string(mp3(20)), string(mp3(30))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(two)) }))
	defer server.Close()
	dir := files(t, map[string]string{
		"1.mp3": one, "other.aac": string(adts(20)), "text.mp3": "no music", "empty.mp3": "",
		"list": "1.mp3\ngone.mp3\nempty.mp3\ntext.mp3\nother.aac\n#EXTINF:1,Web\n" + server.URL + "/2.mp3\n",
	})
	round := "[1]" + one + "[Web]" + two
	got, said, err := play(t, t.Context(), dir+"/list", 2*(len(one)+len(two)))
	if got != round+round || err != nil {
		t.Errorf("%d bytes, %v, want %d", len(got), err, 2*len(round))
	}
	for _, what := range []string{"gone.mp3: .*no such file", "empty.mp3: the input is empty", "text.mp3: the input is neither", "other.aac: it is of another kind"} {
		name, why, _ := strings.Cut(what, ": ")
		if !strings.Contains(said, name) || !strings.Contains(said, strings.TrimPrefix(why, ".*")) {
			t.Errorf("not said of %s: %s\n%s", name, why, said)
		}
	}
	s, err := New(t.Context(), dir+"/list", 0, func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/list", []byte("other.aac\n1.mp3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for buf := make([]byte, 1<<16); len(titles) < 4; {
		_, err := s.Read(buf)
		var mark source.Mark
		if errors.As(err, &mark) {
			titles = append(titles, mark.Title)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"1", "Web", "1", "1"}; !slices.Equal(titles, want) {
		t.Errorf("titles %q, want %q", titles, want)
	}
}

// TestNothing: a list of which nothing can be played is an error; one of which nothing can
// be played any more is tried now and then.
func TestNothing(t *testing.T) {
	dir := files(t, map[string]string{"list": "gone.mp3\ntext.mp3\n", "text.mp3": "no music"})
	if _, _, err := play(t, t.Context(), dir+"/list", 1); err == nil || !strings.Contains(err.Error(), "nothing of") || !errors.Is(err, source.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, _, err := play(t, t.Context(), dir+"/none", 1); err == nil {
		t.Error("there is no list")
	}
	music := filepath.Join(files(t, map[string]string{"a.mp3": string(mp3(9))}), "a.mp3")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*restTime+time.Second)
		defer cancel()
		tried := 0
		s, err := New(ctx, filepath.Dir(music), 0, func(format string, a ...any) {
			if strings.HasPrefix(format, "passing over") {
				tried++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 1<<16); err == nil || errors.As(err, &source.Mark{}); {
			var n int
			if n, err = s.Read(buf); n > 0 {
				os.Remove(music)
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || tried < 10 || tried > 12 {
			t.Errorf("%v; tried %d times in %v", err, tried, 10*restTime)
		}
	})
}

// TestClock: transport streams one after the other are one, without a jump.
func TestClock(t *testing.T) {
	dir := files(t, map[string]string{"1.ts": string(clip.TS()), "2.ts": string(clip.TS()[188*500:]), "3.ts": string(clip.TS())})
	s, err := New(t.Context(), dir, 0, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	cfg := ts.DefaultConfig()
	cutter := ts.NewCutter(cfg)
	span, total := time.Duration(0), 0
	now := time.Unix(1_700_000_000, 0)
	for buf := make([]byte, 1<<16); total < 4*len(clip.TS()); {
		n, err := s.Read(buf)
		if err != nil && !errors.As(err, &source.Mark{}) {
			t.Fatal(err)
		}
		total += n
		for _, c := range cutter.Write(now, buf[:n]) {
			if span += c.Span; c.Discontinuity {
				t.Errorf("a discontinuity after %v", span)
			}
		}
	}
	if want := 4 * 4 * time.Second; span < want-time.Second || span > want+time.Second {
		t.Errorf("%d bytes are %v long, want about %v", total, span, want)
	}
	if s.media != stripe.MediaTS {
		t.Errorf("it is %v", s.media)
	}
}

// TestWebItem: an item is asked for as any URL is.
func TestWebItem(t *testing.T) {
	if _, err := ingest.Fetch(t.Context(), "ftp://example.org/a.mp3"); !errors.Is(err, ingest.ErrAddress) {
		t.Errorf("%v", err)
	}
}
