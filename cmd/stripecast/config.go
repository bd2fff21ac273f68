package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file is where flags come from that nobody typed: the environment, else a file
// of YAML. A key of the file is a flag's name, in the section of its command or, if all
// commands have it, outside of any; a variable's name is the flag's behind a prefix. So
// what a key means is said in one place, the command's help.
//
//	log-format: json           STRIPECAST_LOG_FORMAT=json
//	relay:
//	  links: [stripecast://…]  STRIPECAST_LINKS=stripecast://…
//	  upload: 50M              STRIPECAST_UPLOAD=50M
//
// What is given twice is an error in a file, and so is a key that does not exist: it
// would be a wish that nobody hears.

const (
	// argsKey is the annotation with what a command's arguments are called here.
	argsKey   = "arguments"
	configKey = "config"
	envPrefix = "STRIPECAST_"
	// maxConfig is how many bytes a file may have; a larger one is no configuration.
	maxConfig = 1 << 20
)

// envName is the variable that stands for a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// isKey reports whether a flag can be a key.
func isKey(f *pflag.Flag) bool { return f.Name != configKey && f.Name != "help" }

// settings is what a command was told by other means than its flags.
type settings struct {
	file  string          // empty: none
	typed map[string]bool // flags that stood on the command line
	args  []string        // what it is to do it with

	values map[string][]string // of all flags, as the command began
}

// configure sets the flags of a command that were not typed.
func configure(cmd *cobra.Command, args []string) (*settings, error) {
	s := &settings{typed: map[string]bool{}, args: args}
	cmd.Flags().Visit(func(f *pflag.Flag) { s.typed[f.Name] = true })
	if cmd.Flags().Lookup(configKey) == nil {
		return s, nil
	}
	s.file, _ = cmd.Flags().GetString(configKey)
	if !s.typed[configKey] {
		s.file = os.Getenv(envName(configKey))
	}
	err := s.apply(cmd)
	s.values = valuesOf(cmd.Flags())
	return s, err
}

// apply reads the file and the environment into a command's flags.
func (s *settings) apply(cmd *cobra.Command) error {
	var fromFile []string
	if s.file != "" {
		var err error
		if fromFile, err = readConfig(s.file, cmd, s.typed); err != nil {
			return err
		}
	}
	var wrong error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(envName(f.Name))
		if value == "" || !isKey(f) || s.typed[f.Name] || wrong != nil {
			return
		}
		if err := cmd.Flags().Set(f.Name, value); err != nil {
			wrong = fail(fmt.Errorf("%s=%s: %w", envName(f.Name), value, err), "%s --help says what --%s takes", cmd.CommandPath(), f.Name)
		}
	})
	if key := cmd.Annotations[argsKey]; key != "" && len(s.args) == 0 {
		if s.args = strings.Fields(os.Getenv(envName(key))); len(s.args) == 0 {
			s.args = fromFile
		}
	}
	return wrong
}

// mistake is what is wrong in a file, and where.
func mistake(file string, n ast.Node, hint, format string, a ...any) error {
	return fail(fmt.Errorf("%s:%d: %w", file, n.GetToken().Position.Line, fmt.Errorf(format, a...)), "%s", hint)
}

