package overlay_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// participant is a Forest, and what else its owner has.
type participant struct {
	name   string
	key    ed25519.PrivateKey
	id     membership.NodeID
	book   *membership.Book
	forest *overlay.Forest
}

func newParticipant(now time.Time, name string, seed byte, info stripe.Info, cfg overlay.Config) *participant {
	p := &participant{name: name, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
	p.id = membership.NodeIDOf(p.key)
	p.book = membership.NewBook(p.id, nil)
	cfg.Self, cfg.Info = p.id, info
	p.forest = overlay.New(now, cfg, p.book, rand.New(rand.NewPCG(uint64(seed), 0)))
	return p
}

// record is what others know of it.
func (p *participant) record(addr string) []byte {
	return membership.Record{
		Node: p.id, Seq: 1, TTL: time.Minute, Slots: 20, Addrs: []netip.AddrPort{netip.MustParseAddrPort(addr)},
		Streams: []membership.Carried{p.forest.Advert()},
	}.Sign(p.key)
}

// A viewer finds the source and is fed by it. The Forest has no socket and no clock: its
// owner says what time it is and what came, and does what it asks for.
func Example() {
	now := time.Unix(1_700_000_000, 0)
	root := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	info := stripe.Info{
		Stream: stripe.IDOf(root), Epoch: 1, Seq: 1, Layout: stripe.Layout{K: 3, M: 1}, BlockTime: 100 * time.Millisecond,
		Rate: 1_000_000, Root: membership.NodeIDOf(root), Name: "film",
	}
	source := newParticipant(now, "source", 1, info, overlay.Config{Source: true, Slots: 20})
	viewer := newParticipant(now, "viewer", 2, info, overlay.Config{All: true})
	for s := range info.Layout.N() {
		source.forest.Got(now, source.id, s, 0) // it publishes a block
	}
	if _, err := viewer.book.Add(now, source.record("192.0.2.10:7070")); err != nil {
		fmt.Println(err)
		return
	}
	source.forest.Up(now, viewer.id)
	viewer.forest.Up(now, source.id)

	fed := 0
	for range 20 { // steps of 50 ms
		for _, p := range []*participant{source, viewer} {
			other := map[*participant]*participant{source: viewer, viewer: source}[p]
			p.forest.Step(now)
			for _, o := range p.forest.Take() {
				switch o := o.(type) {
				case overlay.Send:
					other.forest.Heard(now, p.id, o.Msg)
				case overlay.Feed:
					fed++
				}
			}
		}
		now = now.Add(50 * time.Millisecond)
	}
	ids, stripes := viewer.forest.Parents()
	fmt.Println("the source feeds", fed, "stripes; the viewer takes", stripes, "from", len(ids), "parent, the source:", ids[0] == source.id)
	// Output: the source feeds 4 stripes; the viewer takes [4] from 1 parent, the source: true
}
