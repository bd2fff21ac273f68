package ts

import "time"

const (
	mpegHeader = 4
	adtsHeader = 7
	id3Header  = 10
	id3Magic   = "ID3"
)

// frame is what the header of an audio frame says.
type frame struct {
	size    int    // bytes, header and all
	samples int    // per channel
	rate    int    // Hz
	kind    uint32 // header bits that stay the same in one stream
}

var (
	// By MPEG-1 layer I, II, III, then the lower rates' layer I, II and III; kbit/s.
	mpegBitrates = [5][16]int{
		{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
	mpegRates = [3]int{44100, 48000, 32000}
	adtsRates = [13]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
)

// parseMPEG reads an MPEG audio header (11172-3, 2.4.1.3) at the front of b, which
// has mpegHeader bytes. Free-format frames, whose length it does not say, are
// refused.
func parseMPEG(b []byte) (frame, bool) {
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3) // version 3 is MPEG-1, 2 is 2, 0 is 2.5
	rate, bits := b[2]>>2&3, b[2]>>4
	if b[0] != 0xff || b[1]&0xe0 != 0xe0 || version == 1 || layer == 4 || rate == 3 || b[3]&3 == 2 {
		return frame{}, false
	}
	table := layer - 1
	f := frame{samples: 1152, rate: mpegRates[rate], kind: be32(b) & 0xfffe0c00}
	if version != 3 {
		table = 3 + min(table, 1)
		f.rate >>= 1
		if version == 0 {
			f.rate >>= 1
		}
	}
	kbit, pad := mpegBitrates[table][bits], int(b[2]>>1&1)
	if kbit == 0 {
		return frame{}, false
	}
	switch {
	case layer == 1:
		f.samples = 384
		f.size = (12000*kbit/f.rate + pad) * 4
		return f, true
	case layer == 3 && version != 3:
		f.samples = 576
	}
	f.size = f.samples/8*1000*kbit/f.rate + pad
	return f, true
}

// parseADTS reads an ADTS header (14496-3, 1.A.2.2) at the front of b, which has
// adtsHeader bytes.
func parseADTS(b []byte) (frame, bool) {
	rate := b[2] >> 2 & 0x0f
	size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	header := adtsHeader
	if b[1]&1 == 0 {
		header += 2 // CRC
	}
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 || int(rate) >= len(adtsRates) || size < header {
		return frame{}, false
	}
	return frame{
		size:    size,
		samples: 1024 * (1 + int(b[6]&3)),
		rate:    adtsRates[rate],
		kind:    be32(b) & 0xfffefc00,
	}, true
}

// id3Size is the length of the ID3v2 tag at the front of b, which has id3Header
// bytes; 0 if there is none.
func id3Size(b []byte) int {
	if string(b[:3]) != id3Magic || b[3] == 0xff || b[4] == 0xff || (b[6]|b[7]|b[8]|b[9])&0x80 != 0 {
		return 0
	}
	n := id3Header + int(b[6])<<21 + int(b[7])<<14 + int(b[8])<<7 + int(b[9])
	if b[5]&0x10 != 0 {
		n += id3Header // footer
	}
	return n
}

// frames cuts MPEG audio and ADTS at frame boundaries. Its time is what the frames
// add up to; tags and noise take none.
type frames struct {
	parse func([]byte) (frame, bool)
	need  int // bytes of a header

	left   int   // bytes to come of the unit under way
	unit   frame // it; the zero frame is no frame
	locked bool
	last   frame
	odd    int64 // samples × ticks a second, not yet a whole tick at last.rate
}

func (f *frames) anew() {}

func (f *frames) dropped() uint64 { return 0 }

func (f *frames) take(b *block, now time.Time, in []byte, end bool) int {
	pos := 0
	for pos < len(in) {
		if f.left > 0 {
			n := min(f.left, len(in)-pos)
			b.addAll(now, in[pos:pos+n])
			f.left -= n
			pos += n
			if f.left == 0 && f.unit.size > 0 {
				f.finish(b, now)
			}
			continue
		}
		unit, size := f.find(in[pos:], end)
		if size == 0 {
			return pos
		}
		if unit.size > 0 && len(b.buf)+size > b.limit {
			b.cut(now, len(b.buf))
		}
		f.unit, f.left = unit, size
	}
	if end {
		f.left, f.locked = 0, false
	}
	return pos
}

func (f *frames) finish(b *block, now time.Time) {
	if f.unit.rate != f.last.rate {
		f.odd = 0
	}
	f.last = f.unit
	f.odd += int64(f.unit.samples) * ticksPerSecond
	b.advance(now, f.odd/int64(f.unit.rate))
	f.odd %= int64(f.unit.rate)
	if b.full() {
		b.end(now)
	}
}

// find says what stands at the front of b: a frame, or size bytes of something
// else. Size 0 means that more input decides.
func (f *frames) find(b []byte, end bool) (unit frame, size int) {
	if n := min(len(b), len(id3Magic)); string(b[:n]) == id3Magic[:n] {
		if len(b) >= id3Header {
			if size := id3Size(b); size > 0 {
				return frame{}, size
			}
		} else if !end {
			return frame{}, 0
		}
	}
	if len(b) < f.need {
		if end {
			return frame{}, len(b)
		}
		return frame{}, 0
	}
	if fr, ok := f.parse(b); ok {
		if f.locked && fr.kind == f.last.kind {
			return fr, fr.size
		}
		switch f.confirm(b, fr, end) {
		case yes:
			f.locked, f.last.kind = true, fr.kind
			return fr, fr.size
		case unknown:
			return frame{}, 0
		}
	}
	f.locked = false
	n := 1
	for n < len(b) && b[n] != 0xff && b[n] != id3Magic[0] {
		n++
	}
	return frame{}, n
}

type answer uint8

const (
	no answer = iota
	yes
	unknown
)

// confirm looks whether a frame of the same kind, or a tag, or the end of the
// input follows fr.
func (f *frames) confirm(b []byte, fr frame, end bool) answer {
	switch {
	case len(b) >= fr.size+f.need:
		if next, ok := f.parse(b[fr.size:]); ok && next.kind == fr.kind {
			return yes
		}
		if string(b[fr.size:fr.size+len(id3Magic)]) == id3Magic {
			return yes
		}
		return no
	case !end:
		return unknown
	case len(b) == fr.size:
		return yes
	}
	return no
}
