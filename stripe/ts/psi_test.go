package ts

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/asticode/go-astits"
)

func push(s *PSI, b []byte) (changes int) {
	for ; len(b) >= PacketLen; b = b[PacketLen:] {
		if s.Push(b[:PacketLen]) {
			changes++
		}
	}
	return changes
}

func TestPSI(t *testing.T) {
	var m muxer
	long := make([]Stream, 60) // several packets
	for i := range long {
		long[i] = Stream{PID: PID(0x200 + i), Type: 6, Format: 0x41432d33}
	}
	m.section(pidPAT, patSectionOf(3, 0, 1, patEntry{0, 0x10}, patEntry{7, 0x30}))
	if n := push(new(PSI), m.out); n != 0 {
		t.Fatalf("half a PAT counted: %d changes", n)
	}
	m.section(pidPAT, patSectionOf(3, 1, 1, patEntry{9, 0x31}, patEntry{10, 0x31}))
	m.section(0x30, pmtSectionOf(7, 0, 0x200, long...))
	m.section(0x31, pmtSectionOf(9, 0, 0x300), pmtSectionOf(10, 0, pidNull, Stream{PID: 0x301, Type: 3}))
	var s PSI
	if n := push(&s, m.out); n != 3 { // both PMTs on 0x31 come in one packet
		t.Errorf("%d changes, want 3", n)
	}
	p := s.Programs()
	if len(p) != 3 || p[0].Number != 7 || p[1].Number != 9 || p[2].Number != 10 {
		t.Fatalf("programmes: %+v", p)
	}
	if !p[0].Known || p[0].PCR != 0x200 || !slices.Equal(p[0].Streams, long) {
		t.Errorf("programme 7: %+v", p[0])
	}
	if !p[1].Known || len(p[1].Streams) != 0 || !p[2].Known || p[2].Streams[0].PID != 0x301 || p[2].PCR != pidNull {
		t.Errorf("programmes 9 and 10: %+v", p[1:])
	}
	if n := push(&s, m.out); n != 0 {
		t.Errorf("the same again changed %d times", n)
	}
	if !s.IsMap(0x31) || s.IsMap(0x10) || s.IsMap(0) {
		t.Error("IsMap")
	}
	var n muxer
	n.section(pidPAT, patSectionOf(4, 0, 0, patEntry{9, 0x31}))
	push(&s, n.out)
	if p := s.Programs(); len(p) != 1 || !p[0].Known || p[0].PCR != 0x300 || s.IsMap(0x30) {
		t.Errorf("after a new PAT: %+v", p)
	}
}

