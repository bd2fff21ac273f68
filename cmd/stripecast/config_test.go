package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var write = flag.Bool("write", false, "write docs/stripecast.yaml")

// told is a command as it would run with these arguments.
func told(t *testing.T, args ...string) (*cobra.Command, *settings, error) {
	t.Helper()
	cmd, rest, err := newRoot(&console{}).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := configure(cmd, cmd.Flags().Args())
	return cmd, s, err
}

// file is a configuration.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestWhoWins: a flag goes before a variable, that before the file, and that before
// what is so by default; arguments likewise.
func TestWhoWins(t *testing.T) {
	in := file(t, "log-format: json\nrelay:\n  upload: 1M # a comment\n  allow: [a, b]\n  links: x\n  new-pool: true\n  listen: :1\nview:\n  link: y\n  delay: 2s\n  from: 20:15:00\n")
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want map[string]string
		rest string
	}{
		{"nothing", nil, []string{"relay"}, map[string]string{"upload": "20M", "allow": "[]", "log-format": "text"}, ""},
		{"the file", nil, []string{"relay", "--config", in}, map[string]string{"upload": "1M", "allow": "[a,b]", "log-format": "json", "new-pool": "true", "listen": ":1", "download": "0"}, "x"},
		{"another command", nil, []string{"view", "--config", in}, map[string]string{"upload": "10M", "delay": "2s", "from": "20:15:00"}, "y"},
		{"a variable", []string{"STRIPECAST_UPLOAD=2M", "STRIPECAST_ALLOW=c,d", "STRIPECAST_LINKS=p q", "STRIPECAST_LOG_FORMAT=text"},
			[]string{"relay", "--config", in}, map[string]string{"upload": "2M", "allow": "[c,d]", "log-format": "text"}, "p q"},
		{"an empty one", []string{"STRIPECAST_UPLOAD="}, []string{"relay", "--config", in}, map[string]string{"upload": "1M"}, "x"},
		{"a variable names the file", []string{"STRIPECAST_CONFIG=" + in}, []string{"relay"}, map[string]string{"upload": "1M"}, "x"},
		{"a flag", []string{"STRIPECAST_UPLOAD=2M", "STRIPECAST_ALLOW=c"}, []string{"relay", "--config", in, "--upload", "3M", "--allow", "e", "--new-pool=false", "z"},
			map[string]string{"upload": "3M", "allow": "[e]", "new-pool": "false"}, "z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, e := range c.env {
				key, value, _ := strings.Cut(e, "=")
				t.Setenv(key, value)
			}
			cmd, s, err := told(t, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.want {
				f := cmd.Flags().Lookup(name)
				if got := f.Value.String(); got != want || f.Changed != (got != f.DefValue || c.name == "a flag" || c.name == "a variable") {
					t.Errorf("%s is %s, want %s; given: %v", name, got, want, f.Changed)
				}
			}
			if got := strings.Join(s.args, " "); got != c.rest {
				t.Errorf("the arguments are %q, want %q", got, c.rest)
			}
		})
	}
}

