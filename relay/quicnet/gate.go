package quicnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/relay"
)

// gate decides which handshakes begin, before anything is known of who asks but
// an address that may be forged. Its methods may be called from any goroutine.
type gate struct {
	mu sync.Mutex
	// owned by mu
	free     relay.Allowance // handshakes without a Retry
	all      relay.Allowance // handshakes
	ips      map[netip.Prefix]*relay.Allowance
	swept    time.Time // when ips was last cleared of those with nothing to remember
	halfOpen int
	inbound  int
	failed   uint64 // handshakes that ended half-open
	refused  uint64

	own map[netip.Addr]bool // this machine's addresses; never changed
}

// here reports whether ip is this machine: who runs several nodes on it is not
// flooding it.
func (g *gate) here(ip netip.Addr) bool { return ip.IsLoopback() || g.own[ip] }

// ownAddrs are the addresses of this machine's interfaces.
func ownAddrs() map[netip.Addr]bool {
	own := make(map[netip.Addr]bool)
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return own // then only loopback is known to be ours
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				own[ip.Unmap()] = true
			}
		}
	}
	return own
}

func newGate(now time.Time) *gate {
	return &gate{
		own:  ownAddrs(),
		free: relay.NewAllowance(now, freeHandshakes, freeHandshakes),
		all:  relay.NewAllowance(now, maxHandshakes, maxHandshakes),
		ips:  make(map[netip.Prefix]*relay.Allowance),
	}
}

// ticket is one inbound connection's place in the counts.
type ticket struct {
	gate     *gate
	ip       netip.Addr
	charged  bool // to its IP
	accepted bool
	ended    bool
}

var errRefused = errors.New("quicnet: too many connections")

// retry reports whether a newcomer must prove its address first.
func (g *gate) retry(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.free.Take(now)
}

// admit lets a handshake begin. Only a proven address is charged for it: a
// forger could otherwise use up someone else's.
func (g *gate) admit(now time.Time, ip netip.Addr, proven bool) (*ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &ticket{gate: g, ip: ip, charged: proven}
	ok := g.halfOpen < maxHalfOpen && g.inbound < MaxInbound
	if ok && !g.here(ip) {
		ok = g.all.Take(now)
		if b := g.bucket(now, ip); ok && b != nil {
			if proven {
				ok = b.Take(now)
			} else {
				ok = b.Has(now)
			}
		}
	}
	if !ok {
		g.refused++
		return nil, errRefused
	}
	g.halfOpen++
	return t, nil
}

// accept notes that the handshake went well.
func (t *ticket) accept(now time.Time) {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.ended {
		return
	}
	if !t.charged && !g.here(t.ip) {
		if b := g.bucket(now, t.ip); b != nil {
			b.Take(now)
		}
	}
	t.accepted = true
	g.halfOpen--
	g.inbound++
}

// end notes that the connection is gone, accepted or not.
func (t *ticket) end() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	t.ended = true
	if t.accepted {
		g.inbound--
		return
	}
	g.halfOpen--
	g.failed++
}

// bucket is the IP's, or nil if there are too many.
func (g *gate) bucket(now time.Time, ip netip.Addr) *relay.Allowance {
	key := network(ip)
	if b := g.ips[key]; b != nil {
		return b
	}
	if len(g.ips) >= maxIPBuckets && now.Sub(g.swept) > time.Second {
		g.swept = now
		for k, b := range g.ips {
			if b.Full(now) {
				delete(g.ips, k)
			}
		}
	}
	if len(g.ips) >= maxIPBuckets {
		return nil
	}
	b := relay.NewAllowance(now, connRate, connBurst)
	g.ips[key] = &b
	return &b
}

// network is what counts as one IP: the address, of IPv6 the /56 that a home gets.
func network(ip netip.Addr) netip.Prefix {
	bits := 32
	if !ip.Is4() {
		bits = 56
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// addrPort is a UDP address as a value.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

type ticketKey struct{}

// connContext is quic.Transport's hook: it sees each handshake first.
func (g *gate) connContext(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	t, err := g.admit(time.Now(), addrPort(info.RemoteAddr).Addr(), info.AddrVerified)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, t.end)
	return context.WithValue(ctx, ticketKey{}, t), nil
}

// accepted is connContext's counterpart for a connection that was accepted.
func (g *gate) accepted(c *quic.Conn) {
	if t, ok := c.Context().Value(ticketKey{}).(*ticket); ok {
		t.accept(time.Now())
	}
}

// windows is the budget of what receive windows may grow by, over all connections.
type windows struct {
	mu sync.Mutex
	// owned by mu
	used  uint64
	grown map[*quic.Conn]uint64
}

// grow is quic.Config's hook; it must not call into the connection.
func (w *windows) grow(c *quic.Conn, delta uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used+delta > windowBudget {
		return false
	}
	w.used += delta
	w.grown[c] += delta
	return true
}

// release gives back what a closed connection had.
func (w *windows) release(c *quic.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used -= w.grown[c]
	delete(w.grown, c)
}
