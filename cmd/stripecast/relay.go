package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

// whole is a download that has room for any stream, in bits a second.
const whole = 1e12

type relayFlags struct {
	node
	newPool  bool
	allow    []string
	deny     []string
	download string

	streamUpload, monthly string
}

func newRelay(c *console) *cobra.Command {
	f := relayFlags{}
	cmd := &cobra.Command{
		Use:   "relay [LINK…]",
		Short: "Lend this machine's uplink to streams",
		Long: "Forward one stripe, or a few, of live streams for strangers. With links it joins\n" +
			"their pool and carries those streams only; with --join it carries whatever the\n" +
			"pool has; --new-pool starts a pool that others can join. With --record it takes\n" +
			"whole streams and keeps them, so that they can be watched when their source is gone.",
		Example: "  stripecast relay 'stripecast://…' --upload 50M\n" +
			"  stripecast relay --join pool.example.org:7070\n" +
			"  stripecast relay 'stripecast://…' --record recordings\n" +
			"  stripecast relay --new-pool",
		RunE: func(cmd *cobra.Command, args []string) error { return runRelay(cmd, c, &f, args) },
	}
	cmd.Annotations = map[string]string{argsKey: "links"}
	flags := cmd.Flags()
	flags.BoolVar(&f.newPool, "new-pool", false, "start a pool of its own")
	flags.StringSliceVar(&f.allow, "allow", nil, "carry only streams with these `ID`s, several with commas")
	flags.StringSliceVar(&f.deny, "deny", nil, "carry no streams with these `ID`s, several with commas, whatever --allow says")
	flags.StringVar(&f.download, "download", "0", "`RATE` it may be sent; with room for a whole stream it takes that, to mend its own stripes")
	flags.StringVar(&f.streamUpload, "stream-upload", "0", "`RATE` that one stream may have of --upload, in bits a second, as in 5M; 0 is all")
	flags.StringVar(&f.monthly, "monthly", "0", "`BYTES` to send in a calendar month (UTC), as in 500G, counted over restarts: then it feeds nobody until the next; 0 is any number")
	f.node.flags(flags, ":7070", "20M", "127.0.0.1:0")
	f.buffer.recordFlag(flags, "what it carries, and unless --download says how much all of it,")
	return cmd
}

func runRelay(cmd *cobra.Command, c *console, f *relayFlags, args []string) error {
	ctx := cmd.Context()
	if len(args) == 0 && len(f.join) == 0 && !f.newPool {
		return misuse(errors.New("there is no pool to join"), "give a link, or --join HOST:PORT, or --new-pool")
	}
	cfg, err := f.config(cmd, c, args)
	if err != nil {
		return err
	}
	var month *account
	if cfg.Monthly > 0 {
		if month, err = openAccount(); err != nil {
			return err
		}
		c.tellAhead(month, time.Now())
		cfg.Month = month.last
	}
	hup := c.hangups()
	h, err := f.start(ctx, c, c.logger(verbose(cmd)), cfg, true)
	if err != nil {
		return err
	}
	defer h.Leave()
	if month != nil {
		ctx, cancel := context.WithCancel(ctx)
		wait := c.keepAccount(ctx, month, h, int64(cfg.Monthly))
		defer func() { cancel(); wait() }()
	}
	rates := newPace()
	web, err := (&site{
		addr: f.http, host: h,
		status: func(urls []string) status { return describe("relay", h, nil, urls) },
		forest: func() forestStatus { return describeForest("relay", h, nil, rates) },
		ready:  func(func() error) error { return hasBegun(h.Status(), len(f.join) > 0, cfg.Streams) },
	}).serve()
	if err != nil {
		return err
	}
	defer web.close()
	c.say("relaying on %s with up to %s; status at %s", h.Advertised(), rate(cfg.Upload), web.url)
	if f.newPool {
		c.say("others join with: --join %s", h.Advertised())
	}
	defer c.keepSaying(relayLine(h))()
	c.reloads(ctx, hup, cmd, func(change *changes) error { return f.reload(change, h, cfg.Streams) })
	return nil
}

