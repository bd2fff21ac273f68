package quicnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
)

var (
	errOther     = errors.New("another node answers there")
	errConnected = errors.New("already connected")
	errTwice     = errors.New("already being dialled at another address")
	errTooMany   = errors.New("too many dials under way")
	errAllPinned = errors.New("too many peers, and all of them needed")
)

// dial is one Dial under way.
type dial struct {
	want  membership.NodeID // or zero
	addrs []string

	// owned by net.mu
	who     membership.NodeID // that has answered, or zero
	waiting [][]byte          // gossip packets for it, at most maxHeldPackets

	done chan struct{} // closed when peer and err are set
	peer *peer
	err  error
}

// Dial connects to a node: to want, or to whoever answers if want is zero. The
// addresses are tried in turn, names resolved, each for at most 3 s. Up or
// DialFailed follows; neither if the node is connected or being dialled already.
func (n *Net) Dial(want membership.NodeID, addrs []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closing {
		return
	}
	for _, addr := range addrs {
		if n.connected(want, addr) != nil {
			return
		}
	}
	n.dialLocked(want, addrs)
}

// connected is the peer want, or if that is zero the one at addr. The caller
// holds mu.
func (n *Net) connected(want membership.NodeID, addr string) *peer {
	if !want.IsZero() {
		return n.live(want)
	}
	at, _ := netip.ParseAddrPort(addr)
	for _, p := range n.sorted() {
		if p.via == addr || at.IsValid() && len(p.lanes) > 0 && p.lanes[0].at() == at {
			return p
		}
	}
	return nil
}

// dialLocked begins a dial, or returns the one that is under way to the same
// node or, if it wants nobody in particular, address. The caller holds mu and has
// seen that the Net is not closing.
func (n *Net) dialLocked(want membership.NodeID, addrs []string) *dial {
	if len(addrs) > maxAddrs {
		addrs = addrs[:maxAddrs]
	}
	d := &dial{want: want, addrs: append([]string(nil), addrs...), done: make(chan struct{})}
	n.deaf.dialled(want, d.addrs)
	for other := range n.dials {
		if other.same(d) {
			return other
		}
	}
	if len(n.dials) >= maxDials {
		n.wg.Go(func() { n.dialled(d, nil, errTooMany) })
		return d
	}
	if n.outboundFull() {
		n.wg.Go(func() { n.dialled(d, nil, errAllPinned) })
		return d
	}
	n.dials[d] = struct{}{}
	n.wg.Go(func() {
		p, err := n.tryAll(d)
		n.dialled(d, p, err)
	})
	return d
}

func (d *dial) same(other *dial) bool {
	if !d.want.IsZero() || !other.want.IsZero() {
		return d.want == other.want
	}
	for _, a := range d.addrs {
		for _, b := range other.addrs {
			if a == b {
				return true
			}
		}
	}
	return false
}

// outboundFull reports whether as many peers as may are dialled and none can be
// let go. The caller holds mu.
func (n *Net) outboundFull() bool {
	dialled := 0
	for _, p := range n.peers {
		if p.ending || !p.dialled {
			continue
		}
		if !n.pins[p.id] {
			return false
		}
		dialled++
	}
	return dialled >= MaxOutbound
}

// dialled ends a dial.
func (n *Net) dialled(d *dial, p *peer, err error) {
	n.mu.Lock()
	delete(n.dials, d)
	d.peer, d.err = p, err
	if p == nil && errors.Is(err, errConnected) {
		if d.peer = n.live(d.who); d.peer != nil {
			d.err = nil
		}
	}
	if d.peer != nil && !d.peer.ending {
		for _, b := range d.waiting {
			n.queuePacket(d.peer, b)
		}
	}
	n.mu.Unlock()
	close(d.done)
	if err == nil || errors.Is(err, errConnected) && !d.want.IsZero() {
		return // Up is out, or has been since Dial was called
	}
	failed := DialFailed{Peer: d.want, Reason: printable(err.Error())}
	if errors.Is(err, errConnected) {
		failed.Peer = d.who
	}
	if len(d.addrs) > 0 {
		failed.Addr = d.addrs[0]
	}
	n.log.Debug("dial failed", "peer", d.want.Brief(), "addrs", d.addrs, "why", err)
	n.emit(failed)
}

