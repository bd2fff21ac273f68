package sim

import "time"

// heap is a queue of events by (at, seq): a heap with four children a node, of
// small keys, so that events themselves are not moved.
type heap struct {
	keys   []key
	events []event
	free   []int32 // places in events that hold none
}

type key struct {
	at   time.Duration
	seq  uint64 // of two at the same time the one that was scheduled first comes first
	slot int32
}

func (k key) before(o key) bool { return k.at < o.at || k.at == o.at && k.seq < o.seq }

func (h *heap) push(at time.Duration, seq uint64, e event) {
	k := key{at: at, seq: seq, slot: int32(len(h.events))}
	if last := len(h.free) - 1; last >= 0 {
		k.slot, h.free = h.free[last], h.free[:last]
		h.events[k.slot] = e
	} else {
		h.events = append(h.events, e)
	}
	h.keys = append(h.keys, k)
	i := len(h.keys) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !k.before(h.keys[up]) {
			break
		}
		h.keys[i], i = h.keys[up], up
	}
	h.keys[i] = k
}

// next is when the first event is due.
func (h *heap) next() (time.Duration, bool) {
	if len(h.keys) == 0 {
		return 0, false
	}
	return h.keys[0].at, true
}

func (h *heap) pop() (time.Duration, event) {
	top, last := h.keys[0], len(h.keys)-1
	k := h.keys[last]
	h.keys = h.keys[:last]
	for i := 0; last > 0; {
		low := -1
		for c := 4*i + 1; c < min(4*i+5, last); c++ {
			if low < 0 || h.keys[c].before(h.keys[low]) {
				low = c
			}
		}
		if low < 0 || !h.keys[low].before(k) {
			h.keys[i] = k
			break
		}
		h.keys[i], i = h.keys[low], low
	}
	e := h.events[top.slot]
	h.events[top.slot] = event{}
	h.free = append(h.free, top.slot)
	return top.at, e
}
