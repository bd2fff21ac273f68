package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

const (
	// lookEvery is how often viewers are looked at in a rehearsal: the precision of
	// what it reports.
	lookEvery = 20 * time.Millisecond
	// readyPatience is how long viewers have until they play and are fed in all
	// stripes, and have been for settleTime: then they know of other parents, as
	// viewers do that have been there for a while.
	readyPatience = 20 * time.Second
	settleTime    = 3 * time.Second
	// maxRounds is how many rounds one may ask for.
	maxRounds = 1000
)

// viewing is a viewer inside this process, and how evenly it plays.
type viewing struct {
	host   *host.Host
	player *view.Player
	pulse  *pulse
	played chan struct{} // closed when it plays no more
}

// watchHost plays what h brings until h ends, with the key of its link if that has one.
func watchHost(h *host.Host, key stripe.LinkKey, delay time.Duration, sinks ...view.Sink) *viewing {
	v := &viewing{host: h, pulse: &pulse{}, played: make(chan struct{})}
	v.player = view.New(delay, append(sinks, v.pulse)...)
	v.player.Unlock(view.NewKeyring(key), func(error) {}) // what is not played shows
	go func() {
		defer close(v.played)
		v.player.Run(context.Background(), h.Media())
	}()
	return v
}

// sight is what a viewer shows at one moment.
type sight struct {
	at              time.Time
	info            stripe.Info
	stripes         []relay.StripeStatus // none if the stream is gone
	live            int
	played, skipped uint64
	ended           bool
}

func (v *viewing) look() sight {
	st, ps := v.host.Status(), v.player.Stats()
	s := sight{at: time.Now(), played: ps.Played, skipped: ps.Skipped, ended: ps.Ended}
	if len(st.Streams) > 0 {
		one := st.Streams[0]
		s.info, s.stripes, s.live = one.Info, one.Stripes, one.Live
		s.ended = s.ended || one.Ended
	}
	return s
}

// pulse is a view.Sink that finds out for how long playing stands still.
type pulse struct {
	mu sync.Mutex // guards what follows

	last  stripe.Header // last played
	at    time.Time     // when; zero before the first
	each  time.Duration // how long a block lasts
	still time.Duration // longest since take
}

// Open is called when the stream is known.
func (p *pulse) Open(info stripe.Info) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.each = info.BlockTime
}

// Push is called with every block played.
func (p *pulse) Push(b playout.Play) { p.beat(time.Now(), b.Header) }

// End is called when there are no more.
func (p *pulse) End() {}

// beat notes a block. From the one before, which lasts as long as the source took
// for it, to this one, nothing new was shown.
func (p *pulse) beat(now time.Time, h stripe.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.Epoch == p.last.Epoch && h.Number > p.last.Number && h.SourceTime > p.last.SourceTime && !p.at.IsZero() {
		took := time.Duration(h.SourceTime-p.last.SourceTime) * time.Millisecond
		p.each = took / time.Duration(min(h.Number-p.last.Number, uint64(took)))
	}
	p.stand(now)
	p.last, p.at = h, now
}

func (p *pulse) stand(now time.Time) {
	if !p.at.IsZero() {
		p.still = max(p.still, now.Sub(p.at)-p.each)
	}
}

// take returns the longest stand-still since the last take, one under way included.
func (p *pulse) take(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stand(now)
	still := p.still
	p.still = 0
	return still
}

// chooseParents names up to n of those that feed the given viewers, the ones that
// feed the most stripes first; may says who can be named.
func chooseParents(viewers [][]relay.StripeStatus, n int, may func(membership.NodeID) bool) []membership.NodeID {
	var ids []membership.NodeID
	fed := map[membership.NodeID]int{}
	for _, stripes := range viewers {
		for _, s := range stripes {
			if s.Parent.IsZero() || !may(s.Parent) {
				continue
			}
			if fed[s.Parent]++; fed[s.Parent] == 1 {
				ids = append(ids, s.Parent)
			}
		}
	}
	slices.SortFunc(ids, func(a, b membership.NodeID) int {
		if fed[a] != fed[b] {
			return fed[b] - fed[a]
		}
		return bytes.Compare(a[:], b[:])
	})
	return ids[:min(n, len(ids))]
}

// outcome is what one viewer saw of one round. Times are in seconds.
type outcome struct {
	Round   int      `json:"round"`
	Viewer  int      `json:"viewer"`
	Parents []string `json:"parents_cut"`  // node IDs
	Lost    int      `json:"stripes_lost"` // at once
	Live    int      `json:"live_stripes"` // before
	Due     uint64   `json:"blocks_due"`
	Played  uint64   `json:"blocks_played"`
	Skipped uint64   `json:"blocks_skipped"`
	Still   float64  `json:"standstill"` // the longest
	TTR     *float64 `json:"ttr"`        // nil: not within Length
	Spare   int      `json:"least_spare"`
	Length  float64  `json:"length"` // from the cut to the end of the round
}

// watch follows one viewer through one round.
type watch struct {
	out    outcome
	cut    []membership.NodeID
	before sight // the last before the cut
}

