package gossip

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// bucket is a rate with a burst. Its zero value is full.
type bucket struct {
	used float64
	last time.Time
}

// take takes n at once, or nothing.
func (b *bucket) take(now time.Time, n, rate, burst float64) bool {
	b.used = max(0, b.used-rate*now.Sub(b.last).Seconds())
	b.last = now
	if b.used+n > burst {
		return false
	}
	b.used += n
	return true
}

// accusations are who has accused one node lately, the longest ago first.
type accusations []accusation

type accusation struct {
	by          membership.NodeID
	incarnation uint32
	at          time.Time
}

// take takes an accusation unless its peer has accused the node in an earlier
// incarnation within every. Saying the same again costs nothing: memberlist does.
func (a *accusations) take(now time.Time, by membership.NodeID, inc uint32, every time.Duration) error {
	i := slices.IndexFunc(*a, func(old accusation) bool { return old.by == by })
	if i >= 0 {
		old := (*a)[i]
		if inc <= old.incarnation {
			return nil
		}
		if now.Sub(old.at) < every {
			return refuse(TooFast)
		}
		*a = slices.Delete(*a, i, i+1)
	} else if len(*a) >= MaxAccusers {
		*a = slices.Delete(*a, 0, 1)
	}
	*a = append(*a, accusation{by, inc, now})
	return nil
}

// peer is what is counted of one QUIC peer.
type peer struct {
	messages, records, streams bucket
	seen                       time.Time
}

// peer returns the counts of a node, or nil if there is no room for them.
func (g *guard) peer(now time.Time, id membership.NodeID) *peer {
	p := g.peers[id]
	if p == nil {
		if len(g.peers) >= MaxPeers {
			g.forgetPeers(now)
		}
		if len(g.peers) >= MaxPeers {
			return nil
		}
		p = &peer{}
		g.peers[id] = p
	}
	p.seen = now
	return p
}

// forgetPeers forgets who was idle for PeerIdle; all of its buckets are full
// again by then.
func (g *guard) forgetPeers(now time.Time) {
	if now.Sub(g.swept) < time.Second {
		return
	}
	g.swept = now
	for id, p := range g.peers {
		if now.Sub(p.seen) >= PeerIdle {
			delete(g.peers, id)
		}
	}
}
