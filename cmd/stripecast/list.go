package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

const (
	// listCalm is for how long nothing new may come before a list counts as whole.
	listCalm = 1500 * time.Millisecond
	// minListWait and maxListWait bound --wait.
	minListWait, maxListWait = time.Second, 5 * time.Minute
)

type listFlags struct {
	node
	wait time.Duration
	json bool
}

func newList(c *console) *cobra.Command {
	f := listFlags{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the streams of a pool",
		Long: "Join a pool for a moment, carrying and feeding nothing, and show the streams that\n" +
			"its members tell of: name, rate, how many relays and sharing viewers carry it (those\n" +
			"who only watch tell nobody), how many slots they have left for children, and spare:\n" +
			"stripes that somebody offers less those needed. What records say may be a lie; name\n" +
			"and rate are signed by the source.",
		Example: "  stripecast list --join pool.example.org:7070\n" +
			"  stripecast list --join pool.example.org:7070 --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runList(cmd, c, &f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.join, "join", nil, "`HOST:PORT` of pool members, several with commas")
	flags.StringVar(&f.listen, "listen", ":0", "UDP `[HOST]:PORT` for everything; port 0 takes any")
	flags.DurationVar(&f.wait, "wait", 10*time.Second, "how long to wait for what is not known yet, 1s to 5m")
	flags.BoolVar(&f.json, "json", false, "print JSON rather than a table")
	return cmd
}

func runList(cmd *cobra.Command, c *console, f *listFlags) error {
	switch {
	case len(f.join) == 0:
		return fail(errors.New("no pool is named"), "give --join with a member, as in --join pool.example.org:7070")
	case f.wait < minListWait || f.wait > maxListWait:
		return fail(fmt.Errorf("a wait of %v is too short or too long", f.wait), "give --wait from %v to %v", minListWait, maxListWait)
	}
	ctx := cmd.Context()
	h, err := f.start(ctx, c, c.logger(verbose(cmd)), relay.Config{Key: host.NewKey(), Look: true}, true)
	if err != nil {
		return err
	}
	defer h.Leave()
	pool, err := awaitPool(ctx, h, f.wait)
	if err != nil {
		return err
	}
	list := make([]listed, 0, len(pool)) // JSON's null is no list
	for _, o := range pool {
		list = append(list, describeOffer(o, f.join))
	}
	slices.SortStableFunc(list, func(a, b listed) int { return cmp.Compare(a.Name, b.Name) })
	if f.json {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	return printList(c.out, list)
}

// awaitPool looks until nothing new has come for listCalm and all infos are there, or
// the time is over.
func awaitPool(ctx context.Context, h *host.Host, wait time.Duration) ([]relay.Offer, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(wait)
	defer late.Stop()
	var pool []relay.Offer
	known, calm := 0, time.Now()
	for {
		select {
		case <-tick.C:
		case <-late.C:
			return pool, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		st := h.Status()
		whole := true
		for _, o := range st.Pool {
			whole = whole && o.Info.Epoch >= o.Claimed
		}
		if n := st.Known + len(st.Pool); n != known {
			known, calm = n, time.Now()
		}
		if pool = st.Pool; whole && time.Since(calm) >= listCalm {
			return pool, nil
		}
	}
}

// listed is a stream of a pool as list --json says it.
type listed struct {
	ID     string `json:"stream"`
	Name   string `json:"name"`
	Link   string `json:"link"`
	Image  string `json:"thumbnail"` // where a picture of it is, or empty
	Media  string `json:"media"`     // empty: the stream's info did not come
	Locked bool   `json:"private"`   // only who has the link's key, which stands in no list, can read it
	Rate   uint64 `json:"rate"`      // bits/s; 0: likewise
	Layout string `json:"layout"`    // likewise
	Epoch  uint32 `json:"epoch"`
	Source bool   `json:"source"`     // a source says that it is there
	Relays int    `json:"relays"`     // that carry it and feed others, viewers that share among them
	Free   int    `json:"free_slots"` // of all of them and the source
	// Spare is how many stripes more than needed somebody offers; below 0 too few do.
	Spare int `json:"spare_stripes"`
}

func describeOffer(o relay.Offer, join []string) listed {
	l := listed{ID: o.ID.String(), Epoch: o.Epoch, Source: o.Source, Relays: o.Relays, Free: o.Free}
	link := stripe.Link{ID: o.ID, Hosts: join[:min(len(join), stripe.MaxHosts)]}
	if o.Info.Epoch > 0 {
		link.Name = o.Info.Name
		l.Image, l.Locked = o.Info.Thumbnail, o.Info.Private()
		l.Name, l.Media, l.Rate, l.Layout = o.Info.Name, o.Info.Media.String(), o.Info.Rate, o.Info.Layout.String()
		l.Spare = bits.OnesCount64(o.Homes) - o.Info.Layout.K
		if o.Source {
			l.Spare = max(l.Spare, 0) // what nobody else has the source feeds
		}
	}
	l.Link = link.String()
	return l
}

func printList(w io.Writer, list []listed) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "the pool has no streams")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tmedia\trate\trelays\tfree slots\tspare\tlink")
	for _, l := range list {
		name, media, bps, spare := l.Name, l.Media, "?", "?"
		if l.Rate > 0 {
			bps, spare = rate(float64(l.Rate)), fmt.Sprint(l.Spare)
		}
		if l.Locked {
			media += " (private)"
		}
		if !l.Source {
			spare += " (no source)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", cmp.Or(name, "?"), cmp.Or(media, "?"), bps, l.Relays, l.Free, spare, l.Link)
	}
	return t.Flush()
}
