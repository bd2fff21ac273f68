package remux

// bitReader reads a raw byte sequence payload bit by bit. Beyond its end there are zeros,
// and short is set.
type bitReader struct {
	b     []byte
	at    int
	short bool
}

// payload is a NAL unit's bytes without those that keep start codes out of it
// (14496-10, 7.4.1).
func payload(nal []byte) []byte {
	out := make([]byte, 0, len(nal))
	zeros := 0
	for _, c := range nal {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if zeros++; c != 0 {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}

func (r *bitReader) u(n int) (v uint32) {
	for range n {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.short = true
			continue
		}
		v |= uint32(r.b[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

func (r *bitReader) skip(n int) {
	for ; n > 0; n -= 32 {
		r.u(min(n, 32))
	}
}

func (r *bitReader) flag() bool { return r.u(1) == 1 }

// ue is an unsigned Exp-Golomb number (14496-10, 9.1). One of more than 32 bits is
// none.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.short && r.u(1) == 0 {
		if zeros++; zeros == 32 {
			r.short = true
		}
	}
	if r.short {
		return 0
	}
	return 1<<zeros - 1 + r.u(zeros)
}

func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}
