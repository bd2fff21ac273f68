package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// field is one kind of field: written from a random value, read back and compared.
type field struct {
	write func(w *Writer, v uint64, b []byte)
	same  func(r *Reader, v uint64, b []byte) bool
}

var fields = map[string]field{
	"U8":      {func(w *Writer, v uint64, _ []byte) { w.U8(uint8(v)) }, func(r *Reader, v uint64, _ []byte) bool { return r.U8() == uint8(v) }},
	"U16":     {func(w *Writer, v uint64, _ []byte) { w.U16(uint16(v)) }, func(r *Reader, v uint64, _ []byte) bool { return r.U16() == uint16(v) }},
	"U32":     {func(w *Writer, v uint64, _ []byte) { w.U32(uint32(v)) }, func(r *Reader, v uint64, _ []byte) bool { return r.U32() == uint32(v) }},
	"U48":     {func(w *Writer, v uint64, _ []byte) { w.U48(v) }, func(r *Reader, v uint64, _ []byte) bool { return r.U48() == v&(1<<48-1) }},
	"U64":     {func(w *Writer, v uint64, _ []byte) { w.U64(v) }, func(r *Reader, v uint64, _ []byte) bool { return r.U64() == v }},
	"Bytes8":  {func(w *Writer, _ uint64, b []byte) { w.Bytes8(b) }, func(r *Reader, _ uint64, b []byte) bool { return bytes.Equal(r.Bytes8(), b) }},
	"Bytes16": {func(w *Writer, _ uint64, b []byte) { w.Bytes16(b) }, func(r *Reader, _ uint64, b []byte) bool { return bytes.Equal(r.Bytes16(), b) }},
	"Raw":     {func(w *Writer, _ uint64, b []byte) { w.Raw(b) }, func(r *Reader, _ uint64, b []byte) bool { return bytes.Equal(r.Raw(len(b)), b) }},
}

var names = []string{"U8", "U16", "U32", "U48", "U64", "Bytes8", "Bytes16", "Raw"}

// Any list of fields comes back; cut anywhere it is short, and longer it trails.
func TestRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		kinds, values := make([]string, 1+rnd.IntN(10)), make([]uint64, 10)
		texts := make([][]byte, 10)
		var w Writer
		for i := range kinds {
			kinds[i], values[i] = names[rnd.IntN(len(names))], rnd.Uint64()
			texts[i] = bytes.Repeat([]byte{byte(i)}, rnd.IntN(256))
			fields[kinds[i]].write(&w, values[i], texts[i])
		}
		r := NewReader(w.B)
		for i, k := range kinds {
			if !fields[k].same(r, values[i], texts[i]) {
				t.Fatalf("%v: field %d differs", kinds, i)
			}
		}
		if err := r.Done(); err != nil || r.Len() != 0 {
			t.Fatalf("%v: %v, %d left", kinds, err, r.Len())
		}
		for n := range w.B {
			r := NewReader(w.B[:n])
			for i, k := range kinds {
				fields[k].same(r, values[i], texts[i])
			}
			if r.Err() != ErrShort || r.Done() != ErrShort {
				t.Fatalf("%v: %d of %d bytes: %v", kinds, n, len(w.B), r.Done())
			}
		}
		r = NewReader(append(w.B, 0))
		for i, k := range kinds {
			fields[k].same(r, values[i], texts[i])
		}
		if r.Err() != nil || r.Done() != ErrTrailing {
			t.Fatalf("%v: a byte more: %v", kinds, r.Done())
		}
	}
}

// The bytes themselves: PROTOCOL.md depends on them.
func TestBytes(t *testing.T) {
	var w Writer
	w.U8(1)
	w.U16(0x0203)
	w.U32(0x04050607)
	w.U48(0xffff08090a0b0c0d)
	w.U64(0x0e0f101112131415)
	w.Bytes8([]byte{0x17})
	w.Bytes16([]byte{0x1a})
	want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 1, 0x17, 0, 1, 0x1a}
	if !bytes.Equal(w.B, want) {
		t.Errorf("% x, want % x", w.B, want)
	}
}

// After its first failure a reader gives nothing more, even if bytes are left.
func TestFailureStays(t *testing.T) {
	r := NewReader([]byte{9, 1, 2})
	if r.Bytes8() != nil || r.U8() != 0 || r.U16() != 0 || r.Rest() != nil || !errors.Is(r.Err(), ErrShort) {
		t.Error("read on after a failure")
	}
	dst := []byte{7, 7}
	if r.Copy(dst); !bytes.Equal(dst, []byte{7, 7}) {
		t.Error("Copy wrote after a failure")
	}
	if r := NewReader([]byte{1}); r.Raw(-1) != nil || r.Err() == nil {
		t.Error("a negative length")
	}
	// What is returned cannot be appended into what follows.
	b := []byte{1, 2, 3}
	if _ = append(NewReader(b).Raw(1), 9); b[1] != 2 {
		t.Error("Raw leaves room")
	}
}

func TestTooLongPanics(t *testing.T) {
	for name, f := range map[string]func(*Writer){
		"Bytes8":  func(w *Writer) { w.Bytes8(make([]byte, 256)) },
		"Bytes16": func(w *Writer) { w.Bytes16(make([]byte, 65536)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s wrote what it cannot say", name)
				}
			}()
			f(&Writer{})
		}()
	}
}

// A length from the input allocates nothing.
func TestReaderAllocatesNothing(t *testing.T) {
	b := []byte{0xff, 0xff, 1, 2, 3}
	if n := testing.AllocsPerRun(100, func() {
		r := Reader{b: b}
		r.Bytes16()
		r.Bytes8()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, []byte{1, 0, 1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 2, 1, 1})
	f.Fuzz(func(t *testing.T, kinds, b []byte) {
		r := NewReader(b)
		taken := 0
		for _, k := range kinds {
			before, failed := r.Len(), r.Err() != nil
			fields[names[int(k)%len(names)]].same(r, 0, b[:min(len(b), int(k))])
			if taken += before - r.Len(); r.Len() > before || failed && r.Len() != before {
				t.Errorf("%d bytes left after %d", r.Len(), before)
			}
		}
		if taken+r.Len() != len(b) {
			t.Errorf("%d taken and %d left of %d", taken, r.Len(), len(b))
		}
	})
}
