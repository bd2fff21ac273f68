package gossip

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/membership/gossip/gossiptest"
)

// node is one participant of a test pool, and what its host was told.
type node struct {
	t    *testing.T
	key  ed25519.PrivateKey
	id   membership.NodeID
	addr netip.AddrPort
	seq  uint64
	host *gossiptest.Host
	pool *Pool

	mu    sync.Mutex
	heard map[membership.NodeID]uint64 // the newest sequence number
	gone  map[membership.NodeID]time.Time
}

func newNode(t *testing.T, i int) *node {
	n := &node{t: t, seq: 1, heard: map[membership.NodeID]uint64{}, gone: map[membership.NodeID]time.Time{}}
	n.key = testKey(i)
	n.id = membership.NodeIDOf(n.key)
	n.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 7000)
	return n
}

func testKey(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(i), byte(i>>8)
	return ed25519.NewKeyFromSeed(seed)
}

func (n *node) record() []byte {
	return membership.Record{
		Node: n.id, Seq: n.seq, TTL: 10 * time.Minute, Slots: 4, Addrs: []netip.AddrPort{n.addr},
	}.Sign(n.key)
}

func (n *node) start(net *gossiptest.Network) {
	n.host = net.Attach(n.id, n.addr)
	n.run(n.host)
}

func (n *node) run(c Carrier) {
	pool, err := Start(Config{Self: n.id, Carrier: c, Record: n.record()})
	if err != nil {
		n.t.Fatal(err)
	}
	n.pool = pool
	n.t.Cleanup(func() { pass(10 * time.Second) }) // memberlist's last probes end
	n.t.Cleanup(pool.Close)
	go func() {
		for e := range pool.Events() {
			n.take(e)
		}
	}()
}

func (n *node) take(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := e.(type) {
	case Heard:
		rec, err := membership.OpenRecord(e.Raw)
		if err != nil {
			n.t.Errorf("heard a bad record: %v", err)
		}
		n.heard[rec.Node] = rec.Seq
	case Gone:
		n.gone[e.Node] = time.Now()
	default:
		panic(fmt.Sprintf("event %T", e))
	}
}

func (n *node) knows(id membership.NodeID, seq uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.heard[id] == seq
}

func (n *node) thinksGone(id membership.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, gone := n.gone[id]
	return gone
}

func (n *node) rumours() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.gone)
}

func (n *node) join(to *node) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if joined, err := n.pool.Join(ctx, []string{to.addr.String()}); err != nil || joined != 1 {
		n.t.Errorf("join: %d %v", joined, err)
	}
}

// pass lets virtual time go by.
func pass(d time.Duration) { <-time.After(d) }

// within waits until it holds and fails the test if it does not in time. It
// returns how long it took.
func within(t *testing.T, d time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > d {
			t.Fatalf("not within %v: %s", d, what)
		}
		pass(50 * time.Millisecond)
	}
	return time.Since(start)
}

func all(nodes []*node, holds func(*node) bool) bool {
	for _, n := range nodes {
		if !holds(n) {
			return false
		}
	}
	return true
}

// inPool runs a story in a pool of size nodes that know each other,.
func inPool(t *testing.T, size int, story func(t *testing.T, net *gossiptest.Network, nodes []*node)) {
	synctest.Test(t, func(t *testing.T) {
		net := &gossiptest.Network{Latency: 20 * time.Millisecond}
		var nodes []*node
		for i := range size {
			n := newNode(t, i+1)
			n.start(net)
			nodes = append(nodes, n)
		}
		// One after the other, and a little more than a round of gossip apart. The
		// records of those who come in one instant are sent together ever after, four
		// in a packet: a pool of eight can fall into two halves that tell each other
		// nothing before the next exchange, once in two hundred starts.
		for _, n := range nodes[1:] {
			n.join(nodes[0])
			pass(250 * time.Millisecond)
		}
		pairs := func(share float64) func() bool {
			return func() bool {
				sum := 0
				for _, n := range nodes {
					n.mu.Lock()
					sum += len(n.heard)
					n.mu.Unlock()
				}
				return float64(sum) >= share*float64(size*(size-1))
			}
		}
		// Gossip may miss one or two; the next exchange of state does not.
		most := within(t, 5*time.Second, "nearly everybody knows everybody", pairs(0.9))
		every := within(t, 2*time.Minute, "everybody knows everybody", pairs(1))
		t.Logf("of %d nodes 90 %% of the pairs know each other after %v, all %v later", size, most, every)
		within(t, time.Second, "everybody is a member", func() bool {
			return all(nodes, func(n *node) bool { return n.pool.Members() == size })
		})
		story(t, net, nodes)
	})
}

// Nodes that join in one instant know each other soon, whatever gossip leaves out.
func TestManyJoinAtOnce(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			net := &gossiptest.Network{Latency: 20 * time.Millisecond}
			var nodes []*node
			for i := range 8 {
				n := newNode(t, i+1)
				n.start(net)
				nodes = append(nodes, n)
			}
			for _, n := range nodes[1:] {
				go n.join(nodes[0])
			}
			within(t, 3*meetAfter, "everybody knows everybody", func() bool {
				return all(nodes, func(n *node) bool {
					n.mu.Lock()
					defer n.mu.Unlock()
					return len(n.heard) == len(nodes)-1
				})
			})
		})
	}
}

