package ts

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

func tsConfig(t time.Duration, limit int) Config {
	return Config{Media: stripe.MediaTS, BlockTime: t, MaxBlock: limit}
}

func sameCuts(t *testing.T, got, want []Cut) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if !bytes.Equal(g.Data, w.Data) || g.RandomAccess != w.RandomAccess || g.Discontinuity != w.Discontinuity ||
			g.MediaTime != w.MediaTime || g.Span != w.Span {
			t.Fatalf("block %d: %s, want %s", i, brief(g), brief(w))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d blocks, want %d", len(got), len(want))
	}
}

func brief(c Cut) string {
	return fmt.Sprintf("%d bytes, access %v, discontinuity %v, at %d for %v", len(c.Data), c.RandomAccess, c.Discontinuity, c.MediaTime, c.Span)
}

// The cutter and its slow twin agree on random streams in random pieces.
func TestCutterTwin(t *testing.T) {
	limits := []int{stripe.MaxBlock, 100_000, 20_000, 3 * PacketLen, 2*PacketLen + 1}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := randomStream(rnd, 1+rnd.IntN(60))
		cfg := tsConfig(time.Duration(1+rnd.IntN(50))*10*time.Millisecond, limits[rnd.IntN(len(limits))])
		c, got := cutAll(cfg, rnd, b)
		if !bytes.Equal(joined(got), b) || c.Dropped() != 0 {
			t.Fatalf("seed %d: %d bytes in, %d out, %d dropped", seed, len(b), len(joined(got)), c.Dropped())
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sameCuts(t, got, cutTwin(cfg, alignTwin(b))) })
	}
}

// damage puts noise between packets, cuts packets short and starts in the middle.
func damage(rnd *rand.Rand, b []byte) []byte {
	out := noise(rnd, rnd.IntN(500))
	for len(b) > 0 {
		n := min(len(b), PacketLen*(1+rnd.IntN(40))+[]int{0, 0, 50}[rnd.IntN(3)])
		out = append(out, b[:n]...)
		if rnd.IntN(2) == 0 {
			out = append(out, noise(rnd, rnd.IntN(400))...)
		}
		b = b[n:]
	}
	return out
}

func noise(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
		if rnd.IntN(10) == 0 {
			b[i] = syncByte
		}
	}
	return b
}

// Whatever stands between packets, exactly those the slow twin finds come out, and
// what does not is counted.
func TestCutterResync(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		b := damage(rnd, randomStream(rnd, 20))
		c, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rnd, b)
		want := bytes.Join(alignTwin(b), nil)
		if got := joined(cuts); !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes out, want %d", seed, len(got), len(want))
		}
		if int(c.Dropped()) != len(b)-len(want) {
			t.Errorf("seed %d: dropped %d, want %d", seed, c.Dropped(), len(b)-len(want))
		}
	}
}

func TestCutterDeliversNoGarbage(t *testing.T) {
	var m muxer
	m.tables(avStreams...)
	for range 20 {
		m.pes(testVideo, 0xe0, field{}, 0, make([]byte, 1000))
	}
	run := m.out
	zero := make([]byte, 333) // no sync byte in it
	half := run[:PacketLen*7+90]
	for name, c := range map[string]struct{ in, want []byte }{
		"before":         {slices.Concat(zero, run), run},
		"between":        {slices.Concat(run, zero, run), slices.Concat(run, run)},
		"after":          {slices.Concat(run, zero), run},
		"torn packet":    {slices.Concat(half, run), slices.Concat(run[:PacketLen*7], run)},
		"torn at end":    {half, run[:PacketLen*7]},
		"one packet":     {run[:PacketLen], run[:PacketLen]},
		"one, late":      {slices.Concat(zero, run[:PacketLen]), run[:PacketLen]},
		"less":           {run[:PacketLen-1], nil},
		"one sync wrong": {slices.Concat(run[:940], []byte{0}, run[941:]), slices.Concat(run[:940], run[1128:])},
		"nothing":        {nil, nil},
		"noise":          {zero, nil},
	} {
		_, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rand.New(rand.NewPCG(0, 0)), c.in)
		if got := joined(cuts); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(c.want))
		}
	}
}

// steady writes frames of 40 ms, with tables before every gop-th.
func steady(m *muxer, from uint64, frames, gop int) {
	for i := range frames {
		es := esSlice
		if i%gop == 0 {
			m.tables(avStreams...)
			es = esIDR
		}
		pcr := from + uint64(i)*1_080_000
		m.pes(testVideo, 0xe0, field{hasPCR: true, pcr: pcr % pcrWrap}, pcr/300, slices.Concat(es, make([]byte, 700)))
	}
}

