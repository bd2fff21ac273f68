package httpd

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// TestChannels: a name cannot end its attribute, nor its line.
func TestChannels(t *testing.T) {
	b := begun()
	s := serve(t, func(c *Config) {
		c.Stream = b
		c.Channels = func() []Channel {
			return []Channel{
				{ID: "id1", Name: "One, \"two\"\n#EXTM3U", Group: "g\"1", Path: "/a%20b.ts"},
				{ID: "id2", Name: "Späti", Group: "g", Radio: true, Path: "/x.mp3", Logo: "https://example.org/\"x\".png"},
			}
		}
	})
	resp, body := ask(t, "GET", s.URL()+"channels.m3u", "localhost:1234")
	want := "#EXTM3U\n" +
		"#EXTINF:-1 tvg-id=\"id1\" tvg-name=\"One, 'two'#EXTM3U\" group-title=\"g'1\",One, \"two\"#EXTM3U\nhttp://localhost:1234/a%20b.ts\n" +
		"#EXTINF:-1 tvg-id=\"id2\" tvg-name=\"Späti\" group-title=\"g\" tvg-logo=\"https://example.org/'x'.png\" radio=\"true\",Späti\nhttp://localhost:1234/x.mp3\n"
	if resp.StatusCode != 200 || body != want || !strings.HasPrefix(resp.Header.Get("Content-Type"), "audio/x-mpegurl") {
		t.Errorf("%s, %v\n%s\nwant\n%s", resp.Status, resp.Header, body, want)
	}
	if resp, _ := ask(t, "GET", serve(t, nil).URL()+"channels.m3u", ""); resp.StatusCode != 404 {
		t.Errorf("a relay's: %s", resp.Status)
	}
}

// TestXSPF: what is written can be read as XML, and names the stream.
func TestXSPF(t *testing.T) {
	b := NewBroadcaster()
	b.Begin(Format{Media: stripe.MediaAAC})
	s := serve(t, func(c *Config) {
		c.Stream, c.Name = b, "<a> & \"b\"\x01"
		c.Thumbnail = func() string { return "https://example.org/?a&b" }
		c.StartTimeout = 10 * time.Millisecond // nothing comes here
	})
	resp, body := ask(t, "GET", s.URL()+"live.xspf", "")
	var list struct {
		XMLName xml.Name
		Title   string `xml:"title"`
		Track   []struct {
			Location string `xml:"location"`
			Title    string `xml:"title"`
			Image    string `xml:"image"`
		} `xml:"trackList>track"`
	}
	if err := xml.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	if resp.Header.Get("Content-Type") != "application/xspf+xml" || list.XMLName.Space != "http://xspf.org/ns/0/" || len(list.Track) != 1 {
		t.Fatalf("%v\n%s", resp.Header, body)
	}
	if x := list.Track[0]; list.Title != "<a> & \"b\"" || x.Title != list.Title || x.Image != "https://example.org/?a&b" || !strings.HasPrefix(x.Location, s.URL()) {
		t.Errorf("%+v", list)
	} else if resp, _ := ask(t, "HEAD", x.Location, ""); resp.StatusCode == 404 {
		t.Errorf("nothing is at %s", x.Location)
	}
}
