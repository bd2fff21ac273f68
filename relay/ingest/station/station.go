// Package station makes one endless stream of many files, as a radio or television station
// does: in order, for ever, with a clock that goes on from each to the next.
//
//	List ─▶ Item, Item, … ─open─▶ bytes ─ts.Splicer─▶ bytes, Mark{Title}, bytes, …
//
// It is a shell. What it cannot read itself it leaves to relay/ingest/ffmpeg.
package station

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stripecast/stripecast/relay/ingest"
	"github.com/stripecast/stripecast/relay/ingest/ffmpeg"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// Station is an input of relay/source, as fast as it is read. The first item that can be
// played decides between MPEG-TS and a kind of audio; what is not of that kind is packed as
// MPEG-TS, or passed over.
type Station struct {
	ctx   context.Context
	where string
	rate  float64
	say   func(format string, a ...any)

	items   []Item
	next    int // of items
	failed  int // of items in a row
	known   bool
	media   stripe.Media
	cur     io.ReadCloser
	release func() bool // cur is closed when ctx ends
	played  bool        // something of cur has come
	splicer ts.Splicer
	ready   []byte // to be read
	buf     []byte
}

// ErrOther means that an item is not of the station's kind.
var ErrOther = errors.New("it is of another kind than the items before")

// New reads the list, which is read again for each round. With a rate, in bits a second,
// everything is coded anew. say tells a person what is passed over.
func New(ctx context.Context, where string, rate float64, say func(format string, a ...any)) (*Station, error) {
	items, err := List(ctx, where)
	if err != nil {
		return nil, err
	}
	return &Station{ctx: ctx, where: where, rate: rate, say: say, items: items, buf: make([]byte, 64<<10)}, nil
}

// Read is io.Reader's, but for a source.Mark with the title before each item. It fails if
// nothing of the first round can be played, or ctx ends.
func (s *Station) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.cur == nil {
			title, err := s.advance()
			if err != nil {
				return 0, err
			}
			return 0, source.Mark{Title: title}
		}
		n, err := s.cur.Read(s.buf)
		if s.ready = s.buf[:n]; s.media == stripe.MediaTS && n > 0 {
			s.ready = s.splicer.Write(s.buf[:n])
		}
		if s.played = s.played || n > 0; n > 0 {
			s.failed = 0
		} else if err != nil {
			s.over(err)
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// over ends an item.
func (s *Station) over(err error) {
	s.release()
	s.cur.Close()
	s.cur = nil
	if s.media == stripe.MediaTS {
		s.ready = s.splicer.Next()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, ffmpeg.ErrEnded) && s.ctx.Err() == nil {
		s.say("%s ended early: %v", s.items[s.next-1].Where, err)
	}
	if !s.played {
		s.failed++
	}
}

// advance opens the next item that can be, and says its title.
func (s *Station) advance() (title string, err error) {
	for {
		if s.next == len(s.items) {
			s.again()
		}
		if s.ctx.Err() != nil {
			return "", s.ctx.Err()
		}
		item := s.items[s.next]
		s.next++
		cur, err := s.open(item)
		if err == nil {
			s.cur, s.played = cur, false
			s.release = context.AfterFunc(s.ctx, func() { cur.Close() })
			return item.Title, nil
		}
		if s.failed++; s.failed >= len(s.items) && !s.known {
			return "", fmt.Errorf("nothing of %s can be played; of %s: %w", s.where, item.Where, err)
		}
		s.say("passing over %s: %v", item.Where, err)
	}
}

// again begins another round, with the list as it is now if it can be had.
func (s *Station) again() {
	if s.failed >= len(s.items) {
		rest := time.NewTimer(restTime)
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-s.ctx.Done():
		}
	}
	if items, err := List(s.ctx, s.where); err == nil {
		s.items = items
	} else if s.ctx.Err() == nil {
		s.say("the list cannot be read any more, and stays as it was: %v", err)
	}
	s.next = 0
}

// looked is an item whose beginning was looked at.
type looked struct {
	*bufio.Reader
	io.Closer
}

// open opens an item as what the station is.
func (s *Station) open(item Item) (io.ReadCloser, error) {
	job := ffmpeg.Job{Input: item.Where, Kind: ffmpeg.File, Rate: s.rate}
	if isURL(item.Where) {
		job.Kind = ffmpeg.URL
	}
	if s.rate > 0 {
		return s.program(job)
	}
	raw, err := s.raw(item.Where)
	if err != nil {
		return nil, err
	}
	in := looked{bufio.NewReaderSize(raw, maxLook), raw}
	head, err := in.Peek(maxLook)
	media, known := ts.Sniff(head)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		err = source.ErrEmpty
	case len(head) == 0:
	case known && (!s.known || media == s.media):
		s.known, s.media = true, media
		return in, nil
	case !known && ts.Container(head) == "":
		err = source.ErrUnknown
	case s.known && s.media != stripe.MediaTS:
		err = fmt.Errorf("%w (%s)", ErrOther, s.media)
	default:
		raw.Close()
		return s.program(job)
	}
	raw.Close()
	return nil, err
}

func (s *Station) raw(where string) (io.ReadCloser, error) {
	if isURL(where) {
		return ingest.Fetch(s.ctx, where)
	}
	st, err := os.Stat(where)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", where)
	}
	return os.Open(where)
}

// program has ffmpeg read an item, as MPEG-TS.
func (s *Station) program(job ffmpeg.Job) (io.ReadCloser, error) {
	p, err := ffmpeg.New(job)
	if err != nil {
		return nil, err
	}
	in, err := p.Open(s.ctx)
	if err != nil {
		return nil, err
	}
	out := looked{bufio.NewReaderSize(in, ts.PacketLen), in}
	if _, err := out.Peek(1); err != nil { // it may not have been able to
		in.Close()
		return nil, err
	}
	s.known, s.media = true, stripe.MediaTS
	return out, nil
}
