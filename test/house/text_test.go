package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFile     = 600 // lines of a file that is no test
	maxFunction = 80  // lines of a function, from "func" to its brace
)

// sizes finds files and functions that are too long.
func sizes(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if !f.test && f.lines > maxFile {
			found = append(found, fmt.Sprintf("%s: %d lines, more than %d", f.path, f.lines, maxFile))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			name := "a function"
			switch fn := n.(type) {
			case *ast.FuncDecl:
				name = fn.Name.Name
			case *ast.FuncLit:
			default:
				return true
			}
			// A comment above is part of a FuncDecl, but does not count.
			from := n.Pos()
			if fn, ok := n.(*ast.FuncDecl); ok {
				from = fn.Type.Pos()
			}
			if lines := tr.fset.Position(n.End()).Line - tr.fset.Position(from).Line + 1; lines > maxFunction {
				found = append(found, tr.at(from, "%s has %d lines, more than %d", name, lines, maxFunction))
				return false
			}
			return true
		})
	}
	return found
}

// nameless are names that say nothing of what is inside.
var nameless = []string{"common", "core", "helper", "helpers", "misc", "types", "util", "utils"}

// names finds packages and folders with such names.
func names(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		name := strings.TrimSuffix(f.ast.Name.Name, "_test")
		if slices.Contains(nameless, name) {
			found = append(found, tr.at(f.ast.Package, "a package is called %s", name))
		} else if slices.Contains(nameless, path.Base(f.dir)) {
			found = append(found, tr.at(f.ast.Package, "a folder is called %s", path.Base(f.dir)))
		}
	}
	return found
}

// exceptions finds comments that switch a linter off.
func exceptions(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				text := strings.TrimLeft(strings.TrimLeft(c.Text, "/*"), " \t")
				if strings.HasPrefix(text, "nolint") || strings.HasPrefix(text, "lint:") {
					found = append(found, tr.at(c.Pos(), "a linter is switched off: %s", c.Text))
				}
			}
		}
	}
	return found
}

// sleeps finds time.Sleep, also as a value, in code and in tests.
func sleeps(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		local := ""
		for _, spec := range f.ast.Imports {
			if p, _ := strconv.Unquote(spec.Path.Value); p == "time" {
				local = "time"
				if spec.Name != nil {
					local = spec.Name.Name
				}
			}
		}
		if local == "." {
			found = append(found, tr.at(f.ast.Package, "a dot import of time hides what is used"))
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
					found = append(found, tr.at(n.Pos(), "time.Sleep"))
				}
			}
			return true
		})
	}
	return found
}

// comments finds packages, and exported names of packages that are neither
// commands nor for tests, without a comment.
func comments(tr *tree) []string {
	var found []string
	for _, dir := range tr.dirs() {
		files := tr.in(dir)
		found = append(found, packageComment(dir, files)...)
		if under(dir, "test") || files[0].ast.Name.Name == "main" {
			continue
		}
		for _, f := range files {
			for _, d := range f.ast.Decls {
				found = append(found, uncommented(tr, d)...)
			}
		}
	}
	return found
}

func packageComment(dir string, files []*file) []string {
	want := "Package " + files[0].ast.Name.Name + " "
	if files[0].ast.Name.Name == "main" {
		want = "Command "
	}
	for _, f := range files {
		if f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), want) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: no comment begins with %q", dir, want)}
}

func uncommented(tr *tree, d ast.Decl) (found []string) {
	say := func(id *ast.Ident) {
		if id.IsExported() {
			found = append(found, tr.at(id.Pos(), "%s has no comment", id.Name))
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && (d.Recv == nil || ast.IsExported(receiver(d))) {
			say(d.Name)
		}
	case *ast.GenDecl:
		covered := runs(tr, d)
		for i, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if !covered[i] && (d.Doc == nil || d.Lparen.IsValid()) {
					say(spec.Name)
				}
			case *ast.ValueSpec:
				if !covered[i] && d.Doc == nil {
					for _, id := range spec.Names {
						say(id)
					}
				}
			}
		}
	}
	return found
}

// receiver is the name of a method's type.
func receiver(d *ast.FuncDecl) string {
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.ParenExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// runs says which specs of a declaration a comment of their own covers: one above,
// one at the end of the line, or one above the lines that end with it. A blank
// line or another comment ends such a run.
func runs(tr *tree, d *ast.GenDecl) []bool {
	covered, run, last := make([]bool, len(d.Specs)), false, 0
	for i, spec := range d.Specs {
		var doc, line *ast.CommentGroup
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			doc, line = spec.Doc, spec.Comment
		case *ast.TypeSpec:
			doc, line = spec.Doc, spec.Comment
		}
		run = doc != nil || run && tr.fset.Position(spec.Pos()).Line == last+1
		covered[i] = run || line != nil
		last = tr.fset.Position(spec.End()).Line
	}
	return covered
}

func TestSizes(t *testing.T)      { hold(t, sizes) }
func TestNames(t *testing.T)      { hold(t, names) }
func TestExceptions(t *testing.T) { hold(t, exceptions) }
func TestSleeps(t *testing.T)     { hold(t, sleeps) }
func TestComments(t *testing.T)   { hold(t, comments) }

