package httpd

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

var (
	//go:embed page/page.html
	pageText string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/icon.svg
	pageIcon string
	//go:embed page/player.js
	playerScript string
	//go:embed page/picture.js
	pictureScript string
	//go:embed page/page.js
	askScript string

	pageTemplate = template.Must(template.New("page").Parse(pageText))
	pageScript   = playerScript + pictureScript + askScript
	pageIconURL  = "data:image/svg+xml," + url.PathEscape(pageIcon)

	// The page may run and load what it came with, and of others only what this server
	// has. Its player's buffer is a blob.
	pagePolicy = "default-src 'none'; connect-src 'self'; media-src 'self' blob:; img-src data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"style-src " + hash(pageStyle) + "; script-src " + hash(pageScript)
)

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// page plays the stream, draws the forest, and says where players find the stream.
func (s *Server) page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	pageTemplate.Execute(w, struct {
		Name                   string
		Plays, Past            bool
		Live, Playlist, Stream string
		Recording              string
		Icon                   template.URL
		Style                  template.CSS
		Script                 template.JS
	}{
		s.name, s.cfg.Stream != nil, s.cfg.Past != nil, LivePath, pathPlaylist, PathStream,
		pathRecording + playlistName, template.URL(pageIconURL), template.CSS(pageStyle), template.JS(pageScript),
	})
}
