package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/stripecast/stripecast"
)

// tree is all Go code of the project, whatever system it is for.
type tree struct {
	fset  *token.FileSet
	files []*file // by path
}

type file struct {
	path  string // from the root, with slashes
	dir   string
	test  bool // its name ends in _test.go
	lines int
	ast   *ast.File
}

func (tr *tree) add(name string, src []byte) error {
	parsed, err := parser.ParseFile(tr.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	tr.files = append(tr.files, &file{
		path:  name,
		dir:   path.Dir(name),
		test:  strings.HasSuffix(name, "_test.go"),
		lines: tr.fset.File(parsed.FileStart).LineCount(),
		ast:   parsed,
	})
	return nil
}

// dirs is every folder with code that is not a test, sorted.
func (tr *tree) dirs() []string {
	var dirs []string
	for _, f := range tr.files {
		if !f.test {
			dirs = append(dirs, f.dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// in is the files of one folder that are no tests.
func (tr *tree) in(dir string) []*file {
	var in []*file
	for _, f := range tr.files {
		if f.dir == dir && !f.test {
			in = append(in, f)
		}
	}
	return in
}

// at writes a complaint about a place.
func (tr *tree) at(pos token.Pos, format string, args ...any) string {
	p := tr.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// imports is the paths that a file imports.
func (f *file) imports() []string {
	var paths []string
	for _, spec := range f.ast.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

// under says whether a path is a folder or lies below it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// project is the tree on disk.
var project = sync.OnceValues(func() (*tree, error) {
	tr := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != root && base != ".ci"
			if hidden || base == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		return tr.add(filepath.ToSlash(rel), src)
	})
	return tr, err
})

// rule finds what breaks it.
type rule func(*tree) []string

// hold holds a rule against the project.
func hold(t *testing.T, r rule) {
	t.Helper()
	tr, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range r(tr) {
		t.Error(complaint)
	}
}

// breach is code and what a rule must say of it: a part of each complaint, in
// order. None means that the rule must let it pass.
type breach struct {
	name  string
	files map[string]string
	says  []string
}

// one is a tree of a single file.
func one(path, src string) map[string]string { return map[string]string{path: src} }

// finds checks that a rule complains of each breach as it should, and of nothing else.
func finds(t *testing.T, r rule, breaches []breach) {
	t.Helper()
	for _, b := range breaches {
		got := r(treeOf(t, b.files))
		for i, complaint := range got {
			if i >= len(b.says) || !strings.Contains(complaint, b.says[i]) {
				t.Errorf("%s: unexpected complaint %q", b.name, complaint)
			}
		}
		if len(got) < len(b.says) {
			t.Errorf("%s: %d complaints %q, want %q", b.name, len(got), got, b.says)
		}
	}
}

func treeOf(t *testing.T, files map[string]string) *tree {
	t.Helper()
	tr := &tree{fset: token.NewFileSet()}
	paths := make([]string, 0, len(files))
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := tr.add(p, []byte(files[p])); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// TestTree: what the other tests look at is there. An empty tree breaks no rule.
func TestTree(t *testing.T) {
	tr, err := project()
	if err != nil {
		t.Fatal(err)
	}
	if len(tr.files) < 100 {
		t.Errorf("only %d files of code were found", len(tr.files))
	}
	for _, p := range []string{"stripe/shard.go", "stripe/shard_test.go", "cmd/stripecast/main.go", "relay/core.go", ".ci/tally/main.go", "test/house/tree_test.go"} {
		if !slices.ContainsFunc(tr.files, func(f *file) bool { return f.path == p }) {
			t.Errorf("%s was not found", p)
		}
	}
	if gomod, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || !strings.HasPrefix(string(gomod), "module "+module+"\n") {
		t.Errorf("go.mod does not begin with module %s: %v", module, err)
	}
}
