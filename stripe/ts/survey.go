package ts

import (
	"errors"
	"maps"
	"slices"
)

// survey goes through a clip once and finds every field that a Looper rewrites,
// and how long the clip is.
type survey struct {
	l      *Looper
	psi    PSI
	tracks map[PID]*track
}

// track is one PID of a clip.
type track struct {
	seen            bool
	firstCC, lastCC uint8

	clocked  bool
	pcr      uint64 // the last
	pcrSpan  int64  // ticks, from the first to the last
	pcrCount int

	head  []int // where the first bytes of the PES packet under way are
	inPES bool
	data  []byte // of the PES packet under way, header and all

	times []int64 // PTS, relative to the first, 1/90000 s
	pts   uint64  // the first
}

// maxPESHeader is how much of a PES packet's header reaches to the end of its DTS.
const maxPESHeader = 19

func (s *survey) packet(at int) error {
	p := Packet(s.l.data[at : at+PacketLen])
	pid := p.PID()
	if pid == pidNull {
		return nil
	}
	t := s.tracks[pid]
	if t == nil {
		t = &track{}
		s.tracks[pid] = t
	}
	if !t.seen {
		t.seen, t.firstCC = true, p.CC()
		if !p.HasPayload() {
			t.firstCC = (p.CC() + 1) & 0x0f
		}
		if a := p.adaptation(); a != nil {
			a[0] &^= 0x80 // what precedes it now is the clip's own end
		}
	}
	t.lastCC = p.CC()
	if err := s.clock(t, at, p); err != nil {
		return err
	}
	if pid != pidPAT && !s.psi.IsMap(pid) && !p.Scrambled() {
		s.payload(t, at, p)
	}
	return nil
}

// clock notes the packet's PCR and OPCR.
func (s *survey) clock(t *track, at int, p Packet) error {
	a := p.adaptation()
	next := 1
	if pcr, ok := p.PCR(); ok {
		s.note(at + 5 + next)
		next += 6
		step := pcrStep(t.pcr, pcr)
		if t.clocked && (step < 0 || far(step)) {
			return errors.New("the clock jumps")
		}
		if t.clocked {
			t.pcrSpan += step
		}
		t.clocked, t.pcr, t.pcrCount = true, pcr, t.pcrCount+1
	}
	if len(a) >= next+6 && a[0]&0x08 != 0 {
		s.note(at + 5 + next)
	}
	return nil
}

// note takes the base from its own bits: an extension over 299 is wrong, but stays.
func (s *survey) note(at int) {
	b := s.l.data[at:]
	s.l.clocks = append(s.l.clocks, clockStamp{at: at, base: uint64(be32(b))<<1 | uint64(b[4]>>7)})
}

// payload follows the PES packets of a PID as far as their time stamps.
func (s *survey) payload(t *track, at int, p Packet) {
	load := p.Payload()
	if p.Start() {
		t.inPES, t.head, t.data = true, t.head[:0], t.data[:0]
	}
	if !t.inPES {
		return
	}
	t.data = append(t.data, load...)
	from, had := at+PacketLen-len(load), len(t.head)
	for i := 0; i < len(load) && len(t.head) < maxPESHeader; i++ {
		t.head = append(t.head, from+i)
	}
	if had < maxPESHeader {
		s.header(t, had)
	}
}

// header takes the time stamps out of a PES header of which had bytes had come
// before.
func (s *survey) header(t *track, had int) {
	d, h := s.l.data, t.head
	if len(h) < 9 {
		return
	}
	if d[h[0]] != 0 || d[h[1]] != 0 || d[h[2]] != 1 || !timed(d[h[3]]) || d[h[6]]&0xc0 != 0x80 {
		t.inPES = false
		return
	}
	for i, at := range [2]int{9, 14} {
		has := d[h[7]]&(0x80>>i) != 0 && d[h[7]]&0x80 != 0 && int(d[h[8]]) >= at-4
		if !has || len(h) < at+5 || had >= at+5 {
			continue
		}
		stamp := ptsStamp{at: [5]int(h[at : at+5])}
		stamp.read(d)
		s.l.stamps = append(s.l.stamps, stamp)
		if i == 0 {
			t.time(stamp.value)
		}
	}
}