func TestPSIRefusesDamage(t *testing.T) {
	var m muxer
	m.section(pidPAT, patSectionOf(1, 0, 0, patEntry{1, testMap}))
	for bit := range 16 * 8 { // pointer field and section, without the stuffing
		b := slices.Clone(m.out)
		b[5+bit/8] ^= 1 << (bit % 8)
		var s PSI
		if push(&s, b); len(s.Programs()) != 0 {
			t.Errorf("bit %d flipped: %+v", bit, s.Programs())
		}
	}
	var s PSI
	notYet := patSectionOf(1, 0, 0, patEntry{1, testMap})
	notYet[5] &^= 1
	c := crc32(notYet[:len(notYet)-4])
	copy(notYet[len(notYet)-4:], []byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
	var n muxer
	n.section(pidPAT, notYet)
	if push(&s, n.out); len(s.Programs()) != 0 {
		t.Error("a PAT not in force counted")
	}
}

// A section whose packet in the middle is lost, doubled, or from elsewhere.
func TestPSILostPacket(t *testing.T) {
	var m muxer
	streams := make([]Stream, 60)
	for i := range streams {
		streams[i] = Stream{PID: PID(0x200 + i), Type: 2}
	}
	m.section(pidPAT, patSectionOf(1, 0, 0, patEntry{1, testMap}))
	m.section(testMap, pmtSectionOf(1, 0, 0x200, streams...))
	pat, first, second := m.out[:188], m.out[188:376], m.out[376:]
	known := func(parts ...[]byte) bool {
		var s PSI
		push(&s, bytes.Join(parts, nil))
		return s.Programs()[0].Known
	}
	if len(second) != PacketLen || !known(pat, first, second) || !known(pat, first, first, second) {
		t.Error("a section in two packets, or with one doubled, was not read")
	}
	if known(pat, first) || known(pat, second) || known(pat, first, pat) {
		t.Error("a part counted as a section")
	}
	late := slices.Clone(second)
	late[3] = late[3]&0xf0 | (late[3]+1)&0x0f
	if known(pat, first, late) {
		t.Error("a lost packet went unseen")
	}
}

func TestPSIBounded(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var s PSI
	var m muxer
	for i := range 600 {
		var e []patEntry
		for range 250 {
			e = append(e, patEntry{uint16(rnd.Uint32()), PID(rnd.IntN(pids))})
		}
		m.out = m.out[:0]
		m.section(pidPAT, patSectionOf(byte(i/3%32), byte(i%3), 2, e...))
		push(&s, m.out)
	}
	if n := len(s.Programs()); n != maxPrograms || len(s.maps) > maxPrograms {
		t.Errorf("%d programmes on %d PIDs, want %d and no more", n, len(s.maps), maxPrograms)
	}
}

// go-astits reads the same tables and clocks out of the same streams.
func TestAgainstAstits(t *testing.T) {
	two, err := os.ReadFile("testdata/two.ts")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, b := range map[string][]byte{
		"two.ts":   two,
		"random 1": randomStream(rnd, 50),
		"random 2": randomStream(rnd, 80),
	} {
		t.Run(name, func(t *testing.T) { againstAstits(t, b) })
	}
}

func againstAstits(t *testing.T, b []byte) {
	d := astits.NewDemuxer(context.Background(), bytes.NewReader(b), astits.DemuxerOptPacketSize(PacketLen))
	clocks := 0
	for at := 0; at < len(b); at += PacketLen {
		want, err := d.NextPacket()
		if err != nil {
			t.Fatal(err)
		}
		p := Packet(b[at : at+PacketLen])
		if uint16(p.PID()) != want.Header.PID || p.CC() != want.Header.ContinuityCounter ||
			p.Start() != want.Header.PayloadUnitStartIndicator || p.HasPayload() != want.Header.HasPayload ||
			p.Damaged() || p.Scrambled() || !bytes.Equal(p.Payload(), want.Payload) {
			t.Fatalf("packet at %d: %x, astits %+v", at, p[:8], want.Header)
		}
		a := want.AdaptationField
		pcr, ok := p.PCR()
		if ok != (a != nil && a.HasPCR) || ok && (int64(pcr/300) != a.PCR.Base || int64(pcr%300) != a.PCR.Extension) {
			t.Fatalf("packet at %d: PCR %d %v, astits %+v", at, pcr, ok, a)
		}
		if a != nil && (p.RandomAccess() != a.RandomAccessIndicator || p.Discontinuity() != a.DiscontinuityIndicator) {
			t.Fatalf("packet at %d: indicators, astits %+v", at, a)
		}
		if ok {
			clocks++
		}
	}
	var s PSI
	push(&s, b)
	maps := astitsMaps(t, b)
	if clocks == 0 || len(s.Programs()) == 0 || len(maps) != len(s.Programs()) {
		t.Fatalf("%d clocks, %d programmes, astits %d", clocks, len(s.Programs()), len(maps))
	}
	for _, p := range s.Programs() {
		want := maps[p.Number]
		if want == nil || uint16(p.PCR) != want.PCRPID || len(p.Streams) != len(want.ElementaryStreams) {
			t.Fatalf("programme %+v, astits %+v", p, want)
		}
		for i, es := range want.ElementaryStreams {
			if uint16(p.Streams[i].PID) != es.ElementaryPID || p.Streams[i].Type != uint8(es.StreamType) {
				t.Errorf("stream %+v, astits %+v", p.Streams[i], es)
			}
		}
	}
}

func astitsMaps(t *testing.T, b []byte) map[uint16]*astits.PMTData {
	maps := map[uint16]*astits.PMTData{}
	d := astits.NewDemuxer(context.Background(), bytes.NewReader(b), astits.DemuxerOptPacketSize(PacketLen))
	for {
		data, err := d.NextData()
		if errors.Is(err, astits.ErrNoMorePackets) {
			return maps
		}
		if err != nil {
			t.Fatal(err)
		}
		if data.PMT != nil {
			maps[data.PMT.ProgramNumber] = data.PMT
		}
	}
}

func FuzzPSI(f *testing.F) {
	two, _ := os.ReadFile("testdata/two.ts")
	f.Add(two[:10*PacketLen])
	var m muxer
	m.section(pidPAT, patSectionOf(3, 0, 1, patEntry{7, 0x30}), patSectionOf(3, 1, 1, patEntry{9, 0x31}))
	m.section(0x30, pmtSectionOf(7, 0, 0x200, avStreams...))
	f.Add(m.out)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s PSI
		var c TableCache
		push(&s, b)
		c.Push(b)
		if len(s.Programs()) > maxPrograms {
			t.Errorf("%d programmes", len(s.Programs()))
		}
		for _, p := range s.Programs() {
			if !s.IsMap(p.Map) || len(p.Streams) > maxStreams {
				t.Errorf("%+v", p)
			}
		}
		if n := len(c.AppendTo(nil)); n%PacketLen != 0 || n > maxUnits*maxUnit*PacketLen {
			t.Errorf("%d bytes of tables", n)
		}
	})
}
