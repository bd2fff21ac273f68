package quicnet

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
)

// What a CONNECTION_CLOSE says beside its text.
const (
	codeBye     quic.ApplicationErrorCode = iota // one of us is leaving
	codeHangup                                   // the host wants no more of the peer
	codeRefused                                  // a limit
	codeSurplus                                  // this lane is not needed
	codeUnused                                   // nothing passed for a while
	codeBad                                      // the peer broke the protocol
	codeFault                                    // a bug of ours
)

// peer is a node we are connected to: a bundle of lanes. It lives from its first
// lane to its Down; a node that comes back is another peer.
type peer struct {
	net     *Net
	id      membership.NodeID
	dialled bool // by us, the first lane
	via     string
	since   time.Time

	up    chan struct{} // closed when Up is out
	dead  chan struct{} // closed when the peer is to end
	gone  chan struct{} // closed when Down is out
	leave chan struct{} // closed by Net.Close
	ready chan struct{} // closed when control is set

	messages chan []byte
	packets  chan []byte
	wake     chan struct{} // the outbox has something
	wg       sync.WaitGroup

	used atomic.Int64 // when something last passed, since net.start
	held atomic.Int64 // bytes of incomplete shards
	shed atomic.Uint64

	// owned by net.mu
	lanes     []*lane // the first is a first lane; closed ones are taken out
	control   *quic.Stream
	ending    bool
	code      quic.ApplicationErrorCode
	reason    string
	feeding   bool // lanes have senders
	hearing   hearing
	gossiping bool // packets has a sender
	past      traffic
	lanePlan

	mu sync.Mutex
	// owned by mu
	out relay.Outbox
}

// origin says how a connection came about; the zero value is an accepted one.
type origin struct {
	dialled bool
	lane    *peer  // the bundle it was dialled for, or nil
	via     string // the address as it was given
}

// refusal is why a connection may not join.
type refusal string

func (r refusal) Error() string { return string(r) }

// join makes a connection a lane of its node's bundle, the first one a new
// peer. It blocks while a former peer of that node is dying, and until the host
// takes Up. A connection that may not join is closed.
func (n *Net) join(c *quic.Conn, from origin) (*peer, error) {
	cs := c.ConnectionState().TLS
	id, err := peerID(cs)
	if err != nil { // the handshake has checked it
		panic(fmt.Sprintf("quicnet: connected to nobody: %v", err))
	}
	l := newLane(c, from, cs.NegotiatedProtocol == alpnPeer)
	for {
		n.mu.Lock()
		p, dying, err := n.place(id, l, from)
		n.mu.Unlock()
		switch {
		case err != nil:
			c.CloseWithError(codeRefused, err.Error())
			n.windows.release(c)
			return nil, err
		case dying != nil:
			<-dying.gone
			continue
		}
		return p, nil
	}
}

// place finds the peer that a lane belongs to, makes it if need be, and starts
// the lane; or it returns the dying one to wait for. The caller holds mu.
func (n *Net) place(id membership.NodeID, l *lane, from origin) (p, dying *peer, err error) {
	now := time.Now()
	p = n.peers[id]
	switch {
	case n.closing:
		return nil, nil, refusal("leaving")
	case n.deaf.met(id, l.remote):
		return nil, nil, refusal("not heard")
	case p != nil && p.ending:
		return nil, p, nil
	case !l.first && (p == nil || from.lane != nil && from.lane != p):
		return nil, nil, refusal("a lane of no bundle")
	case p != nil && l.first && !l.dialled && p.forgotten(now):
		n.endLocked(p, codeHangup, "restarted")
		return nil, p, nil
	case p != nil && len(p.lanes) >= MaxLanes:
		return nil, nil, refusal("too many connections")
	case p == nil && !l.dialled && n.crowded(l.remote.Addr()):
		return nil, nil, refusal("too many nodes at this address")
	}
	if p == nil {
		p = n.newPeer(id, l, from, now)
	}
	p.lanes = append(p.lanes, l)
	l.peer = p
	p.wg.Add(1)
	go l.run()
	return p, nil, nil
}

// forgotten reports whether a first lane from p's node means that the node does
// not know of the bundle p: it has opened one already, or ours is too old to be
// the other half of a simultaneous dial. The caller holds net.mu.
func (p *peer) forgotten(now time.Time) bool {
	for _, l := range p.lanes {
		if l.first && (!l.dialled || now.Sub(l.since) > restartAfter) {
			return true
		}
	}
	return false
}

// crowded reports whether as many nodes as may are connected from ip's network.
// The caller holds mu.
func (n *Net) crowded(ip netip.Addr) bool {
	if n.gate.here(ip) {
		return false
	}
	nodes := 0
	for _, p := range n.peers {
		if len(p.lanes) > 0 && network(p.lanes[0].remote.Addr()) == network(ip) {
			nodes++
		}
	}
	return nodes >= nodesPerIP
}

