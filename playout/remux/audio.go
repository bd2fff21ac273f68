package remux

import (
	"bytes"
	"fmt"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// audio makes units of AAC (ADTS) or MP3 frames. A frame's time is the one its packet
// says, or where the frame before it ends if that is nearly the same.
type audio struct {
	media  stripe.Media
	form   ts.AudioFrame // what config was made of
	config *Config
	rest   []byte // of a frame under way
	next   int64  // where the last frame ends, in samples
	known  bool   // next
}

// push takes bytes of the stream; at is the time of the first frame that begins in
// them, in 1/90000 s, if stamped.
func (a *audio) push(b []byte, at int64, isStamped bool) (units []Unit, refused string) {
	mark := len(a.rest)
	b = append(a.rest, b...)
	a.rest = nil
	pos := 0
	for len(b)-pos >= ts.AudioHeader {
		f, ok := ts.ParseFrame(a.media, b[pos:])
		if !ok {
			pos++
			continue
		}
		if pos+f.Size > len(b) {
			break
		}
		if refused = a.learn(f); refused != "" {
			return nil, refused
		}
		if isStamped && pos >= mark {
			said := at * int64(f.Rate) / videoScale
			if d := said - a.next; !a.known || d > int64(f.Samples/2) || -d > int64(f.Samples/2) {
				a.next, a.known = said, true
			}
			isStamped = false
		}
		if a.known {
			data := b[pos:][:f.Size]
			if a.media == stripe.MediaAAC {
				data = data[f.Header:]
			}
			units = append(units, Unit{Config: a.config, Time: a.next, Length: int64(f.Samples), Key: true, Data: bytes.Clone(data)})
			a.next += int64(f.Samples)
		}
		pos += f.Size
	}
	if rest := b[pos:]; len(rest) > 0 {
		a.rest = bytes.Clone(rest)
	}
	return units, ""
}

// forget drops the frame under way, and the time.
func (a *audio) forget() { a.rest, a.known = nil, false }

// learn makes a config of a frame's header, if it is another.
func (a *audio) learn(f ts.AudioFrame) (refused string) {
	f.Size, f.Header = 0, 0
	if a.config != nil && f == a.form {
		return ""
	}
	c := &Config{Timescale: uint32(f.Rate), Rate: f.Rate, Channels: f.Channels}
	var w boxes
	switch {
	case a.media != stripe.MediaAAC && f.Layer != 3:
		return fmt.Sprintf("MPEG audio layer %d", f.Layer)
	case a.media != stripe.MediaAAC:
		c.Codec = "mp4a.6B"
		w.audio(c, objectMP3, nil)
	case f.Channels == 0:
		return "AAC that does not say its channels"
	case f.Samples != aacFrame:
		return "AAC with several blocks in a frame"
	default:
		c.Codec = fmt.Sprintf("mp4a.40.%d", f.Profile)
		if c.Channels == 7 {
			c.Channels = 8
		}
		w.audio(c, objectAAC, []byte{byte(f.Profile<<3 | f.Index>>1), byte(f.Index<<7 | f.Channels<<3)})
	}
	c.entry = w.b
	if a.config != nil && a.config.Timescale != c.Timescale {
		a.known = false
	}
	a.config, a.form = c, f
	return ""
}

const aacFrame = 1024 // samples
