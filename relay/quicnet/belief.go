package quicnet

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// belief is what a participant makes of its uplink. It is pure: told what was
// measured and how sending goes, it says what the cap is and when to measure.
//
// What is known of an uplink is only what it has carried, so there are two sources.
//
// A probe (probe.go) fills the uplink for up to two seconds and sees what comes
// through. It is the one way to learn of room that is not used, and it delays what
// is sent meanwhile; so there is one soon after the first peer, when there are few
// children if any, and then only if the cap is in use, rarely.
//
// Between probes sending itself tells whether the estimate is too high. The uplink
// is the one thing that the ways to all children share: if round trips to most of
// them have grown by queueRise, a queue stands in front of it. So does it if shards
// for most of them are shed though less is sent than the cap. Then a tenth is taken
// off, and again while that lasts. A queue of somebody else's looks the same and is
// not moved by that; so after maxCuts it is measured again, whichever way it goes.
//
// The cap is uplinkShare of the estimate: a fifth is for whoever else lives behind
// the uplink, and for being wrong. A source that needs more for its stream takes up
// to uplinkMost, for with less nobody has anything.
type belief struct {
	start float64 // cap until it is measured
	least float64 // what is to be sent if the uplink can

	bps  float64 // estimate; 0 = none yet
	near bool    // it is of the way to peers near by only

	probedAt time.Time
	probeAt  time.Time     // of the first, or of another try; zero = none is planned
	retry    time.Duration // after the next probe that fails
	again    time.Duration // after the last one that did not

	use       float64   // bits a second sent, over the last seconds
	busySince time.Time // since when the cap is in use; zero = it is not
	badSince  time.Time // since when a queue stands; zero = none does
	cutAt     time.Time
	cuts      int
	base      map[membership.NodeID]time.Duration // least round trips of those we feed
}

// load is how sending goes, since the last one.
type load struct {
	used  float64 // bits a second on the wire
	peers []peerLoad
	any   bool // there are peers
	far   bool // and one of them is not near by
}

// peerLoad is how sending goes to one peer that we feed.
type peerLoad struct {
	id    membership.NodeID
	rtt   time.Duration
	least time.Duration // that there ever was
	shed  bool          // a good part of its shards was not sent
}

func newBelief(start, least float64) *belief {
	return &belief{start: start, least: least, retry: probeRetry, again: probeAgain}
}

// upload is the cap, in bits a second.
func (b *belief) upload() float64 {
	if b.bps == 0 {
		return b.start
	}
	return max(uplinkShare*b.bps, min(uplinkMost*b.bps, b.least))
}

// probed takes the result of a probe; false if it had none.
func (b *belief) probed(now time.Time, bps float64, near, ok bool) {
	b.probedAt, b.probeAt = now, time.Time{}
	if b.cuts == maxCuts {
		// The ways may have become longer: what they are now is what they are.
		for id := range b.base {
			b.base[id] = idleTimeout
		}
	}
	b.badSince, b.busySince, b.cuts = time.Time{}, time.Time{}, 0
	if !ok {
		b.probeAt = now.Add(b.retry)
		b.retry = min(2*b.retry, probeRetryTo)
		return
	}
	b.retry = probeRetry
	bps = min(max(bps, minUplink), maxUplink)
	if b.bps != 0 && bps < 1.1*b.bps {
		b.again = min(2*b.again, probeAgainTo)
	} else {
		b.again = probeAgain
	}
	b.bps, b.near = bps, near
}

// due reports whether to probe now.
func (b *belief) due(now time.Time) bool {
	if !b.probeAt.IsZero() {
		return !now.Before(b.probeAt)
	}
	return b.bps != 0 && !b.busySince.IsZero() && now.Sub(b.busySince) >= busyTime && now.Sub(b.probedAt) >= b.again
}

// observe learns from how sending goes.
func (b *belief) observe(now time.Time, l load) {
	if b.bps == 0 {
		if l.any && b.probeAt.IsZero() {
			b.probeAt = now.Add(probeAfter)
		}
		return
	}
	if b.near && l.far && b.probeAt.IsZero() {
		b.probeAt = b.probedAt.Add(probeRetry)
	}
	const weight = 0.1
	b.use += weight * (l.used - b.use)
	switch {
	case b.use < uplinkShare*b.upload():
		b.busySince = time.Time{}
	case b.busySince.IsZero():
		b.busySince = now
	}
	if !b.burdened(l) {
		b.badSince = time.Time{}
		if now.Sub(b.cutAt) > cutMemory {
			b.cuts = 0
		}
		return
	}
	if b.badSince.IsZero() {
		b.badSince = now
	}
	if now.Sub(b.badSince) < queueTime || now.Sub(b.cutAt) < cutPause {
		return
	}
	if b.cuts == maxCuts {
		if b.probeAt.IsZero() {
			b.probeAt = b.probedAt.Add(probeRetry)
		}
		return
	}
	b.cuts++
	b.cutAt = now
	b.bps = max(0.9*b.bps, minUplink)
}

