package store_test

import (
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memdisk"
)

const (
	crashBlocks   = 60
	segmentBlocks = 11 // the last when the time is up
)

// checkpoint is how much of the film was stored after so many bytes of changes.
type checkpoint struct{ bytes, shards int64 }

// shoot records the film, segmentBlocks a segment, and two infos. It tells how
// much was stored when.
func shoot(t *testing.T, cfg store.Config, all [][]*stripe.Shard) (disk *memdisk.Disk, stored []checkpoint) {
	t.Helper()
	disk = memdisk.New()
	cfg.FS = disk
	s := open(t, "dir", cfg)
	for n, shards := range all {
		switch n {
		case 5:
			s.PutInfo(film, []byte("older"))
		case crashBlocks / 2:
			s.PutInfo(film, []byte("signed"))
		}
		putAll(t, s, shards)
		pass(cfg.SegmentTime() / 10)
		stored = append(stored, checkpoint{disk.Written(), int64(s.Stats().Shards)})
	}
	closed(t, s)
	return disk, stored
}

// TestCrash: the process dies at any byte. Nothing is lost that a write had finished,
// whatever is there is as it was put, and the next process goes on.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, stored := shoot(t, store.Config{}, all)
		rnd := rand.New(rand.NewPCG(3, 4))
		for round := range 1000 {
			cut := rnd.Int64N(disk.Written() + 1)
			then := disk.Killed(cut)
			s := open(t, "dir", store.Config{FS: then})
			have, shards := played(t, s, all, false)
			at := sort.Search(len(stored), func(i int) bool { return stored[i].bytes > cut })
			least := int64(0)
			if at > 0 {
				least = stored[at-1].shards
			}
			if int64(shards) < least || !whole(have, int(least)/layout.N()) {
				t.Fatalf("after byte %d %d shards are left, and %d were written", cut, shards, least)
			}
			if round%10 == 0 {
				goOn(t, s, then, all)
			} else {
				closed(t, s)
			}
		}
	})
}

// goOn records the whole film again after a crash, and reads it in a third process.
func goOn(t *testing.T, s *store.Store, disk *memdisk.Disk, all [][]*stripe.Shard) {
	t.Helper()
	for _, shards := range all {
		putAll(t, s, shards)
	}
	closed(t, s)
	s = open(t, "dir", store.Config{FS: disk})
	if have, _ := played(t, s, all, false); !whole(have, len(all)) || s.Stats().Problem != "" {
		t.Errorf("after a crash, held: %b, %+v", have, s.Stats())
	}
	closed(t, s)
}

// TestPowerCut: the power goes at any byte, and of what was not durable any sector may
// be missing. Segments that were finished before are whole.
func TestPowerCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, stored := shoot(t, store.Config{}, all)
		rnd := rand.New(rand.NewPCG(5, 6))
		kept := 0
		for range 400 {
			cut := rnd.Int64N(disk.Written() + 1)
			s := open(t, "dir", store.Config{FS: disk.PowerCut(cut, rnd)})
			have, shards := played(t, s, all, false)
			at := sort.Search(len(stored), func(i int) bool { return stored[i].bytes > cut })
			if durable := at / segmentBlocks * segmentBlocks; !whole(have, durable) {
				t.Fatalf("of the first %d blocks are left: %b", durable, have[:durable])
			}
			kept += shards
			closed(t, s)
		}
		t.Logf("%d shards were left on average", kept/400)
	})
}

// TestCrashWhileForgetting: the same while old segments are removed.
func TestCrashWhileForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		cfg := store.Config{Keep: 2 * time.Second}
		disk, _ := shoot(t, cfg, all)
		rnd := rand.New(rand.NewPCG(7, 8))
		for range 300 {
			cfg.FS = disk.PowerCut(rnd.Int64N(disk.Written()+1), rnd)
			s := open(t, "dir", cfg)
			played(t, s, all, false)
			if problem := s.Stats().Problem; problem != "" {
				t.Fatal(problem)
			}
			closed(t, s)
		}
	})
}

// TestFlips: bits turn over, anywhere. A wrong byte is never served, and one bit costs
// one shard at most.
func TestFlips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, _ := shoot(t, store.Config{}, all)
		names := disk.Names()
		rnd := rand.New(rand.NewPCG(9, 10))
		for range 600 {
			then := disk.Killed(disk.Written())
			name := names[rnd.IntN(len(names))]
			b := then.Bytes(name)
			flips := 1 + rnd.IntN(3)*rnd.IntN(20)
			for range flips {
				at := rnd.IntN(len(b))
				if rnd.IntN(2) == 0 { // index and trailer are short: more of these
					at = len(b) - 1 - rnd.IntN(len(b)/8)
				}
				b[at] ^= 1 << rnd.IntN(8)
			}
			then.Set(name, b)
			s := open(t, "dir", store.Config{FS: then})
			_, shards := played(t, s, all, true)
			if lost := crashBlocks*layout.N() - shards; flips == 1 && lost > 1 {
				t.Errorf("a bit cost %d shards", lost)
			}
			again, _ := s.Blocks(film, 0, crashBlocks)
			offered := 0
			for _, block := range again {
				for i := range layout.N() {
					offered += int(block.Have >> i & 1)
				}
			}
			if offered != shards {
				t.Errorf("%d shards are offered, and %d can be read", offered, shards)
			}
			closed(t, s)
		}
	})
}

// TestDamage: files are cut, lengthened, swapped, emptied. Nothing wrong is served.
func TestDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, _ := shoot(t, store.Config{}, all)
		names := disk.Names()
		rnd := rand.New(rand.NewPCG(11, 12))
		for range 300 {
			then := disk.Killed(disk.Written())
			name, other := names[rnd.IntN(len(names))], names[rnd.IntN(len(names))]
			b := then.Bytes(name)
			at := rnd.IntN(len(b))
			end := at + rnd.IntN(len(b)-at)
			switch rnd.IntN(6) {
			case 0:
				b = b[:at]
			case 1:
				b = append(b, b[at:end]...)
			case 2:
				b = slices.Delete(b, at, end)
			case 3:
				clear(b[at:end])
			case 4:
				b = then.Bytes(other)
			case 5:
				b = append(b[:at:at], then.Bytes(other)...)
			}
			then.Set(name, b)
			s := open(t, "dir", store.Config{FS: then})
			played(t, s, all, true)
			closed(t, s)
		}
	})
}