// newWatch begins with the last sight before these parents were cut.
func newWatch(round, viewer int, cut []membership.NodeID, before sight) *watch {
	w := &watch{cut: cut, before: before, out: outcome{
		Round: round, Viewer: viewer, Parents: []string{}, Live: before.live,
	}}
	var seen []membership.NodeID
	for _, s := range before.stripes {
		if !slices.Contains(cut, s.Parent) {
			continue
		}
		if s.Live {
			w.out.Lost++
		}
		if !slices.Contains(seen, s.Parent) {
			seen = append(seen, s.Parent)
			w.out.Parents = append(w.out.Parents, s.Parent.String())
		}
	}
	w.out.Spare = w.spare(before)
	return w
}

// spare is live stripes less those needed. The viewer itself takes a while to
// find out that a parent is dead; here it counts as dead at once.
func (w *watch) spare(s sight) int {
	n := -w.before.info.Layout.K
	for _, b := range s.stripes {
		if b.Live && !slices.Contains(w.cut, b.Parent) {
			n++
		}
	}
	return n
}

// fed reports whether every stripe that was live before is so, by a living parent.
func (w *watch) fed(s sight) bool {
	for i, b := range w.before.stripes {
		if !b.Live {
			continue
		}
		if i >= len(s.stripes) || !s.stripes[i].Live || slices.Contains(w.cut, s.stripes[i].Parent) {
			return false
		}
	}
	return true
}

func (w *watch) see(s sight) {
	w.out.Spare = min(w.out.Spare, w.spare(s))
	if w.out.TTR == nil && w.fed(s) {
		ttr := s.at.Sub(w.before.at).Seconds()
		w.out.TTR = &ttr
	}
}

// end closes the round.
func (w *watch) end(s sight, still time.Duration) outcome {
	w.out.Played = s.played - w.before.played
	w.out.Skipped = s.skipped - w.before.skipped
	w.out.Due = w.out.Played + w.out.Skipped
	w.out.Still = max(0, still.Seconds())
	w.out.Length = s.at.Sub(w.before.at).Seconds()
	return w.out
}

// report is what a rehearsal found.
type report struct {
	Stream string    `json:"stream"`
	Name   string    `json:"name"`
	Layout string    `json:"layout"`
	Every  float64   `json:"every"`  // seconds
	Rounds []outcome `json:"rounds"` // by round and viewer
	Total  total     `json:"total"`
}

// total is the sums of what can be added, and the worst of the rest.
type total struct {
	Parents int      `json:"parents_cut"`
	Lost    int      `json:"stripes_lost"`
	Due     uint64   `json:"blocks_due"`
	Played  uint64   `json:"blocks_played"`
	Skipped uint64   `json:"blocks_skipped"`
	Still   float64  `json:"standstill"`
	TTR     *float64 `json:"ttr"` // nil: not in every round
	Spare   int      `json:"least_spare"`
}

// sum adds the rounds up.
func (r *report) sum() {
	r.Total = total{}
	worst, all := 0.0, len(r.Rounds) > 0
	for i, o := range r.Rounds {
		t := &r.Total
		t.Parents += len(o.Parents)
		t.Lost += o.Lost
		t.Due, t.Played, t.Skipped = t.Due+o.Due, t.Played+o.Played, t.Skipped+o.Skipped
		t.Still = max(t.Still, o.Still)
		if t.Spare = min(t.Spare, o.Spare); i == 0 {
			t.Spare = o.Spare
		}
		if o.TTR == nil {
			all = false
		} else {
			worst = max(worst, *o.TTR)
		}
	}
	if all {
		r.Total.TTR = &worst
	}
}

func (r *report) write(to io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(to)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	ttr := func(t *float64) string {
		if t == nil {
			return "not"
		}
		return fmt.Sprintf("%.2f s", *t)
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "round\tviewer\tparents cut\tstripes lost\tblocks due\tplayed\tskipped\tstand-still\tfed again after\tleast spare\t\n")
	for _, o := range r.Rounds {
		fmt.Fprintf(w, "%d\t%d\t%d\t%d of %d\t%d\t%d\t%d\t%.2f s\t%s\t%d\t\n",
			o.Round, o.Viewer, len(o.Parents), o.Lost, o.Live, o.Due, o.Played, o.Skipped, o.Still, ttr(o.TTR), o.Spare)
	}
	t := r.Total
	fmt.Fprintf(w, "total\t\t%d\t%d\t%d\t%d\t%d\t%.2f s\t%s\t%d\t\n",
		t.Parents, t.Lost, t.Due, t.Played, t.Skipped, t.Still, ttr(t.TTR), t.Spare)
	return w.Flush()
}

// verdict is the error of a rehearsal in which something was skipped.
func (r *report) verdict() error {
	if r.Total.Skipped == 0 {
		return nil
	}
	return fail(fmt.Errorf("%d of %d blocks were skipped", r.Total.Skipped, r.Total.Due),
		"more relays, so that none feeds a viewer many stripes, or a longer --delay survive more")
}

var errStreamEnded = fail(errors.New("the stream ended before the rehearsal did"), "rehearse with a stream that lasts, or with fewer --rounds")

