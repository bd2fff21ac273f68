package overlay

import (
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// The messages of pull. They name the stream by its tag, for they are the most
// frequent ones: all together they may cost 0.3 % of the stream.

// Run is a stretch of blocks, both ends included.
type Run struct{ First, Last uint64 }

// Piece is some shards of one block: bit i is that of stripe i.
type Piece struct {
	Number  uint64 // below 2^32
	Stripes uint64
	// After is how long whoever is asked waits before it sends these shards, unless
	// a Cancel comes: they may not be needed. Only in Want; whole steps of 10 ms.
	After time.Duration
}

// Window tells a neighbour what the sender holds: of the blocks in Runs all shards
// of the stripes that it carries, but those in Holes. With Live the last run goes on
// at the pace of the stream. The first Window says that the sender would be a
// neighbour: with Ask it wants a Window in return, or a Part.
//
//	kind 13 | tag 8 | epoch 4 | flags 1 | stripes 8 | count 1 | runs: first 4, last 4 |
//	count 1 | holes: number 4, stripes 8
//	flags: 1 ask, 2 live, 4 lonely
type Window struct {
	Tag     stripe.Tag
	Epoch   uint32
	Ask     bool // answer with yours
	Live    bool // the last run goes on
	Lonely  bool // the sender has few neighbours
	Stripes uint64
	Runs    []Run   // ascending, up to MaxRuns
	Holes   []Piece // ascending, up to MaxHoles
}

// Holes tells a neighbour what changed since the last Window: shards that are
// missing in a block, or, without stripes, that none is any more. Newest is the
// last block of the last run by now.
//
//	kind 14 | tag 8 | newest 4 | count 1 | number 4, stripes 8 each
type Holes struct {
	Tag    stripe.Tag
	Newest uint64
	Holes  []Piece
}

// Want asks a neighbour for shards.
//
//	kind 15 | tag 8 | count 1 | number 4, stripes 8, after 1 (10 ms) each
type Want struct {
	Tag    stripe.Tag
	Pieces []Piece
}

// Lack answers Want: these shards do not come, for they are not there, or because
// the sender has no room for them.
//
//	kind 16 | tag 8 | flags 1 | count 1 | number 4, stripes 8 each
//	flags: 1 busy
type Lack struct {
	Tag    stripe.Tag
	Busy   bool
	Pieces []Piece
}

// Cancel takes back what was asked by Want and has not come.
//
//	kind 17 | tag 8 | count 1 | number 4, stripes 8 each
type Cancel struct {
	Tag    stripe.Tag
	Pieces []Piece
}

// Part says that the sender is no neighbour, or will not be one.
//
//	kind 18 | tag 8
type Part struct{ Tag stripe.Tag }

// afterStep is the unit of Piece.After on the wire.
const afterStep = 10 * time.Millisecond

// windowed is a message of pull; ok says whether its fields are in range.
type windowed interface {
	ok() bool
	of() stripe.Tag
}

func (m *Window) of() stripe.Tag { return m.Tag }
func (m *Holes) of() stripe.Tag  { return m.Tag }
func (m *Want) of() stripe.Tag   { return m.Tag }
func (m *Lack) of() stripe.Tag   { return m.Tag }
func (m *Cancel) of() stripe.Tag { return m.Tag }
func (m *Part) of() stripe.Tag   { return m.Tag }

// PullOf is the stream whose Puller takes a message; ok is false if it is not of pull.
func PullOf(m Message) (tag stripe.Tag, ok bool) {
	p, ok := m.(windowed)
	if ok {
		tag = p.of()
	}
	return tag, ok
}

func (m *Window) ok() bool {
	for i, r := range m.Runs {
		if r.First > r.Last || i > 0 && r.First <= m.Runs[i-1].Last {
			return false
		}
	}
	return len(m.Runs) <= MaxRuns && len(m.Holes) <= MaxHoles && ascend(m.Holes) && (!m.Live || len(m.Runs) > 0)
}

func (m *Holes) ok() bool  { return len(m.Holes) <= MaxHoles && ascend(m.Holes) }
func (m *Want) ok() bool   { return asks(m.Pieces) }
func (m *Lack) ok() bool   { return asks(m.Pieces) }
func (m *Cancel) ok() bool { return asks(m.Pieces) }
func (m *Part) ok() bool   { return true }

// ascend reports whether no block comes twice, and none before a lower one.
func ascend(pieces []Piece) bool {
	for i := 1; i < len(pieces); i++ {
		if pieces[i].Number <= pieces[i-1].Number {
			return false
		}
	}
	return true
}

// asks reports whether pieces name some shards, each waiting no longer than it may.
func asks(pieces []Piece) bool {
	for _, p := range pieces {
		if p.Stripes == 0 || p.After > MaxAfter {
			return false
		}
	}
	return len(pieces) >= 1 && len(pieces) <= MaxPieces
}

func (*Window) kind() uint8 { return 13 }
func (*Holes) kind() uint8  { return 14 }
func (*Want) kind() uint8   { return 15 }
func (*Lack) kind() uint8   { return 16 }
func (*Cancel) kind() uint8 { return 17 }
func (*Part) kind() uint8   { return 18 }

const (
	flagAsk = 1 << iota
	flagLive
	flagLonely
)

func (m *Window) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U32(m.Epoch)
	w.U8(bit(m.Ask, flagAsk) | bit(m.Live, flagLive) | bit(m.Lonely, flagLonely))
	w.U64(m.Stripes)
	w.U8(uint8(len(m.Runs)))
	for _, r := range m.Runs {
		w.U32(uint32(r.First))
		w.U32(uint32(r.Last))
	}
	writePieces(w, m.Holes)
}

