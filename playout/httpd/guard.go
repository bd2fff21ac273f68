package httpd

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard refuses what no page or player of ours asks for, and sets the headers
// every answer has. There is no CORS header: other origins may not read.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !s.ours(r.Host):
			http.Error(w, "this server does not answer to that name; use "+s.URL(), http.StatusForbidden)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// ours reports whether a Host header names us: loopback, or the host we were told
// to listen on. A foreign name that resolves to us is a web page's try to reach
// us through its visitor's browser (DNS rebinding). An address cannot be such a
// name, so listening on all addresses, any of them is ours. HTTP/1.0 has no Host.
func (s *Server) ours(host string) bool {
	if host == "" {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.ToLower(strings.Trim(name, "[]")), ".")
	if name == s.host || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return name != ""
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && (addr.Unmap().IsLoopback() || s.anywhere())
}

// anywhere reports whether we were told to listen on all addresses.
func (s *Server) anywhere() bool {
	if s.host == "" {
		return true
	}
	addr, err := netip.ParseAddr(s.host)
	return err == nil && addr.IsUnspecified()
}

// fromOthers reports whether a page that is not ours may be what asks: such a page must not
// make us dial whom it likes. A browser says with Sec-Fetch-Site whose page it is (W3C Fetch
// Metadata), but old ones do not, and none does over plain HTTP to another machine. Without
// it, what is no browser is believed, and a browser only with an Origin or a Referer that is
// ours.
func fromOthers(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "same-origin" && site != "none"
	}
	for _, from := range []string{r.Header.Get("Origin"), r.Referer()} {
		if from != "" {
			u, err := url.Parse(from)
			return err != nil || u.Scheme != "http" || !strings.EqualFold(u.Host, r.Host)
		}
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") // as every browser begins
}
