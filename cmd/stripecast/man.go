package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file makes pages for man(1) from the commands, in the macros of man(7).

// manPages is a page for each command, by file name.
func manPages(root *cobra.Command) map[string]string {
	pages := map[string]string{}
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		pages[manName(cmd)+".1"] = manPage(cmd)
		for _, sub := range ours(cmd) {
			add(sub)
		}
	}
	add(root)
	return pages
}

// ours is the commands below one that are for people, and not Cobra's.
func ours(cmd *cobra.Command) (subs []*cobra.Command) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "completion" && sub.Name() != "help" {
			subs = append(subs, sub)
		}
	}
	return subs
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// roff is text that means itself: no line of it is a request, and a - can be copied.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	say(`.TH %s 1 "" stripecast "User Commands"`, strings.ToUpper(roff(manName(cmd))))
	say(".SH NAME\n%s \\- %s", roff(manName(cmd)), roff(cmd.Short))
	say(".SH SYNOPSIS\n.B %s", roff(cmd.UseLine()))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	// What is indented is set as it is, and a blank line begins a paragraph.
	say(".SH DESCRIPTION")
	plain := true
	for _, line := range strings.Split(text, "\n") {
		if isPlain := !strings.HasPrefix(line, "  "); isPlain != plain && line != "" {
			plain = isPlain
			say(map[bool]string{true: ".fi", false: ".nf"}[plain])
		}
		if line == "" {
			line = ".PP"
			say(line)
			continue
		}
		say("%s", roff(line))
	}
	if !plain {
		say(".fi")
	}
	if cmd.Example != "" {
		say(".SH EXAMPLES\n.nf\n%s\n.fi", roff(cmd.Example))
	}
	manFlags(say, "OPTIONS", cmd.LocalNonPersistentFlags())
	manFlags(say, "GLOBAL OPTIONS", cmd.Root().PersistentFlags())
	if len(sectionKeys(cmd)) > 0 {
		say(".SH ENVIRONMENT\nA variable %s stands for the flag %s, and any other likewise; one that is empty for none.", roff(envName("upload")), roff("--upload"))
		say(".SH FILES\nA file for %s holds flags as YAML, those of this command under the key %s. Flags go before variables, and those before the file.", roff("--config"), cmd.Name())
	}
	say(".SH EXIT STATUS\n0 if all went well, 1 if something went wrong, 2 for wrong usage.")
	var others []string
	if cmd.HasParent() {
		others = append(others, manName(cmd.Parent()))
	}
	for _, sub := range ours(cmd) {
		others = append(others, manName(sub))
	}
	if len(others) > 0 {
		say(".SH SEE ALSO")
		for i, other := range others {
			comma := " ,"
			if i == len(others)-1 {
				comma = ""
			}
			say(".BR %s (1)%s", roff(other), comma)
		}
	}
	return b.String()
}

// manFlags is a section about flags.
func manFlags(say func(string, ...any), title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	say(".SH %s", title)
	flags.VisitAll(func(f *pflag.Flag) {
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		say(".TP\n.B %s", roff(strings.TrimSpace(name+" "+kind)))
		if def := f.DefValue; def != "" && def != "false" && def != "[]" {
			usage += " (default " + def + ")"
		}
		say("%s", roff(usage))
	})
}