func TestCutterTiming(t *testing.T) {
	var m muxer
	steady(&m, pcrWrap-ticksPerSecond, 100, 25) // wraps after a second
	_, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rand.New(rand.NewPCG(0, 0)), m.out)
	if len(cuts) != 40 {
		t.Errorf("%d blocks of 100 ms in 4 s, want 40", len(cuts))
	}
	at := cuts[0].MediaTime
	for i, c := range cuts {
		if c.Discontinuity || c.MediaTime != at || c.Span > 140*time.Millisecond {
			t.Errorf("block %d: %s, want it at %d", i, brief(c), at)
		}
		at += uint64(c.Span.Microseconds()*9) / 100
		second := (c.MediaTime - cuts[0].MediaTime) % 90000
		if c.RandomAccess != (second == 0) || c.RandomAccess != HasTables(c.Data) {
			t.Errorf("block %d, %d into its second: access %v, tables %v", i, second, c.RandomAccess, HasTables(c.Data))
		}
	}
}

func TestCutterDiscontinuity(t *testing.T) {
	for name, c := range map[string]struct {
		to    uint64
		disc  bool
		wants bool
		at    uint64 // MediaTime after it
	}{
		"on time":           {to: 11*ticksPerSecond - 0, at: 11 * 90000},
		"a second late":     {to: 12*ticksPerSecond - 1_080_000, at: 12*90000 - 3600},
		"too late":          {to: 12 * ticksPerSecond, wants: true, at: 12 * 90000},
		"back":              {to: 5 * ticksPerSecond, wants: true, at: 5 * 90000},
		"marked":            {to: 11 * ticksPerSecond, disc: true, wants: true, at: 11 * 90000},
		"marked, a bit off": {to: 11*ticksPerSecond + 90_000, disc: true, wants: true, at: 11*90000 + 300},
	} {
		var m muxer
		steady(&m, 10*ticksPerSecond, 25, 25)
		before := len(m.out)
		m.tables(avStreams...)
		m.pes(testVideo, 0xe0, field{hasPCR: true, pcr: c.to, disc: c.disc}, 0, esIDR)
		m.pes(testVideo, 0xe0, field{hasPCR: true, pcr: c.to + 1_080_000}, 0, esSlice)
		_, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rand.New(rand.NewPCG(0, 0)), m.out)
		last := cuts[len(cuts)-1]
		if !bytes.Equal(last.Data, m.out[before:]) || last.Discontinuity != c.wants || last.MediaTime != c.at || !last.RandomAccess {
			t.Errorf("%s: %s, want discontinuity %v at %d", name, brief(last), c.wants, c.at)
		}
		for _, o := range cuts[:len(cuts)-1] {
			if o.Discontinuity {
				t.Errorf("%s: earlier %s", name, brief(o))
			}
		}
	}
}

func TestPCRStep(t *testing.T) {
	for _, c := range []struct {
		from, to uint64
		want     int64
	}{
		{5, 8, 3}, {8, 5, -3}, {pcrWrap - 2, 1, 3}, {1, pcrWrap - 2, -3}, {7, 7, 0}, {0, pcrWrap / 2, pcrWrap / 2},
	} {
		if got := pcrStep(c.from, c.to); got != c.want {
			t.Errorf("from %d to %d: %d, want %d", c.from, c.to, got, c.want)
		}
	}
}

// A clock that steps back by less than a second is no discontinuity, and media time
// waits for it.
func TestCutterStepBack(t *testing.T) {
	var m muxer
	steady(&m, 10*ticksPerSecond, 25, 25)
	steady(&m, 10*ticksPerSecond+ticksPerSecond/2, 50, 25)
	_, cuts := cutAll(tsConfig(100*ms, stripe.MaxBlock), rand.New(rand.NewPCG(0, 0)), m.out)
	checkCuts(t, tsConfig(100*ms, stripe.MaxBlock), cuts, m.out)
	for i, c := range cuts {
		if c.Discontinuity {
			t.Errorf("block %d: %s", i, brief(c))
		}
	}
	if last := cuts[len(cuts)-1]; last.MediaTime < 12*90000 || last.MediaTime > 13*90000 {
		t.Errorf("the last block: %s", brief(last))
	}
}

