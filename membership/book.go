package membership

import (
	"bytes"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// Entry is one candidate in the book.
type Entry struct {
	*Signed
	Expires time.Time
	Since   time.Time // the book has had a record of the node
	// Doubted says that gossip or our own eyes think the node gone. It is asked
	// last, and kept: a rumour removes nobody.
	Doubted bool

	failures int
	noDial   time.Time // not dialled again before
}

// Book is the candidate book: at most MaxBook signed records, or MaxSampled, and those
// of connected nodes, newest of each node, in the order of their IDs. It has one owner.
type Book struct {
	self    NodeID
	open    Opener
	most    int
	sampled bool
	near    map[NodeID]bool        // connected ones; never ranged over
	spared  int                    // entries of those
	entries []*Entry               // sorted by Node
	byNode  map[NodeID]*Entry      // the same; never ranged over
	homes   map[stripe.ID]*stripes // the same, of followed streams; never ranged over
	soonest time.Time              // no entry expires before
	crammed time.Time              // there is no room before, unless an entry changes
	oldest  *Entry                 // that expires first, as long as it is crammed
}

// stripes holds, for each stripe of a stream, those who have it as a home stripe.
type stripes [stripe.MaxShards][]*Entry

// Opener checks a signed record, as Open does: 45 µs, nearly all of it the
// signature. Where a thousand participants share one process and get the same
// records, one may remember what it has opened.
// What it returns is not changed by anybody, and may be shared.
type Opener func(raw []byte) (*Signed, error)

// NewBook returns an empty book that refuses records about self. A nil open is Open.
func NewBook(self NodeID, open Opener) *Book {
	if open == nil {
		open = Open
	}
	return &Book{self: self, open: open, most: MaxBook, near: map[NodeID]bool{}, byNode: map[NodeID]*Entry{}, homes: map[stripe.ID]*stripes{}}
}

// Sampled makes an empty book that of one who hears no gossip, and asks others for
// samples of theirs: it keeps MaxSampled records.
func (b *Book) Sampled() { b.most, b.sampled = MaxSampled, true }

// OfSamples reports whether the book's owner hears no gossip: there are others of whom
// it is not told.
func (b *Book) OfSamples() bool { return b.sampled }

// Add takes a signed record. It reports whether the book changed; an error means
// that the bytes are not a valid record, which is its bearer's fault.
func (b *Book) Add(now time.Time, raw []byte) (changed bool, err error) {
	node, seq, err := peekRecord(raw)
	if err != nil {
		return false, err
	}
	if node == b.self {
		return false, nil
	}
	e := b.byNode[node]
	if e != nil && seq <= e.Seq {
		return false, nil // stale or the same: not worth a look, let alone a signature check
	}
	rec, err := b.open(raw)
	if err != nil {
		return false, err
	}
	if e != nil {
		b.renew(e, rec, now.Add(rec.TTL))
		return true, nil
	}
	if !b.near[node] && b.taken() >= b.most && !b.makeRoom(now) {
		return false, nil
	}
	e = &Entry{Signed: rec, Expires: now.Add(rec.TTL), Since: now}
	if len(b.entries) == 0 || e.Expires.Before(b.soonest) {
		b.soonest = e.Expires
	}
	b.entries, b.byNode[node] = insert(b.entries, e), e
	if b.near[node] {
		b.spared++
	}
	b.crammed, b.oldest = time.Time{}, nil
	b.list(e)
	return true, nil
}

// renew replaces the record of an entry by a newer one.
func (b *Book) renew(e *Entry, rec *Signed, expires time.Time) {
	if e == b.oldest || b.oldest != nil && !expires.After(b.oldest.Expires) {
		b.crammed, b.oldest = time.Time{}, nil
	}
	if expires.Before(b.soonest) {
		b.soonest = expires
	}
	same := slices.EqualFunc(e.Streams, rec.Streams, func(x, y Carried) bool { return x.Homes == y.Homes && x.Stream == y.Stream })
	if !same {
		b.unlist(e)
	}
	e.Signed, e.Expires, e.Doubted = rec, expires, false
	if !same {
		b.list(e)
	}
}

func search(in []*Entry, id NodeID) (int, bool) {
	return slices.BinarySearchFunc(in, id, func(e *Entry, id NodeID) int {
		return bytes.Compare(e.Node[:], id[:])
	})
}

func insert(in []*Entry, e *Entry) []*Entry {
	i, _ := search(in, e.Node)
	return slices.Insert(in, i, e)
}

// list puts an entry where Home finds it.
func (b *Book) list(e *Entry) {
	b.eachHome(e, func(in *[]*Entry) { *in = insert(*in, e) })
}

// unlist undoes list.
func (b *Book) unlist(e *Entry) {
	b.eachHome(e, func(in *[]*Entry) {
		if i, ok := search(*in, e.Node); ok {
			*in = slices.Delete(*in, i, i+1)
		}
	})
}

// eachHome calls do with every list in which an entry belongs.
func (b *Book) eachHome(e *Entry, do func(in *[]*Entry)) {
	for _, c := range e.Streams {
		if of := b.homes[c.Stream]; of != nil {
			for homes := c.Homes; homes != 0; homes &= homes - 1 {
				do(&of[bits.TrailingZeros64(homes)])
			}
		}
	}
}

// forget takes an entry out of all but the list of entries.
func (b *Book) forget(e *Entry) {
	if b.near[e.Node] {
		b.spared--
	}
	b.unlist(e)
	delete(b.byNode, e.Node)
}

// Follow makes Home tell of a stream, until Unfollow. Others are not indexed: strangers
// name what streams they like.
func (b *Book) Follow(id stripe.ID) {
	if b.homes[id] != nil {
		return
	}
	b.homes[id] = new(stripes)
	for _, e := range b.entries {
		b.unlist(e)
		b.list(e)
	}
}

// Unfollow forgets what Home tells of a stream.
func (b *Book) Unfollow(id stripe.ID) { delete(b.homes, id) }

// makeRoom removes what has expired, or else one node that we could not reach, or of
// samples the one that expires first, if it is not new. A rumour makes no room: it
// would let strangers push out whom they like.
func (b *Book) makeRoom(now time.Time) bool {
	if now.Before(b.crammed) {
		return false
	}
	b.Expire(now)
	if b.taken() < b.most {
		return true
	}
	oldest := -1
	for i, e := range b.entries {
		if b.near[e.Node] {
			continue
		}
		if e.failures > 0 || !e.noDial.IsZero() {
			b.remove(i)
			return true
		}
		if oldest < 0 || e.Expires.Before(b.entries[oldest].Expires) {
			oldest = i
		}
	}
	e := b.entries[oldest]
	b.oldest, b.crammed = e, e.Expires
	if b.sampled {
		old := e.Expires.Add(sampleKept - e.TTL)
		if !now.Before(old) {
			b.remove(oldest)
			return true
		}
		if old.Before(b.crammed) {
			b.crammed = old
		}
	}
	return false
}

func (b *Book) remove(i int) {
	b.forget(b.entries[i])
	b.entries = slices.Delete(b.entries, i, i+1)
	b.crammed, b.oldest = time.Time{}, nil
}

// Expire removes what has outlived its TTL.
func (b *Book) Expire(now time.Time) {
	if now.Before(b.soonest) || len(b.entries) == 0 {
		return
	}
	b.soonest = time.Time{}
	b.crammed, b.oldest = time.Time{}, nil
	b.entries = slices.DeleteFunc(b.entries, func(e *Entry) bool {
		past := !now.Before(e.Expires)
		switch {
		case past:
			b.forget(e)
		case b.soonest.IsZero() || e.Expires.Before(b.soonest):
			b.soonest = e.Expires
		}
		return past
	})
}

// Get returns the entry of one node.
func (b *Book) Get(id NodeID) (*Entry, bool) {
	e, ok := b.byNode[id]
	return e, ok
}

// All returns every entry in the order of the IDs. The slice is the book's own.
func (b *Book) All() []*Entry { return b.entries }

// Home returns the entries of those that have a stripe of a followed stream as a home
// stripe, in the order of the IDs. The slice is the book's own.
func (b *Book) Home(id stripe.ID, s int) []*Entry {
	if of := b.homes[id]; of != nil {
		return of[s]
	}
	return nil
}

// Near says that a node is connected, or not any more. The records of those take no room
// from others: what they say of themselves is the newest there is. When a full book's
// neighbour goes, its record goes, unless there is room to be made.
func (b *Book) Near(now time.Time, id NodeID, on bool) {
	if b.near[id] == on {
		return
	}
	b.crammed, b.oldest = time.Time{}, nil
	_, known := b.byNode[id]
	if on {
		b.near[id] = true
		if known {
			b.spared++
		}
		return
	}
	delete(b.near, id)
	if !known {
		return
	}
	b.spared--
	b.Expire(now) // itself, maybe
	if b.taken() <= b.most || b.makeRoom(now) {
		return
	}
	if i, ok := search(b.entries, id); ok {
		b.remove(i)
	}
}

// taken is how many of the book's places are: neighbours need none.
func (b *Book) taken() int { return len(b.entries) - b.spared }

// Doubt marks a node as probably gone.
func (b *Book) Doubt(id NodeID) {
	if e, ok := b.Get(id); ok {
		e.Doubted = true
	}
}

// Confirm says that the node answered: doubts and failed dials are forgotten.
func (b *Book) Confirm(id NodeID) {
	if e, ok := b.Get(id); ok {
		e.Doubted, e.failures, e.noDial = false, 0, time.Time{}
	}
}

// DialFailed counts a failed dial; after MaxDialFailures in a row the node is
// doubted and not dialled for DialBackoff.
func (b *Book) DialFailed(now time.Time, id NodeID) {
	e, ok := b.Get(id)
	if !ok {
		return
	}
	e.Doubted, b.crammed = true, time.Time{}
	if e.failures++; e.failures >= MaxDialFailures {
		e.failures, e.noDial = 0, now.Add(DialBackoff)
	}
}

// MayDial reports whether the node has an address and no back-off.
func (e *Entry) MayDial(now time.Time) bool {
	return len(e.Addrs) > 0 && !now.Before(e.noDial)
}

// Sample returns the raw records of up to most nodes that carry the stream, by
// chance, the undoubted first, no longer than size bytes in all.
func (b *Book) Sample(rnd *rand.Rand, id stripe.ID, most, size int) [][]byte {
	var sure, doubted []*Entry
	for _, e := range b.entries {
		if _, ok := e.Carries(id); !ok {
			continue
		}
		if e.Doubted {
			doubted = append(doubted, e)
		} else {
			sure = append(sure, e)
		}
	}
	for _, s := range [][]*Entry{sure, doubted} {
		rnd.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	}
	var out [][]byte
	for _, e := range append(sure, doubted...) {
		if len(out) == most || size < len(e.Raw) {
			break
		}
		size -= len(e.Raw)
		out = append(out, e.Raw)
	}
	return out
}
