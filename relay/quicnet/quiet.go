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
	at       time.Time // when that last grew
	sent     uint64    // packets, then
}

// Quiet returns the peers to which packets were sent, and none came, for
// quietAfter; in the order of their IDs. It looks only when it is called, which
// should be a few times in that time.
func (n *Net) Quiet(now time.Time) (quiet []membership.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.sorted() {
		var sent, received uint64
		for _, l := range p.lanes {
			st := l.conn.ConnectionStats()
			sent += st.PacketsSent
			received += st.PacketsReceived
		}
		if h := &p.hearing; received != h.received || sent < h.sent {
			*h = hearing{received, now, sent}
		} else if sent > h.sent && now.Sub(h.at) >= quietAfter {
			quiet = append(quiet, p.id)
		}
	}
	return quiet
}
