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

// TestMonthly: a relay that has sent what it may in a month hands its children over, says why,
// and feeds nobody, after a restart neither; those whom it fed miss nothing.
func TestMonthly(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "clip.ts", record(t, 0, clipTime))
	_, link := startSource(t, options{}, file, "--loop", "--upload", "40M", "--layout", "4+1")
	home := t.TempDir()
	start := func(name, most string) *node {
		return &node{proc: stripecast(t, homeAt(home), name, "relay", anyUDP, anyHTTP, "--buffer", "0", "--monthly", most, link)}
	}
	relay := start("relay", "2M")
	relay.ready(t)
	carrying(t, relay)
	// Viewers that share nothing are fed by the relay where that can.
	var viewers []*node
	for _, name := range []string{"viewer 1", "viewer 2", "viewer 3"} {
		viewers = append(viewers, startViewer(t, name, link, "--no-share"))
	}
	playing(t, viewers...)
	eventually(t, patience, "the relay has children", func() bool { st, err := relay.look(); return err == nil && st.Children > 0 })
	relay.says(t, `warning: \d\.\d MB of the monthly 2\.0 MB are sent: feeding nobody until 1 \w+ 00:00 UTC`, 3*patience)
	eventually(t, patience, "it has given up its slots", func() bool {
		st, err := relay.look()
		return err == nil && st.Month.Spent && st.Slots == 0 && st.Children == 0
	})
	if b, err := get(relay.url + "metrics"); err != nil || !strings.Contains(string(b), "\nstripecast_month_spent 1\n") || !strings.Contains(string(b), "\nstripecast_month_limit_bytes 2e+06\n") {
		t.Errorf("metrics: %v", err)
	}
	keepPlaying(t, 2*time.Second, viewers...)
	noneSkipped(t, viewers...)
	spent := relay.status(t).Month
	relay.signal(t, syscall.SIGTERM)
	relay.mustEnd(t, patience)
	again := start("relay again", "2M")
	again.ready(t)
	if st := again.status(t); !st.Month.Spent || st.Month.Sent < spent.Sent || st.Slots != 0 {
		t.Errorf("after a restart: %+v, %d slots; before %+v", st.Month, st.Slots, spent)
	}
	again.signal(t, syscall.SIGTERM)
	again.mustEnd(t, patience)
	more := start("relay with more", "1G")
	more.ready(t)
	eventually(t, patience, "it has slots with a larger cap", func() bool {
		st, err := more.look()
		return err == nil && !st.Month.Spent && st.Slots > 0 && st.Month.Sent >= spent.Sent
	})
}
