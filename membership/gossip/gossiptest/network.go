// Package gossiptest is an in-memory network of authenticated peers for tests of
// membership/gossip. It keeps to the clock of a testing/synctest bubble.
package gossiptest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay/quicnet"
)

const queue = 1024 // packets that wait at a host; later ones are lost

// Network joins hosts. A packet and the opening of a stream take Latency, which
// is set before the first host is attached.
type Network struct {
	Latency time.Duration

	mu    sync.Mutex
	loss  float64
	hosts map[membership.NodeID]*Host
}

// SetLoss makes the network lose this fraction of the packets.
func (n *Network) SetLoss(fraction float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loss = fraction
}

// Host is one participant's end of the network: its gossip.Carrier.
type Host struct {
	net     *Network
	id      membership.NodeID
	addr    netip.AddrPort
	packets chan quicnet.Packet
	streams chan quicnet.Stream

	// guarded by net.mu
	conns []net.Conn
}

// Attach adds a host. A host with the same ID is replaced.
func (n *Network) Attach(id membership.NodeID, addr netip.AddrPort) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = make(map[membership.NodeID]*Host)
	}
	h := &Host{
		net: n, id: id, addr: addr,
		packets: make(chan quicnet.Packet, queue), streams: make(chan quicnet.Stream, queue),
	}
	n.hosts[id] = h
	return h
}

// Detach cuts the host off: what it sends and is sent vanishes.
func (h *Host) Detach() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.hosts[h.id] == h {
		delete(h.net.hosts, h.id)
	}
	for _, c := range h.conns {
		c.Close()
	}
}

// find returns the host with the ID or, if that is zero, the address.
func (n *Network) find(id membership.NodeID, addr string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !id.IsZero() {
		return n.hosts[id]
	}
	for _, h := range n.hosts {
		if h.addr.String() == addr {
			return h
		}
	}
	return nil
}

// SendPacket is gossip.Carrier's.
func (h *Host) SendPacket(peer membership.NodeID, addr string, b []byte) error {
	if len(b) > quicnet.MaxPacket {
		return errors.New("gossiptest: packet too long")
	}
	h.net.mu.Lock()
	lost := h.net.hosts[h.id] != h || rand.Float64() < h.net.loss
	h.net.mu.Unlock()
	if lost {
		return nil
	}
	p := quicnet.Packet{From: h.id, Addr: h.addr, Bytes: bytes.Clone(b)}
	time.AfterFunc(h.net.Latency, func() {
		if to := h.net.find(peer, ""); to != nil {
			select {
			case to.packets <- p:
			default:
			}
		}
	})
	return nil
}

// OpenStream is gossip.Carrier's. An absent host is silent until the context ends.
func (h *Host) OpenStream(ctx context.Context, peer membership.NodeID, addr string) (net.Conn, membership.NodeID, error) {
	select {
	case <-time.After(h.net.Latency):
	case <-ctx.Done():
		return nil, membership.NodeID{}, ctx.Err()
	}
	to := h.net.find(peer, addr)
	if to == nil || h.net.find(h.id, "") != h {
		<-ctx.Done()
		return nil, membership.NodeID{}, ctx.Err()
	}
	near, far := net.Pipe()
	h.net.mu.Lock()
	h.conns = append(h.conns, near)
	to.conns = append(to.conns, far)
	h.net.mu.Unlock()
	select {
	case to.streams <- quicnet.Stream{From: h.id, Addr: h.addr, Conn: far}:
	default:
		far.Close()
	}
	return near, to.id, nil
}

// Packets is gossip.Carrier's.
func (h *Host) Packets() <-chan quicnet.Packet { return h.packets }

// Streams is gossip.Carrier's.
func (h *Host) Streams() <-chan quicnet.Stream { return h.streams }
