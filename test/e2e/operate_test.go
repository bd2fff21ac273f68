//go:build unix

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOperate: a relay that is told everything by a file and the environment says to
// whoever looks after it when it has begun, that it is well, and when it ends; and takes
// another cap while it runs.
func TestOperate(t *testing.T) {
	dir := t.TempDir()
	config, socket := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "notify")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	hears := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		l.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := l.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("it hears %q, %v; want %q", b[:n], err, want)
		}
	}
	configure("log-format: json\nrelay:\n  new-pool: true\n  listen: 127.0.0.1:0\n  upload: 3M\n  buffer: 0\n")
	o := options{env: []string{"NOTIFY_SOCKET=" + socket, "STRIPECAST_CONFIG=" + config, "STRIPECAST_HTTP=127.0.0.1:0"}}
	relay := stripecast(t, o, "relay", "relay")
	url := relay.says(t, `"level":"INFO","msg":"relaying on \S+ with up to 3.00 Mbit/s; status at (http://\S+/)"`, 20*time.Second)[1]
	hears("READY=1")
	metric := func(path, want string) func() bool {
		return func() bool {
			b, err := get(url + path)
			return err == nil && strings.Contains(string(b), want)
		}
	}
	for path, want := range map[string]string{
		"healthz": "ok\n", "readyz": "ok\n", "api/openapi.yaml": "openapi: 3.1.0",
		"metrics": "\nstripecast_upload_limit_bytes_per_second 375000\n",
	} {
		if !metric(path, want)() {
			t.Errorf("/%s lacks %q", path, want)
		}
	}
	configure("log-format: json\nrelay:\n  uplaod: 5M\n")
	relay.signal(t, syscall.SIGHUP)
	relay.says(t, `"level":"WARN","msg":"nothing is changed: .*c.yaml:3: there is no key relay.uplaod"`, 10*time.Second)
	configure("log-format: json\nrelay:\n  new-pool: true\n  listen: 127.0.0.1:0\n  upload: 5M\n  buffer: 0\n")
	relay.signal(t, syscall.SIGHUP)
	relay.says(t, `"level":"INFO","msg":"upload is 5M now"`, 10*time.Second)
	eventually(t, 10*time.Second, "the other cap holds", metric("metrics", "\nstripecast_upload_limit_bytes_per_second 625000\n"))
	relay.signal(t, syscall.SIGTERM)
	hears("STOPPING=1")
	relay.mustEnd(t, 10*time.Second)
}
