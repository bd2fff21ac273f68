package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memdisk"
)

// TestPutGet: what is put is had, at once and by a later process, on the machine's
// own disk.
func TestPutGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		all := blocks(30, 5000)
		info := []byte("signed by the source")
		s := open(t, dir, store.DefaultConfig())
		s.PutInfo(film, []byte("older"))
		for n, shards := range all {
			if n == 20 {
				s.PutInfo(film, info)
				s.PutInfo(film, info) // twice is once
			}
			putAll(t, s, shards)
			putAll(t, s, shards[:1]) // twice is once
			pass(blockTime)
		}
		pass(time.Second)
		check := func() {
			t.Helper()
			if have, _ := played(t, s, all, false); !whole(have, 30) {
				t.Errorf("held: %b", have)
			}
			if sh, err := s.Get(film, 7, 2); err != nil || !sh.Check() {
				t.Errorf("a shard that was put is not genuine: %v", err)
			}
			if got, err := s.Info(film); err != nil || !bytes.Equal(got, info) {
				t.Errorf("info %q, %v", got, err)
			}
			if keys := s.Keys(); len(keys) != 1 || keys[0] != film {
				t.Errorf("keys: %v", keys)
			}
			span, ok := s.Span(film)
			if !ok || span.First != 0 || span.Last != 29 || span.Shards != 150 ||
				!span.From.Equal(start) || !span.To.Equal(start.Add(29*blockTime)) {
				t.Errorf("span: %+v", span)
			}
			if st := s.Stats(); st.Shards != 150 || st.Dropped != 0 || st.Problem != "" || st.Bytes != onDisk(t, dir) {
				t.Errorf("stats: %+v, and %d bytes on disk", st, onDisk(t, dir))
			}
		}
		check()
		closed(t, s)
		if _, err := s.Get(film, 7, 2); !errors.Is(err, store.ErrClosed) {
			t.Errorf("of a closed store: %v", err)
		}
		if s.Put(all[0][0]) {
			t.Error("a closed store takes shards")
		}
		s = open(t, dir, store.DefaultConfig())
		check()
		for _, c := range []struct {
			key    store.Key
			number uint64
			i      int
		}{{film, 30, 0}, {film, 1 << 32, 0}, {film, 3, 5}, {film, 3, 64}, {film, 3, -1}, {store.Key{Stream: film.Stream, Epoch: 4}, 3, 0}} {
			if _, err := s.Get(c.key, c.number, c.i); !errors.Is(err, store.ErrNotHeld) {
				t.Errorf("%v: %v", c, err)
			}
		}
		closed(t, s)
	})
}

// onDisk is how many bytes the segments have.
func onDisk(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".v1" {
			info, err := e.Info()
			if err != nil {
				return err
			}
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// TestSeek: one begins at the newest block to start at that is not after the time.
func TestSeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk, Keep: 10 * time.Minute})
		all := blocks(400, 100)
		// The past is fetched after the present: segments are not in order of time.
		for _, n := range append(numbers(200, 400), numbers(0, 200)...) {
			putAll(t, s, all[n])
			pass(time.Second)
		}
		at := func(number int, later time.Duration) time.Time {
			return start.Add(time.Duration(number)*blockTime + later)
		}
		for _, c := range []struct {
			at   time.Time
			want uint64
		}{
			{at(0, -time.Hour), 0}, {at(0, 0), 0}, {at(9, 0), 0}, {at(10, -1), 0}, {at(10, 0), 10}, {at(10, 1), 10},
			{at(205, 0), 200}, {at(199, 0), 190}, {at(357, 0), 350}, {at(399, time.Hour), 390},
		} {
			if b, err := s.Seek(film, c.at); err != nil || b.Number != c.want || b.Have != 31 {
				t.Errorf("at %v: block %+v, %v, want %d", c.at.Sub(start), b, err, c.want)
			}
		}
		if list, err := s.Blocks(film, 95, 305); err != nil || len(list) != 211 || list[0].Number != 95 || list[210].Number != 305 {
			t.Errorf("%d blocks, %v", len(list), err)
		}
		if _, err := s.Seek(store.Key{}, start); !errors.Is(err, store.ErrNotHeld) {
			t.Errorf("of nothing: %v", err)
		}
		closed(t, s)
	})
}

func numbers(from, to int) (n []int) {
	for i := from; i < to; i++ {
		n = append(n, i)
	}
	return n
}

// TestSplit: shards of one block in two segments are one block.
func TestSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "dir", store.Config{FS: memdisk.New(), Keep: time.Minute})
		all := blocks(20, 100)
		for i := range layout.N() {
			for n := range all {
				putAll(t, s, all[n][i:i+1])
			}
			pass(5 * time.Second)
		}
		if s.Stats().Segments < layout.N() {
			t.Fatalf("only %d segments", s.Stats().Segments)
		}
		if have, _ := played(t, s, all, false); !whole(have, 20) {
			t.Errorf("held: %b", have)
		}
		if have, err := s.Has(film, 3); err != nil || have != 31 {
			t.Errorf("block 3: %b, %v", have, err)
		}
		closed(t, s)
	})
}

