package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"reflect"
	"testing"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

var fuzzKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))

// contents is a file that is only read.
type contents struct{ *bytes.Reader }

func (contents) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (contents) Truncate(int64) error               { return errors.ErrUnsupported }
func (contents) Sync() error                        { return errors.ErrUnsupported }
func (contents) Close() error                       { return nil }

// segmentOf makes a segment of a few blocks, finished or not.
func segmentOf(blocks int, sealed bool) (*tape, []byte) {
	t := &tape{key: Key{stripe.IDOf(fuzzKey), 1}}
	t.salt = salt(t.key)
	b := appendRecord(header(t.key), t.salt, kindInfo, []byte("an info"))
	g, x := &segment{tape: t}, index{}
	g.info = uint32(headerLen)
	for n := range blocks {
		h := stripe.Header{Stream: t.key.Stream, Epoch: 1, Number: uint64(3 * n), Layout: stripe.Layout{K: 1, M: 1},
			ShardLen: 64, DataLen: 10, SourceTime: int64(1000 * n), Flags: stripe.RandomAccess}
		for i, sh := range stripe.Seal(fuzzKey, h, [][]byte{make([]byte, 64), make([]byte, 64)}) {
			newBlock, _ := x.add(&h, i, uint32(len(sh.Encoded())), uint32(len(b)))
			g.add(&h, newBlock)
			b = appendRecord(b, t.salt, kindShard, sh.Encoded())
		}
	}
	g.size = int64(len(b))
	if sealed {
		b = append(b, g.foot(&x)...)
	}
	return t, b
}

// sign makes the checksums of whatever records b has right, from the front, and of a
// trailer at the end.
func sign(b []byte, salt uint32) {
	sum := func(rec []byte) {
		signed := appendRecord(nil, salt, rec[8], rec[recordHead:])
		copy(rec, signed[:4])
	}
	for at := headerLen; at+recordHead <= len(b); {
		r := wire.NewReader(b[at:])
		r.U32()
		n := uint64(recordHead) + uint64(r.U32())
		if n > uint64(len(b)-at) {
			break
		}
		sum(b[at : at+int(n)])
		at += int(n)
	}
	if len(b) >= headerLen+trailerLen {
		sum(b[len(b)-trailerLen:])
	}
}

// FuzzSegment: whatever a file says, with checksums that are right or not, reading it
// ends well, and what is read is a shard of the stream.
func FuzzSegment(f *testing.F) {
	for _, sealed := range []bool{false, true} {
		t, b := segmentOf(3, sealed)
		f.Add(b, false)
		f.Add(b, true)
		for _, cut := range []int{0, 5, headerLen, headerLen + 20, len(b) / 2, len(b) - 1} {
			f.Add(b[:cut], true)
		}
		torn := bytes.Clone(b)
		clear(torn[len(torn)/2:])
		f.Add(torn, true)
		_ = t
	}
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		key := Key{stripe.IDOf(fuzzKey), 1}
		if signed {
			b = bytes.Clone(b)
			sign(b, salt(key))
		}
		file, size := contents{bytes.NewReader(b)}, int64(len(b))
		tp := &tape{key: key, salt: salt(key)}
		read := func(x *index) (shards uint32) {
			for _, e := range x.entries {
				for i := range stripe.MaxShards {
					offset, size, ok := x.where(e.number, i)
					if !ok {
						continue
					}
					shards++
					sh, err := readShard(file, tp, offset, size)
					if err == nil && (sh.Stream != key.Stream || sh.Epoch != 1 || !bytes.Equal(sh.Encoded(), b[int(offset)+recordHead:][:size])) {
						t.Errorf("at %d: %+v", offset, sh.Header)
					}
				}
			}
			return shards
		}
		x, sum, end, err := scan(file, size, key)
		if err != nil || end > size {
			t.Fatalf("%d of %d bytes, %v", end, size, err)
		}
		if shards := read(&x); shards != sum.shards || int(sum.blocks) != len(x.entries) {
			t.Errorf("%d shards and %d blocks, and %d and %d were counted", shards, len(x.entries), sum.shards, sum.blocks)
		}
		if end, err := readTrailer(file, size, tp.salt); err == nil {
			if x, err := readIndex(file, end, tp.salt); err == nil {
				read(&x)
				again, err := parseIndex(x.encode(), end.index)
				if err != nil || !reflect.DeepEqual(again, x) {
					t.Errorf("an index is %+v and then %+v, %v", x, again, err)
				}
			}
		}
	})
}

