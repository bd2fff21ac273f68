package tierq

import (
	"io"
	"math/rand/v2"
)

const (
	packetLen  = 188
	frameRate  = 25
	gop        = 25 // frames from one random access point to the next
	pidMap     = 0x100
	pidVideo   = 0x101
	clockRate  = 90_000
	firstClock = clockRate
)

// muxer is an endless MPEG-TS of one H.264 stream whose pictures are noise: with
// tables, a clock and a random access point each second. As an io.Reader it is a
// file: it never waits. It ends, with io.EOF, after so many frames.
type muxer struct {
	rnd    *rand.Rand
	rate   int // bits a second
	frames int // still to come
	at     int // number of the next frame
	cc     map[int]byte
	out    []byte
}

func newMuxer(rnd *rand.Rand, rate, seconds int) *muxer {
	return &muxer{rnd: rnd, rate: rate, frames: seconds * frameRate, cc: map[int]byte{}}
}

func (m *muxer) Read(b []byte) (int, error) {
	for len(m.out) == 0 {
		if m.at == m.frames {
			return 0, io.EOF
		}
		m.frame()
	}
	n := copy(b, m.out)
	m.out = m.out[n:]
	return n, nil
}

// frame writes one picture; the first of a group is four times as long as others.
func (m *muxer) frame() {
	key := m.at%gop == 0
	unit := float64(m.rate) / 8 / frameRate * gop / (gop + 3)
	size := int(unit * (0.8 + 0.4*m.rnd.Float64()))
	nal := byte(0x41)
	if key {
		m.section(0, programTable(0, 1, []byte{0, 1, 0xe0 | pidMap>>8, pidMap & 0xff}))
		m.section(pidMap, programTable(2, 1, []byte{
			0xe0 | pidVideo>>8, pidVideo & 0xff, 0xf0, 0,
			0x1b, 0xe0 | pidVideo>>8, pidVideo & 0xff, 0xf0, 0,
		}))
		size, nal = 4*size, 0x65
	}
	t := uint64(firstClock + m.at*clockRate/frameRate)
	load := []byte{
		0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5,
		0x21 | byte(t>>29)&0x0e, byte(t >> 22), 1 | byte(t>>14)&0xfe, byte(t >> 7), 1 | byte(t<<1),
		0, 0, 0, 1, 9, 0xf0, 0, 0, 1, nal,
	}
	for range max(size-len(load), 1) {
		load = append(load, byte(m.rnd.Uint32())|1) // no start code by chance
	}
	adaptation := []byte{0x10, byte(t >> 25), byte(t >> 17), byte(t >> 9), byte(t >> 1), byte(t<<7) | 0x7e, 0}
	if key {
		adaptation[0] |= 0x40
	}
	load = m.packet(pidVideo, true, adaptation, load)
	for len(load) > 0 {
		load = m.packet(pidVideo, false, nil, load)
	}
	m.at++
}

// packet writes one packet with as much of load as fits, and returns the rest.
func (m *muxer) packet(pid int, start bool, adaptation, load []byte) []byte {
	p := []byte{0x47, byte(pid >> 8), byte(pid), 0x10 | m.cc[pid]}
	if start {
		p[1] |= 0x40
	}
	m.cc[pid] = (m.cc[pid] + 1) & 0x0f
	room := packetLen - 4
	if adaptation != nil {
		room -= 1 + len(adaptation)
	}
	n := min(room, len(load))
	if adaptation != nil || n < room {
		p[3] |= 0x20
		whole := packetLen - 4 - 1 - n // of the field, without its length
		field := make([]byte, whole)
		for i := range field {
			field[i] = 0xff
		}
		if whole > 0 {
			field[0] = 0
		}
		copy(field, adaptation)
		p = append(append(p, byte(whole)), field...)
	}
	m.out = append(append(m.out, p...), load[:n]...)
	return load[n:]
}

func (m *muxer) section(pid int, section []byte) {
	load := append([]byte{0}, section...)
	for len(load) < packetLen-4 {
		load = append(load, 0xff)
	}
	m.packet(pid, true, nil, load)
}

// table is a section of MPEG's long form.
func programTable(id byte, extension uint16, body []byte) []byte {
	n := 5 + len(body) + 4
	s := append([]byte{id, 0xb0 | byte(n>>8), byte(n), byte(extension >> 8), byte(extension), 0xc1, 0, 0}, body...)
	crc := ^uint32(0)
	for _, b := range s {
		crc ^= uint32(b) << 24
		for range 8 {
			carry := crc >> 31
			crc = crc<<1 ^ carry*0x04c11db7
		}
	}
	return append(s, byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc))
}
