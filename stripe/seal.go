package stripe

import (
	"crypto/ed25519"
	"crypto/sha256"
	"math/bits"

	"github.com/stripecast/stripecast/stripe/wire"
)

// The tree has 2^⌈log2 n⌉ leaves; leaf i is H(0 ‖ i ‖ shard), a missing one is
// zero, a node is H(1 ‖ left ‖ right). Nodes on the way are cut to 16 bytes: a
// second preimage costs 2^128, and a collision (2^64) can be made by the source
// only, who may sign what it likes anyway; rebuilding detects it. The root is
// whole. Domain bytes 0 and 1 keep leaves and nodes apart (RFC 6962, 2.1).

const sealDomain = "stripecast block v1\x00"

// Seal proves the shards of one block: it signs h with the root over them and
// returns n shards ready to travel. shards must be the n coded pieces of h's
// ShardLen bytes each, or Seal panics; they are copied.
func Seal(key ed25519.PrivateKey, h Header, shards [][]byte) []*Shard {
	tree := newTree(h, shards)
	var sig [ed25519.SignatureSize]byte
	copy(sig[:], ed25519.Sign(key, h.signed(tree.root)))
	return tree.shards(h, sig, shards)
}

// Reseal gives the n pieces of a rebuilt block the header and signature that one
// of its shards came with, and reports whether their root is the signed one. If
// not, the source signed something that is not a codeword; no relay is to blame.
func Reseal(of *Shard, shards [][]byte) ([]*Shard, bool) {
	tree := newTree(of.Header, shards)
	if tree.root != of.Root() {
		return nil, false
	}
	return tree.shards(of.Header, of.Sig, shards), true
}

// Root is the root that the shard's data and path lead to. It costs a hash of
// the data and proves nothing until CheckSeal accepts it.
func (s *Shard) Root() Root {
	full := leaf(s.Index, s.Data)
	for level, sibling := range s.Path {
		cur := [pathNode]byte(full[:pathNode])
		if s.Index>>level&1 == 0 {
			full = node(cur, sibling)
		} else {
			full = node(sibling, cur)
		}
	}
	return full
}

// CheckSeal reports whether the stream's source signed header and root. It is
// the expensive check (about 40 µs): pay it once a block.
func CheckSeal(h *Header, root Root, sig *[ed25519.SignatureSize]byte) bool {
	return ed25519.Verify(h.Stream[:], h.signed(root), sig[:])
}

// Check is Root and CheckSeal together.
func (s *Shard) Check() bool { return CheckSeal(&s.Header, s.Root(), &s.Sig) }

func (h *Header) signed(root Root) []byte {
	w := wire.Writer{B: make([]byte, 0, 160)}
	w.Raw([]byte(sealDomain))
	w.Raw(h.Stream[:])
	h.fields(&w)
	w.Raw(root[:])
	return w.B
}

// depth is ⌈log2 n⌉, the length of every path.
func depth(n int) int { return bits.Len(uint(n - 1)) }

type tree struct {
	levels [][][pathNode]byte // levels[0] are the leaves
	root   Root
}

func newTree(h Header, shards [][]byte) tree {
	if len(shards) != h.Layout.N() {
		panic("stripe: shards do not match the layout")
	}
	for _, s := range shards {
		if len(s) != h.ShardLen {
			panic("stripe: a shard's length is not the header's")
		}
	}
	d := depth(len(shards))
	t := tree{levels: make([][][pathNode]byte, d)}
	if d == 0 {
		t.root = leaf(0, shards[0])
		return t
	}
	row := make([][pathNode]byte, 1<<d)
	for i, s := range shards {
		full := leaf(i, s)
		row[i] = [pathNode]byte(full[:pathNode])
	}
	for level := range d {
		t.levels[level] = row
		up := make([][pathNode]byte, len(row)/2)
		for i := range up {
			t.root = node(row[2*i], row[2*i+1])
			up[i] = [pathNode]byte(t.root[:pathNode])
		}
		row = up
	}
	return t
}

func (t *tree) shards(h Header, sig [ed25519.SignatureSize]byte, data [][]byte) []*Shard {
	out := make([]*Shard, len(data))
	for i := range data {
		s := &Shard{Header: h, Index: i, Sig: sig, Data: data[i]}
		s.Path = make([][pathNode]byte, len(t.levels))
		for level, row := range t.levels {
			s.Path[level] = row[i>>level^1]
		}
		s.encode()
		out[i] = s
	}
	return out
}

func leaf(index int, data []byte) Root {
	d := sha256.New()
	d.Write([]byte{0, byte(index)})
	d.Write(data)
	var out Root
	d.Sum(out[:0])
	return out
}

func node(l, r [pathNode]byte) Root {
	var b [1 + 2*pathNode]byte
	b[0] = 1
	copy(b[1:], l[:])
	copy(b[1+pathNode:], r[:])
	return sha256.Sum256(b[:])
}