// A pause of two seconds is a jump in a stream that arrives without one, and none in
// one that paused.
func TestCutterPause(t *testing.T) {
	for _, pause := range []time.Duration{0, 2 * time.Second} {
		var a, b muxer
		steady(&a, 0, 25, 25)
		steady(&b, 3*ticksPerSecond, 25, 25)
		c := NewCutter(tsConfig(100*ms, stripe.MaxBlock))
		cuts := slices.Clone(c.Write(epoch, a.out))
		cuts = append(cuts, c.Write(epoch.Add(pause), b.out)...)
		cuts = append(cuts, c.Flush(epoch.Add(pause))...)
		marked := slices.ContainsFunc(cuts, func(c Cut) bool { return c.Discontinuity })
		if marked != (pause == 0) || !bytes.Equal(joined(cuts), slices.Concat(a.out, b.out)) {
			t.Errorf("after a pause of %v: discontinuity %v", pause, marked)
		}
	}
}

// Without a moving clock the arrival time cuts, and a short stall loses no time.
func TestCutterArrival(t *testing.T) {
	var m muxer
	for range 50 {
		m.pes(testVideo, 0xe0, field{}, 0, make([]byte, 1000))
	}
	c := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
	var cuts []Cut
	now := epoch
	for b := m.out; len(b) > 0; b = b[min(len(b), PacketLen):] {
		cuts = append(cuts, c.Write(now, b[:PacketLen])...)
		now = now.Add(10 * time.Millisecond)
	}
	cuts = append(cuts, c.Flush(now)...)
	want := 3 * time.Second // 300 packets
	if last := cuts[len(cuts)-1]; len(cuts) < 25 || len(cuts) > 30 || last.MediaTime < 27*9000 || last.MediaTime > uint64(want/time.Millisecond)*90 {
		t.Errorf("%d blocks, the last one %s", len(cuts), brief(last))
	}
	if !bytes.Equal(joined(cuts), m.out) {
		t.Error("bytes lost")
	}
}

// An input that comes in bursts is not taken for one whose clock jumps, and the end
// of a burst does not wait for the next.
func TestCutterBursts(t *testing.T) {
	var m muxer
	steady(&m, 0, 150, 25)
	c := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
	var cuts []Cut
	now, b := epoch, m.out
	for range 3 {
		n := min(len(b), len(m.out)/3/PacketLen*PacketLen)
		cuts = append(cuts, c.Write(now, b[:n])...)
		cuts = append(cuts, c.Write(now.Add(400*time.Millisecond), nil)...)
		if out := len(joined(cuts)); out < len(m.out)-len(b)+n-PacketLen {
			t.Errorf("%d of %d bytes wait for the next burst", len(m.out)-len(b)+n-out, n)
		}
		now, b = now.Add(2*time.Second), b[n:]
	}
	cuts = append(cuts, c.Flush(now)...)
	if !bytes.Equal(joined(cuts), m.out) {
		t.Error("bytes lost")
	}
	for i, c := range cuts {
		if c.Discontinuity || i > 0 && c.MediaTime < cuts[i-1].MediaTime || c.MediaTime > 6*90000+27000 {
			t.Errorf("block %d: %s", i, brief(c))
		}
	}
}

// Audio without video: every block begins with a PES packet, and none is a frame.
func TestCutterAudioOnly(t *testing.T) {
	const pcrPID PID = 0x1ffe
	for _, separate := range []bool{false, true} {
		var m muxer
		clock := uint64(0)
		for i := range 200 {
			f := field{hasPCR: true, pcr: clock}
			pcr := testAudio
			if separate {
				pcr = pcrPID
			}
			if i%20 == 0 {
				m.section(pidPAT, patSectionOf(0, 0, 0, patEntry{1, testMap}))
				m.section(testMap, pmtSectionOf(1, 0, pcr, Stream{PID: testAudio, Type: 0x0f}))
			}
			if separate {
				m.packet(pcrPID, false, f, nil)
				f = field{}
			}
			m.pes(testAudio, 0xc0, f, clock/300, make([]byte, 300))
			clock += 24 * 27000
		}
		_, cuts := cutAll(tsConfig(100*time.Millisecond, stripe.MaxBlock), rand.New(rand.NewPCG(0, 0)), m.out)
		if len(cuts) < 44 || len(cuts) > 52 {
			t.Errorf("separate PCR %v: %d blocks in 4.8 s", separate, len(cuts))
		}
		for i, c := range cuts[1:] {
			if !c.RandomAccess {
				t.Errorf("separate PCR %v: block %d: %s", separate, i+1, brief(c))
			}
		}
	}
}

