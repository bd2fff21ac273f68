package m3u

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func lines(l ...string) []byte { return []byte(strings.Join(l, "\n")) }

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name string
		text []byte
		want List
	}{
		{"nothing", nil, List{}},
		{"plain", lines("# songs", "a b.mp3", "", "  sub/c.ts  "), List{Pieces: []Piece{{URI: "a b.mp3"}, {URI: "sub/c.ts"}}}},
		{"plain, with titles", []byte("\ufeff#EXTM3U\r\n#EXTINF:123,Someone - Something, live\r\na.mp3\r\nb.mp3\r\n"),
			List{Pieces: []Piece{{URI: "a.mp3", Title: "Someone - Something, live"}, {URI: "b.mp3"}}}},
		{"live", lines("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:6", "#EXT-X-MEDIA-SEQUENCE:41", "#EXTINF:6.0,", "41.ts", "#EXT-X-DISCONTINUITY", "#EXTINF:6.0,", "42.ts"),
			List{HLS: true, Target: 6 * time.Second, First: 41, Pieces: []Piece{{URI: "41.ts"}, {URI: "42.ts", Broken: true}}}},
		{"finished", lines("#EXTM3U", "#EXT-X-TARGETDURATION:6", "#EXTINF:6,", "0.ts", "#EXT-X-ENDLIST"),
			List{HLS: true, Target: 6 * time.Second, End: true, Pieces: []Piece{{URI: "0.ts"}}}},
		{"what is unfit", lines("#EXT-X-KEY:METHOD=AES-128,URI=\"k,1\",IV=0x1", "a", "#EXT-X-KEY:METHOD=NONE", "b", "#EXT-X-BYTERANGE:100@0", "c", "#EXT-X-MAP:URI=\"i.mp4\"", "d", "e"),
			List{HLS: true, Pieces: []Piece{{URI: "a", Unfit: "it is encrypted"}, {URI: "b"}, {URI: "c", Unfit: "it is a part of a file"}, {URI: "d", Unfit: "it is fragmented MP4"}, {URI: "e", Unfit: "it is fragmented MP4"}}}},
		{"master", lines("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"own\"", "#EXT-X-STREAM-INF:BANDWIDTH=100,CODECS=\"x,y\",AUDIO=\"a\"", "1.m3u8", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"a.m3u8\"", "#EXT-X-STREAM-INF:AUDIO=\"own\",BANDWIDTH=50", "2.m3u8"),
			List{HLS: true, Variants: []Variant{{URI: "1.m3u8", Bandwidth: 100, Apart: true}, {URI: "2.m3u8", Bandwidth: 50}}}},
	} {
		got, err := Parse(c.text)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	for name, text := range map[string][]byte{
		"no text":               {0xff, 0xfe, 0x00},
		"too long":              make([]byte, MaxList+1),
		"too many":              []byte(strings.Repeat("a\n", MaxEntries+1)),
		"a target of words":     lines("#EXT-X-TARGETDURATION:long"),
		"a target of a day":     lines("#EXT-X-TARGETDURATION:86400"),
		"a negative sequence":   lines("#EXT-X-MEDIA-SEQUENCE:-1"),
		"a sequence to wrap":    lines("#EXT-X-MEDIA-SEQUENCE:18446744073709551615"),
		"a variant of no width": lines("#EXT-X-STREAM-INF:CODECS=\"x\"", "a"),
	} {
		if got, err := Parse(text); !errors.Is(err, ErrList) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBest(t *testing.T) {
	l := List{Variants: []Variant{{URI: "low", Bandwidth: 1}, {URI: "high", Bandwidth: 3}, {URI: "same", Bandwidth: 3}, {URI: "mute", Bandwidth: 9, Apart: true}}}
	if v, ok := l.Best(); !ok || v.URI != "high" {
		t.Errorf("%+v %v", v, ok)
	}
	if v, ok := (List{Variants: l.Variants[3:]}).Best(); ok {
		t.Errorf("%+v", v)
	}
}

// FuzzParse: whatever comes, a list is within its bounds, or refused.
func FuzzParse(f *testing.F) {
	f.Add(lines("#EXTM3U", "#EXT-X-TARGETDURATION:6", "#EXT-X-MEDIA-SEQUENCE:41", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"", "#EXTINF:6.0,x", "41.ts", "#EXT-X-ENDLIST"))
	f.Add(lines("#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"u\"", "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"", "v"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err == nil && (len(l.Pieces)+len(l.Variants) > MaxEntries || l.Target > MaxTarget || l.First >= 1<<63) {
			t.Errorf("%+v", l)
		}
		for _, p := range l.Pieces {
			if p.URI == "" || strings.ContainsAny(p.URI, "\n") {
				t.Errorf("piece %q", p.URI)
			}
		}
	})
}
