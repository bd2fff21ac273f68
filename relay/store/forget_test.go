package store_test

import (
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memdisk"
)

// TestKeep: what is older than Keep goes, nothing that is younger does, and in the end
// no file and no directory is left.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		cfg := store.Config{FS: disk, Keep: 30 * time.Second}
		s := open(t, "dir", cfg)
		all := blocks(1200, 100)
		for n, shards := range all {
			rehearse(t, s, [][]*stripe.Shard{shards})
			if n%100 != 99 {
				continue
			}
			pass(time.Second)
			have, held := played(t, s, all, false)
			young := max(n-260, 0) // a second is ten blocks or none
			if !whole(have[young:n], n-young) || held > 350*layout.N() {
				t.Fatalf("after block %d %d shards are held: %b", n, held, have)
			}
			if n == 599 { // the same after a new start
				closed(t, s)
				s = open(t, "dir", cfg)
			}
		}
		pass(time.Minute)
		if st := s.Stats(); st.Bytes != 0 || st.Segments != 0 || !st.Newest.IsZero() || len(s.Keys()) != 0 {
			t.Errorf("a minute later: %+v", st)
		}
		if left := disk.Names(); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		if dirs, err := disk.List("dir"); err != nil || len(dirs) != 0 {
			t.Errorf("left: %v, %v", dirs, err)
		}
		// The stream goes on, and so does the store.
		putAll(t, s, all[0])
		pass(time.Second)
		if have, _ := played(t, s, all, false); have[0] != 31 {
			t.Error("a stream that goes on is not kept")
		}
		closed(t, s)
	})
}

// TestClockBack: what seems to come from the future is kept from now on.
func TestClockBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		cfg := store.Config{FS: disk, Keep: time.Minute}
		var before *memdisk.Disk
		func() {
			s := open(t, "dir", cfg)
			putAll(t, s, block(0, 100))
			pass(time.Second)
			before = disk.Killed(disk.Written())
			closed(t, s)
		}()
		for _, name := range before.Names() {
			before.Date(name, time.Now().Add(10*time.Hour))
		}
		cfg.FS = before
		s := open(t, "dir", cfg)
		pass(50 * time.Second)
		if s.Stats().Shards != 5 {
			t.Errorf("%+v", s.Stats())
		}
		pass(20 * time.Second)
		if s.Stats().Shards != 0 {
			t.Errorf("%+v", s.Stats())
		}
		closed(t, s)
	})
}

// TestQuota: the quota holds at every moment, and what is left is the newest.
func TestQuota(t *testing.T) {
	for _, keep := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			disk := memdisk.New()
			s := open(t, "dir", store.Config{FS: disk, Keep: keep, Quota: store.MinQuota})
			all := blocks(120, 200<<10)
			for n, shards := range all {
				rehearse(t, s, [][]*stripe.Shard{shards})
				if used := disk.Used(); used > store.MinQuota {
					t.Fatalf("after block %d %d bytes are used", n, used)
				}
			}
			pass(time.Second)
			have, held := played(t, s, all, false)
			if least := store.MinQuota * 8 / 10 / (50 << 10); held < least {
				t.Errorf("only %d shards are held, and %d would fit", held, least)
			}
			if n := held / layout.N(); !whole(have[120-n:], n) {
				t.Errorf("held are not the newest %d: %b", n, have)
			}
			closed(t, s)
		})
	}
}

// TestQuotaOfMany: streams that take turns share a quota, by age.
func TestQuotaOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk, Quota: store.MinQuota})
		for epoch := range uint32(6) {
			for n := range 25 {
				for _, sh := range block(uint64(n), 200<<10) {
					again := *sh
					again.Epoch = epoch // no shard of the film: it is only counted here
					s.Put(&again)
				}
				pass(blockTime)
				if used := disk.Used(); used > store.MinQuota {
					t.Fatalf("%d bytes are used", used)
				}
			}
		}
		pass(time.Second)
		keys := s.Keys()
		if len(keys) < 2 || len(keys) > 4 || keys[len(keys)-1].Epoch != 5 || keys[0].Epoch < 2 {
			t.Errorf("kept: %v", keys)
		}
		closed(t, s)
	})
}

