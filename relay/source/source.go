// Package source turns an input into a published stream: it reads, finds out what
// the input is and how fast, cuts (stripe/ts), encrypts if the stream is private, codes
// (fec), seals (stripe) and hands the shards to the participant that is the root of all trees.
//
//	Input ─read─▶ ts.Cutter ─Pacer─▶ [stripe.Cipher] ─▶ fec.Encode ─▶ stripe.Seal ─▶ Publisher
//
// It is a shell: it lives in real time. Where inputs come from, and that one comes back
// after a blip, is relay/ingest's.
package source

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

const (
	// probeTime and probeLen end the look at an input's beginning from which its
	// medium and rate are told; probeMin is the least of a live one.
	probeTime = 3 * time.Second
	probeMin  = 400 * time.Millisecond
	probeLen  = 2 << 20
	// chunk is how much is read at once.
	chunk = 64 << 10
	// liveSlack is how far ahead of its clock a live input may run before it is
	// held back.
	liveSlack = time.Second
	// rateStep is the change of rate, as a share, that is announced, at most
	// every announceEvery.
	rateStep      = 0.15
	announceEvery = 2 * time.Second
	// rateLess is the same for a lower rate, at most every announceLess: it tells a
	// source short of uplink that it has room for one more child.
	rateLess     = 0.04
	announceLess = 10 * time.Second
)

// Config says what to publish.
type Config struct {
	Key  ed25519.PrivateKey // the stream's
	Name string
	// Description is what the stream is, for people; it must be a stripe.ValidText.
	Description string
	// Thumbnail is where a picture of it is; it must be a stripe.ValidThumbnail.
	Thumbnail string
	// LinkKey makes the stream private: only who has it can read the blocks. It is told
	// nobody. Zero: anyone can.
	LinkKey stripe.LinkKey
	// Input is read to its end. It may return a Mark between bytes.
	Input io.Reader
	// Paced says that the input comes at its own pace, as a camera's does. One
	// that does not, a file, is held to its own clock.
	Paced bool
	// Opaque takes an input that is neither TS nor known audio.
	Opaque bool
	// Layout and BlockTime as wanted; where they are not Fixed, a thin stream
	// gets longer blocks and fewer shards.
	Layout         stripe.Layout
	LayoutFixed    bool
	BlockTime      time.Duration
	BlockTimeFixed bool
	Logger         *slog.Logger
}

// Mark is what an Input's Read returns as its error, with no bytes, where something is
// to be said of the bytes that follow. It ends nothing: Read is called again.
type Mark struct {
	// Break means that what follows does not continue what came before it.
	Break bool
	// Title is what plays from here on, of any text; "" says nothing of it.
	Title string
}

// Error makes a Mark fit between bytes.
func (m Mark) Error() string { return "no error, but a mark in the input" }

// Publisher is the participant that is the source of the stream.
type Publisher interface {
	ID() membership.NodeID
	Announce(info []byte)
	Publish(shards []*stripe.Shard)
}

var (
	// ErrUnknown means that the input is neither TS nor known audio.
	ErrUnknown = errors.New("the input is neither MPEG-TS nor MP3, AAC or Ogg audio")
	// ErrNoClock means that an opaque file has nothing to be paced by.
	ErrNoClock = errors.New("an opaque input without a pace of its own cannot be streamed live")
	// ErrEmpty means that the input ended before anything came.
	ErrEmpty = errors.New("the input is empty")
)

// Source is one run: Probe, then Run.
type Source struct {
	cfg   Config
	info  stripe.Info
	start time.Time // wall clock at the beginning, moved on by the monotonic clock
	head  []byte    // read by Probe
	after Mark      // read by Probe behind it
	end   error     // how the input ended, once it has; Probe may get there
	input <-chan read

	// owned by Run
	cipher    *stripe.Cipher // nil: the stream is not private
	coder     *fec.Coder
	cutter    *ts.Cutter
	pacer     ts.Pacer
	meter     ts.RateMeter
	number    uint64
	gap       bool   // the next block follows a break
	title     string // what plays; told at most every announceEvery
	media     uint64 // when the last block ended, in 1/90000 s
	announced time.Time
}

type read struct {
	b   []byte
	err error
}

// mark is what the input says of what follows, if that is what was read.
func (r read) mark() (m Mark, ok bool) {
	ok = errors.As(r.err, &m)
	return m, ok
}

