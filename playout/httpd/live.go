package httpd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stripecast/stripecast/playout/hls"
	"github.com/stripecast/stripecast/stripe"
)

// Live HLS lies below pathLive; LivePath is what a player opens.
const (
	pathLive = "/live/"
	LivePath = pathLive + hls.Master
)

// What a player asks for that wants to wait for a playlist with a certain segment or
// part (draft-pantos-hls-rfc8216bis, 6.2.5.2).
const (
	querySegment = "_HLS_msn"
	queryPart    = "_HLS_part"
)

// live answers what lies below pathLive.
func (s *Server) live(w http.ResponseWriter, r *http.Request, name string) {
	number, part, isMedia := hls.ParseName(name)
	if ext, ok := s.finished(); ok && name == hls.Master {
		http.Redirect(w, r, RecordingPath(ext), http.StatusTemporaryRedirect)
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.cfg.StartTimeout + s.cfg.WriteTimeout))
	s.segments.ask(time.Now())
	switch {
	case name == hls.Master || name == hls.Media:
		s.livePlaylist(w, r, name)
	case isMedia && part >= 0:
		// A player may ask for the part that the playlist says comes next.
		ctx, cancel := context.WithTimeout(r.Context(), blockTimeout)
		defer cancel()
		s.segments.await(ctx, func(m *hls.Muxer) bool {
			has, never := m.Has(number, part)
			return has || never
		})
		fallthrough
	default:
		s.liveFile(w, r, name)
	}
}

// livePlaylist waits until there is something to play, or as much as is asked for.
func (s *Server) livePlaylist(w http.ResponseWriter, r *http.Request, name string) {
	number, part, asked, err := wanted(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.StartTimeout)
	defer cancel()
	refused := ""
	if !s.segments.await(ctx, func(m *hls.Muxer) bool { refused = m.Refused(); return refused != "" || m.Ready() }) {
		busy(w, "the stream has not begun")
		return
	}
	if refused != "" {
		http.Error(w, fmt.Sprintf("HLS of ours cannot carry %s; open http://%s%s in a player", refused, s.authority(r), stripe.HideKeys(s.prefix)+PathStream),
			http.StatusUnsupportedMediaType)
		return
	}
	never := false
	if asked && name == hls.Media {
		late, cancel := context.WithTimeout(r.Context(), blockTimeout)
		defer cancel()
		s.segments.await(late, func(m *hls.Muxer) (has bool) { has, never = m.Has(number, part); return has || never })
	}
	if never {
		http.Error(w, querySegment+" is far beyond the end of the playlist", http.StatusBadRequest)
		return
	}
	var text []byte
	s.segments.await(ctx, func(m *hls.Muxer) bool {
		if text = m.MasterPlaylist(); name == hls.Media {
			text = m.MediaPlaylist()
		}
		return true
	})
	s.sendLive(w, r, hls.PlaylistType, [][]byte{text})
}

// wanted is the segment and part that a playlist must have; part is -1 for the whole
// segment.
func wanted(query url.Values) (number, part int, asked bool, err error) {
	part = -1
	for _, q := range []struct {
		name string
		to   *int
	}{{querySegment, &number}, {queryPart, &part}} {
		if !query.Has(q.name) {
			continue
		}
		asked = true
		if *q.to, err = strconv.Atoi(query.Get(q.name)); err != nil || *q.to < 0 {
			return 0, 0, false, fmt.Errorf("%s is no number", q.name)
		}
	}
	if asked && !query.Has(querySegment) {
		return 0, 0, false, fmt.Errorf("%s needs %s", queryPart, querySegment)
	}
	return number, part, asked, nil
}

// liveFile sends what does not change any more.
func (s *Server) liveFile(w http.ResponseWriter, r *http.Request, name string) {
	var pieces [][]byte
	var mime string
	gone, cancel := context.WithCancel(r.Context())
	cancel() // nothing is waited for
	if !s.segments.await(gone, func(m *hls.Muxer) (ok bool) { pieces, mime, ok = m.File(name); return ok }) {
		http.Error(w, "there is no such segment (any more)", http.StatusNotFound)
		return
	}
	s.sendLive(w, r, mime, pieces)
}

func (s *Server) sendLive(w http.ResponseWriter, r *http.Request, mime string, pieces [][]byte) {
	length := 0
	for _, b := range pieces {
		length += len(b)
	}
	w.Header().Set("Content-Type", mime)
	w.Header().Set("Content-Length", strconv.Itoa(length))
	if r.Method == http.MethodHead {
		return
	}
	rc := http.NewResponseController(w)
	for _, b := range pieces {
		if send(w, rc, s.cfg.WriteTimeout, nil, b) != nil {
			return
		}
	}
}

// authority is how whoever asks reaches us.
func (s *Server) authority(r *http.Request) string {
	if r.Host != "" || s.listener == nil {
		return r.Host
	}
	return s.listener.Addr().String()
}
