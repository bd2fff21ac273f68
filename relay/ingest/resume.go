package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// Line is one way to a stream, which can be gone in again.
type Line interface {
	// Open connects, and waits for as long as that takes or until ctx ends. The
	// bytes end with io.EOF where the stream is over, and with any other error where
	// only this connection is. A source.Mark may stand between them. Close makes a
	// Read that waits return. Bytes that are a Sequel go on where the connection
	// before them broke off.
	Open(ctx context.Context) (io.ReadCloser, error)
}

// Sequel is what Open returns if nothing was lost.
type Sequel interface{ GoesOn() bool }

// Resumed reads a line, and opens it again, for ever, whenever its connection is gone:
// then a source.Mark with Break stands between what came before and what comes after.
// What fails before anything has come is an error, and so is what is of another kind
// than before for as long as nothing else comes.
type Resumed struct {
	// Ready means that Open waits for whoever comes: there is no pause before it, and
	// one who brings nothing, or nothing that is known, is no reason to give up.
	Ready bool

	ctx  context.Context
	line Line
	say  func(format string, a ...any)

	cur     io.ReadCloser
	release func() bool // cur is closed when ctx ends
	since   time.Time   // cur was opened
	head    []byte      // of cur, not yet read
	err     error       // of cur, after head
	came    bool        // something has come, ever
	known   bool
	media   stripe.Media
	retry   time.Duration
	gone    bool // it was said that the input is gone
}

// ErrOther means that an input came back as something else.
var ErrOther = errors.New("the input is something else than before")

// Resume reads line until ctx ends. say tells a person that the input is gone, and that it
// is back.
func Resume(ctx context.Context, line Line, say func(format string, a ...any)) *Resumed {
	return &Resumed{ctx: ctx, line: line, say: say, retry: firstRetry}
}

// Read is io.Reader's, but for marks.
func (r *Resumed) Read(p []byte) (int, error) {
	for {
		if r.cur == nil {
			again := r.came
			if err := r.connect(); err != nil {
				return 0, err
			}
			if again && !goesOn(r.cur) {
				return 0, source.Mark{Break: true}
			}
		}
		if len(r.head) > 0 {
			n := copy(p, r.head)
			r.head, r.came = r.head[n:], true
			return n, nil
		}
		n := 0
		if r.err == nil {
			n, r.err = r.cur.Read(p)
		}
		var mark source.Mark
		if errors.As(r.err, &mark) && n == 0 {
			r.err = nil
			return 0, mark
		}
		if n > 0 {
			r.came = true
			return n, nil
		}
		if r.err == nil {
			continue
		}
		if err := r.lost(r.err); err != nil {
			return 0, err
		}
	}
}

// lost closes what is open and waits before the next time. The error is for good.
func (r *Resumed) lost(err error) error {
	if r.cur != nil {
		r.release()
		r.cur.Close()
		if time.Since(r.since) >= calm {
			r.retry = firstRetry
		}
	}
	r.cur, r.head, r.err = nil, nil, nil
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if errors.Is(err, io.EOF) || !r.came && !r.Ready {
		return err
	}
	if !r.gone || r.Ready {
		r.say("the input is gone (%v); waiting for it …", err)
		r.gone = true
	}
	if r.Ready {
		return nil
	}
	wait := time.NewTimer(r.retry)
	defer wait.Stop()
	r.retry = min(2*r.retry, maxRetry)
	select {
	case <-wait.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// connect opens the line, until what comes is what came before.
func (r *Resumed) connect() error {
	for {
		cur, err := r.line.Open(r.ctx)
		if err == nil {
			r.cur, r.since = cur, time.Now()
			r.release = context.AfterFunc(r.ctx, func() { cur.Close() })
			if !goesOn(cur) {
				err = r.look()
			}
			if err == nil {
				if r.gone && !r.Ready {
					r.say("the input is back")
				}
				r.gone = false
				return nil
			}
		}
		if err := r.lost(err); err != nil {
			return err
		}
	}
}

func goesOn(cur io.ReadCloser) bool {
	s, ok := cur.(Sequel)
	return ok && s.GoesOn()
}

// look reads the beginning of what was opened, as far as it tells what it is.
func (r *Resumed) look() error {
	buf := make([]byte, maxLook)
	for n := 0; ; {
		c, err := r.cur.Read(buf[n:])
		n += c
		r.head, r.err = buf[:n], err
		media, known := ts.Sniff(r.head)
		switch {
		case !known && errors.As(err, &source.Mark{}):
			continue // it is of what comes anyway
		case known && r.known && media != r.media:
			return fmt.Errorf("%w: %s, and was %s", ErrOther, media, r.media)
		case known:
			r.media, r.known = media, true
			return nil
		case err == nil && n < len(buf):
		case err == nil && r.known:
			return fmt.Errorf("%w, and was %s", ErrOther, r.media)
		case err == nil && r.Ready:
			return source.ErrUnknown
		case err != nil && (r.known || r.Ready || n == 0):
			return err
		default:
			return nil // whoever reads it first may say what it is not
		}
	}
}
