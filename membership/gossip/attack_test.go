package gossip

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/membership/gossip/gossiptest"
	"github.com/stripecast/stripecast/relay/quicnet"
	"github.com/stripecast/stripecast/test/memnet"
)

// attacker is an authenticated peer that says what it likes.
type attacker struct {
	who
	host *gossiptest.Host
}

func newAttacker(net *gossiptest.Network) *attacker {
	a := &attacker{who: mallory}
	a.host = net.Attach(a.id, netip.MustParseAddrPort("10.66.66.66:1"))
	return a
}

func (a *attacker) send(to *node, packets ...[]byte) {
	for _, b := range packets {
		a.host.SendPacket(to.id, to.addr.String(), b)
	}
}

// stream sends one message on a stream and returns how many bytes came back.
func (a *attacker) stream(to *node, b []byte) (n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, _, err := a.host.OpenStream(ctx, to.id, to.addr.String())
	if err != nil {
		return 0
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write(b)
	buf := make([]byte, 64<<10)
	for {
		got, err := c.Read(buf)
		if n += got; err != nil {
			return n
		}
	}
}

// unharmed says that the pool is as it was: everybody a member, no rumour, and
// nobody heard of but those who are.
func unharmed(t *testing.T, nodes []*node) {
	t.Helper()
	for i, n := range nodes {
		n.mu.Lock()
		heard := len(n.heard)
		n.mu.Unlock()
		if n.pool.Members() != len(nodes) || n.rumours() > 0 || heard != len(nodes)-1 {
			t.Errorf("node %d: %d members, %d rumours, %d heard; refused %v",
				i, n.pool.Members(), n.rumours(), heard, n.pool.Refused())
		}
	}
}

func TestForgeriesForAllHarmNobody(t *testing.T) {
	inPool(t, 8, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		a := newAttacker(net)
		for second := range 20 {
			for _, to := range nodes {
				for _, about := range nodes {
					name := about.id.String()
					inc := uint32(second + 1)
					a.send(to, encode(dead{inc, name, name}), encode(dead{inc, name, a.name}),
						encode(suspect{inc, name, nodes[0].id.String()}),
						encode(alive{MaxIncarnation - 1, name, about.record(), versions}),
						encode(alive{inc, name, nil, versions}),
						encode(ping{1, to.id.String(), name}))
				}
				a.send(to, bomb(1100), []byte{kindCompound, 255})
			}
			pass(time.Second)
		}
		pass(20 * time.Second)
		unharmed(t, nodes)
	})
}

// Raising an incarnation as far as it goes must not shut its owner out.
func TestRaisedIncarnationShutsNobodyOut(t *testing.T) {
	inPool(t, 8, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		pass(2 * LearnTime) // memberlist believes nobody about itself any longer
		a, n := newAttacker(net), nodes[3]
		for range 10 {
			for _, to := range nodes {
				for inc := uint32(1); inc < 1<<12; inc *= 2 {
					a.send(to, encode(alive{inc, n.id.String(), n.record(), versions}), encode(suspect{inc, n.id.String(), a.name}))
				}
				a.send(to, encode(alive{MaxIncarnation - 1, n.id.String(), n.record(), versions}))
			}
			pass(time.Second)
		}
		n.seq++
		if err := n.pool.SetRecord(n.record()); err != nil {
			t.Fatal(err)
		}
		spreads(t, n, nodes)
		pass(20 * time.Second)
		unharmed(t, nodes)
		n.host.Detach()
		n.pool.Close()
		within(t, 20*time.Second, "it is gone when it is", func() bool {
			return all(others(nodes, n), func(o *node) bool { return o.thinksGone(n.id) })
		})
	})
}

func TestFloodOfRecordsIsMetered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &gossiptest.Network{Latency: time.Millisecond}
		n := newNode(t, 1)
		n.start(net)
		a := newAttacker(net)
		for second := range 5 {
			for i := range 1000 {
				w := someone(1000 + second*1000 + i)
				// A quarter are real nodes of the attacker's, the rest forged.
				raw := w.record(1, netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(i), byte(i >> 8), 1}), 1).String())
				if i%4 > 0 {
					raw[len(raw)-1] ^= 1
				}
				a.send(n, encode(alive{1, w.name, raw, versions}))
			}
			pass(time.Second)
		}
		n.mu.Lock()
		heard := len(n.heard)
		n.mu.Unlock()
		if most := RecordBurst + 5*RecordRate; heard == 0 || heard > most || n.pool.Members() > most {
			t.Errorf("%d heard, %d members, of at most %d; refused %v", heard, n.pool.Members(), most, n.pool.Refused())
		}
	})
}