// TestQuotaOfSmall: of the smallest shards the index is a good part, and counts.
func TestQuotaOfSmall(t *testing.T) {
	for trial := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			disk := memdisk.New()
			s := open(t, "dir", store.Config{FS: disk, Quota: store.MinQuota})
			small := block(0, 1)
			for n := range 39000 + 55*trial {
				for _, sh := range small[:2] {
					again := *sh
					again.Number = n // it is only counted here
					s.Put(&again)
				}
				if n%400 == 0 {
					pass(500 * time.Millisecond)
					if used := disk.Used(); used > store.MinQuota {
						t.Fatalf("after block %d %d bytes are used", n, used)
					}
				}
			}
			if used := disk.Used(); used < store.MinQuota*9/10 || s.Stats().Dropped > 0 {
				t.Errorf("%d bytes are used, %+v", used, s.Stats())
			}
			closed(t, s)
			if used := disk.Used(); used > store.MinQuota {
				t.Errorf("in the end %d bytes are used", used)
			}
		})
	}
}

// TestFullDisk: a disk that is full for us, whatever it says is free, keeps what fits.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 8 << 20
		disk := memdisk.New()
		disk.SetCapacity(capacity)
		s := open(t, "dir", store.Config{FS: disk, Keep: time.Minute})
		all := blocks(1000, 50<<10)
		rehearse(t, s, all)
		pass(time.Second)
		have, held := played(t, s, all, false)
		if held < capacity/2/(13<<10) || !whole(have[1000-held/layout.N()/2:], held/layout.N()/2) {
			t.Errorf("%d shards are held: %b", held, have)
		}
		if st := s.Stats(); st.Dropped > 0 || !strings.Contains(st.Problem, "the disk is nearly full: the back buffer shrinks to") {
			t.Errorf("%+v", st)
		}
		closed(t, s)
	})
}

// TestFree: another program fills the disk. A back buffer gives way, says so, and comes
// back; a recording gives nothing away, and comes back too.
func TestFree(t *testing.T) {
	const mib = 1 << 20
	for _, keep := range []time.Duration{0, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			disk, log := memdisk.New(), &lines{}
			disk.SetCapacity(100 * mib)
			s := open(t, "dir", store.Config{FS: disk, Keep: keep, Free: 50 * mib, Logger: slog.New(log)})
			all := blocks(4000, 2<<10)
			rehearse(t, s, all[:1500])
			before := s.Stats()
			if before.Problem != "" || before.Dropped > 0 || before.Segments < 1 {
				t.Fatalf("%+v", before)
			}
			// So much that about half of what is held must go.
			disk.SetCapacity(50*mib + disk.Used()/2)
			rehearse(t, s, all[1500:1600])
			half := s.Stats()
			if keep > 0 {
				if half.Bytes >= before.Bytes || half.Bytes == 0 || half.Dropped > 0 || !strings.Contains(half.Problem, "shrinks") {
					t.Errorf("the back buffer does not shrink: %+v", half)
				}
			} else if half.Bytes < before.Bytes || !strings.Contains(half.Problem, "the recording is paused, live goes on: the disk is nearly full: less than 50 MiB are free") {
				t.Errorf("the recording does not pause: %+v", half)
			}
			disk.SetCapacity(50*mib - 1)
			rehearse(t, s, all[1600:1700])
			if st := s.Stats(); keep > 0 && st.Bytes != 0 || keep == 0 && st.Bytes != half.Bytes || st.Dropped == 0 || st.Problem == "" {
				t.Errorf("with nothing left: %+v", st)
			}
			disk.SetCapacity(200 * mib)
			rehearse(t, s, all[1700:])
			pass(2 * time.Minute)
			if st := s.Stats(); st.Problem != "" {
				t.Errorf("with room again: %+v", st)
			}
			first := 1700 + 310 // the longest pause, and somewhat more
			if keep > 0 {
				first = 4000 + 1200 - 3000 + 10
			}
			if have, _ := played(t, s, all, false); !whole(have[first:], 4000-first) {
				t.Errorf("with room again, held: %b", have)
			}
			if log.tooOften() || len(log.said()) < 1 {
				t.Errorf("it said: %q", log.said())
			}
			closed(t, s)
		})
	}
}

