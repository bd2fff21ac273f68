// Package memdisk is a file system in memory for tests of relay/store. It fails when
// told to, and remembers all that was done to it, so that it can be had as it was at
// any byte: after the death of the process that wrote, or after a power cut.
//
// It is not a model of one file system. After a power cut each sector that was not
// made durable is either there or zero, whatever the order in which they were written,
// which is worse than what most do.
package memdisk

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stripecast/stripecast/relay/store"
)

// Op is what is about to be done.
type Op struct {
	// Kind is list, create, open, remove, free, lock, read, write, truncate or sync.
	Kind string
	Name string
	Size int // of a write, in bytes
}

// Changes says whether the op would change the disk.
func (o Op) Changes() bool {
	return slices.Contains([]string{"create", "remove", "lock", "write", "truncate", "sync"}, o.Kind)
}

// Disk is a file system: its own directories, files and locks.
type Disk struct {
	// Fail, if set, is asked before each op, and may be from several goroutines. An
	// error makes the op fail; of a write the first kept bytes are written all the same.
	Fail func(op Op) (kept int, err error)
	// Capacity is how many bytes there are; 0 is no limit.
	Capacity int64

	mu      sync.Mutex
	files   map[string]*content
	dirs    map[string]bool
	locks   map[string]bool
	used    int64
	journal []change
}

type content struct {
	b        []byte
	durable  []byte // as it was when last made so
	modified time.Time
}

// change is one that was made. It counts 1 byte, and those that were written.
type change struct {
	kind string
	name string
	at   int64
	b    []byte
	when time.Time
}

func (c change) len() int64 { return 1 + int64(len(c.b)) }

// New is an empty disk.
func New() *Disk {
	return &Disk{files: map[string]*content{}, dirs: map[string]bool{}, locks: map[string]bool{}}
}

// Written is how many bytes of changes were made.
func (d *Disk) Written() (n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.journal {
		n += c.len()
	}
	return n
}

// Killed is the disk as it was after that many bytes of changes, none of them lost.
func (d *Disk) Killed(bytes int64) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	then := New()
	for _, c := range d.journal {
		if bytes <= 0 {
			break
		}
		if c.kind == "write" {
			c.b = c.b[:min(int64(len(c.b)), bytes-1)]
		}
		then.apply(c)
		bytes -= c.len()
	}
	then.journal = nil
	return then
}

const sector = 512

// PowerCut is the disk as it may be found when the power went after that many bytes of
// changes: of what was not durable some sectors are missing.
func (d *Disk) PowerCut(bytes int64, rnd *rand.Rand) *Disk {
	then := d.Killed(bytes)
	names := make([]string, 0, len(then.files))
	for name := range then.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := then.files[name]
		least := min(len(f.durable), len(f.b))
		size := least + rnd.IntN(len(f.b)-least+1)
		if rnd.IntN(2) == 0 {
			size = len(f.b)
		}
		b := f.b[:size]
		for at := 0; at < size; at += sector {
			if end := min(at+sector, size); rnd.IntN(4) == 0 {
				clear(b[at:end])
				copy(b[at:end], f.durable[min(at, len(f.durable)):])
			}
		}
		f.b = b
	}
	return then
}

// Names is all files but locks, in order.
func (d *Disk) Names() (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Bytes is what a file holds: a copy.
func (d *Disk) Bytes(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.files[name].b)
}

// Set makes a file hold b, as if somebody else had written it.
func (d *Disk) Set(name string, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apply(change{kind: "create", name: name, when: time.Now()})
	d.apply(change{kind: "truncate", name: name})
	d.apply(change{kind: "write", name: name, b: slices.Clone(b), when: time.Now()})
}

// Used is how many bytes the files have.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// SetCapacity changes Capacity while the disk is in use.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Capacity = bytes
}

