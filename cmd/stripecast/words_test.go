package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// records reads a log of JSON, and leaves out the times, which must be there.
func records(t *testing.T, log string) (all []string) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		at, _ := r["time"].(string)
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		all = append(all, fmt.Sprintf("%v %v %v", r["level"], r["msg"], r["hint"]))
	}
	return all
}

// TestLogOfJSON: everything that is said is a record then, whoever says it.
func TestLogOfJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		c := &console{err: &out, json: true}
		c.say("publishing %d%%", 7)
		c.say("warning: 100%% full")
		c.words().Error("it is paused", "dir", "/d")
		c.words().Debug("inside")
		c.logger(false).Warn("inside")
		c.logger(true).Debug("deep inside")
		c.explain(fail(errors.New("it broke"), "mend it"))
		c.explain(&failure{err: errors.New("it broke again")})
		stop := make(chan struct{})
		go statusLine(c, func() string { return "spare 4" }, stop)
		<-time.After(15 * time.Second)
		close(stop)
		synctest.Wait()
		got := strings.Join(records(t, out.String()), "\n")
		want := strings.Join([]string{
			"INFO publishing 7% <nil>", "WARN 100% full <nil>", "ERROR it is paused <nil>", "DEBUG deep inside <nil>",
			"ERROR it broke mend it", "ERROR it broke again <nil>", "INFO spare 4 <nil>",
		}, "\n")
		if got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	})
}

// TestLogFormat: the flag is for all commands; another value is wrong usage.
func TestLogFormat(t *testing.T) {
	code, _, errs := call(t, "relay", "--log-format", "json")
	if got := records(t, errs); code != 2 || len(got) != 1 || got[0] != "ERROR there is no pool to join give a link, or --join HOST:PORT, or --new-pool" {
		t.Errorf("%d, %q", code, errs)
	}
	code, _, errs = call(t, "key", "show", "nothing-here", "--log-format", "json")
	if got := records(t, errs); code != 1 || len(got) != 1 {
		t.Errorf("%d, %q", code, errs)
	}
	code, _, errs = call(t, "--log-format", "xml", "relay")
	if code != 2 || errs != "error: \"xml\" is no format of a log\nhint: give --log-format text or --log-format json\n" {
		t.Errorf("%d, %q", code, errs)
	}
}
