package ts

import "bytes"

// Splicer joins transport streams end to end. Whatever clocks, counters and tables they
// come with, the clock goes on from one to the next without a gap, so do the continuity
// counters, and tables that change have another version. The zero value is ready for the
// first; it is passed on as it is.
//
// What it cannot move is a time stamp in a PES header that does not fit into one packet,
// and a table that does not: muxers make neither.
type Splicer struct {
	// of all streams so far
	counters [pids]counter
	tables   []splicedTable
	joined   bool   // there was a stream before this one
	end      uint64 // when it was over, in 1/90000 s, wrapped
	ended    bool   // that is known
	pcr      uint64 // the last that went out
	clocked  bool
	out      []byte

	// of the stream under way
	psi    PSI
	raw    []byte // less than a packet, or not yet aligned
	locked bool
	held   []byte // whole packets, until begun
	begun  bool   // shift is known
	shift  uint64 // what is added to time stamps, in 1/90000 s, wrapped
	first  uint64 // its first PCR
	ticks  bool   // that is known
	tracks []splicedTrack
}

// counter is the continuity counter of a PID.
type counter struct {
	seen, turned bool // ever; in the stream under way
	last, turn   uint8
}

// splicedTable is a PAT or PMT as it went out last.
type splicedTable struct {
	pid     PID
	id      [2]byte
	body    []byte
	version uint8
}

// splicedTrack is the time stamps of one PID, in 1/90000 s, from base.
type splicedTrack struct {
	pid         PID
	base, last  uint64
	now         int64
	least, most int64
	count       int64
	data        []byte // of the PES packet under way, up to maxTail
}

// Write takes the next bytes of the stream under way and returns the packets that are
// ready. They are valid until the next call.
func (s *Splicer) Write(p []byte) []byte {
	s.out = s.out[:0]
	s.raw = append(s.raw, p...)
	rest := s.raw
	for {
		if !s.locked {
			skip, found := hunt(rest, false)
			if rest = rest[skip:]; !found {
				break
			}
			s.locked = true
		}
		if len(rest) < PacketLen {
			break
		}
		if rest[0] != syncByte {
			s.locked = false
			continue
		}
		s.packet(Packet(rest[:PacketLen]))
		rest = rest[PacketLen:]
	}
	s.raw = s.raw[:copy(s.raw, rest)]
	return s.out
}

// Next ends the stream under way and returns what was left of it; what is written next
// is another one. The packets are valid until the next call.
func (s *Splicer) Next() []byte {
	s.out = s.out[:0]
	if !s.locked { // a stream too short to be sure of
		skip, _ := hunt(s.raw, true)
		s.raw = s.raw[skip:]
	}
	for ; len(s.raw) >= PacketLen && s.raw[0] == syncByte; s.raw = s.raw[PacketLen:] {
		s.packet(Packet(s.raw[:PacketLen]))
	}
	if !s.begun {
		s.begin()
	}
	over := int64(0)
	for i := range s.tracks {
		t := &s.tracks[i]
		from := wrapStep(s.tracks[0].base, t.base, ptsWrap) // the first may not be the earliest
		over = max(over, from+t.most+s.tail(t))
	}
	if len(s.tracks) > 0 {
		s.end, s.ended = moved(s.tracks[0].base, uint64(over))+s.shift, true
		s.end %= ptsWrap
	}
	for i := range s.counters {
		s.counters[i].turned = false
	}
	*s = Splicer{
		counters: s.counters, tables: s.tables, joined: true, end: s.end, ended: s.ended,
		pcr: s.pcr, clocked: s.clocked, out: s.out, raw: s.raw[:0],
	}
	return s.out
}

func moved(stamp, by uint64) uint64 { return (stamp + by) % ptsWrap }

// packet takes a whole packet, which it may change.
func (s *Splicer) packet(p Packet) {
	s.learn(p)
	if s.begun {
		s.pass(p)
		return
	}
	s.held = append(s.held, p...)
	if s.whole() || len(s.held) >= maxSplice {
		s.begin()
	}
}

