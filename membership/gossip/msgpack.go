package gossip

import (
	"io"
	"slices"

	"github.com/stripecast/stripecast/stripe/wire"
)

// The few forms of msgpack that memberlist writes: maps with field names, raw
// strings, whole numbers, booleans and nil. The reader also takes the newer
// string and binary forms of the same; arrays, floats, extensions, negative
// numbers and nesting do not occur and are refused.
const (
	packNil    = 0xc0
	packFalse  = 0xc2
	packTrue   = 0xc3
	packBin8   = 0xc4
	packBin16  = 0xc5
	packU8     = 0xcc
	packU16    = 0xcd
	packU32    = 0xce
	packU64    = 0xcf
	packI16    = 0xd1
	packI32    = 0xd2
	packI64    = 0xd3
	packStr8   = 0xd9
	packStr16  = 0xda
	packFixNum = 0x80 // below it: the number itself
	packFixMap = 0x80 // to 0x8f: a map of so many pairs
	packFixStr = 0xa0 // to 0xbf: a string of so many bytes
)

const maxKey = 16 // the longest field name is 12 bytes

type source interface {
	io.Reader
	io.ByteReader
}

// decoder reads msgpack, keeps its first failure, and allocates only strings
// whose length it has checked against the caller's bound.
type decoder struct {
	src source
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = refuse(Malformed)
	}
}

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	b, err := d.src.ReadByte()
	if err != nil {
		d.err = err
	}
	return b
}

// big takes n bytes as a big-endian number.
func (d *decoder) big(n int) (v uint64) {
	for range n {
		v = v<<8 | uint64(d.byte())
	}
	return v
}

// number takes an unsigned number up to most.
func (d *decoder) number(most uint64) uint64 {
	v := uint64(0)
	switch b := d.byte(); {
	case b < packFixNum:
		v = uint64(b)
	case b == packU8:
		v = d.big(1)
	case b == packU16:
		v = d.big(2)
	case b == packU32:
		v = d.big(4)
	case b == packU64:
		v = d.big(8)
	case b == packI16: // how a Go int over 127 is written
		v = uint64(int16(d.big(2)))
	case b == packI32:
		v = uint64(int32(d.big(4)))
	case b == packI64:
		v = d.big(8)
	default:
		d.fail()
	}
	if v > most { // also what was negative
		d.fail()
		return 0
	}
	return v
}

func (d *decoder) u32() uint32 { return uint32(d.number(1<<32 - 1)) }

func (d *decoder) bool() bool {
	switch d.byte() {
	case packTrue:
		return true
	case packFalse:
	default:
		d.fail()
	}
	return false
}

// bytes takes a string of up to most bytes. A nil is an empty one.
func (d *decoder) bytes(most int) []byte {
	n := 0
	switch b := d.byte(); {
	case b == packNil:
	case b >= packFixStr && b < packNil:
		n = int(b - packFixStr)
	case b == packBin8 || b == packStr8:
		n = int(d.big(1))
	case b == packBin16 || b == packStr16:
		n = int(d.big(2))
	default:
		d.fail()
	}
	if n > most {
		d.fail()
	}
	if d.err != nil || n == 0 {
		return nil
	}
	out := make([]byte, n)
	if _, err := io.ReadFull(d.src, out); err != nil {
		d.err = err
	}
	return out
}

// fields takes a map whose keys are all among names, none twice, and calls set
// with the index of each key to take its value. It stops at the first failure.
func (d *decoder) fields(names []string, set func(i int)) {
	n := int(d.byte()) - packFixMap
	if n < 0 || n > len(names) {
		d.fail()
	}
	seen := uint(0)
	for range n {
		if d.err != nil {
			return
		}
		i := slices.Index(names, string(d.bytes(maxKey)))
		if i < 0 || seen>>i&1 == 1 {
			d.fail()
			return
		}
		seen |= 1 << i
		set(i)
	}
}

// encoder writes the same forms, each always in the same way.
type encoder struct{ wire.Writer }

func (e *encoder) pairs(n int) { e.U8(packFixMap | uint8(n)) }

func (e *encoder) number(key string, v uint32) {
	e.str([]byte(key))
	if v < packFixNum {
		e.U8(uint8(v))
		return
	}
	e.U8(packU32)
	e.U32(v)
}

func (e *encoder) bool(key string, v bool) {
	e.str([]byte(key))
	if v {
		e.U8(packTrue)
	} else {
		e.U8(packFalse)
	}
}

func (e *encoder) text(key, v string) { e.bytes(key, []byte(v)) }

func (e *encoder) bytes(key string, v []byte) {
	e.str([]byte(key))
	e.str(v)
}

func (e *encoder) str(v []byte) {
	if len(v) < 32 {
		e.U8(packFixStr | uint8(len(v)))
		e.Raw(v)
		return
	}
	e.U8(packStr16)
	e.Bytes16(v)
}
