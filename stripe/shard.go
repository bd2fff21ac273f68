package stripe

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/stripecast/stripecast/stripe/wire"
)

// Flags of a block.
type Flags uint8

const (
	// RandomAccess marks a block that a newcomer can start at.
	RandomAccess Flags = 1 << iota
	// Discontinuity marks a block whose media time does not follow its predecessor's.
	Discontinuity
	// End marks the last block of the epoch.
	End

	allFlags = RandomAccess | Discontinuity | End
)

// Header describes one block; it is signed together with the Merkle root of the
// block's shards.
type Header struct {
	Stream     ID
	Epoch      uint32
	Number     uint64 // of the block in its epoch, from 0; below 2^32
	Layout     Layout
	ShardLen   int // bytes, a multiple of ShardUnit
	DataLen    int // bytes of stream in the block, 0 … MaxBlock
	Flags      Flags
	SourceTime int64  // when the source closed the block: Unix time in ms by its clock
	MediaTime  uint64 // the stream's own clock at the block's start, in 1/90000 s, not wrapped
}

// Has reports whether all of f are set.
func (h *Header) Has(f Flags) bool { return h.Flags&f == f }

// Root is the root of the Merkle tree over a block's shards.
type Root [32]byte

// Shard is one of a block's n coded pieces, with its proof. It is immutable:
// relays, windows and queues share one.
type Shard struct {
	Header
	Index int
	Sig   [ed25519.SignatureSize]byte // by Stream, over header and root
	Path  [][16]byte                  // from the leaf's sibling upwards
	Data  []byte                      // ShardLen bytes

	enc []byte // the whole shard as it travels; Data is its tail
}

// The layout on the wire, in order:
//
//	version     1   always 1
//	tag         8   first bytes of the stream ID
//	index       1
//	k, m        1 each
//	flags       1
//	shard units 2   ShardLen / ShardUnit
//	data length 4
//	epoch       4
//	number      4
//	source time 6   ms
//	media time  6   1/90000 s
//	signature  64
//	path       16 × ⌈log2 n⌉
//	data       to the end
const (
	shardVersion = 1
	shardFixed   = 39 + ed25519.SignatureSize
	pathNode     = 16
)

// ErrShard is wrapped by every refusal of a shard's bytes.
var ErrShard = errors.New("bad shard")

// ShardOverhead is what header, signature and path add to a shard's data, in bytes.
func (l Layout) ShardOverhead() int { return shardFixed + pathNode*depth(l.N()) }

// Encoded is the shard as it travels. The caller must not change it.
func (s *Shard) Encoded() []byte { return s.enc }

func (s *Shard) encode() {
	w := wire.Writer{B: make([]byte, 0, s.Layout.ShardOverhead()+len(s.Data))}
	tag := s.Stream.Tag()
	w.U8(shardVersion)
	w.Raw(tag[:])
	w.U8(uint8(s.Index))
	s.fields(&w)
	w.Raw(s.Sig[:])
	for i := range s.Path {
		w.Raw(s.Path[i][:])
	}
	w.Raw(s.Data)
	s.enc = w.B
	s.Data = s.enc[len(s.enc)-len(s.Data):]
}

// fields writes what the header says beyond whose it is; the same bytes travel
// and are signed.
func (h *Header) fields(w *wire.Writer) {
	w.U8(uint8(h.Layout.K))
	w.U8(uint8(h.Layout.M))
	w.U8(uint8(h.Flags))
	w.U16(uint16(h.ShardLen / ShardUnit))
	w.U32(uint32(h.DataLen))
	w.U32(h.Epoch)
	w.U32(uint32(h.Number))
	w.U48(uint64(h.SourceTime))
	w.U48(h.MediaTime)
}

// PeekTag returns the tag of an encoded shard.
func PeekTag(b []byte) (Tag, error) {
	r := wire.NewReader(b)
	r.U8()
	var tag Tag
	r.Copy(tag[:])
	if r.Err() != nil {
		return Tag{}, fmt.Errorf("%w: %w", ErrShard, r.Err())
	}
	return tag, nil
}

// ParseShard reads an encoded shard of the given stream. It checks form only:
// Check says whether the source made it. The shard keeps b.
func ParseShard(stream ID, b []byte) (*Shard, error) {
	r := wire.NewReader(b)
	if v := r.U8(); v != shardVersion {
		return nil, fmt.Errorf("%w: version %d", ErrShard, v)
	}
	var tag Tag
	r.Copy(tag[:])
	s := &Shard{enc: b, Index: int(r.U8())}
	s.Stream = stream
	s.Layout.K = int(r.U8())
	s.Layout.M = int(r.U8())
	s.Flags = Flags(r.U8())
	s.ShardLen = int(r.U16()) * ShardUnit
	s.DataLen = int(r.U32())
	s.Epoch = r.U32()
	s.Number = uint64(r.U32())
	s.SourceTime = int64(r.U48())
	s.MediaTime = r.U48()
	r.Copy(s.Sig[:])
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShard, err)
	}
	if tag != stream.Tag() {
		return nil, fmt.Errorf("%w: of another stream", ErrShard)
	}
	if err := s.Layout.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShard, err)
	}
	if s.Flags&^allFlags != 0 {
		return nil, fmt.Errorf("%w: unknown flags %#x", ErrShard, s.Flags)
	}
	if s.Index >= s.Layout.N() {
		return nil, fmt.Errorf("%w: index %d of %v", ErrShard, s.Index, s.Layout)
	}
	if s.DataLen > MaxBlock || s.ShardLen != s.Layout.ShardLen(s.DataLen) {
		return nil, fmt.Errorf("%w: %d bytes in shards of %d", ErrShard, s.DataLen, s.ShardLen)
	}
	s.Path = make([][pathNode]byte, depth(s.Layout.N()))
	for i := range s.Path {
		r.Copy(s.Path[i][:])
	}
	s.Data = r.Raw(s.ShardLen)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShard, err)
	}
	return s, nil
}
