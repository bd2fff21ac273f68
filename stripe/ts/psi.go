package ts

import "slices"

// Program is one programme of a stream: its entry in the PAT and, once Known, its
// PMT.
type Program struct {
	Number  uint16
	Map     PID // of its PMT
	Known   bool
	PCR     PID // 0x1fff if it has no clock
	Streams []Stream

	crc uint32 // of the section that says so
}

// Stream is one elementary stream of a programme.
type Stream struct {
	PID  PID
	Type uint8 // stream_type
	// Format is the first registration descriptor's identifier, 0 if none.
	Format uint32
}

// PSI follows a stream's PAT and PMTs. The zero value is ready. A PAT of many
// sections counts when all of them have come, a PMT when its programme is known;
// what fails its CRC is ignored.
type PSI struct {
	pat      assembler
	version  uint8
	sections []patSection // by section number; of the PAT being gathered
	programs []Program
	maps     []mapPID
	index    [pids]uint8 // PID → 1 + its place in maps
}

type patSection struct {
	known   bool
	crc     uint32
	entries []patEntry
}

type patEntry struct {
	number uint16
	pid    PID
}

type mapPID struct {
	pid PID
	asm *assembler
}

// Programs are the programmes in the PAT's order. The slice is the PSI's own.
func (s *PSI) Programs() []Program { return s.programs }

// IsMap reports whether a PMT is carried on pid.
func (s *PSI) IsMap(pid PID) bool { return s.index[pid&(pids-1)] != 0 }

// Push takes the next packet of the stream and reports whether it changed what
// is known.
func (s *PSI) Push(p Packet) bool {
	pid := p.PID()
	if pid == pidPAT {
		return s.pushPAT(p)
	}
	i := s.index[pid]
	if i == 0 {
		return false
	}
	changed := false
	asm := s.maps[i-1].asm
	for sec := asm.first(p); sec != nil; sec = asm.next() {
		if sec[0] == 2 && usable(sec) && s.setPMT(pid, sec) {
			changed = true
		}
	}
	return changed
}

func (s *PSI) pushPAT(p Packet) bool {
	changed := false
	for sec := s.pat.first(p); sec != nil; sec = s.pat.next() {
		if sec[0] == 0 && usable(sec) && s.setPAT(sec) {
			changed = true
		}
	}
	return changed
}

// usable reports whether a section is in long form, in force and undamaged.
func usable(sec []byte) bool {
	return len(sec) >= 12 && sec[1]&0x80 != 0 && sec[5]&1 != 0 && crc32(sec) == 0
}

// sectionCRC is the checksum a section carries.
func sectionCRC(sec []byte) uint32 { return be32(sec[len(sec)-4:]) }

func (s *PSI) setPAT(sec []byte) bool {
	version, number, last := sec[5]>>1&0x1f, int(sec[6]), int(sec[7])
	if number > last {
		return false
	}
	crc := sectionCRC(sec)
	if version != s.version || last+1 != len(s.sections) || s.sections[number].known && s.sections[number].crc != crc {
		s.version, s.sections = version, make([]patSection, last+1)
	}
	part := &s.sections[number]
	if part.known {
		return false
	}
	part.known, part.crc = true, crc
	for e := sec[8 : len(sec)-4]; len(e) >= 4; e = e[4:] {
		part.entries = append(part.entries, patEntry{number: be16(e), pid: PID(be16(e[2:]) & 0x1fff)})
	}
	for i := range s.sections {
		if !s.sections[i].known {
			return false
		}
	}
	s.adopt()
	return true
}

// adopt makes the gathered PAT the one in force. A programme that is in both the
// old and the new one keeps what is known of it.
func (s *PSI) adopt() {
	old, oldMaps := s.programs, s.maps
	s.programs, s.maps = nil, nil
	clear(s.index[:])
	for _, sec := range s.sections {
		for _, e := range sec.entries {
			if e.number == 0 || e.pid == pidPAT || len(s.programs) == maxPrograms {
				continue // 0 is the network's own table
			}
			p := Program{Number: e.number, Map: e.pid, PCR: pidNull}
			same := func(o Program) bool { return o.Number == p.Number && o.Map == p.Map }
			if i := slices.IndexFunc(old, same); i >= 0 {
				p = old[i]
			}
			s.programs = append(s.programs, p)
			s.follow(e.pid, oldMaps)
		}
	}
}

func (s *PSI) follow(pid PID, old []mapPID) {
	if s.index[pid] != 0 {
		return
	}
	m := mapPID{pid: pid}
	if i := slices.IndexFunc(old, func(o mapPID) bool { return o.pid == pid }); i >= 0 {
		m = old[i]
	} else {
		m.asm = new(assembler)
	}
	s.maps = append(s.maps, m)
	s.index[pid] = uint8(len(s.maps))
}

func (s *PSI) setPMT(pid PID, sec []byte) bool {
	number := be16(sec[3:])
	i := slices.IndexFunc(s.programs, func(p Program) bool { return p.Number == number && p.Map == pid })
	if i < 0 || s.programs[i].Known && s.programs[i].crc == sectionCRC(sec) {
		return false
	}
	pcr, streams, ok := parsePMT(sec)
	if !ok {
		return false
	}
	p := &s.programs[i]
	p.Known, p.crc, p.PCR, p.Streams = true, sectionCRC(sec), pcr, streams
	return true
}

func parsePMT(sec []byte) (pcr PID, streams []Stream, ok bool) {
	if len(sec) < 16 {
		return 0, nil, false
	}
	body := sec[12 : len(sec)-4]
	info := int(be16(sec[10:]) & 0xfff)
	if info > len(body) {
		return 0, nil, false
	}
	for body = body[info:]; len(body) >= 5; {
		info = int(be16(body[3:]) & 0xfff)
		if 5+info > len(body) {
			return 0, nil, false
		}
		if len(streams) < maxStreams {
			streams = append(streams, Stream{
				PID:    PID(be16(body[1:]) & 0x1fff),
				Type:   body[0],
				Format: registration(body[5 : 5+info]),
			})
		}
		body = body[5+info:]
	}
	return PID(be16(sec[8:]) & 0x1fff), streams, true
}

// registration is the identifier of the first registration descriptor in d.
func registration(d []byte) uint32 {
	for len(d) >= 2 && len(d) >= 2+int(d[1]) {
		if d[0] == 5 && d[1] >= 4 {
			return be32(d[2:])
		}
		d = d[2+int(d[1]):]
	}
	return 0
}

func be16(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

func be32(b []byte) uint32 { return uint32(be16(b))<<16 | uint32(be16(b[2:])) }
