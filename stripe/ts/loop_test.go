package ts

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

const clipFile = "../../cmd/stripecast/clip/clip.ts"

func readClip(t testing.TB) []byte {
	b, err := os.ReadFile(clipFile)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rounds reads n rounds in odd pieces.
func rounds(t testing.TB, clip []byte, n int) []byte {
	t.Helper()
	l, err := NewLooper(clip)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, n*len(clip))
	rnd := rand.New(rand.NewPCG(1, 1))
	chunks(rnd, out, func(p []byte) {
		if got, err := l.Read(p); got != len(p) || err != nil {
			t.Fatalf("Read: %d %v", got, err)
		}
	})
	return out
}

// checkSeams checks that counters go on over every packet and clocks over every
// round, as far as they did within the clip.
func checkSeams(t *testing.T, clip, out []byte, period uint64) {
	t.Helper()
	last := map[PID]int{}
	for at := 0; at < len(out); at += PacketLen {
		was, p := Packet(clip[at%len(clip):][:PacketLen]), Packet(out[at:at+PacketLen])
		if p.PID() != was.PID() || p.Start() != was.Start() || p.HasPayload() != was.HasPayload() || p.RandomAccess() != was.RandomAccess() {
			t.Fatalf("packet at %d changed beyond its times", at)
		}
		a, okA := was.PCR()
		b, okB := p.PCR()
		want := (a + uint64(at/len(clip))*period*ticksPerPTS) % pcrWrap
		if okA != okB || okA && b != want {
			t.Fatalf("packet at %d: PCR %d, want %d", at, b, want)
		}
		if p.PID() == pidNull {
			continue
		}
		if cc, ok := last[p.PID()]; ok {
			next := cc
			if p.HasPayload() {
				next = (cc + 1) & 0x0f
			}
			if int(p.CC()) != next {
				t.Fatalf("packet at %d: counter %d after %d", at, p.CC(), cc)
			}
		}
		last[p.PID()] = int(p.CC())
	}
}

func TestLooperClip(t *testing.T) {
	clip := readClip(t)
	if len(clip) > 1<<20 {
		t.Errorf("the clip has %d bytes", len(clip))
	}
	l, err := NewLooper(clip)
	if err != nil {
		t.Fatal(err)
	}
	if l.Period() != 4*time.Second {
		t.Errorf("a round of %v, want 100 frames of 40ms", l.Period())
	}
	out := rounds(t, clip, 5)
	if !bytes.Equal(out[:len(clip)], clip) {
		t.Error("the first round is not the clip")
	}
	checkSeams(t, clip, out, l.period)
	c := NewCutter(DefaultConfig())
	cuts := append(slices.Clone(c.Write(epoch, out)), c.Flush(epoch)...)
	access := 0
	for i, c := range cuts {
		if c.Discontinuity {
			t.Errorf("block %d: %s", i, brief(c))
		}
		if c.RandomAccess {
			access++
		}
	}
	if access != 20 {
		t.Errorf("%d random access points in 20 s, want one a second", access)
	}
}

// PTS and DTS go on where their own clock wraps, and where a header is split.
func TestLooperWrapAndSplit(t *testing.T) {
	var m muxer
	start := uint64(ptsWrap - 90000)
	m.tables(avStreams[:1]...)
	for i := range 50 {
		pts := start + uint64(i)*3600
		load := []byte{0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10}
		for _, mark := range []byte{0x31, 0x11} {
			v := pts % ptsWrap
			load = append(load, mark|byte(v>>29)&0x0e, byte(v>>22), 1|byte(v>>14)&0xfe, byte(v>>7), 1|byte(v<<1))
		}
		split := i % len(load)
		if split > 0 {
			m.packet(testVideo, true, field{hasPCR: true, pcr: pts % ptsWrap * 300}, load[:split])
		}
		m.packet(testVideo, split == 0, field{}, load[split:])
	}
	clip := m.out
	l, err := NewLooper(clip)
	if err != nil {
		t.Fatal(err)
	}
	if l.Period() != 2*time.Second || len(l.stamps) != 100 {
		t.Fatalf("a round of %v with %d stamps, want 2s and 100", l.Period(), len(l.stamps))
	}
	out := rounds(t, clip, 3)
	for i := range l.stamps {
		s := l.stamps[i]
		s.read(out[2*len(clip):])
		if want := (start + uint64(i/2)*3600 + 2*l.period) % ptsWrap; s.value != want {
			t.Errorf("stamp %d in the third round: %d, want %d", i, s.value, want)
		}
	}
}

func TestLooperRefuses(t *testing.T) {
	clip := readClip(t)[:200*PacketLen]
	bad := slices.Clone(clip)
	bad[5*PacketLen] = 0
	var jump, still muxer
	steady(&jump, 0, 10, 5)
	steady(&jump, 50*ticksPerSecond, 10, 5)
	still.tables(avStreams...)
	for name, b := range map[string][]byte{
		"nothing":  nil,
		"a part":   clip[:len(clip)-1],
		"no sync":  bad,
		"a jump":   jump.out,
		"no clock": still.out,
	} {
		if _, err := NewLooper(b); !errors.Is(err, ErrClip) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLooper(f *testing.F) {
	two, _ := os.ReadFile("testdata/two.ts")
	f.Add(two[:60*PacketLen])
	var m muxer
	steady(&m, 0, 20, 5)
	f.Add(m.out)
	f.Fuzz(func(t *testing.T, clip []byte) {
		if len(clip) > 1<<16 {
			return
		}
		l, err := NewLooper(clip)
		if err != nil {
			if !errors.Is(err, ErrClip) {
				t.Error(err)
			}
			return
		}
		out := make([]byte, 3*len(clip))
		l.Read(out)
		for at := 0; at < len(out); at += PacketLen {
			was, p := Packet(clip[at%len(clip):][:PacketLen]), Packet(out[at:at+PacketLen])
			a, okA := was.PCR()
			b, okB := p.PCR()
			if p[0] != syncByte || p.PID() != was.PID() || okA != okB {
				t.Fatalf("packet at %d: % x, was % x", at, p[:12], was[:12])
			}
			if !okA || p.PID() == pidNull {
				continue
			}
			base := func(p Packet) uint64 { return uint64(be32(p[6:]))<<1 | uint64(p[10]>>7) }
			if base(p) != (base(was)+uint64(at/len(clip))*l.period)%ptsWrap || p[10]&0x7f != was[10]&0x7f || p[11] != was[11] {
				t.Fatalf("packet at %d: PCR %d, was %d", at, b, a)
			}
		}
	})
}
