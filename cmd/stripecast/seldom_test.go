package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSeldom: what is wrong for long is said once a minute, with how often it was not; what is
// another thing is said at once, and so is whatever is no warning.
func TestSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := (&console{err: &out}).logger(true)
		other := log.With("peer", "b")
		for range 125 {
			log.Error("it is full", "dir", "/d")
			other.Error("it is full", "dir", "/d")
			log.Info("all is well")
			<-time.After(time.Second)
		}
		for _, c := range []struct {
			what string
			want int
		}{
			{`level=ERROR msg="it is full" dir=/d` + "\n", 1},
			{`level=ERROR msg="it is full" dir=/d repeated=59` + "\n", 2},
			{`level=ERROR msg="it is full" peer=b dir=/d repeated=59` + "\n", 2},
			{`msg="it is full"`, 6},
			{`msg="all is well"`, 125},
		} {
			if n := strings.Count(out.String(), c.what); n != c.want {
				t.Errorf("%q is said %d times, want %d", c.what, n, c.want)
			}
		}
		out.Reset()
		for i := range 3 * maxSeldom {
			log.Warn("a peer", "number", i)
		}
		if n := strings.Count(out.String(), "a peer"); n != 3*maxSeldom {
			t.Errorf("%d of %d different warnings", n, 3*maxSeldom)
		}
		if held := len(log.Handler().(*seldom).said.all); held != maxSeldom {
			t.Errorf("%d lines are remembered", held)
		}
		out.Reset()
		json := (&console{err: &out, json: true}).logger(false)
		for range 3 {
			json.Error("it is full", "text", fmt.Sprint(strings.Repeat("x", 2*maxSame)))
		}
		if got := records(t, out.String()); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}
