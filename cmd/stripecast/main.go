// Command stripecast publishes, relays and plays live streams.
//
// One file a command. Words go to standard error; standard output carries only
// what a program would read: the link of a source, the video of a viewer.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments. It returns the exit code: 0,
// 1 for an error, 2 for wrong usage.
func run(args []string, stdin *os.File, stdout io.Writer, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first signal asks, a second one kills
	cmd := newRoot(&console{in: stdin, out: stdout, err: onTerminal(stderr)})
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // interrupted while waiting
	}
	return explain(err, stderr)
}

// explain says what went wrong and what to do, and returns the exit code.
func explain(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	var f *failure
	if errors.As(err, &f) && f.hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", f.hint)
	}
	if f == nil || f.usage {
		if f == nil || f.hint == "" {
			fmt.Fprintf(stderr, "hint: stripecast help shows every command and flag\n")
		}
		return 2
	}
	return 1
}

// console is where a command reads and writes.
type console struct {
	in  *os.File
	out io.Writer // for programs
	err io.Writer // for people
}

func (c *console) say(format string, a ...any) { fmt.Fprintf(c.err, format+"\n", a...) }

// logger writes the inner life of a command to standard error, if asked to.
func (c *console) logger(verbose bool) *slog.Logger {
	level := slog.LevelError
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level}))
}

// failure is an error with what to do about it.
type failure struct {
	err   error
	hint  string
	usage bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(err error, hint string, a ...any) error {
	return &failure{err: err, hint: fmt.Sprintf(hint, a...)}
}

func misuse(err error, hint string) error { return &failure{err: err, hint: hint, usage: true} }

func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "stripecast",
		Short: "Live streaming that no single machine has to carry and no single failure can stop",
		Long: strings.TrimSpace(`
Live streaming that no single machine has to carry and no single failure can stop.

A source codes an MPEG-TS into k+m stripes and sends each down a tree of relays of
its own; viewers play from any k of them.

  stripecast demo                         everything on this machine, to look at
  stripecast source video.ts --loop       publish; prints the link
  stripecast relay LINK                   lend this machine's uplink to a stream
  stripecast view LINK --player mpv       watch
  stripecast list --join HOST:PORT        what a pool has
  stripecast drill LINK                   lose parents on purpose; says what it cost
  stripecast status                       how what runs here is doing`),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misuse(err, fmt.Sprintf("%s --help shows the flags", cmd.CommandPath()))
	})
	root.PersistentFlags().BoolP("verbose", "v", false, "log what happens inside, to standard error")
	root.AddCommand(newSource(c), newRelay(c), newView(c), newList(c), newDrill(c), newDemo(c), newStatus(c), newKey(c), newDesktop(c), newVersion(c))
	tellApart(root)
	return root
}

// tellApart makes whatever a command returns a failure, so that errors without
// one are Cobra's own, about usage.
func tellApart(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			err := run(cmd, args)
			var f *failure
			if err == nil || errors.As(err, &f) {
				return err
			}
			return &failure{err: err, hint: "run it again with --verbose to see what led to it"}
		}
	}
	for _, c := range cmd.Commands() {
		tellApart(c)
	}
}
