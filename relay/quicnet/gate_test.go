package quicnet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

var gateEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func TestRetryAboveFiftyASecond(t *testing.T) {
	g := newGate(gateEpoch)
	retries := 0
	for i := range 200 {
		if g.retry(gateEpoch.Add(time.Duration(i) * 5 * time.Millisecond)) { // 200 in a second
			retries++
		}
	}
	if retries < 98 || retries > 102 {
		t.Errorf("%d of 200 handshakes in a second need a Retry; 50 are saved and 50 come", retries)
	}
	if g.retry(gateEpoch.Add(3 * time.Second)) {
		t.Error("a calm gate asks for a Retry")
	}
}

func TestConnectionsOfOneIP(t *testing.T) {
	home := netip.MustParseAddr("203.0.113.7")
	try := func(g *gate, now time.Time, ip netip.Addr, proven bool) bool {
		k, err := g.admit(now, ip, proven)
		if err != nil {
			return false
		}
		k.accept(now)
		k.end()
		return true
	}
	burst := func(g *gate, now time.Time, ip netip.Addr, proven bool) (n int) {
		for n < 1000 && try(g, now, ip, proven) {
			n++
		}
		return n
	}
	g := newGate(gateEpoch)
	if n := burst(g, gateEpoch, home, true); n != connBurst {
		t.Errorf("%d at once, want %d", n, connBurst)
	}
	if try(g, gateEpoch.Add(1900*time.Millisecond), home, true) || !try(g, gateEpoch.Add(2100*time.Millisecond), home, true) {
		t.Error("the next is not let in after 2 s")
	}
	if n := burst(g, gateEpoch.Add(time.Minute), netip.MustParseAddr("203.0.113.8"), false); n != connBurst {
		t.Errorf("%d from an address that has proved itself by the handshake only, want %d", n, connBurst)
	}
	// Handshakes that never end cost nobody but the one who can receive there.
	for range 150 {
		k, err := g.admit(gateEpoch.Add(time.Hour), netip.MustParseAddr("203.0.113.9"), false)
		if err == nil {
			k.end()
		}
	}
	if n := burst(g, gateEpoch.Add(time.Hour+time.Minute), netip.MustParseAddr("203.0.113.9"), true); n != connBurst {
		t.Errorf("a forger used up an address: %d left", n)
	}
	a, b := netip.MustParseAddr("2001:db8:1:200::1"), netip.MustParseAddr("2001:db8:1:2ff::1")
	if n := burst(g, gateEpoch.Add(2*time.Hour), a, true); n != connBurst || try(g, gateEpoch.Add(2*time.Hour), b, true) {
		t.Errorf("one /56 does not count as one address")
	}
	if n := burst(g, gateEpoch, netip.MustParseAddr("127.0.0.5"), true); n != 1000 {
		t.Errorf("loopback is let in %d times only", n)
	}
	if g.halfOpen != 0 || g.inbound != 0 {
		t.Errorf("%d half open and %d inbound are left", g.halfOpen, g.inbound)
	}
}

func TestHalfOpenAndInboundAreCapped(t *testing.T) {
	g := newGate(gateEpoch)
	ip := netip.MustParseAddr("127.0.0.1")
	var open []*ticket
	for {
		k, err := g.admit(gateEpoch, ip, true)
		if err != nil {
			break
		}
		open = append(open, k)
	}
	if len(open) != maxHalfOpen {
		t.Fatalf("%d half-open, want %d", len(open), maxHalfOpen)
	}
	for _, k := range open {
		k.accept(gateEpoch)
	}
	for len(open) < 10_000 {
		k, err := g.admit(gateEpoch, ip, true)
		if err != nil {
			break
		}
		k.accept(gateEpoch)
		open = append(open, k)
	}
	if len(open) != MaxInbound {
		t.Fatalf("%d inbound, want %d", len(open), MaxInbound)
	}
	for _, k := range open {
		k.end()
		k.accept(gateEpoch) // too late: it must not count
	}
	if g.halfOpen != 0 || g.inbound != 0 || g.failed != 0 {
		t.Errorf("%d half open, %d inbound and %d failed are left", g.halfOpen, g.inbound, g.failed)
	}
}

func TestMeteredAddressesAreBounded(t *testing.T) {
	g := newGate(gateEpoch)
	now := gateEpoch
	for i := range 3 * maxIPBuckets {
		now = now.Add(10 * time.Millisecond)
		k, err := g.admit(now, netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), true)
		if err != nil {
			t.Fatalf("address %d: %v", i, err)
		}
		k.end()
	}
	if len(g.ips) > maxIPBuckets {
		t.Errorf("%d addresses are remembered", len(g.ips))
	}
}

func TestWindowBudget(t *testing.T) {
	w := &windows{grown: make(map[*quic.Conn]uint64)}
	a, b := new(quic.Conn), new(quic.Conn)
	if !w.grow(a, windowBudget-100) || w.grow(b, 101) || !w.grow(b, 100) {
		t.Error("the budget is not kept")
	}
	w.release(a)
	w.release(a)
	if w.used != 100 || !w.grow(a, 1000) || len(w.grown) != 2 {
		t.Errorf("%d bytes used by %d connections", w.used, len(w.grown))
	}
}
