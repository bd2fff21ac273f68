package fec

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/reedsolomon"

	"github.com/stripecast/stripecast/stripe"
)

func coder(t testing.TB, l stripe.Layout) *Coder {
	c, err := New(l)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func random(n int) []byte {
	rnd := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// Every set of shards of every small layout: k or more rebuild all n, fewer do not.
func TestAnyKOfN(t *testing.T) {
	for n := 1; n <= 9; n++ {
		for k := 1; k <= n; k++ {
			l := stripe.Layout{K: k, M: n - k}
			c := coder(t, l)
			data := random(100*k + 1)
			all := c.Encode(data)
			if len(all) != n || !bytes.Equal(c.Join(all, len(data)), data) {
				t.Fatalf("%v: encoding is not systematic", l)
			}
			for set := range 1 << n {
				have := make([][]byte, n)
				for i := range have {
					if set>>i&1 == 1 {
						have[i] = slices.Clone(all[i])
					}
				}
				checkRebuild(t, c, have, all, bits.OnesCount(uint(set)) >= k)
			}
		}
	}
}

// checkRebuild checks what Rebuild makes of have, and that it changes none of it.
func checkRebuild(t *testing.T, c *Coder, have, all [][]byte, enough bool) {
	t.Helper()
	before := make([][]byte, len(have))
	for i := range have {
		before[i] = slices.Clone(have[i])
	}
	got, err := c.Rebuild(have)
	for i := range have {
		if (have[i] == nil) != (before[i] == nil) || !bytes.Equal(have[i], before[i]) {
			t.Fatalf("%v: Rebuild changed shard %d of its input", c.Layout(), i)
		}
	}
	if !enough {
		if !errors.Is(err, ErrTooFew) {
			t.Fatalf("%v: %v from too few", c.Layout(), err)
		}
		return
	}
	if err != nil {
		t.Fatalf("%v: %v", c.Layout(), err)
	}
	for i := range all {
		if !bytes.Equal(got[i], all[i]) {
			t.Fatalf("%v: shard %d differs", c.Layout(), i)
		}
	}
}

func TestRandomLosses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 150 {
		k := 1 + rnd.IntN(stripe.MaxShards)
		l := stripe.Layout{K: k, M: rnd.IntN(stripe.MaxShards - k + 1)}
		c := coder(t, l)
		data := random(rnd.IntN(70_000))
		all := c.Encode(data)
		have := make([][]byte, l.N())
		kept := rnd.IntN(l.N() + 1)
		for _, i := range rnd.Perm(l.N())[:kept] {
			have[i] = slices.Clone(all[i])
		}
		checkRebuild(t, c, have, all, kept >= k)
		if !bytes.Equal(c.Join(all, len(data)), data) {
			t.Fatalf("%v: %d bytes do not come back", l, len(data))
		}
	}
}

// A missing shard may be a slice of no length with room behind it: the room is
// someone else's.
func TestRebuildWritesNowhere(t *testing.T) {
	c := coder(t, stripe.Layout{K: 4, M: 2})
	all := c.Encode(random(1000))
	pool := bytes.Repeat([]byte{0xaa}, 4096)
	have := slices.Clone(all)
	have[0], have[5] = pool[:0], pool[2048:2048]
	if _, err := c.Rebuild(have); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pool, bytes.Repeat([]byte{0xaa}, 4096)) {
		t.Error("wrote into a slice of no length")
	}
}

// Beyond the first k nothing given is trusted: the result is a codeword.
func TestRebuildMakesCodewords(t *testing.T) {
	c := coder(t, stripe.Layout{K: 4, M: 3})
	all := c.Encode(random(1000))
	have := make([][]byte, 7)
	for i := range have {
		have[i] = slices.Clone(all[i])
	}
	have[6][0] ^= 1
	got, err := c.Rebuild(have)
	if err != nil || !bytes.Equal(got[6], all[6]) {
		t.Errorf("a false seventh shard got through: %v", err)
	}
	have[1] = have[1][:32]
	if _, err := c.Rebuild(have); err == nil || errors.Is(err, ErrTooFew) {
		t.Errorf("shards of two lengths: %v", err)
	}
	if _, err := New(stripe.Layout{K: 60, M: 5}); !errors.Is(err, stripe.ErrLayout) {
		t.Errorf("65 shards: %v", err)
	}
}

