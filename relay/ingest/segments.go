package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/stripecast/stripecast/relay/ingest/m3u"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// ErrSegments means that a playlist offers no segments that could be read.
var ErrSegments = errors.New("the playlist has no plain MPEG-TS segments")

const listMagic = "#EXTM3U"

// isPlaylist looks at how a body begins.
func (b *body) isPlaylist() bool {
	head, _ := b.peek(len("\ufeff") + len(listMagic))
	return bytes.HasPrefix(bytes.TrimPrefix(head, []byte("\ufeff")), []byte(listMagic))
}

// segments reads a playlist's segments one after the other, and the playlist again when
// there are none left. A live one is joined edge segments before its end. Where one
// cannot be had, or the list says so, a Mark stands.
type segments struct {
	ctx    context.Context
	cancel context.CancelFunc
	client *http.Client
	url    *url.URL // of the playlist, wherever redirects led

	list     m3u.List
	asked    time.Time // for list
	same     bool      // it had nothing new
	progress time.Time // when the last segment began
	next     uint64    // number of the segment to come
	began    bool
	cur      *body
	broken   bool // a Mark is due
	missed   int  // segments in a row that could not be had
}

// openSegments begins with what answered as a playlist, and closes it.
func openSegments(ctx context.Context, client *http.Client, b *body) (*segments, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &segments{ctx: ctx, cancel: cancel, client: client, progress: time.Now()}
	err := s.take(b)
	if err == nil && len(s.list.Variants) > 0 {
		err = s.choose()
	}
	if err == nil && !s.list.HLS {
		err = fmt.Errorf("%w: %s is a plain list", ErrSegments, s.url.Redacted())
	}
	if err != nil {
		cancel()
		return nil, err
	}
	if s.next = s.list.First; !s.list.End {
		s.next += uint64(max(0, len(s.list.Pieces)-edge))
	}
	return s, nil
}

// choose goes on with the best variant.
func (s *segments) choose() error {
	best, ok := s.list.Best()
	if !ok {
		return fmt.Errorf("%w: each variant's sound is apart from its picture", ErrSegments)
	}
	u, err := s.resolve(best.URI)
	if err != nil {
		return err
	}
	s.url = u
	if err := s.load(); err != nil {
		return err
	}
	if len(s.list.Variants) > 0 {
		return fmt.Errorf("%w: a variant offers variants", ErrSegments)
	}
	return nil
}

func (s *segments) resolve(uri string) (*url.URL, error) {
	u, err := s.url.Parse(uri)
	if err != nil {
		return nil, err
	}
	return u, fetchable(u)
}

// load reads the playlist again.
func (s *segments) load() error {
	s.asked = time.Now()
	b, err := get(s.ctx, s.client, s.url, 0, false)
	if err != nil {
		return err
	}
	defer b.Close()
	if !b.isPlaylist() {
		return fmt.Errorf("%s is no playlist", s.url.Redacted())
	}
	return s.take(b)
}

func (s *segments) take(b *body) error {
	s.asked, s.url = time.Now(), b.resp.Request.URL
	text, err := io.ReadAll(io.LimitReader(b, m3u.MaxList+1))
	if err != nil && len(text) <= m3u.MaxList {
		return err
	}
	list, err := m3u.Parse(text)
	if err != nil {
		return err
	}
	s.same = list.First == s.list.First && len(list.Pieces) == len(s.list.Pieces) && list.End == s.list.End
	s.list = list
	return nil
}

// Read ends with io.EOF behind the last segment of a list that has ended, and fails when
// there has been no new segment for too long.
func (s *segments) Read(p []byte) (int, error) {
	for {
		if s.cur == nil {
			if err := s.advance(); err != nil {
				return 0, err
			}
			if s.broken && s.began {
				s.broken = false
				return 0, source.Mark{Break: true}
			}
			s.broken, s.began = false, true
		}
		n, err := s.cur.Read(p)
		if err != nil {
			s.cur.Close()
			s.cur = nil
			s.broken = s.broken || !errors.Is(err, io.EOF)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// advance opens the next segment, waiting for it if need be.
func (s *segments) advance() error {
	for {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		end := s.list.First + uint64(len(s.list.Pieces))
		switch {
		case s.next < s.list.First: // they are gone
			s.broken, s.next = true, s.list.First
		case s.next > end: // it has begun anew
			s.broken, s.next = true, s.list.First+uint64(max(0, len(s.list.Pieces)-edge))
		case s.next < end:
			piece := s.list.Pieces[s.next-s.list.First]
			s.next++
			s.broken = s.broken || piece.Broken
			if err := s.open(piece); err == nil {
				s.missed, s.progress = 0, time.Now()
				return nil
			} else if errors.Is(err, ErrSegments) || s.missed == maxMissed {
				return err
			}
			s.missed++
			s.broken = true
		case s.list.End:
			return io.EOF
		default:
			if err := s.reload(); err != nil {
				return err
			}
		}
	}
}

// open asks for a segment.
func (s *segments) open(piece m3u.Piece) error {
	if piece.Unfit != "" {
		return fmt.Errorf("%w: %s", ErrSegments, piece.Unfit)
	}
	u, err := s.resolve(piece.URI)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrSegments, err)
	}
	b, err := get(s.ctx, s.client, u, 0, false)
	if err != nil {
		return err
	}
	head, err := b.peek(2*ts.PacketLen + 1)
	if media, _ := ts.Sniff(head); media != stripe.MediaTS {
		b.Close()
		if err == nil {
			return fmt.Errorf("%w: %s is none", ErrSegments, u.Redacted())
		}
		return fmt.Errorf("a segment of %d bytes: %w", len(head), err)
	}
	s.cur = b
	return nil
}

// reload waits until there may be another segment (RFC 8216, 6.3.4) and asks for the
// list. It fails if it has had nothing new for too long.
func (s *segments) reload() error {
	target := max(s.list.Target, minTarget)
	if time.Since(s.progress) > stalledTargets*target+headerTime {
		return fmt.Errorf("the playlist has had nothing new for %v", time.Since(s.progress).Round(time.Second))
	}
	pause := target
	if s.same {
		pause /= 2
	}
	wait := time.NewTimer(time.Until(s.asked.Add(pause)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if err := s.load(); err != nil {
		s.same = true // asked for again soon, until it stalls
		if errors.Is(err, m3u.ErrList) {
			return err
		}
	}
	return nil
}

// Close ends what is under way.
func (s *segments) Close() error {
	s.cancel()
	return nil
}
