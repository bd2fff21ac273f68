package quicnet

import (
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// Stats is what the transport has done since Open.
type Stats struct {
	// In and Out are bytes on the wire: QUIC packets with their UDP and IP
	// headers, of connections that came about.
	In, Out uint64
	Peers   int // connected now
	Lanes   int // connections of theirs

	Handshakes        uint64 // that led to a connection, either way
	HandshakesFailed  uint64 // that others began
	HandshakesRefused uint64 // for a limit, before they began

	ShardsIn       uint64 // given to the host
	ShardsOut      uint64 // given to QUIC whole
	ShardsDropped  uint64 // not given to QUIC whole: expired, overtaken, peer gone
	ShardsLate     uint64 // of ShardsOut, given up because they may not have arrived
	ShardsReset    uint64 // that a sender has given up
	StreamsRefused uint64 // unknown, too slow, or no room
	PacketsDropped uint64 // gossip packets, either way
	Panics         uint64
}

// PeerStat is the state of one peer.
type PeerStat struct {
	ID        membership.NodeID
	Addr      netip.AddrPort
	RTT       time.Duration // smoothed
	RTTVar    time.Duration
	Lanes     int
	In, Out   uint64 // bytes on the wire
	Queued    int    // shards
	Dropped   uint64 // shards
	Connected time.Time
}

// traffic is bytes on the wire.
type traffic struct{ in, out uint64 }

func (t *traffic) add(other traffic) {
	t.in += other.in
	t.out += other.out
}

// headers is what IP and UDP add to each packet of a lane, in bytes.
func (l *lane) headers() uint64 {
	if l.remote.Addr().Is6() {
		return 48
	}
	return 28
}

// traffic is what a lane has carried so far.
func (l *lane) traffic() traffic {
	headers := l.headers()
	st := l.conn.ConnectionStats()
	return traffic{
		in:  st.BytesReceived + headers*st.PacketsReceived,
		out: st.BytesSent + headers*st.PacketsSent,
	}
}

// traffic is what a peer's lanes have carried, gone ones too. The caller holds
// net.mu.
func (p *peer) traffic() traffic {
	t := p.past
	for _, l := range p.lanes {
		t.add(l.traffic())
	}
	return t
}

// Peers is the connected peers, sorted by ID.
func (n *Net) Peers() []PeerStat {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []PeerStat
	for _, p := range n.sorted() {
		if len(p.lanes) == 0 {
			continue
		}
		t, first := p.traffic(), p.lanes[0].conn.ConnectionStats()
		p.mu.Lock()
		queued := p.out.Len()
		p.mu.Unlock()
		out = append(out, PeerStat{
			ID: p.id, Addr: p.lanes[0].at(), Lanes: len(p.lanes),
			RTT: first.SmoothedRTT, RTTVar: first.MeanDeviation,
			In: t.in, Out: t.out,
			Queued: queued, Dropped: p.dropped(), Connected: p.since,
		})
	}
	return out
}

// Stats is the sum over all peers, gone ones too.
func (n *Net) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	t := n.past
	s := Stats{
		ShardsDropped:  n.shed,
		Handshakes:     n.count.handshakes.Load(),
		ShardsIn:       n.count.shardsIn.Load(),
		ShardsOut:      n.count.shardsOut.Load(),
		ShardsLate:     n.count.shardsLate.Load(),
		ShardsReset:    n.count.shardsReset.Load(),
		StreamsRefused: n.count.streamsRefused.Load(),
		PacketsDropped: n.count.packetsDropped.Load(),
		Panics:         n.count.panics.Load(),
	}
	for _, p := range n.peers {
		s.ShardsDropped += p.dropped()
		for _, l := range p.lanes {
			t.add(l.traffic())
			s.Lanes++
		}
		if !p.ending {
			s.Peers++
		}
	}
	s.In, s.Out = t.in, t.out
	n.gate.mu.Lock()
	s.HandshakesFailed, s.HandshakesRefused = n.gate.failed, n.gate.refused
	n.gate.mu.Unlock()
	return s
}