func TestStreamsAreMetered(t *testing.T) {
	inPool(t, 2, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		a := newAttacker(net)
		hello := encodeExchange(false, nil)
		answered := 0
		for range 100 {
			if a.stream(nodes[0], hello) > 0 {
				answered++
			}
		}
		if answered == 0 || answered > StreamBurst+5 {
			t.Errorf("%d of 100 exchanges were answered", answered)
		}
		pass(time.Minute)
		// A million nodes are not even waited for.
		if n := a.stream(nodes[0], pack(kindExchange, theirHeader{1 << 20, 0, true})); n > 0 {
			t.Errorf("%d bytes for a million nodes", n)
		}
		// Streams that say nothing: as many as a peer may have, and for as long as
		// memberlist waits.
		open := func() muteStream { return a.mute(nodes[0]) }
		var mute []muteStream
		for range MaxPeerStreams + 1 {
			mute = append(mute, open())
		}
		synctest.Wait()
		if !mute[MaxPeerStreams].closed() || mute[0].closed() {
			t.Error("the streams of one peer are not bounded")
		}
		pass(11 * time.Second)
		if !mute[0].closed() {
			t.Error("a mute stream lives on")
		}
		unharmed(t, nodes)
	})
}

// muteStream is a stream on which nothing is said.
type muteStream struct{ net.Conn }

func (a *attacker) mute(to *node) muteStream {
	c, _, err := a.host.OpenStream(context.Background(), to.id, to.addr.String())
	if err != nil {
		to.t.Fatal(err)
	}
	return muteStream{c}
}

func (c muteStream) closed() bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	ne, timeout := err.(net.Error)
	return !timeout || !ne.Timeout()
}

// An ack goes to who asked, whatever address the ping gives.
func TestPingsReflectNothing(t *testing.T) {
	inPool(t, 2, func(t *testing.T, net *gossiptest.Network, nodes []*node) {
		a := newAttacker(net)
		victim := net.Attach(bob.id, netip.MustParseAddrPort("198.51.100.7:53"))
		p := theirPing{7, nodes[0].id.String(), []byte{198, 51, 100, 7}, 53, a.name}
		a.send(nodes[0], pack(kindPing, p))
		p.SourceNode = bob.name
		a.send(nodes[0], pack(kindPing, p))
		pass(time.Second)
		if got := len(a.host.Packets()); got != 1 {
			t.Errorf("%d answers to the one who asked", got)
		}
		if b := (<-a.host.Packets()).Bytes; !bytes.Contains(b, []byte("SeqNo\x07")) {
			t.Errorf("the answer is %q", b)
		}
		if got := len(victim.Packets()); got != 0 {
			t.Errorf("%d packets to the victim", got)
		}
	})
}

// The same over QUIC, as in the program.
func TestPoolOverQUIC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memnet.New(rand.New(rand.NewPCG(1, 2)), memnet.Link{Delay: 20 * time.Millisecond})
		t.Cleanup(func() { network.Close() })
		var nodes []*node
		var nets []*quicnet.Net
		for i := range 5 {
			n := newNode(t, i+1)
			e, err := network.Listen()
			if err != nil {
				t.Fatal(err)
			}
			q, err := quicnet.Open(quicnet.Config{Key: n.key, PacketConn: e})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(q.Close)
			go func() {
				for range q.Events() {
				}
			}()
			n.addr = q.Addr()
			n.run(q)
			nodes, nets = append(nodes, n), append(nets, q)
		}
		for _, n := range nodes[1:] {
			n.join(nodes[0])
		}
		within(t, time.Minute, "everybody knows everybody", func() bool {
			return all(nodes, func(n *node) bool { return n.pool.Members() == len(nodes) })
		})
		n := nodes[2]
		n.seq++
		if err := n.pool.SetRecord(n.record()); err != nil {
			t.Fatal(err)
		}
		spreads(t, n, nodes)

		nets[4].Kill()
		nodes[4].pool.Close()
		took := within(t, 15*time.Second, "the dead is gone", func() bool {
			return all(nodes[:4], func(o *node) bool { return o.thinksGone(nodes[4].id) })
		})
		t.Logf("a crash is known to all of 5 after %v", took)
		nodes[3].pool.Leave(time.Second)
		within(t, time.Second, "the leaver is gone", func() bool {
			return all(nodes[:3], func(o *node) bool { return o.thinksGone(nodes[3].id) })
		})
		for _, n := range nodes {
			if n.thinksGone(nodes[0].id) || n.thinksGone(membership.NodeID{}) {
				t.Error("the living are gone")
			}
			var none [reasons]uint64
			if refused := n.pool.Refused(); refused != none {
				t.Logf("refused among friends: %v", refused)
			}
		}
	})
}