// Encode keeps nothing of its input and gives each shard only its own room.
func TestEncodeIsItsOwn(t *testing.T) {
	c := coder(t, stripe.Layout{K: 3, M: 2})
	data := random(500)
	all := c.Encode(data)
	want := slices.Clone(all[0])
	clear(data)
	_ = append(all[0], 0xff)
	if !bytes.Equal(all[0], want) || all[1][0] != random(500)[len(want)] {
		t.Error("shards share memory with the block or with each other")
	}
}

func FuzzRebuild(f *testing.F) {
	f.Add(uint8(16), uint8(4), uint64(1<<20-1), []byte("a block"))
	f.Add(uint8(1), uint8(0), uint64(1), []byte{})
	f.Fuzz(func(t *testing.T, k, m uint8, set uint64, data []byte) {
		l := stripe.Layout{K: int(k), M: int(m)}
		c, err := New(l)
		if err != nil || len(data) > 1<<16 {
			return
		}
		all := c.Encode(data)
		have := make([][]byte, l.N())
		n := 0
		for i := range have {
			if set>>i&1 == 1 {
				have[i] = all[i]
				n++
			}
		}
		checkRebuild(t, c, have, all, n >= l.K)
		if !bytes.Equal(c.Join(all, len(data)), data) {
			t.Errorf("%v: does not come back", l)
		}
	})
}

// BenchmarkCoder compares with the library alone, on the same shards. x-bare is our
// time by that of the library with its defaults, x-same by that of the library with
// our options. They are medians of turns taken in alternation, so that whatever else
// the machine does falls on all alike.
func BenchmarkCoder(b *testing.B) {
	const block = 62_500 // bytes: 5 Mbit/s, 100 ms
	for _, l := range []stripe.Layout{{K: 16, M: 4}, {K: 8, M: 2}, {K: 20, M: 10}} {
		c := coder(b, l)
		data := random(block)
		lost := c.Encode(data)
		for i := range l.M {
			lost[i] = nil
		}
		defaults, err := reedsolomon.New(l.K, l.M)
		if err != nil {
			b.Fatal(err)
		}
		shards := c.Encode(data)
		compare(b, fmt.Sprintf("encode/%v", l), func() { c.Encode(data) },
			func() { must(b, defaults.Encode(shards)) }, func() { must(b, c.rs.Encode(shards)) })
		compare(b, fmt.Sprintf("rebuild/%v", l), func() { _, err := c.Rebuild(lost); must(b, err) },
			func() { must(b, defaults.Reconstruct(slices.Clone(lost))) }, func() { must(b, c.rs.Reconstruct(slices.Clone(lost))) })
	}
}

func must(b *testing.B, err error) {
	if err != nil {
		b.Fatal(err)
	}
}

func compare(b *testing.B, name string, runs ...func()) {
	b.Run(name, func(b *testing.B) {
		took := make([][]time.Duration, len(runs))
		for range b.N {
			for i, run := range runs {
				began := time.Now()
				run()
				took[i] = append(took[i], time.Since(began))
			}
		}
		median := func(i int) float64 {
			slices.Sort(took[i])
			return float64(took[i][len(took[i])/2])
		}
		b.ReportMetric(0, "ns/op") // of all three together: says nothing
		b.ReportMetric(median(0), "ns-median")
		b.ReportMetric(median(0)/median(1), "x-bare")
		b.ReportMetric(median(0)/median(2), "x-same")
	})
}
