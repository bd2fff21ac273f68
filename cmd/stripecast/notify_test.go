package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd hears what notify says.
func systemd(t *testing.T) *net.UnixConn {
	t.Helper()
	at := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Skipf("this system has no such sockets: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("NOTIFY_SOCKET", at)
	return l
}

// TestNotify: systemd hears what it is told, and of the watchdog for as long as the
// participant answers.
func TestNotify(t *testing.T) {
	notify("READY=1") // nobody listens
	l := systemd(t)
	t.Setenv("WATCHDOG_USEC", "400000")
	hears := func(want string) {
		t.Helper()
		b := make([]byte, 100)
		l.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := l.Read(b)
		if string(b[:n]) != want {
			t.Fatalf("it hears %q, %v; want %q", b[:n], err, want)
		}
	}
	notify("STOPPING=1")
	hears("STOPPING=1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked, answer := make(chan struct{}), make(chan struct{})
	go watchdog(ctx, &heartbeat{ask: func() { asked <- struct{}{}; <-answer }})
	for range 2 {
		<-asked
		answer <- struct{}{}
		hears("WATCHDOG=1")
	}
	<-asked // and is not answered
	l.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	if n, err := l.Read(make([]byte, 100)); err == nil {
		t.Errorf("it hears %d bytes of a participant that does not answer", n)
	}
	close(answer)
}

// TestEngineService: systemd hears that an engine is ready and lives, and may have it
// read its file again. One that has a single stream may measure the uplink.
func TestEngineService(t *testing.T) {
	l := systemd(t)
	t.Setenv("WATCHDOG_USEC", "200000")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	said, ended := &words{}, make(chan error, 1)
	root := newRoot(&console{out: said, err: said})
	root.SetArgs([]string{"view", "--engine", "--streams", "1", "--upload", "auto", "--http", "127.0.0.1:0", "--config", file(t, "view:\n  engine: true\n")})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- root.ExecuteContext(ctx) }()
	l.SetReadDeadline(time.Now().Add(20 * time.Second))
	for _, want := range []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"} {
		b := make([]byte, 100)
		if n, err := l.Read(b); string(b[:n]) != want {
			t.Fatalf("it hears %q, %v; want %q", b[:n], err, want)
		}
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(20 * time.Second)
	for !strings.Contains(said.String(), "was read again") {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("it said %q", said)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWatchdogEvery(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"x", "", 0}, {"0", "", 0}, {"-1", "", 0}, {"30000000", "", 15 * time.Second},
		{"30000000", "7", 15 * time.Second}, {"30000000", "8", 0}, {"99999999999999999999", "", 0},
	} {
		if got := watchdogEvery(c.usec, c.pid, 7); got != c.want {
			t.Errorf("%q, %q: %v, want %v", c.usec, c.pid, got, c.want)
		}
	}
}
