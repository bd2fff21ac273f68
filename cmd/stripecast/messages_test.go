//go:build linux

package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
)

// message is an error as a person reads it. By is what brings it about: a command line, or
// code beneath one. {dir}, {link} and so on stand for what a stage has.
type message struct {
	by         func(*stage) error
	says, hint string
}

// stage is where messages come about.
type stage struct {
	*testing.T
	fill *strings.Replacer
	in   string // standard input; "" is the null device
}

// line is a command line; words may have places in them.
func line(words ...string) func(*stage) error {
	return func(s *stage) error {
		in, err := os.Open(s.filled(s.in))
		if err != nil {
			s.Fatal(err)
		}
		defer in.Close()
		c := &console{in: in, out: &bytes.Buffer{}, err: &bytes.Buffer{}}
		root := newRoot(c)
		args := []string{}
		for _, w := range words {
			args = append(args, s.filled(w))
		}
		root.SetArgs(args)
		return root.ExecuteContext(s.Context())
	}
}

// with is a row's code with the environment, or standard input, of its own.
func with(key, value string, by func(*stage) error) func(*stage) error {
	return func(s *stage) error {
		if key == "stdin" {
			s.in = value
		} else {
			s.Setenv(key, s.filled(value))
		}
		return by(s)
	}
}

func (s *stage) filled(text string) string { return s.fill.Replace(text) }

// TestMessages: every row is said, to the letter, with what to do. What the system says of
// files and sockets is Linux's.
func TestMessages(t *testing.T) {
	fill := newPlaces(t)
	seen := map[string]bool{}
	for _, m := range messages() {
		name := m.says
		if len(name) > 60 {
			name = name[:60]
		}
		t.Run(name, func(t *testing.T) {
			s := &stage{T: t, fill: fill, in: os.DevNull}
			t.Setenv("XDG_CONFIG_HOME", s.filled("{dir}"))
			t.Setenv("XDG_CACHE_HOME", t.TempDir())
			err := m.by(s)
			if err == nil {
				t.Fatal("nothing is wrong")
			}
			var said bytes.Buffer
			code := (&console{err: &said}).explain(err)
			want := "error: " + s.filled(m.says) + "\nhint: " + s.filled(m.hint) + "\n"
			var f *failure
			if !errors.As(err, &f) && m.hint == "" { // no command ends with it: others say it
				said.Reset()
				said.WriteString("error: " + err.Error() + "\nhint: \n")
			} else if code == 0 || m.hint == "" {
				t.Errorf("exit code %d, hint %q", code, m.hint)
			}
			if said.String() != want {
				t.Errorf("it says\n%swant\n%s", &said, want)
			}
			if strings.Contains(said.String(), "%!") {
				t.Errorf("a verb without its value: %s", &said)
			}
		})
		if seen[m.says+m.hint] {
			t.Errorf("%q has two rows", m.says)
		}
		seen[m.says+m.hint] = true
	}
}

// beneath are the files under this command whose errors are about what a person wrote.
var beneath = []string{
	"playout/config.go", "playout/rewind/from.go", "playout/sink/udp.go", "relay/host/addr.go",
	"relay/ingest/ffmpeg/ffmpeg.go", "relay/ingest/listen.go", "relay/ingest/m3u/m3u.go",
	"relay/ingest/segments.go", "relay/ingest/station/list.go", "relay/ingest/station/station.go",
	"relay/ingest/udp.go", "relay/ingest/web.go", "relay/quicnet/net.go", "relay/source/source.go",
	"relay/store/fs.go", "stripe/id.go", "stripe/layout.go", "stripe/link.go", "stripe/private.go", "stripe/ts/loop.go",
}

// TestEveryMessageHasARow: what stands in the source, as an error or as what to do about
// it, is in the table, unless it is in unheard with a reason.
func TestEveryMessageHasARow(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range beneath {
		files = append(files, filepath.Join("..", "..", filepath.FromSlash(b)))
	}
	var all []saying
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			all = append(all, sayings(t, name, nil)...)
		}
	}
	if len(all) < 200 {
		t.Fatalf("only %d were found", len(all))
	}
	rows, used := messages(), map[string]bool{}
	for _, s := range all {
		heard := s.heard(rows)
		if _, ok := unheard[s.format]; ok {
			if used[s.format] = true; heard {
				t.Errorf("%s: %q has a row and a reason to have none", s.at, s.format)
			}
			continue
		}
		if !heard {
			t.Errorf("%s: no row of messages says %q", s.at, s.format)
		}
	}
	for format := range unheard {
		if !used[format] {
			t.Errorf("%q has a reason to have no row, and stands nowhere", format)
		}
	}
}