// learn reads what a packet says of the stream.
func (s *Splicer) learn(p Packet) {
	pid := p.PID()
	if p.Damaged() || pid == pidNull {
		return
	}
	s.psi.Push(p)
	if pcr, ok := p.PCR(); ok && !s.ticks {
		s.first, s.ticks = pcr, true
	}
	stamps, n := s.stamps(p)
	t := s.track(pid)
	switch {
	case n > 0 && t != nil:
		t.add(stamps[0].value)
	case n > 0 && len(s.tracks) < maxStreams:
		v := stamps[0].value
		s.tracks = append(s.tracks, splicedTrack{pid: pid, base: v, last: v, count: 1})
		t = s.track(pid)
	}
	if load := p.Payload(); t != nil {
		if p.Start() {
			t.data = t.data[:0]
		}
		t.data = append(t.data, load[:min(len(load), maxTail-len(t.data))]...)
	}
}

func (s *Splicer) track(pid PID) *splicedTrack {
	for i := range s.tracks {
		if s.tracks[i].pid == pid {
			return &s.tracks[i]
		}
	}
	return nil
}

func (t *splicedTrack) add(v uint64) {
	t.now += wrapStep(t.last, v, ptsWrap)
	t.last = v
	t.least, t.most, t.count = min(t.least, t.now), max(t.most, t.now), t.count+1
}

// tail is how long what has a track's last time stamp lasts: of sound that can be read
// what its frames add up to, else as long as the mean.
func (s *Splicer) tail(t *splicedTrack) int64 {
	for _, program := range s.psi.Programs() {
		for i := range program.Streams {
			if st := &program.Streams[i]; st.PID == t.pid {
				if total := soundLength(st.Type, t.data); total > 0 {
					return total
				}
			}
		}
	}
	return t.spacing()
}

// spacing is the mean step between time stamps.
func (t *splicedTrack) spacing() int64 {
	if t.count < 2 {
		return 0
	}
	return (t.most - t.least + (t.count-1)/2) / (t.count - 1)
}

// whole reports whether all is known that says where the stream begins: its clock, and
// the first time stamp of each of the first programme's pictures and sounds.
func (s *Splicer) whole() bool {
	programs := s.psi.Programs()
	if !s.ticks || len(programs) == 0 || !programs[0].Known {
		return false
	}
	for i := range programs[0].Streams {
		st := &programs[0].Streams[i]
		if !st.isVideo() && !isAudio(st.Type) {
			continue
		}
		if s.track(st.PID) == nil {
			return false
		}
	}
	return true
}

// begin decides by how much the stream is moved, and lets go what was held.
func (s *Splicer) begin() {
	s.begun = true
	if s.joined && s.ended && len(s.tracks) > 0 {
		start := int64(0)
		for i := range s.tracks {
			t := &s.tracks[i]
			start = min(start, wrapStep(s.tracks[0].base, t.base, ptsWrap)+t.least)
		}
		s.shift = (s.end + 2*ptsWrap - s.tracks[0].base - uint64(start+ptsWrap)%ptsWrap) % ptsWrap
	}
	if s.joined && s.clocked && s.ticks {
		// A clock that went back would be a jump: better a gap in what it times.
		if step := pcrStep(s.pcr, s.first+s.shift*ticksPerPTS); step <= 0 {
			s.shift = moved(s.shift, uint64(-step)/ticksPerPTS+spliceGap)
		}
	}
	for ; len(s.held) > 0; s.held = s.held[PacketLen:] {
		s.pass(Packet(s.held[:PacketLen]))
	}
}

