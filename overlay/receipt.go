package overlay

import (
	"crypto/ed25519"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Receipts say who gives: whoever gets shards from a peer signs how many, once a
// period, and the peer shows that to its own parents when they have to choose.
// After J. J. D. Mol et al., "Give-to-Get: Free-riding-resilient Video-on-Demand in
// P2P Systems", MMCN 2008, where grandchildren are asked themselves.

// Receipt is a taker's word on one giver and period.
type Receipt struct {
	Taker  membership.NodeID
	Period uint32 // as PeriodOf tells
	Shards uint16 // genuine ones that were new to the taker
	Sig    [ed25519.SignatureSize]byte
}

// Thanks brings the giver a Receipt; its taker is the sender.
//
//	kind 19 | tag 8 | epoch 4 | period 4 | shards 2 | signature 64
type Thanks struct {
	Tag     stripe.Tag
	Epoch   uint32
	Receipt Receipt
}

// Show asks for Receipts: the sender has more who want to be fed than slots.
//
//	kind 20 | tag 8
type Show struct{ Tag stripe.Tag }

// Receipts answers Show with what others said of the sender, MaxReceipts at most.
//
//	kind 21 | tag 8 | epoch 4 | count 1 | (taker 32, period 4, shards 2, signature 64) each
type Receipts struct {
	Tag   stripe.Tag
	Epoch uint32
	Of    []Receipt
}

// receiptDomain begins what is signed: domain, stream 32, epoch 4, giver 32, taker 32,
// period 4, shards 2.
const receiptDomain = "stripecast receipt v1\x00"

func (r *Receipt) signed(info *stripe.Info, giver membership.NodeID) []byte {
	w := wire.Writer{B: make([]byte, 0, 128)}
	w.Raw([]byte(receiptDomain))
	w.Raw(info.Stream[:])
	w.U32(info.Epoch)
	w.Raw(giver[:])
	w.Raw(r.Taker[:])
	w.U32(r.Period)
	w.U16(r.Shards)
	return w.B
}

// SignReceipt is the word of the taker whose key it is.
func SignReceipt(key ed25519.PrivateKey, info *stripe.Info, giver membership.NodeID, period uint32, shards int) Receipt {
	r := Receipt{Taker: membership.NodeIDOf(key), Period: period, Shards: uint16(min(shards, 0xffff))}
	copy(r.Sig[:], ed25519.Sign(key, r.signed(info, giver)))
	return r
}

// Valid reports whether the taker's key is sound and signed this of giver. It costs a
// signature check.
func (r *Receipt) Valid(info *stripe.Info, giver membership.NodeID) bool {
	return stripe.CheckKey(r.Taker) == nil && ed25519.Verify(r.Taker[:], r.signed(info, giver), r.Sig[:])
}

// Recent reports whether a receipt is new enough to count in a period. Clocks are the
// stream's, but not everybody has its newest block.
func (r *Receipt) Recent(period uint32) bool {
	return r.Period <= period+1 && r.Period+receiptPeriods >= period
}

// blocksAPeriod is how many blocks ReceiptEvery holds.
func blocksAPeriod(info *stripe.Info) uint64 {
	return max(1, uint64(ReceiptEvery/max(info.BlockTime, time.Millisecond)))
}

// PeriodOf is in which period a block lies.
func PeriodOf(info *stripe.Info, number uint64) uint32 {
	return uint32(number / blocksAPeriod(info))
}

// Counts is for how many shards a receipt counts: no more than there are in a period.
func (r *Receipt) Counts(info *stripe.Info) int {
	return int(min(uint64(r.Shards), blocksAPeriod(info)*uint64(info.Layout.N())))
}

// Slots is how many slots a giver really uses, by the word of others: shards a block.
// Only recent periods count, each taker once and for no more than there are stripes, and
// who is counted: that is to check the signature too. In units of slots.
func (m *Receipts) Slots(info *stripe.Info, giver membership.NodeID, period uint32, counts func(*Receipt) bool) float64 {
	if m.Epoch != info.Epoch {
		return 0
	}
	shards := 0
	for i := range m.Of {
		r := &m.Of[i]
		if r.Taker == giver || !r.Recent(period) || m.before(i, r.Taker) || !counts(r) {
			continue
		}
		shards += r.Counts(info)
	}
	return float64(shards) / float64(blocksAPeriod(info))
}

// ok reports whether there are not too many. Takers' keys are looked at with their
// signatures, if the receipts were asked for: that costs more than all else here.
func (m *Receipts) ok() bool { return len(m.Of) <= MaxReceipts }

// before reports whether a taker stands among the first i.
func (m *Receipts) before(i int, taker membership.NodeID) bool {
	for j := range m.Of[:i] {
		if m.Of[j].Taker == taker {
			return true
		}
	}
	return false
}

// credited is a message about receipts, which the participant takes, not its Forest.
type credited interface{ credits() stripe.Tag }

func (m *Thanks) credits() stripe.Tag   { return m.Tag }
func (m *Show) credits() stripe.Tag     { return m.Tag }
func (m *Receipts) credits() stripe.Tag { return m.Tag }

// CreditOf is the stream whose receipts a message is about; ok is false if it is about none.
func CreditOf(m Message) (tag stripe.Tag, ok bool) {
	c, ok := m.(credited)
	if ok {
		tag = c.credits()
	}
	return tag, ok
}

func (*Thanks) kind() uint8   { return 19 }
func (*Show) kind() uint8     { return 20 }
func (*Receipts) kind() uint8 { return 21 }

func (m *Thanks) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U32(m.Epoch)
	m.Receipt.write(w)
}

func (m *Thanks) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Epoch = r.U32()
	m.Receipt.read(r)
}

func (m *Show) write(w *wire.Writer) { w.Raw(m.Tag[:]) }
func (m *Show) read(r *wire.Reader)  { r.Copy(m.Tag[:]) }

func (m *Receipts) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U32(m.Epoch)
	w.U8(uint8(len(m.Of)))
	for i := range m.Of {
		w.Raw(m.Of[i].Taker[:])
		m.Of[i].write(w)
	}
}

func (m *Receipts) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Epoch = r.U32()
	n := int(r.U8())
	for i := 0; i < n && r.Err() == nil; i++ {
		var one Receipt
		r.Copy(one.Taker[:])
		one.read(r)
		m.Of = append(m.Of, one)
	}
}

// write and read leave out the taker.
func (r *Receipt) write(w *wire.Writer) {
	w.U32(r.Period)
	w.U16(r.Shards)
	w.Raw(r.Sig[:])
}

func (r *Receipt) read(from *wire.Reader) {
	r.Period = from.U32()
	r.Shards = from.U16()
	from.Copy(r.Sig[:])
}
