package ts

import "time"

const (
	oggMagic  = "OggS"
	oggHeader = 27
	oggIdent  = 64 // how much of a first page's data tells its codec
)

// pages cuts Ogg at page boundaries. Its time is the granule position of the first
// logical stream whose codec it knows; a chained stream's time goes on where the
// link before ended.
type pages struct {
	left int // bytes to come of the page under way

	serial  uint32
	rate    int64 // granules a second; 0 while no codec is known
	last    int64 // granule of serial's last page, in ticks
	bos     bool  // the last page was the first of its logical stream
	moved   int64 // by how much the page under way moves the clock
	counted bool  // the page under way has a time
}

// anew lets the next logical stream begin a chain, even after nothing but a first page.
func (g *pages) anew() { g.bos = false }

func (g *pages) dropped() uint64 { return 0 }

func (g *pages) take(b *block, now time.Time, in []byte, end bool) int {
	pos := 0
	for pos < len(in) {
		if g.left > 0 {
			n := min(g.left, len(in)-pos)
			b.addAll(now, in[pos:pos+n])
			g.left -= n
			pos += n
			if g.left == 0 && g.counted {
				g.finish(b, now)
			}
			continue
		}
		size, page := g.find(in[pos:], end)
		if size == 0 {
			return pos
		}
		g.left, g.counted = size, page
		if page {
			g.open(b, now, in[pos:], size)
		}
	}
	if end {
		g.left = 0
	}
	return pos
}

// open reads the page at the front of p, size bytes long, before it is delivered.
func (g *pages) open(b *block, now time.Time, p []byte, size int) {
	if len(b.buf)+size > b.limit {
		b.cut(now, len(b.buf))
	}
	if len(b.buf) == 0 {
		b.random = true
	}
	g.moved = g.read(p[:min(size, len(p))])
}

func (g *pages) finish(b *block, now time.Time) {
	b.advance(now, g.moved)
	if b.full() {
		b.end(now)
	}
}

// find returns the length of the page at the front of b, or how many bytes there
// are none. 0 means that more input decides.
func (g *pages) find(b []byte, end bool) (size int, page bool) {
	n := min(len(b), len(oggMagic))
	if string(b[:n]) == oggMagic[:n] {
		if size, whole := pageSize(b); whole {
			if size > 0 && (end || len(b) >= min(size, oggHeader+0xff+oggIdent)) {
				return size, true
			}
			if size > 0 {
				return 0, false
			}
		} else if !end {
			return 0, false
		}
	}
	for n = 1; n < len(b) && b[n] != oggMagic[0]; n++ {
	}
	return n, false
}

// pageSize is the length of the page at the front of b, 0 if its version is not 0;
// whole is false if b is too short to say.
func pageSize(b []byte) (size int, whole bool) {
	if len(b) < oggHeader || len(b) < oggHeader+int(b[26]) {
		return 0, false
	}
	if b[4] != 0 {
		return 0, true
	}
	size = oggHeader + int(b[26])
	for _, lace := range b[oggHeader:size] {
		size += int(lace)
	}
	return size, true
}

// read takes what the page says of time and returns by how much it moves the clock.
func (g *pages) read(p []byte) int64 {
	first, serial := p[5]&2 != 0, le32(p[14:])
	data := p[min(oggHeader+int(p[26]), len(p)):]
	if first {
		if !g.bos {
			g.rate = 0 // another link of the chain
		}
		if rate := granuleRate(data); g.rate == 0 && rate > 0 {
			g.rate, g.serial, g.last = rate, serial, 0
		}
	}
	g.bos = first
	granule := int64(uint64(le32(p[10:]))<<32 | uint64(le32(p[6:])))
	if g.rate == 0 || serial != g.serial || granule < 0 || granule >= 1<<48 {
		return 0 // -1: no packet ends on this page
	}
	at := granule/g.rate*ticksPerSecond + granule%g.rate*ticksPerSecond/g.rate
	step := at - g.last
	g.last = at
	if step < 0 || step > ticks(maxPage) {
		return 0
	}
	return step
}

// granuleRate is how many granules a second the stream counts whose first packet
// is p; 0 if its codec is not known.
func granuleRate(p []byte) int64 {
	var rate int64
	switch {
	case len(p) >= 16 && string(p[:7]) == "\x01vorbis":
		rate = int64(le32(p[12:]))
	case len(p) >= 8 && string(p[:8]) == "OpusHead":
		rate = 48000
	case len(p) >= 40 && string(p[:8]) == "Speex   ":
		rate = int64(le32(p[36:]))
	case len(p) >= 30 && string(p[:5]) == "\x7fFLAC":
		rate = int64(be32(p[27:]) >> 12) // 20 bits of STREAMINFO
	}
	if rate < 1000 || rate > 1_000_000 {
		return 0
	}
	return rate
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}