func TestSizesCanFail(t *testing.T) {
	fn := func(lines int) string { return "func f() {" + strings.Repeat("\n", lines-1) + "}" }
	long := "package a" + strings.Repeat("\n", maxFile+1)
	finds(t, sizes, []breach{
		{"a file", one("a/a.go", long), []string{"a/a.go: 601 lines"}},
		{"a test", one("a/a_test.go", long), nil},
		{"a file that just fits", one("a/a.go", long[:len(long)-1]), nil},
		{"a function", one("a/a.go", "package a\n"+fn(81)), []string{"a.go:2: f has 81 lines"}},
		{"in a test", one("a/a_test.go", "package a\n"+fn(81)), []string{"f has 81"}},
		{"a method", one("a/a.go", "package a\ntype t int\n"+strings.Replace(fn(90), "func", "func (t)", 1)), []string{"f has 90"}},
		{"without a name", one("a/a.go", "package a\nvar v = "+strings.Replace(fn(81), " f", "", 1)), []string{"a function has 81"}},
		{"a function that just fits", one("a/a.go", "package a\n// one\n// two\n"+fn(80)), nil},
	})
}

func TestNamesCanFail(t *testing.T) {
	var breaches []breach
	for _, name := range nameless {
		breaches = append(breaches, breach{name, one("relay/x/a.go", "package "+name), []string{"called " + name}})
	}
	finds(t, names, append(breaches,
		breach{"a folder", one("relay/util/a.go", "package other"), []string{"a folder is called util"}},
		breach{"a test", one("relay/x/a_test.go", "package misc_test"), []string{"called misc"}},
		breach{"a name", one("relay/x/core.go", "package x\ntype Core int"), nil},
	))
}

func TestExceptionsCanFail(t *testing.T) {
	finds(t, exceptions, []breach{
		{"one linter's", one("a/a.go", "package a\nvar x = 1 //nolint:unused"), []string{"a.go:2: a linter is switched off"}},
		{"with a space", one("a/a_test.go", "package a\n// nolint\nvar x = 1"), []string{"switched off"}},
		{"another's", one("a/a.go", "package a\n//lint:ignore U1000 for later\nvar x = 1\n//lint:file-ignore U1000 x"), []string{"lint:ignore", "lint:file-ignore"}},
		{"words", one("a/a.go", "package a\n// We have no nolint here.\nvar x = \"//nolint\""), nil},
	})
}

func TestSleepsCanFail(t *testing.T) {
	finds(t, sleeps, []breach{
		{"in code", one("a/a.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"), []string{"a.go:3: time.Sleep"}},
		{"in a test", one("a/a_test.go", "package a\nimport \"time\"\nfunc f() { time.Sleep(1) }"), []string{"time.Sleep"}},
		{"by another name", one("a/a.go", "package a\nimport t \"time\"\nvar f = t.Sleep"), []string{"time.Sleep"}},
		{"by no name", one("a/a.go", "package a\nimport . \"time\"\nfunc f() { Sleep(1) }"), []string{"dot import"}},
		{"another's", one("a/a.go", "package a\nimport \"time\"\nvar _ = bed.Sleep\nvar _ = time.After\nvar _ = \"time.Sleep\" // time.Sleep"), nil},
	})
}

func TestCommentsCanFail(t *testing.T) {
	const head = "// Package a is a.\npackage a\n"
	finds(t, comments, []breach{
		{"a package", one("a/a.go", "package a"), []string{`a: no comment begins with "Package a "`}},
		{"a package for tests", one("test/a/a.go", "// The doubles.\npackage a"), []string{"test/a: no comment"}},
		{"a command", one("cmd/a/a.go", "package main"), []string{`"Command "`}},
		{"a function", one("a/a.go", head+"func F() {}\nfunc g() {}"), []string{"a.go:3: F has"}},
		{"methods", one("a/a.go", head+"// T is.\ntype T int\nfunc (*T) M() {}\nfunc (T) m() {}"), []string{"M has"}},
		{"of what is generic", one("a/a.go", head+"// T is.\ntype T[A, B any] int\nfunc (t *T[A, B]) M() {}"), []string{"M has"}},
		{"types", one("a/a.go", head+"type T int\ntype t int\n// The others.\ntype (\nU int\n)"), []string{"T has", "U has"}},
		{"values", one("a/a.go", head+"var V, w, X = 1, 2, 3\nconst (\n// A is.\nA = 1\nB = 1\n\nC = 1\nD = 1 // is D\nE = 1\n)"), []string{"V has", "X has", "C has", "E has"}},
		{"all said", map[string]string{
			"a/a.go":      "package a\n// T is.\ntype T struct{ F int }\n// M does.\nfunc (T) M() {}\nfunc (t) M() {}\ntype t int\n// The kinds.\nconst (\nA = 1\n\nB = 2\n)",
			"a/doc.go":    head,
			"cmd/a/a.go":  "// Command a does.\npackage main\nfunc F() {}",
			"a/a_test.go": "package a\nfunc F() {}",
			"test/x/a.go": "// Package x tests.\npackage x\nfunc F() {}",
		}, nil},
	})
}

// TestRuns: where the cover of a comment ends.
func TestRuns(t *testing.T) {
	tr := treeOf(t, one("a.go", "package a\nconst (\na = 1\n// B.\nb = 1\nc = 1\n\nd = 1\ne = 1 // e\nf = 1\n)"))
	got := runs(tr, tr.files[0].ast.Decls[0].(*ast.GenDecl))
	if want := []bool{false, true, true, false, true, false}; !slices.Equal(got, want) {
		t.Errorf("covered: %v, want %v", got, want)
	}
}
