package overlay

import (
	"errors"
	"fmt"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Message is one control message between two participants. The set is closed.
type Message interface {
	kind() uint8
	write(*wire.Writer)
	read(*wire.Reader)
}

// Hello is the first message each way on a connection: who I am, in my own
// signed record.
//
//	kind 1 | record 2+…
type Hello struct{ Record []byte }

// Ask wants to know about a stream: its signed info and who carries it.
//
//	kind 2 | stream 32
type Ask struct{ Stream stripe.ID }

// Sample answers Ask, and brings a changed info unasked. Info is empty if the
// answerer does not know the stream.
//
//	kind 3 | stream 32 | info 2+… | count 1 | records 2+… each
type Sample struct {
	Stream  stripe.ID
	Info    []byte
	Records [][]byte
}

// Subscribe asks to be fed one stripe: from block From on, or if Fresh from the
// last random access block that is at least Back old.
//
//	kind 4 | stream 32 | stripe 1 | flags 1 | from 6 | back 2 (ms) | live 1
//	flags: 1 fresh, 2 interior, 4 last resort, 8 only if newer, 16 standby
type Subscribe struct {
	Stream     stripe.ID
	Stripe     int
	From       uint64
	Back       time.Duration
	Fresh      bool
	Interior   bool // the asker has the stripe as a home stripe: it will feed others
	LastResort bool // the asker found no other parent
	IfNewer    bool // refuse unless you hold block From or a later one, even if Fresh
	Standby    bool // do not feed, only say whether you would: Promise or Refuse
	Live       int  // stripes that the asker gets; below k it has less than it needs
}

// Accept says that shards of the stripe follow. Path leads from the source to
// the sender, both included.
//
//	kind 5 | stream 32 | stripe 1 | path
type Accept struct {
	Stream stripe.ID
	Stripe int
	Path   []membership.ShortID
}

// Refuse says no, and who else might say yes.
//
//	kind 6 | stream 32 | stripe 1 | reason 1 | count 1 | records 2+… each
type Refuse struct {
	Stream       stripe.ID
	Stripe       int
	Reason       Reason
	Alternatives [][]byte
}

// Leave ends a subscription, said by the child.
//
//	kind 7 | stream 32 | stripe 1
type Leave struct {
	Stream stripe.ID
	Stripe int
}

// Drop ends one, said by the parent, who feeds on for a little while.
//
//	kind 8 | stream 32 | stripe 1 | reason 1 | count 1 | records 2+… each
type Drop struct {
	Stream       stripe.ID
	Stripe       int
	Reason       Reason
	Alternatives [][]byte
}

// Route tells a child that the way from the source to its parent changed.
//
//	kind 9 | stream 32 | stripe 1 | path
type Route struct {
	Stream stripe.ID
	Stripe int
	Path   []membership.ShortID
}

// Repairing tells a child that the stripe is silent above its parent, who is
// looking for another: the child stays.
//
//	kind 10 | stream 32 | stripe 1
type Repairing struct {
	Stream stripe.ID
	Stripe int
}

// Live tells a parent how many stripes the child gets, when that begins or ceases
// to be k or more than k: who has more than k makes room for who has less.
//
//	kind 11 | stream 32 | stripes 1
type Live struct {
	Stream  stripe.ID
	Stripes int
}

// Promise answers a standby Subscribe: the sender would feed the stripe. Path is
// that of an Accept.
//
//	kind 12 | stream 32 | stripe 1 | path
type Promise struct {
	Stream stripe.ID
	Stripe int
	Path   []membership.ShortID
}

// Reason says why a parent refused or dropped a child.
type Reason uint8

const (
	// Full: no slot is free.
	Full Reason = iota
	// NotHere: the stripe is not one of the parent's home stripes.
	NotHere
	// NotReady: the parent has no live parent itself.
	NotReady
	// TooDeep: a child would be more than MaxDepth hops from the source.
	TooDeep
	// Loop: the child is an ancestor of the parent.
	Loop
	// Nothing: the parent holds no block as new as the one asked for.
	Nothing
	// Leaving: the parent is about to go.
	Leaving
	// Cut: the child is fed no more, from now on.
	Cut

	reasonCount
)

// String is the reason in one or two words.
func (r Reason) String() string {
	return [...]string{"full", "not a home stripe", "not ready", "too deep", "loop", "nothing newer", "leaving", "cut"}[r]
}

// ErrMessage is wrapped by every refusal of a message's bytes.
var ErrMessage = errors.New("bad message")

// Encode writes m as it travels.
func Encode(m Message) []byte {
	var w wire.Writer
	w.U8(m.kind())
	m.write(&w)
	if len(w.B) > MaxMessage {
		panic(fmt.Sprintf("overlay: %T of %d bytes", m, len(w.B)))
	}
	return w.B
}

// Decode reads one message. Slices in it share b's memory.
func Decode(b []byte) (Message, error) {
	if len(b) > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes", ErrMessage, len(b))
	}
	r := wire.NewReader(b)
	var m Message
	switch kind := r.U8(); kind {
	case 1:
		m = &Hello{}
	case 2:
		m = &Ask{}
	case 3:
		m = &Sample{}
	case 4:
		m = &Subscribe{}
	case 5:
		m = &Accept{}
	case 6:
		m = &Refuse{}
	case 7:
		m = &Leave{}
	case 8:
		m = &Drop{}
	case 9:
		m = &Route{}
	case 10:
		m = &Repairing{}
	case 11:
		m = &Live{}
	case 12:
		m = &Promise{}
	case 13:
		m = &Window{}
	case 14:
		m = &Holes{}
	case 15:
		m = &Want{}
	case 16:
		m = &Lack{}
	case 17:
		m = &Cancel{}
	case 18:
		m = &Part{}
	case 19:
		m = &Thanks{}
	case 20:
		m = &Show{}
	case 21:
		m = &Receipts{}
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrMessage, kind)
	}
	m.read(r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrMessage, m, err)
	}
	if err := check(m); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrMessage, m, err)
	}
	return m, nil
}

