package httpd

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stripecast/stripecast/stripe"
)

// Lists of what can be played, for programs that keep channels.
const (
	pathXSPF     = "/live.xspf"
	pathChannels = "/channels.m3u"
)

// Channel is a stream that can be played here.
type Channel struct {
	ID    string // of the stream: what it is known by when its name changes
	Name  string // for people
	Group string // under which players show it
	Radio bool   // it has no pictures
	Path  string // on this server
	Logo  string // the URL of a picture, for players; "" if there is none
}

// channels answers pathChannels: a playlist with what Kodi, Jellyfin, TVHeadend and VLC
// read of a channel.
func (s *Server) channels(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n")
	for _, c := range s.cfg.Channels() {
		name := stripe.Printable(c.Name)
		fmt.Fprintf(&b, "#EXTINF:-1 tvg-id=\"%s\" tvg-name=\"%s\" group-title=\"%s\"", quoted(c.ID), quoted(name), quoted(stripe.Printable(c.Group)))
		if c.Logo != "" {
			fmt.Fprintf(&b, " tvg-logo=\"%s\"", quoted(stripe.Printable(c.Logo)))
		}
		if c.Radio {
			b.WriteString(" radio=\"true\"")
		}
		fmt.Fprintf(&b, ",%s\nhttp://%s%s\n", name, s.authority(r), c.Path)
	}
	s.sendList(w, "audio/x-mpegurl; charset=utf-8", b.Bytes())
}

// quoted is a text without what would end it as an attribute; nothing can be escaped
// there.
func quoted(s string) string { return strings.ReplaceAll(s, `"`, "'") }

// xspf answers pathXSPF (xspf.org/spec): the same as the playlist.
func (s *Server) xspf(w http.ResponseWriter, r *http.Request) {
	type track struct {
		Location string `xml:"location"`
		Title    string `xml:"title"`
		Image    string `xml:"image,omitempty"`
	}
	list := struct {
		XMLName xml.Name `xml:"http://xspf.org/ns/0/ playlist"`
		Version int      `xml:"version,attr"`
		Title   string   `xml:"title"`
		Tracks  []track  `xml:"trackList>track"`
	}{Version: 1, Title: stripe.Printable(s.name)}
	path, ok := s.playable(w, r)
	if !ok {
		return
	}
	list.Tracks = []track{{Location: "http://" + s.authority(r) + path, Title: list.Title}}
	if s.cfg.Thumbnail != nil {
		list.Tracks[0].Image = s.cfg.Thumbnail()
	}
	b, err := xml.MarshalIndent(list, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.sendList(w, "application/xspf+xml", append([]byte(xml.Header), append(b, '\n')...))
}

// playlist names the URL of the stream, or of the recording that it has become, as
// whoever asks reaches us.
func (s *Server) playlist(w http.ResponseWriter, r *http.Request) {
	path, ok := s.playable(w, r)
	if !ok {
		return
	}
	s.sendList(w, "audio/x-mpegurl", fmt.Appendf(nil, "#EXTM3U\n#EXTINF:-1,%s\nhttp://%s%s\n", stripe.Printable(s.name), s.authority(r), path))
}

func (s *Server) sendList(w http.ResponseWriter, mime string, text []byte) {
	w.Header().Set("Content-Type", mime)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.Write(text)
}

// playable is the path of the stream, or of the recording that it has become. False: the
// client was told that it must wait.
func (s *Server) playable(w http.ResponseWriter, r *http.Request) (path string, ok bool) {
	if media, live := s.cfg.Stream.Media(); live {
		return NamePath(s.name, media), true
	}
	if _, ok := s.finished(); !ok {
		return PathStream, true
	}
	leave, ok := s.place(w) // a recording's ends may have to be looked for
	if !ok {
		return "", false
	}
	defer leave()
	ext, err := s.cfg.Past.Date(r.Context())
	if err != nil {
		busy(w, err.Error())
		return "", false
	}
	return RecordingPath(ext), true
}

// NamePath is where a stream of this name and medium is.
func NamePath(name string, media stripe.Media) string {
	return "/" + url.PathEscape(name) + "." + media.String()
}
