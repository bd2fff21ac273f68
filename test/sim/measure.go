package sim

import (
	"slices"
	"time"
)

// Missed is what viewers did not see since some time.
type Missed struct {
	Viewers  int // alive, that were not left out and had a block due
	Lossless int // those that skipped none
	Skipped  int // blocks, the newcomers' of their first two seconds left out
	Due      int
	Worst    float64 // a viewer's blocks skipped, as a share of those due
	Who      *Node   // it
	Behind   int     // viewers that do not play now, though there is a stream
}

// BL is the share of blocks that were skipped.
func (m Missed) BL() float64 { return float64(m.Skipped) / float64(max(1, m.Due)) }

// Missed tells what viewers missed of the blocks whose turn came since a time, but
// for the victims.
func (w *World) Missed(since time.Duration, victims ...*Node) Missed {
	return w.MissedIn(since, w.t+1, victims...)
}

// MissedIn is Missed up to a time.
func (w *World) MissedIn(since, until time.Duration, victims ...*Node) (m Missed) {
	for _, n := range w.nodes {
		p := n.player
		if p == nil || !n.alive || slices.Contains(victims, n) {
			continue
		}
		skipped, due := 0, 0
		for _, s := range p.skips {
			if s.at >= since && s.at < until && !s.early {
				skipped += int(s.to - s.from + 1)
			}
		}
		for at, s := range p.seconds {
			if t := time.Duration(at) * time.Second; t >= since.Truncate(time.Second) && t < until {
				due += s.played
			}
		}
		due += skipped
		if w.behind(n) {
			m.Behind++
		}
		if due == 0 && !w.behind(n) {
			continue
		}
		m.Viewers++
		m.Skipped += skipped
		m.Due += due
		if skipped == 0 && !w.behind(n) {
			m.Lossless++
		}
		if share := float64(skipped) / float64(max(1, due)); share > m.Worst || m.Who == nil {
			m.Worst, m.Who = share, n
		}
	}
	return m
}

// behind reports whether a viewer plays nothing though it should.
func (w *World) behind(n *Node) bool {
	p := n.player
	return !p.ended && w.source.alive && !w.source.paused && w.source.running && (!p.started || w.t-p.last > 2*w.BlockTime)
}

// Still is the longest time since a time for which a viewer's picture stood
// still, beyond a block's own, and whose; newcomers and the victims left out.
func (w *World) Still(since time.Duration, victims ...*Node) (worst time.Duration, who *Node) {
	for _, n := range w.nodes {
		p := n.player
		if p == nil || !n.alive || !p.started || slices.Contains(victims, n) {
			continue
		}
		still := time.Duration(0)
		for _, g := range p.gaps {
			if g.to > since && !g.early {
				still = max(still, g.to-g.from-w.BlockTime)
			}
		}
		if w.behind(n) {
			still = max(still, w.t-p.last-w.BlockTime)
		}
		if still > worst {
			worst, who = still, n
		}
	}
	return worst, who
}

// Repairs are the times from a fault since some time to the first shard from
// another parent that lives, sorted.
func (w *World) Repairs(since time.Duration) (took []time.Duration) {
	for _, r := range w.audit.repairs {
		if r.at >= since {
			took = append(took, r.took)
		}
	}
	slices.Sort(took)
	return took
}

// Unrepaired is how many stripes have waited for another parent for longer.
func (w *World) Unrepaired(longer time.Duration) (count int) {
	for _, n := range w.nodes {
		for _, r := range n.repairs {
			if n.alive && !n.paused && w.t-r.since > longer {
				count++
			}
		}
	}
	return count
}

// Delays tells how long after their publishing viewers rebuilt blocks in a time.
type Delays struct {
	Mean, Max time.Duration
	Blocks    int
}

// Delays of a viewer from one time to another, by whole seconds.
func (n *Node) Delays(from, to time.Duration) (d Delays) {
	if n.player == nil {
		return d
	}
	sum := time.Duration(0)
	for at, s := range n.player.seconds {
		if t := time.Duration(at) * time.Second; t >= from && t < to {
			d.Blocks += s.rebuilt
			sum += s.ready
			d.Max = max(d.Max, s.readied)
		}
	}
	if d.Blocks > 0 {
		d.Mean = sum / time.Duration(d.Blocks)
	}
	return d
}

// Lag is the longest time from publishing to play in a time, by whole seconds.
func (n *Node) Lag(from, to time.Duration) (lag time.Duration) {
	if n.player == nil {
		return 0
	}
	for at, s := range n.player.seconds {
		if t := time.Duration(at) * time.Second; t >= from && t < to {
			lag = max(lag, s.lag)
		}
	}
	return lag
}

// Traffic is what all participants sent until now.
type Traffic struct {
	Shards, ShardBytes     int
	Messages, MessageBytes int
	GossipBytes            int // of records, each time that a member heard one
	Dropped                int // shards that waited too long for a child
}

// Traffic until now.
func (w *World) Traffic() (t Traffic) {
	for _, n := range w.nodes {
		f := &n.Figures
		t.Shards += f.Forwards
		t.ShardBytes += f.ForwardBytes
		t.Messages += f.Messages
		t.MessageBytes += f.MessageBytes
		t.Dropped += f.Dropped
	}
	t.GossipBytes = w.gossip.bytes
	return t
}

// Less is the traffic since an earlier one.
func (t Traffic) Less(o Traffic) Traffic {
	return Traffic{
		t.Shards - o.Shards, t.ShardBytes - o.ShardBytes, t.Messages - o.Messages,
		t.MessageBytes - o.MessageBytes, t.GossipBytes - o.GossipBytes, t.Dropped - o.Dropped,
	}
}

// Control is messages and gossip as a share of the shards.
func (t Traffic) Control() float64 {
	return float64(t.MessageBytes+t.GossipBytes) / float64(max(1, t.ShardBytes))
}

// Egress is what the source sent of the blocks it made in a time.
type Egress struct {
	Blocks int
	Shards float64 // of a block, in the mean
	Max    int     // of one block
	Rate   float64 // bytes sent, as a multiple of the stream's
}

// Egress of the blocks made from one time to another. Those made in the last
// second may still be on their way, and are left out.
func (w *World) Egress(from, to time.Duration) (e Egress) {
	shards, sent, payload := 0, 0, 0
	for epoch := uint32(1); epoch <= w.source.epoch; epoch++ {
		for i := uint64(0); ; i++ {
			m := w.source.truth[blockID{epoch, i}]
			if m == nil {
				break
			}
			if m.at >= from && m.at < min(to, w.t-time.Second) {
				e.Blocks++
				shards += m.sent
				sent += m.sentBytes
				payload += len(m.data)
				e.Max = max(e.Max, m.sent)
			}
		}
	}
	if e.Blocks > 0 {
		e.Shards = float64(shards) / float64(e.Blocks)
		e.Rate = float64(sent) / float64(payload)
	}
	return e
}

// QueueMax is the most bytes that ever waited for a node's children.
func (n *Node) QueueMax() int { return n.Figures.QueueMax }