// Probe reads the beginning of the input and decides medium, layout and block
// time.
func Probe(ctx context.Context, cfg Config) (*Source, error) {
	s := &Source{cfg: cfg, start: time.Now(), input: reader(ctx, cfg.Input)}
	limit := time.NewTimer(probeTime)
	defer limit.Stop()
	var began time.Time
	var rate float64
	for done := false; !done; {
		select {
		case r := <-s.input:
			if began.IsZero() {
				began = time.Now()
			}
			if m, ok := r.mark(); ok {
				if m.Break {
					s.head = nil // nothing of it has gone out: the stream begins here
				}
				if done = len(s.head) > 0; done {
					s.after = m
				} else {
					s.entitle(m)
				}
				continue
			}
			s.head = append(s.head, r.b...)
			if r.err != nil && !errors.Is(r.err, io.EOF) {
				return nil, r.err
			}
			s.end = r.err
			var ok bool
			rate, ok = ts.Estimate(s.head)
			enough := ok && cfg.Paced && time.Since(began) >= probeMin
			done = r.err != nil || enough || len(s.head) >= probeLen
		case <-limit.C:
			if len(s.head) > 0 {
				done = true
			} else {
				limit.Reset(probeTime) // nothing has come yet: a live input may wait
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s, s.decide(rate, began)
}

func (s *Source) decide(rate float64, began time.Time) error {
	if len(s.head) == 0 {
		return ErrEmpty
	}
	media, known := ts.Sniff(s.head)
	switch {
	case !known && !s.cfg.Opaque:
		return ErrUnknown
	case !known && !s.cfg.Paced:
		return ErrNoClock
	case !known:
		media = stripe.MediaOpaque
	}
	if rate <= 0 {
		// No clock in the input: what came in the time it took, at least.
		rate = float64(len(s.head)) * 8 / max(time.Since(began), probeMin).Seconds()
	}
	layout, blockTime := stripe.Choose(rate, s.cfg.Layout, s.cfg.LayoutFixed, s.cfg.BlockTime, s.cfg.BlockTimeFixed)
	s.info = stripe.Info{
		Stream: stripe.IDOf(s.cfg.Key),
		Layout: layout, BlockTime: blockTime, Rate: uint64(rate),
		Media: media, Name: s.cfg.Name, Title: s.title, Description: s.cfg.Description, Thumbnail: s.cfg.Thumbnail,
	}
	return nil
}

// SetEpoch sets the epoch, higher than any before, ahead of Run: so that none is
// used up by an input that cannot be published. A private stream gets the epoch's key.
func (s *Source) SetEpoch(epoch uint32) {
	s.info.Epoch = epoch
	if s.cfg.LinkKey.IsZero() {
		return
	}
	var salt [16]byte
	rand.Read(salt[:]) // never fails
	s.info.Lock = stripe.NewLock(s.cfg.LinkKey, s.info.Stream, epoch, salt)
	var err error
	if s.cipher, err = stripe.NewCipher(s.cfg.LinkKey, s.info); err != nil {
		panic(err) // the lock is of this key
	}
}

// Info is what Probe decided.
func (s *Source) Info() stripe.Info { return s.info }

// reader reads in a goroutine of its own, since a read cannot be interrupted.
// After an error that is no Mark, which is io.EOF at the end, nothing follows.
func reader(ctx context.Context, in io.Reader) <-chan read {
	out := make(chan read, 4)
	go func() {
		for {
			b := make([]byte, chunk)
			n, err := in.Read(b)
			if n == 0 && err == nil {
				continue
			}
			last := read{b[:n], err}
			select {
			case out <- last:
			case <-ctx.Done():
				return
			}
			if _, mark := last.mark(); err != nil && !mark {
				return
			}
		}
	}()
	return out
}

// Run, once, publishes until the input ends, which ends the stream, or ctx does, which
// ends it too.
func (s *Source) Run(ctx context.Context, to Publisher) error {
	coder, err := fec.New(s.info.Layout)
	if err != nil {
		return err
	}
	cfg := ts.DefaultConfig()
	cfg.Media, cfg.BlockTime, cfg.MaxBlock = s.info.Media, s.info.BlockTime, s.maxBlock()
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.coder, s.cutter = coder, ts.NewCutter(cfg)
	if s.cfg.Paced {
		s.pacer.Slack = liveSlack
	}
	s.Announce(to)
	err = s.pump(ctx, to)
	s.publish(to, ts.Cut{MediaTime: s.media}, stripe.End)
	return err
}

func (s *Source) pump(ctx context.Context, to Publisher) error {
	tick := time.NewTicker(s.info.BlockTime)
	defer tick.Stop()
	if !s.take(ctx, to, s.cutter.Write(time.Now(), s.head)) {
		return nil
	}
	s.head = nil
	s.entitle(s.after)
	for {
		if s.end != nil {
			s.take(ctx, to, s.cutter.Flush(time.Now()))
			if errors.Is(s.end, io.EOF) {
				return nil
			}
			return fmt.Errorf("reading the input: %w", s.end)
		}
		select {
		case r := <-s.input:
			if !s.take(ctx, to, s.cutter.Write(time.Now(), r.b)) {
				return nil
			}
			if m, ok := r.mark(); !ok {
				s.end = r.err
			} else {
				if m.Break && !s.take(ctx, to, s.cutter.Break(time.Now())) {
					return nil
				}
				s.gap = s.gap || m.Break
				s.entitle(m)
			}
		case <-tick.C:
			s.tell(to)
			if !s.take(ctx, to, s.cutter.Write(time.Now(), nil)) {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// take publishes cuts when they are due; false means that ctx ended.
func (s *Source) take(ctx context.Context, to Publisher, cuts []ts.Cut) bool {
	for _, c := range cuts {
		now := time.Now()
		if due := s.pacer.Due(now, c); due.After(now) {
			wait := time.NewTimer(due.Sub(now))
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return false
			}
		}
		s.tell(to)
		s.publish(to, s.marked(c), 0)
		s.measure(to, c)
	}
	return ctx.Err() == nil
}

// marked tells the decoder of a break before c, where its format can.
func (s *Source) marked(c ts.Cut) ts.Cut {
	if s.gap && s.info.Media == stripe.MediaTS {
		if marked := append(ts.MarkGap(c.Data), c.Data...); len(marked) <= s.maxBlock() {
			c.Data = marked
		}
	}
	s.gap = false
	return c
}

// maxBlock is the longest block of stream there may be, in bytes.
func (s *Source) maxBlock() int {
	if s.cipher != nil {
		return stripe.MaxBlock - stripe.CipherMore
	}
	return stripe.MaxBlock
}

func (s *Source) publish(to Publisher, c ts.Cut, flags stripe.Flags) {
	if c.RandomAccess {
		flags |= stripe.RandomAccess
	}
	if c.Discontinuity {
		flags |= stripe.Discontinuity
	}
	if s.cipher != nil {
		c.Data = s.cipher.Encrypt(s.number, c.Data)
	}
	shards := s.coder.Encode(c.Data)
	to.Publish(stripe.Seal(s.cfg.Key, stripe.Header{
		Stream: s.info.Stream, Epoch: s.info.Epoch, Number: s.number,
		Layout: s.info.Layout, ShardLen: len(shards[0]), DataLen: len(c.Data),
		Flags: flags, SourceTime: s.now().UnixMilli(), MediaTime: c.MediaTime,
	}, shards))
	s.number++
	s.media = c.MediaTime + uint64(c.Span*90/time.Millisecond)
}

// now is the wall clock at the start, moved on by the monotonic clock, so that
// setting the machine's clock moves no block.
func (s *Source) now() time.Time { return s.start.Add(time.Since(s.start)) }

// measure announces the rate when it has changed.
func (s *Source) measure(to Publisher, c ts.Cut) {
	s.meter.Add(c)
	rate := s.meter.BitsPerSecond()
	was := float64(s.info.Rate)
	since := time.Since(s.announced)
	more := rate >= was*(1+rateStep) && since >= announceEvery
	less := rate <= was*(1-rateLess) && since >= announceLess
	if rate == 0 || !more && !less {
		return
	}
	s.info.Rate = uint64(rate)
	s.info.Title = s.title
	s.info.Seq++
	s.Announce(to)
}

// entitle takes what the input says that plays.
func (s *Source) entitle(m Mark) {
	if title := stripe.FitText(m.Title, stripe.MaxTitle); title != "" {
		s.title = title
	}
}

// tell announces a new title, unless something was announced just now.
func (s *Source) tell(to Publisher) {
	if s.info.Title == s.title || time.Since(s.announced) < announceEvery {
		return
	}
	s.info.Title = s.title
	s.info.Seq++
	s.Announce(to)
}

// Announce tells what the stream is. Run does so too; to do it before lets nobody ask in
// vain between the time that the link is known and the first block.
func (s *Source) Announce(to Publisher) {
	s.info.Root, s.announced = to.ID(), time.Now()
	to.Announce(s.info.Sign(s.cfg.Key))
}
