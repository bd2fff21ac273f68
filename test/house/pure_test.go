package house

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// pure is the packages without clock, chance, goroutine, lock, network and file.
// The folders below them are no part of them, unless they are named.
var pure = []string{
	"fec", "membership", "overlay", "playout", "playout/hls", "playout/remux", "relay", "relay/ingest/m3u",
	"relay/pull", "stripe", "stripe/ts", "stripe/wire",
}

// impure is what no pure package imports, with everything below it.
var impure = []string{
	"C", "context", "crypto/rand", "io/fs", "io/ioutil", "log", "net", "os",
	"plugin", "runtime", "sync", "syscall", "unsafe",
}

// pureParts lie below an impure import, and only parse.
var pureParts = []string{"net/netip", "net/url"}

// hostPort is all that stripe may use of package net.
var hostPort = []string{"JoinHostPort", "SplitHostPort"}

// banned is the functions that a pure package does not touch, not even as a value.
var banned = map[string][]string{
	"time":           {"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"},
	"crypto/ed25519": {"GenerateKey"}, // draws from the system
	"fmt":            {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
}

// generators are the functions of math/rand and math/rand/v2 that draw nothing.
var generators = []string{"New", "NewChaCha8", "NewPCG", "NewSource", "NewZipf"}

// pureImports finds imports that a pure package must not have.
func pureImports(tr *tree) []string {
	var found []string
	for _, f := range tr.files {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		for i, p := range f.imports() {
			if f.ast.Imports[i].Name != nil && f.ast.Imports[i].Name.Name == "." {
				found = append(found, tr.at(f.ast.Imports[i].Pos(), "a dot import hides what is used"))
			}
			if slices.Contains(pureParts, p) || f.dir == "stripe" && p == "net" {
				continue
			}
			if slices.ContainsFunc(impure, func(folder string) bool { return under(p, folder) }) {
				found = append(found, tr.at(f.ast.Imports[i].Pos(), "a pure package imports %s", p))
			}
		}
	}
	return found
}

// pureCode finds clocks, global chance, goroutines, channels, and ranges over maps
// in pure packages.
func pureCode(tr *tree) []string {
	var found []string
	for _, dir := range pure {
		files := tr.in(dir)
		if len(files) == 0 {
			continue
		}
		info, err := typesOf(tr, dir, files)
		if err != nil {
			found = append(found, fmt.Sprintf("%s: its types are not known: %v", dir, err))
			continue
		}
		for _, f := range files {
			found = append(found, impurities(tr, f, info)...)
		}
	}
	return found
}

func impurities(tr *tree, f *file, info *types.Info) (found []string) {
	sorted := map[*ast.Ident]bool{} // maps.Keys and the like whose order is made at once
	say := func(n ast.Node, format string, args ...any) {
		found = append(found, tr.at(n.Pos(), format, args...))
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n, "a goroutine in a pure package")
		case *ast.SelectStmt:
			say(n, "a select in a pure package")
		case *ast.ChanType:
			say(n, "a channel in a pure package")
		case *ast.RangeStmt:
			if isMap(info.TypeOf(n.X)) {
				say(n, "a map is ranged over: its order is chance")
			}
		case *ast.CallExpr:
			if name := function(info, called(n)); strings.HasPrefix(name, "slices.Sorted") {
				if inner, ok := n.Args[0].(*ast.CallExpr); ok {
					sorted[called(inner)] = true
				}
			}
		case *ast.Ident:
			if what := forbidden(f.dir, info, n); what != "" && !sorted[n] {
				say(n, "%s", what)
			}
		}
		return true
	})
	return found
}

// called is the last name of what a call calls.
func called(call *ast.CallExpr) *ast.Ident {
	fun := ast.Unparen(call.Fun)
	switch index := fun.(type) {
	case *ast.IndexExpr:
		fun = index.X
	case *ast.IndexListExpr:
		fun = index.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	}
	return nil
}

// function is "path.Name" of a package's function; a method has none.
func function(info *types.Info, id *ast.Ident) string {
	fn, ok := info.Uses[id].(*types.Func)
	if !ok || fn.Pkg() == nil || fn.Signature().Recv() != nil {
		return ""
	}
	return fn.Pkg().Path() + "." + fn.Name()
}

