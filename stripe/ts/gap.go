package ts

import "slices"

// MarkGap returns packets to insert before next, a block of whole packets whose
// predecessors were skipped. For each PID in next, in its order there, it is one
// packet without payload that sets the discontinuity indicator and has the counter
// that next's first packet of that PID continues (13818-1, 2.4.3.4). At most
// maxGapPIDs are marked.
func MarkGap(next []byte) []byte {
	var seen []PID
	var out []byte
	for ; len(next) >= PacketLen && len(seen) < maxGapPIDs; next = next[PacketLen:] {
		p := Packet(next[:PacketLen])
		pid := p.PID()
		if p[0] != syncByte || p.Damaged() || pid == pidNull || slices.Contains(seen, pid) {
			continue
		}
		seen = append(seen, pid)
		cc := p.CC()
		if p.HasPayload() {
			cc = (cc - 1) & 0x0f
		}
		out = append(out, syncByte, byte(pid>>8), byte(pid), 0x20|cc, PacketLen-5, 0x80)
		for len(out)%PacketLen != 0 {
			out = append(out, 0xff)
		}
	}
	return out
}
