package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var (
	inQuotes  = regexp.MustCompile("`[^`]*`")
	longFlag  = regexp.MustCompile(`(?:^|[\s\x60])--([a-z-]+)`)
	linkOf    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	commandOf = regexp.MustCompile(`\bstripecast ([a-z]+)\b`)
)

// TestGuides: the commands and flags that README and the guides name exist, and so do
// the files that they point at.
func TestGuides(t *testing.T) {
	flags, commands := map[string]bool{"help": true}, map[string]bool{"completion": true}
	every(t, func(cmd *cobra.Command) {
		commands[cmd.Name()] = true
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
	})
	guides, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(guides) < 6 {
		t.Fatalf("%d guides: %v", len(guides), err)
	}
	for _, path := range append(guides, "../../README.md") {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range shown(string(b)) {
			ours, _, _ := strings.Cut(code, " --player ") // what follows is the player's
			for _, f := range longFlag.FindAllStringSubmatch(ours, -1) {
				if !flags[f[1]] {
					t.Errorf("%s: %s: there is no flag --%s", path, code, f[1])
				}
			}
			for _, c := range commandOf.FindAllStringSubmatch(ours, -1) {
				if !commands[c[1]] {
					t.Errorf("%s: %s: there is no command %s", path, code, c[1])
				}
			}
		}
		for _, l := range linkOf.FindAllSubmatch(b, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), strings.TrimSpace(string(l[1])))); err != nil {
				t.Errorf("%s points at %s, which is not there", path, l[1])
			}
		}
	}
}

// shown is what a text shows of us to be typed: lines of fenced blocks, and what is
// quoted, if the program or a flag begins it.
func shown(text string) (code []string) {
	fenced := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		spans := inQuotes.FindAllString(line, -1)
		if fenced {
			spans = []string{line}
		}
		for _, s := range spans {
			if _, ours, found := strings.Cut(s, "stripecast "); found {
				code = append(code, "stripecast "+ours)
			} else if strings.HasPrefix(s, "`--") {
				code = append(code, s)
			}
		}
	}
	return code
}