func TestAccessPoints(t *testing.T) {
	sps := []byte{0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 1}
	for name, c := range map[string]struct {
		kind byte
		es   []byte
		want bool
	}{
		"H.264 IDR":          {typeH264, esIDR, true},
		"H.264 slice":        {typeH264, esSlice, false},
		"H.264 parameters":   {typeH264, sps, true},
		"H.264 slice first":  {typeH264, slices.Concat(esSlice, esIDR), false},
		"HEVC IDR":           {typeHEVC, []byte{0, 0, 1, 35 << 1, 1, 0, 0, 1, 19 << 1, 1}, true},
		"HEVC CRA":           {typeHEVC, []byte{0, 0, 1, 21 << 1, 1}, true},
		"HEVC VPS":           {typeHEVC, []byte{0, 0, 1, 32 << 1, 1}, true},
		"HEVC trailing":      {typeHEVC, []byte{0, 0, 1, 1 << 1, 1}, false},
		"MPEG-2 sequence":    {typeMPEG2, []byte{0, 0, 1, 0xb3, 1}, true},
		"MPEG-2 picture":     {typeMPEG2, []byte{0, 0, 1, 0, 1, 0, 0, 1, 0xb3}, false},
		"unknown codec":      {0x33, []byte{0, 0, 1, 0x65}, false},
		"nothing":            {typeH264, nil, false},
		"cut in a startcode": {typeH264, []byte{0, 0, 1}, false},
	} {
		var m muxer
		m.pes(testVideo, 0xe0, field{}, 0, c.es)
		a := anchor{pid: testVideo, known: true, video: true, codec: c.kind}
		if got := a.at(testVideo, m.out[:PacketLen]); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		m.out = m.out[:0]
		m.pes(testVideo, 0xe0, field{random: true}, 0, c.es)
		if !a.at(testVideo, m.out[:PacketLen]) || a.at(testAudio, m.out[:PacketLen]) {
			t.Errorf("%s: indicator on the wrong stream or not seen", name)
		}
	}
	// Where the indicator is used, parameters alone begin nothing.
	var m muxer
	m.pes(testVideo, 0xe0, field{}, 0, sps)
	a := anchor{pid: testVideo, known: true, video: true, codec: typeH264, flagged: true}
	if a.at(testVideo, m.out[:PacketLen]) {
		t.Error("repeated parameters taken for a random access point")
	}
}

// A16: no payload starts, 8192 PIDs, noise, lost sync. Nothing that is a packet is
// lost, and what is kept stays under 4 MiB.
func TestCutterHostile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	packet := func(pid int, flags byte) []byte {
		p := noise(rnd, PacketLen)
		p[0], p[1], p[2], p[3] = syncByte, byte(pid>>8)&0x1f|flags, byte(pid), 0x10|byte(rnd.IntN(16))
		return p
	}
	kinds := map[string]func(i int) []byte{
		"no starts":  func(int) []byte { return packet(int(testVideo), 0) },
		"all PIDs":   func(i int) []byte { return packet(i%pids, byte(rnd.IntN(2))<<6) },
		"noise":      func(int) []byte { return noise(rnd, PacketLen) },
		"lost sync":  func(i int) []byte { return packet(i%pids, 0x40)[:PacketLen-i%7/6] },
		"only sync":  func(int) []byte { return bytes.Repeat([]byte{syncByte}, PacketLen) },
		"only PAT":   func(int) []byte { return packet(0, 0x40) },
		"big PAT":    func(i int) []byte { return bigPAT(rnd, i) },
		"adaptation": func(int) []byte { p := packet(int(testVideo), 0x40); p[3] |= 0x20; return p },
	}
	for name, next := range kinds {
		t.Run(name, func(t *testing.T) {
			c := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
			var in, out uint64
			now, before := epoch, heap()
			for i := range 30_000 { // 5.6 MB, more than may be kept
				b := next(i)
				in += uint64(len(b))
				for _, cut := range c.Write(now, b) {
					out += uint64(len(cut.Data))
				}
				now = now.Add(time.Millisecond)
			}
			if grown := heap() - before; grown > 4<<20 {
				t.Errorf("keeps %d bytes", grown)
			}
			for _, cut := range c.Flush(now) {
				out += uint64(len(cut.Data))
			}
			if out+c.Dropped() != in {
				t.Errorf("%d bytes in, %d out, %d dropped", in, out, c.Dropped())
			}
			runtime.KeepAlive(c)
		})
	}
}

