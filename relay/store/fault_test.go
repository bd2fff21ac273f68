package store_test

import (
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memdisk"
)

// rehearse puts a block every 100 ms, as live does, and fails if that takes time.
func rehearse(t *testing.T, s *store.Store, all [][]*stripe.Shard) {
	t.Helper()
	for _, shards := range all {
		before := time.Now()
		for _, sh := range shards {
			if !s.Put(sh) {
				t.Errorf("block %d was not taken", sh.Number)
			}
		}
		if !time.Now().Equal(before) {
			t.Fatal("live waited")
		}
		pass(blockTime)
	}
}

// TestFaults: the disk fails now and then, in every way, then always, then not at all.
// Live goes on; what is served is right; what comes after the fault is kept.
func TestFaults(t *testing.T) {
	all := blocks(1000, 500)
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			disk, log := memdisk.New(), &lines{}
			cfg := store.Config{FS: disk, Logger: slog.New(log)}
			if seed%2 == 0 {
				cfg.Keep = 20 * time.Second
			}
			s := open(t, "dir", cfg)
			var mu sync.Mutex
			rnd := rand.New(rand.NewPCG(seed, 1))
			errnos := []error{syscall.ENOSPC, syscall.EIO, syscall.EROFS, syscall.EDQUOT, syscall.EINTR}
			sometimes := func(p float64) func(memdisk.Op) (int, error) {
				return func(op memdisk.Op) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					if rnd.Float64() >= p {
						return op.Size, nil
					}
					return rnd.IntN(op.Size + 1), errnos[rnd.IntN(len(errnos))]
				}
			}
			disk.SetFail(sometimes(0.1))
			rehearse(t, s, all[:400])
			disk.SetFail(sometimes(1))
			rehearse(t, s, all[400:500])
			if s.Stats().Problem == "" || s.Stats().Dropped == 0 {
				t.Errorf("a disk that does nothing is no problem: %+v", s.Stats())
			}
			disk.SetFail(nil)
			rehearse(t, s, all[500:])
			pass(time.Second)
			if st := s.Stats(); st.Problem != "" {
				t.Errorf("%+v", st)
			}
			have, _ := played(t, s, all, false)
			if cfg.Keep == 0 && !whole(have[850:], 150) || !whole(have[900:], 100) {
				t.Errorf("30 s after the fault, held: %b", have[820:])
			}
			if log.tooOften() || len(log.said()) == 0 {
				t.Errorf("it said: %q at %v", log.said(), log.at)
			}
			closed(t, s)
			s = open(t, "dir", cfg)
			again, _ := played(t, s, all, false)
			for n := 900; n < 1000; n++ {
				if again[n] != have[n] {
					t.Errorf("block %d: %b, and %b after a new start", n, have[n], again[n])
				}
			}
			closed(t, s)
		})
	}
}

// TestWords: what is wrong is said once, in words, and again a minute later; and it is
// over when it is over.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		ops  string
		says string
	}{
		{"full", syscall.ENOSPC, "write", "the back buffer is paused, live goes on: the disk is full"},
		{"quota of the user", syscall.EDQUOT, "create write", "the disk is full"},
		{"broken", syscall.EIO, "write sync create", "the disk reports an error"},
		{"read-only", syscall.EROFS, "lock create write remove truncate", "the directory cannot be written to"},
		{"no permission", syscall.EACCES, "list lock create", "the directory cannot be written to"},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk, log := memdisk.New(), &lines{}
			fail := func(op memdisk.Op) (int, error) {
				if strings.Contains(c.ops, op.Kind) {
					return 0, c.err
				}
				return op.Size, nil
			}
			disk.SetFail(fail)
			cfg := store.DefaultConfig()
			cfg.FS, cfg.Logger = disk, slog.New(log)
			s := open(t, "dir", cfg)
			all := blocks(1500, 100)
			rehearse(t, s, all[:1000])
			if said := log.said(); len(said) != 2 || !strings.Contains(said[0], c.says) {
				t.Errorf("%s: in 100 s it said %q", c.name, said)
			}
			if got := s.Stats().Problem; !strings.Contains(got, c.says) {
				t.Errorf("%s: the problem is %q", c.name, got)
			}
			disk.SetFail(nil)
			rehearse(t, s, all[1000:])
			pass(time.Second)
			if have, _ := played(t, s, all, false); s.Stats().Problem != "" || !whole(have[1350:], 150) {
				t.Errorf("%s: it is over, and %+v, held: %b", c.name, s.Stats(), have[1300:])
			}
			closed(t, s)
		})
	}
}

// TestReadOnly: a recording that cannot be written to can be read, torn or not.
func TestReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, _ := shoot(t, store.Config{}, all)
		for _, cut := range []int64{disk.Written(), disk.Written() - 5000} {
			then := disk.Killed(cut)
			then.SetFail(func(op memdisk.Op) (int, error) {
				if op.Changes() {
					return 0, syscall.EROFS
				}
				return op.Size, nil
			})
			before := then.Written()
			s := open(t, "dir", store.Config{FS: then})
			rehearse(t, s, blocks(20, 10))
			if have, _ := played(t, s, all, false); !whole(have, crashBlocks-segmentBlocks) {
				t.Errorf("held: %b", have)
			}
			if info, err := s.Info(film); err != nil || string(info) != "signed" {
				t.Errorf("info %q, %v", info, err)
			}
			if err := s.Close(); err == nil || then.Written() != before {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

// TestDeafDisk: the disk does not answer at all. Live goes on, what waits is bounded,
// and Close gives up.
func TestDeafDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk})
		answer := make(chan struct{})
		disk.SetFail(func(op memdisk.Op) (int, error) {
			if op.Kind == "write" {
				<-answer
			}
			return op.Size, nil
		})
		all := blocks(30, 100)
		before := time.Now()
		rehearse(t, s, all)
		taken := 0
		for s.Put(all[0][0]) {
			taken++
		}
		if taken > store.MaxQueue || s.Stats().Dropped != 1 {
			t.Errorf("%d shards were taken, %+v", taken, s.Stats())
		}
		if err := s.Close(); err == nil || !strings.Contains(err.Error(), "the disk did not answer") {
			t.Errorf("closed: %v", err)
		}
		if waited := time.Since(before) - 3*time.Second; waited > 6*time.Second {
			t.Errorf("that took %v", waited)
		}
		close(answer)
		closed(t, s)
		s = open(t, "dir", store.Config{FS: disk})
		if have, _ := played(t, s, all, false); !whole(have, 30) {
			t.Errorf("the disk answered in the end, and held are: %b", have)
		}
		closed(t, s)
	})
}

// TestQueueBytes: what waits is bounded in bytes too.
func TestQueueBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk})
		answer := make(chan struct{})
		disk.SetFail(func(op memdisk.Op) (int, error) {
			if op.Kind == "create" {
				<-answer
			}
			return op.Size, nil
		})
		shards := block(0, 1<<20)
		putAll(t, s, shards[:1])
		pass(time.Second) // the writer waits
		taken := 0
		for s.Put(shards[0]) {
			taken++
		}
		if size := taken * len(shards[0].Encoded()); size > store.MaxQueueBytes || size < store.MaxQueueBytes/2 {
			t.Errorf("%d bytes wait", size)
		}
		close(answer)
		closed(t, s)
	})
}
