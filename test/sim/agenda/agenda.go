// Package agenda is what a simulated world has still to do: events in the order of
// their times, and of two at the same time the one that was added first.
package agenda

import "time"

// Agenda is a heap with four children a node, of small keys, so that events themselves
// are not moved. The zero one is empty.
type Agenda[E any] struct {
	keys   []key
	events []E
	free   []int32 // places in events that hold none
	seq    uint64
}

type key struct {
	at   time.Duration
	seq  uint64
	slot int32
}

func (k key) before(o key) bool { return k.at < o.at || k.at == o.at && k.seq < o.seq }

// Len is how many events there are.
func (a *Agenda[E]) Len() int { return len(a.keys) }

// Add puts an event on the agenda.
func (a *Agenda[E]) Add(at time.Duration, e E) {
	k := key{at: at, seq: a.seq, slot: int32(len(a.events))}
	a.seq++
	if last := len(a.free) - 1; last >= 0 {
		k.slot, a.free = a.free[last], a.free[:last]
		a.events[k.slot] = e
	} else {
		a.events = append(a.events, e)
	}
	a.keys = append(a.keys, k)
	i := len(a.keys) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !k.before(a.keys[up]) {
			break
		}
		a.keys[i], i = a.keys[up], up
	}
	a.keys[i] = k
}

// Next is when the first event is due.
func (a *Agenda[E]) Next() (at time.Duration, ok bool) {
	if len(a.keys) == 0 {
		return 0, false
	}
	return a.keys[0].at, true
}

// Take takes the first event; there must be one.
func (a *Agenda[E]) Take() (at time.Duration, e E) {
	top, last := a.keys[0], len(a.keys)-1
	k := a.keys[last]
	a.keys = a.keys[:last]
	for i := 0; last > 0; {
		low := -1
		for c := 4*i + 1; c < min(4*i+5, last); c++ {
			if low < 0 || a.keys[c].before(a.keys[low]) {
				low = c
			}
		}
		if low < 0 || !a.keys[low].before(k) {
			a.keys[i] = k
			break
		}
		a.keys[i], i = a.keys[low], low
	}
	var none E
	e, a.events[top.slot] = a.events[top.slot], none
	a.free = append(a.free, top.slot)
	return top.at, e
}

// Each calls do with every event, in no order that means anything.
func (a *Agenda[E]) Each(do func(at time.Duration, e *E)) {
	for _, k := range a.keys {
		do(k.at, &a.events[k.slot])
	}
}