func others(nodes []*node, not *node) (out []*node) {
	for _, n := range nodes {
		if n != not {
			out = append(out, n)
		}
	}
	return out
}

// spreads waits until all the others have heard the node's newest record.
func spreads(t *testing.T, n *node, nodes []*node) {
	t.Helper()
	ignorant := func() (count int) {
		for _, o := range others(nodes, n) {
			if !o.knows(n.id, n.seq) {
				count++
			}
		}
		return count
	}
	// Gossip may miss one; the next exchange of state does not.
	most := within(t, 5*time.Second, "nearly all know the new record", func() bool { return ignorant() <= 1 })
	every := within(t, 2*time.Minute, "all know the new record", func() bool { return ignorant() == 0 })
	t.Logf("all but one know the new record after %v, all %v later", most, every)
}

func TestRecordsSpread(t *testing.T) {
	for _, size := range []int{2, 8, 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inPool(t, size, func(t *testing.T, _ *gossiptest.Network, nodes []*node) {
				n := nodes[size-1]
				for range 5 { // the last of a quick series counts
					n.seq++
					if err := n.pool.SetRecord(n.record()); err != nil {
						t.Fatal(err)
					}
				}
				spreads(t, n, nodes)
				for _, o := range nodes {
					if o.rumours() > 0 {
						t.Errorf("%s thinks that somebody is gone", o.id.Brief())
					}
				}
			})
		})
	}
}

func TestNewAddressSpreads(t *testing.T) {
	inPool(t, 8, func(t *testing.T, _ *gossiptest.Network, nodes []*node) {
		n := nodes[5]
		n.addr = netip.MustParseAddrPort("[2001:db8::1]:7000")
		n.seq++
		if err := n.pool.SetRecord(n.record()); err != nil {
			t.Fatal(err)
		}
		spreads(t, n, nodes)
	})
}

func TestKilledNodeIsGone(t *testing.T) {
	for _, size := range []int{8, 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inPool(t, size, func(t *testing.T, _ *gossiptest.Network, nodes []*node) {
				dead := nodes[3]
				dead.host.Detach()
				dead.pool.Close()
				rest := others(nodes, dead)
				took := within(t, 15*time.Second, "the dead is gone", func() bool {
					return all(rest, func(n *node) bool { return n.thinksGone(dead.id) })
				})
				t.Logf("a crash is known to all of %d after %v", size, took)
				for _, n := range rest {
					if n.rumours() != 1 || n.pool.Members() != size-1 {
						t.Errorf("%s has %d members and %d rumours", n.id.Brief(), n.pool.Members(), n.rumours())
					}
				}
			})
		})
	}
}

func TestLeaverIsGoneAtOnce(t *testing.T) {
	inPool(t, 30, func(t *testing.T, _ *gossiptest.Network, nodes []*node) {
		leaver := nodes[7]
		start := time.Now()
		leaver.pool.Leave(2 * time.Second)
		within(t, 100*time.Millisecond, "the leaver is gone", func() bool {
			return all(others(nodes, leaver), func(n *node) bool { return n.thinksGone(leaver.id) })
		})
		t.Logf("a leave is said and known to all after %v", time.Since(start))
	})
}

func TestRestartedNodeComesBack(t *testing.T) {
	inPool(t, 8, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		n := nodes[2]
		for range 3 { // so that its incarnation is beyond that of a new start
			n.seq++
			if err := n.pool.SetRecord(n.record()); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
		}
		n.host.Detach()
		n.pool.Close()
		n.seq++
		n.start(net)
		n.join(nodes[6])
		spreads(t, n, nodes)
		pass(20 * time.Second)
		if !all(nodes, func(o *node) bool { return o.pool.Members() == len(nodes) && o.rumours() == 0 }) {
			t.Error("the restart cost a member")
		}
	})
}

func TestLossDoesNotKill(t *testing.T) {
	inPool(t, 8, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		net.SetLoss(0.2)
		pass(2 * time.Minute)
		if !all(nodes, func(n *node) bool { return n.rumours() == 0 }) {
			t.Error("20 % loss made somebody gone")
		}
	})
}

func TestOwnRecordIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, other := newNode(t, 1), newNode(t, 2)
		net := &gossiptest.Network{}
		noAddr := membership.Record{Node: n.id, Seq: 1, TTL: time.Minute}.Sign(n.key)
		for what, raw := range map[string][]byte{"none": nil, "another's": other.record(), "without address": noAddr} {
			cfg := Config{Self: n.id, Carrier: net.Attach(n.id, n.addr), Record: raw}
			if _, err := Start(cfg); err == nil {
				t.Errorf("started with the record: %s", what)
			}
		}
		n.start(net)
		if err := n.pool.SetRecord(other.record()); err == nil {
			t.Error("took another's record for ours")
		}
		n.pool.Close()
		n.pool.Close()
		n.pool.Leave(time.Second) // after the end it does nothing
	})
}

func TestJoinOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1)
		n.start(&gossiptest.Network{})
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		start := time.Now()
		joined, err := n.pool.Join(ctx, []string{"10.9.9.9:1", n.addr.String()})
		if joined != 0 || err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("joined %d, %v, after %v", joined, err, time.Since(start))
		}
		if joined, err := n.pool.Join(ctx, nil); joined != 0 || err != nil {
			t.Errorf("joined %d of none: %v", joined, err)
		}
	})
}