// TestConfigMistakes: what is wrong is told with its line, and what to do.
func TestConfigMistakes(t *testing.T) {
	for text, want := range map[string][2]string{
		"relay:\n  uplaod: 1M\n":                  {":2: there is no key relay.uplaod", "did you mean relay.upload?"},
		"relya:\n  upload: 1M\n":                  {":1: there is no key relya", "did you mean relay?"},
		"# x\nupload: 1M\n":                       {":2: there is no key upload", "there are demo, drill, list, log-format, relay, source, status, verbose, view"},
		"relay:\n  verbose: true\n":               {":2: there is no key relay.verbose", "there are advertise,"},
		"relay:\n  config: x\n":                   {":2: there is no key relay.config", ""},
		"version:\n  upload: 1M\n":                {":1: there is no key version", ""},
		"source:\n  loop: perhaps\n":              {":2: loop: ", "help says what --loop takes"},
		"relay:\n\n  buffer: soon\n":              {":3: buffer: ", "help says what --buffer takes"},
		"relay:\n  upload: [1M]\n":                {":2: upload must be text", "quote it"},
		"relay:\n  upload:\n    x: y\n":           {"upload must be text", "quote it"},
		"relay:\n  upload:\n":                     {":2: upload must be text", "quote it"},
		"relay:\n  allow: [[a]]\n":                {":2: allow must be text", "quote it"},
		"relay:\n  links: {a: b}\n":               {":2: links must be text", "command line"},
		"relay: 5\n":                              {":1: here should be keys", "KEY: VALUE"},
		"- relay\n":                               {":1: here should be keys", "KEY: VALUE"},
		"verbose: true\n---\nverbose: false\n":    {":3: a second document", "docs/stripecast.yaml"},
		"verbose: true\nverbose: false\n":         {":2: ", "docs/stripecast.yaml"},
		"relay:\n  upload: 1M\n  upload: 2M\n":    {":3: ", "docs/stripecast.yaml"},
		"relay:\n\tupload: 1M\n":                  {":2: ", "docs/stripecast.yaml"},
		"relay: [\n":                              {":1: ", "docs/stripecast.yaml"},
		strings.Repeat("# long\n", maxConfig/7+1): {"c.yaml is larger than ", "docs/stripecast.yaml"},
	} {
		_, _, err := told(t, "relay", "--config", file(t, text))
		var f *failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), want[0]) || !strings.Contains(f.hint, want[1]) {
			t.Errorf("%.60q: %v (%+v), want %q", text, err, f, want)
		}
	}
	if _, _, err := told(t, "relay", "--config", "nothing.yaml"); err == nil {
		t.Error("a file that is not there is read")
	}
	t.Setenv("STRIPECAST_BUFFER", "soon")
	if _, _, err := told(t, "relay"); err == nil || !strings.Contains(err.Error(), "STRIPECAST_BUFFER=soon: ") {
		t.Errorf("a variable that is wrong: %v", err)
	}
	for _, text := range []string{"", "# only words\n", "relay:\n", "relay:\n  # nothing\n", "---\nverbose: true\n"} {
		t.Setenv("STRIPECAST_BUFFER", "")
		if _, _, err := told(t, "relay", "--config", file(t, text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestArgumentsElsewhere: what must be given may stand in the file, and if it stands
// nowhere that is still wrong usage.
func TestArgumentsElsewhere(t *testing.T) {
	code, _, errs := call(t, "view", "--config", file(t, "view: {link: 'stripecast://nonsense'}\n"))
	if code != 1 || !strings.Contains(errs, "hint: a link looks like") {
		t.Errorf("%d, %q", code, errs)
	}
	code, _, errs = call(t, "view", "--config", file(t, "view:\n"))
	if code != 2 || !strings.Contains(errs, "accepts 1 arg(s), received 0") {
		t.Errorf("%d, %q", code, errs)
	}
	code, _, errs = call(t, "view", "a", "b")
	if code != 2 || !strings.Contains(errs, "accepts 1 arg(s), received 2") {
		t.Errorf("%d, %q", code, errs)
	}
}

// TestExampleConfig: the example has every key of every command, and if none of them is
// a comment any more, everything is as it is without.
func TestExampleConfig(t *testing.T) {
	const name = "../../docs/stripecast.yaml"
	root := newRoot(&console{out: &bytes.Buffer{}, err: &bytes.Buffer{}})
	text := exampleConfig(root)
	if *write {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != text {
		t.Errorf("docs/stripecast.yaml is not made from the flags: go test ./cmd/stripecast -run TestExampleConfig -write (%v)", err)
	}
	if _, _, err := told(t, "relay", "--config", file(t, text)); err != nil {
		t.Error(err)
	}
	all := regexp.MustCompile(`(?m)^( *)#([a-z-]+:)`).ReplaceAllString(text, "$1$2")
	in := file(t, all)
	sections := 0
	every(t, func(cmd *cobra.Command) {
		keys := sectionKeys(cmd)
		if len(keys) == 0 {
			return
		}
		sections++
		_, section, _ := strings.Cut(all, "\n"+cmd.Name()+":\n")
		section, _, _ = strings.Cut(section, "\n\n")
		for _, key := range keys {
			if strings.Count("\n"+section, "\n  "+key+": ") != 1 {
				t.Errorf("%s.%s does not stand there once", cmd.Name(), key)
			}
		}
		got, s, err := told(t, cmd.Name(), "--config", in)
		if err != nil {
			t.Fatal(err)
		}
		got.Flags().VisitAll(func(f *pflag.Flag) {
			if isKey(f) && (f.Value.String() != f.DefValue || !f.Changed) {
				t.Errorf("%s --%s is %s, want %s", cmd.Name(), f.Name, f.Value, f.DefValue)
			}
		})
		if len(s.args) != 0 {
			t.Errorf("%s gets %q", cmd.Name(), s.args)
		}
	})
	if sections < 5 {
		t.Errorf("only %d sections", sections)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"upload", "uplaod", 2}, {"same", "same", 0}} {
		if d := distance(c.a, c.b); d != c.d || distance(c.b, c.a) != d {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, d, c.d)
		}
	}
	if near := nearest("xyzzy", []string{"upload", "download"}); near != "" {
		t.Errorf("xyzzy is like %s", near)
	}
}

// TestReload: what a command takes is done, once, and what it does not take is told; a
// file that is wrong, or a value, changes nothing; what was typed stays.
func TestReload(t *testing.T) {
	out := &words{}
	c := &console{err: out}
	in := file(t, "relay:\n  upload: 1M\n  listen: :1\n  allow: [a]\n")
	cmd, s, err := told(t, "relay", "--config", in, "--http", "h:1")
	if err != nil {
		t.Fatal(err)
	}
	c.settings = s
	done := ""
	take := func(change *changes) error {
		if v, ok := change.of("upload"); ok {
			if v[0] == "bad" {
				return errors.New("it is bad")
			}
			change.does(func() { done += " upload " + v[0] })
		}
		if v, ok := change.of("allow"); ok {
			change.does(func() { done += " allow " + strings.Join(v, "+") })
		}
		return nil
	}
	for _, step := range []struct{ text, done, says string }{
		{"relay:\n  upload: 1M\n  listen: :1\n  allow: [a]\n", "", in + " was read again, and there is nothing new to do\n"},
		{"relay:\n  upload: 2M\n  listen: :1\n  allow: [a, b]\n", " upload 2M allow a+b", "allow is a, b now\nupload is 2M now\n"},
		{"relay:\n  upload: bad\n  listen: :1\n", "", "warning: nothing is changed: it is bad\n"},
		{"relay:\n  uplaod: 3M\n", "", "warning: nothing is changed: " + in + ":2: there is no key relay.uplaod\n"},
		{"relay:\n  upload: 2M\n  listen: :2\n  http: h:2\n", " allow ", "allow is empty now\nwarning: listen is :2 in " + in + ", which takes a new start\n"},
		{"", " upload 20M", "warning: listen is :7070 in " + in + ", which takes a new start\nupload is 20M now\n"},
	} {
		if err := os.WriteFile(in, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := out.String()
		done = ""
		c.reload(cmd, take)
		if says := strings.TrimPrefix(out.String(), before); done != step.done || says != step.says {
			t.Errorf("%q: did %q, said %q", step.text, done, says)
		}
	}
}

// TestReloadSecret: no log has a password.
func TestReloadSecret(t *testing.T) {
	out := &words{}
	c := &console{err: out}
	in := file(t, "source:\n  password: before\n")
	cmd, s, err := told(t, "source", "--config", in)
	if err != nil {
		t.Fatal(err)
	}
	c.settings = s
	if err := os.WriteFile(in, []byte("source:\n  password: after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.reload(cmd, func(*changes) error { return nil })
	if says := out.String(); !strings.HasPrefix(says, "warning: password is another in ") {
		t.Errorf("it says %q", says)
	}
}
