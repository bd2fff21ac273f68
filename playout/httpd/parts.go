package httpd

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// pathPlay is where any stream can be had that a URL names: pathPlay, what stands in a
// link after its scheme, a private stream's key included, and a name that says in which form: .m3u8 is HLS, another
// suffix must be the medium's.
const pathPlay = "/play/"

// ErrBusy is wrapped by what Config.Play returns if it may be otherwise later.
var ErrBusy = errors.New("busy")

// Part is one stream of a server that plays many: one that has no port of its own.
type Part struct{ s *Server }

// NewPart serves cfg.Stream until ctx ends, to whom the server asks for it with
// Config.Play and these hosts. Of cfg only Stream, Name, Title and the timeouts count.
func NewPart(ctx context.Context, hosts string, cfg Config) *Part {
	s := &Server{cfg: cfg, name: cmp.Or(cfg.Name, DefaultName), prefix: pathPlay + hosts, segments: newSegmenter(cfg.Stream)}
	s.cfg.Past = nil
	s.segments.start(ctx)
	return &Part{s}
}

// Clients is how many take the stream now. All HLS players are one.
func (p *Part) Clients() int { return p.s.Clients() }

// Wait waits until nothing is made of the stream any more, once ctx has ended.
func (p *Part) Wait() { p.s.segments.wait() }

// PlayPath is where a stream of this medium is, by what stands in its link between
// scheme and name.
func PlayPath(hosts, name string, media stripe.Media) string {
	return (&url.URL{Path: pathPlay + hosts}).String() + NamePath(cmp.Or(name, DefaultName), media)
}

// playAny answers what lies below pathPlay.
func (s *Server) playAny(w http.ResponseWriter, r *http.Request, what string) {
	if fromOthers(r) {
		http.Error(w, "not for pages of others, nor for a browser on another machine: open it in a player", http.StatusForbidden)
		return
	}
	hosts, name, ok := strings.Cut(what, "/")
	if !ok || name == "" {
		http.Error(w, "name a stream, as in "+s.URL()+pathPlay[1:]+"ID@host:port/name.ts", http.StatusNotFound)
		return
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2*s.cfg.StartTimeout + s.cfg.WriteTimeout))
	if base, isList := strings.CutSuffix(name, ".m3u8"); isList && !strings.Contains(base, "/") {
		http.Redirect(w, r, (&url.URL{Path: pathPlay + hosts + LivePath}).String(), http.StatusTemporaryRedirect)
		return
	}
	file, isLive := strings.CutPrefix("/"+name, pathLive)
	dot := strings.LastIndexByte(name, '.')
	if !isLive && ("/"+name != PathStream && (dot < 0 || !isSuffix(name[dot+1:])) || strings.Contains(name, "/")) {
		http.NotFound(w, r)
		return
	}
	label := ""
	if !isLive && dot >= 0 {
		label = name[:dot]
	}
	part, err := s.cfg.Play(r.Context(), hosts, label)
	switch {
	case errors.Is(err, ErrBusy):
		busy(w, err.Error())
	case errors.Is(err, stripe.ErrNoKey), errors.Is(err, stripe.ErrWrongKey):
		http.Error(w, err.Error(), http.StatusForbidden)
	case errors.Is(err, stripe.ErrLink):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
	case isLive:
		part.s.live(w, r, file)
	case dot < 0:
		part.s.stream(w, r, "")
	default:
		part.s.stream(w, r, name[dot+1:])
	}
}
