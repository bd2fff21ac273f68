package relay

import "time"

const (
	// OutboxLimit is how many shards may wait for one child. When it is reached the
	// oldest is dropped: the child is behind, and the oldest is the least worth having.
	OutboxLimit = 256
	// OutboxHard is how long a shard may wait in an outbox without a standing
	// backlog, whatever its Expires says. Then it is dropped.
	OutboxHard = 800 * time.Millisecond
	// OutboxInterval is for how long shards must have come out late before a backlog
	// is said to stand, and promptly before it is said to be over.
	OutboxInterval = 150 * time.Millisecond
)

// Item is one encoded shard on its way to a child.
type Item struct {
	// Data is shared with every other queue it stands in: nobody may change it.
	Data []byte
	// Expires is when the shard is no longer worth sending if a backlog stands. The
	// caller sets it, by default 150 ms after the shard came: what waits longer is
	// better pulled from elsewhere than queued here.
	Expires time.Time
	// Until is when to give the shard up, not before Expires. Pop sets it.
	Until time.Time

	pushed time.Time
}

// Outbox is the queue of one child, first in first out, bounded by OutboxLimit and
// by how long an item may wait. The zero value is empty and ready. It belongs to one
// goroutine at a time.
//
// How long that is depends on why it waits, as in CoDel (RFC 8289). A path that
// carries less than it is given builds a backlog that stands: every shard waits, and
// a longer wait only makes every shard later. (At 10 % loss over four connections
// 150 ms brought 87 % of blocks in time, 500 ms 43 %.) Then Expires counts. A process
// or path that stood still for a moment leaves a backlog that is sent at once when it
// goes on, and dropping that would lose blocks for nothing. Then OutboxHard counts.
// The difference shows where shards come out: after a standstill they come out late
// until the backlog is gone, and from a standing one for longer than OutboxInterval.
// It is over when they have come out promptly for as long.
type Outbox struct {
	ring     []Item // allocated at the first Push
	head     int    // of the oldest
	n        int
	dropped  uint64
	late     time.Time // since when every item came out late; zero = the last did not
	prompt   time.Time // since when every item came out promptly, while standing
	standing bool      // there is a standing backlog
}

// Push appends an item. An item that has expired is dropped, and so is the
// oldest one when the outbox is full.
func (o *Outbox) Push(now time.Time, item Item) {
	if !item.Expires.After(now) {
		o.dropped++
		return
	}
	if o.ring == nil {
		o.ring = make([]Item, OutboxLimit)
	}
	if o.n == OutboxLimit {
		o.take()
		o.dropped++
	}
	item.pushed = now
	o.ring[(o.head+o.n)%OutboxLimit] = item
	o.n++
}

// Pop takes the oldest item that is worth sending, and drops those before it.
func (o *Outbox) Pop(now time.Time) (Item, bool) {
	if o.n == 0 {
		o.onTime(now)
	}
	for o.n > 0 {
		item := o.take()
		o.judge(now, item)
		item.Until = item.Expires
		if hard := item.pushed.Add(OutboxHard); !o.standing && hard.After(item.Until) {
			item.Until = hard
		}
		if item.Until.After(now) {
			return item, true
		}
		o.dropped++
	}
	return Item{}, false
}

// judge learns from an item that was just taken.
func (o *Outbox) judge(now time.Time, item Item) {
	switch {
	case !item.Expires.After(now) && o.n > 0:
		o.prompt = time.Time{}
		if o.late.IsZero() {
			o.late = now
		}
		if now.Sub(o.late) >= OutboxInterval {
			o.standing = true
		}
	case o.standing && now.Sub(item.pushed) >= OutboxInterval/4:
		o.prompt = time.Time{}
	default:
		o.onTime(now)
	}
}

// onTime notes that nothing waits, or not for long.
func (o *Outbox) onTime(now time.Time) {
	o.late = time.Time{}
	if !o.standing {
		return
	}
	if o.prompt.IsZero() {
		o.prompt = now
	}
	if now.Sub(o.prompt) >= OutboxInterval {
		o.standing, o.prompt = false, time.Time{}
	}
}

// Len is how many items wait, some of which Pop may drop.
func (o *Outbox) Len() int { return o.n }

// Dropped is how many items were dropped since the beginning.
func (o *Outbox) Dropped() uint64 { return o.dropped }

func (o *Outbox) take() Item {
	item := o.ring[o.head]
	o.ring[o.head] = Item{} // let go of Data
	o.head = (o.head + 1) % OutboxLimit
	o.n--
	return item
}