// TestSegmentRoundTrip: what foot writes is what scan finds and the readers read.
func TestSegmentRoundTrip(t *testing.T) {
	tp, b := segmentOf(5, true)
	file, size := contents{bytes.NewReader(b)}, int64(len(b))
	x, sum, end, err := scan(file, size, tp.key)
	if err != nil || sum.shards != 10 || sum.blocks != 5 || sum.first != 0 || sum.last != 12 {
		t.Fatalf("%+v, %v", sum, err)
	}
	tr, err := readTrailer(file, size, tp.salt)
	if err != nil || tr.summary != sum || int64(tr.index) != end {
		t.Fatalf("%+v, want %+v, %v", tr, sum, err)
	}
	y, err := readIndex(file, tr, tp.salt)
	if err != nil || !sameIndex(x, y) {
		t.Fatalf("%+v, want %+v, %v", y, x, err)
	}
}

func sameIndex(a, b index) bool {
	return bytes.Equal(a.encode(), b.encode())
}

// TestLyingIndex: an index that says one shard is where another is serves neither.
func TestLyingIndex(t *testing.T) {
	tp, b := segmentOf(3, false)
	file := contents{bytes.NewReader(b)}
	x, sum, end, err := scan(file, int64(len(b)), tp.key)
	if err != nil {
		t.Fatal(err)
	}
	x.entries[0].at[0], x.entries[1].at[0] = x.entries[1].at[0], x.entries[0].at[0]
	x.entries[2].at[0], x.entries[2].at[1] = x.entries[2].at[1], x.entries[2].at[0]
	g := &segment{tape: tp, summary: sum, size: end}
	dir := t.TempDir()
	f, err := machine{}.Create(segmentPath(tapeDir(dir, tp.key), 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(append(b, g.foot(&x)...), 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s, err := Open(dir, Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, e := range []struct {
		number uint64
		i      int
		ok     bool
	}{{0, 0, false}, {0, 1, true}, {3, 0, false}, {3, 1, true}, {6, 0, false}, {6, 1, false}} {
		if _, err := s.Get(tp.key, e.number, e.i); (err == nil) != e.ok {
			t.Errorf("block %d, shard %d: %v", e.number, e.i, err)
		}
	}
}

// TestIndexTwin: an index does what a plain list would.
func TestIndexTwin(t *testing.T) {
	type place struct {
		number uint32
		i      int
	}
	twin := map[place]uint32{}
	var x index
	state := uint32(1)
	next := func(n uint32) uint32 { // a plain generator
		state = state*1664525 + 1013904223
		return (state >> 8) % n
	}
	for offset := range uint32(5000) {
		p := place{next(200), int(next(64))}
		if next(8) == 0 {
			x.forget(p.number, p.i)
			delete(twin, p)
			continue
		}
		_, held := twin[p]
		h := stripe.Header{Number: uint64(p.number), Layout: stripe.Layout{K: 60, M: 4}}
		if _, ok := x.add(&h, p.i, 100, offset); ok == held {
			t.Fatalf("%v: added %v, held %v", p, ok, held)
		}
		if !held {
			twin[p] = offset
		}
	}
	for number := range uint32(200) {
		for i := range 64 {
			offset, _, ok := x.where(number, i)
			if want, held := twin[place{number, i}]; ok != held || offset != want {
				t.Errorf("block %d, shard %d: %d, %v, want %d, %v", number, i, offset, ok, want, held)
			}
		}
	}
}