// TestBlocksBounded: a long list comes in pieces.
func TestBlocksBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "dir", store.Config{FS: memdisk.New()})
		const n = store.MaxBlocks + 500
		for i := range n {
			putAll(t, s, block(uint64(i), 10)[:1])
			if i%500 == 0 {
				pass(10 * time.Minute)
			}
		}
		pass(time.Second)
		next := uint64(0)
		for _, want := range []int{store.MaxBlocks, 500, 0} {
			list, err := s.Blocks(film, next, 1<<32)
			if err != nil || len(list) != want {
				t.Fatalf("%d blocks from %d, %v", len(list), next, err)
			}
			for _, b := range list {
				if b.Number != next {
					t.Fatalf("block %d, want %d", b.Number, next)
				}
				next++
			}
		}
		closed(t, s)
	})
}

// TestTwoOpens: a directory has one owner, until that closes.
func TestTwoOpens(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.DefaultConfig())
	cfg := store.DefaultConfig()
	cfg.Logger = discard
	if _, err := store.Open(dir, cfg); !errors.Is(err, store.ErrLocked) {
		t.Errorf("the second: %v", err)
	} else if want := "back buffer: " + filepath.Join(dir, "lock") + ": another process uses it"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	closed(t, s)
	closed(t, open(t, dir, store.DefaultConfig()))
}

// TestOthersFiles: what is not ours is neither read nor removed.
func TestOthersFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk, Keep: time.Second})
		putAll(t, s, block(0, 100))
		pass(time.Second / 2)
		mine := disk.Names()
		closed(t, s)
		epoch := filepath.Dir(mine[0])
		others := []string{
			filepath.Join("dir", "notes"), filepath.Join("dir", "x", "00000003", filepath.Base(mine[0])),
			filepath.Join(epoch, "notes"), filepath.Join(epoch, "0000000000000009.v2"),
			filepath.Join(epoch, "000000000000000A.v1"), filepath.Join(epoch, "9.v1"),
			filepath.Join(filepath.Dir(epoch), "3", filepath.Base(mine[0])),
		}
		for _, name := range others {
			disk.Set(name, []byte("not ours"))
		}
		s = open(t, "dir", store.Config{FS: disk, Keep: time.Second})
		pass(time.Minute)
		if st := s.Stats(); st.Segments != 0 || st.Problem != "" {
			t.Errorf("%+v", st)
		}
		closed(t, s)
		if left := disk.Names(); len(left) != len(others) {
			t.Errorf("left: %q", left)
		}
	})
}

// TestEquivocation: of two blocks that were signed for one number, shards of another
// size than the first one's are not kept.
func TestEquivocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "dir", store.Config{FS: memdisk.New()})
		putAll(t, s, block(0, 1000)[:2])
		putAll(t, s, block(0, 5000))
		pass(time.Second)
		if have, shards := played(t, s, [][]*stripe.Shard{block(0, 1000)}, false); shards != 2 || have[0] != 3 {
			t.Errorf("held: %b", have)
		}
		closed(t, s)
	})
}

func TestValidate(t *testing.T) {
	good := store.DefaultConfig()
	good.Logger = discard
	for _, change := range []func(*store.Config){
		func(c *store.Config) { c.Keep = -1 }, func(c *store.Config) { c.Keep = time.Millisecond },
		func(c *store.Config) { c.Quota = 1 << 20 }, func(c *store.Config) { c.Quota = -2 },
		func(c *store.Config) { c.Free = -1 }, func(c *store.Config) { c.Logger = nil },
	} {
		bad := good
		if change(&bad); bad.Validate() == nil {
			t.Errorf("%+v is good", bad)
		}
		if s, err := store.Open(t.TempDir(), bad); err == nil {
			t.Errorf("%+v opens", bad)
			s.Close()
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

// TestOnceAfterRestart: who starts again is sent some of what it has; that is neither
// kept nor counted twice, in whichever segment it is.
func TestOnceAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk, all := memdisk.New(), blocks(40, 5000)
		cfg := store.DefaultConfig()
		cfg.FS = disk
		had := int64(0)
		for life := range 3 {
			s := open(t, "dir", cfg)
			for _, shards := range all[:20+10*life] { // all that it had, and ten more
				putAll(t, s, shards)
				pass(blockTime)
			}
			pass(time.Second)
			st, want := s.Stats(), uint64((20+10*life)*layout.N())
			if span, _ := s.Span(film); st.Shards != want || span.Shards != want {
				t.Errorf("life %d: %d shards, %d in the span, want %d", life, st.Shards, span.Shards, want)
			}
			if added := st.Bytes - had; life > 0 && added > had*3/4 {
				t.Errorf("life %d: %d bytes more than %d", life, added, had)
			}
			closed(t, s)
			had = st.Bytes
		}
	})
}
