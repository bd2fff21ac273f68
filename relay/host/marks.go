package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// marks are blocks whose source times are known, by number, of one run of a stream.
type marks struct {
	key store.Key
	at  []mark
}

type mark struct {
	number uint64
	time   int64 // Unix ms
}

func byNumber(m mark, number uint64) int { return cmp.Compare(m.number, number) }

// add notes a block. When there are too many, every second goes.
func (m *marks) add(h *stripe.Header) {
	if key := keyOf(h); key != m.key {
		*m = marks{key: key}
	}
	i, known := slices.BinarySearchFunc(m.at, h.Number, byNumber)
	if known {
		return
	}
	if len(m.at) >= maxMarks {
		for j := range maxMarks / 2 {
			m.at[j] = m.at[2*j]
		}
		m.at = m.at[:maxMarks/2]
		i, _ = slices.BinarySearchFunc(m.at, h.Number, byNumber)
	}
	m.at = slices.Insert(m.at, i, mark{h.Number, h.SourceTime})
}

// exact is a block's source time if it is known.
func (m *marks) exact(key store.Key, number uint64) (ms int64, ok bool) {
	if m.key != key {
		return 0, false
	}
	if i, known := slices.BinarySearchFunc(m.at, number, byNumber); known {
		return m.at[i].time, true
	}
	return 0, false
}

// about is a block's source time as the blocks near it tell.
func (m *marks) about(key store.Key, number uint64, pace time.Duration) (ms int64, ok bool) {
	if ms, ok := m.exact(key, number); ok {
		return ms, true
	}
	if m.key != key || len(m.at) == 0 {
		return 0, false
	}
	i, _ := slices.BinarySearchFunc(m.at, number, byNumber)
	near := m.at[min(i, len(m.at)-1)]
	if i > 0 && (i == len(m.at) || number-m.at[i-1].number < near.number-number) {
		near = m.at[i-1]
	}
	away := int64(number) - int64(near.number)
	if max(away, -away) > markReach {
		return 0, false
	}
	each := float64(pace.Milliseconds())
	if first, last := m.at[0], m.at[len(m.at)-1]; last.number-first.number >= markSpan && last.time > first.time {
		each = float64(last.time-first.time) / float64(last.number-first.number)
	}
	return near.time + int64(each*float64(away)), true
}
