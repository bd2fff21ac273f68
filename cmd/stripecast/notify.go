package main

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// This file tells systemd how things stand (sd_notify(3)): a line of text as a datagram,
// to a socket that it names in the environment. Nobody is told if it names none.

// watchdogTime is how long the loop of a participant has to answer, each time that
// systemd wants to hear of it.
const watchdogTime = 2 * time.Second

// notify says it; that nobody listens is no error.
func notify(state string) {
	at := os.Getenv("NOTIFY_SOCKET")
	if at == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: at, Net: "unixgram"}) // @ is an abstract one
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

// watchdogEvery is how often systemd should hear of us, half of the time after which it
// starts us again; 0: it does not care. The variables may be meant for another process.
func watchdogEvery(usec, pid string, self int) time.Duration {
	n, err := strconv.ParseUint(usec, 10, 40)
	if err != nil || pid != "" && pid != strconv.Itoa(self) {
		return 0
	}
	return time.Duration(n) * time.Microsecond / 2
}

// watchdog tells systemd that the participant lives, for as long as it does, until ctx ends.
func watchdog(ctx context.Context, alive *heartbeat) {
	every := watchdogEvery(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid())
	if every == 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		late, cancel := context.WithTimeout(ctx, min(watchdogTime, every))
		if alive.feel(late) == nil {
			notify("WATCHDOG=1")
		}
		cancel()
	}
}