func (m *Window) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Epoch = r.U32()
	flags := r.U8()
	m.Ask, m.Live, m.Lonely = flags&flagAsk != 0, flags&flagLive != 0, flags&flagLonely != 0
	m.Stripes = r.U64()
	n := int(r.U8())
	for i := 0; i < n && r.Err() == nil; i++ {
		m.Runs = append(m.Runs, Run{First: uint64(r.U32()), Last: uint64(r.U32())})
	}
	m.Holes = readPieces(r)
}

func (m *Holes) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U32(uint32(m.Newest))
	writePieces(w, m.Holes)
}

func (m *Holes) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Newest = uint64(r.U32())
	m.Holes = readPieces(r)
}

func (m *Want) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U8(uint8(len(m.Pieces)))
	for _, p := range m.Pieces {
		w.U32(uint32(p.Number))
		w.U64(p.Stripes)
		w.U8(uint8(min(p.After/afterStep, 0xff)))
	}
}

func (m *Want) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	n := int(r.U8())
	for i := 0; i < n && r.Err() == nil; i++ {
		p := Piece{Number: uint64(r.U32()), Stripes: r.U64()}
		p.After = time.Duration(r.U8()) * afterStep
		m.Pieces = append(m.Pieces, p)
	}
}

func (m *Lack) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	w.U8(bit(m.Busy, flagBusy))
	writePieces(w, m.Pieces)
}

func (m *Lack) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Busy = r.U8()&flagBusy != 0
	m.Pieces = readPieces(r)
}

const flagBusy = 1

func (m *Cancel) write(w *wire.Writer) {
	w.Raw(m.Tag[:])
	writePieces(w, m.Pieces)
}

func (m *Cancel) read(r *wire.Reader) {
	r.Copy(m.Tag[:])
	m.Pieces = readPieces(r)
}

func (m *Part) write(w *wire.Writer) { w.Raw(m.Tag[:]) }
func (m *Part) read(r *wire.Reader)  { r.Copy(m.Tag[:]) }

func bit(on bool, b uint8) uint8 {
	if on {
		return b
	}
	return 0
}

func writePieces(w *wire.Writer, pieces []Piece) {
	w.U8(uint8(len(pieces)))
	for _, p := range pieces {
		w.U32(uint32(p.Number))
		w.U64(p.Stripes)
	}
}

func readPieces(r *wire.Reader) []Piece {
	n := int(r.U8())
	var pieces []Piece
	for i := 0; i < n && r.Err() == nil; i++ {
		pieces = append(pieces, Piece{Number: uint64(r.U32()), Stripes: r.U64()})
	}
	return pieces
}
