package store_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// benchData makes shards of about 3.9 KB, as 16+4 does at 5 Mbit/s.
const benchData = 15 << 10

// BenchmarkPut is what a shard costs until it is written, on the machine's own disk.
func BenchmarkPut(b *testing.B) {
	s := open(b, b.TempDir(), store.Config{Quota: 256 << 20})
	shards := fresh(b, b.N/layout.N()+1)
	b.SetBytes(int64(len(shards[0].Encoded())))
	b.ReportAllocs()
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	b.ResetTimer()
	for _, sh := range shards[:b.N] {
		for !s.Put(sh) {
			<-tick.C
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// fresh is n blocks that differ in their numbers only: here nobody checks them.
func fresh(b *testing.B, n int) (shards []*stripe.Shard) {
	b.Helper()
	for _, sh := range block(0, benchData) {
		for number := range n {
			again := *sh
			again.Number = uint64(number)
			shards = append(shards, &again)
		}
	}
	return shards
}

// BenchmarkGet is what reading a shard costs that the system has in memory: of a
// window of 2,000 blocks, anywhere, and in order.
func BenchmarkGet(b *testing.B) {
	s := open(b, b.TempDir(), store.Config{})
	const n = 2000
	for i := range n {
		for _, sh := range block(uint64(i), benchData) {
			for !s.Put(sh) {
				<-time.After(time.Millisecond)
			}
		}
	}
	for s.Stats().Shards < n*uint64(layout.N()) {
		<-time.After(time.Millisecond)
	}
	size := int64(len(block(0, benchData)[0].Encoded()))
	get := func(b *testing.B, number, i int) {
		if _, err := s.Get(film, uint64(number), i); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("random", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		rnd := rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			get(b, rnd.IntN(n), rnd.IntN(layout.N()))
		}
	})
	b.Run("in order", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			get(b, i/layout.N()%n, i%layout.N())
		}
	})
	b.Run("seek", func(b *testing.B) {
		b.ReportAllocs()
		rnd := rand.New(rand.NewPCG(1, 2))
		for b.Loop() {
			if _, err := s.Seek(film, start.Add(time.Duration(rnd.IntN(n))*blockTime)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
