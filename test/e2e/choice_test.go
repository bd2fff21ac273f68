//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// carries is the streams that a participant carries, sorted.
func (n *node) carries() (ids []string) {
	st, err := n.look()
	if err != nil {
		return nil
	}
	for _, s := range st.Streams {
		ids = append(ids, s.Stream)
	}
	slices.Sort(ids)
	return ids
}

// TestDenied: a relay that may carry whatever a pool has does not carry what it denies, while
// another does; and another list counts at once.
func TestDenied(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, one := startSource(t, options{}, file, "--loop", "--name", "one", "--upload", "20M")
	link, err := stripe.ParseLink(one)
	if err != nil {
		t.Fatal(err)
	}
	_, two := startSource(t, options{}, file, "--loop", "--name", "two", "--upload", "20M", "--join", link.Hosts[0])
	other, err := stripe.ParseLink(two)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "c.yaml")
	deny := func(ids ...string) {
		t.Helper()
		if err := os.WriteFile(config, []byte("relay:\n  deny: ["+strings.Join(ids, ", ")+"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := link.ID.String(), other.ID.String()
	both := []string{a, b}
	slices.Sort(both)
	deny(b)
	chooses := startRelay(t, "relay that chooses", "--join", link.Hosts[0], "--config", config)
	any := startRelay(t, "relay", "--join", link.Hosts[0])
	chooses.ready(t)
	any.ready(t)
	carry := func(n *node, want ...string) {
		t.Helper()
		eventually(t, patience, n.name+" carries what it may", func() bool { return slices.Equal(n.carries(), want) })
	}
	carry(any, both...)
	carry(chooses, a)
	pass(2*time.Second, chooses.proc, any.proc)
	if got := chooses.carries(); !slices.Equal(got, []string{a}) {
		t.Errorf("it carries %q, and may not carry %s", got, b)
	}
	deny(a)
	chooses.signal(t, syscall.SIGHUP)
	chooses.says(t, "deny is "+a+" now", patience)
	carry(chooses, b)
	deny()
	chooses.signal(t, syscall.SIGHUP)
	carry(chooses, both...)
}
