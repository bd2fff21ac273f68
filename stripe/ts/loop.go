package ts

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrClip is wrapped by every refusal of a clip.
var ErrClip = errors.New("clip cannot be looped")

// Looper is an endless stream made of one clip. Round by round it moves PCR, PTS
// and DTS on by the clip's period and continues the continuity counters, so that a
// player sees no seam.
type Looper struct {
	data   []byte // the clip as it stands in the round under way
	pos    int
	period uint64 // 1/90000 s
	clocks []clockStamp
	stamps []ptsStamp
	turn   [pids]uint8 // how far each PID's counter goes in a round
}

// clockStamp is the base of a PCR or OPCR at data[at:].
type clockStamp struct {
	at   int
	base uint64
}

// ptsStamp is a PTS or DTS; its bytes may be in two packets.
type ptsStamp struct {
	at    [5]int
	value uint64
}

// NewLooper loops a clip of whole, undamaged packets whose clock runs without a
// jump. It copies clip.
func NewLooper(clip []byte) (*Looper, error) {
	refuse := func(format string, a ...any) (*Looper, error) {
		return nil, fmt.Errorf("%w: %s", ErrClip, fmt.Sprintf(format, a...))
	}
	if len(clip) == 0 || len(clip)%PacketLen != 0 || len(clip) > MaxClip {
		return refuse("%d bytes, want whole packets of %d and at most %d", len(clip), PacketLen, MaxClip)
	}
	s := survey{l: &Looper{data: slices.Clone(clip)}, tracks: map[PID]*track{}}
	for at := 0; at < len(clip); at += PacketLen {
		if p := Packet(clip[at : at+PacketLen]); p[0] != syncByte || p.Damaged() {
			return refuse("byte %d begins no undamaged packet", at)
		}
		s.psi.Push(clip[at : at+PacketLen])
	}
	for at := 0; at < len(clip); at += PacketLen {
		if err := s.packet(at); err != nil {
			return refuse("packet at byte %d: %v", at, err)
		}
	}
	period, err := s.period()
	if err != nil {
		return refuse("%v", err)
	}
	s.l.period = period
	for _, pid := range slices.Sorted(maps.Keys(s.tracks)) {
		t := s.tracks[pid]
		s.l.turn[pid] = (t.lastCC + 1 - t.firstCC) & 0x0f
	}
	return s.l, nil
}

// Period is how long one round lasts.
func (l *Looper) Period() time.Duration { return pts(l.period) }

// Read fills p. It never fails and never ends.
func (l *Looper) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if l.pos == len(l.data) {
			l.pos = 0
			l.next()
		}
		c := copy(p[n:], l.data[l.pos:])
		n, l.pos = n+c, l.pos+c
	}
	return n, nil
}

// next makes data the next round.
func (l *Looper) next() {
	for i := range l.clocks {
		c := &l.clocks[i]
		c.base = (c.base + l.period) % ptsWrap
		putClock(l.data[c.at:], c.base)
	}
	for i := range l.stamps {
		s := &l.stamps[i]
		s.value = (s.value + l.period) % ptsWrap
		s.write(l.data)
	}
	for at := 0; at < len(l.data); at += PacketLen {
		p := Packet(l.data[at : at+PacketLen])
		p[3] = p[3]&0xf0 | (p[3]+l.turn[p.PID()])&0x0f
	}
}

// putClock writes the base of a PCR or OPCR, and leaves the rest of it (13818-1, 2.4.3.5).
func putClock(b []byte, base uint64) {
	b[0], b[1], b[2], b[3] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
	b[4] = b[4]&0x7f | byte(base<<7)
}

// write keeps the marker bits among the value's (13818-1, 2.4.3.7).
func (s *ptsStamp) write(d []byte) {
	v := s.value
	d[s.at[0]] = d[s.at[0]]&0xf1 | byte(v>>29)&0x0e
	d[s.at[1]] = byte(v >> 22)
	d[s.at[2]] = d[s.at[2]]&0x01 | byte(v>>14)&0xfe
	d[s.at[3]] = byte(v >> 7)
	d[s.at[4]] = d[s.at[4]]&0x01 | byte(v<<1)&0xfe
}

func (s *ptsStamp) read(d []byte) {
	s.value = Stamp([...]byte{d[s.at[0]], d[s.at[1]], d[s.at[2]], d[s.at[3]], d[s.at[4]]})
}

// Stamp is a PTS or DTS as it stands in a PES header, in 1/90000 s (13818-1, 2.4.3.7).
func Stamp(b [5]byte) uint64 {
	return uint64(b[0]>>1&7)<<30 | uint64(b[1])<<22 | uint64(b[2]>>1)<<15 | uint64(b[3])<<7 | uint64(b[4])>>1
}
