package stripe

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// Every shard of every n travels, is read back and checks; its path has the length
// that n asks for and leads to the one root.
func TestEveryPath(t *testing.T) {
	for n := 1; n <= MaxShards; n++ {
		l := Layout{K: (n + 1) / 2, M: n / 2}
		shards := sealed(l, 200)
		root := shards[0].Root()
		for i, s := range shards {
			got, err := ParseShard(s.Stream, slices.Clone(s.Encoded()))
			if err != nil {
				t.Fatalf("n = %d, shard %d: %v", n, i, err)
			}
			if got.Index != i || got.Header != s.Header || !bytes.Equal(got.Data, s.Data) || got.Root() != root || !got.Check() {
				t.Fatalf("n = %d, shard %d changed on its way", n, i)
			}
			if 1<<len(got.Path) < n || len(got.Path) > 0 && 1<<(len(got.Path)-1) >= n {
				t.Fatalf("n = %d: path of %d", n, len(got.Path))
			}
			if len(got.Encoded()) != l.ShardOverhead()+s.ShardLen {
				t.Fatalf("n = %d: %d bytes", n, len(got.Encoded()))
			}
			// In another's place it proves nothing.
			if moved := *got; n > 1 {
				moved.Index = (i + 1) % n
				if moved.Root() == root {
					t.Fatalf("n = %d, shard %d passes for %d", n, i, moved.Index)
				}
			}
		}
	}
}

// Whatever bit is flipped, the shard is refused or does not check.
func TestFlippedBit(t *testing.T) {
	for _, l := range []Layout{{1, 0}, {1, 1}, {3, 2}, {16, 4}} {
		for _, s := range []*Shard{sealed(l, 100)[0], sealed(l, 100)[l.N()-1]} {
			for bit := range len(s.Encoded()) * 8 {
				b := slices.Clone(s.Encoded())
				b[bit/8] ^= 1 << (bit % 8)
				if got, err := ParseShard(s.Stream, b); err == nil && got.Check() {
					t.Fatalf("%v: bit %d of shard %d flipped, and it checks", l, bit, s.Index)
				} else if err != nil && !errors.Is(err, ErrShard) {
					t.Fatalf("%v: bit %d: %v", l, bit, err)
				}
			}
		}
	}
}

func TestParseShardRefuses(t *testing.T) {
	s := sealed(DefaultLayout, 5000)[3]
	for n := range len(s.Encoded()) {
		if _, err := ParseShard(s.Stream, s.Encoded()[:n]); !errors.Is(err, ErrShard) {
			t.Fatalf("%d of %d bytes: %v", n, len(s.Encoded()), err)
		}
	}
	if _, err := ParseShard(s.Stream, append(slices.Clone(s.Encoded()), 0)); !errors.Is(err, ErrShard) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := ParseShard(IDOf(keyOf(2)), s.Encoded()); !errors.Is(err, ErrShard) {
		t.Errorf("of another stream: %v", err)
	}
	if tag, err := PeekTag(s.Encoded()); err != nil || tag != s.Stream.Tag() {
		t.Errorf("PeekTag: %v %v", tag, err)
	}
	if _, err := PeekTag(s.Encoded()[:8]); !errors.Is(err, ErrShard) {
		t.Errorf("PeekTag of too little: %v", err)
	}
}

func TestReseal(t *testing.T) {
	for _, l := range []Layout{{1, 0}, {1, 1}, {5, 3}, {16, 4}} {
		shards := sealed(l, 3000)
		data := make([][]byte, l.N())
		for i, s := range shards {
			data[i] = slices.Clone(s.Data)
		}
		again, ok := Reseal(shards[0], data)
		if !ok {
			t.Fatalf("%v: not the signed root", l)
		}
		for i := range again {
			if !bytes.Equal(again[i].Encoded(), shards[i].Encoded()) {
				t.Errorf("%v: shard %d differs", l, i)
			}
		}
		data[l.N()-1][0] ^= 1
		if _, ok := Reseal(shards[0], data); ok {
			t.Errorf("%v: another codeword resealed", l)
		}
	}
}

// Seal refuses shards that are not the header's; a shard of the wrong length would
// be signed and then be refused by every viewer.
func TestSealPanics(t *testing.T) {
	for _, l := range []Layout{{1, 0}, {2, 1}} {
		for _, lens := range [][]int{{64}, {64, 64}, {64, 64, 64}, {63}, {128}, {64, 64, 63}} {
			fits := len(lens) == l.N()
			shards := make([][]byte, len(lens))
			for i, n := range lens {
				shards[i] = make([]byte, n)
				fits = fits && n == l.ShardLen(10)
			}
			func() {
				defer func() {
					if panicked := recover() != nil; panicked == fits {
						t.Errorf("%v with shards of %v: panicked %v", l, lens, panicked)
					}
				}()
				key := keyOf(1)
				Seal(key, Header{Stream: IDOf(key), Layout: l, ShardLen: l.ShardLen(10), DataLen: 10}, shards)
			}()
		}
	}
}

func FuzzParseShard(f *testing.F) {
	for _, l := range []Layout{{1, 0}, {2, 1}, DefaultLayout} {
		f.Add(sealed(l, 100)[0].Encoded())
	}
	id := IDOf(keyOf(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseShard(id, b)
		if err != nil {
			if !errors.Is(err, ErrShard) {
				t.Error(err)
			}
			return
		}
		if s.Index >= s.Layout.N() || s.Layout.Validate() != nil || len(s.Data) != s.ShardLen || s.DataLen > s.ShardLen*s.Layout.K {
			t.Errorf("%+v", s.Header)
		}
		again := *s
		again.encode()
		if !bytes.Equal(again.Encoded(), b) {
			t.Error("does not encode to what it was read from")
		}
		s.Check()
	})
}

func BenchmarkParseAndRoot(b *testing.B) {
	s := sealed(DefaultLayout, 62_500)[0]
	b.SetBytes(int64(len(s.Encoded())))
	b.ReportAllocs()
	for b.Loop() {
		p, err := ParseShard(s.Stream, s.Encoded())
		if err != nil {
			b.Fatal(err)
		}
		p.Root()
	}
}