func bigPAT(rnd *rand.Rand, i int) []byte {
	var e []patEntry
	for range 250 {
		e = append(e, patEntry{uint16(rnd.Uint32()), PID(rnd.IntN(pids))})
	}
	var m muxer
	m.section(pidPAT, patSectionOf(byte(i>>8), byte(i), 0xff, e...))
	return m.out
}

func heap() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Config{
		{}, tsConfig(9*time.Millisecond, 1000), tsConfig(501*time.Millisecond, 1000),
		tsConfig(100*time.Millisecond, 375), tsConfig(100*time.Millisecond, stripe.MaxBlock+1),
		{Media: stripe.MediaOpaque + 1, BlockTime: 100 * time.Millisecond, MaxBlock: 1000},
	} {
		if err := bad.Validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func FuzzCutter(f *testing.F) {
	two, _ := os.ReadFile("testdata/two.ts")
	f.Add(two[:20*PacketLen], uint64(1), 20*PacketLen)
	f.Add(randomStream(rand.New(rand.NewPCG(7, 8)), 4), uint64(2), 10_000)
	f.Add(damage(rand.New(rand.NewPCG(7, 8)), two[:9*PacketLen]), uint64(3), 1000)
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, limit int) {
		cfg := tsConfig(100*time.Millisecond, limit)
		if len(b) > 1<<16 || cfg.Validate() != nil {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		c := NewCutter(cfg)
		var cuts []Cut
		now := epoch
		chunks(rnd, b, func(p []byte) {
			cuts = append(cuts, c.Write(now, p)...)
			now = now.Add(time.Duration(rnd.IntN(300)) * time.Millisecond)
		})
		cuts = append(cuts, c.Flush(now)...)
		checkCuts(t, cfg, cuts, bytes.Join(alignTwin(b), nil))
		if int(c.Dropped())+len(joined(cuts)) != len(b) {
			t.Errorf("%d in, %d out, %d dropped", len(b), len(joined(cuts)), c.Dropped())
		}
	})
}

// checkCuts checks what holds for the blocks of any input.
func checkCuts(t *testing.T, cfg Config, cuts []Cut, want []byte) {
	t.Helper()
	if got := joined(cuts); !bytes.Equal(got, want) {
		t.Errorf("%d bytes out, want %d", len(got), len(want))
	}
	for i, c := range cuts {
		if len(c.Data) == 0 || len(c.Data) > cfg.MaxBlock || c.Span < 0 {
			t.Errorf("block %d: %s", i, brief(c))
		}
		if i == 0 && c.Discontinuity || i > 0 && !c.Discontinuity && c.MediaTime < cuts[i-1].MediaTime {
			t.Errorf("block %d: %s", i, brief(c))
		}
	}
}

// A block costs one allocation, its own buffer; a packet costs none.
func TestCutterAllocations(t *testing.T) {
	var m muxer
	steady(&m, 0, 250, 25)
	const datagram = 7 * PacketLen
	c := NewCutter(DefaultConfig())
	blocks, runs := 0, 0
	allocs := testing.AllocsPerRun(20, func() {
		runs++
		for at := 0; at+datagram <= len(m.out); at += datagram {
			blocks += len(c.Write(epoch, m.out[at:at+datagram]))
		}
	})
	if per := float64(blocks) / float64(runs); allocs > per+1 {
		t.Errorf("%.1f allocations for %.1f blocks of %d packets in all", allocs, per, len(m.out)/PacketLen)
	}
}

func BenchmarkCutter(b *testing.B) {
	var m muxer
	steady(&m, 0, 250, 25)
	for len(m.out) < 5<<20 {
		m.out = append(m.out, m.out...)
	}
	const datagram = 7 * PacketLen
	c := NewCutter(DefaultConfig())
	b.SetBytes(datagram)
	b.ReportAllocs()
	at, blocks := 0, 0
	for b.Loop() {
		if at+datagram > len(m.out) {
			at = 0
		}
		blocks += len(c.Write(epoch, m.out[at:at+datagram]))
		at += datagram
	}
	b.ReportMetric(float64(blocks)/float64(b.N), "blocks/op")
}

func BenchmarkPSI(b *testing.B) {
	var m muxer
	steady(&m, 0, 25, 5)
	var s PSI
	b.SetBytes(int64(len(m.out)))
	b.ReportAllocs()
	push(&s, m.out)
	for b.Loop() {
		push(&s, m.out)
	}
}