// forbidden says why a name is none for a pure package.
func forbidden(dir string, info *types.Info, id *ast.Ident) string {
	obj := info.Uses[id]
	if _, ok := obj.(*types.Builtin); ok && strings.HasPrefix(id.Name, "print") {
		return "a pure package writes to standard error"
	}
	if obj == nil || obj.Pkg() == nil {
		return ""
	}
	from := obj.Pkg().Path()
	if _, ok := obj.(*types.PkgName); !ok && from == "net" && dir == "stripe" && !slices.Contains(hostPort, id.Name) {
		return "stripe uses net." + id.Name
	}
	name := function(info, id)
	switch {
	case name == "":
	case slices.Contains(banned[from], id.Name):
		return "a pure package uses " + name
	case under(from, "math/rand") && !slices.Contains(generators, id.Name):
		return "a pure package draws from the global " + name
	case from == "maps" && slices.Contains([]string{"All", "Keys", "Values"}, id.Name):
		return name + " without slices.Sorted: its order is chance"
	}
	return ""
}

// isMap says whether a range over a value of this type, or of any type that a type
// parameter may stand for, is one over a map.
func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	if _, ok := types.Unalias(t).(*types.TypeParam); !ok {
		_, ok := t.Underlying().(*types.Map)
		return ok
	}
	constraint := t.Underlying().(*types.Interface)
	for i := range constraint.NumEmbeddeds() {
		switch e := constraint.EmbeddedType(i).(type) {
		case *types.Union:
			for j := range e.Len() {
				if isMap(e.Term(j).Type()) {
					return true
				}
			}
		default:
			if isMap(e) {
				return true
			}
		}
	}
	return false
}

// typesOf checks the types of one folder's files.
func typesOf(tr *tree, dir string, files []*file) (*types.Info, error) {
	built, err := exports()
	if err != nil {
		return nil, err
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	var parsed []*ast.File
	for _, f := range files {
		parsed = append(parsed, f.ast)
	}
	cfg := types.Config{Importer: importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if built[path] == "" {
			return nil, errors.New("not built")
		}
		return os.Open(built[path])
	})}
	_, err = cfg.Check(module+"/"+dir, tr.fset, parsed, info)
	return info, err
}

// exports is the export data of all that pure packages and the snippets here
// import: a file by import path.
var exports = sync.OnceValues(func() (map[string]string, error) {
	args := []string{"list", "-deps", "-export", "-f", "{{.ImportPath}}={{.Export}}",
		"time", "maps", "slices", "fmt", "net", "math/rand", "math/rand/v2", "crypto/ed25519"}
	for _, dir := range pure {
		args = append(args, "./"+dir)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %v\n%s", err, &stderr)
	}
	built := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		path, name, _ := strings.Cut(lines.Text(), "=")
		built[path] = name
	}
	return built, nil
})

// TestPurePackages: the list names packages that are there.
func TestPurePackages(t *testing.T) {
	tr, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range pure {
		if len(tr.in(dir)) == 0 {
			t.Errorf("there is no package %s", dir)
		}
	}
}

func TestPureImports(t *testing.T) { hold(t, pureImports) }
func TestPureCode(t *testing.T)    { hold(t, pureCode) }

