package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestStatusLine: on what is no terminal it is a line each ten seconds for a minute, then
// one a minute, and none while there is nothing to say.
func TestStatusLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		began, n := time.Now(), 0
		line := func() string {
			if n++; n == 2 {
				return ""
			}
			return fmt.Sprint(time.Since(began))
		}
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			statusLine(&console{err: &out}, line, stop)
		}()
		<-time.After(185 * time.Second)
		close(stop)
		<-done
		if got := strings.Fields(out.String()); strings.Join(got, " ") != "10s 30s 40s 50s 1m0s 2m0s 3m0s" {
			t.Errorf("%q", got)
		}
	})
}

// TestCalm: on a terminal the line is rewritten in its place, and only if it is another;
// what else is said goes above it, also in pieces.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &console{err: &calm{to: &out}}
		texts := []string{"one", "one", "", "two", "two", "two", "two"}
		next := 0
		line := func() string { next++; return texts[next-1] }
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			statusLine(c, line, stop)
		}()
		expect := func(after time.Duration, want string) {
			t.Helper()
			<-time.After(after)
			synctest.Wait()
			if got := out.String(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			out.Reset()
		}
		one, two := eraseLine+wrapOff+"one"+wrapOn, eraseLine+wrapOff+"two"+wrapOn
		c.say("before")
		expect(3500*time.Millisecond, "before\n"+one)
		c.say("between")
		expect(time.Second, eraseLine+"between\n"+wrapOff+"one"+wrapOn+two)
		fmt.Fprint(c.err, "in pie")
		expect(time.Second, eraseLine+"in pie") // nothing is put into it
		fmt.Fprint(c.err, "ces\n")
		expect(time.Millisecond, "ces\n"+strings.TrimPrefix(two, eraseLine))
		close(stop)
		<-done
		expect(0, "\n")
		c.say("after")
		expect(0, "after\n")
	})
}

// TestDescribe: a participant that carries nothing yet has every field, and its
// lists are lists.
func TestDescribe(t *testing.T) {
	h := begin(t, 5e6)
	st := describe("relay", h, nil, []string{"http://127.0.0.1:1/"})
	b, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"role":"relay"`, `"node":"` + h.ID().String() + `"`, `"stream":""`, `"stripes":[]`, `"streams":[]`,
		`"upload":5000000`, `"buffer":{"dir":"","keep":0,"bytes":0,"quota":0,"shards":0,"oldest":"","newest":"","dropped":0,"problem":""}`,
		`"relays_known":0`, `"blocks":{"played":0,"skipped":0,"rebuilt":0}`, `"urls":["http://127.0.0.1:1/"]`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the status lacks %s:\n%s", want, b)
		}
	}
	if line := relayLine(h)(); !strings.HasPrefix(line, "0 streams  0 home stripes  in 0 kbit/s  out 0 kbit/s") {
		t.Errorf("%q", line)
	}
	if line := sourceLine(h)(); line != "" {
		t.Errorf("a source without a stream says %q", line)
	}
	if line := viewLine(h, nil)(); line != "the stream is gone; waiting for it" {
		t.Errorf("%q", line)
	}
}
