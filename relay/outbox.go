package relay

import "time"

// OutboxLimit is how many shards may wait for one child. When it is reached the
// oldest is dropped: the child is behind, and the oldest is the least worth having.
const OutboxLimit = 256

// Item is one encoded shard on its way to a child.
type Item struct {
	// Data is shared with every other queue it stands in: nobody may change it.
	Data []byte
	// Expires is when the shard is no longer worth sending. The caller sets it,
	// by default 150 ms after the shard came: what waits longer is better
	// pulled from elsewhere than queued here.
	Expires time.Time
}

// Outbox is the queue of one child, first in first out, bounded by OutboxLimit
// and by each item's expiry. The zero value is empty and ready. It belongs to
// one goroutine at a time.
type Outbox struct {
	ring    []Item // allocated at the first Push
	head    int    // of the oldest
	n       int
	dropped uint64
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
	o.ring[(o.head+o.n)%OutboxLimit] = item
	o.n++
}

// Pop takes the oldest item that has not expired, and drops those before it.
func (o *Outbox) Pop(now time.Time) (Item, bool) {
	for o.n > 0 {
		item := o.take()
		if item.Expires.After(now) {
			return item, true
		}
		o.dropped++
	}
	return Item{}, false
}

// Len is how many items wait, expired ones among them.
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
