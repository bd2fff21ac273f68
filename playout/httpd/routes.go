package httpd

import (
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Paths that do not depend on the stream; openapi.yaml describes all that there are. Of a
// participant that does not play, the last does not exist.
const (
	pathPage     = "/"
	pathStatus   = "/api/status"
	pathForest   = "/api/forest"
	pathOpenAPI  = "/api/openapi.yaml"
	pathMetrics  = "/metrics"
	pathHealth   = "/healthz"
	pathReady    = "/readyz"
	pathPlaylist = "/live.m3u"
)

// PathStream is where players get the stream, whatever its medium. Where nothing plays it
// does not exist.
const PathStream = "/stream"

//go:embed openapi.yaml
var openAPI string

const retryAfter = "5" // seconds, with 503

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == pathPage:
		s.page(w)
	case path == pathStatus:
		answerJSON(w, s.cfg.Status())
	case path == pathForest && s.cfg.Forest != nil:
		answerJSON(w, s.cfg.Forest())
	case path == pathOpenAPI:
		w.Header().Set("Content-Type", "application/yaml")
		io.WriteString(w, openAPI)
	case path == pathMetrics && s.cfg.Metrics != nil:
		s.cfg.Metrics.ServeHTTP(w, r)
	case path == pathHealth:
		probe(w, r, s.cfg.Healthy)
	case path == pathReady:
		probe(w, r, s.cfg.Ready)
	case path == pathChannels && s.cfg.Channels != nil:
		s.channels(w, r)
	case strings.HasPrefix(path, pathPlay) && s.cfg.Play != nil:
		s.playAny(w, r, strings.TrimPrefix(path, pathPlay))
	case s.cfg.Stream == nil:
		http.NotFound(w, r)
	case path == pathPlaylist:
		s.playlist(w, r)
	case path == pathXSPF:
		s.xspf(w, r)
	case path == PathStream:
		s.stream(w, r, "")
	case strings.HasPrefix(path, pathLive):
		s.live(w, r, strings.TrimPrefix(path, pathLive))
	case strings.HasPrefix(path, pathRecording):
		s.recording(w, r, strings.TrimPrefix(path, pathRecording))
	default:
		suffix, ok := strings.CutPrefix(path, "/"+s.name+".")
		if !ok || !isSuffix(suffix) {
			http.NotFound(w, r)
			return
		}
		s.stream(w, r, suffix)
	}
}

func isSuffix(suffix string) bool {
	for m := stripe.MediaTS; m <= stripe.MediaOpaque; m++ {
		if m.String() == suffix {
			return true
		}
	}
	return false
}

func answerJSON(w http.ResponseWriter, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, "this cannot be written as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(b, '\n'))
}

// stream sends the live bytes until the broadcast or the client ends; those from a
// moment on if the client names one. A suffix must be the medium's.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, suffix string) {
	rc := http.NewResponseController(w)
	rc.SetWriteDeadline(time.Now().Add(s.cfg.StartTimeout + s.cfg.WriteTimeout))
	from, rewinds, err := s.from(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer s.clients.Add(-1)
	if s.clients.Add(1) > MaxClients {
		busy(w, "too many clients: "+strconv.Itoa(MaxClients)+" take the stream already")
		return
	}
	if rewinds {
		s.rewind(w, r, from, suffix)
		return
	}
	f, err := s.follow(r.Context())
	if err != nil {
		busy(w, "the stream has not begun")
		return
	}
	defer f.Close()
	if suffix != "" && suffix != f.Media().String() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.Media().MIME())
	w.Header().Set("Accept-Ranges", "none")
	w = s.icy(w, r, f.Media(), f.format.Rate)
	if r.Method == http.MethodHead {
		return
	}
	for {
		before, data, err := f.Next(r.Context())
		if err != nil {
			return // the end of the broadcast, of the client, or of us
		}
		if send(w, rc, s.cfg.WriteTimeout, before, data) != nil {
			return
		}
	}
}

func (s *Server) follow(ctx context.Context) (*Follower, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.StartTimeout)
	defer cancel()
	return s.cfg.Stream.Follow(ctx)
}

// send writes a block and what goes before it in pieces, each with a deadline: a client
// may be slow, but it must read.
func send(w http.ResponseWriter, rc *http.ResponseController, patience time.Duration, before, data []byte) error {
	for _, b := range [][]byte{before, data} {
		for len(b) > 0 {
			n := min(len(b), pieceLen)
			if err := rc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
	}
	return rc.Flush()
}

func busy(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", retryAfter)
	http.Error(w, why, http.StatusServiceUnavailable)
}
