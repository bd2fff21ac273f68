package house

import (
	"go/ast"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds finds fuzz targets that begin with nothing: without f.Add, by themselves
// or by a function of the same folder that they give f to, and without files, of
// which has is asked.
func seeds(has func(dir, target string) bool) rule {
	return func(tr *tree) []string {
		functions := map[string]*ast.FuncDecl{}
		for _, f := range tr.files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && f.test {
					functions[f.dir+"."+fn.Name.Name] = fn
				}
			}
		}
		var found []string
		for _, f := range tr.files {
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || !f.test || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") || fuzzer(fn, 0) == "" {
					continue
				}
				if !adds(functions, f.dir, fn, 0, map[*ast.FuncDecl]bool{}) && !has(f.dir, fn.Name.Name) {
					found = append(found, tr.at(fn.Pos(), "%s has no seeds", fn.Name.Name))
				}
			}
		}
		return found
	}
}

// fuzzer is the name of a function's parameter, counted from 0, if it is a *testing.F.
func fuzzer(fn *ast.FuncDecl, at int) string {
	for _, field := range fn.Type.Params.List {
		for _, id := range field.Names {
			if at == 0 {
				star, _ := field.Type.(*ast.StarExpr)
				if star == nil {
					return ""
				}
				if s, ok := star.X.(*ast.SelectorExpr); ok && s.Sel.Name == "F" {
					return id.Name
				}
				return ""
			}
			at--
		}
	}
	return ""
}

// adds says whether a function calls Add on its parameter, or gives that to one that does.
func adds(functions map[string]*ast.FuncDecl, dir string, fn *ast.FuncDecl, at int, seen map[*ast.FuncDecl]bool) (found bool) {
	f := fuzzer(fn, at)
	if f == "" || seen[fn] {
		return false
	}
	seen[fn] = true
	isF := func(x ast.Expr) bool { id, ok := x.(*ast.Ident); return ok && id.Name == f }
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return !found
		}
		if s, ok := call.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Add" && isF(s.X) {
			found = true
		}
		if id, ok := call.Fun.(*ast.Ident); ok {
			for i, arg := range call.Args {
				if next := functions[dir+"."+id.Name]; next != nil && isF(arg) && adds(functions, dir, next, i, seen) {
					found = true
				}
			}
		}
		return !found
	})
	return found
}

func TestSeeds(t *testing.T) {
	hold(t, seeds(func(dir, target string) bool {
		entries, _ := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir), "testdata", "fuzz", target))
		return len(entries) > 0
	}))
}

func TestSeedsCanFail(t *testing.T) {
	const head = "package a\nimport \"testing\"\n"
	finds(t, seeds(func(dir, target string) bool { return dir == "a" && target == "FuzzFile" }), []breach{
		{"nothing", one("a/a_test.go", head+"func FuzzA(f *testing.F) { f.Fuzz(func(*testing.T, []byte) {}) }"), []string{"a_test.go:3: FuzzA has no seeds"}},
		{"another's Add", one("a/a_test.go", head+"func FuzzA(f *testing.F) { w.Add(1) }"), []string{"FuzzA"}},
		{"a helper that adds nothing", one("a/a_test.go", head+"func FuzzA(f *testing.F) { help(f) }\nfunc help(f *testing.F) { help(f) }"), []string{"FuzzA"}},
		{"another's helper", map[string]string{
			"a/a_test.go": head + "func FuzzA(f *testing.F) { help(f) }",
			"b/b_test.go": head + "func help(f *testing.F) { f.Add(1) }",
		}, []string{"FuzzA"}},
		{"another's file", one("b/a_test.go", head+"func FuzzFile(f *testing.F) {}"), []string{"FuzzFile"}},
		{"seeds", map[string]string{
			"a/a_test.go": head + "func FuzzA(f *testing.F) { for range 3 { f.Add(1) } }\nfunc FuzzB(g *testing.F) { help(1, g) }\nfunc FuzzFile(f *testing.F) {}\nfunc FuzzNot(b []byte) {}",
			"a/b_test.go": head + "func help(n int, f *testing.F) { f.Add(n) }",
			"a/a.go":      "package a\nfunc FuzzLine(s string) {}",
		}, nil},
	})
}
