package ts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// reel is a second of pictures and sound: 25 frames, in order of decoding with one that
// is shown later, and 40 packets of sound.
func reel(from uint64, video, audio PID, lead uint64) []byte {
	var m muxer
	streams := []Stream{{PID: video, Type: typeH264}, {PID: audio, Type: 0x0f}}
	m.section(pidPAT, patSectionOf(1, 0, 0, patEntry{1, testMap}))
	m.section(testMap, pmtSectionOf(1, 1, video, streams...))
	for i := range uint64(25) {
		show := i // I P B: the second and the third change places
		switch i % 3 {
		case 1:
			show = min(i+1, 24)
		case 2:
			show = i - 1
		}
		es := esSlice
		if i == 0 {
			es = esIDR
		}
		at := from + i*3600
		m.pes(video, 0xe0, field{hasPCR: true, disc: i == 0, pcr: (at + ptsWrap - lead) % ptsWrap * 300}, (from+show*3600)%ptsWrap, append(bytes.Clone(es), make([]byte, 600)...))
		for k := range uint64(2) {
			if n := i*2 + k; n < 48 { // it is over a little before the pictures
				m.pes(audio, 0xc0, field{}, (from+n*1800)%ptsWrap, make([]byte, 100))
			}
		}
	}
	return m.out
}

// spliced joins streams, written in random pieces.
func spliced(rnd *rand.Rand, items ...[]byte) []byte {
	var s Splicer
	var out []byte
	for _, item := range items {
		chunks(rnd, item, func(p []byte) { out = append(out, s.Write(p)...) })
		out = append(out, s.Next()...)
	}
	return out
}

