package remux

import "github.com/stripecast/stripecast/stripe/ts"

// pes puts the packets of one PID together.
type pes struct {
	pid     ts.PID
	buf     []byte
	open    bool // a packet with a time stamp has begun, undamaged so far
	random  bool // it has the random access indicator
	want    int  // bytes of it; 0: until the next begins
	counter uint8
	known   bool // counter
}

// whole is a PES packet's payload, and its time stamps in 1/90000 s.
type whole struct {
	data     []byte
	pts, dts uint64
	random   bool
}

// push takes the next packet and returns what it made whole. lost: packets are missing,
// or what was under way was too long.
func (p *pes) push(pkt ts.Packet, audio bool) (out []whole, lost bool) {
	if !pkt.HasPayload() {
		if pkt.Discontinuity() {
			p.known = false
		}
		return nil, false
	}
	if cc := pkt.CC(); p.known && cc != (p.counter+1)&0x0f {
		if cc == p.counter {
			return nil, false // sent twice
		}
		lost = !pkt.Discontinuity()
		p.open = p.open && !lost
	}
	p.counter, p.known = pkt.CC(), true
	b := pkt.Payload()
	if pkt.Start() && stamped(b) {
		out = p.close(out)
		p.open, p.random, p.want = true, pkt.RandomAccess(), 0
		if n := int(b[4])<<8 | int(b[5]); n > 0 && audio {
			p.want = n + 6
		}
	}
	if !p.open {
		return out, lost
	}
	if len(p.buf)+len(b) > MaxUnit {
		p.open, p.buf = false, nil
		return out, true
	}
	if pkt.Start() && !stamped(b) && len(b) >= 9 { // more of the same picture
		b = b[min(9+int(b[8]), len(b)):]
	}
	p.buf = append(p.buf, b...)
	if p.want > 0 && len(p.buf) >= p.want {
		p.buf = p.buf[:p.want]
		out = p.close(out)
	}
	return out, lost
}

// stamped reports whether b begins a PES packet with a time stamp.
func stamped(b []byte) bool {
	return len(b) >= 14 && b[0] == 0 && b[1] == 0 && b[2] == 1 && b[6]&0xc0 == 0x80 && b[7]&0x80 != 0 &&
		(b[7]&0x40 == 0 || len(b) >= 19)
}

// close ends the packet under way. Its bytes are the caller's.
func (p *pes) close(out []whole) []whole {
	b := p.buf
	open := p.open
	p.buf, p.open = nil, false
	if !open || !stamped(b) { // it may say that it is shorter than its header
		return out
	}
	w := whole{pts: ts.Stamp([5]byte(b[9:])), random: p.random}
	w.dts = w.pts
	if b[7]&0x40 != 0 {
		w.dts = ts.Stamp([5]byte(b[14:]))
	}
	w.data = b[min(9+int(b[8]), len(b)):]
	return append(out, w)
}