// SetFail changes Fail while the disk is in use.
func (d *Disk) SetFail(fail func(Op) (int, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Fail = fail
}

// ask asks Fail.
func (d *Disk) ask(kind, name string, size int) (int, error) {
	d.mu.Lock()
	fail := d.Fail
	d.mu.Unlock()
	if fail == nil {
		return size, nil
	}
	kept, err := fail(Op{kind, name, size})
	if err != nil {
		return kept, &fs.PathError{Op: kind, Path: name, Err: err}
	}
	return size, nil
}

// apply makes a change, and remembers it. It is called with mu held.
func (d *Disk) apply(c change) {
	d.journal = append(d.journal, c)
	f := d.files[c.name]
	switch c.kind {
	case "create":
		d.mkdir(filepath.Dir(c.name))
		if f == nil {
			d.files[c.name] = &content{modified: c.when}
		}
	case "write":
		if end := int(c.at) + len(c.b); end > len(f.b) {
			d.used += int64(end - len(f.b))
			f.b = append(f.b, make([]byte, end-len(f.b))...)
		}
		copy(f.b[c.at:], c.b)
		f.modified = c.when
	case "truncate":
		d.used += c.at - int64(len(f.b))
		if int(c.at) > len(f.b) {
			f.b = append(f.b, make([]byte, int(c.at)-len(f.b))...)
		}
		f.b = f.b[:c.at:c.at]
	case "sync":
		f.durable = slices.Clone(f.b)
	case "remove":
		if f != nil {
			d.used -= int64(len(f.b))
		}
		delete(d.files, c.name)
		delete(d.dirs, c.name)
	case "mkdir":
		d.mkdir(c.name)
	}
}

func (d *Disk) mkdir(dir string) {
	for !d.dirs[dir] {
		d.dirs[dir] = true
		dir = filepath.Dir(dir)
	}
}

// List implements store.FS.
func (d *Disk) List(dir string) ([]store.Entry, error) {
	if _, err := d.ask("list", dir, 0); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirs[dir] {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var entries []store.Entry
	for name, f := range d.files {
		if filepath.Dir(name) == dir {
			entries = append(entries, store.Entry{Name: filepath.Base(name), Size: int64(len(f.b)), Modified: f.modified})
		}
	}
	for name := range d.dirs {
		if filepath.Dir(name) == dir && name != dir {
			entries = append(entries, store.Entry{Name: filepath.Base(name), Dir: true})
		}
	}
	slices.SortFunc(entries, func(a, b store.Entry) int { return strings.Compare(a.Name, b.Name) })
	return entries, nil
}

// Create implements store.FS.
func (d *Disk) Create(name string) (store.File, error) {
	if _, err := d.ask("create", name, 0); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	d.apply(change{kind: "create", name: name, when: time.Now()})
	return &file{d, name, d.files[name], true}, nil
}

// Open implements store.FS.
func (d *Disk) Open(name string, write bool) (store.File, error) {
	if _, err := d.ask("open", name, 0); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{d, name, f, write}, nil
}

// Remove implements store.FS.
func (d *Disk) Remove(name string) error {
	if _, err := d.ask("remove", name, 0); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil && !d.dirs[name] {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if d.dirs[name] {
		for other := range d.files {
			if filepath.Dir(other) == name {
				return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
			}
		}
		for other := range d.dirs {
			if filepath.Dir(other) == name && other != name {
				return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
			}
		}
	}
	d.apply(change{kind: "remove", name: name})
	return nil
}

// Free implements store.FS.
func (d *Disk) Free(dir string) (int64, error) {
	if _, err := d.ask("free", dir, 0); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Capacity == 0 {
		return 1 << 50, nil
	}
	return max(d.Capacity-d.used, 0), nil
}

// Lock implements store.FS.
func (d *Disk) Lock(name string) (io.Closer, error) {
	if _, err := d.ask("lock", name, 0); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[name] {
		return nil, store.ErrLocked
	}
	d.apply(change{kind: "mkdir", name: filepath.Dir(name)})
	d.locks[name] = true
	return unlocker{d, name}, nil
}

type unlocker struct {
	d    *Disk
	name string
}

func (u unlocker) Close() error {
	u.d.mu.Lock()
	defer u.d.mu.Unlock()
	delete(u.d.locks, u.name)
	return nil
}

// file is an open file; one that was removed can still be read.
type file struct {
	d        *Disk
	name     string
	c        *content
	writable bool
}

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	if _, err := f.d.ask("read", f.name, len(p)); err != nil {
		return 0, err
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if at >= int64(len(f.c.b)) {
		return 0, io.EOF
	}
	n := copy(p, f.c.b[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	kept, err := f.d.ask("write", f.name, len(p))
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if !f.writable || f.d.files[f.name] != f.c {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	p = p[:min(kept, len(p))]
	if room := f.d.Capacity - f.d.used + max(int64(len(f.c.b))-at, 0); f.d.Capacity > 0 && int64(len(p)) > room {
		p, err = p[:max(room, 0)], &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	if len(p) > 0 {
		f.d.apply(change{kind: "write", name: f.name, at: at, b: slices.Clone(p), when: time.Now()})
	}
	return len(p), err
}

func (f *file) Truncate(size int64) error {
	if _, err := f.d.ask("truncate", f.name, 0); err != nil {
		return err
	}
	return f.change(change{kind: "truncate", name: f.name, at: size})
}

func (f *file) Sync() error {
	if _, err := f.d.ask("sync", f.name, 0); err != nil {
		return err
	}
	return f.change(change{kind: "sync", name: f.name})
}

func (f *file) change(c change) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.files[f.name] != f.c {
		return &fs.PathError{Op: c.kind, Path: f.name, Err: fs.ErrNotExist}
	}
	f.d.apply(c)
	return nil
}

func (f *file) Close() error { return nil }

// Date makes a file have been written at that time.
func (d *Disk) Date(name string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[name].modified = at
}
