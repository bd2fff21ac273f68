package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// This file is all that is said on standard error. There are words, for whoever runs the
// program: what it does, what it wants, what went wrong. And there is what happens inside, for
// whoever looks for a fault: nothing but errors, or with --verbose everything. As text,
// words are plain lines and the rest has the form of slog; as JSON, all is records of
// slog, one a line, and words have the level INFO, WARN or ERROR.

// The values of --log-format.
const (
	formatText = "text"
	formatJSON = "json"
)

// warning is how a line begins that is one.
const warning = "warning: "

// console is where a command reads and writes.
type console struct {
	in   *os.File
	out  io.Writer // for programs
	err  io.Writer // for people, or for a log
	json bool

	settings *settings // of the command that runs
}

// settle takes the flags that say how things are said.
func (c *console) settle(cmd *cobra.Command) error {
	format, err := cmd.Flags().GetString("log-format")
	if err != nil {
		return err
	}
	if format != formatText && format != formatJSON {
		return misuse(fmt.Errorf("%q is no format of a log", format), "give --log-format text or --log-format json")
	}
	c.json = format == formatJSON
	return nil
}

// say tells a person something.
func (c *console) say(format string, a ...any) {
	line := fmt.Sprintf(format, a...)
	if !c.json {
		fmt.Fprintln(c.err, line)
		return
	}
	if rest, ok := strings.CutPrefix(line, warning); ok {
		c.words().Warn(rest)
	} else {
		c.words().Info(line)
	}
}

// words is a logger of what a person should know.
func (c *console) words() *slog.Logger {
	if c.json {
		return slog.New(slog.NewJSONHandler(c.err, nil))
	}
	return slog.New(&teller{c: c})
}

// logger writes the inner life of a command: errors or, if asked to, all of it; the same
// warning or error once a minute.
func (c *console) logger(verbose bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: slog.LevelError}
	if verbose {
		opts.Level = slog.LevelDebug
	}
	if c.json {
		return slog.New(newSeldom(slog.NewJSONHandler(c.err, opts)))
	}
	return slog.New(newSeldom(slog.NewTextHandler(c.err, opts)))
}

// explain says what went wrong and what to do, and returns the exit code.
func (c *console) explain(err error) int {
	if err == nil {
		return 0
	}
	code, hint := 1, ""
	var f *failure
	if errors.As(err, &f) {
		hint = f.hint
	}
	if f == nil || f.usage {
		code = 2
		if hint == "" {
			hint = "stripecast help shows every command and flag"
		}
	}
	switch {
	case c.json && hint != "":
		c.words().Error(err.Error(), "hint", hint)
	case c.json:
		c.words().Error(err.Error())
	default:
		fmt.Fprintf(c.err, "error: %v\n", err)
		if hint != "" {
			fmt.Fprintf(c.err, "hint: %s\n", hint)
		}
	}
	return code
}

// teller is a slog.Handler for what a person should know: a line without time or
// quotes, and a warning if it is about an error.
type teller struct {
	c     *console
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (t *teller) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs implements slog.Handler.
func (t *teller) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &teller{t.c, append(t.attrs[:len(t.attrs):len(t.attrs)], attrs...)}
}

// WithGroup implements slog.Handler. People need no groups.
func (t *teller) WithGroup(string) slog.Handler { return t }

// Handle implements slog.Handler.
func (t *teller) Handle(_ context.Context, r slog.Record) error {
	var about []string
	add := func(a slog.Attr) bool {
		about = append(about, fmt.Sprintf("%s %v", a.Key, a.Value))
		return true
	}
	for _, a := range t.attrs {
		add(a)
	}
	r.Attrs(add)
	line := r.Message
	if r.Level >= slog.LevelWarn {
		line = warning + line
	}
	if len(about) > 0 {
		line += " [" + strings.Join(about, ", ") + "]"
	}
	t.c.say("%s", line)
	return nil
}
