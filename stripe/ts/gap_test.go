package ts

import (
	"bytes"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func TestMarkGap(t *testing.T) {
	two, err := os.ReadFile("testdata/two.ts")
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range [][]byte{two[40*PacketLen : 90*PacketLen], randomStream(rand.New(rand.NewPCG(4, 4)), 5)} {
		marks := MarkGap(next)
		var order, want []PID
		for at := 0; at < len(next); at += PacketLen {
			if pid := Packet(next[at : at+PacketLen]).PID(); pid != pidNull && !slices.Contains(want, pid) {
				want = append(want, pid)
			}
		}
		last := map[PID]uint8{}
		for at := 0; at < len(marks); at += PacketLen {
			p := Packet(marks[at : at+PacketLen])
			order = append(order, p.PID())
			last[p.PID()] = p.CC()
			if p[0] != syncByte || p.HasPayload() || !p.Discontinuity() || p.Damaged() || p.Start() {
				t.Errorf("mark % x", p[:8])
			}
		}
		if !slices.Equal(order, want) {
			t.Errorf("marks for %v, want %v", order, want)
		}
		for at := 0; at < len(next); at += PacketLen {
			p := Packet(next[at : at+PacketLen])
			if cc, ok := last[p.PID()]; ok {
				if want := cc + p[3]>>4&1; p.CC() != want&0x0f {
					t.Errorf("first packet of %d: counter %d after the mark's %d", p.PID(), p.CC(), cc)
				}
				delete(last, p.PID())
			}
		}
	}
	var many muxer
	for pid := range PID(200) {
		many.packet(pid, false, field{}, make([]byte, 184))
	}
	if n := len(MarkGap(many.out)); n != maxGapPIDs*PacketLen {
		t.Errorf("%d bytes of marks for 200 PIDs", n)
	}
	if MarkGap(nil) != nil || MarkGap(make([]byte, 1000)) != nil {
		t.Error("marks for what is no packet")
	}
}

// After a skip the cutter takes the marked stream for a discontinuous one, and no
// PID's counter breaks.
func TestMarkGapIsSeen(t *testing.T) {
	var m muxer
	steady(&m, 0, 50, 25)
	_, cuts := cutAll(tsConfig(100*ms, 1<<20), rand.New(rand.NewPCG(0, 0)), m.out)
	out := slices.Concat(joined(cuts[:5]), MarkGap(cuts[7].Data), joined(cuts[7:]))
	_, again := cutAll(tsConfig(100*ms, 1<<20), rand.New(rand.NewPCG(0, 0)), out)
	marked := 0
	for _, c := range again {
		if c.Discontinuity {
			marked++
		}
	}
	if marked != 1 || !bytes.Equal(joined(again), out) {
		t.Errorf("%d discontinuities after one skip", marked)
	}
}

func TestTableCache(t *testing.T) {
	var m muxer
	long := make([]Stream, 60)
	for i := range long {
		long[i] = Stream{PID: PID(0x200 + i), Type: 6}
	}
	m.section(pidPAT, patSectionOf(1, 0, 1, patEntry{1, testMap}))
	m.section(pidPAT, patSectionOf(1, 1, 1, patEntry{2, 0x110}))
	m.section(testMap, pmtSectionOf(1, 0, testVideo, long...))
	m.section(0x110, pmtSectionOf(2, 0, testVideo, avStreams...))
	tables := slices.Clone(m.out)
	m.pes(testVideo, 0xe0, field{}, 0, make([]byte, 500))
	var c TableCache
	if c.AppendTo(nil) != nil {
		t.Error("tables out of nothing")
	}
	c.Push(m.out)
	if got := c.AppendTo(nil); !bytes.Equal(got, tables) {
		t.Errorf("%d bytes of tables, want %d", len(got), len(tables))
	}
	m.out = m.out[:0]
	m.section(pidPAT, patSectionOf(1, 0, 1, patEntry{1, testMap})) // the same, counted on
	c.Push(m.out)
	got := c.AppendTo(nil)
	if !bytes.Equal(got[:PacketLen], m.out) || !bytes.Equal(got[PacketLen:], tables[PacketLen:]) {
		t.Error("not the last packets of the PAT's first section")
	}
	m.out = m.out[:0]
	m.section(pidPAT, patSectionOf(2, 0, 0, patEntry{2, 0x110}))
	c.Push(m.out)
	var s PSI
	push(&s, c.AppendTo(nil))
	if bytes.Contains(c.AppendTo(nil), tables[2*PacketLen:3*PacketLen]) {
		t.Error("kept the PMT of a programme that is gone")
	}
	if !HasTables(tables) || HasTables(tables[2*PacketLen:]) || HasTables(nil) {
		t.Error("HasTables")
	}
}