// TestSplice: the clock, the time stamps and the counters of joined streams go on, whatever
// they were, and nothing else changes; tables that change have another version.
func TestSplice(t *testing.T) {
	const second = 90000
	for name, items := range map[string][][]byte{
		"the same again":   {reel(second, 0x110, 0x111, 9000), reel(second, 0x110, 0x111, 9000), reel(second, 0x110, 0x111, 9000)},
		"other clocks":     {reel(50*second, 0x110, 0x111, 9000), reel(3, 0x110, 0x111, 9000), reel(ptsWrap-second/2, 0x110, 0x111, 9000)},
		"other PIDs":       {reel(second, 0x110, 0x111, 9000), reel(second, 0x210, 0x211, 9000), reel(second, 0x111, 0x110, 9000)},
		"around the wrap":  {reel(ptsWrap-second/2, 0x110, 0x111, 9000), reel(second, 0x110, 0x111, 9000), reel(second, 0x110, 0x111, 9000)},
		"a shorter lead":   {reel(second, 0x110, 0x111, 40000), reel(second, 0x110, 0x111, 9000), reel(second, 0x110, 0x111, 40000)},
		"with torn packet": {reel(second, 0x110, 0x111, 9000), append([]byte("junk"), reel(second, 0x110, 0x111, 9000)...), append(reel(second, 0x110, 0x111, 9000), 0x47, 1, 0)},
	} {
		rnd := rand.New(rand.NewPCG(1, 1))
		out := spliced(rnd, items...)
		if first := alignTwin(items[0]); !bytes.HasPrefix(out, joinPackets(first)) {
			t.Errorf("%s: the first was changed", name)
		}
		if again := spliced(rnd, items...); !bytes.Equal(again, out) {
			t.Errorf("%s: it depends on the pieces in which it comes", name)
		}
		_, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rnd, out)
		span := time.Duration(0)
		for i, c := range cuts {
			if span += c.Span; c.Discontinuity {
				t.Errorf("%s: block %d of %d: %s", name, i, len(cuts), brief(c))
			}
		}
		if want := 2960 * time.Millisecond; name != "a shorter lead" && span != want {
			t.Errorf("%s: %v long, want %v", name, span, want)
		}
		if fault := seam(out, name == "a shorter lead"); fault != "" {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

func joinPackets(packets [][]byte) []byte { return bytes.Join(packets, nil) }

// seam looks at all that must go on in a joined stream.
func seam(b []byte, gaps bool) string {
	var psi PSI
	counters, shown := map[PID]uint8{}, map[PID][]int64{}
	base, clocked := uint64(0), false
	last := int64(-1)
	for ; len(b) > 0; b = b[PacketLen:] {
		p := Packet(b[:PacketLen])
		psi.Push(p)
		if cc, seen := counters[p.PID()]; seen && p.HasPayload() && p.CC() != (cc+1)&15 {
			return fmt.Sprintf("counter %d of %d after %d", p.CC(), p.PID(), cc)
		}
		counters[p.PID()] = p.CC()
		if pcr, ok := p.PCR(); ok {
			if !clocked {
				base, clocked = pcr, true
			}
			if now := pcrStep(base, pcr); now <= last || last >= 0 && !gaps && now-last != 1_080_000 {
				return fmt.Sprintf("the clock goes from %d to %d", last, now)
			} else {
				last = now
			}
		}
		if stamps, n := (&Splicer{}).stamps(p); n > 0 {
			shown[p.PID()] = append(shown[p.PID()], wrapStep(base/300, stamps[0].value, ptsWrap))
		}
	}
	programs := psi.Programs()
	for _, st := range programs[0].Streams {
		if len(shown[st.PID]) == 0 {
			return fmt.Sprintf("the last tables say %v", programs)
		}
	}
	if len(shown) == 2 && !gaps {
		frame := map[PID]int64{0x110: 3600, 0x111: 1800}
		for pid, all := range shown {
			slices.Sort(all)
			for i := 1; i < len(all); i++ { // sound may pause where pictures end later
				if step := all[i] - all[i-1]; step < frame[pid] || step > 2*frame[0x110] {
					return fmt.Sprintf("%d is shown at %d after %d", pid, all[i], all[i-1])
				}
			}
		}
	}
	return ""
}

// TestSpliceTables: a table that says the same keeps its version, another gets the next.
func TestSpliceTables(t *testing.T) {
	one, other := reel(0, 0x110, 0x111, 0), reel(0, 0x210, 0x211, 0)
	var versions []byte
	for _, b := range [][][]byte{{one}, {one, one}, {one, other}, {one, other, one}, {one, other, other}} {
		out := spliced(rand.New(rand.NewPCG(1, 1)), b...)
		var last byte
		for ; len(out) > 0; out = out[PacketLen:] {
			if p := Packet(out[:PacketLen]); p.PID() == testMap {
				sec := p.Payload()[1:]
				if sec = sec[:3+int(be16(sec[1:])&0xfff)]; !usable(sec) {
					t.Fatal("a damaged table")
				}
				last = sec[5] >> 1 & 0x1f
			}
		}
		versions = append(versions, last)
	}
	if want := []byte{1, 1, 2, 3, 2}; !bytes.Equal(versions, want) {
		t.Errorf("versions %d, want %d", versions, want)
	}
}

// TestSpliceOdd: what has no clock, no tables, no time stamps or no packets is let through
// as far as it is packets, and what comes after it still goes on.
func TestSpliceOdd(t *testing.T) {
	good := reel(90000, 0x110, 0x111, 9000)
	var bare muxer
	for range 20 {
		bare.packet(0x55, false, field{}, make([]byte, 184))
	}
	for name, odd := range map[string][]byte{"nothing": nil, "noise": []byte("no stream"), "no tables": bare.out, "two packets": good[:2*PacketLen]} {
		out := spliced(rand.New(rand.NewPCG(2, 2)), good, odd, good)
		if want := 2*len(good) + len(odd)/PacketLen*PacketLen; len(out) != want {
			t.Errorf("%s: %d bytes, want %d", name, len(out), want)
		}
		if fault := seam(out, false); fault != "" {
			t.Errorf("%s: %s", name, fault)
		}
	}
}

// FuzzSplice: whatever comes, whole packets go out, no more than came, and what is held
// back has a bound.
func FuzzSplice(f *testing.F) {
	f.Add(reel(0, 0x110, 0x111, 0), reel(1<<32, 0x111, 0x210, 9), uint64(1))
	f.Add([]byte("x"), bytes.Repeat([]byte{syncByte}, 9*PacketLen), uint64(2))
	f.Fuzz(func(t *testing.T, a, b []byte, seed uint64) {
		out := spliced(rand.New(rand.NewPCG(seed, 0)), a, b, a)
		if len(out)%PacketLen != 0 || len(out) > 2*len(a)+len(b) {
			t.Errorf("%d bytes from %d and %d", len(out), len(a), len(b))
		}
		for ; len(out) > 0; out = out[PacketLen:] {
			if out[0] != syncByte {
				t.Fatal("no packet")
			}
		}
	})
}

// TestSpliceSound: where many frames of sound share a time stamp, the end of the last of
// them counts, and not as much as usually has one.
func TestSpliceSound(t *testing.T) {
	sound := func(packets ...int) []byte {
		var m muxer
		m.tables(Stream{PID: testAudio, Type: 0x0f})
		at := uint64(0)
		for _, frames := range packets {
			m.pes(testAudio, 0xc0, field{hasPCR: true, pcr: at * 300}, 5000+at, bytes.Repeat(adtsFrame(100), frames))
			at += uint64(frames) * 1920 // 1024 samples of 48 kHz
		}
		return m.out
	}
	var shown []uint64
	for out := spliced(rand.New(rand.NewPCG(1, 1)), sound(10, 10, 3), sound(10, 1)); len(out) > 0; out = out[PacketLen:] {
		if stamps, n := (&Splicer{}).stamps(Packet(out[:PacketLen])); n > 0 && Packet(out[:PacketLen]).PID() == testAudio {
			shown = append(shown, stamps[0].value-5000)
		}
	}
	if want := []uint64{0, 19200, 38400, 23 * 1920, 33 * 1920}; !slices.Equal(shown, want) {
		t.Errorf("shown at %d, want %d", shown, want)
	}
}
