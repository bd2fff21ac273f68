package quicnet

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/test/memnet"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func testKey(i int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "quicnet test %d", i))
	return ed25519.NewKeyFromSeed(seed[:])
}

// listen opens a node on loopback that is closed with the test.
func listen(t testing.TB, i int, change ...func(*Config)) *Net {
	t.Helper()
	cfg := Config{Key: testKey(i), Listen: "127.0.0.1:0"}
	for _, f := range change {
		f(&cfg)
	}
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// virtual runs f in virtual time with a network of the given links. Nodes that f
// opens must be closed by the end of it; attach does so.
func virtual(t *testing.T, link memnet.Link, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{Network: memnet.New(rand.New(rand.NewPCG(1, 2)), link)}
		defer w.Network.Close()
		defer func() {
			for _, n := range w.nodes {
				n.Close()
			}
		}()
		f(t, w)
	})
}

type world struct {
	*memnet.Network
	nodes []*Net
	made  int
}

// attach opens a node at the next address.
func (w *world) attach(t *testing.T, change ...func(*Config)) (*Net, *memnet.Endpoint) {
	t.Helper()
	e, err := w.Listen()
	if err != nil {
		t.Fatal(err)
	}
	w.made++
	return w.open(t, testKey(w.made), e, change...), e
}

func (w *world) open(t *testing.T, key ed25519.PrivateKey, e *memnet.Endpoint, change ...func(*Config)) *Net {
	t.Helper()
	cfg := Config{Key: key, PacketConn: e}
	for _, f := range change {
		f(&cfg)
	}
	n, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.nodes = append(w.nodes, n)
	return n
}

// await reads events until one of type E that ok accepts; ok may be nil.
func await[E Event](t testing.TB, n *Net, ok func(E) bool) E {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case ev, open := <-n.Events():
			if !open {
				t.Fatalf("events ended before a %T", *new(E))
			}
			if e, is := ev.(E); is && (ok == nil || ok(e)) {
				return e
			}
		case <-late.C:
			t.Fatalf("no %T within %v", *new(E), patience)
		}
	}
}

// quiet fails if an event comes within d; only for virtual time.
func quiet(t testing.TB, n *Net, d time.Duration) {
	t.Helper()
	select {
	case e := <-n.Events():
		t.Fatalf("unexpected %T %+v", e, e)
	case <-time.After(d):
	}
}

// until polls for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// link dials from a to b and waits for both.
func link(t testing.TB, a, b *Net) {
	t.Helper()
	a.Dial(b.ID(), []string{b.Addr().String()})
	up := await[Up](t, a, nil)
	if up.Peer != b.ID() || !up.Dialled || up.Addr != b.Addr() {
		t.Fatalf("dialler: %+v", up)
	}
	if up := await[Up](t, b, nil); up.Peer != a.ID() || up.Dialled || up.Addr != a.Addr() {
		t.Fatalf("dialled: %+v", up)
	}
}

func peerStat(n *Net, id membership.NodeID) PeerStat {
	for _, p := range n.Peers() {
		if p.ID == id {
			return p
		}
	}
	return PeerStat{}
}

func soon(d time.Duration) time.Time { return time.Now().Add(d) }
