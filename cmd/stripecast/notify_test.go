package main

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestNotify: systemd hears what it is told, and of the watchdog for as long as the
// participant answers.
func TestNotify(t *testing.T) {
	notify("READY=1") // nobody listens
	at := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Skipf("this system has no such sockets: %v", err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", at)
	t.Setenv("WATCHDOG_USEC", "20000")
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
	l.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := l.Read(make([]byte, 100)); err == nil {
		t.Errorf("it hears %d bytes of a participant that does not answer", n)
	}
	close(answer)
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