// newPeer makes a peer and its goroutines. The caller holds mu, and starts the
// first lane.
func (n *Net) newPeer(id membership.NodeID, l *lane, from origin, now time.Time) *peer {
	p := &peer{
		net: n, id: id, dialled: l.dialled, via: from.via, since: now,
		up:       make(chan struct{}),
		dead:     make(chan struct{}),
		gone:     make(chan struct{}),
		leave:    make(chan struct{}),
		ready:    make(chan struct{}),
		messages: make(chan []byte, controlQueue),
		packets:  make(chan []byte, datagramQueue),
		wake:     make(chan struct{}, 1),
	}
	p.wanted = 1
	p.touch()
	n.peers[id] = p
	if l.dialled {
		n.evict(p)
	}
	p.wg.Add(1)
	go p.guarded(p.sendMessages)
	n.wg.Go(func() { p.live(Up{Peer: id, Addr: l.remote, Dialled: l.dialled}) })
	return p
}

// evict closes the dialled peer that has been unused for longest, if there are
// too many. The caller holds mu.
func (n *Net) evict(newest *peer) {
	dialled := 0
	var oldest *peer
	for _, p := range n.sorted() {
		if !p.dialled {
			continue
		}
		dialled++
		if p != newest && !n.pins[p.id] && (oldest == nil || p.used.Load() < oldest.used.Load()) {
			oldest = p
		}
	}
	if dialled > MaxOutbound && oldest != nil {
		n.endLocked(oldest, codeUnused, "too many peers")
	}
}

// live is a peer's life as the host sees it: Up, then Down once all that could
// still say something in between has ended.
func (p *peer) live(up Up) {
	n := p.net
	n.log.Debug("up", "peer", p.id.Brief(), "addr", up.Addr, "dialled", up.Dialled)
	n.emit(up)
	close(p.up)
	<-p.dead
	n.mu.Lock()
	lanes := append([]*lane(nil), p.lanes...)
	code, reason := p.code, p.reason
	n.mu.Unlock()
	var closers sync.WaitGroup
	for _, l := range lanes {
		closers.Go(func() { l.conn.CloseWithError(code, printable(reason)) })
	}
	closers.Wait()
	p.wg.Wait()
	n.log.Debug("down", "peer", p.id.Brief(), "why", reason)
	n.emit(Down{Peer: p.id, Reason: printable(reason), Unused: code == codeUnused})
	n.mu.Lock()
	n.shed += p.dropped()
	delete(n.peers, p.id)
	n.mu.Unlock()
	close(p.gone)
}

// end makes a peer end; the first reason counts.
func (n *Net) end(p *peer, code quic.ApplicationErrorCode, reason string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endLocked(p, code, reason)
}

func (n *Net) endLocked(p *peer, code quic.ApplicationErrorCode, reason string) {
	if !p.ending {
		p.ending, p.code, p.reason = true, code, reason
		close(p.dead)
	}
}

// touch notes that something has passed.
func (p *peer) touch() { p.used.Store(int64(time.Since(p.net.start))) }

func (p *peer) lastUsed() time.Time { return p.net.start.Add(time.Duration(p.used.Load())) }

// dropped is how many shards for the peer were not sent whole.
func (p *peer) dropped() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Dropped() + p.shed.Load()
}

// spawn runs f as one of the peer's goroutines. The caller is one too, or holds
// net.mu and has seen that a lane lives.
func (p *peer) spawn(f func()) {
	p.wg.Add(1)
	go p.guarded(f)
}

func (p *peer) guarded(f func()) {
	defer p.wg.Done()
	p.survive(f)
}

// survive runs f; a panic in it costs the peer, not the process, unless there
// are too many.
func (p *peer) survive(f func()) {
	defer func() {
		if r := recover(); r != nil {
			p.net.panicked(p, r)
		}
	}()
	f()
}

func (n *Net) panicked(p *peer, r any) {
	n.count.panics.Add(1)
	n.log.Error("panic", "peer", p.id.Brief(), "what", r, "stack", string(debug.Stack()))
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.panics = append(n.panics, now)
	for now.Sub(n.panics[0]) > time.Minute {
		n.panics = n.panics[1:]
	}
	if len(n.panics) > maxPanics {
		panic(r)
	}
	n.endLocked(p, codeFault, "internal error")
}

// whyClosed says for people why a connection ended.
func closedFor(err error) (quic.ApplicationErrorCode, string) {
	var app *quic.ApplicationError
	if errors.As(err, &app) && app.Remote && app.ErrorCode == codeUnused {
		return codeUnused, whyClosed(err)
	}
	return codeBye, whyClosed(err)
}

func whyClosed(err error) string {
	var app *quic.ApplicationError
	var idle *quic.IdleTimeoutError
	var reset *quic.StatelessResetError
	switch {
	case errors.As(err, &app) && app.Remote && app.ErrorMessage != "":
		return "the peer says: " + app.ErrorMessage
	case errors.As(err, &idle):
		return fmt.Sprintf("silent for %v", idleTimeout)
	case errors.As(err, &reset):
		return "restarted"
	default:
		return err.Error()
	}
}

// printable cuts a text that may come from a peer to what may stand in a log.
func printable(s string) string {
	var out []rune
	size := 0
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || r >= 0x80 && r < 0xa0 {
			r = '?'
		}
		if size += len(string(r)); size > maxReason {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
