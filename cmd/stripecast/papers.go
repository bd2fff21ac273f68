package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newPapers is for those who make packages: what can be said of the commands is written
// down once, in their help, and all else is made from that.
func newPapers(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "papers DIR",
		Short: "Write manual pages, completion for shells and an example of a configuration",
		Long: "Write what is made from the commands and their flags into DIR, for whoever makes a\n" +
			"package: man, completions, and stripecast.yaml, a configuration with every key.",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := papers(cmd.Root())
			if err != nil {
				return err
			}
			for name, text := range all {
				path := filepath.Join(args[0], filepath.FromSlash(name))
				err := os.MkdirAll(filepath.Dir(path), 0o755)
				if err == nil {
					err = os.WriteFile(path, []byte(text), 0o644)
				}
				if err != nil {
					return fail(err, "give a directory that can be written to")
				}
			}
			return nil
		},
	}
}

// papers is all of them, by name.
func papers(root *cobra.Command) (map[string]string, error) {
	all := map[string]string{"stripecast.yaml": exampleConfig(root)}
	for name, text := range manPages(root) {
		all["man/"+name] = text
	}
	for name, write := range map[string]func(io.Writer) error{
		"stripecast.bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"_stripecast":     root.GenZshCompletion,
		"stripecast.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
		"stripecast.ps1":  root.GenPowerShellCompletionWithDesc,
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			return nil, err
		}
		all["completions/"+name] = b.String()
	}
	return all, nil
}

// exampleWidth is where lines of the example end.
const exampleWidth = 96

// exampleConfig is a file for --config with every key, each with what it is and by
// default has, and none of them set.
func exampleConfig(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# What stripecast reads with --config FILE. Every key stands here as it is by default; take\n" +
		"# away its # to change it. A variable goes before a key (" + envName("upload") + "=20M), and a flag\n" +
		"# before both. At SIGHUP the file is read again: another upload, and another allow of a relay,\n" +
		"# are taken at once.\n\n" +
		"# For all commands:\n\n")
	keys(&b, "", root.PersistentFlags())
	for _, cmd := range root.Commands() {
		if sectionOf(root, cmd.Name()) == nil {
			continue
		}
		fmt.Fprintf(&b, "\n# %s.\n%s:\n", cmd.Short, cmd.Name())
		if key := cmd.Annotations[argsKey]; key != "" {
			fmt.Fprintf(&b, "  # what stands behind the command: %s\n  #%s: []\n", cmd.UseLine(), key)
		}
		keys(&b, "  ", cmd.LocalNonPersistentFlags())
	}
	return b.String()
}

// keys writes flags as keys.
func keys(b *strings.Builder, indent string, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !isKey(f) {
			return
		}
		_, usage := pflag.UnquoteUsage(f)
		for _, line := range wrap(usage, exampleWidth-len(indent)-2) {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
		}
		value := f.DefValue
		if f.Value.Type() == "string" {
			value = quoted(value)
		}
		fmt.Fprintf(b, "%s#%s: %s\n", indent, f.Name, value)
	})
}

// quoted is text as YAML needs it.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, ":#[]{},&*!|>'\"%@` ") || strings.Trim(s, "0123456789.") == "" {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return s
}

// wrap breaks words into lines of so many bytes at the most, where they can be broken.
func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
