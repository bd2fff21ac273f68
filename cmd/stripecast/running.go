package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Who runs leaves a note where its page is, for "stripecast status": a file named by its
// process and port, in a folder that is its user's alone. Nothing depends on it.
const (
	notesDir    = "running"
	maxNote     = 512 // bytes of one; a longer one is none
	maxNotes    = 64  // that are read, of the folder's first files
	noteFolder  = 0o700
	noteFile    = 0o600
	noteEnd     = ".url"
	programName = "stripecast" // the folder in the user's cache directory
)

// notes is where the notes are; empty if this user has no such place.
func notes() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, programName, notesDir)
}

// leaveNote says where this process's page is. remove takes it back, and its folders if
// there is nothing else in them.
func leaveNote(at string) (remove func()) {
	dir := notes()
	if dir == "" || os.MkdirAll(dir, noteFolder) != nil {
		return func() {}
	}
	port := strings.Trim(at[strings.LastIndex(at, ":")+1:], "/")
	name := fmt.Sprintf("%d-%s%s", os.Getpid(), port, noteEnd)
	path := filepath.Join(dir, name)
	_ = os.WriteFile(path, []byte(at+"\n"), noteFile) // without it, status must be told where to ask
	return func() {
		_ = os.Remove(path)
		if os.Remove(dir) == nil {
			_ = os.Remove(filepath.Dir(dir))
		}
	}
}

// note is what somebody left.
type note struct {
	file, url string
}

// readNotes is the notes of all who run, or ran and were killed, in the order of their
// names.
func readNotes() (found []note) {
	dir := notes()
	files, err := os.ReadDir(dir)
	if dir == "" || err != nil {
		return nil
	}
	for _, f := range files[:min(len(files), maxNotes)] {
		if !strings.HasSuffix(f.Name(), noteEnd) || !f.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if at, ok := readNote(path); ok {
			found = append(found, note{path, at})
		}
	}
	slices.SortFunc(found, func(a, b note) int { return strings.Compare(a.file, b.file) })
	return found
}

func readNote(path string) (at string, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNote+1))
	at = strings.TrimSpace(string(b))
	u, perr := url.Parse(at)
	return at, err == nil && perr == nil && len(b) <= maxNote && u.Scheme == "http" && u.Host != ""
}
