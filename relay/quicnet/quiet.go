package quicnet

import (
	"time"

	"github.com/stripecast/stripecast/membership"
)

// A peer that is fed acknowledges what it gets, several times a second. One that
// died, or cannot be reached, does so no more, long before its connections end for
// idleness.

// hearing is what Quiet knows of a peer.
type hearing struct {
	received uint64    // packets
	sent     uint64    // packets, when that last grew
	since    time.Time // when more were first seen to be sent; zero if none were
}

// Quiet returns the peers to which packets were sent, and none came for quietAfter
// and two round trips; in the order of their IDs. It looks only when it is called,
// which should be a few times in that time.
func (n *Net) Quiet(now time.Time) (quiet []membership.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.sorted() {
		if len(p.lanes) == 0 {
			continue
		}
		var sent, received uint64
		patience := time.Duration(quietAfter)
		for i, l := range p.lanes {
			st := l.conn.ConnectionStats()
			if i == 0 {
				patience += 2 * st.SmoothedRTT
			}
			sent += st.PacketsSent
			received += st.PacketsReceived
		}
		switch h := &p.hearing; {
		case received != h.received || sent < h.sent:
			*h = hearing{received: received, sent: sent}
		case sent > h.sent && h.since.IsZero():
			h.since = now
		case sent > h.sent && now.Sub(h.since) >= patience:
			quiet = append(quiet, p.id)
		}
	}
	return quiet
}