// burdened reports whether most of those that we feed show a queue in front of the
// uplink.
func (b *belief) burdened(l load) bool {
	queued, shed := 0, 0
	base := make(map[membership.NodeID]time.Duration, len(l.peers))
	for _, p := range l.peers {
		least, known := b.base[p.id]
		if !known {
			least = p.least
		}
		least = min(least, p.rtt)
		base[p.id] = least
		if p.rtt-least > queueRise {
			queued++
		}
		if p.shed {
			shed++
		}
	}
	b.base = base
	return 2*queued > len(l.peers) || 2*shed > len(l.peers) && l.used < 0.9*b.upload()
}

// train is what the lanes of one probe have done, moment by moment.
type train struct{ moments []moment }

// moment is one look at all lanes, always the same in the same order.
type moment struct {
	at    time.Time
	lanes []laneCount
}

// laneCount is what one lane has done so far.
type laneCount struct {
	sent, lost uint64        // bytes on the wire
	heard      uint64        // packets that came, acknowledgements among them
	rtt        time.Duration // of the packet that was acknowledged last
	base       time.Duration // the least there was
	sending    bool          // padding
}

func (t *train) add(m moment) { t.moments = append(t.moments, m) }

// carried is how many bytes had come through by moment i. What a lane's latest
// acknowledgement is for was sent a round trip before; all that had been sent by
// then has come, or is known to be lost. So what stands in queues is not counted,
// however they grow or shrink meanwhile.
func (t *train) carried(i int) (bytes float64) {
	for k, l := range t.moments[i].lanes {
		// While nothing is heard nothing is known to come through.
		at := i
		for at > 0 && l.rtt > 0 && t.moments[at-1].lanes[k].heard == l.heard {
			at--
		}
		bytes += t.sent(k, at, t.moments[at].at.Add(-l.rtt)) - float64(l.lost)
	}
	return bytes
}

// sent is what lane k had sent at a time before moment i, between two moments by
// their proportion.
func (t *train) sent(k, i int, at time.Time) float64 {
	for ; i > 0; i-- {
		a, b := t.moments[i-1], t.moments[i]
		if !a.at.After(at) {
			part := min(1, float64(at.Sub(a.at))/float64(max(1, b.at.Sub(a.at))))
			from, to := float64(a.lanes[k].sent), float64(b.lanes[k].sent)
			return from + part*(to-from)
		}
	}
	return float64(t.moments[0].lanes[k].sent)
}

// rate is what came through in a second over the best stretch of probeSpan and
// probeEnough bytes, or of half of a train that has less: at the beginning QUIC feels
// its way, and after each loss NewReno sends less than it could. Once the uplink is
// full only what comes then counts. False means that hardly anything came.
func (t *train) rate() (bps float64, ok bool) {
	last := len(t.moments) - 1
	if last < 1 {
		return 0, false
	}
	from := t.full()
	if from < 0 || t.moments[last].at.Sub(t.moments[from].at) < probeSpan {
		from = 0
	}
	carried := make([]float64, last+1)
	for i := from; i <= last; i++ {
		carried[i] = t.carried(i)
	}
	over := func(i, j int) (came float64, d time.Duration) {
		return carried[j] - carried[i], t.moments[j].at.Sub(t.moments[i].at)
	}
	came, d := over(from, last)
	if d <= 0 || came < probeLeast {
		return 0, false
	}
	span, enough := min(probeSpan, d/2), min(probeEnough, came/2)
	for i, j := from, from+1; j <= last; j++ {
		for ; i < j; i++ {
			if came, d = over(i, j); d < span || came < enough {
				break
			}
			bps = max(bps, came*8/d.Seconds())
		}
	}
	return bps, bps > 0
}

// full is the first moment at which the uplink is full: half of the lanes that send,
// or more, have round trips that are longer than they need be. -1 if there is none.
func (t *train) full() int {
	return slices.IndexFunc(t.moments, func(m moment) bool {
		sending, waiting := 0, 0
		for _, l := range m.lanes {
			if l.sending {
				sending++
				if l.rtt-l.base > probeQueue {
					waiting++
				}
			}
		}
		return sending > 0 && 2*waiting >= sending
	})
}

// enough reports whether the uplink has been full for long enough.
func (t *train) enough() bool {
	from, last := t.full(), len(t.moments)-1
	return from >= 0 && t.moments[last].at.Sub(t.moments[from].at) >= probeWindow &&
		t.carried(last)-t.carried(from) >= 2*probeEnough
}
