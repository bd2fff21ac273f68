//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestRecordedTwice: a source is started anew and records into the same directory. The
// later run is what is played from there; the earlier stays, and is played from a
// directory of its own.
func TestRecordedTwice(t *testing.T) {
	t.Parallel()
	const length = 6 * time.Second
	before, after := record(t, 0, length), record(t, time.Minute, length)
	dir := t.TempDir()
	kept, old := filepath.Join(dir, "kept"), filepath.Join(dir, "old")
	var link string
	for _, input := range [][]byte{before, after} {
		var source *node
		source, link = startSource(t, options{stdin: pace(input, length)}, "--key", filepath.Join(dir, "key"), "--record", kept)
		source.mustEnd(t, length+patience)
	}
	mustPlayFrom(t, kept, link, after)

	runs, err := filepath.Glob(filepath.Join(kept, "*", "*"))
	if err != nil || len(runs) != 2 {
		t.Fatalf("runs: %v, %v", runs, err)
	}
	stream := filepath.Join(old, filepath.Base(filepath.Dir(runs[0])))
	if err := os.MkdirAll(stream, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(runs[0], filepath.Join(stream, filepath.Base(runs[0]))); err != nil {
		t.Fatal(err)
	}
	mustPlayFrom(t, old, link, before)
	mustPlayFrom(t, kept, link, after)
}

// mustPlayFrom has a pool of its own play what a directory has, without the source.
func mustPlayFrom(t *testing.T, dir, link string, input []byte) {
	t.Helper()
	relay := startRelay(t, "relay", "--new-pool", "--record", dir)
	join := relay.says(t, `relaying on (127\.0\.0\.1:\d+)`, patience)[1]
	viewer := startViewer(t, "viewer of "+filepath.Base(dir), link, "--join", join, "--no-share", "--buffer", "0", "-o", "-")
	viewer.says(t, `the source is gone; playing all`, patience)
	viewer.mustEnd(t, 2*patience)
	mustEndAs(t, viewer.name, viewer.out.Bytes(), input, len(input))
	relay.signal(t, syscall.SIGINT)
	relay.mustEnd(t, patience)
}
