package ts

// assembler puts the sections of one PID together. It holds one section and a
// view of one packet; what is longer than maxSection is skipped.
//
// Call first with a packet, then next until it returns nil. A section is valid
// until the following call.
type assembler struct {
	buf   [maxSection]byte
	n     int    // bytes gathered of the section under way
	open  bool   // a section is under way or may start
	fresh bool   // rest lies behind the pointer field: sections may start in it
	rest  []byte // of the packet, before or behind its pointer
	after []byte // of the packet, behind its pointer, when rest lies before
	cc    uint8
	seen  bool // cc is of the packet before
}

func (a *assembler) first(p Packet) []byte {
	a.rest, a.after = nil, nil
	if p.Damaged() || p.Scrambled() {
		a.open, a.seen = false, false
		return nil
	}
	load := p.Payload()
	if load == nil {
		return nil
	}
	if a.seen && !p.Discontinuity() {
		if p.CC() == a.cc {
			return nil // sent twice, as 13818-1, 2.4.3.3 allows
		}
		a.open = a.open && p.CC() == (a.cc+1)&0x0f
	} else {
		a.open = false
	}
	a.cc, a.seen = p.CC(), true
	if !p.Start() {
		a.rest, a.fresh = load, false
		return a.next()
	}
	at := 1 + int(load[0])
	if at > len(load) {
		a.open = false
		return nil
	}
	a.rest, a.after, a.fresh = load[1:at], load[at:], false
	return a.next()
}

func (a *assembler) next() []byte {
	for {
		if !a.open || len(a.rest) == 0 {
			if a.after == nil {
				return nil
			}
			a.rest, a.after = a.after, nil
			a.fresh, a.open, a.n = true, true, 0
			continue
		}
		if a.n == 0 && a.rest[0] == 0xff {
			a.open = false // stuffing, to the packet's end
			continue
		}
		if sec := a.gather(); sec != nil {
			return sec
		}
	}
}

// gather takes bytes towards the section under way and returns it when whole.
func (a *assembler) gather() []byte {
	want := 3
	if a.n >= 3 {
		want = a.size()
	}
	n := copy(a.buf[a.n:want], a.rest)
	a.n, a.rest = a.n+n, a.rest[n:]
	if a.n < 3 {
		return nil
	}
	size := a.size()
	if size > maxSection {
		a.open = false
		return nil
	}
	if a.n < size {
		return nil
	}
	a.n, a.open = 0, a.fresh
	return a.buf[:size]
}

func (a *assembler) size() int { return 3 + int(be16(a.buf[1:])&0xfff) }

// idle reports whether no section is under way.
func (a *assembler) idle() bool { return !a.open || a.n == 0 }

// crcTable is that of CRC-32/MPEG-2: polynomial 0x04c11db7, not reflected.
var crcTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crc32 is the checksum of b (13818-1, annex A); 0 over a section with its own.
func crc32(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^v]
	}
	return c
}
