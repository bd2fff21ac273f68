//go:build unix

package e2e

import (
	"errors"
	"io"
	"log/slog"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
)

// kept waits until a participant has so many shards on disk, and returns how many.
func (n *node) kept(t testing.TB, least uint64) uint64 {
	t.Helper()
	var have uint64
	eventually(t, patience, n.name+" keeps what comes", func() bool {
		st, err := n.look()
		have = st.Buffer.Shards
		return err == nil && have >= least && st.Buffer.Problem == ""
	})
	return have
}

// past is what a participant kept of one stream.
type past struct {
	layout stripe.Layout
	blocks []store.Block
	shards uint64
}

// checkBuffer opens what a participant kept. All that is there must be the source's.
func checkBuffer(t *testing.T, dir string) (p past) {
	t.Helper()
	s, err := store.Open(dir, store.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range s.Keys() {
		raw, err := s.Info(key)
		if err != nil {
			t.Fatalf("%s: info: %v", dir, err)
		}
		info, err := stripe.OpenInfo(raw)
		if err != nil || info.Stream != key.Stream || info.Epoch != key.Epoch {
			t.Errorf("%s: info of %x %d: %+v, %v", dir, key.Stream[:4], key.Epoch, info, err)
		}
		p.layout = info.Layout
		if p.blocks, err = s.Blocks(key, 0, 1<<32-1); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		for _, b := range p.blocks {
			for i := range p.layout.N() {
				if b.Have>>i&1 == 0 {
					continue
				}
				sh, err := s.Get(key, b.Number, i)
				if err != nil || !stripe.CheckSeal(&sh.Header, sh.Root(), &sh.Sig) {
					t.Errorf("%s: block %d, shard %d: %v, or not the source's", dir, b.Number, i, err)
				}
			}
		}
	}
	st := s.Stats()
	if p.shards = st.Shards; st.Problem != "" {
		t.Errorf("%s: %s", dir, st.Problem)
	}
	return p
}

// has reports whether it has all that was there before.
func (p past) has(before past) bool {
	have := map[uint64]uint64{}
	for _, b := range p.blocks {
		have[b.Number] = b.Have
	}
	return !slices.ContainsFunc(before.blocks, func(b store.Block) bool { return b.Have&^have[b.Number] != 0 })
}

// TestBufferSurvivesKill: a relay is killed while it writes, again and again, and goes
// on in the same directory; nobody else may have that meanwhile. All that was on disk
// stays, and is the source's. A viewer keeps enough of every block to play it again.
func TestBufferSurvivesKill(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	source, link := startSource(t, options{}, file, "--loop", "--upload", "30M")
	viewer := startViewer(t, "viewer", link)
	playing(t, viewer)
	dir := filepath.Join(t.TempDir(), "kept")
	var had uint64
	var before past
	for life := range 4 {
		relay := startRelay(t, "relay", "--buffer-dir", dir, link)
		relay.says(t, `keeping the last 15m in .*/kept, at most`, patience)
		relay.ready(t)
		if have := relay.kept(t, 0); have < had {
			t.Errorf("life %d begins with %d shards, it had %d", life, have, had)
		}
		had = relay.kept(t, had+20)
		if life == 1 {
			second := stripecast(t, options{}, "second relay", "relay", anyUDP, anyHTTP, "--buffer-dir", dir, link)
			checkMistake(t, mistake{name: "directory in use", code: 1, says: "another process uses it", hint: "--buffer-dir another"}, second, patience)
		}
		if life < 3 {
			relay.signal(t, syscall.SIGKILL)
			relay.exit(t, patience)
		} else {
			relay.signal(t, syscall.SIGTERM)
			relay.mustEnd(t, patience)
		}
		// A copy, so that the next relay finds it as it was left.
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		now := checkBuffer(t, copied)
		if now.shards < had || !now.has(before) {
			t.Errorf("life %d: %d shards are left of %d", life, now.shards, had)
		}
		before = now
	}

	st := viewer.status(t)
	noneSkipped(t, viewer)
	viewer.signal(t, syscall.SIGINT)
	viewer.mustEnd(t, patience)
	source.signal(t, syscall.SIGINT)
	source.mustEnd(t, patience)
	if !strings.HasSuffix(st.Buffer.Dir, filepath.Join("stripecast", "buffer")) || st.Buffer.Quota <= 0 || st.Buffer.Newest <= st.Buffer.Oldest {
		t.Errorf("viewer: %+v", st.Buffer)
	}
	p := checkBuffer(t, st.Buffer.Dir)
	if uint64(len(p.blocks)) < st.Blocks.Played {
		t.Fatalf("the viewer played %d blocks and kept %d", st.Blocks.Played, len(p.blocks))
	}
	for i, b := range p.blocks[:st.Blocks.Played] { // later ones were under way
		if n := bits.OnesCount64(b.Have); n < p.layout.K {
			t.Errorf("block %d, the viewer's %dth, cannot be played again from %d shards", b.Number, i, n)
		}
	}
}

// tmpfs is a disk of its own, or the test is skipped.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a disk of its own needs root")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("root may mount nothing here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// readOnly is a directory in which nothing can be made.
func readOnly(t *testing.T) string {
	t.Helper()
	if os.Getuid() == 0 { // who may write everywhere, but there
		return tmpfs(t, "ro,size=1m")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	return dir
}

// castOn is a source, a relay and a viewer that keep what they hold below one directory.
func castOn(t *testing.T, dir string) (all []*node, viewer *node) {
	t.Helper()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	at := func(name string) []string { return []string{"--buffer-dir", filepath.Join(dir, name)} }
	source, link := startSource(t, options{}, append(at("source"), file, "--loop", "--upload", "30M")...)
	relay := startRelay(t, "relay", append(at("relay"), link)...)
	relay.ready(t)
	viewer = startViewer(t, "viewer", link, at("viewer")...)
	playing(t, viewer)
	return []*node{source, relay, viewer}, viewer
}

func leaveInOrder(t *testing.T, all []*node) {
	t.Helper()
	for i := len(all) - 1; i >= 0; i-- {
		all[i].signal(t, syscall.SIGTERM)
		all[i].mustEnd(t, patience)
	}
}

// TestBufferReadOnly: who cannot keep anything says so at once, and on the status page,
// and plays.
func TestBufferReadOnly(t *testing.T) {
	t.Parallel()
	all, viewer := castOn(t, readOnly(t))
	for _, n := range all {
		n.says(t, `(?m)^warning: the back buffer is paused, live goes on: the directory cannot be written to .*`+n.name+`\]$`, patience)
		if st := n.status(t); !strings.Contains(st.Buffer.Problem, "cannot be written to") || st.Buffer.Shards != 0 {
			t.Errorf("%s: %+v", n.name, st.Buffer)
		}
	}
	keepPlaying(t, 3*time.Second, viewer)
	leaveInOrder(t, all)
}

// TestBufferFullDisk: somebody fills the disk and makes room again. The past stops and
// goes on; live does not notice.
func TestBufferFullDisk(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, "size=224m") // a little more than is left free for others
	all, viewer := castOn(t, dir)
	for _, n := range all {
		n.kept(t, 20)
	}
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	f.Close()
	for _, n := range all {
		n.says(t, `(?m)^warning: .*(back buffer is paused|back buffer shrinks).*, live goes on`, patience)
		eventually(t, patience, n.name+" keeps nothing", func() bool {
			st, err := n.look()
			return err == nil && strings.Contains(st.Buffer.Problem, "paused") && st.Buffer.Dropped > 0
		})
	}
	keepPlaying(t, 3*time.Second, viewer)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		n.kept(t, n.status(t).Buffer.Shards+20)
	}
	keepPlaying(t, time.Second, viewer)
	leaveInOrder(t, all)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