// readConfig sets flags of cmd that were not typed, and returns its arguments. All
// sections must be right, whatever the command.
func readConfig(file string, cmd *cobra.Command, typed map[string]bool) (args []string, err error) {
	const hint = "docs/stripecast.yaml is an example with every key"
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fail(err, "give --config a file that exists")
	}
	if len(b) > maxConfig {
		return nil, fail(fmt.Errorf("%s is larger than %s", file, size(maxConfig)), hint)
	}
	doc, err := parser.ParseBytes(b, 0)
	if err != nil {
		var wrong *yaml.SyntaxError
		if errors.As(err, &wrong) && wrong.Token != nil {
			err = fmt.Errorf("%s:%d: %s", file, wrong.Token.Position.Line, wrong.Message)
		}
		return nil, fail(err, hint)
	}
	root := cmd.Root()
	for i, d := range doc.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType {
			continue
		}
		if i > 0 {
			return nil, mistake(file, d.Body, hint, "a second document")
		}
		keys, err := mapping(file, d.Body)
		if err != nil {
			return nil, err
		}
		for _, kv := range keys {
			key := kv.Key.GetToken().Value
			if f := root.PersistentFlags().Lookup(key); f != nil && isKey(f) {
				err = setFlag(file, f, kv, typed[key])
			} else if section := sectionOf(root, key); section != nil {
				var of []string
				if of, err = readSection(file, section, kv, section == cmd, typed); section == cmd {
					args = of
				}
			} else {
				err = unknown(file, kv, "", topKeys(root))
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return args, nil
}

// readSection reads what stands under a command's name.
func readSection(file string, cmd *cobra.Command, of *ast.MappingValueNode, mine bool, typed map[string]bool) (args []string, err error) {
	if of.Value.Type() == ast.NullType {
		return nil, nil
	}
	keys, err := mapping(file, of.Value)
	if err != nil {
		return nil, err
	}
	for _, kv := range keys {
		key := kv.Key.GetToken().Value
		f := cmd.LocalNonPersistentFlags().Lookup(key)
		switch {
		case key == cmd.Annotations[argsKey]:
			var ok bool
			if args, ok = texts(kv.Value); !ok {
				return nil, mistake(file, kv.Value, "write what would stand on the command line", "%s must be text, or a list of it", key)
			}
		case f != nil && isKey(f):
			if err := setFlag(file, f, kv, mine && typed[key]); err != nil {
				return nil, err
			}
		default:
			return nil, unknown(file, kv, cmd.Name()+".", sectionKeys(cmd))
		}
	}
	return args, nil
}

// mapping is the keys of a node, which must have some.
func mapping(file string, n ast.Node) ([]*ast.MappingValueNode, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, mistake(file, n, "write KEY: VALUE", "here should be keys")
}

// setFlag gives a flag the value of a key; if it was typed, the value only has to be right.
func setFlag(file string, f *pflag.Flag, kv *ast.MappingValueNode, typed bool) error {
	values, ok := texts(kv.Value)
	list, isList := f.Value.(pflag.SliceValue)
	if !ok || !isList && (len(values) != 1 || kv.Value.Type() == ast.SequenceType) {
		what := "text, a number, true or false"
		if isList {
			what += ", or a list of it"
		}
		return mistake(file, kv, "quote it if it is meant as text", "%s must be %s", f.Name, what)
	}
	before, was := f.Value.String(), []string(nil)
	var err error
	if isList {
		was = list.GetSlice()
		err = list.Replace(values)
	} else {
		err = f.Value.Set(values[0])
	}
	if err != nil {
		return mistake(file, kv, "the command's help says what --"+f.Name+" takes", "%s: %w", f.Name, err)
	}
	switch {
	case !typed:
		f.Changed = true
	case isList:
		_ = list.Replace(was) // it was right
	default:
		_ = f.Value.Set(before) // likewise
	}
	return nil
}

// texts is a node's text, or that of each of its parts.
func texts(n ast.Node) (all []string, ok bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return []string{n.Value}, true
	case *ast.LiteralNode:
		return []string{n.Value.Value}, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return []string{n.GetToken().Value}, true
	case *ast.SequenceNode:
		all = []string{}
		for _, part := range n.Values {
			of, ok := texts(part)
			if !ok || len(of) != 1 || part.Type() == ast.SequenceType {
				return nil, false
			}
			all = append(all, of...)
		}
		return all, true
	}
	return nil, false
}

// unknown says that there is no such key, and which may have been meant.
func unknown(file string, kv *ast.MappingValueNode, section string, known []string) error {
	key := kv.Key.GetToken().Value
	hint := "there are " + strings.Join(known, ", ")
	if near := nearest(key, known); near != "" {
		hint = fmt.Sprintf("did you mean %s%s?", section, near)
	}
	return mistake(file, kv.Key, hint, "there is no key %s%s", section, key)
}

// sectionOf is the command that a section is for, or nil.
func sectionOf(root *cobra.Command, name string) *cobra.Command {
	i := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
	if i < 0 || len(sectionKeys(root.Commands()[i])) == 0 {
		return nil
	}
	return root.Commands()[i]
}

// sectionKeys is all keys of a command's section, sorted. Commands of commands have none.
func sectionKeys(cmd *cobra.Command) (keys []string) {
	if cmd.HasParent() && cmd.Parent().HasParent() {
		return nil
	}
	if key := cmd.Annotations[argsKey]; key != "" {
		keys = append(keys, key)
	}
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if isKey(f) {
			keys = append(keys, f.Name)
		}
	})
	slices.Sort(keys)
	return keys
}

// topKeys is all keys outside of sections, and the sections, sorted.
func topKeys(root *cobra.Command) (keys []string) {
	root.PersistentFlags().VisitAll(func(f *pflag.Flag) {
		if isKey(f) {
			keys = append(keys, f.Name)
		}
	})
	for _, c := range root.Commands() {
		if sectionOf(root, c.Name()) != nil {
			keys = append(keys, c.Name())
		}
	}
	slices.Sort(keys)
	return keys
}

// nearest is the word that a misspelt one is most like; empty if none is much like it.
func nearest(word string, known []string) (near string) {
	least := (len(word)+2)/3 + 1
	for _, k := range known {
		if d := distance(word, k); d < least {
			near, least = k, d
		}
	}
	return near
}

// distance is how many bytes must be added, taken away or changed to make one word of
// another (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
