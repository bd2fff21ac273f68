package quicnet

import (
	"net"
	"net/netip"

	"github.com/stripecast/stripecast/membership"
)

// Event is what happened: Up, Down, DialFailed, Message or Shard. Those of one
// peer come in order: Up, then messages and shards, then Down.
type Event interface{ event() }

// Up says that a peer's first connection stands.
type Up struct {
	Peer    membership.NodeID
	Addr    netip.AddrPort // where it is, as seen from here
	Dialled bool           // by us
}

// Down says that a peer is gone, with all its connections.
type Down struct {
	Peer   membership.NodeID
	Reason string // for people; printable
	Unused bool   // it was closed for want of use: the peer is well
}

// DialFailed says that a Dial will not lead to an Up. A dial whose peer has
// connected meanwhile fails only if it wanted nobody in particular; Peer then
// says who answered.
type DialFailed struct {
	Peer   membership.NodeID // that was wanted, or zero
	Addr   string            // the first that was given
	Reason string            // for people; of every address that was tried
}

// Message is a control message that a peer has sent.
type Message struct {
	Peer  membership.NodeID
	Bytes []byte // 1 … MaxMessage, the receiver's own
}

// Shard is an encoded shard that a peer has sent, unchecked.
type Shard struct {
	Peer  membership.NodeID
	Bytes []byte // 0 … stripe.MaxShardWire, the receiver's own
}

func (Up) event()         {}
func (Down) event()       {}
func (DialFailed) event() {}
func (Message) event()    {}
func (Shard) event()      {}

// Packet is a gossip packet that a peer has sent.
type Packet struct {
	From  membership.NodeID
	Addr  netip.AddrPort
	Bytes []byte // the receiver's own
}

// Stream is a gossip stream that a peer has opened. Whoever takes it closes it.
type Stream struct {
	From membership.NodeID
	Addr netip.AddrPort
	Conn net.Conn
}
