package sim

import "time"

// event is something that happens at a time. Of two at the same time the one
// that was scheduled first happens first.
type event struct {
	at   time.Duration // since the world's start
	seq  uint64
	node *Node // whose it is; nil for the world's own
	life int   // the node's life in which it was scheduled; another's is void
	act  act
}

// act is what an event does. The set is closed; see World.perform.
type act any

// heap is a binary heap of events by (at, seq).
type heap struct{ items []event }

func (h *heap) less(i, j int) bool {
	a, b := &h.items[i], &h.items[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *heap) push(e event) {
	h.items = append(h.items, e)
	for i := len(h.items) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(i, up) {
			return
		}
		h.items[i], h.items[up] = h.items[up], h.items[i]
		i = up
	}
}

func (h *heap) pop() event {
	top, last := h.items[0], len(h.items)-1
	h.items[0], h.items[last] = h.items[last], event{}
	h.items = h.items[:last]
	for i := 0; ; {
		low := 2*i + 1
		if low >= last {
			break
		}
		if low+1 < last && h.less(low+1, low) {
			low++
		}
		if !h.less(low, i) {
			break
		}
		h.items[i], h.items[low] = h.items[low], h.items[i]
		i = low
	}
	return top
}
