package ts

import (
	"math/rand/v2"
	"time"
)

var epoch = time.Unix(1_700_000_000, 0)

// muxer writes packets for tests.
type muxer struct {
	out []byte
	cc  [pids]uint8
}

// field is what an adaptation field is made of.
type field struct {
	disc, random, hasPCR bool
	pcr                  uint64 // 27 MHz
}

func (f field) bytes() []byte {
	var flags byte
	if f.disc {
		flags |= 0x80
	}
	if f.random {
		flags |= 0x40
	}
	if !f.hasPCR {
		if flags == 0 {
			return nil
		}
		return []byte{flags}
	}
	base, ext := f.pcr/300%ptsWrap, f.pcr%300
	return []byte{flags | 0x10, byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1),
		byte(base<<7) | 0x7e | byte(ext>>8), byte(ext)}
}

// packet writes one packet with as much of load as fits, and returns the rest.
func (m *muxer) packet(pid PID, start bool, f field, load []byte) []byte {
	a := f.bytes()
	room := PacketLen - 4
	if a != nil {
		room -= 1 + len(a)
	}
	n := min(room, len(load))
	p := []byte{syncByte, byte(pid >> 8), byte(pid), 0}
	if start {
		p[1] |= 0x40
	}
	if n > 0 {
		p[3] |= 0x10
		m.cc[pid] = (m.cc[pid] + 1) & 0x0f
	}
	p[3] |= m.cc[pid]
	if stuff := room - n; a != nil || stuff > 0 {
		p[3] |= 0x20
		switch {
		case a == nil && stuff == 1:
			p = append(p, 0)
		case a == nil:
			p = append(p, byte(stuff-1), 0)
			stuff -= 2
		default:
			p = append(append(p, byte(len(a)+stuff)), a...)
		}
		for range stuff {
			if len(p)+n < PacketLen {
				p = append(p, 0xff)
			}
		}
	}
	p = append(p, load[:n]...)
	if len(p) != PacketLen {
		panic("test muxer: packet length")
	}
	m.out = append(m.out, p...)
	return load[n:]
}

func (m *muxer) null() { m.packet(pidNull, false, field{}, make([]byte, PacketLen-4)) }

// section writes sections as one unit: pointer field, then back to back.
func (m *muxer) section(pid PID, secs ...[]byte) {
	load := []byte{0}
	for _, s := range secs {
		load = append(load, s...)
	}
	for start := true; len(load) > 0; start = false {
		for len(load) < PacketLen-4 {
			load = append(load, 0xff)
		}
		load = m.packet(pid, start, field{}, load)
	}
}

// pes writes one PES packet; f goes into its first packet.
func (m *muxer) pes(pid PID, id byte, f field, pts uint64, es []byte) {
	pts %= ptsWrap
	load := []byte{0, 0, 1, id, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(pts>>29)&0x0e, byte(pts >> 22), 1 | byte(pts>>14)&0xfe, byte(pts >> 7), 1 | byte(pts<<1)}
	load = append(load, es...)
	load = m.packet(pid, true, f, load)
	for len(load) > 0 {
		load = m.packet(pid, false, field{}, load)
	}
}

func longSection(table byte, id uint16, version, number, last byte, body []byte) []byte {
	n := 5 + len(body) + 4
	s := []byte{table, 0xb0 | byte(n>>8), byte(n), byte(id >> 8), byte(id), 0xc1 | version<<1, number, last}
	s = append(s, body...)
	c := crc32(s)
	return append(s, byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

func patSectionOf(version, number, last byte, entries ...patEntry) []byte {
	var b []byte
	for _, e := range entries {
		b = append(b, byte(e.number>>8), byte(e.number), 0xe0|byte(e.pid>>8), byte(e.pid))
	}
	return longSection(0, 1, version, number, last, b)
}

func pmtSectionOf(program uint16, version byte, pcr PID, streams ...Stream) []byte {
	b := []byte{0xe0 | byte(pcr>>8), byte(pcr), 0xf0, 0}
	for _, s := range streams {
		var d []byte
		if s.Format != 0 {
			d = []byte{5, 4, byte(s.Format >> 24), byte(s.Format >> 16), byte(s.Format >> 8), byte(s.Format)}
		}
		b = append(b, s.Type, 0xe0|byte(s.PID>>8), byte(s.PID), 0xf0, byte(len(d)))
		b = append(b, d...)
	}
	return longSection(2, program, version, 0, 0, b)
}

const (
	testMap   PID = 0x100
	testVideo PID = 0x101
	testAudio PID = 0x102
)

func (m *muxer) tables(streams ...Stream) {
	m.section(pidPAT, patSectionOf(1, 0, 0, patEntry{1, testMap}))
	m.section(testMap, pmtSectionOf(1, 1, streams[0].PID, streams...))
}

var avStreams = []Stream{{PID: testVideo, Type: typeH264}, {PID: testAudio, Type: 0x0f}}

var (
	esIDR   = []byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0x88}
	esSlice = []byte{0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x41, 0x9a}
)

// randomStream is a stream of H.264 and audio with PCRs now and then, tables here
// and there, jumps, marks and nulls.
func randomStream(rnd *rand.Rand, frames int) []byte {
	var m muxer
	clock := rnd.Uint64N(pcrWrap)
	if rnd.IntN(2) == 0 {
		clock = pcrWrap - rnd.Uint64N(5*ticksPerSecond) // wraps soon
	}
	gop := 1 + rnd.IntN(30)
	m.tables(avStreams...)
	for i := range frames {
		rap := i%gop == 0
		if rap && rnd.IntN(4) > 0 || rnd.IntN(20) == 0 {
			for range rnd.IntN(3) {
				m.null()
			}
			m.section(pidSDT, longSection(0x42, 1, 0, 0, 0, make([]byte, 18)))
			m.tables(avStreams...)
			if rnd.IntN(3) == 0 {
				m.null()
			}
		}
		f := field{random: rap && rnd.IntN(3) > 0, hasPCR: rnd.IntN(4) > 0, pcr: clock}
		if rnd.IntN(40) == 0 {
			clock = rnd.Uint64N(pcrWrap)
			f.pcr = clock
		}
		f.disc = rnd.IntN(40) == 0
		es := esSlice
		if rap {
			es = esIDR
		}
		m.pes(testVideo, 0xe0, f, clock/300, append(es[:len(es):len(es)], make([]byte, rnd.IntN(3000))...))
		m.pes(testAudio, 0xc0, field{}, clock/300, make([]byte, rnd.IntN(300)))
		clock = (clock + 1080000) % pcrWrap
	}
	return m.out
}

// chunks splits b at random and calls each with every piece.
func chunks(rnd *rand.Rand, b []byte, each func([]byte)) {
	for len(b) > 0 {
		n := 1 + rnd.IntN(min(len(b), 1+rnd.IntN(20000)))
		each(b[:n])
		b = b[n:]
	}
}

func joined(cuts []Cut) []byte {
	var b []byte
	for _, c := range cuts {
		b = append(b, c.Data...)
	}
	return b
}

// cutAll cuts b, written in random pieces at one instant.
func cutAll(cfg Config, rnd *rand.Rand, b []byte) (*Cutter, []Cut) {
	c := NewCutter(cfg)
	var cuts []Cut
	chunks(rnd, b, func(p []byte) { cuts = append(cuts, c.Write(epoch, p)...) })
	return c, append(cuts, c.Flush(epoch)...)
}
