package ts

import "time"

// transport cuts MPEG-TS. The clock is the PCR of the first programme; until its
// PMT is known, the first PCR there is.
type transport struct {
	psi    PSI
	locked bool
	lost   uint64

	anchor  anchor
	known   bool // the first programme's PMT
	clock   PID
	guessed bool   // clock is of the first PCR seen
	pcr     uint64 // the last one
	newBase bool   // the next PCR begins another time base

	access   int64 // the clock at the last random access point
	accessed bool
}

func (t *transport) dropped() uint64 { return t.lost }

// anew keeps the last PCR: where the clock only went on meanwhile, it still does.
func (t *transport) anew() { *t = transport{lost: t.lost, pcr: t.pcr, newBase: true} }

// take finds the packets in in. One is delivered when the next one's sync byte is
// there; if it is wrong, a packet may have been torn, and the next ones decide.
func (t *transport) take(b *block, now time.Time, in []byte, end bool) int {
	pos := 0
	drop := func(n int) { pos, t.lost = pos+n, t.lost+uint64(n) }
	for {
		rest := in[pos:]
		switch {
		case len(rest) == 0:
			t.locked = t.locked && !end
			return pos
		case !t.locked:
			skip, found := hunt(rest, end)
			drop(skip)
			if !found {
				return pos
			}
			t.locked = true
		case end && len(rest) < PacketLen:
			drop(len(rest))
		case !end && len(rest) <= PacketLen:
			return pos
		case len(rest) == PacketLen || rest[PacketLen] == syncByte:
			t.packet(b, now, rest[:PacketLen])
			pos += PacketLen
		case !end && len(rest) < tornLen:
			return pos
		default:
			if at, ok := torn(rest); ok {
				drop(at)
				continue
			}
			t.packet(b, now, rest[:PacketLen])
			pos += PacketLen
			t.locked = false
		}
	}
}

func (t *transport) packet(b *block, now time.Time, p Packet) {
	pid := p.PID()
	if !p.Damaged() { // else neither PID nor fields can be believed
		if t.psi.Push(p) {
			t.learn()
		}
		t.timing(b, now, pid, p)
		t.bounds(b, now, pid, p)
	}
	if len(b.buf) == b.limit {
		b.cut(now, b.place())
	}
	if len(b.buf) == b.limit {
		b.cut(now, b.limit) // nothing but tables
	}
	switch {
	case t.table(pid) && !p.Damaged():
		if b.lead < 0 {
			b.lead = len(b.buf)
		}
	case pid != pidNull:
		b.lead = -1
	}
	b.add(now, p)
}

// table reports whether pid carries what a player wants before a random access
// point: PAT, SDT or a PMT.
func (t *transport) table(pid PID) bool {
	return pid == pidPAT || pid == pidSDT || t.psi.IsMap(pid)
}

// learn takes clock and video from the first programme.
func (t *transport) learn() {
	programs := t.psi.Programs()
	if len(programs) == 0 || !programs[0].Known {
		return
	}
	t.known, t.clock = true, programs[0].PCR
	t.anchor.learn(&programs[0])
}

// timing moves the clock by the packet's PCR. A step of more than a second, or a
// discontinuity indicator, begins another block.
func (t *transport) timing(b *block, now time.Time, pid PID, p Packet) {
	pcr, has := p.PCR()
	if has && !t.known && !t.guessed {
		t.clock, t.guessed = pid, true
	}
	if pid != t.clock || pid == pidNull || !t.known && !t.guessed {
		return
	}
	t.newBase = t.newBase || p.Discontinuity()
	if !has {
		return
	}
	step, newBase := pcrStep(t.pcr, pcr), t.newBase
	t.pcr, t.newBase = pcr, false
	if !b.running {
		b.start(now, int64(pcr))
		return
	}
	jump := far(step) && !(b.stalled(now) && !far(step-ticks(now.Sub(b.tick))))
	if !jump && !newBase {
		b.advance(now, step)
		return
	}
	clock := int64(pcr)
	if step >= 0 && !jump {
		clock = b.clock + step
	}
	b.restart(now, clock)
	t.accessed = false
}

func far(step int64) bool { return step > ticks(maxJump) || step < -ticks(maxJump) }

// bounds ends the block before a random access point, or when it is T old.
func (t *transport) bounds(b *block, now time.Time, pid PID, p Packet) {
	if t.anchor.at(pid, p) {
		t.access, t.accessed = b.clock, true
		young := b.clock < b.due
		if !b.running {
			young = !t.anchor.video
		}
		if b.random && young {
			return // all pictures may be such points, and all audio is
		}
		if b.full() {
			b.end(now)
		} else {
			b.cut(now, b.place())
			b.due = b.clock + b.period
		}
		b.random = len(b.buf) == 0 || b.lead == 0
		return
	}
	// Where random access points are closer than T, as in audio, the next one is
	// worth waiting for.
	waiting := t.accessed && b.clock-t.access < b.period && b.clock < b.due+b.period
	if b.full() && !waiting {
		b.end(now)
	}
}