var errRange = errors.New("a field is out of range")

// check refuses what a reader cannot see field by field.
func check(m Message) error {
	ok := true
	switch m := m.(type) {
	case *Sample:
		ok = len(m.Records) <= MaxSample
	case *Subscribe:
		ok = m.Live <= stripe.MaxShards
	case *Accept:
		ok = isPath(m.Path)
	case *Route:
		ok = isPath(m.Path)
	case *Promise:
		ok = isPath(m.Path)
	case *Refuse:
		ok = m.Reason < reasonCount && len(m.Alternatives) <= MaxAlternatives
	case *Drop:
		ok = m.Reason < reasonCount && len(m.Alternatives) <= MaxAlternatives
	case *Live:
		ok = m.Stripes <= stripe.MaxShards
	case windowed:
		ok = m.ok()
	case *Receipts:
		ok = m.ok()
	case *Hello, *Ask, *Leave, *Repairing, *Thanks, *Show:
	default:
		panic(fmt.Sprintf("overlay: check of %T", m))
	}
	if about, is := m.(branched); is && about.at() >= stripe.MaxShards {
		ok = false
	}
	if !ok {
		return errRange
	}
	return nil
}

func isPath(path []membership.ShortID) bool { return len(path) >= 1 && len(path) <= MaxPath }

// branched is a message about one stripe.
type branched interface{ at() int }

func (m *Subscribe) at() int { return m.Stripe }
func (m *Accept) at() int    { return m.Stripe }
func (m *Refuse) at() int    { return m.Stripe }
func (m *Leave) at() int     { return m.Stripe }
func (m *Drop) at() int      { return m.Stripe }
func (m *Route) at() int     { return m.Stripe }
func (m *Repairing) at() int { return m.Stripe }
func (m *Promise) at() int   { return m.Stripe }

// forForest is a message that the Forest of one stream takes.
type forForest interface{ about() stripe.ID }

func (m *Subscribe) about() stripe.ID { return m.Stream }
func (m *Accept) about() stripe.ID    { return m.Stream }
func (m *Refuse) about() stripe.ID    { return m.Stream }
func (m *Leave) about() stripe.ID     { return m.Stream }
func (m *Drop) about() stripe.ID      { return m.Stream }
func (m *Route) about() stripe.ID     { return m.Stream }
func (m *Repairing) about() stripe.ID { return m.Stream }
func (m *Live) about() stripe.ID      { return m.Stream }
func (m *Promise) about() stripe.ID   { return m.Stream }

// About is the stream whose Forest takes a message; ok is false if it is for nobody's.
func About(m Message) (id stripe.ID, ok bool) {
	f, ok := m.(forForest)
	if ok {
		id = f.about()
	}
	return id, ok
}

func (*Hello) kind() uint8     { return 1 }
func (*Ask) kind() uint8       { return 2 }
func (*Sample) kind() uint8    { return 3 }
func (*Subscribe) kind() uint8 { return 4 }
func (*Accept) kind() uint8    { return 5 }
func (*Refuse) kind() uint8    { return 6 }
func (*Leave) kind() uint8     { return 7 }
func (*Drop) kind() uint8      { return 8 }
func (*Route) kind() uint8     { return 9 }
func (*Repairing) kind() uint8 { return 10 }
func (*Live) kind() uint8      { return 11 }
func (*Promise) kind() uint8   { return 12 }

