package main

import (
	"cmp"
	"context"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file is SIGHUP: a command that has a file reads it again, and takes what it can
// without a new start. A file that is wrong changes nothing.

// valuesOf is what every flag is set to that a file may set.
func valuesOf(flags *pflag.FlagSet) map[string][]string {
	all := map[string][]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok && isKey(f) {
			all[f.Name] = list.GetSlice()
		} else if isKey(f) {
			all[f.Name] = []string{f.Value.String()}
		}
	})
	return all
}

// reread is what the flags of a command would be set to if it began now.
func (s *settings) reread(cmd *cobra.Command) (map[string][]string, error) {
	fresh, _, err := newRoot(&console{}).Find([]string{cmd.Name()})
	if err != nil {
		return nil, err
	}
	if err := fresh.ParseFlags(nil); err != nil {
		return nil, err
	}
	again := settings{file: s.file, typed: s.typed, args: s.args}
	if err := again.apply(fresh); err != nil {
		return nil, err
	}
	values := valuesOf(fresh.Flags())
	for name := range s.typed {
		values[name] = s.values[name] // these do not change
	}
	return values, nil
}

// changes is what a file has that is new, and what a command does about it.
type changes struct {
	values map[string][]string
	taken  []string
	do     []func()
}

// of is what a flag is now, if that is new.
func (c *changes) of(name string) ([]string, bool) {
	values, ok := c.values[name]
	if ok {
		c.taken = append(c.taken, name)
	}
	return values, ok
}

// does is called if everything is right.
func (c *changes) does(f func()) { c.do = append(c.do, f) }

// reload reads the file again. take says what it makes of the changes, and does nothing
// yet.
func (c *console) reload(cmd *cobra.Command, take func(*changes) error) {
	s := c.settings
	now, err := s.reread(cmd)
	change := &changes{values: map[string][]string{}}
	for name, values := range now {
		if !slices.Equal(values, s.values[name]) {
			change.values[name] = values
		}
	}
	if err == nil {
		err = take(change)
	}
	if err != nil {
		c.say("warning: nothing is changed: %v", err)
		return
	}
	for _, f := range change.do {
		f()
	}
	for _, name := range slices.Sorted(maps.Keys(change.values)) {
		said := name + " is " + disclosed(name, change.values[name])
		if !slices.Contains(change.taken, name) {
			c.say("warning: %s in %s, which takes a new start", said, s.file)
			continue
		}
		s.values[name] = change.values[name]
		c.say("%s now", said)
	}
	if len(change.taken) == 0 {
		c.say("%s was read again, and there is nothing new to do", s.file)
	}
}

// disclosed is what a flag is now, as a log may keep it: of a secret only that it is another.
func disclosed(name string, values []string) string {
	if name == passwordFlag {
		return "another"
	}
	return cmp.Or(strings.Join(values, ", "), "empty")
}

// hangups brings SIGHUP from now on, if there is a file to be read again. Without one the
// signal ends the program, as it always does. It must be called before anybody is told
// that the program is ready.
func (c *console) hangups() <-chan os.Signal {
	hup := make(chan os.Signal, 1)
	if c.settings.file != "" {
		signal.Notify(hup, syscall.SIGHUP)
	}
	return hup
}

// reloads reloads at each of them until ctx ends.
func (c *console) reloads(ctx context.Context, hup <-chan os.Signal, cmd *cobra.Command, take func(*changes) error) {
	for {
		select {
		case <-hup:
			c.reload(cmd, take)
		case <-ctx.Done():
			return
		}
	}
}
