//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// pastStatus is what they read of a stream's past.
type pastStatus struct {
	First, Last    uint64
	From, To       string
	Duration       float64
	Live           bool
	Blocks, Absent uint64
}

// status is what these tests read of /api/status.
type status struct {
	Role        string
	Stream      string
	Title       string
	Description string
	Epoch       uint32
	Layout      string
	Media       string
	Spare       int `json:"spare_stripes"`
	Rate        float64
	Block       float64 `json:"block_time"`
	Upload      float64
	Stripes     []struct {
		Parent string
		Live   bool
	}
	Children int
	Slots    int
	Blocks   struct{ Played, Skipped, Rebuilt uint64 }
	Bytes    struct{ In, Out, Payload uint64 }
	Delay    float64
	Known    int `json:"relays_known"`
	URLs     []string
	Streams  []struct{ Stream string }
	Past     pastStatus
	Month    struct {
		Sent, Limit uint64
		Spent       bool
	}
	Buffer struct {
		Dir, Oldest, Newest, Problem string
		Bytes, Quota                 int64
		Shards, Dropped              uint64
	}
}

var client = &http.Client{Timeout: 5 * time.Second}

func get(url string) ([]byte, error) {
	r, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, r.Status)
	}
	return b, err
}

// node is a participant that runs, and where its status is.
type node struct {
	*proc
	url string
}

func (n *node) look() (status, error) {
	var st status
	b, err := get(n.url + "api/status")
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	return st, err
}

func (n *node) status(t testing.TB) status {
	t.Helper()
	st, err := n.look()
	if err != nil {
		t.Fatalf("%s: status: %v", n.name, err)
	}
	return st
}

// statusFields are documented: scripts and dashboards rely on them. A field is
// its example, which says its type.
var statusFields = map[string]any{
	"role": "", "node": "", "stream": "", "name": "", "title": "", "description": "", "media": "", "layout": "", "epoch": 0.0, "rate": 0.0,
	"spare_stripes": 0.0, "children": 0.0, "slots": 0.0, "delay": 0.0, "relays_known": 0.0, "upload": 0.0,
	"ended":   false,
	"stripes": []any{map[string]any{"stripe": 0.0, "parent": "", "depth": 0.0, "live": false}},
	"blocks":  map[string]any{"played": 0.0, "skipped": 0.0, "rebuilt": 0.0},
	"bytes":   map[string]any{"in": 0.0, "out": 0.0, "payload": 0.0},
	"urls":    []any{""},
	"buffer": map[string]any{
		"dir": "", "keep": 0.0, "bytes": 0.0, "quota": 0.0, "shards": 0.0,
		"oldest": "", "newest": "", "dropped": 0.0, "problem": "",
	},
	"streams": []any{map[string]any{"stream": ""}},
}

func checkStatusFields(t *testing.T, n *node) {
	t.Helper()
	b, err := get(n.url + "api/status")
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	sameShape(t, n.name+": status", statusFields, got)
}

// sameShape wants what want has to be in got, with the same types.
func sameShape(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			t.Errorf("%s is %T", at, got)
			return
		}
		for name, w := range want {
			if g, ok := fields[name]; ok {
				sameShape(t, at+"."+name, w, g)
			} else {
				t.Errorf("%s has no %s", at, name)
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) == 0 {
			t.Errorf("%s is %T of %d", at, got, len(list))
			return
		}
		for i, g := range list {
			sameShape(t, fmt.Sprintf("%s[%d]", at, i), want[0], g)
		}
	default:
		if w, g := fmt.Sprintf("%T", want), fmt.Sprintf("%T", got); w != g {
			t.Errorf("%s is %s, want %s", at, g, w)
		}
	}
}