// timed reports whether PES packets of a stream ID have a header with time stamps
// (13818-1, table 2-21).
func timed(id byte) bool {
	switch id {
	case 0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff:
		return false
	}
	return id >= 0xbc
}

func (t *track) time(v uint64) {
	if len(t.times) == 0 {
		t.pts = v
	}
	t.times = append(t.times, wrapStep(t.pts, v, ptsWrap))
}

// period is the time after which the clip may begin again: a whole number of its
// video's frames, and no less than any other stream needs.
func (s *survey) period() (uint64, error) {
	video, audio := map[PID]uint8{}, map[PID]uint8{}
	first := pidNull
	for i := range s.psi.programs {
		for _, st := range s.psi.programs[i].Streams {
			if st.isVideo() {
				video[st.PID] = st.Type
				if first == pidNull {
					first = st.PID
				}
			} else if isAudio(st.Type) {
				audio[st.PID] = st.Type
			}
		}
	}
	need, clocked := int64(0), false
	for _, pid := range slices.Sorted(maps.Keys(s.tracks)) {
		t := s.tracks[pid]
		if t.pcrCount > 1 {
			clocked = true
			need = max(need, t.pcrSpan/ticksPerPTS+1)
		}
		if len(t.times) == 0 {
			continue
		}
		last := int64(1)
		if kind, ok := audio[pid]; ok {
			last = t.tail(kind)
		} else if video[pid] != 0 {
			last = t.spacing()
		}
		if pid != first {
			need = max(need, t.span()+last)
		}
	}
	if !clocked {
		return 0, errors.New("it has no clock")
	}
	t := s.tracks[first]
	if t == nil || len(t.times) == 0 {
		return s.sane(need)
	}
	frame := t.spacing()
	period := t.span() + frame
	// Audio may overlap its own beginning by a millisecond before the picture waits
	// a frame for it.
	if over := need - period - 90; over > 0 {
		period += (over + frame - 1) / frame * frame
	}
	return s.sane(period)
}

// sane refuses a period that has nothing to do with the clip's own clock.
func (s *survey) sane(period int64) (uint64, error) {
	longest := int64(0)
	for _, pid := range slices.Sorted(maps.Keys(s.tracks)) {
		longest = max(longest, s.tracks[pid].pcrSpan/ticksPerPTS)
	}
	if period <= 0 || period > longest+10*90000 {
		return 0, errors.New("its time stamps do not follow its clock")
	}
	return uint64(period), nil
}

func isAudio(kind uint8) bool {
	switch kind {
	case 0x03, 0x04, 0x0f, 0x11, 0x81, 0x87:
		return true
	}
	return false
}

func (t *track) span() int64 { return slices.Max(t.times) - slices.Min(t.times) }

// spacing is the commonest step between time stamps in order of presentation.
func (t *track) spacing() int64 {
	times := slices.Sorted(slices.Values(t.times))
	count, best := map[int64]int{}, int64(1)
	for i := 1; i < len(times); i++ {
		step := times[i] - times[i-1]
		if count[step]++; step > 0 && count[step] > count[best] {
			best = step
		}
	}
	return best
}

// tail is how long the last PES packet of an audio stream lasts: what its frames
// add up to, or, if they cannot be read, as long as the others.
func (t *track) tail(kind uint8) int64 {
	if total := soundLength(kind, t.data); total > 0 {
		return total
	}
	return t.spacing()
}

// soundLength is what the audio frames of a PES packet, header and all, add up to, in
// 1/90000 s; 0 if they cannot be read.
func soundLength(kind uint8, pes []byte) (total int64) {
	parse, need := parseMPEG, mpegHeader
	switch kind {
	case 0x03, 0x04:
	case 0x0f:
		parse, need = parseADTS, adtsHeader
	default:
		return 0
	}
	if len(pes) < 9 {
		return 0
	}
	for b := pes[min(9+int(pes[8]), len(pes)):]; len(b) >= need; {
		f, ok := parse(b)
		if !ok {
			break
		}
		total += (int64(f.samples)*90000 + int64(f.rate) - 1) / int64(f.rate)
		b = b[min(f.size, len(b)):]
	}
	return total
}
