package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestManPages: every command has a page, and on it each of its flags once; no line of
// what people wrote is taken for a request.
func TestManPages(t *testing.T) {
	pages := manPages(newRoot(&console{out: &bytes.Buffer{}, err: &bytes.Buffer{}}))
	request := regexp.MustCompile(`^\.(TH|SH|B|BR|TP|PP|nf|fi)\b`)
	every(t, func(cmd *cobra.Command) {
		page, ok := pages[manName(cmd)+".1"]
		if ok == cmd.Hidden {
			t.Errorf("%s: hidden %v, and a page %v", cmd.CommandPath(), cmd.Hidden, ok)
		}
		if !ok {
			return
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if n := strings.Count(page, roff("--"+f.Name)+" ") + strings.Count(page, roff("--"+f.Name)+"\n"); f.Name != "help" && n == 0 {
				t.Errorf("%s does not tell of --%s", manName(cmd), f.Name)
			}
			if n := strings.Count(page, "\n.B "+roff("--"+f.Name)+" ") + strings.Count(page, "\n.B "+roff("--"+f.Name)+"\n"); f.Name != "help" && f.Shorthand == "" && n != 1 {
				t.Errorf("%s explains --%s %d times", manName(cmd), f.Name, n)
			}
		})
		for _, line := range strings.Split(page, "\n") {
			if strings.HasPrefix(line, ".") && !request.MatchString(line) || strings.HasPrefix(line, "'") {
				t.Errorf("%s: what request is %q?", manName(cmd), line)
			}
		}
	})
	if got := roff(".x -y\n'z \\w"); got != "\\&.x \\-y\n\\&'z \\ew" {
		t.Errorf("%q", got)
	}
}

// TestPapers: they are written where they should be, and the programs that they are for
// find nothing wrong.
func TestPapers(t *testing.T) {
	dir := t.TempDir()
	if code, out, errs := call(t, "papers", dir); code != 0 || out != "" || errs != "" {
		t.Fatalf("%d, %q, %q", code, out, errs)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "stripecast.yaml")); err != nil || !strings.Contains(string(b), "\nrelay:\n") || strings.Contains(string(b), "papers") {
		t.Errorf("the example: %v", err)
	}
	for _, c := range [][]string{
		{"bash", "-n", "completions/stripecast.bash"},
		{"man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "man/stripecast-view.1"},
	} {
		if _, err := exec.LookPath(c[0]); err != nil && os.Getenv("STRIPECAST_REQUIRE_TOOLS") != "1" {
			t.Logf("%s is missing", c[0])
			continue
		}
		var said bytes.Buffer
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir, cmd.Stderr, cmd.Env = dir, &said, append(os.Environ(), "LC_ALL=C")
		if err := cmd.Run(); err != nil || said.Len() > 0 {
			t.Errorf("%s: %v %s", c[0], err, &said)
		}
	}
	if code, _, errs := call(t, "papers", filepath.Join(dir, "stripecast.yaml")); code != 1 || !strings.Contains(errs, "hint: give a directory") {
		t.Errorf("into a file: %d, %q", code, errs)
	}
}

// TestCompletion: a shell is told what a flag takes.
func TestCompletion(t *testing.T) {
	if _, out, _ := call(t, "__complete", "relay", "--log-format", ""); !strings.HasPrefix(out, "text\njson\n") {
		t.Errorf("%q", out)
	}
}
