package wide

import (
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// event is something that happens at a time. Of two at the same time the one
// that was scheduled first happens first.
type event struct {
	at   time.Duration // since the world's start
	seq  uint64
	kind kind
	node int32 // to whom it happens
	peer int32 // because of whom
	msg  overlay.Message
	do   func()
}

type kind uint8

const (
	evJoin    kind = iota // the node starts, or tries again to find anybody
	evWake                // its Forest or its questions want to be looked at
	evTick                // a block comes while something about its stripes changes
	evMessage             // a message of peer arrives
	evDialled             // a dial to peer ends well
	evFailed              // a dial to peer fails
	evLost                // the connection with peer is found dead
	evClosed              // peer has closed the connection, which nobody needed
	evDo                  // the experiment's
)

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
