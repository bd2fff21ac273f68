package house

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	// rooms is the folders that the top level may hold.
	rooms = []string{"cmd", "docs", "fec", "membership", "overlay", "playout", "relay", "stripe", "test"}
	// papers is the files that it may hold, beside pages and what begins with a dot.
	papers = []string{"LICENSE", "go.mod", "go.sum"}
)

// topLevel finds what is at the top level and must not be.
func topLevel(paths []string) []string {
	var found []string
	for _, p := range paths {
		name, _, isDir := strings.Cut(p, "/")
		ok := strings.HasPrefix(name, ".")
		if isDir {
			ok = ok || slices.Contains(rooms, name)
		} else {
			ok = ok || slices.Contains(papers, name) || path.Ext(name) == ".md"
		}
		if !ok {
			found = append(found, name+" is not for the top level")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// leftover is how tools name what they leave behind.
var leftover = regexp.MustCompile(`(\.(orig|rej|bak|swp|test|prof|log)|~)$`)

// leftovers finds files that nobody means to keep.
func leftovers(paths []string) []string {
	var found []string
	for _, p := range paths {
		if leftover.MatchString(p) {
			found = append(found, p+" is a leftover")
		}
	}
	return found
}

var (
	// machine is a path that is one machine's.
	machine = regexp.MustCompile(`(?:^|[^\w.$)}-])/(?:work|root|tmp|home|Users)/`)
	// workplace is the words of one.
	workplace = regexp.MustCompile(`(?:^|\W)[.]library\b|[.]{2}/shared\b`)
)

// elsewhere finds lines that mention where somebody works. What is not text, or
// lies under testdata, is not looked at.
func elsewhere(name string, content []byte) []string {
	if bytes.IndexByte(content, 0) >= 0 || slices.Contains(strings.Split(name, "/"), "testdata") {
		return nil
	}
	var found []string
	for i, line := range bytes.Split(content, []byte("\n")) {
		for _, words := range []*regexp.Regexp{machine, workplace} {
			if m := words.Find(line); m != nil {
				found = append(found, fmt.Sprintf("%s:%d: it mentions %q", name, i+1, m))
			}
		}
	}
	return found
}

// tracked is the paths of all files that git keeps; none if this is no repository.
var tracked = sync.OnceValues(func() ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		return nil, nil
	}
	// The go command keeps the result of a test while the files that it looked at
	// stay as they were.
	_, _ = os.Stat(filepath.Join(root, ".git", "index"))
	// A clone may belong to another user.
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
})

// repository is tracked, or the end of the test.
func repository(t *testing.T) []string {
	t.Helper()
	paths, err := tracked()
	if err != nil {
		t.Fatal(err)
	}
	if paths == nil {
		t.Skip("this is no git repository, so nothing says which files belong to the project")
	}
	if !slices.Contains(paths, "go.mod") {
		t.Fatalf("git keeps %d files and no go.mod", len(paths))
	}
	return paths
}

func TestTopLevel(t *testing.T) {
	for _, complaint := range topLevel(repository(t)) {
		t.Error(complaint)
	}
}

func TestLeftovers(t *testing.T) {
	for _, complaint := range leftovers(repository(t)) {
		t.Error(complaint)
	}
	if found := leftovers([]string{"a.go", "a/b.go.orig", "c.rej", "original.go", "d~", "log.txt"}); len(found) != 3 {
		t.Errorf("of three leftovers: %q", found)
	}
}

func TestElsewhere(t *testing.T) {
	read := 0
	for _, name := range repository(t) {
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			continue // removed, and git has not been told
		}
		read++
		for _, complaint := range elsewhere(name, content) {
			t.Error(complaint)
		}
	}
	if read < 100 {
		t.Errorf("only %d files were read", read)
	}
}

func TestTopLevelCanFail(t *testing.T) {
	good := []string{"README.md", "LICENSE", "go.mod", "go.sum", ".gitignore", ".ci/run", "cmd/x/a.go", "docs/a.png", "test/a.go"}
	if found := topLevel(good); len(found) > 0 {
		t.Errorf("of what may be there: %q", found)
	}
	bad := append([]string{"main.go", "pkg/a.go", "pkg/b.go", "Makefile", "stripe", "go.mod/x", "notes.txt"}, good...)
	if found := topLevel(bad); len(found) != 6 {
		t.Errorf("of what must not be there: %q", found)
	}
}

func TestElsewhereCanFail(t *testing.T) {
	for _, place := range []string{"work", "root", "tmp", "home", "Users"} {
		for _, line := range []string{"/%s/x", "see /%s/x", `"/%s/x"`, "file:///%s/x", "cd=/%s/x"} {
			if found := elsewhere("a.md", fmt.Appendf(nil, "first\n"+line+"\n", place)); len(found) != 1 || !strings.HasPrefix(found[0], "a.md:2: ") {
				t.Errorf(line+": %q", place, found)
			}
		}
	}
	dot := "."
	for _, line := range []string{"see " + dot + "library", dot + "library/x", "x/" + dot + "library", dot + "./shared/x", "a/" + dot + "./shared"} {
		if found := elsewhere("a.go", []byte(line)); len(found) != 1 {
			t.Errorf("%s: %q", line, found)
		}
	}
	for _, line := range []string{`"$work/out"`, "relay/root/x", "https://example.org/home/x", "a.library", "./shared", "../sharedness", "network/tmp.go", "rooted/x"} {
		if found := elsewhere("a.go", []byte(line)); len(found) != 0 {
			t.Errorf("%s: %q", line, found)
		}
	}
	bad := []byte("see /" + "tmp/x")
	if found := elsewhere("a/testdata/x", bad); len(found) != 0 {
		t.Errorf("testdata: %q", found)
	}
	if found := elsewhere("a.bin", append(bad, 0)); len(found) != 0 {
		t.Errorf("no text: %q", found)
	}
}
