package main

import (
	"fmt"
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
		Use:    "papers DIR",
		Short:  "Write an example of a configuration into DIR",
		Long:   "Write what is made from the commands and their flags into DIR: stripecast.yaml, a\nconfiguration with every key.",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range papers(cmd.Root()) {
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
func papers(root *cobra.Command) map[string]string {
	return map[string]string{"stripecast.yaml": exampleConfig(root)}
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