func (m *Hello) write(w *wire.Writer) { w.Bytes16(m.Record) }
func (m *Hello) read(r *wire.Reader)  { m.Record = r.Bytes16() }

func (m *Ask) write(w *wire.Writer) { w.Raw(m.Stream[:]) }
func (m *Ask) read(r *wire.Reader)  { r.Copy(m.Stream[:]) }

func (m *Sample) write(w *wire.Writer) {
	w.Raw(m.Stream[:])
	w.Bytes16(m.Info)
	writeRecords(w, m.Records)
}

func (m *Sample) read(r *wire.Reader) {
	r.Copy(m.Stream[:])
	m.Info = r.Bytes16()
	m.Records = readRecords(r)
}

const (
	flagFresh = 1 << iota
	flagInterior
	flagLastResort
	flagIfNewer
	flagStandby
)

func (m *Subscribe) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	var flags uint8
	for _, f := range []struct {
		on  bool
		bit uint8
	}{{m.Fresh, flagFresh}, {m.Interior, flagInterior}, {m.LastResort, flagLastResort}, {m.IfNewer, flagIfNewer}, {m.Standby, flagStandby}} {
		if f.on {
			flags |= f.bit
		}
	}
	w.U8(flags)
	w.U48(m.From)
	w.U16(uint16(min(m.Back.Milliseconds(), 0xffff)))
	w.U8(uint8(m.Live))
}

func (m *Subscribe) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	flags := r.U8()
	m.Fresh = flags&flagFresh != 0
	m.Interior = flags&flagInterior != 0
	m.LastResort = flags&flagLastResort != 0
	m.IfNewer = flags&flagIfNewer != 0
	m.Standby = flags&flagStandby != 0
	m.From = r.U48()
	m.Back = time.Duration(r.U16()) * time.Millisecond
	m.Live = int(r.U8())
}

func (m *Accept) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	writePath(w, m.Path)
}

func (m *Accept) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	m.Path = readPath(r)
}

func (m *Refuse) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	w.U8(uint8(m.Reason))
	writeRecords(w, m.Alternatives)
}

func (m *Refuse) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	m.Reason = Reason(r.U8())
	m.Alternatives = readRecords(r)
}

func (m *Leave) write(w *wire.Writer) { writeBranch(w, m.Stream, m.Stripe) }
func (m *Leave) read(r *wire.Reader)  { m.Stream, m.Stripe = readBranch(r) }

func (m *Drop) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	w.U8(uint8(m.Reason))
	writeRecords(w, m.Alternatives)
}

func (m *Drop) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	m.Reason = Reason(r.U8())
	m.Alternatives = readRecords(r)
}

func (m *Route) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	writePath(w, m.Path)
}

func (m *Route) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	m.Path = readPath(r)
}

func (m *Repairing) write(w *wire.Writer) { writeBranch(w, m.Stream, m.Stripe) }
func (m *Repairing) read(r *wire.Reader)  { m.Stream, m.Stripe = readBranch(r) }

func (m *Live) write(w *wire.Writer) { writeBranch(w, m.Stream, m.Stripes) }
func (m *Live) read(r *wire.Reader)  { m.Stream, m.Stripes = readBranch(r) }

func (m *Promise) write(w *wire.Writer) {
	writeBranch(w, m.Stream, m.Stripe)
	writePath(w, m.Path)
}

func (m *Promise) read(r *wire.Reader) {
	m.Stream, m.Stripe = readBranch(r)
	m.Path = readPath(r)
}

func writeBranch(w *wire.Writer, id stripe.ID, s int) {
	w.Raw(id[:])
	w.U8(uint8(s))
}

func readBranch(r *wire.Reader) (id stripe.ID, s int) {
	r.Copy(id[:])
	return id, int(r.U8())
}

// path: count 1, then 8 bytes a node.
func writePath(w *wire.Writer, path []membership.ShortID) {
	w.U8(uint8(len(path)))
	for _, p := range path {
		w.Raw(p[:])
	}
}

func readPath(r *wire.Reader) []membership.ShortID {
	n := int(r.U8())
	var path []membership.ShortID
	for i := 0; i < n && r.Err() == nil; i++ {
		var p membership.ShortID
		r.Copy(p[:])
		path = append(path, p)
	}
	return path
}

func writeRecords(w *wire.Writer, records [][]byte) {
	w.U8(uint8(len(records)))
	for _, rec := range records {
		w.Bytes16(rec)
	}
}

func readRecords(r *wire.Reader) [][]byte {
	n := int(r.U8())
	var records [][]byte
	for i := 0; i < n && r.Err() == nil; i++ {
		records = append(records, r.Bytes16())
	}
	return records
}
