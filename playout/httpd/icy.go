package httpd

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stripecast/stripecast/stripe"
)

// What a listener of internet radio says, and is told (SHOUTcast's ICY, as Icecast
// speaks it; there is no standard).
const (
	icyAsked = "Icy-MetaData"
	icyEvery = "icy-metaint"
	icyName  = "icy-name"
	icyRate  = "icy-br" // kbit/s
)

// icy tells a listener what the stream is called and, if it asks for that, wraps w so
// that titles stand between the bytes. Ogg has places of its own for titles, and gets
// none, as from Icecast. A stream with pictures is no radio: w is returned as it is.
func (s *Server) icy(w http.ResponseWriter, r *http.Request, media stripe.Media, rate uint64) http.ResponseWriter {
	if !media.Radio() {
		return w
	}
	// As they are usually written: players keep them as tags, by the letter.
	h := w.Header()
	h[icyName] = []string{stripe.Printable(s.name)}
	if rate > 0 {
		h[icyRate] = []string{strconv.FormatUint((rate+500)/1000, 10)}
	}
	if media == stripe.MediaOgg || strings.TrimSpace(r.Header.Get(icyAsked)) != "1" {
		return w
	}
	h[icyEvery] = []string{strconv.Itoa(icyInterval)}
	return &icyWriter{ResponseWriter: w, title: s.title, left: icyInterval}
}

// title is what plays, for people.
func (s *Server) title() string {
	if s.cfg.Title != nil {
		if t := s.cfg.Title(); t != "" {
			return stripe.Printable(t)
		}
	}
	return stripe.Printable(s.name)
}

// icyWriter puts a title after every icyInterval bytes of one listener's stream: one
// byte that says how long it is, in sixteenths, and that. If it has not changed, the
// length is 0.
type icyWriter struct {
	http.ResponseWriter
	title func() string
	last  string
	left  int // bytes to the next title
}

// Unwrap lets http.ResponseController find what it needs.
func (w *icyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer. It counts what is given to it, without titles.
func (w *icyWriter) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		m, err := w.ResponseWriter.Write(b[:min(len(b), w.left)])
		n, b, w.left = n+m, b[m:], w.left-m
		if err != nil {
			return n, err
		}
		if w.left > 0 {
			continue
		}
		if _, err := w.ResponseWriter.Write(w.block()); err != nil {
			return n, err
		}
		w.left = icyInterval
	}
	return n, nil
}

// block is the next title as it is sent.
func (w *icyWriter) block() []byte {
	title := w.title()
	if title == w.last {
		return []byte{0}
	}
	w.last = title
	const before, after = "StreamTitle='", "';"
	// Nothing is escaped in it: only the end must not stand inside.
	title = strings.ReplaceAll(title, after, "’;")
	for len(title) > icyTitle {
		_, size := utf8.DecodeLastRuneInString(title)
		title = title[:len(title)-size]
	}
	text := before + title + after
	units := (len(text) + 15) / 16
	b := make([]byte, 1+16*units)
	b[0] = byte(units)
	copy(b[1:], text)
	return b
}
