// Package wire is the one place that turns values into bytes and back.
//
// It knows how an integer and a length-prefixed string are written (big-endian,
// fixed widths) and nothing of what they mean. A message, a shard, a record each
// list their fields in order through a Writer and a Reader; no other package
// computes an offset into bytes that come from the network.
//
// A Reader never panics, never allocates from a length it was told, and keeps
// its first failure: read all fields, then ask Err or Done once.
package wire

import (
	"encoding/binary"
	"errors"
)

// ErrShort means that the input ended before its last field.
var ErrShort = errors.New("wire: input ends too early")

// ErrTrailing means that bytes follow the last field.
var ErrTrailing = errors.New("wire: bytes after the last field")

// Writer appends fields to B. The zero value is ready; set B to reuse a buffer.
type Writer struct{ B []byte }

// U8 appends one byte.
func (w *Writer) U8(v uint8) { w.B = append(w.B, v) }

// U16 appends a 16-bit integer.
func (w *Writer) U16(v uint16) { w.B = binary.BigEndian.AppendUint16(w.B, v) }

// U32 appends a 32-bit integer.
func (w *Writer) U32(v uint32) { w.B = binary.BigEndian.AppendUint32(w.B, v) }

// U48 appends the low 48 bits of v.
func (w *Writer) U48(v uint64) {
	w.U16(uint16(v >> 32))
	w.U32(uint32(v))
}

// U64 appends a 64-bit integer.
func (w *Writer) U64(v uint64) { w.B = binary.BigEndian.AppendUint64(w.B, v) }

// Raw appends b without a length.
func (w *Writer) Raw(b []byte) { w.B = append(w.B, b...) }

// Bytes8 appends a one-byte length and b; b longer than 255 bytes is a bug.
func (w *Writer) Bytes8(b []byte) {
	if len(b) > 0xff {
		panic("wire: Bytes8 over 255 bytes")
	}
	w.U8(uint8(len(b)))
	w.Raw(b)
}

// Bytes16 appends a two-byte length and b; b longer than 65535 bytes is a bug.
func (w *Writer) Bytes16(b []byte) {
	if len(b) > 0xffff {
		panic("wire: Bytes16 over 65535 bytes")
	}
	w.U16(uint16(len(b)))
	w.Raw(b)
}

// Reader takes fields from the front of a byte slice, which it does not copy.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader reads from b. The slices it returns share b's memory.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Len is how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// Raw takes n bytes, or nil if fewer are left.
func (r *Reader) Raw(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// Rest takes all that is left.
func (r *Reader) Rest() []byte { return r.Raw(len(r.b)) }

// U8 takes one byte.
func (r *Reader) U8() uint8 {
	if b := r.Raw(1); b != nil {
		return b[0]
	}
	return 0
}

// U16 takes a 16-bit integer.
func (r *Reader) U16() uint16 {
	if b := r.Raw(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// U32 takes a 32-bit integer.
func (r *Reader) U32() uint32 {
	if b := r.Raw(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// U48 takes a 48-bit integer.
func (r *Reader) U48() uint64 {
	hi := r.U16()
	return uint64(hi)<<32 | uint64(r.U32())
}

// U64 takes a 64-bit integer.
func (r *Reader) U64() uint64 {
	if b := r.Raw(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Bytes8 takes a field written by Writer.Bytes8.
func (r *Reader) Bytes8() []byte { return r.Raw(int(r.U8())) }

// Bytes16 takes a field written by Writer.Bytes16.
func (r *Reader) Bytes16() []byte { return r.Raw(int(r.U16())) }

// Copy takes len(dst) bytes into dst.
func (r *Reader) Copy(dst []byte) {
	if b := r.Raw(len(dst)); b != nil {
		copy(dst, b)
	}
}

// Err is ErrShort if any field so far was cut short.
func (r *Reader) Err() error {
	if r.bad {
		return ErrShort
	}
	return nil
}

// Done is Err, or ErrTrailing if anything is left over.
func (r *Reader) Done() error {
	if err := r.Err(); err != nil {
		return err
	}
	if len(r.b) != 0 {
		return ErrTrailing
	}
	return nil
}
