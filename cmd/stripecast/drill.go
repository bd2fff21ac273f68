package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

const (
	drillRounds = 3
	drillEvery  = 10 * time.Second
	// minDrillEvery is the least time from one cut to the next: what a cut costs
	// shows within the play-out delay after it was noticed.
	minDrillEvery, maxDrillEvery = 3 * time.Second, 10 * time.Minute
	// maxDrillViewers is how many nodes at one address others let in.
	maxDrillViewers = 8
)

type drillFlags struct {
	listen                   string
	parents, rounds, viewers int
	every, delay             time.Duration
	json                     bool
}

func newDrill(c *console) *cobra.Command {
	f := drillFlags{}
	cmd := &cobra.Command{
		Use:   "drill LINK",
		Short: "Rehearse the loss of parents, as a viewer of a real stream",
		Long: "Join a stream as a viewer that plays to nowhere and shares nothing, and lose\n" +
			"several parents at one instant, again and again: the viewer goes deaf to them,\n" +
			"hears nothing that they send and answers nothing, as if they had crashed. The\n" +
			"parents themselves and everybody else are left alone; the source is never cut.\n" +
			"Afterwards it hears them again.\n\n" +
			"It reports what the viewer saw of each round: the parents cut and the stripes lost\n" +
			"with them, the blocks that were due, played and skipped, the longest time for which\n" +
			"playing stood still, after how long all stripes were fed by living parents again, and\n" +
			"the least spare: live stripes less those needed. A round lasts until the next one\n" +
			"begins. One skipped block is a failure.",
		Example: "  stripecast drill 'stripecast://…'\n" +
			"  stripecast drill 'stripecast://…' --parents 2 --rounds 10 --json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runDrill(cmd, c, &f, args[0]) },
	}
	cmd.Annotations = map[string]string{argsKey: "link"}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", ":0", "UDP `[HOST]:PORT` of a viewer; port 0 takes any")
	flags.IntVar(&f.parents, "parents", 0, "`NUMBER` of parents to cut at once; 0: as many as the layout's m, shards that may be lost")
	flags.IntVar(&f.rounds, "rounds", drillRounds, "`NUMBER` of times")
	flags.IntVar(&f.viewers, "viewers", 1, "`NUMBER` of viewers; each loses parents of its own")
	flags.DurationVar(&f.every, "every", drillEvery, "how long the parents stay away, 3s to 10m")
	flags.DurationVar(&f.delay, "delay", playout.DefaultConfig().Delay, "time from the source to the player, 100ms to 1m: more survives more")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON rather than as a table")
	return cmd
}

func (f *drillFlags) check() error {
	switch {
	case f.parents < 0 || f.parents > stripe.MaxShards:
		return fail(fmt.Errorf("%d parents cannot be cut", f.parents), "give --parents from 1 to %d, or 0 for the layout's m", stripe.MaxShards)
	case f.rounds < 1 || f.rounds > maxRounds:
		return fail(fmt.Errorf("%d rounds are too few or too many", f.rounds), "give --rounds from 1 to %d", maxRounds)
	case f.viewers < 1 || f.viewers > maxDrillViewers:
		return fail(fmt.Errorf("%d viewers are too few or too many", f.viewers), "give --viewers from 1 to %d: relays let in no more from one address", maxDrillViewers)
	case f.every < minDrillEvery || f.every > maxDrillEvery:
		return fail(fmt.Errorf("a round every %v is too often or too seldom", f.every), "give --every from %v to %v", minDrillEvery, maxDrillEvery)
	}
	return checkDelay(f.delay)
}

func runDrill(cmd *cobra.Command, c *console, f *drillFlags, arg string) error {
	link, err := stripe.ParseLink(arg)
	if err != nil {
		return fail(err, "a link looks like stripecast://ID@host:port/name, as the source printed it")
	}
	if err := f.check(); err != nil {
		return err
	}
	d := &drill{console: c, flags: f, link: link, node: node{listen: f.listen, join: link.Hosts}}
	defer d.close()
	ctx := cmd.Context()
	for range f.viewers {
		if err := d.addViewer(verbose(cmd)); err != nil {
			return err
		}
	}
	for _, v := range d.viewers {
		if err := d.reach(ctx, c, v.host); err != nil {
			return err
		}
	}
	for _, v := range d.viewers {
		if err := awaitStream(ctx, c, v.host, link); err != nil {
			return err
		}
	}
	r := &rehearsal{
		console: c, viewers: d.viewers, rounds: f.rounds, every: f.every,
		cut: d.cut, mend: d.mend,
	}
	err = d.rehearse(ctx, r)
	if len(r.report.Rounds) > 0 {
		if werr := r.report.write(c.out, f.json); err == nil {
			err = werr
		}
	}
	if err != nil {
		return err
	}
	return r.report.verdict()
}

// drill is viewers of a stream that go deaf to parents of theirs.
type drill struct {
	*console
	node
	flags   *drillFlags
	link    stripe.Link
	viewers []*viewing
	parents int // to cut
}

// addViewer starts one more. It shares nothing: who goes deaf must have no children.
func (d *drill) addViewer(verbose bool) error {
	h, err := host.Start(host.Config{
		Participant: relay.Config{
			Key: host.NewKey(), Streams: []stripe.ID{d.link.ID}, Play: true, Back: d.flags.delay,
		},
		Listen: d.listen, Join: d.join, Deafens: true, Logger: d.logger(verbose),
	})
	if err != nil {
		return fail(err, "give --listen a port that is free, or :0 for any; several viewers need :0")
	}
	d.viewers = append(d.viewers, watchHost(h, d.link.Key, d.flags.delay))
	return nil
}

func (d *drill) rehearse(ctx context.Context, r *rehearsal) error {
	info := d.viewers[0].look().info
	d.parents = d.flags.parents
	if d.parents == 0 {
		d.parents = max(1, info.Layout.M)
	}
	r.report.Stream, r.report.Name, r.report.Layout = info.Stream.String(), d.link.Name, info.Layout.String()
	d.say("rehearsing with %s (%v, %s): %d viewers lose %d parents each, %d times",
		d.link.Name, info.Layout, rate(float64(info.Rate)), len(d.viewers), d.parents, r.rounds)
	return r.run(ctx)
}

var errNobody = errors.New("no parent is left but the source: there is nothing to rehearse")

// cut makes every viewer deaf to those parents that feed it the most stripes.
func (d *drill) cut(before []sight) ([][]membership.NodeID, error) {
	all := make([][]membership.NodeID, len(before))
	for i, s := range before {
		all[i] = chooseParents([][]relay.StripeStatus{s.stripes}, d.parents, s.notSource)
		switch n := len(all[i]); {
		case n == 0:
			return nil, fail(errNobody, "start relays with stripecast relay LINK, and rehearse again")
		case n < d.parents:
			d.say("warning: viewer %d has only %d parents besides the source", i+1, n)
		}
	}
	for i, v := range d.viewers {
		v.host.Deafen(all[i])
	}
	return all, nil
}

// mend lets all viewers hear all parents again.
func (d *drill) mend(context.Context) error {
	for _, v := range d.viewers {
		v.host.Hear()
	}
	return nil
}

func (d *drill) close() {
	done := make(chan struct{})
	for _, v := range d.viewers {
		go func() {
			v.host.Leave()
			<-v.played
			done <- struct{}{}
		}()
	}
	for range d.viewers {
		<-done
	}
}
