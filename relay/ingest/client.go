package ingest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/stripecast/stripecast/relay/source"
)

// client is who pushes a stream. Its Read never ends with io.EOF: another may come.
type client struct {
	l        *Listener
	conn     net.Conn
	body     io.Reader
	answered bool // what a client waits for at the end was said at the beginning

	mu    sync.Mutex // guards what follows
	title string     // to be told before what is read next
}

// answer lets the client send. One that sends without a length reads its answer before,
// unless it asked whether to go on.
func (c *client) answer(r *http.Request) {
	says := ""
	switch {
	case strings.EqualFold(r.Header.Get("Expect"), "100-continue"):
		says = "HTTP/1.1 100 Continue\r\n\r\n"
	case r.ContentLength == 0 && r.Header.Get("Content-Length") == "":
		says = r.Proto + " 200 OK\r\n\r\n"
		c.answered = true
	}
	c.write(says)
}

func (c *client) write(says string) {
	c.conn.SetWriteDeadline(time.Now().Add(clientHeaderTime))
	io.WriteString(c.conn, says) // who does not hear it has left, and is noticed there
}

func (c *client) Read(p []byte) (int, error) {
	c.mu.Lock()
	title := c.title
	c.title = ""
	c.mu.Unlock()
	if title != "" {
		return 0, source.Mark{Title: title}
	}
	c.conn.SetReadDeadline(time.Now().Add(idleTime))
	n, err := c.body.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("source client %s has sent nothing for %v", c.conn.RemoteAddr(), idleTime)
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("source client %s has left", c.conn.RemoteAddr())
		if !c.answered {
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
	case err != nil:
		err = fmt.Errorf("source client %s has left: %w", c.conn.RemoteAddr(), err)
	}
	return n, err
}

// Close ends the connection, and lets another client come.
func (c *client) Close() error {
	err := c.conn.Close()
	c.l.leave(c)
	return err
}

// entitle has Read tell a title.
func (c *client) entitle(title string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.title = title
}

// metadata is Icecast's /admin/metadata: the title of what is played from now on.
func (l *Listener) metadata(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxClientHeader)
	song := r.FormValue("song")
	if song == "" {
		song = strings.Trim(r.FormValue("artist")+" - "+r.FormValue("title"), " -")
	}
	l.mu.Lock()
	c := l.cur
	l.mu.Unlock()
	switch {
	case r.FormValue("mode") != "updinfo" || song == "":
		refuse(w, http.StatusBadRequest, "give mode=updinfo and song=TITLE")
	case c == nil:
		refuse(w, http.StatusNotFound, "no source client is connected")
	default:
		c.entitle(decoded(song))
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		io.WriteString(w, "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>\n")
	}
}

// decoded is a text of an older client, which is in Latin-1, as UTF-8.
func decoded(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, 0, len(s))
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	return string(runes)
}
