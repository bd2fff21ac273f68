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
	c := &console{in: stdin, out: stdout, err: onTerminal(stderr)}
	cmd := newRoot(c)
	cmd.SetArgs(args)
	cmd.SetIn(stdin)
	cmd.SetOut(stdout)
	cmd.SetErr(c.err)
	err := cmd.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // interrupted while waiting
	}
	return c.explain(err)
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
	root.PersistentFlags().String(configKey, "", "read flags from this `FILE` of YAML; the environment goes before it, as in STRIPECAST_UPLOAD=20M, and flags before both")
	root.PersistentFlags().String("log-format", formatText, "`FORMAT` of what is said on standard error: text, or json, a record a line")
	complete := cobra.FixedCompletions([]cobra.Completion{formatText, formatJSON}, cobra.ShellCompDirectiveNoFileComp)
	if err := root.RegisterFlagCompletionFunc("log-format", complete); err != nil {
		panic(err) // there is no such flag
	}
	root.AddCommand(newSource(c), newRelay(c), newView(c), newList(c), newDrill(c), newDemo(c), newStatus(c), newKey(c), newPapers(c), newDesktop(c), newVersion(c))
	tellApart(c, root)
	return root
}

// tellApart makes whatever a command returns a failure, so that errors without
// one are Cobra's own, about usage. Before a command runs, it is told what nobody typed.
func tellApart(c *console, cmd *cobra.Command) {
	if run, takes := cmd.RunE, cmd.Args; run != nil {
		if takes == nil {
			takes = cobra.ArbitraryArgs
		}
		takes = explained(takes)
		cmd.Args = takes
		if cmd.Annotations[argsKey] != "" {
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 { // they may stand elsewhere
					return nil
				}
				return takes(cmd, args)
			}
		}
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			var err error
			if c.settings, err = configure(cmd, args); err != nil {
				return err
			}
			if err := c.settle(cmd); err != nil {
				return err
			}
			if err := takes(cmd, c.settings.args); err != nil {
				return err
			}
			err = run(cmd, c.settings.args)
			var f *failure
			if err == nil || errors.As(err, &f) {
				return err
			}
			return &failure{err: err, hint: "run it again with --verbose to see what led to it"}
		}
	}
	for _, sub := range cmd.Commands() {
		tellApart(c, sub)
	}
}

// explained has it said which arguments a command takes. That there is no such command
// Cobra says itself.
func explained(takes cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := takes(cmd, args)
		if err == nil || strings.HasPrefix(err.Error(), "unknown command") {
			return err
		}
		return misuse(err, fmt.Sprintf("write: %s; %s --help says more", cmd.UseLine(), cmd.CommandPath()))
	}
}
