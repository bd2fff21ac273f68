package ts

// hunt looks for a place in b from which sync bytes stand at a packet's stride:
// syncRun of them, or, at the end of the input, as many as there is room for and
// at least one whole packet. It returns how many bytes lie before, or, if there is
// none, how many cannot be part of one.
func hunt(b []byte, end bool) (skip int, found bool) {
	for p := range b {
		room := len(b) - p
		if end && room < PacketLen {
			return len(b), false
		}
		if !end && room <= (syncRun-1)*PacketLen {
			return p, false
		}
		if train(b[p:]) {
			return p, true
		}
	}
	return len(b), false
}

// train reports whether the first syncRun packets of b, or all that are there,
// begin with a sync byte.
func train(b []byte) bool {
	for i := 0; i < syncRun*PacketLen && i < len(b); i += PacketLen {
		if b[i] != syncByte {
			return false
		}
	}
	return true
}

// tornLen is how many bytes from a packet's start decide whether it is torn.
const tornLen = PacketLen + (syncRun-1)*PacketLen

// torn reports whether packets begin within b's first one, which so lost its end,
// and where.
func torn(b []byte) (at int, ok bool) {
	for p := 1; p < PacketLen && p+(syncRun-1)*PacketLen < len(b); p++ {
		if train(b[p:]) {
			return p, true
		}
	}
	return 0, false
}