// tryAll tries a dial's addresses until one answers.
func (n *Net) tryAll(d *dial) (*peer, error) {
	if len(d.addrs) == 0 {
		return nil, errors.New("no address")
	}
	var failed attempts
	for _, addr := range d.addrs {
		p, err := n.tryAddr(d, addr)
		if err == nil || errors.Is(err, errConnected) || errors.Is(err, errTwice) {
			return p, err
		}
		n.mu.Lock()
		n.noteDial(addr, false)
		n.mu.Unlock()
		failed = append(failed, fmt.Errorf("%s: %w", addr, err))
		if n.ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

// attempts is why each address of a dial failed.
type attempts []error

func (a attempts) Error() string {
	var parts []string
	for _, err := range a {
		parts = append(parts, err.Error())
	}
	return strings.Join(parts, "; ")
}

func (a attempts) Unwrap() []error { return a }

func (n *Net) tryAddr(d *dial, addr string) (*peer, error) {
	ips, err := n.resolve(addr)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		var c *quic.Conn
		c, err = n.handshake(ip, alpnPeer, func(id membership.NodeID) error { return n.allow(d, id) })
		if err != nil {
			if errors.Is(err, errConnected) || errors.Is(err, errTwice) {
				return nil, err
			}
			continue
		}
		p, err := n.join(c, origin{dialled: true, via: addr})
		if err == nil {
			n.mu.Lock()
			n.noteDial(addr, true)
			n.mu.Unlock()
		}
		return p, err
	}
	return nil, err
}

// allow decides whether the node that has answered is the one to connect to. It
// runs before that node learns of success: a second bundle must not come about,
// for the node would take it for a restart.
func (n *Net) allow(d *dial, id membership.NodeID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !d.want.IsZero() && id != d.want {
		return errOther
	}
	d.who = id
	if n.live(id) != nil {
		return errConnected
	}
	for other := range n.dials {
		if other != d && other.who == id {
			return errTwice
		}
	}
	return nil
}

// resolve is the addresses of host:port.
func (n *Net) resolve(addr string) ([]netip.AddrPort, error) {
	if at, err := netip.ParseAddrPort(addr); err == nil {
		return []netip.AddrPort{at}, nil
	}
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, errors.New("not host:port")
	}
	ctx, cancel := context.WithTimeout(n.ctx, resolveTimeout)
	defer cancel()
	port, err := net.DefaultResolver.LookupPort(ctx, "udp", service)
	if err != nil {
		return nil, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, errors.New("no address")
	}
	var out []netip.AddrPort
	for _, ip := range ips[:min(len(ips), maxIPs)] {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), uint16(port)))
	}
	return out, nil
}

// handshake dials one address.
func (n *Net) handshake(at netip.AddrPort, alpn string, allow func(membership.NodeID) error) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(n.ctx, dialTimeout)
	defer cancel()
	c, err := n.tr.Dial(ctx, net.UDPAddrFromAddrPort(at), n.id.client(alpn, allow), n.qconf)
	if err == nil {
		n.count.handshakes.Add(1)
		return c, nil
	}
	for _, known := range []error{errOther, errConnected, errTwice, errSelf, errNoIdentity} {
		if errors.Is(err, known) {
			return nil, known
		}
	}
	var refused *quic.TransportError
	var slow *quic.HandshakeTimeoutError
	var silent *quic.IdleTimeoutError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow), errors.As(err, &silent):
		return nil, errors.New("no answer")
	case errors.As(err, &refused) && refused.Remote && refused.ErrorCode == quic.ConnectionRefused:
		return nil, errors.New("refused: it has too many connections")
	}
	return nil, err
}

// lanePlan is how many lanes a bundle should have.
type lanePlan struct {
	// owned by net.mu
	wanted   int
	probed   int // wanted while the uplink is probed
	dialling int
	pause    time.Duration // after the last failure
	retryAt  time.Time
}

// SetLanes says over how many connections a peer is to be fed, 1 … MaxLanes,
// whoever dials them. Missing ones are dialled at the address the peer is seen
// at; surplus ones that we dialled are closed when they are idle, never the first.
func (n *Net) SetLanes(id membership.NodeID, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.live(id); p != nil && !n.closing {
		p.wanted = min(max(count, 1), MaxLanes)
		n.tendLanes(p, time.Now())
	}
}

// tendLanes brings a bundle nearer to its plan. The caller holds mu.
func (n *Net) tendLanes(p *peer, now time.Time) {
	active, wanted := 0, max(p.wanted, p.probed)
	for _, l := range p.lanes {
		switch {
		case l.retired.IsZero():
			active++
		case now.Sub(l.retired) > retireAfter:
			n.wg.Go(func() { l.conn.CloseWithError(codeSurplus, "surplus") })
		}
	}
	for i := len(p.lanes) - 1; i >= 0 && active > wanted; i-- {
		if l := p.lanes[i]; l.dialled && !l.first && l.retired.IsZero() {
			l.retireLocked(now)
			n.wg.Go(l.sayRetired)
			active--
		}
	}
	for !n.closing && active+p.dialling < wanted && p.dialling < maxLaneDials && !now.Before(p.retryAt) && len(p.lanes) > 0 {
		p.dialling++
		at := p.lanes[0].at()
		n.wg.Go(func() { n.dialLane(p, at) })
	}
}

// dialLane adds a lane to a bundle.
func (n *Net) dialLane(p *peer, at netip.AddrPort) {
	c, err := n.handshake(at, alpnLane, func(id membership.NodeID) error {
		if id != p.id {
			return errOther
		}
		return nil
	})
	if err == nil {
		_, err = n.join(c, origin{dialled: true, lane: p})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	p.dialling--
	if err != nil {
		p.pause = min(max(2*p.pause, laneRetry), laneRetryTo)
		p.retryAt = now.Add(p.pause)
		n.log.Debug("lane not dialled", "peer", p.id.Brief(), "why", err)
		return
	}
	p.pause = 0
	if !p.ending {
		n.tendLanes(p, now)
	}
}
