package relay

import (
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// This file is the inputs and outputs about the past of a stream: what the
// participant's store holds, and what is fetched for whoever wants to see it again.

// Carry: our store holds something of the stream of this signed info. It is carried
// again, so that others can learn of it and pull what there is, unless a later run of
// its source is known, or there is no room. To be said again now and then, for there may
// be room later.
type Carry struct {
	Info   []byte
	Blocks uint64 // how many the store has something of
}

// Stored: what our store holds of a stream, in place of what was told before.
type Stored struct {
	Stream    stripe.ID
	Epoch     uint32
	Stretches []Stretch // ascending; of more than MaxStretches the newest count
}

// Stretch is a run of blocks, both ends included. A few may be missing.
type Stretch struct {
	First, Last uint64
	Stripes     uint64 // of most blocks at least these shards are there
}

// Fetch: pull the blocks from one number to another, both included, in place of what
// was fetched before; if From is where that has got to, it goes on. For each there
// will be a Recovered or an Absent, in no certain order, unless another Fetch or a
// StopFetch comes first. Only with Config.Play.
type Fetch struct {
	Stream     stripe.ID
	From, Upto uint64
	Pace       time.Duration // the least time between two blocks, on average
	Ahead      int           // how many are fetched at a time, at most pull.MaxAhead
	Headers    bool          // one shard of each will do: Found comes in place of Recovered
}

// StopFetch ends it.
type StopFetch struct{ Stream stripe.ID }

// Lost: what a Recall asked for is not in the store, or there is no time to look.
type Lost struct {
	Recall
	Busy bool
}

// Larger: a shard that was recalled had so many bytes more than were paid for.
type Larger struct{ Bytes int }

func (Carry) input()     {}
func (Larger) input()    {}
func (Stored) input()    {}
func (Fetch) input()     {}
func (StopFetch) input() {}
func (Lost) input()      {}

// Recall: read a shard from the store and send it to a neighbour who asked for it,
// unless it would go after Expires; if it is not there, hand back Lost.
type Recall struct {
	Peer    membership.NodeID
	Stream  stripe.ID
	Epoch   uint32
	Number  uint64
	Stripe  int
	Expires time.Time
	Paid    int // bytes; hand back Larger if it has more
}

// Recovered: a block of the past was fetched.
type Recovered struct {
	Header stripe.Header
	Data   []byte
}

// Found: the header of a block of the past was fetched.
type Found struct{ Header stripe.Header }

// Absent: nobody has enough of a block of the past.
type Absent struct {
	Stream stripe.ID
	Epoch  uint32
	Number uint64
}

func (Recall) output()    {}
func (Recovered) output() {}
func (Found) output()     {}
func (Absent) output()    {}
