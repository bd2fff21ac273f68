package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// call runs the program in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out, errs bytes.Buffer
	code = run(args, in, &out, &errs)
	return code, out.String(), errs.String()
}

// every calls f with every command of ours.
func every(t *testing.T, f func(*cobra.Command)) {
	t.Helper()
	n := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		n++
		f(cmd)
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(&console{out: &bytes.Buffer{}, err: &bytes.Buffer{}}))
	if n < 8 {
		t.Fatalf("only %d commands", n)
	}
}

// TestHelpTellsEverything: each command says what it does, and each flag what it
// is for, what it takes and what it is by default.
func TestHelpTellsEverything(t *testing.T) {
	every(t, func(cmd *cobra.Command) {
		args := strings.Fields(cmd.CommandPath())[1:]
		code, out, errs := call(t, append(args, "--help")...)
		if code != 0 || errs != "" {
			t.Errorf("%s --help: %d, %q", cmd.CommandPath(), code, errs)
		}
		if cmd.Short == "" || !strings.Contains(out, strings.Split(cmd.UseLine(), " [flags]")[0]) {
			t.Errorf("%s --help does not say what it is:\n%s", cmd.CommandPath(), out)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			kind, usage := pflag.UnquoteUsage(f)
			if usage == "" || !strings.Contains(out, "--"+f.Name) || !strings.Contains(out, usage) {
				t.Errorf("%s --help does not explain --%s", cmd.CommandPath(), f.Name)
			}
			if f.Value.Type() == "string" && kind == "string" {
				t.Errorf("%s --help does not say what --%s takes", cmd.CommandPath(), f.Name)
			}
		})
		for _, line := range strings.Split(out, "\n") {
			if !strings.Contains(line, "--") && len(line) > 100 {
				t.Errorf("%s --help has a line of %d bytes: %s", cmd.CommandPath(), len(line), line)
			}
		}
	})
}

// TestExamples: what the help shows can be typed.
func TestExamples(t *testing.T) {
	root := newRoot(&console{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	every(t, func(cmd *cobra.Command) {
		for _, text := range []string{cmd.Example, cmd.Long} {
			for _, line := range strings.Split(text, "\n") {
				_, line, found := strings.Cut(line, "stripecast ")
				if !found || !strings.HasPrefix(strings.TrimSpace(text), line) && !strings.Contains(text, "  stripecast "+line) && !strings.Contains(text, "| stripecast "+line) {
					continue
				}
				line, _, _ = strings.Cut(line, "  ") // what it does stands behind
				line, _, _ = strings.Cut(line, " |")
				target, rest, err := root.Find(strings.Fields(line))
				if err != nil || target == root {
					t.Errorf("%q: no such command: %v", line, err)
					continue
				}
				if err := target.ParseFlags(rest); err != nil {
					t.Errorf("%q: %v", line, err)
				} else if err := target.ValidateArgs(target.Flags().Args()); err != nil {
					t.Errorf("%q: %v", line, err)
				}
			}
		}
	})
}

func TestNoCommandShowsHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"key"}, {"help"}, {"help", "view"}} {
		code, out, errs := call(t, args...)
		if code != 0 || errs != "" || !strings.Contains(out, "Usage:") {
			t.Errorf("%q: %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestVersion(t *testing.T) {
	code, out, _ := call(t, "version")
	if code != 0 || !strings.HasPrefix(out, "stripecast ") || strings.Count(out, "\n") != 1 {
		t.Errorf("%d, %q", code, out)
	}
}

// TestExitCodes: 2 is for what the shell's user typed wrong, 1 for what went wrong.
func TestExitCodes(t *testing.T) {
	plain := errors.New("it broke")
	for _, c := range []struct {
		err  error
		code int
		says string
	}{
		{nil, 0, ""},
		{plain, 1, "error: it broke\nhint: run it again with --verbose to see what led to it\n"},
		{fail(plain, "try %s", "this"), 1, "error: it broke\nhint: try this\n"},
		{misuse(plain, "type this"), 2, "error: it broke\nhint: type this\n"},
	} {
		root := &cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return c.err }}
		root.Flags().String("log-format", "text", "")
		tellApart(&console{}, root)
		root.SetArgs(nil)
		var errs bytes.Buffer
		if code := (&console{err: &errs}).explain(root.Execute()); code != c.code || errs.String() != c.says {
			t.Errorf("%v: %d, %q", c.err, code, errs.String())
		}
	}
}

func TestTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if isTerminal(null) || isTerminal(w) || isTerminal(&bytes.Buffer{}) {
		t.Error("the null device, a pipe or a buffer is a terminal")
	}
}
