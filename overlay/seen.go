package overlay

// seen remembers which of the last seenSpan block numbers came on a stripe, so
// that a new parent is asked to go on at the first that is missing. It is a
// bitmap that moves with the newest number.
type seen struct {
	bits   [seenSpan / 64]uint64 // bit number % seenSpan
	lowest uint64                // that ever came, while within the span
	newest uint64
	any    bool
}

func (s *seen) add(number uint64) {
	switch {
	case !s.any, number >= s.newest+seenSpan:
		*s = seen{lowest: number, newest: number, any: true}
	case number+seenSpan <= s.newest:
		return
	case number > s.newest:
		for s.newest < number {
			s.newest++
			s.set(s.newest, false)
		}
		if s.lowest+seenSpan <= s.newest {
			s.lowest = s.newest - seenSpan + 1
		}
	case number < s.lowest:
		for n := number; n < s.lowest; n++ {
			s.set(n, false)
		}
		s.lowest = number
	}
	s.set(number, true)
}

func (s *seen) set(number uint64, on bool) {
	word, bit := &s.bits[number%seenSpan/64], uint64(1)<<(number%64)
	if *word &^= bit; on {
		*word |= bit
	}
}

func (s *seen) has(number uint64) bool {
	return s.bits[number%seenSpan/64]>>(number%64)&1 == 1
}

// missing is the first number after the lowest that has not come.
func (s *seen) missing() uint64 {
	if !s.any {
		return 0
	}
	n := s.lowest
	for n <= s.newest && s.has(n) {
		n++
	}
	return n
}

// whole reports whether all from … to have come, but for those before the first
// that ever did.
func (s *seen) whole(from, to uint64) bool {
	if !s.any || to > s.newest {
		return false
	}
	for n := max(from, s.lowest); n <= to; n++ {
		if !s.has(n) {
			return false
		}
	}
	return true
}
