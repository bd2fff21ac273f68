package overlay

import (
	"net/netip"
	"slices"

	"github.com/stripecast/stripecast/membership"
)

// Whoever runs many relays in one network must not stand between a viewer and
// more of its stripes than it can miss. Once there is a choice, a quarter of the
// stripes, and two parents, are taken from one network at the most.

// NetworkOf is what one operator most likely has: a /24 of IPv4, a /48 of IPv6, of
// the first address that a record names. Loopback is no network: ok is false.
func NetworkOf(e *membership.Entry) (network netip.Prefix, ok bool) {
	if len(e.Addrs) == 0 {
		return network, false
	}
	addr := e.Addrs[0].Addr().Unmap()
	if addr.IsLoopback() {
		return network, false
	}
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.Prefix(bits)
	return network, err == nil
}

// crowded reports whether a node's network would feed us too much if the node fed
// us this stripe.
func (f *Forest) crowded(b *branch, e *membership.Entry) bool {
	network, ok := NetworkOf(e)
	if !ok || f.networks < manyNetworks {
		return false
	}
	stripes := 0
	parents := make([]membership.NodeID, 0, parentsPerNetwork)
	for _, other := range f.branches {
		if other == b || other.network != network || other.parent.IsZero() {
			continue
		}
		stripes++
		if other.parent != e.Node && len(parents) < parentsPerNetwork && !slices.Contains(parents, other.parent) {
			parents = append(parents, other.parent)
		}
	}
	return stripes >= max(1, len(f.branches)/stripesPerNetwork) || len(parents) >= parentsPerNetwork && !f.fedBy(e.Node)
}

// fedBy reports whether a node feeds us in any stripe.
func (f *Forest) fedBy(id membership.NodeID) bool {
	return slices.ContainsFunc(f.branches, func(b *branch) bool { return b.parent == id })
}
