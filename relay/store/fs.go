package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrLocked means that another Store, of this process or another, has the directory.
var ErrLocked = errors.New("another process uses it")

// FS is what a store needs of a file system. Names are paths. Errors are those of
// package os, or wrap the same sentinels.
type FS interface {
	// List is what a directory holds.
	List(dir string) ([]Entry, error)
	// Create makes a file that is not there yet, to read and write, and the
	// directories above it, and makes its name durable.
	Create(name string) (File, error)
	// Open opens a file that is there, to read, and perhaps to write.
	Open(name string, write bool) (File, error)
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// Free is how many bytes may still be written to the file system of dir.
	Free(dir string) (int64, error)
	// Lock makes the file name, and the directories above it, and holds it until the
	// Closer is closed or the process ends. ErrLocked: somebody else holds it.
	Lock(name string) (io.Closer, error)
}

// Entry is a file or directory in a directory.
type Entry struct {
	Name     string
	Dir      bool
	Size     int64
	Modified time.Time
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// machine is the file system of the machine.
type machine struct{}

func (machine) List(dir string) ([]Entry, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(found))
	for _, e := range found {
		info, err := e.Info()
		if err != nil {
			continue // it is gone
		}
		entries = append(entries, Entry{Name: e.Name(), Dir: e.IsDir(), Size: info.Size(), Modified: info.ModTime()})
	}
	return entries, nil
}

func (machine) Create(name string) (File, error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// The two directories above may be as new as the file.
	for range 3 {
		if err := syncDir(dir); err != nil {
			f.Close()
			os.Remove(name)
			return nil, err
		}
		dir = filepath.Dir(dir)
	}
	return f, nil
}

func (machine) Open(name string, write bool) (File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (machine) Remove(name string) error { return os.Remove(name) }

func (machine) Lock(name string) (io.Closer, error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return lockFile(name)
}

// isFull says whether there is no room on the disk, or none that is ours.
func isFull(err error) bool {
	if runtime.GOOS == "windows" { // ERROR_DISK_FULL, ERROR_HANDLE_DISK_FULL
		return errors.Is(err, syscall.Errno(112)) || errors.Is(err, syscall.Errno(39))
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// explain says in words what is wrong with a disk.
func explain(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // where it is, is said beside it
	}
	var reason string
	switch {
	case errors.Is(err, errStarved):
		return err.Error()
	case isFull(err):
		reason = "the disk is full"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		reason = "the directory cannot be written to"
	case errors.Is(err, syscall.EIO):
		reason = "the disk reports an error"
	default:
		return err.Error()
	}
	return fmt.Sprintf("%s (%v)", reason, err)
}
