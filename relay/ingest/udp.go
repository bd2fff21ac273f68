package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"

	"github.com/stripecast/stripecast/stripe/ts"
)

// UDP reads a stream from datagrams, of which RTP headers are taken off. One goroutine
// takes them from the socket, so that a reader that is held up loses none before
// MaxDatagrams are waiting.
type UDP struct {
	conn *net.UDPConn
	wake chan struct{} // something waits, or err is set

	mu      sync.Mutex // guards what follows
	waiting [][]byte
	size    int // of what waits, with datagramCost for each
	dropped uint64
	err     error
}

// ErrAddress is wrapped by every refusal of what a person wrote as an input.
var ErrAddress = errors.New("bad input address")

// OpenUDP listens at udp://HOST:PORT until ctx ends: at a multicast group, which is
// joined, or at an address of this machine; without a host at all of them. An @ before
// the host, as others write it, says nothing. ?iface= names the interface, or an address
// of it, at which a group is joined.
func OpenUDP(ctx context.Context, address string) (*UDP, error) {
	at, iface, err := udpAddress(address)
	if err != nil {
		return nil, err
	}
	addr := net.UDPAddrFromAddrPort(at)
	if at.Addr() == netip.IPv6Unspecified() {
		addr.IP = nil // IPv4 alone will do
	}
	var conn *net.UDPConn
	if at.Addr().IsMulticast() {
		conn, err = net.ListenMulticastUDP("udp", iface, addr)
	} else {
		conn, err = net.ListenUDP("udp", addr)
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(socketBuffer) // as much as the system gives
	u := &UDP{conn: conn, wake: make(chan struct{}, 1)}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer stop()
		u.receive()
	}()
	return u, nil
}

// udpAddress reads udp://[@][HOST]:PORT[?iface=NAME].
func udpAddress(address string) (at netip.AddrPort, iface *net.Interface, err error) {
	refuse := func(format string, a ...any) (netip.AddrPort, *net.Interface, error) {
		return at, nil, fmt.Errorf("%w: %s", ErrAddress, fmt.Sprintf(format, a...))
	}
	u, err := url.Parse(address)
	if err != nil {
		return refuse("%v", err)
	}
	resolved, err := net.ResolveUDPAddr("udp", u.Host)
	switch {
	case err != nil:
		return refuse("%v", err)
	case u.Path != "" && u.Path != "/":
		return refuse("%s has a path", address)
	case resolved.Port == 0:
		return refuse("%s has no port", address)
	}
	at = resolved.AddrPort()
	if host := at.Addr().Unmap(); u.Hostname() != "" {
		at = netip.AddrPortFrom(host, at.Port())
	} else {
		at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
	}
	for name, values := range u.Query() {
		if name != "iface" {
			return refuse("%s takes ?iface= only, not %s", address, name)
		}
		if !at.Addr().IsMulticast() {
			return refuse("%s is no multicast group, and has no interface to join it at", u.Host)
		}
		if iface, err = interfaceOf(values[0]); err != nil {
			return refuse("%v", err)
		}
	}
	return at, iface, nil
}

// interfaceOf finds an interface by its name or one of its addresses.
func interfaceOf(name string) (*net.Interface, error) {
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return net.InterfaceByName(name)
	}
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range all {
		addrs, err := all[i].Addrs()
		if err != nil {
			return nil, err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == addr {
				return &all[i], nil
			}
		}
	}
	return nil, fmt.Errorf("no interface has the address %s", name)
}

// Addr is where it listens.
func (u *UDP) Addr() net.Addr { return u.conn.LocalAddr() }

// Dropped is how many datagrams were dropped so far because nobody read.
func (u *UDP) Dropped() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dropped
}

func (u *UDP) receive() {
	buf := make([]byte, maxDatagram)
	failed := 0
	for {
		n, _, err := u.conn.ReadFromUDPAddrPort(buf)
		if err == nil {
			failed = 0
			if load := ts.RTP(buf[:n]); len(load) > 0 {
				u.put(bytes.Clone(load), nil)
			}
			continue
		}
		failed++ // one may be of one datagram
		if errors.Is(err, net.ErrClosed) || failed == maxFailed {
			u.put(nil, err)
			return
		}
	}
}

func (u *UDP) put(load []byte, err error) {
	u.mu.Lock()
	u.err = err
	if len(load) > 0 {
		u.waiting, u.size = append(u.waiting, load), u.size+len(load)+datagramCost
	}
	for u.size > MaxDatagrams {
		u.shift()
		u.dropped++
	}
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// shift drops the oldest.
func (u *UDP) shift() {
	u.size -= len(u.waiting[0]) + datagramCost
	u.waiting = u.waiting[1:]
}

// Read waits for a datagram and returns as much of what is there as fits.
func (u *UDP) Read(p []byte) (int, error) {
	for {
		if n, err := u.take(p); n > 0 || err != nil {
			return n, err
		}
		<-u.wake
	}
}

func (u *UDP) take(p []byte) (n int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.waiting) > 0 && n < len(p) {
		c := copy(p[n:], u.waiting[0])
		n, u.size = n+c, u.size-c
		if u.waiting[0] = u.waiting[0][c:]; len(u.waiting[0]) == 0 {
			u.shift()
		}
	}
	if n == 0 {
		err = u.err
	}
	return n, err
}
