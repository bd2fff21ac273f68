// Package fec turns a block into the n shards of its layout and any k of them
// back into the block: systematic Reed-Solomon over GF(2^8) by
// klauspost/reedsolomon. Shards 0 … k-1 are the block itself, padded with zeros.
//
// It does not know whether a shard is genuine; stripe.Check says so first, and
// stripe.Reseal says afterwards whether the rebuilt shards are the signed ones.
//
// The package is pure.
package fec

import (
	"errors"
	"fmt"

	"github.com/klauspost/reedsolomon"

	"github.com/stripecast/stripecast/stripe"
)

// ErrTooFew means that fewer than k shards were given to Rebuild.
var ErrTooFew = errors.New("fec: fewer than k shards")

// Coder codes blocks of one layout. It is immutable and may be shared.
type Coder struct {
	layout stripe.Layout
	rs     reedsolomon.Encoder // nil when m = 0
}

// New returns a coder for l, which must be valid.
func New(l stripe.Layout) (*Coder, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	c := &Coder{layout: l}
	if l.M == 0 {
		return c, nil
	}
	// The inversion cache grows without bound, and a block is too small to be
	// worth a goroutine.
	rs, err := reedsolomon.New(l.K, l.M, reedsolomon.WithInversionCache(false), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, fmt.Errorf("fec: %w", err)
	}
	c.rs = rs
	return c, nil
}

// Layout is what the coder was made for.
func (c *Coder) Layout() stripe.Layout { return c.layout }

// Encode returns the n shards of data, which it does not keep.
func (c *Coder) Encode(data []byte) [][]byte {
	size := c.layout.ShardLen(len(data))
	all := make([]byte, size*c.layout.N())
	copy(all, data)
	shards := make([][]byte, c.layout.N())
	for i := range shards {
		shards[i] = all[i*size : (i+1)*size : (i+1)*size]
	}
	c.parity(shards)
	return shards
}

func (c *Coder) parity(shards [][]byte) {
	if c.rs == nil {
		return
	}
	if err := c.rs.Encode(shards); err != nil {
		panic(fmt.Sprintf("fec: encode %v: %v", c.layout, err)) // lengths are ours
	}
}

// Rebuild returns all n shards of a block from any k of them. have[i] is shard i
// or nil; it is not changed, and the shards in it are shared with the result.
// Shards beyond the first k present are computed again, not trusted, so that the
// result is always a codeword.
func (c *Coder) Rebuild(have [][]byte) ([][]byte, error) {
	n, k := c.layout.N(), c.layout.K
	if len(have) != n {
		panic("fec: shards do not match the layout")
	}
	shards := make([][]byte, n)
	got, size := 0, 0
	for i, s := range have {
		if len(s) == 0 || got == k {
			continue
		}
		if size != 0 && len(s) != size {
			return nil, fmt.Errorf("fec: shards of %d and %d bytes in one block", size, len(s))
		}
		shards[i], size = s, len(s)
		got++
	}
	if got < k {
		return nil, ErrTooFew
	}
	if c.rs != nil {
		if err := c.rs.Reconstruct(shards); err != nil {
			return nil, fmt.Errorf("fec: %w", err)
		}
	}
	return shards, nil
}

// Join copies the block's dataLen bytes out of its k data shards.
func (c *Coder) Join(shards [][]byte, dataLen int) []byte {
	out := make([]byte, 0, dataLen)
	for _, s := range shards[:c.layout.K] {
		out = append(out, s[:min(len(s), dataLen-len(out))]...)
	}
	return out
}
