package wide

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/test/sim/agenda"
)

// moment is how finely time is told: what is due within one happens at its end,
// node by node. It is no longer than the shortest way, so that an answer comes
// in a later one.
const moment = 5 * time.Millisecond

// ahead is how many moments the calendar has a list for; what is later is on an agenda.
const ahead = 1024

// calendar is what has still to happen, moment by moment. Those of one moment are taken
// by node, and of one node in the order in which they were added.
type calendar struct {
	present int64 // the moment that was taken last
	lists   [ahead]list
	events  []listed
	free    int32 // the first of those in events that hold none, and one
	later   agenda.Agenda[event]
	order   []uint64 // of the present moment: node and place in places
	places  []int32
}

// list is a moment's events: places in the calendar's, and one; 0 is none.
type list struct{ first, last int32 }

type listed struct {
	event
	next int32 // place, and one
}

// number is the moment in which something at a time happens: not in the present one.
func (c *calendar) number(at time.Duration) int64 {
	return max(c.present+1, int64((at+moment-1)/moment))
}

// add puts an event down, and returns when it will be.
func (c *calendar) add(at time.Duration, e event) time.Duration {
	n := c.number(at)
	if n-c.present >= ahead {
		c.later.Add(time.Duration(n)*moment, e)
		return time.Duration(n) * moment
	}
	i := c.free
	if i > 0 {
		c.free = c.events[i-1].next
		c.events[i-1] = listed{event: e}
	} else {
		c.events = append(c.events, listed{event: e})
		i = int32(len(c.events))
	}
	if l := &c.lists[n%ahead]; l.first == 0 {
		*l = list{i, i}
	} else {
		c.events[l.last-1].next, l.last = i, i
	}
	return time.Duration(n) * moment
}

// turn goes to the next moment, and returns how many events it has.
func (c *calendar) turn() int {
	for {
		at, ok := c.later.Next()
		if !ok || at > time.Duration(c.present+1)*moment {
			break
		}
		_, e := c.later.Take()
		c.add(at, e)
	}
	c.present++
	l := &c.lists[c.present%ahead]
	c.order, c.places = c.order[:0], c.places[:0]
	for i := l.first; i > 0; i = c.events[i-1].next {
		c.order = append(c.order, uint64(c.events[i-1].node)<<32|uint64(len(c.places)))
		c.places = append(c.places, i)
	}
	*l = list{}
	slices.Sort(c.order)
	return len(c.order)
}

// take takes the i-th event of the present moment; each is taken once.
func (c *calendar) take(i int) event {
	place := c.places[uint32(c.order[i])]
	e := c.events[place-1].event
	c.events[place-1] = listed{next: c.free}
	c.free = place
	return e
}
