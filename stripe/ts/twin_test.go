package ts

import "time"

// alignTwin says slowly which packets of b are delivered.
func alignTwin(b []byte) (packets [][]byte) {
	syncs := func(at, n int) bool {
		for i := range n {
			if at+i*PacketLen >= len(b) || b[at+i*PacketLen] != syncByte {
				return false
			}
		}
		return true
	}
	at, locked := 0, false
	for at+PacketLen <= len(b) {
		switch {
		case !locked:
			// In the last bytes there may be fewer than five to look at.
			there := (len(b) - at + PacketLen - 1) / PacketLen
			if locked = syncs(at, min(syncRun, there)); !locked {
				at++
			}
		default:
			begins := 0
			for p := PacketLen - 1; p >= 1; p-- {
				if syncs(at+p, syncRun) {
					begins = p
				}
			}
			whole := at+PacketLen == len(b) || b[at+PacketLen] == syncByte
			if !whole && begins > 0 {
				at += begins
				continue
			}
			packets = append(packets, b[at:at+PacketLen])
			at += PacketLen
			locked = whole
		}
	}
	return packets
}

// mark is what the twin knows of one packet.
type mark struct {
	table, null, access bool
	hasPCR, jump        bool
	clock               int64 // of the last PCR up to here, unwrapped
}

// cutTwin cuts whole packets slowly, for a stream that arrives at one instant and
// whose first programme never changes. It looks back from each packet instead of
// keeping state.
func cutTwin(cfg Config, packets [][]byte) (cuts []Cut) {
	marks := markAll(packets)
	period := int64(cfg.BlockTime/time.Microsecond) * 27
	limit := cfg.MaxBlock / PacketLen
	start, due, began := 0, int64(0), int64(0)
	running, random, broken := false, false, false
	access := int64(-1 << 62)
	shown := int64(0)
	clock := int64(0)
	cut := func(to int) {
		if to == start {
			return
		}
		from := max(began, 0)
		if !broken {
			from = max(from, shown)
		}
		var data []byte
		for _, p := range packets[start:to] {
			data = append(data, p...)
		}
		cuts = append(cuts, Cut{Data: data, RandomAccess: random, Discontinuity: broken,
			MediaTime: uint64(from / 300), Span: duration(max(clock-from, 0))})
		start, began, shown, random, broken = to, clock, from, false, false
	}
	// lead is the first of the tables that stand right before i in its block.
	lead := func(i int) int {
		first := i
		for j := i - 1; j >= start && (marks[j].table || marks[j].null); j-- {
			if marks[j].table {
				first = j
			}
		}
		return first
	}
	for i, m := range marks {
		switch {
		case m.hasPCR && !running:
			if len(cuts) > 0 {
				cut(lead(i))
				broken = true
			}
			running, clock, began, due = true, m.clock, m.clock, m.clock+period
		case m.jump:
			cut(lead(i))
			clock, began, broken, due = m.clock, m.clock, broken || len(cuts) > 0, m.clock+period
			access = -1 << 62
		case m.hasPCR:
			clock = m.clock
		}
		wait := clock-access < period && clock < due+period
		switch {
		case m.access && random && running && clock < due:
			access = clock
		case m.access:
			access = clock
			late := running && clock >= due
			cut(lead(i))
			if due += period; !late || due <= clock {
				due = clock + period
			}
			random = lead(i) == start
		case running && clock >= due && !wait:
			cut(lead(i))
			if due += period; due <= clock {
				due = clock + period
			}
		}
		if i-start == limit {
			cut(lead(i))
		}
		if i-start == limit {
			cut(i)
		}
	}
	cut(len(packets))
	return cuts
}

func markAll(packets [][]byte) []mark {
	marks := make([]mark, len(packets))
	var clock int64
	var last uint64
	running, newBase := false, false
	for i, b := range packets {
		p, m := Packet(b), &marks[i]
		m.table = p.PID() == 0 || p.PID() == pidSDT || p.PID() == testMap
		m.null = p.PID() == pidNull
		if p.PID() == testVideo {
			newBase = newBase || p.Discontinuity()
			es, start := pesData(p)
			idr := len(es) > 9 && es[9] == 0x65
			m.access = p.Start() && start && (p.RandomAccess() || idr)
		}
		if pcr, ok := p.PCR(); ok && p.PID() == testVideo {
			m.hasPCR = true
			step := int64(pcr) - int64(last)
			if step > pcrWrap/2 {
				step -= pcrWrap
			} else if step < -pcrWrap/2 {
				step += pcrWrap
			}
			far := step > ticksPerSecond || step < -ticksPerSecond
			switch {
			case !running:
				clock, running = int64(pcr), true
			case far || newBase && step < 0:
				clock, m.jump = int64(pcr), true
			default:
				clock, m.jump = clock+step, newBase
			}
			last, newBase = pcr, false
		}
		m.clock = clock
	}
	return marks
}