// TestAutoQuota is a tenth of what is free, within bounds.
func TestAutoQuota(t *testing.T) {
	for capacity, want := range map[int64]int64{
		0: store.MaxAutoQuota, 1 << 30: 1 << 30 / 10, 50 << 20: store.MinQuota, 1 << 40: store.MaxAutoQuota,
	} {
		disk := memdisk.New()
		disk.SetCapacity(capacity)
		cfg := store.DefaultConfig()
		cfg.FS = disk
		s := open(t, "dir", cfg)
		if got := s.Stats().Quota; got != want {
			t.Errorf("of %d bytes: %d, want %d", capacity, got, want)
		}
		_ = s.Close() // one of them has too little free
	}
}

// TestReadWhileForgotten: readers on the machine's disk go on while segments are
// written, finished, removed. They get what was put or nothing.
func TestReadWhileForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, store.Config{Quota: store.MinQuota})
		all := blocks(130, 200<<10)
		var newest atomic.Int64
		var got [4]int
		stop := make(chan struct{})
		done := make(chan struct{})
		for reader := range got {
			go func() {
				defer func() { done <- struct{}{} }()
				rnd := rand.New(rand.NewPCG(uint64(reader), 2))
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(rnd.IntN(5000)) * time.Microsecond):
					}
					n, i := rnd.Int64N(newest.Load()+1), rnd.IntN(layout.N())
					sh, err := s.Get(film, uint64(n), i)
					if err == nil {
						if string(sh.Encoded()) != string(all[n][i].Encoded()) {
							t.Errorf("block %d: other bytes", n)
						}
						got[reader]++
					}
					if _, err := s.Blocks(film, uint64(n), uint64(n+20)); err != nil {
						t.Errorf("blocks: %v", err)
					}
					if _, err := s.Seek(film, start.Add(time.Duration(n)*blockTime)); err != nil && newest.Load() > 20 {
						t.Errorf("seek: %v", err)
					}
				}
			}()
		}
		for n, shards := range all {
			rehearse(t, s, [][]*stripe.Shard{shards})
			newest.Store(int64(n))
		}
		close(stop)
		for range got {
			<-done
		}
		for reader, n := range got {
			if n < 50 {
				t.Errorf("reader %d got %d shards", reader, n)
			}
		}
		if st := s.Stats(); st.Problem != "" || st.Dropped != 0 || st.Bytes > store.MinQuota {
			t.Errorf("%+v", st)
		}
		closed(t, s)
		if files, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*.v1")); len(files) < 10 || onDisk(t, dir) > store.MinQuota {
			t.Errorf("%d files", len(files))
		}
	})
}

// TestManySegments: indexes of finished segments come into memory and go again.
func TestManySegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(600, 100)
		disk, _ := shoot(t, store.Config{}, all)
		s := open(t, "dir", store.Config{FS: disk})
		if s.Stats().Segments < 50 {
			t.Fatalf("%d segments", s.Stats().Segments)
		}
		rnd := rand.New(rand.NewPCG(1, 9))
		for range 2000 {
			n, i := rnd.IntN(600), rnd.IntN(layout.N())
			if sh, err := s.Get(film, uint64(n), i); err != nil || string(sh.Encoded()) != string(all[n][i].Encoded()) {
				t.Fatalf("block %d: %v", n, err)
			}
			if open := s.Loaded(); open > 8 {
				t.Fatalf("%d indexes are in memory", open)
			}
		}
		closed(t, s)
	})
}
