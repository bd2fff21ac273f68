package quicnet

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
)

const benchShard = 4000

// BenchmarkForward is Mbit/s of shards forwarded to one child over one lane, and
// the same over bare quic-go, a stream a shard, in the same run: x-bare is the one
// over the other.
func BenchmarkForward(b *testing.B) {
	b.SetBytes(benchShard)
	b.ReportAllocs()
	var ours, bare time.Duration
	b.Run("bare", func(b *testing.B) { bare = perShard(b, benchBare) })
	b.Run("quicnet", func(b *testing.B) {
		ours = perShard(b, benchNet)
		if bare > 0 {
			b.ReportMetric(float64(bare)/float64(ours), "x-bare")
		}
	})
}

// perShard runs a transfer of b.N shards and returns what one takes.
func perShard(b *testing.B, transfer func(*testing.B) time.Duration) time.Duration {
	b.SetBytes(benchShard)
	d := transfer(b)
	b.ReportMetric(float64(b.N)*benchShard*8/d.Seconds()/1e6, "Mbit/s")
	return d / time.Duration(b.N)
}

func benchNet(b *testing.B) time.Duration {
	from, to := listen(b, 1), listen(b, 2)
	link(b, from, to)
	shard := make([]byte, benchShard)
	got := make(chan struct{}, 1<<20)
	go func() {
		defer close(got)
		for e := range to.Events() {
			if _, ok := e.(Shard); ok {
				got <- struct{}{}
			}
		}
	}()
	b.ResetTimer()
	began := time.Now()
	// Within the outbox's limit, so that none is dropped.
	const ahead = 128
	for i := range b.N {
		if i >= ahead {
			<-got
		}
		from.Forward(to.ID(), shard, began.Add(time.Hour))
	}
	for range min(ahead, b.N) {
		<-got
	}
	took := time.Since(began)
	b.StopTimer()
	go func() {
		for range got {
		}
	}()
	return took
}

func benchBare(b *testing.B) time.Duration {
	var trs [2]*quic.Transport
	var ids [2]*identity
	for i := range trs {
		sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.Fatal(err)
		}
		defer sock.Close()
		trs[i] = &quic.Transport{Conn: sock}
		defer trs[i].Close()
		if ids[i], err = newIdentity(testKey(10 + i)); err != nil {
			b.Fatal(err)
		}
	}
	conf := func() *quic.Config {
		n := Net{windows: &windows{grown: make(map[*quic.Conn]uint64)}}
		c := n.quicConfig()
		c.RequireStreamCreditRelease = false
		return c
	}
	ln, err := trs[1].Listen(ids[1].server(), conf())
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept(context.Background())
		for i := 0; err == nil && i < b.N; i++ {
			var s *quic.ReceiveStream
			if s, err = c.AcceptUniStream(context.Background()); err == nil {
				_, err = io.Copy(io.Discard, s)
			}
		}
		done <- err
	}()
	c, err := trs[0].Dial(context.Background(), trs[1].Conn.LocalAddr(),
		ids[0].client(alpnPeer, func(membership.NodeID) error { return nil }), conf())
	if err != nil {
		b.Fatal(err)
	}
	shard := make([]byte, benchShard)
	b.ResetTimer()
	began := time.Now()
	for range b.N {
		s, err := c.OpenUniStreamSync(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Write(shard); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	b.StopTimer()
	return took
}