// rehearsal kills parents of viewers on purpose, again and again, and watches.
type rehearsal struct {
	*console
	viewers []*viewing
	rounds  int
	every   time.Duration
	// cut kills, at one instant, and returns whom, by viewer.
	cut func(before []sight) ([][]membership.NodeID, error)
	// mend brings back, or replaces, who was killed.
	mend func(ctx context.Context) error

	report  report
	watches []*watch // of the round under way
}

// run goes through all rounds. A round lasts until the next one begins; what was
// seen of rounds until an error is in the report.
func (r *rehearsal) run(ctx context.Context) error {
	r.report.Rounds = []outcome{}
	r.report.Every = r.every.Seconds()
	defer r.report.sum()
	for round := range r.rounds {
		if err := r.ready(ctx); err != nil {
			return err
		}
		before := r.look()
		r.close(before)
		cut, err := r.cut(before)
		if err != nil {
			return err
		}
		for i, b := range before {
			r.watches = append(r.watches, newWatch(round+1, i+1, cut[i], b))
		}
		r.sayCut(round + 1)
		if err := r.observe(ctx, r.every); err != nil {
			return err
		}
		r.saySaw(round+1, r.look())
		if err := r.mend(ctx); err != nil {
			return err
		}
	}
	r.close(r.look())
	return nil
}

func (r *rehearsal) look() []sight {
	all := make([]sight, len(r.viewers))
	for i, v := range r.viewers {
		all[i] = v.look()
	}
	return all
}

// close ends the round under way, if there is one.
func (r *rehearsal) close(all []sight) {
	for i, s := range all {
		still := r.viewers[i].pulse.take(s.at)
		if len(r.watches) > 0 {
			r.report.Rounds = append(r.report.Rounds, r.watches[i].end(s, still))
		}
	}
	r.watches = nil
}

// see looks at all viewers, and lets the round under way know.
func (r *rehearsal) see() ([]sight, error) {
	all := r.look()
	for i, s := range all {
		if s.ended {
			return nil, errStreamEnded
		}
		if len(r.watches) > 0 {
			r.watches[i].see(s)
		}
	}
	return all, nil
}

// observe watches for so long.
func (r *rehearsal) observe(ctx context.Context, d time.Duration) error {
	over := time.NewTimer(d)
	defer over.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := r.see(); err != nil {
				return err
			}
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready waits until all viewers have played and been fed in all stripes for a
// while, by others than the source alone. With fewer stripes than all it goes on
// in the end, and says so.
func (r *rehearsal) ready(ctx context.Context) error {
	late := time.NewTimer(readyPatience)
	defer late.Stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	since := time.Now()
	for {
		all, err := r.see()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(s sight) bool { return s.unready() != nil }) {
			since = time.Now()
		} else if time.Since(since) >= settleTime {
			return nil
		}
		select {
		case <-tick.C:
		case <-late.C:
			return r.lacking(all)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var (
	errSilent   = errors.New("plays nothing")
	errRootOnly = errors.New("has no parent but the source: there is nothing to rehearse")
	errPartial  = errors.New("is not fed in all stripes")
)

// unready is why parents of this viewer should not be cut yet.
func (s sight) unready() error {
	switch {
	case s.played == 0 || len(s.stripes) == 0:
		return errSilent
	case len(chooseParents([][]relay.StripeStatus{s.stripes}, 1, s.notSource)) == 0:
		return errRootOnly
	case s.live < len(s.stripes):
		return errPartial
	}
	return nil
}

func (s sight) notSource(id membership.NodeID) bool { return id != membership.NodeID(s.info.Root) }

// lacking says what viewers still lack, and is an error if that forbids to go on.
func (r *rehearsal) lacking(all []sight) error {
	for i, s := range all {
		switch err := s.unready(); {
		case errors.Is(err, errPartial):
			r.say("warning: viewer %d has only %d of %d stripes live; going on with those", i+1, s.live, len(s.stripes))
		case errors.Is(err, errRootOnly):
			return fail(fmt.Errorf("viewer %d %w", i+1, err), "the source is never cut; start relays with stripecast relay LINK, and rehearse again")
		case err != nil:
			return fail(fmt.Errorf("viewer %d %w", i+1, err), "check with stripecast view LINK that the stream plays")
		}
	}
	return nil
}

func (r *rehearsal) sayCut(round int) {
	for _, w := range r.watches {
		r.say("round %d: viewer %d: cut %d parents, lost %d of %d stripes at once",
			round, w.out.Viewer, len(w.out.Parents), w.out.Lost, w.out.Live)
	}
}

func (r *rehearsal) saySaw(round int, all []sight) {
	for i, w := range r.watches {
		again := "is not fed in all stripes again"
		if w.out.TTR != nil {
			again = fmt.Sprintf("fed in all again after %.2f s", *w.out.TTR)
		}
		r.say("round %d: viewer %d: %s, least spare %d, played %d, skipped %d",
			round, w.out.Viewer, again, w.out.Spare, all[i].played-w.before.played, all[i].skipped-w.before.skipped)
	}
}
