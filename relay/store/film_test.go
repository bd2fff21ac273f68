package store_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

var (
	sourceKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	film      = store.Key{Stream: stripe.IDOf(sourceKey), Epoch: 3}
	layout    = stripe.Layout{K: 4, M: 1}
	start     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

var discard = slog.New(slog.DiscardHandler)

const blockTime = 100 * time.Millisecond

// block makes the shards of one block, the same each time: every tenth can be started
// at. Its shards are genuine, though no codeword.
func block(number uint64, dataLen int) []*stripe.Shard {
	rnd := rand.NewChaCha8([32]byte{byte(number), byte(number >> 8), byte(number >> 16)})
	h := stripe.Header{
		Stream: film.Stream, Epoch: film.Epoch, Number: number, Layout: layout,
		ShardLen: layout.ShardLen(dataLen), DataLen: dataLen,
		SourceTime: start.Add(time.Duration(number) * blockTime).UnixMilli(),
		MediaTime:  number * 9000,
	}
	if number%10 == 0 {
		h.Flags = stripe.RandomAccess
	}
	shards := make([][]byte, layout.N())
	for i := range shards {
		shards[i] = make([]byte, h.ShardLen)
		rnd.Read(shards[i])
	}
	return stripe.Seal(sourceKey, h, shards)
}

// blocks makes the first n blocks.
func blocks(n, dataLen int) (all [][]*stripe.Shard) {
	for i := range n {
		all = append(all, block(uint64(i), dataLen))
	}
	return all
}

// played reads all that a store says it has of the film, holds it against what was
// put, and tells which shards it had: bit i of a block's number is shard i. Only what
// damaged says may fail to be read.
func played(t *testing.T, s *store.Store, all [][]*stripe.Shard, damaged bool) (have []uint64, shards int) {
	t.Helper()
	have = make([]uint64, len(all))
	list, err := s.Blocks(film, 0, 1<<32-1)
	if err != nil && !damaged {
		t.Errorf("blocks: %v", err)
	}
	last := -1
	for _, b := range list {
		if int(b.Number) <= last || b.Number >= uint64(len(all)) {
			t.Fatalf("block %d after %d, of %d", b.Number, last, len(all))
		}
		last = int(b.Number)
		want := all[b.Number]
		if b.SourceTime != want[0].SourceTime || b.Flags != want[0].Flags {
			t.Errorf("block %d: %+v", b.Number, b)
		}
		for i := range want {
			if b.Have>>i&1 == 0 {
				continue
			}
			got, err := s.Get(film, b.Number, i)
			if err != nil {
				if !damaged {
					t.Errorf("block %d, shard %d: %v", b.Number, i, err)
				}
				continue
			}
			if !bytes.Equal(got.Encoded(), want[i].Encoded()) {
				t.Fatalf("block %d, shard %d: other bytes than were put", b.Number, i)
			}
			have[b.Number] |= 1 << i
			shards++
		}
	}
	return have, shards
}

// whole tells whether every shard of the first n blocks is there.
func whole(have []uint64, n int) bool {
	for _, h := range have[:n] {
		if h != 1<<layout.N()-1 {
			return false
		}
	}
	return true
}

func putAll(t *testing.T, s *store.Store, shards []*stripe.Shard) {
	t.Helper()
	for _, sh := range shards {
		if !s.Put(sh) {
			t.Fatalf("block %d was not taken", sh.Number)
		}
	}
}

func open(t testing.TB, dir string, cfg store.Config) *store.Store {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = discard
	}
	s, err := store.Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // of a test that failed
	return s
}

func closed(t testing.TB, s *store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// pass lets virtual time pass, and the writer do what it does at its end.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// lines is a logger's output, with times.
type lines struct {
	mu   sync.Mutex
	at   []time.Time
	text []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Level >= slog.LevelError {
		l.at = append(l.at, r.Time)
		l.text = append(l.text, r.Message)
	}
	return nil
}

func (l *lines) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

// tooOften tells whether two lines came within a minute.
func (l *lines) tooOften() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 1; i < len(l.at); i++ {
		if l.at[i].Sub(l.at[i-1]) < time.Minute {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("STORE_TEST_WRITER"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}
