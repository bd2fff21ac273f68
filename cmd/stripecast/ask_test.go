package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stripecast/stripecast/membership"
)

// TestMain gives the tests a cache directory of their own: who runs leaves a note there.
func TestMain(m *testing.M) { os.Exit(inOwnCache(m)) }

func inOwnCache(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stripecast-cmd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		os.Setenv(name, dir)
	}
	return m.Run()
}

// somebody answers as a participant does.
func somebody(t *testing.T, f any) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/forest":
			json.NewEncoder(w).Encode(f)
		case "/api/status":
			fmt.Fprint(w, "{\n  \"role\": \"view\"\n}\n")
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/"
}

// TestStatusCommand: it asks whom it is told to ask, or all who left a note; who was
// killed left one that is taken away.
func TestStatusCommand(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("LocalAppData", t.TempDir())
	f := forestStatus{Role: "view", Node: "abcd2345"}
	fillForest(&f, noon, placed())
	f.Name = "fi\x1b[2Jlm"
	url := somebody(t, f)

	dead := httptest.NewServer(nil)
	dead.Close()
	all := func(usual string) (string, error) {
		var out bytes.Buffer
		err := runStatus(t.Context(), &console{out: &out, err: &out}, nil, false, usual)
		return out.String(), err
	}
	if out, err := all(dead.URL + "/"); out != "" || err == nil || !strings.Contains(err.Error(), "no participant") {
		t.Errorf("nobody runs: %q, %v", out, err)
	}
	if out, err := all(url); err != nil || !strings.HasPrefix(out, "view abcd2345  "+url) {
		t.Errorf("somebody has the usual page: %q, %v", out, err)
	}
	at := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	for _, name := range []string{at, url} {
		code, out, errs := call(t, "status", name)
		want := "view abcd2345  " + url + "\n  fi[2Jlm: ts of 1.00 Mbit/s, 2+1\n  spare -1  live 1 of 3  from 1 parent\n"
		if code != 0 || errs != "" || !strings.HasPrefix(out, want) || !strings.Contains(out, " is late: 0.35 s behind, in 2 stripes\n") {
			t.Errorf("%d, %q, %q, want %q", code, out, errs, want)
		}
	}
	if code, out, errs := call(t, "status", at, "--json"); code != 0 || out != "{\"role\":\"view\"}\n" || errs != "" {
		t.Errorf("%d, %q, %q", code, out, errs)
	}

	remove := leaveNote(url)
	leaveNote(dead.URL + "/")
	files := func() int {
		all, _ := os.ReadDir(notes())
		return len(all)
	}
	if n := files(); n != 2 {
		t.Fatalf("%d notes", n)
	}
	if out, err := all(dead.URL + "/"); err != nil || strings.Count(out, "view abcd2345") != 1 || files() != 1 {
		t.Errorf("%q, %v, %d notes", out, err, files())
	}
	remove()
	if _, err := os.Stat(filepath.Dir(notes())); !os.IsNotExist(err) {
		t.Errorf("the notes' folder is left: %v", err)
	}
	for _, wrong := range []string{"nonsense", "127.0.0.1:0", "127.0.0.1:x", strings.TrimPrefix(dead.URL, "http://"), strings.TrimPrefix(somebody(t, 7), "http://")} {
		if code, out, errs := call(t, "status", wrong); code != 1 || out != "" || !strings.Contains(errs, "hint: ") {
			t.Errorf("%s: %d, %q, %q", wrong, code, out, errs)
		}
	}
}

// TestNotesAreRead: what is no note is passed over.
func TestNotesAreRead(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if err := os.MkdirAll(notes(), noteFolder); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"1-1.url": "http://127.0.0.1:1/\n", "2-1.url": "file:///etc/passwd", "3-1.url": "", "4-1.url": "http://",
		"5-1.url": "http://127.0.0.1:1/" + strings.Repeat("x", maxNote), "6-1.txt": "http://127.0.0.1:1/",
	} {
		if err := os.WriteFile(filepath.Join(notes(), name), []byte(text), noteFile); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(notes(), "7-1.url"), noteFolder); err != nil {
		t.Fatal(err)
	}
	if got := readNotes(); len(got) != 1 || got[0].url != "http://127.0.0.1:1/" {
		t.Errorf("%+v", got)
	}
}

// TestForestWords: of each kind of participant, what people want to know.
func TestForestWords(t *testing.T) {
	f := forestStatus{Role: "source", Node: "abcd2345", Played: 7}
	if got := forestWords(f, "u"); got != "source abcd2345  u\n  carries nothing yet\n" {
		t.Errorf("%q", got)
	}
	fillForest(&f, noon, placed())
	f.Source = describeRoot(placed(), membership.NodeID{1}, 0)
	f.Source.Out, f.Source.Egress = 2.5e6, 2.5
	f.Problem = "the disk is full"
	want := "source abcd2345  u\n  film: ts of 1.00 Mbit/s, 2+1\n  sends 2.50 Mbit/s = 2.50 × the stream to 3 children, 7 blocks so far\n" +
		"  2 viewers sharing and 5 relays known, up to 3 hops away\n  stripe 2 is the thinnest: 9 slots free, 2 relays\n  warning: the disk is full\n"
	if got := forestWords(f, "u"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f.Role, f.Ended = "relay", true
	if got := forestWords(f, "u"); !strings.Contains(got, "2+1, over\n  spare -1  live 1 of 3") || strings.Contains(got, "delay") {
		t.Errorf("%q", got)
	}
}