// pass moves a packet and lets it go.
func (s *Splicer) pass(p Packet) {
	pid := p.PID()
	at := len(s.out)
	s.out = append(s.out, p...)
	if p = Packet(s.out[at:]); p.Damaged() || pid == pidNull {
		return
	}
	c := &s.counters[pid]
	if !c.turned {
		c.turned, c.turn = true, 0
		if c.seen {
			next := c.last
			if p.HasPayload() {
				next++
			}
			c.turn = (next - p.CC()) & 0x0f
		}
		if a := p.adaptation(); a != nil && s.joined {
			a[0] &^= 0x80 // what precedes it now is the end of another
		}
	}
	c.seen, c.last = true, (p.CC()+c.turn)&0x0f
	p[3] = p[3]&0xf0 | c.last
	s.moveClock(p)
	if pid == pidPAT || s.psi.IsMap(pid) {
		s.retable(pid, p)
		return
	}
	stamps, n := s.stamps(p)
	for _, stamp := range stamps[:n] {
		stamp.value = moved(stamp.value, s.shift)
		stamp.write(p)
	}
}

// moveClock moves a packet's PCR and OPCR.
func (s *Splicer) moveClock(p Packet) {
	a := p.adaptation()
	next := 1
	for i, flag := range [2]byte{0x10, 0x08} {
		if len(a) < next+6 || a[0]&flag == 0 {
			continue
		}
		b := a[next:]
		base := moved(uint64(be32(b))<<1|uint64(b[4]>>7), s.shift)
		putClock(b, base)
		if next += 6; i == 0 {
			s.pcr, s.clocked = base*ticksPerPTS, true
		}
	}
}

// stamps finds the time stamps of the PES packet that begins in p: its PTS, and its DTS if
// it has one.
func (s *Splicer) stamps(p Packet) (found [2]ptsStamp, n int) {
	pid := p.PID()
	if !p.Start() || p.Scrambled() || pid == pidPAT || s.psi.IsMap(pid) {
		return found, 0
	}
	b := p.Payload()
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || !timed(b[3]) || b[6]&0xc0 != 0x80 {
		return found, 0
	}
	from := PacketLen - len(b)
	for i, at := range [2]int{9, 14} {
		if b[7]&0x80 == 0 || b[7]&(0x80>>i) == 0 || int(b[8]) < at-4 || len(b) < at+5 {
			break
		}
		for k := range 5 {
			found[n].at[k] = from + at + k
		}
		found[n].read(p)
		n++
	}
	return found, n
}

// retable gives each table in p that differs from the one before it another version.
func (s *Splicer) retable(pid PID, p Packet) {
	b := p.Payload()
	if !p.Start() || len(b) == 0 {
		return
	}
	for at := 1 + int(b[0]); at+3 <= len(b) && b[at] != 0xff; {
		size := 3 + int(be16(b[at+1:])&0xfff)
		if at+size > len(b) {
			return
		}
		if sec := b[at : at+size]; usable(sec) && sec[0] <= 2 && sec[7] == 0 {
			s.version(pid, sec)
		}
		at += size
	}
}

func (s *Splicer) version(pid PID, sec []byte) {
	id, body := [2]byte(sec[3:5]), sec[8:len(sec)-4]
	var t *splicedTable
	for i := range s.tables {
		if s.tables[i].pid == pid && (s.tables[i].id == id || pid == pidPAT) {
			t = &s.tables[i]
		}
	}
	switch {
	case t == nil && len(s.tables) == maxUnits:
		return
	case t == nil:
		s.tables = append(s.tables, splicedTable{pid: pid, id: id, body: bytes.Clone(body), version: sec[5] >> 1 & 0x1f})
		t = &s.tables[len(s.tables)-1]
	case !bytes.Equal(t.body, body) || t.id != id:
		t.id, t.body, t.version = id, append(t.body[:0], body...), (t.version+1)&0x1f
	}
	sec[5] = sec[5]&0xc1 | t.version<<1
	crc := crc32(sec[:len(sec)-4])
	tail := sec[len(sec)-4:]
	tail[0], tail[1], tail[2], tail[3] = byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc)
}
