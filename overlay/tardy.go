package overlay

import "time"

// A parent that is short of processor or uplink may go on sending, but everything
// too late; silence does not show that. So each stripe is compared with the first
// on which a block came. One that is behind, block after block, by more than half
// of what viewers wait is as good as silent.

// arrival is when a block was first seen on any stripe.
type arrival struct {
	number uint64
	at     time.Time
}

// lag is how long after the first stripe a block came on another; 0 if that is
// not known any more.
func (f *Forest) lag(now time.Time, number uint64) time.Duration {
	if a := f.arrivals[number%arrivalSpan]; a.number == number && !a.at.IsZero() {
		return now.Sub(a.at)
	}
	return 0
}

// silence is for how long a stripe has been behind others.
func (f *Forest) silence(now time.Time, b *branch) time.Duration {
	if b.late.IsZero() {
		return 0
	}
	return now.Sub(b.late)
}

// judge counts the blocks with which a parent was late, one after the other; one
// in time takes back two. What was missed while there was no parent comes late, and
// says nothing about the new one.
func (f *Forest) judge(now time.Time, b *branch, number uint64) {
	if f.cfg.Source || number < b.last || now.Sub(b.since) < resumeTime {
		return
	}
	lag := f.lag(now, number)
	b.lag += (lag - b.lag) / lagParts
	b.habit.add(max(lag, f.silence(now, b)))
	if lag >= max(2*f.patience(b), f.cfg.Back/2) {
		b.tardy++
	} else {
		b.tardy = max(0, b.tardy-2)
	}
}
