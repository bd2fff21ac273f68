package relay

import (
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// Input is something that happened to a participant. The set is closed.
type Input interface{ input() }

// Up: a peer is connected.
type Up struct{ Peer membership.NodeID }

// Down: a peer is gone, or dialling it failed.
type Down struct {
	Peer   membership.NodeID
	Dialed bool // it was never up: dialling failed
	Unused bool // it was closed for want of use: the peer is well
}

// Heard: a peer said something.
type Heard struct {
	Peer membership.NodeID
	Msg  overlay.Message
}

// Arrived: a peer sent an encoded shard. The Core keeps the bytes.
type Arrived struct {
	Peer  membership.NodeID
	Shard []byte
}

// Checked is the result of Check.
type Checked struct {
	Check
	Root    stripe.Root
	Verdict Verdict
}

// Rebuilt is the result of Rebuild. Shards is nil if the shards, each genuine,
// are not a codeword: the source signed nonsense.
type Rebuilt struct {
	Stream stripe.ID
	Epoch  uint32
	Number uint64
	Old    bool // it is of the past
	Parity bool // a data shard was missing
	Shards []*stripe.Shard
	Data   []byte
}

// Learned: gossip brought a record.
type Learned struct{ Record []byte }

// Rumour: gossip thinks that a node is gone.
type Rumour struct{ Node membership.NodeID }

// Measured: the transport measured the way to a peer.
type Measured struct {
	Peer        membership.NodeID
	RTT, RTTVar time.Duration
}

// Quiet: a connected peer acknowledges nothing for a while, or does so again. Its
// place may go to others meanwhile.
type Quiet struct {
	Peer membership.NodeID
	On   bool
}

// Capacity: there is another figure for the room for children.
type Capacity struct{ Upload float64 } // bits a second

// Sent: so many bytes more were sent, of whatever kind. None only lets time pass, which may
// begin a month.
type Sent struct{ Bytes uint64 }

// Permit: there are other lists of those streams that Config.Any takes up, as Config.Allow
// and Config.Deny. One that is carried and may not be any more is left; one named in
// Config.Streams stays.
type Permit struct{ Allow, Deny []stripe.ID }

// Announce makes the participant the source of a stream, or changes its info.
// Info is signed.
type Announce struct{ Info []byte }

// Publish: the source sealed a block.
type Publish struct{ Shards []*stripe.Shard }

// Leave: say goodbye; Left follows when it is done.
type Leave struct{}

// Wake: the time that Deadline named has come.
type Wake struct{}

func (Up) input()       {}
func (Down) input()     {}
func (Heard) input()    {}
func (Arrived) input()  {}
func (Checked) input()  {}
func (Rebuilt) input()  {}
func (Learned) input()  {}
func (Rumour) input()   {}
func (Measured) input() {}
func (Capacity) input() {}
func (Sent) input()     {}
func (Quiet) input()    {}
func (Permit) input()   {}
func (Announce) input() {}
func (Publish) input()  {}
func (Leave) input()    {}
func (Wake) input()     {}

// Output is something a participant wants done. The set is closed.
type Output interface{ output() }

// Say: send a message to a connected peer.
type Say struct {
	Peer membership.NodeID
	Msg  overlay.Message
}

// Forward: send a shard to a child; drop it as an Outbox does.
type Forward struct {
	Peer    membership.NodeID
	Shard   *stripe.Shard
	Expires time.Time
	Pulled  bool // the peer is a neighbour that asked for it
}

// Dial: connect to a node at one of its addresses.
type Dial struct {
	Peer  membership.NodeID
	Addrs []netip.AddrPort
}

// Lanes: keep this many connections to a parent.
type Lanes struct {
	Peer  membership.NodeID
	Count int
}

// Pin: the connection to a peer is needed, or not any more.
type Pin struct {
	Peer membership.NodeID
	On   bool
}

// Hangup: end the connection to a peer that misbehaved.
type Hangup struct {
	Peer   membership.NodeID
	Reason string
}

// Advertise: spread our own signed record.
type Advertise struct{ Record []byte }

// Opened: the stream's info is known, or changed.
type Opened struct {
	Info stripe.Info
	Raw  []byte // the same, signed; not to be changed
}

// Seen: a block exists; its first shard was proved. Only with Play.
type Seen struct{ Header stripe.Header }

// Deliver: a block was rebuilt. Only with Play.
type Deliver struct {
	Header stripe.Header
	Data   []byte
	Parity bool // a data shard was missing
}

// Keep: a genuine shard that came, was published or was made to be passed on is held
// from now on; it may go to disk. Only with Config.Keep.
type Keep struct{ Shard *stripe.Shard }

// Left: the goodbye is over.
type Left struct{}

// Check is work: does the stream's source vouch for this shard? Do gives Checked.
type Check struct {
	Peer  membership.NodeID
	Shard *stripe.Shard
	// Known is what was proved of the block before, or nil. A shard that agrees
	// with it needs no signature check.
	Known *Proof
	Old   bool // it is of the past
}

// Proof is what the source's signature was found to vouch for.
type Proof struct {
	Header stripe.Header
	Root   stripe.Root
	Sig    [64]byte
}

// Rebuild is work: make the block from k shards. Do gives Rebuilt.
type Rebuild struct {
	Coder  *fec.Coder
	Shards []*stripe.Shard // by index; nil where missing
	Old    bool            // it is of the past
}

func (Say) output()       {}
func (Forward) output()   {}
func (Dial) output()      {}
func (Lanes) output()     {}
func (Pin) output()       {}
func (Hangup) output()    {}
func (Advertise) output() {}
func (Opened) output()    {}
func (Seen) output()      {}
func (Deliver) output()   {}
func (Keep) output()      {}
func (Left) output()      {}
func (Check) output()     {}
func (Rebuild) output()   {}

// Work is an Output that is pure computation: run Do anywhere, hand the Input back.
type Work interface {
	Output
	Do() Input
}

// Verdict says what Check found.
type Verdict uint8

const (
	// Genuine: the source made this shard.
	Genuine Verdict = iota
	// Forged: it did not; whoever sent it is to blame.
	Forged
	// Equivocal: it did, but signed another root for the same block before. No
	// relay is to blame.
	Equivocal
)

// Do checks the shard: 3 µs for 4 KB if the root is known, 45 µs if not.
func (c Check) Do() Input { return c.DoWith(stripe.CheckSeal) }

// DoWith is Do with another way to find out whether the source signed a header
// and root: where a thousand participants share one process, one may remember.
func (c Check) DoWith(signed func(h *stripe.Header, root stripe.Root, sig *[64]byte) bool) Input {
	root := c.Shard.Root()
	done := Checked{Check: c, Root: root}
	switch {
	case c.Known != nil && *c.Known == Proof{c.Shard.Header, root, c.Shard.Sig}:
	case !signed(&c.Shard.Header, root, &c.Shard.Sig):
		done.Verdict = Forged
	case c.Known != nil:
		done.Verdict = Equivocal
	}
	return done
}

// Do rebuilds the block and compares its root with the signed one.
func (r Rebuild) Do() Input {
	have := make([][]byte, len(r.Shards))
	var of *stripe.Shard
	done := Rebuilt{Old: r.Old}
	for i, s := range r.Shards {
		switch {
		case s != nil:
			of, have[i] = s, s.Data
		case i < r.Coder.Layout().K:
			done.Parity = true
		}
	}
	done.Stream, done.Epoch, done.Number = of.Stream, of.Epoch, of.Number
	all, err := r.Coder.Rebuild(have)
	if err != nil {
		return done // k shards of one length were counted before
	}
	if shards, ok := stripe.Reseal(of, all); ok {
		done.Shards, done.Data = shards, r.Coder.Join(all, of.DataLen)
	}
	return done
}
