package playout

import "github.com/stripecast/stripecast/stripe"

// Input is what Handle takes: Block, Head, Wake or Stop.
type Input interface{ input() }

// Block is a rebuilt block. The buffer keeps Data and hands it out unchanged.
type Block struct {
	Header stripe.Header
	Data   []byte
	Parity bool // rebuilding it took parity
}

// Head says that a block's header was seen and verified, whether or not the
// block can be rebuilt. It tells when the block's turn is, that its
// predecessors are late, and whether it could be the start.
type Head struct {
	Epoch      uint32
	Number     uint64
	SourceTime int64 // ms
	Flags      stripe.Flags
}

// HeadOf is the Head of a header.
func HeadOf(h *stripe.Header) Head {
	return Head{Epoch: h.Epoch, Number: h.Number, SourceTime: h.SourceTime, Flags: h.Flags}
}

// Wake says that the Deadline has come; at any other time it is harmless.
type Wake struct{}

// Stop ends playing: all that is held plays now, in order, then Ended.
// Nothing is accepted afterwards.
type Stop struct{}

func (Block) input() {}
func (Head) input()  {}
func (Wake) input()  {}
func (Stop) input()  {}

// Output is what Handle returns: Play, Skip, Epoch or Ended.
type Output interface{ output() }

// Play is the next block of the stream, due now.
type Play struct {
	Header stripe.Header
	Data   []byte
	// Skipped is how many blocks were skipped right before this one.
	Skipped int
	// Discontinuity: this block does not continue what played before it, because
	// blocks were skipped or a new epoch began. The first block ever does not
	// set it.
	Discontinuity bool
}

// Skip says that the blocks From … To, inclusive, will not play: they were
// missing when their turn came.
type Skip struct{ From, To uint64 }

// Epoch says that a higher epoch began. Nothing of an older one plays any more.
type Epoch struct {
	Epoch   uint32
	Dropped int // rebuilt blocks of the old epoch that did not get their turn
}

// Ended says that the epoch's last block played (or was skipped), or that Stop
// has played out. Only a higher epoch, and not after Stop, plays again.
type Ended struct{}

func (Play) output()  {}
func (Skip) output()  {}
func (Epoch) output() {}
func (Ended) output() {}
