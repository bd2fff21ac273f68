package ts

import "time"

// PacketLen is the length of a transport stream packet, in bytes.
const PacketLen = 188

const (
	syncByte = 0x47

	pidPAT  PID = 0
	pidSDT  PID = 0x11
	pidNull PID = 0x1fff
	pids        = 0x2000
)

// The transport stream's clocks: PCR counts 27 MHz (ticks), PTS and DTS 90 kHz.
const (
	ticksPerSecond = 27_000_000
	ticksPerPTS    = 300
	ptsWrap        = 1 << 33
	pcrWrap        = ptsWrap * ticksPerPTS
)

// PID names one substream of a transport stream: 13 bits.
type PID uint16

// Packet is a view of one packet. Its methods may be called on PacketLen bytes of
// any content.
type Packet []byte

// PID is the substream the packet belongs to.
func (p Packet) PID() PID { return PID(p[1]&0x1f)<<8 | PID(p[2]) }

// Damaged is the transport error indicator: nothing in the packet can be trusted.
func (p Packet) Damaged() bool { return p[1]&0x80 != 0 }

// Start is the payload unit start indicator.
func (p Packet) Start() bool { return p[1]&0x40 != 0 }

// Scrambled reports whether the payload is encrypted.
func (p Packet) Scrambled() bool { return p[3]&0xc0 != 0 }

// HasPayload reports whether the packet says it carries payload, and so whether
// its continuity counter advances.
func (p Packet) HasPayload() bool { return p[3]&0x10 != 0 }

// CC is the continuity counter: 4 bits.
func (p Packet) CC() uint8 { return p[3] & 0x0f }

// adaptation is the adaptation field after its length byte, from the flags on;
// nil if there is none or it is empty or too long.
func (p Packet) adaptation() []byte {
	if p[3]&0x20 == 0 || p[4] == 0 || int(p[4]) > PacketLen-5 {
		return nil
	}
	return p[5 : 5+int(p[4])]
}

func (p Packet) adaptationFlag(bit byte) bool {
	a := p.adaptation()
	return a != nil && a[0]&bit != 0
}

// Discontinuity is the discontinuity indicator: the counter, and on the PCR's PID
// the clock too, start anew here.
func (p Packet) Discontinuity() bool { return p.adaptationFlag(0x80) }

// RandomAccess is the random access indicator.
func (p Packet) RandomAccess() bool { return p.adaptationFlag(0x40) }

// PCR is the packet's clock reference in units of 1/27 MHz, and whether it has one.
func (p Packet) PCR() (uint64, bool) {
	a := p.adaptation()
	if len(a) < 7 || a[0]&0x10 == 0 {
		return 0, false
	}
	base := uint64(a[1])<<25 | uint64(a[2])<<17 | uint64(a[3])<<9 | uint64(a[4])<<1 | uint64(a[5])>>7
	return base*ticksPerPTS + (uint64(a[5]&1)<<8 | uint64(a[6])), true
}

// Payload is what follows header and adaptation field; nil if there is nothing.
func (p Packet) Payload() []byte {
	if !p.HasPayload() {
		return nil
	}
	at := 4
	if p[3]&0x20 != 0 {
		at = 5 + int(p[4])
	}
	if at >= PacketLen {
		return nil
	}
	return p[at:PacketLen]
}

// pcrStep is the way from one PCR to another in ticks, the shorter one around the
// wrap: negative if it leads back.
func pcrStep(from, to uint64) int64 { return wrapStep(from, to, pcrWrap) }

func wrapStep(from, to, wrap uint64) int64 {
	d := (to%wrap + wrap - from%wrap) % wrap
	if d > wrap/2 {
		return int64(d) - int64(wrap)
	}
	return int64(d)
}

func ticks(d time.Duration) int64 { return int64(d) / 1000 * 27 }

func duration(t int64) time.Duration { return time.Duration(t/27*1000 + t%27*1000/27) }
