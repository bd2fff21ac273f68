package ingest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// Slated is a live input with something to show while nothing comes of it: a clip, again
// and again, at its own pace, from slateAfter of silence until what came back has a picture
// to begin at. Input and clip are one transport stream with one clock. An input that is no
// transport stream is passed on as it is.
//
//	input ─▶ ts.Splicer ─▶          it comes
//	clip ─ts.Looper─▶ ts.Cutter ─ts.Pacer─▶ ts.Splicer ─▶   it is silent
type Slated struct {
	ctx  context.Context
	in   <-chan read
	clip []byte
	say  func(format string, a ...any)

	head    []byte // what came first, until it is known what it is
	known   bool
	plain   bool // it is no transport stream
	splicer ts.Splicer
	ready   []byte // to be read
	err     error  // to be returned after ready; once

	// while the clip is shown
	loop   *ts.Looper // nil: it is not
	cutter *ts.Cutter
	pacer  ts.Pacer
	cuts   []ts.Cut
	due    time.Time // of cuts[0]; zero: not asked yet
	back   comeback
}

type read struct {
	b   []byte
	err error
}

// comeback is what came while the clip is shown.
type comeback struct {
	since  time.Time // zero: nothing has come
	last   time.Time // when something came last
	raw    []byte
	cutter *ts.Cutter
	tables ts.TableCache
	passed int // bytes of raw that were cut off it
}

// Slate reads in until ctx ends. The clip must be one that ts.NewLooper takes. say tells a
// person that it is shown.
func Slate(ctx context.Context, in io.Reader, clip []byte, say func(format string, a ...any)) (*Slated, error) {
	if _, err := ts.NewLooper(clip); err != nil {
		return nil, err
	}
	out := make(chan read)
	go func() {
		for {
			b := make([]byte, slateRead)
			n, err := in.Read(b)
			select {
			case out <- read{b[:n], err}:
			case <-ctx.Done():
				return
			}
			if err != nil && !errors.As(err, &source.Mark{}) {
				return
			}
		}
	}()
	return &Slated{ctx: ctx, in: out, clip: clip, say: say}, nil
}

// Read is io.Reader's, but for marks.
func (s *Slated) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if err := s.err; err != nil {
			s.err = nil
			return 0, err
		}
		if s.loop != nil {
			s.show()
		} else {
			s.follow()
		}
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// follow takes what comes next of the input, or begins to show the clip.
func (s *Slated) follow() {
	var silent <-chan time.Time
	if s.known && !s.plain {
		timer := time.NewTimer(slateAfter)
		defer timer.Stop()
		silent = timer.C
	}
	select {
	case r := <-s.in:
		s.pass(r)
	case <-silent:
		s.say("nothing comes: showing the slate")
		s.ready = s.splicer.Next()
		s.loop, _ = ts.NewLooper(s.clip) // which was taken before
		s.cutter, s.pacer, s.cuts, s.due = ts.NewCutter(ts.DefaultConfig()), ts.Pacer{}, nil, time.Time{}
		s.back = comeback{}
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
	}
}

// pass passes on what came.
func (s *Slated) pass(r read) {
	s.err = r.err
	b := r.b
	if !s.known && len(b) > 0 {
		s.head = append(s.head, b...)
		media, known := ts.Sniff(s.head)
		if !known && len(s.head) < maxLook && r.err == nil {
			return
		}
		s.known, s.plain = true, !known || media != stripe.MediaTS
		if b, s.head = s.head, nil; s.plain {
			s.say("the slate is for MPEG-TS, and this is none: it is not shown")
		}
	}
	var mark source.Mark
	switch ended := r.err != nil && (!errors.As(r.err, &mark) || mark.Break); {
	case s.plain:
		s.ready = b
	case ended:
		s.ready = append(append([]byte(nil), s.splicer.Write(b)...), s.splicer.Next()...)
	default:
		s.ready = s.splicer.Write(b)
	}
}

// show takes what is due of the clip, or what came back.
func (s *Slated) show() {
	for len(s.cuts) == 0 {
		b := make([]byte, slateRead/ts.PacketLen*ts.PacketLen)
		n, _ := s.loop.Read(b) // it never fails
		s.cuts = append(s.cuts, s.cutter.Write(time.Now(), b[:n])...)
	}
	if s.due.IsZero() {
		s.due = s.pacer.Due(time.Now(), s.cuts[0])
	}
	timer := time.NewTimer(time.Until(s.due))
	defer timer.Stop()
	select {
	case r := <-s.in:
		s.regain(time.Now(), r)
	case <-timer.C:
		s.ready = s.splicer.Write(s.cuts[0].Data)
		s.cuts, s.due = s.cuts[1:], time.Time{}
	case <-s.ctx.Done():
		s.err = s.ctx.Err()
	}
}

// regain looks through what came back for where it can begin, and goes over to it there, or
// after slateWait. What of it came before is left out.
func (s *Slated) regain(now time.Time, r read) {
	var mark source.Mark
	switch {
	case errors.As(r.err, &mark):
		if mark.Break {
			s.back = comeback{}
		}
		if mark.Break = false; mark != (source.Mark{}) {
			s.err = mark
		}
	case r.err != nil:
		s.err = r.err
	}
	if len(r.b) == 0 {
		return
	}
	c := &s.back
	if c.since.IsZero() || now.Sub(c.last) >= slateAfter { // what came once is gone again
		*c = comeback{since: now, cutter: ts.NewCutter(ts.DefaultConfig())}
	}
	c.last = now
	c.raw = append(c.raw, r.b...)
	found := now.Sub(c.since) >= slateWait || len(c.raw) >= maxBack
	for _, cut := range c.cutter.Write(now, r.b) {
		if found = found || cut.RandomAccess; found {
			break
		}
		c.tables.Push(cut.Data)
		c.passed += len(cut.Data)
	}
	if !found {
		return
	}
	s.ready = append([]byte(nil), s.splicer.Next()...)
	from := min(c.passed+int(c.cutter.Dropped()), len(c.raw))
	s.ready = append(s.ready, s.splicer.Write(append(c.tables.AppendTo(nil), c.raw[from:]...))...)
	s.loop, s.back = nil, comeback{}
	s.say("the input is shown again")
}
