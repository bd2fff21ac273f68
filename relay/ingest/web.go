package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe/ts"
)

// Web is a Line to what an http or https URL brings: a body of known length, which is a
// file and ends, one without, which is live and is asked for again, or a playlist of
// segments (HLS).
type Web struct {
	url    *url.URL
	client *http.Client

	// of the file under way, if it is one
	length int64 // 0: it is none
	got    int64
}

// NewWeb reads the URL. An address that it cannot be is an ErrAddress.
func NewWeb(address string) (*Web, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAddress, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: %s is no http:// or https:// URL", ErrAddress, u.Redacted())
	}
	return &Web{url: u, client: newClient()}, nil
}

// Fetch asks for an http or https URL once. Its bytes end with io.EOF, or fail when
// nothing comes for too long.
func Fetch(ctx context.Context, address string) (io.ReadCloser, error) {
	w, err := NewWeb(address)
	if err != nil {
		return nil, err
	}
	return get(ctx, w.client, w.url, 0, false)
}

func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSHandshakeTimeout:    dialTime,
			ResponseHeaderTimeout:  headerTime,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // a body is its own length
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        time.Minute,
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return fetchable(req.URL)
		},
	}
}

// fetchable refuses what a server names that is not on the web.
func fetchable(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%s is no http:// or https:// URL", u.Redacted())
	}
	return nil
}

// Open asks for the URL, or for the rest of a file that broke off.
func (w *Web) Open(ctx context.Context) (io.ReadCloser, error) {
	if w.length == 0 {
		w.got = 0
	}
	b, err := get(ctx, w.client, w.url, w.got, w.got == 0)
	if err != nil {
		return nil, err
	}
	if w.got > 0 {
		return b.goOn(w)
	}
	if b.isPlaylist() {
		defer b.Close()
		return openSegments(ctx, w.client, b)
	}
	w.length = max(b.resp.ContentLength, 0)
	b.file = w
	if every, err := strconv.Atoi(b.resp.Header.Get("Icy-Metaint")); err == nil && every > 0 {
		b.every, b.left = every, every
		w.length = 0 // a radio server that says one has made it up
	}
	return b, nil
}

// body is the answer to a request. Its Read gives up after idleTime of nothing.
type body struct {
	resp   *http.Response
	buf    *bufio.Reader
	cancel context.CancelFunc
	idle   *time.Timer // runs while Read waits
	late   atomic.Bool // idle has run out
	file   *Web        // what it is a part of
	sequel bool

	// of a radio server: how many bytes stand between two titles, and how many of them
	// are to come; 0 if none do
	every, left int
	title       string // the last
}

// get asks for a URL, from a byte on, and for titles between the bytes.
func get(ctx context.Context, client *http.Client, u *url.URL, from int64, titles bool) (*body, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("User-Agent", "stripecast")
	if titles {
		req.Header.Set("Icy-Metadata", "1")
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := client.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && (from == 0 || resp.StatusCode != http.StatusPartialContent) {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("%s says %d %s", u.Redacted(), resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	b := &body{resp: resp, cancel: cancel, buf: bufio.NewReader(resp.Body)}
	b.idle = time.AfterFunc(idleTime, b.tooLate)
	b.idle.Stop()
	return b, nil
}

func (b *body) tooLate() {
	b.late.Store(true)
	b.cancel()
}

// goOn makes b what is left of a file: where the server begins anew all the same, what
// had come is passed over.
func (b *body) goOn(w *Web) (*body, error) {
	var err error
	if b.resp.StatusCode == http.StatusOK {
		_, err = io.CopyN(io.Discard, b, w.got)
	} else if says, want := b.resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", w.got); !strings.HasPrefix(says, want) {
		err = fmt.Errorf("the server sends %q, not %q", says, want)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	b.file, b.sequel = w, true
	return b, nil
}

// GoesOn makes a body a Sequel.
func (b *body) GoesOn() bool { return b.sequel }

// peek looks at what is to come, as far as there is so much.
func (b *body) peek(n int) ([]byte, error) {
	b.idle.Reset(idleTime)
	head, err := b.buf.Peek(n)
	b.idle.Stop()
	return head, b.reason(err)
}

// reason says why nothing came.
func (b *body) reason(err error) error {
	if err != nil && b.late.Load() {
		return fmt.Errorf("nothing came for %v", idleTime)
	}
	return err
}

func (b *body) Read(p []byte) (int, error) {
	b.idle.Reset(idleTime)
	defer b.idle.Stop()
	if b.every > 0 && b.left == 0 {
		b.left = b.every
		if told, err := b.tells(); err != nil {
			return 0, b.over(err)
		} else if told {
			return 0, source.Mark{Title: b.title}
		}
	}
	if b.every > 0 {
		p = p[:min(len(p), b.left)]
	}
	n, err := b.buf.Read(p)
	b.left -= n
	if b.file != nil {
		b.file.got += int64(n)
	}
	return n, b.over(err)
}

// over says why there is no more: what is no file, or not all of one, has only broken off.
func (b *body) over(err error) error {
	if errors.Is(err, io.EOF) && b.file != nil && (b.file.length == 0 || b.file.got < b.file.length) {
		return errors.New("the server has ended it")
	}
	return b.reason(err)
}

// tells reads what a radio server says between bytes, and whether it is another title.
func (b *body) tells() (bool, error) {
	length, err := b.buf.ReadByte()
	if err != nil {
		return false, err
	}
	meta := make([]byte, 16*int(length))
	if _, err := io.ReadFull(b.buf, meta); err != nil {
		return false, err
	}
	title, ok := ts.StreamTitle(meta)
	if now := decoded(string(title)); ok && now != b.title {
		b.title = now
		return now != "", nil
	}
	return false, nil
}

// Close ends the request.
func (b *body) Close() error {
	b.cancel()
	b.idle.Stop()
	return b.resp.Body.Close()
}
