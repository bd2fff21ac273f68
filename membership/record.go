package membership

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Record is what a node says of itself, signed by it.
type Record struct {
	Node    NodeID
	Seq     uint64        // a higher one replaces a lower; below 2^48
	TTL     time.Duration // whole seconds from its arrival, up to MaxTTL; no clock is compared
	Slots   int           // upload room for this many children of one stripe, in all
	Addrs   []netip.AddrPort
	Streams []Carried
}

// Carried is what a record says of one stream.
type Carried struct {
	Stream stripe.ID
	Epoch  uint32
	Source bool   // the node claims to be the stream's source; the stream's Info proves it
	Plays  bool   // it is a viewer: it forwards besides
	Homes  uint64 // bit i: stripe i is a home stripe
	Free   int    // slots left for children of this stream
	Depth  int    // hops from the source, at the deepest home stripe
}

// Home reports whether stripe i is a home stripe.
func (c Carried) Home(i int) bool { return c.Homes>>i&1 == 1 }

// Carries finds what the record says of one stream.
func (r *Record) Carries(id stripe.ID) (Carried, bool) {
	for _, c := range r.Streams {
		if c.Stream == id {
			return c, true
		}
	}
	return Carried{}, false
}

// ErrRecord is wrapped by every refusal of a record's bytes.
var ErrRecord = errors.New("bad record")

// The layout on the wire, in order: version 1, node 32, seq 6, ttl 2 (s),
// slots 2, address count 1, per address its length 1 (4 or 16), the address and
// port 2; stream count 1, per stream ID 32, epoch 4, flags 1 (1 = source, 2 = plays),
// homes 8, free 2, depth 1; then the signature 64 over the domain and all before.
const (
	recordVersion = 1
	recordDomain  = "stripecast record v1\x00"

	flagSource = 1
	flagPlays  = 2
)

// Sign encodes the record and signs it with the node's key. A record with more
// than MaxAddrs addresses or MaxStreams streams is a bug of the caller.
func (r Record) Sign(key ed25519.PrivateKey) []byte {
	var w wire.Writer
	w.U8(recordVersion)
	w.Raw(r.Node[:])
	w.U48(r.Seq)
	w.U16(uint16(min(r.TTL, MaxTTL) / time.Second))
	w.U16(uint16(min(r.Slots, 0xffff)))
	w.U8(uint8(len(r.Addrs)))
	for _, a := range r.Addrs {
		w.Bytes8(a.Addr().Unmap().AsSlice())
		w.U16(a.Port())
	}
	w.U8(uint8(len(r.Streams)))
	for _, c := range r.Streams {
		w.Raw(c.Stream[:])
		w.U32(c.Epoch)
		var flags uint8
		if c.Source {
			flags |= flagSource
		}
		if c.Plays {
			flags |= flagPlays
		}
		w.U8(flags)
		w.U64(c.Homes)
		w.U16(uint16(min(c.Free, 0xffff)))
		w.U8(uint8(min(c.Depth, 0xff)))
	}
	w.Raw(ed25519.Sign(key, append([]byte(recordDomain), w.B...)))
	if len(w.B) > MaxRecord {
		panic("membership: record too long")
	}
	return w.B
}

// Signed is a checked record with its signed bytes, as it travels.
type Signed struct {
	Record
	Raw []byte
}

// Open is OpenRecord, and keeps a copy of the bytes.
func Open(b []byte) (*Signed, error) {
	r, err := OpenRecord(b)
	if err != nil {
		return nil, err
	}
	return &Signed{Record: r, Raw: bytes.Clone(b)}, nil
}

// OpenRecord reads a signed record and checks its signature.
func OpenRecord(b []byte) (Record, error) {
	r, body, sig, err := parseRecord(b)
	if err != nil {
		return Record{}, err
	}
	// The keys are looked at only now: it takes as long as half a signature, and
	// most records that come are known already.
	for _, c := range r.Streams {
		err = errors.Join(err, stripe.CheckKey(c.Stream))
	}
	if errors.Join(err, stripe.CheckKey(r.Node)) != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrRecord, stripe.ErrWeakKey)
	}
	if !ed25519.Verify(r.Node[:], append([]byte(recordDomain), body...), sig) {
		return Record{}, fmt.Errorf("%w: signature", ErrRecord)
	}
	return r, nil
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// RecordNode tells whom a record is about, without checking signature or key.
func RecordNode(b []byte) (NodeID, error) {
	node, _, err := peekRecord(b)
	return node, err
}

// peekRecord reads whom a record is about and its sequence.
func peekRecord(b []byte) (node NodeID, seq uint64, err error) {
	r := wire.NewReader(b)
	if v := r.U8(); v != recordVersion || len(b) > MaxRecord {
		return node, 0, fmt.Errorf("%w: version %d, %d bytes", ErrRecord, v, len(b))
	}
	r.Copy(node[:])
	seq = r.U48()
	if err := r.Err(); err != nil {
		return node, 0, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return node, seq, nil
}

// parseRecord reads what OpenRecord has yet to check: keys and signature.
func parseRecord(b []byte) (rec Record, body, sig []byte, err error) {
	refuse := func(what any) (Record, []byte, []byte, error) {
		return Record{}, nil, nil, fmt.Errorf("%w: %v", ErrRecord, what)
	}
	if len(b) > MaxRecord || len(b) < ed25519.SignatureSize {
		return refuse("length")
	}
	body, sig = b[:len(b)-ed25519.SignatureSize], b[len(b)-ed25519.SignatureSize:]
	r := wire.NewReader(body)
	if v := r.U8(); v != recordVersion {
		return refuse(fmt.Sprintf("version %d", v))
	}
	r.Copy(rec.Node[:])
	rec.Seq = r.U48()
	rec.TTL = min(time.Duration(r.U16())*time.Second, MaxTTL)
	rec.Slots = int(r.U16())
	addrs := int(r.U8())
	if addrs > MaxAddrs {
		return refuse("too many addresses")
	}
	for range addrs {
		a, ok := netip.AddrFromSlice(r.Bytes8())
		port := r.U16()
		if !ok || port == 0 || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a == broadcast {
			return refuse("address")
		}
		rec.Addrs = append(rec.Addrs, netip.AddrPortFrom(a, port))
	}
	streams := int(r.U8())
	if streams > MaxStreams {
		return refuse("too many streams")
	}
	for range streams {
		var c Carried
		r.Copy(c.Stream[:])
		c.Epoch = r.U32()
		flags := r.U8()
		if flags&^(flagSource|flagPlays) != 0 {
			return refuse("flags")
		}
		c.Source, c.Plays = flags&flagSource != 0, flags&flagPlays != 0
		c.Homes = r.U64()
		c.Free = int(r.U16())
		c.Depth = int(r.U8())
		if _, twice := rec.Carries(c.Stream); twice {
			return refuse("a stream twice")
		}
		rec.Streams = append(rec.Streams, c)
	}
	if err := r.Done(); err != nil {
		return refuse(err)
	}
	return rec, body, sig, nil
}
