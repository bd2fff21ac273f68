package vectors

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLimits: a row of a table in PROTOCOL.md that begins with a constant's name in
// backquotes, as `overlay.MaxDepth`, gives its value next.
func TestLimits(t *testing.T) {
	check, rows := newChecker(), 0
	for _, line := range strings.Split(block(t, ""), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(cells[1]), "`")
		name, closed := strings.CutSuffix(name, "`")
		dot := strings.LastIndexByte(name, '.')
		if !ok || !closed || dot < 0 {
			continue
		}
		rows++
		dir, id := name[:dot], name[dot+1:]
		pkg, err := check.constants(dir)
		if err != nil {
			t.Error(err)
			continue
		}
		c, ok := pkg.Scope().Lookup(id).(*types.Const)
		if !ok {
			t.Errorf("%s: the package has no such constant", name)
			continue
		}
		if got, want := written(t, cells[2]), number(c); got != want {
			t.Errorf("%s is %s in PROTOCOL.md and %v in the code", name, strings.TrimSpace(cells[2]), c.Val())
		}
	}
	if rows < 50 {
		t.Errorf("only %d rows of limits were found", rows)
	}
}

// number is a constant's value; a duration's in nanoseconds.
func number(c *types.Const) float64 {
	v, _ := constant.Float64Val(constant.ToFloat(c.Val()))
	return v
}

// written reads a value as the tables write it: 150 ms, 64 KiB, 0.5, 2^31.
func written(t *testing.T, cell string) float64 {
	t.Helper()
	text := strings.Join(strings.Fields(strings.ReplaceAll(cell, ",", "")), "")
	if d, err := time.ParseDuration(strings.Replace(text, "min", "m", 1)); err == nil && text != "0" {
		return float64(d)
	}
	var v, exponent float64
	for suffix, factor := range map[string]float64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			if _, err := fmt.Sscanf(digits, "%g", &v); err == nil {
				return v * factor
			}
		}
	}
	if _, err := fmt.Sscanf(text, "2^%g", &exponent); err == nil {
		return float64(uint64(1) << uint(exponent))
	}
	if _, err := fmt.Sscanf(text, "%g", &v); err != nil {
		t.Errorf("%q is no value", cell)
	}
	return v
}

// constants type-checks a package's source as far as its constants need it: bodies
// of functions are left out, and imports from other modules are empty.
func (c *checker) constants(dir string) (*types.Package, error) {
	if pkg := c.packages[dir]; pkg != nil {
		return pkg, nil
	}
	names, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no package in %q: %v", dir, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(c.fset, name, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	cfg := types.Config{
		IgnoreFuncBodies: true,
		Importer:         c,
		Error:            func(error) {}, // of what an empty import lacks
	}
	pkg, _ := cfg.Check(dir, c.fset, files, nil)
	c.packages[dir] = pkg
	return pkg, nil
}

// checker is the types.Importer of the packages it checks.
type checker struct {
	fset     *token.FileSet
	packages map[string]*types.Package
	standard types.Importer
}

func newChecker() *checker {
	fset := token.NewFileSet()
	return &checker{fset: fset, packages: map[string]*types.Package{}, standard: importer.ForCompiler(fset, "gc", nil)}
}

// Import finds our own packages by their folder, and the standard library's.
func (c *checker) Import(path string) (*types.Package, error) {
	if dir, ok := strings.CutPrefix(path, "github.com/stripecast/stripecast/"); ok {
		return c.constants(dir)
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return c.standard.Import(path)
	}
	empty := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	empty.MarkComplete()
	return empty, nil
}
