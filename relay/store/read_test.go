package store_test

import (
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/test/memdisk"
)

// TestReadsFail: what cannot be read is an error, said once a minute, and costs nothing
// once it can be read again.
func TestReadsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := blocks(crashBlocks, 800)
		disk, _ := shoot(t, store.Config{}, all)
		for _, kind := range []string{"open", "read"} {
			log := &lines{}
			s := open(t, "dir", store.Config{FS: disk, Logger: slog.New(log)})
			disk.SetFail(func(op memdisk.Op) (int, error) {
				if op.Kind == kind {
					return 0, syscall.EIO
				}
				return op.Size, nil
			})
			for range 100 {
				if _, err := s.Get(film, 5, 1); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", kind, err)
				}
				if list, err := s.Blocks(film, 0, 10); len(list) > 0 || !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %d blocks, %v", kind, len(list), err)
				}
				if _, err := s.Has(film, 5); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", kind, err)
				}
				if _, err := s.Info(film); !errors.Is(err, store.ErrNotHeld) {
					t.Errorf("%s: %v", kind, err)
				}
				pass(time.Second)
			}
			if said := log.said(); len(said) != 2 || !strings.Contains(said[0], "a part of the recording cannot be read and is left out") {
				t.Errorf("%s: it said %q", kind, said)
			}
			disk.SetFail(nil)
			if have, _ := played(t, s, all, false); !whole(have, crashBlocks) || s.Stats().Problem != "" {
				t.Errorf("%s: held: %b", kind, have)
			}
			closed(t, s)
		}
	})
}

// TestRemovedWhileRead: a file that is too old goes when its reader is done, and the
// reader gets what it wanted.
func TestRemovedWhileRead(t *testing.T) {
	for _, kind := range []string{"open", "read"} {
		synctest.Test(t, func(t *testing.T) {
			disk := memdisk.New()
			cfg := store.Config{FS: disk, Keep: 10 * time.Second}
			s := open(t, "dir", cfg)
			all := blocks(1, 100)
			putAll(t, s, all[0])
			pass(time.Second)
			closed(t, s) // so that the segment must be opened
			s = open(t, "dir", cfg)
			goOn := make(chan struct{})
			disk.SetFail(func(op memdisk.Op) (int, error) {
				if op.Kind == kind {
					<-goOn
				}
				return op.Size, nil
			})
			result := make(chan error)
			go func() {
				sh, err := s.Get(film, 0, 2)
				if err == nil && string(sh.Encoded()) != string(all[0][2].Encoded()) {
					err = errors.New("other bytes")
				}
				result <- err
			}()
			pass(time.Minute)
			if st := s.Stats(); st.Segments != 0 {
				t.Errorf("%s: %+v", kind, st)
			}
			close(goOn)
			err := <-result
			// Who has not even opened the file comes too late.
			if !errors.Is(err, store.ErrNotHeld) {
				t.Errorf("%s: %v", kind, err)
			}
			pass(2 * time.Second)
			if st := s.Stats(); st.Bytes != 0 || len(disk.Names()) != 0 || st.Problem != "" {
				t.Errorf("%s: left: %q, %+v", kind, disk.Names(), st)
			}
			closed(t, s)
		})
	}
}

// TestRemovedUnderReader: the same of a file whose index is in memory.
func TestRemovedUnderReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk, Keep: 10 * time.Second})
		all := blocks(1, 100)
		putAll(t, s, all[0])
		pass(time.Second)
		goOn := make(chan struct{})
		disk.SetFail(func(op memdisk.Op) (int, error) {
			if op.Kind == "read" {
				<-goOn
			}
			return op.Size, nil
		})
		result := make(chan error)
		go func() {
			_, err := s.Get(film, 0, 2)
			result <- err
		}()
		pass(time.Minute)
		if st := s.Stats(); st.Segments != 0 || st.Bytes == 0 || len(disk.Names()) != 1 {
			t.Errorf("while it is read: %+v", st)
		}
		close(goOn)
		if err := <-result; err != nil {
			t.Error(err)
		}
		pass(2 * time.Second)
		if st := s.Stats(); st.Bytes != 0 || len(disk.Names()) != 0 || st.Problem != "" {
			t.Errorf("left: %q, %+v", disk.Names(), st)
		}
		closed(t, s)
	})
}

// TestRemovalFails: what is too old and cannot be removed is no more offered, counts,
// and is removed later.
func TestRemovalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := memdisk.New()
		s := open(t, "dir", store.Config{FS: disk, Keep: 10 * time.Second})
		all := blocks(1, 100)
		putAll(t, s, all[0])
		pass(time.Second)
		disk.SetFail(func(op memdisk.Op) (int, error) {
			if op.Kind == "remove" {
				return 0, syscall.EIO
			}
			return op.Size, nil
		})
		pass(time.Minute)
		if st := s.Stats(); st.Segments != 0 || st.Bytes == 0 || !strings.Contains(st.Problem, "the disk reports an error") {
			t.Errorf("%+v", st)
		}
		disk.SetFail(nil)
		pass(time.Minute)
		if st := s.Stats(); st.Bytes != 0 || len(disk.Names()) != 0 {
			t.Errorf("left: %q, %+v", disk.Names(), st)
		}
		putAll(t, s, all[0])
		pass(time.Second)
		if st := s.Stats(); st.Shards != 5 || st.Problem != "" {
			t.Errorf("%+v", st)
		}
		closed(t, s)
	})
}

// TestManyTapes: epochs that are gone make room for others; beyond MaxTapes nothing is
// taken.
func TestManyTapes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, "dir", store.Config{FS: memdisk.New(), Keep: 10 * time.Second})
		sh := block(0, 10)[0]
		put := func(epoch int) {
			again := *sh
			again.Epoch = uint32(epoch) // it is only counted here
			if !s.Put(&again) {
				t.Fatal("the queue is full")
			}
		}
		for epoch := range store.MaxTapes + 1 {
			if epoch == store.MaxTapes {
				pass(time.Second)
			}
			put(epoch)
		}
		pass(time.Second)
		if st := s.Stats(); st.Shards != store.MaxTapes || st.Dropped != 1 || len(s.Keys()) != store.MaxTapes {
			t.Errorf("%+v", st)
		}
		pass(time.Minute)
		put(store.MaxTapes)
		pass(time.Second)
		if st := s.Stats(); st.Shards != 1 || st.Dropped != 1 {
			t.Errorf("%+v", st)
		}
		closed(t, s)
	})
}
