package httpd

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	pageTemplate = template.Must(template.New("page").Parse(pageText))

	// The page may run and load what it came with, and nothing else.
	pagePolicy = "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
		"frame-ancestors 'none'; style-src " + hash(pageStyle) + "; script-src " + hash(pageScript)
)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page shows the status, and where players find the stream.
func (s *Server) page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	pageTemplate.Execute(w, struct {
		Name             string
		Plays            bool
		Playlist, Stream string
		Past             bool
		Recording        string
		Style            template.CSS
		Script           template.JS
	}{s.name, s.cfg.Stream != nil, pathPlaylist, pathStream, s.cfg.Past != nil, pathRecording + playlistName, template.CSS(pageStyle), template.JS(pageScript)})
}
