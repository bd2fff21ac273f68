//go:build linux

package netns

import (
	"fmt"
	"strings"
	"testing"
)

// network is namespaces around the router, in which the test itself is.
type network struct {
	t     testing.TB
	hosts []*host
}

// host is one of them.
type host struct {
	name string // of the namespace
	port string // the router's end of its link
	ip   string
}

// newNetwork makes a namespace for each name. They go when the test ends.
func newNetwork(t testing.TB, names ...string) *network {
	t.Helper()
	n := &network{t: t}
	t.Cleanup(n.remove)
	mustRun(t, "table ip faults { chain forward { type filter hook forward priority 0; policy accept; }\n}\n", "nft", "-f", "-")
	var batch strings.Builder
	for i, name := range names {
		h := &host{name: name, port: fmt.Sprintf("port%d", i+1), ip: fmt.Sprintf("10.77.%d.2", i+1)}
		n.hosts = append(n.hosts, h)
		// QUIC hands the kernel bundles of packets. They are taken apart at the first
		// link, so that it loses and delays packets and not bundles.
		fmt.Fprintf(&batch, "netns add %s\n", name)
		fmt.Fprintf(&batch, "link add %s gso_max_segs 1 type veth peer name eth0 gso_max_segs 1 netns %s\n", h.port, name)
		fmt.Fprintf(&batch, "addr add 10.77.%d.1/24 dev %s\n", i+1, h.port)
		fmt.Fprintf(&batch, "link set %s up\n", h.port)
	}
	mustRun(t, batch.String(), "ip", "-batch", "-")
	for i, h := range n.hosts {
		mustRun(t, fmt.Sprintf("link set lo up\naddr add %s/24 dev eth0\nlink set eth0 up\nroute add default via 10.77.%d.1\n", h.ip, i+1),
			"ip", "-n", h.name, "-batch", "-")
	}
	return n
}

// remove takes the network down. Of a namespace that is still in use only the
// name goes; its processes have been killed by then.
func (n *network) remove() {
	run("", "nft", "delete", "table", "ip", "faults")
	var batch strings.Builder
	for _, h := range n.hosts {
		fmt.Fprintf(&batch, "link del %s\nnetns del %s\n", h.port, h.name)
	}
	if err := run(batch.String(), "ip", "-force", "-batch", "-"); err != nil {
		n.t.Logf("removing the network: %v", err)
	}
}

// Which way a link loses packets.
const (
	up   = "iifname" // from the host
	down = "oifname" // to the host
)

// lose makes a link drop so many percent of UDP packets in one direction, on
// their way through the router: the sender is told nothing.
func (n *network) lose(h *host, way string, percent int) {
	n.t.Helper()
	mustRun(n.t, "", "nft", "add", "rule", "ip", "faults", "forward", way, h.port,
		"meta", "l4proto", "udp", "numgen", "random", "mod", "100", "<", fmt.Sprint(percent), "drop")
}

// heal makes all links lose nothing.
func (n *network) heal() {
	n.t.Helper()
	mustRun(n.t, "", "nft", "flush", "chain", "ip", "faults", "forward")
}

// limit bounds what a host sends, headers and all, with a queue of 100 ms before
// it drops.
func (n *network) limit(h *host, bitsPerSecond float64) {
	n.t.Helper()
	mustRun(n.t, "", "tc", "-n", h.name, "qdisc", "replace", "dev", "eth0", "root", "tbf",
		"rate", fmt.Sprintf("%.0fbit", bitsPerSecond), "burst", "3000", "latency", "100ms")
}
