package quicnet

import (
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/stripecast/stripecast/membership"
)

// deaf is a socket that can be told to hear nothing from some nodes and to send
// them nothing: to this node it is then as if they had crashed, and to them as if
// it had. It knows them by the addresses at which they are seen or dialled. The
// nil deaf hears everybody.
type deaf struct {
	net.PacketConn

	mu sync.RWMutex
	// owned by mu
	ids []membership.NodeID
	at  map[netip.AddrPort]bool
}

// Deafen makes this node hear nothing from the given nodes and send them nothing,
// whatever connections there are or come about, until Hear. The Config must have
// said Deafens.
func (n *Net) Deafen(ids []membership.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deaf.mu.Lock()
	defer n.deaf.mu.Unlock()
	n.deaf.ids = append(n.deaf.ids, ids...)
	for _, p := range n.sorted() {
		if !slices.Contains(ids, p.id) {
			continue
		}
		n.deaf.ignore([]string{p.via})
		for _, l := range p.lanes {
			n.deaf.ignoreAddr(l.remote)
			n.deaf.ignoreAddr(l.at())
		}
	}
	for d := range n.dials {
		if slices.Contains(ids, d.want) {
			n.deaf.ignore(d.addrs)
		}
	}
}

// Hear ends what Deafen began. Connections to those nodes that still stand end
// first, without a word to them: they are as old as a crash. It blocks until that
// is done; the host must go on reading Events.
func (n *Net) Hear() {
	var ending []*peer
	n.mu.Lock()
	for _, id := range n.deaf.nodes() {
		if p := n.peers[id]; p != nil {
			n.endLocked(p, codeBye, "it was not heard")
			ending = append(ending, p)
		}
	}
	n.mu.Unlock()
	for _, p := range ending {
		<-p.gone
	}
	n.deaf.mu.Lock()
	defer n.deaf.mu.Unlock()
	n.deaf.ids = nil
	clear(n.deaf.at)
}

func (d *deaf) nodes() []membership.NodeID {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.ids)
}

// dialled notes where a node is about to be dialled.
func (d *deaf) dialled(id membership.NodeID, addrs []string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.ids, id) {
		d.ignore(addrs)
	}
}

// met notes where a node is, and reports whether it is one of those not heard.
func (d *deaf) met(id membership.NodeID, at netip.AddrPort) bool {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	to := slices.Contains(d.ids, id)
	if to {
		d.ignoreAddr(at)
	}
	return to
}

// ignore takes addresses as they were given; names are known by who answers
// there. The caller holds mu.
func (d *deaf) ignore(addrs []string) {
	for _, a := range addrs {
		if at, err := netip.ParseAddrPort(a); err == nil {
			d.ignoreAddr(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
		}
	}
}

func (d *deaf) ignoreAddr(at netip.AddrPort) {
	if len(d.at) < maxDeaf {
		d.at[at] = true
	}
}

func (d *deaf) to(a net.Addr) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.at) > 0 && d.at[addrPort(a)]
}

// ReadFrom reads what comes from those who are heard.
func (d *deaf) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.PacketConn.ReadFrom(b)
		if err != nil || !d.to(from) {
			return n, from, err
		}
	}
}

// WriteTo loses what is for the others.
func (d *deaf) WriteTo(b []byte, to net.Addr) (int, error) {
	if d.to(to) {
		return len(b), nil
	}
	return d.PacketConn.WriteTo(b, to)
}

// SetReadBuffer asks for so many bytes, if the socket can.
func (d *deaf) SetReadBuffer(bytes int) error {
	if s, ok := d.PacketConn.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(bytes)
	}
	return nil
}

// SetWriteBuffer asks for so many bytes, if the socket can.
func (d *deaf) SetWriteBuffer(bytes int) error {
	if s, ok := d.PacketConn.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(bytes)
	}
	return nil
}