// saying is a text in the source, with verbs.
type saying struct{ format, at string }

// verbs are what stands for a value in a format.
var verbs = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// heard reports whether a row says it.
func (s saying) heard(rows []message) bool {
	parts := verbs.Split(s.format, -1)
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(strings.ReplaceAll(p, "%%", "%"))
	}
	re := regexp.MustCompile("(?s)" + strings.Join(parts, ".*"))
	for _, m := range rows {
		if re.MatchString(m.says) || re.MatchString(m.hint) {
			return true
		}
	}
	return false
}

// tellers is which arguments of what we call are words for people.
var tellers = map[string][]int{
	"errors.New": {0}, "fmt.Errorf": {0}, "refuse": {0}, "fail": {1}, "misuse": {1}, "mistake": {2, 3},
}

// sayings is all that a file says of errors: what tellers are given, and whatever is called
// hint. What is of verbs alone says nothing. src is as parser.ParseFile has it.
func sayings(t *testing.T, name string, src any) (all []saying) {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(e ast.Expr) {
		format := formatIn(e)
		if strings.ContainsFunc(verbs.ReplaceAllString(format, ""), unicode.IsLetter) {
			all = append(all, saying{format, set.Position(e.Pos()).String()})
		}
	}
	isHint := func(e ast.Expr) bool {
		id, ok := e.(*ast.Ident)
		return ok && id.Name == "hint"
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			for _, i := range tellers[called(n)] {
				if i < len(n.Args) {
					add(n.Args[i])
				}
			}
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if isHint(to) && i < len(n.Rhs) {
					add(n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, to := range n.Names {
				if isHint(to) && i < len(n.Values) {
					add(n.Values[i])
				}
			}
		case *ast.KeyValueExpr:
			if isHint(n.Key) {
				add(n.Value)
			}
		}
		return true
	})
	return all
}

// called is the name of what is called, as it is written.
func called(n *ast.CallExpr) string {
	switch f := n.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// formatIn is an expression as a format: whatever is no constant text is a verb.
func formatIn(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return formatIn(e.X) + formatIn(e.Y)
	case *ast.CallExpr:
		if called(e) == "fmt.Sprintf" {
			return formatIn(e.Args[0])
		}
	}
	return "%v"
}

// TestSayingsAreFound: a message that is new is found, wherever it stands, and has no row.
func TestSayingsAreFound(t *testing.T) {
	src := "package main\nvar errNew = errors.New(\"one is new\")\nfunc f(hint string) error {\n" +
		"\thint = \"two is \" + name() + \" new\"\n\tconst hint = \"three is new\"\n" +
		"\treturn fail(fmt.Errorf(\"%w: four %d is new\", err, n), fmt.Sprintf(\"five %v is new\", hint))\n}\n" +
		"var x = failure{hint: \"six is new\"}\nvar y = fmt.Errorf(\"%w: %v\", a, b)\n"
	found := sayings(t, "new.go", src)
	if len(found) != 6 {
		t.Errorf("%q", found)
	}
	rows := []message{{says: "bad: four 4 is new", hint: "five  is new"}}
	for _, s := range found {
		if want := strings.Contains(s.format, "four") || strings.Contains(s.format, "five"); s.heard(rows) != want || s.heard(messages()) {
			t.Errorf("%s: %q is heard: %v, want %v", s.at, s.format, !want, want)
		}
	}
}

// TestCobraIsHeard: usage that Cobra refuses is told with what to do, too.
func TestCobraIsHeard(t *testing.T) {
	every(t, func(cmd *cobra.Command) {
		if cmd.Hidden || !cmd.Runnable() {
			return
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--no-such-flag")
		code, _, errs := call(t, args...)
		if want := "error: unknown flag: --no-such-flag\nhint: " + cmd.CommandPath() + " --help shows the flags\n"; code != 2 || errs != want {
			t.Errorf("%q: %d, %s", args, code, errs)
		}
	})
}
