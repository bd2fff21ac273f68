// Package memnet is a packet network in memory: endpoints that are
// net.PacketConn with addresses 127.0.x.y, and between them links with delay,
// jitter (hence reordering), loss, duplication and cuts, and at their ends rates. It is
// what real QUIC runs over in tests with virtual time (testing/synctest).
//
//	Endpoint.WriteTo ─▶ uplink queue ─▶ loss, delay ─▶ heap by (time, sequence)
//	                                                        │ one goroutine
//	Endpoint.ReadFrom ◀─ receive queue ◀─ downlink queue ◀─┘
//
// It is not a model of a home router or of TCP: a link has no memory but the
// queues at its ends, and those drop what does not fit. Fates are drawn from one generator a direction of a pair of
// addresses, so that what happens on one link does not depend on the traffic of
// another; packets of different goroutines at the same instant may still swap.
package memnet

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// MaxEndpoints is how many endpoints a network takes.
	MaxEndpoints = 4096
	// receiveQueue is an endpoint's socket buffer, in packets; a packet that
	// finds it full is lost.
	receiveQueue = 2048
	// lineQueue is how much may wait for an endpoint's upload or download rate, as
	// time; what would wait longer is lost.
	lineQueue = 200 * time.Millisecond
	// headers is what IPv4 and UDP add to a packet on the wire, in bytes.
	headers = 28
)

// Link says what happens to packets in one direction between two addresses.
type Link struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to this is added, evenly
	Loss      float64       // 0 … 1, each packet on its own
	Duplicate float64       // 0 … 1; the copy draws its own jitter
	MTU       int           // larger packets (with headers) vanish; 0 = no limit
	Cut       bool          // nothing passes
}

// Network connects its endpoints. All methods may be called at any time.
type Network struct {
	mu     sync.Mutex
	seed   uint64
	fallbk Link
	links  map[direction]Link
	fates  map[direction]*rand.Rand
	ends   map[netip.AddrPort]*Endpoint
	auto   int // endpoints made without an address
	queue  packets
	seq    uint64
	stats  Stats
	closed bool

	wake chan struct{} // the head of queue has changed
	done chan struct{} // closed when the deliverer has ended
}

// Stats counts packets.
type Stats struct{ Sent, Delivered, Lost uint64 }

type direction struct{ from, to netip.Addr }

// New returns a network in which every link is the given one, and which draws
// one number from rnd. Close ends its goroutine.
func New(rnd *rand.Rand, link Link) *Network {
	n := &Network{
		seed:   rnd.Uint64(),
		fallbk: link,
		links:  make(map[direction]Link),
		fates:  make(map[direction]*rand.Rand),
		ends:   make(map[netip.AddrPort]*Endpoint),
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	go n.deliver()
	return n
}

// SetDefault changes the links that SetLink has not named.
func (n *Network) SetDefault(link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fallbk = link
}

// SetLink changes the link from one address to another, in that direction only.
func (n *Network) SetLink(from, to netip.Addr, link Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[direction{from, to}] = link
}

// Link is what is now true of the link from one address to another.
func (n *Network) Link(from, to netip.Addr) Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.link(direction{from, to})
}

// Stats counts what has passed so far.
func (n *Network) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

// Listen makes an endpoint at the next free address, 127.0.0.1 first, port 7070.
func (n *Network) Listen() (*Endpoint, error) {
	n.mu.Lock()
	n.auto++
	i := n.auto
	n.mu.Unlock()
	if i > MaxEndpoints {
		return nil, fmt.Errorf("memnet: more than %d endpoints", MaxEndpoints)
	}
	ip := netip.AddrFrom4([4]byte{127, 0, byte((i - 1) / 250), byte(1 + (i-1)%250)})
	return n.ListenAt(netip.AddrPortFrom(ip, 7070))
}

// ListenAt makes an endpoint at addr; an address in use is refused.
func (n *Network) ListenAt(addr netip.AddrPort) (*Endpoint, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	if n.ends[addr] != nil {
		return nil, fmt.Errorf("memnet: %v is in use", addr)
	}
	e := newEndpoint(n, addr)
	n.ends[addr] = e
	return e, nil
}

// Close closes every endpoint and waits until nothing is delivered any more.
func (n *Network) Close() {
	n.mu.Lock()
	ends := n.ends
	n.ends, n.closed, n.queue = nil, true, nil
	n.mu.Unlock()
	for _, e := range ends {
		e.shut()
	}
	n.poke()
	<-n.done
}

func (n *Network) link(d direction) Link {
	if l, ok := n.links[d]; ok {
		return l
	}
	return n.fallbk
}

// fate is the generator of one direction, seeded by its addresses.
func (n *Network) fate(d direction) *rand.Rand {
	r := n.fates[d]
	if r == nil {
		h := uint64(14695981039346656037) // FNV-1a
		for _, a := range [2]netip.Addr{d.from, d.to} {
			for _, b := range a.As16() {
				h = (h ^ uint64(b)) * 1099511628211
			}
		}
		r = rand.New(rand.NewPCG(n.seed, h))
		n.fates[d] = r
	}
	return r
}

// send decides the packet's fate and queues what arrives of it.
func (n *Network) send(from *Endpoint, to netip.AddrPort, b []byte) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.stats.Sent++
	d := direction{from.addr.Addr(), to.Addr()}
	link, fate := n.link(d), n.fate(d)
	// Every packet draws the same numbers whatever the link is, so that a
	// change of one link's figures leaves the other draws where they were.
	lost, twice := fate.Float64(), fate.Float64()
	jitter := [2]float64{fate.Float64(), fate.Float64()}
	out, ok := from.depart(now, len(b)+headers)
	if !ok || link.Cut || lost < link.Loss || link.MTU > 0 && len(b)+headers > link.MTU {
		n.stats.Lost++
		return
	}
	copies := 1
	if twice < link.Duplicate {
		copies = 2
	}
	data := append([]byte(nil), b...)
	for i := range copies {
		at := out.Add(link.Delay + time.Duration(jitter[i]*float64(link.Jitter)))
		n.seq++
		heap.Push(&n.queue, &packet{at: at, seq: n.seq, from: from.addr, to: to, data: data})
		if n.queue[0].seq == n.seq {
			n.poke()
		}
	}
}

func (n *Network) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// deliver hands over packets as their time comes, until Close.
func (n *Network) deliver() {
	defer close(n.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := n.due()
		if wait < 0 {
			return
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-n.wake:
		}
	}
}

// due delivers what is due and says how long until the next, negative once the
// network is closed.
func (n *Network) due() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for !n.closed && len(n.queue) > 0 {
		if wait := n.queue[0].at.Sub(now); wait > 0 {
			return wait
		}
		p := heap.Pop(&n.queue).(*packet)
		e := n.ends[p.to]
		if e != nil && !p.landed {
			at, ok := e.land(now, len(p.data)+headers)
			if ok && at.After(now) {
				p.at, p.landed = at, true
				heap.Push(&n.queue, p)
				continue
			}
			if !ok {
				e = nil
			}
		}
		if e != nil && e.arrive(p) {
			n.stats.Delivered++
		} else {
			n.stats.Lost++
		}
	}
	if n.closed {
		return -1
	}
	return time.Hour
}

type packet struct {
	at       time.Time
	seq      uint64
	from, to netip.AddrPort
	data     []byte
	landed   bool // it has passed its end's line
}

// packets is a heap by (time, sequence).
type packets []*packet

func (q packets) Len() int { return len(q) }
func (q packets) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q packets) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *packets) Push(x any)   { *q = append(*q, x.(*packet)) }
func (q *packets) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return p
}
