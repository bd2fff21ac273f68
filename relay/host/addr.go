package host

import (
	"fmt"
	"net"
	"net/netip"
)

// advertised decides where others reach a node that listens on listen: what the
// user says; else the address it listens on; else, listening on all, the address
// from which it would reach the pool; else the first global one of the machine;
// else loopback. The port is 0 if the system will choose it.
func advertised(listen, say string, join []string) (netip.AddrPort, error) {
	if say != "" {
		a, err := net.ResolveUDPAddr("udp", say)
		if err != nil || a.Port == 0 || a.IP == nil || a.IP.IsUnspecified() {
			return netip.AddrPort{}, fmt.Errorf("advertise %q: want host:port that others can reach", say)
		}
		return unmap(a.AddrPort()), nil
	}
	a, err := net.ResolveUDPAddr("udp", listen)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen %q: %w", listen, err)
	}
	if a.IP != nil && !a.IP.IsUnspecified() {
		return unmap(a.AddrPort()), nil
	}
	port := uint16(a.Port)
	for _, j := range join {
		// A connected UDP socket sends nothing; it only picks a route.
		c, err := net.Dial("udp", j)
		if err != nil {
			continue
		}
		local := c.LocalAddr().(*net.UDPAddr).AddrPort()
		c.Close()
		return netip.AddrPortFrom(local.Addr().Unmap(), port), nil
	}
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && !n.IP.IsLoopback() {
				ip, _ := netip.AddrFromSlice(n.IP)
				return netip.AddrPortFrom(ip.Unmap(), port), nil
			}
		}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port), nil
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