func TestPureImportsCanFail(t *testing.T) {
	finds(t, pureImports, []breach{
		{"locks", one("overlay/a.go", "package overlay\nimport \"sync\""), []string{"a.go:2: a pure package imports sync"}},
		{"atomics", one("relay/a.go", "package relay\nimport _ \"sync/atomic\""), []string{"sync/atomic"}},
		{"files", one("fec/a.go", "package fec\nimport (\n\"os\"\n\"io/fs\"\n)"), []string{"imports os", "imports io/fs"}},
		{"network", one("membership/a.go", "package membership\nimport (\n\"net\"\n\"net/http\"\n\"net/netip\"\n\"net/url\"\n)"), []string{"imports net", "imports net/http"}},
		{"log", one("playout/a.go", "package playout\nimport \"log/slog\""), []string{"log/slog"}},
		{"context, chance", one("stripe/ts/a.go", "package ts\nimport (\n\"context\"\n\"crypto/rand\"\n)"), []string{"context", "crypto/rand"}},
		{"a dot", one("stripe/wire/a.go", "package wire\nimport . \"time\""), []string{"dot import"}},
		{"stripe splits host:port", one("stripe/a.go", "package stripe\nimport \"net\""), nil},
		{"a shell may", one("relay/host/a.go", "package host\nimport (\n\"net\"\n\"sync\"\n)"), nil},
		{"a test may", one("relay/a_test.go", "package relay\nimport \"os\""), nil},
		{"a name that begins alike", one("relay/a.go", "package relay\nimport \"nettle/x\""), nil},
	})
}

func TestPureCodeCanFail(t *testing.T) {
	pkg := func(imports, body string) map[string]string {
		return one("overlay/a.go", "package overlay\n"+imports+"\nfunc f() {\n"+body+"\n}")
	}
	var clocks string
	var says []string
	for _, name := range banned["time"] {
		clocks += "_ = time." + name + "\n"
		says = append(says, "uses time."+name)
	}
	finds(t, pureCode, []breach{
		{"every clock", pkg(`import "time"`, clocks), says},
		{"a clock by another name", pkg(`import clock "time"`, "_ = clock.Now()"), []string{"a.go:4: a pure package uses time.Now"}},
		{"time as a value", pkg(`import "time"`, "var now time.Time; _ = now.Add(time.Second).After(now)"), nil},
		{"global chance", pkg(`import "math/rand/v2"`, "_ = rand.IntN(3); rand.Shuffle(0, nil)"), []string{"rand/v2.IntN", "rand/v2.Shuffle"}},
		{"old global chance", pkg(`import "math/rand"`, "_ = rand.Int()"), []string{"math/rand.Int"}},
		{"chance of its own", pkg(`import "math/rand/v2"`, "var r *rand.Rand = rand.New(rand.NewPCG(1, 2)); _ = r.IntN(3)"), nil},
		{"a key from nowhere", pkg(`import "crypto/ed25519"`, "_, _, _ = ed25519.GenerateKey(nil)"), []string{"GenerateKey"}},
		{"words to a terminal", pkg(`import "fmt"`, "fmt.Println(); print(1); _ = fmt.Sprint()"), []string{"fmt.Println", "standard error"}},
		{"a goroutine", pkg("", "go f()"), []string{"goroutine"}},
		{"a channel", pkg("", "c := make(chan int, 1)\nselect {\ncase <-c:\n}"), []string{"a.go:4: a channel", "a.go:5: a select"}},
		{"a map", pkg("", "for range map[int]int{} {\n}"), []string{"a map is ranged over"}},
		{"a map by another name", pkg("", "type book map[string]bool\nvar b book\nfor k := range b { _ = k }"), []string{"a map is ranged over"}},
		{"a map by parameter", one("overlay/a.go", "package overlay\nfunc f[M ~map[K]V, K comparable, V any](m M) { for range m {} }"), []string{"a map is ranged over"}},
		{"a slice", pkg("", "for range []int{} {}\nfor range 3 {}\nvar m map[int][]int\nfor range m[1] {}"), nil},
		{"keys", pkg(`import "maps"`, "for range maps.Keys(map[int]int{}) {}"), []string{"maps.Keys without"}},
		{"sorted keys", pkg("import (\n\"maps\"\n\"slices\"\n)", "for range slices.Sorted(maps.Keys(map[int]int{})) {}"), nil},
		{"all of net", one("stripe/a.go", "package stripe\nimport \"net\"\nvar a, b = net.JoinHostPort, net.Dial"), []string{"stripe uses net.Dial"}},
		{"no types", pkg("", "x := unknown"), []string{"its types are not known"}},
		{"a shell may", one("relay/host/a.go", "package host\nimport \"time\"\nvar now = time.Now()"), nil},
		{"a test may", one("relay/a_test.go", "package relay\nimport \"time\"\nvar now = time.Now()"), nil},
	})
}