// config is what the flags and links say.
func (f *relayFlags) config(cmd *cobra.Command, c *console, args []string) (cfg relay.Config, err error) {
	upload, err := f.capacity()
	if err != nil {
		return cfg, err
	}
	if _, err := f.buffer.config(); err != nil {
		return cfg, err
	}
	download, err := parseRate(f.download)
	if err != nil {
		return cfg, err
	}
	if f.buffer.record != "" && !cmd.Flags().Changed("download") {
		download = whole
	}
	each, err := parseRate(f.streamUpload)
	if err != nil {
		return cfg, err
	}
	monthly, err := parseBytes(f.monthly)
	if err != nil {
		return cfg, err
	}
	cfg = relay.Config{
		Key: host.NewKey(), Upload: upload, StreamUpload: each, Monthly: uint64(monthly), Download: download, Any: len(args) == 0,
	}
	if len(args) > relay.MaxStreams {
		return cfg, fail(fmt.Errorf("%d links are too many", len(args)), "a relay carries at most %d streams", relay.MaxStreams)
	}
	for _, a := range args {
		link, err := stripe.ParseLink(a)
		if err != nil {
			return cfg, fail(err, "a link looks like stripecast://ID@host:port/name, as the source printed it")
		}
		if !link.Key.IsZero() {
			c.say("warning: a relay has no use for the key in a link, and a command line is no place for it: leave out what stands from . to @")
		}
		cfg.Streams = append(cfg.Streams, link.ID)
		f.join = append(f.join, link.Hosts...)
	}
	if cfg.Allow, cfg.Deny, err = parseChoice(f.allow, f.deny, cfg.Streams); err != nil {
		return cfg, err
	}
	return cfg, nil
}

// parseChoice reads --allow and --deny; streams are those that the links name.
func parseChoice(allowed, denied []string, streams []stripe.ID) (allow, deny []stripe.ID, err error) {
	if allow, err = parseIDs("allow", allowed); err != nil {
		return nil, nil, err
	}
	if deny, err = parseIDs("deny", denied); err != nil {
		return nil, nil, err
	}
	for _, id := range streams {
		switch {
		case slices.Contains(deny, id):
			return nil, nil, fail(fmt.Errorf("the link's stream %s is among those denied", id.Short()), "take its ID out of --deny, or leave out the link")
		case len(allow) > 0 && !slices.Contains(allow, id):
			return nil, nil, fail(fmt.Errorf("the link's stream %s is not among those allowed", id.Short()), "add its ID to --allow, or leave out --allow")
		}
	}
	return allow, deny, nil
}

func parseIDs(flag string, list []string) (ids []stripe.ID, err error) {
	for _, text := range list {
		id, err := stripe.ParseID(text)
		if err != nil {
			return nil, fail(err, "--%s takes stream IDs: what stands before @ in a link, and before the . of a private one's", flag)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// reload takes other lists of streams, and another cap.
func (f *relayFlags) reload(change *changes, h *host.Host, streams []stripe.ID) error {
	allowed, more := change.of("allow")
	if !more {
		allowed = f.allow
	}
	denied, fewer := change.of("deny")
	if !fewer {
		denied = f.deny
	}
	if more || fewer {
		allow, deny, err := parseChoice(allowed, denied, streams)
		if err != nil {
			return err
		}
		change.does(func() {
			f.allow, f.deny = allowed, denied
			h.Permit(allow, deny)
		})
	}
	return f.node.reload(change, h)
}

func relayLine(h *host.Host) func() string {
	in, out := newMeter(), newMeter()
	return func() string {
		st := h.Status()
		now, net := time.Now(), h.Net()
		children, homes := 0, 0
		for _, s := range st.Streams {
			children += s.Children
			for _, b := range s.Stripes {
				if b.Home {
					homes++
				}
			}
		}
		if st.Spent {
			return fmt.Sprintf("the month's bytes are sent; feeding nobody until %s", st.Month.Ends().Format("2 January"))
		}
		return fmt.Sprintf("%s  %s  in %s  out %s  %s  %s known", many(len(st.Streams), "stream"), many(homes, "home stripe"),
			rate(in.rate(now, net.In)), rate(out.rate(now, net.Out)), many(children, "child", "children"), many(st.Known, "relay"))
	}
}

// awaitStream waits until somebody has told what the stream of a link is, and that the link
// opens it.
func awaitStream(ctx context.Context, c *console, h *host.Host, link stripe.Link) error {
	patience := time.NewTimer(host.JoinPatience)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	said := time.Now()
	for {
		select {
		case <-tick.C:
			for _, s := range h.Status().Streams {
				if s.Info.Stream == link.ID {
					return c.unlock(s.Info, link)
				}
			}
			if time.Since(said) > 2*time.Second {
				said = time.Now()
				c.say("asking the pool for the stream …")
			}
		case <-patience.C:
			return notCarried(link.ID)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func notCarried(id stripe.ID) error {
	return fail(fmt.Errorf("nobody in the pool carries the stream %s", id.Short()),
		"check that the source runs and that the link is the one it printed last")
}
