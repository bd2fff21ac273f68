package sim

import (
	"fmt"

	"github.com/stripecast/stripecast/relay/pull"
)

// Pulled is what pull cost and brought, all participants together.
type Pulled struct {
	pull.Counters
	Served      int    // shards sent to neighbours
	ServedBytes int    // and their bytes
	Payload     uint64 // bytes of stream that viewers rebuilt
}

// Pulled is that until now, of whoever is alive.
func (w *World) Pulled() (p Pulled) {
	for _, n := range w.nodes {
		p.Served += n.Figures.Served
		p.ServedBytes += n.Figures.ServedBytes
		if !n.alive {
			continue
		}
		for _, st := range n.Status().Streams {
			p.Asked += st.Pull.Asked
			p.Answered += st.Pull.Answered
			p.Late += st.Pull.Late
			p.Wasted += st.Pull.Wasted
			p.Spare += st.Pull.Spare
			p.Twice += st.Pull.Twice
			p.Pushed += st.Pull.Pushed
			p.Whole += st.Pull.Whole
			p.Retried += st.Pull.Retried
			p.Lacked += st.Pull.Lacked
			p.Busy += st.Pull.Busy
			p.Cancelled += st.Pull.Cancelled
			p.Missed += st.Pull.Missed
			p.Spoken += st.Pull.Spoken
			if n.player != nil {
				p.Payload += st.Counters.Payload
			}
		}
	}
	return p
}

// Less is what came since an earlier one.
func (p Pulled) Less(o Pulled) Pulled {
	p.Served -= o.Served
	p.ServedBytes -= o.ServedBytes
	p.Payload -= o.Payload
	p.Asked -= o.Asked
	p.Answered -= o.Answered
	p.Late -= o.Late
	p.Wasted -= o.Wasted
	p.Spare -= o.Spare
	p.Twice -= o.Twice
	p.Pushed -= o.Pushed
	p.Whole -= o.Whole
	p.Retried -= o.Retried
	p.Lacked -= o.Lacked
	p.Busy -= o.Busy
	p.Cancelled -= o.Cancelled
	p.Missed -= o.Missed
	p.Spoken -= o.Spoken
	return p
}

// Overhead is all that pull sent, messages and shards, as a share of the stream that
// viewers got.
func (p Pulled) Overhead() float64 {
	return (float64(p.Spoken) + float64(p.ServedBytes)) / float64(max(1, p.Payload))
}

// Needless is the share of what came because it was asked for that was not needed
// any more.
func (p Pulled) Needless() float64 {
	return float64(p.Wasted) / float64(max(1, p.Answered+p.Late))
}

// String is that for people.
func (p Pulled) String() string {
	return fmt.Sprintf("pull %.3g %% of the stream (messages %.2g %%); of %d answers %.2g %% wasted (spare %d, pushed %d, twice %d, made up for %d)",
		100*p.Overhead(), 100*float64(p.Spoken)/float64(max(1, p.Payload)), p.Answered+p.Late, 100*p.Needless(),
		p.Spare, p.Pushed, p.Twice, p.Whole)
}
