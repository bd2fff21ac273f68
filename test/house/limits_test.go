package house

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// bounded is the packages that keep what strangers send, or read a number of theirs.
var bounded = []string{
	"membership", "membership/gossip", "overlay", "playout", "playout/hls", "playout/httpd", "playout/remux",
	"playout/rewind", "playout/sink", "relay", "relay/host", "relay/ingest", "relay/ingest/m3u", "relay/ingest/station",
	"relay/pull", "relay/quicnet", "stripe", "stripe/ts",
}

// limits finds bounded packages without a limits.go, among them every one of ours
// that has a constant called max…; and constants in a limits.go that nothing is
// said of.
func limits(tr *tree) []string {
	var found []string
	for _, dir := range tr.dirs() {
		files := tr.in(dir)
		at := slices.IndexFunc(files, func(f *file) bool { return path.Base(f.path) == "limits.go" })
		if at >= 0 {
			found = append(found, unexplained(tr, files[at])...)
			continue
		}
		if slices.Contains(bounded, dir) {
			found = append(found, fmt.Sprintf("%s: it has no limits.go", dir))
		} else if !under(dir, "test") && files[0].ast.Name.Name != "main" {
			for _, f := range files {
				for _, id := range maxima(f) {
					found = append(found, tr.at(id.Pos(), "%s is a limit, and %s has no limits.go", id.Name, dir))
				}
			}
		}
	}
	return found
}

// constants is the declarations of constants outside of functions.
func constants(f *file) []*ast.GenDecl {
	var decls []*ast.GenDecl
	for _, d := range f.ast.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			decls = append(decls, g)
		}
	}
	return decls
}

// unexplained finds constants without a comment. One above the whole group is not
// enough, unless it is a group of one.
func unexplained(tr *tree, f *file) (found []string) {
	for _, d := range constants(f) {
		for i, ok := range runs(tr, d) {
			if !ok && (d.Doc == nil || d.Lparen.IsValid()) {
				for _, id := range d.Specs[i].(*ast.ValueSpec).Names {
					found = append(found, tr.at(id.Pos(), "nothing is said of the limit %s", id.Name))
				}
			}
		}
	}
	return found
}

// maxima is the constants of a file that are called max… or Max….
func maxima(f *file) (ids []*ast.Ident) {
	for _, d := range constants(f) {
		for _, spec := range d.Specs {
			for _, id := range spec.(*ast.ValueSpec).Names {
				rest, ok := strings.CutPrefix(strings.ToLower(id.Name[:1])+id.Name[1:], "max")
				if ok && (rest == "" || unicode.IsUpper(rune(rest[0]))) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

func TestLimits(t *testing.T) { hold(t, limits) }

// TestBounded: the list names packages that are there.
func TestBounded(t *testing.T) {
	tr, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range bounded {
		if len(tr.in(dir)) == 0 {
			t.Errorf("there is no package %s", dir)
		}
	}
}

func TestLimitsCanFail(t *testing.T) {
	finds(t, limits, []breach{
		{"none", one("overlay/a.go", "package overlay"), []string{"overlay: it has no limits.go"}},
		{"none, elsewhere", one("relay/x/a.go", "package x\nconst (\nMaxA = 1\nmaxB, maximum, c = 2, 3, 4\n)"), []string{"a.go:3: MaxA is a limit", "maxB is a limit"}},
		{"unexplained", map[string]string{
			"overlay/a.go":      "package overlay",
			"overlay/limits.go": "package overlay\nimport \"time\"\n// All.\nconst (\n// A is.\nA = 1\nb = 2\n\nc = time.Second\nd = 3 // is d\n)\nconst e = 1",
		}, []string{"limits.go:9: nothing is said of the limit c", "the limit e"}},
		{"all is well", map[string]string{
			"relay/limits.go": "package relay\n// A is.\nconst A = 1\n// The others.\nconst (\n// b and c are.\nb = 1\nc = 2\n)",
			"relay/a.go":      "package relay\nconst maxA = 1\nvar x = 2",
			"relay/y/a.go":    "package y\nconst maximum = 1\nvar maxA = 2\nfunc f() { const maxB = 1 }",
			"cmd/x/a.go":      "package main\nconst maxA = 1",
			"test/x/a.go":     "package x\nconst maxA = 1",
		}, nil},
	})
}
