package quicnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// gate decides which handshakes begin, before anything is known of who asks but
// an address that may be forged. Its methods may be called from any goroutine.
type gate struct {
	mu sync.Mutex
	// owned by mu
	free     allowance // handshakes without a Retry
	all      allowance // handshakes
	ips      map[netip.Prefix]*allowance
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
		free: newAllowance(now, freeHandshakes, freeHandshakes),
		all:  newAllowance(now, maxHandshakes, maxHandshakes),
		ips:  make(map[netip.Prefix]*allowance),
	}
}

// allowance is a token bucket that counts.
type allowance struct {
	rate, burst, level float64 // a second; at most; now
	last               time.Time
}

func newAllowance(now time.Time, rate, burst float64) allowance {
	return allowance{rate: rate, burst: burst, level: burst, last: now}
}

// has reports whether there is one left.
func (a *allowance) has(now time.Time) bool {
	if d := now.Sub(a.last); d > 0 {
		a.level = min(a.level+a.rate*d.Seconds(), a.burst)
		a.last = now
	}
	return a.level >= 1
}

// take takes one if there is one.
func (a *allowance) take(now time.Time) bool {
	ok := a.has(now)
	if ok {
		a.level--
	}
	return ok
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
	return !g.free.take(now)
}

// admit lets a handshake begin. Only a proven address is charged for it: a
// forger could otherwise use up someone else's.
func (g *gate) admit(now time.Time, ip netip.Addr, proven bool) (*ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &ticket{gate: g, ip: ip, charged: proven}
	ok := g.halfOpen < maxHalfOpen && g.inbound < MaxInbound
	if ok && !g.here(ip) {
		ok = g.all.take(now)
		if b := g.bucket(now, ip); ok && b != nil {
			if proven {
				ok = b.take(now)
			} else {
				ok = b.has(now)
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
			b.take(now)
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
func (g *gate) bucket(now time.Time, ip netip.Addr) *allowance {
	key := network(ip)
	if b := g.ips[key]; b != nil {
		return b
	}
	if len(g.ips) >= maxIPBuckets && now.Sub(g.swept) > time.Second {
		g.swept = now
		for k, b := range g.ips {
			b.has(now)
			if b.level == b.burst {
				delete(g.ips, k)
			}
		}
	}
	if len(g.ips) >= maxIPBuckets {
		return nil
	}
	b := newAllowance(now, connRate, connBurst)
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
