package wide

import (
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/sim/table"
)

var (
	long   = flag.Bool("long", false, "run the sizes that take many minutes")
	only   = flag.Int("pool", 0, "run this size only")
	slots  = flag.Int("slots", 0, "slots of those who share; a quarter more than n if 0")
	share  = flag.Float64("share", 1, "part of the participants that shares")
	member = flag.Int("members", 0, "how many hear gossip, at most")
	seed   = flag.Uint64("seed", 1, "of the runs")
	layout = flag.String("layout", "", "of the stream; 16+4 if empty, but 8+2 for 100,000, for which half the stripes are work enough")
	within = flag.Duration("within", 0, "within how long all come; if 0 10 s up to 1,000 and 30 s above")
	watch  = flag.Int("watch", 0, "print the forest every five seconds for so many seconds, and nothing else")
)

// sizes is how many participants are tried: all with -long.
func sizes() []int {
	switch {
	case *only > 0:
		return []int{*only}
	case *long:
		return []int{100, 300, 1000, 10_000, 100_000}
	}
	return []int{100, 300, 1000}
}

func config(n int) Config {
	cfg := DefaultConfig(*seed, n)
	cfg.Share = *share
	switch {
	case *layout != "":
		l, err := stripe.ParseLayout(*layout)
		if err != nil {
			panic(err)
		}
		cfg.Layout = l
	case n >= 100_000:
		cfg.Layout = stripe.Layout{K: 8, M: 2}
	}
	switch {
	case *slots > 0:
		cfg.Slots = *slots
	case n >= 100_000:
		cfg.Slots = cfg.Layout.N() * 8 / 5 // with less the bound is overlay.MaxDepth
	default:
		cfg.Slots = cfg.Layout.N() * 5 / 4 // a quarter more than it takes
	}
	if *member > 0 {
		cfg.Members = *member
	}
	if n > 1000 {
		cfg.Join = 30 * time.Second
	}
	if *within > 0 {
		cfg.Join = *within
	}
	if n > 10_000 {
		debug.SetGCPercent(40)
	}
	return cfg
}

func ms(d time.Duration) string { return fmt.Sprint(d.Round(time.Millisecond)) }

func three(d [3]time.Duration) string { return ms(d[0]) + " / " + ms(d[1]) + " / " + ms(d[2]) }

// TestTable settles pools of every size, and kills a part of their relays.
func TestTable(t *testing.T) {
	table.Asked(t, "Table")
	if *watch > 0 {
		follow()
		return
	}
	for _, n := range sizes() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			cfg := config(n)
			if n > 1000 {
				cfg.Watch = printer()
			}
			r, w := ExperimentSettle(cfg)
			t.Log("\n" + settledText(cfg, r))
			checkSettled(t, cfg, r)
			kills := []Killed{ExperimentKill(w, 0.1)}
			if *long {
				c := ExperimentCrowd(cfg)
				t.Log("\n" + crowdText(c))
				checkCrowd(t, cfg, c)
				for _, share := range []float64{0.05, 0.2, 0.3, 0.5} {
					w := New(cfg)
					w.Run(cfg.Join + SettleTime)
					kills = append(kills, ExperimentKill(w, share))
				}
			}
			t.Log("\n" + killedText(kills))
			checkKilled(t, kills)
		})
	}
}

func settledText(cfg Config, r Settled) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("%d participants, %.0f %% share %d slots, source %d slots, all within %v", r.N, 100*cfg.Share, cfg.Slots, r.SourceSlots, cfg.Join)
	p("  depth ≤ %d, p99 %d, bound %d", r.Depth, r.DepthP99, r.Bound)
	p("  lag p50 / p99 / max %s", three(r.Lag))
	p("  source feeds %.2f a stripe, at most %d in all", r.Egress, r.Peak)
	p("  without a way %d stripes; under k %d, crowded %d participants; relays a stripe %d to %d", r.Orphans, r.Short, r.Crowded, r.Homes[0], r.Homes[1])
	p("  control B/s: joining %.0f (gossip %.0f), steady %.0f (gossip %.0f): %.2f %% of the stream, %.2f %% of one of 500 kbit/s",
		r.Joining, r.Gossip[0], r.Steady, r.Gossip[1], 100*r.Steady*8/cfg.Rate, 100*r.Steady*8/500e3)
	p("  messages/s: joining %.1f, steady %.1f; records known %d", r.Storm, r.Messages, r.Book)
	p("  join to k stripes p50 / p95 / max %s, to all %s, never %d", three(r.FirstK), three(r.FirstAll), r.Never)
	return b.String()
}

func checkSettled(t *testing.T, cfg Config, r Settled) {
	if r.Depth > r.Bound+1 {
		t.Errorf("depth %d, the bound is %d", r.Depth, r.Bound)
	}
	if r.Orphans > 0 || r.Short > 0 || r.Crowded > 0 {
		t.Errorf("%d stripes without a way, %d participants under k, %d crowded", r.Orphans, r.Short, r.Crowded)
	}
	if most := 1.05 * float64(cfg.Roots); r.Egress > most {
		t.Errorf("the source feeds %.2f a stripe, more than %.2f", r.Egress, most)
	}
	if r.Peak > r.SourceSlots+r.SourceSlots/8 {
		t.Errorf("the source fed %d, it has %d slots", r.Peak, r.SourceSlots)
	}
	if most := 0.02 * cfg.Rate / 8; r.Steady > most {
		t.Errorf("%.0f B/s of control when settled, more than %.0f", r.Steady, most)
	}
}

func crowdText(c Crowd) string {
	return fmt.Sprintf("crowd of 10 x in %v: to k stripes p50 / p95 / max %s, to all %s, never %d\n  source at most %d children of %d; old viewers under k %.2f %%; control B/s %.0f, gossip %.0f",
		CrowdTime, three(c.FirstK), three(c.FirstAll), c.Never, c.Peak, c.SourceSlots, 100*c.OldShort, c.Bytes, c.Gossip)
}

func checkCrowd(t *testing.T, cfg Config, c Crowd) {
	if c.FirstK[0] > time.Second || c.FirstK[1] > 3*time.Second {
		t.Errorf("a crowd gets k stripes after %s", three(c.FirstK))
	}
	if c.Peak > c.SourceSlots+c.SourceSlots/8 {
		t.Errorf("the source fed %d, it has %d slots", c.Peak, c.SourceSlots)
	}
	if c.OldShort > 0 {
		t.Errorf("old viewers have fewer than k stripes at %.2f %% of looks", 100*c.OldShort)
	}
}

func killedText(kills []Killed) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "killed\texpected")
	for _, at := range KillLooks {
		fmt.Fprintf(w, "\t+%v", at)
	}
	fmt.Fprintln(w, "\tchild of a dead p50 / p99 / max\tany stripe\tnever\tB/s")
	for _, r := range kills {
		fmt.Fprintf(w, "%.0f %%\t%.1f (%.1f to %.1f)", 100*r.Share, 100*r.Expected[1], 100*r.Expected[0], 100*r.Expected[2])
		for i := range r.Decode {
			fmt.Fprintf(w, "\t%.1f", 100*r.Decode[i])
		}
		fmt.Fprintf(w, "\t%s\t%s\t%d\t%.0f\n", three(r.Direct), three(r.All), r.Never, r.Bytes)
	}
	w.Flush()
	return b.String()
}

func checkKilled(t *testing.T, kills []Killed) {
	for _, r := range kills {
		if d := r.Decode[0]; d < r.Expected[0]-0.02 || d > r.Expected[2]+0.02 {
			t.Errorf("%.0f %% killed: %.3f still decode, on paper %.3f", 100*r.Share, d, r.Expected)
		}
		if most := time.Second; r.Share <= 0.1 && r.Direct[1] > most {
			t.Logf("MISSED, as is known: %.0f %% killed: parents are replaced after %s", 100*r.Share, three(r.Direct))
		}
		if r.Share <= 0.3 && r.All[1] > 3*time.Second {
			t.Logf("MISSED, as is known: %.0f %% killed: stripes stand still for %s", 100*r.Share, three(r.All))
		}
		if r.Never > 0 {
			t.Errorf("%.0f %% killed: %d stripes never flow again", 100*r.Share, r.Never)
		}
	}
}

// follow prints what a pool comes to.
func follow() {
	for _, n := range sizes() {
		cfg := config(n)
		cfg.Watch = printer()
		New(cfg).Run(time.Duration(*watch) * time.Second)
	}
}

// printer prints what became of a world since it was called last.
func printer() func(*World) {
	begun := time.Now()
	var last Traffic
	return func(w *World) {
		sh, tr := w.Look(), w.Traffic()
		decode, _ := w.Live()
		span := WatchEvery.Seconds() * float64(w.N)
		fmt.Printf("%v after %v, events %d: depth ≤ %d p99 %d bound %d; orphans %d, short %d, crowded %d, decode %.3f; source %.2f ≤ %d; free %d; lag p99 %v\n",
			w.t, time.Since(begun).Round(time.Second), w.events, Quantile(sh.Depths, 1), Quantile(sh.Depths, 0.99), w.Bound(), sh.Orphans, sh.Short, sh.Ancestors, decode, sh.Egress, w.peak, sh.Free, Quantile(sh.Lags, 0.99))
		fmt.Printf("  a second and participant: messages %.1f, bytes %.0f, gossip %.0f, dials %.2f; spins %d, refused dials %d; connections p50 %d ≤ %d, book p50 %d\n",
			float64(tr.Messages-last.Messages)/span, float64(tr.Bytes-last.Bytes)/span, float64(tr.Gossip-last.Gossip)/span, float64(tr.Dials-last.Dials)/span,
			tr.Spins-last.Spins, tr.Refused-last.Refused, Quantile(sh.Connections, 0.5), Quantile(sh.Connections, 1), Quantile(sh.Book, 0.5))
		var kinds [32]int
		var refusals, drops [8]int
		for i := range kinds {
			kinds[i] = tr.Kinds[i] - last.Kinds[i]
		}
		for i := range drops {
			refusals[i], drops[i] = tr.Refusals[i]-last.Refusals[i], tr.Drops[i]-last.Drops[i]
		}
		fmt.Printf("  kinds %v standby %d refusals %v drops %v\n  relays a stripe %v\n", kinds[1:], tr.Standby-last.Standby, refusals, drops, sh.Interior)
		last = tr
	}
}

// TestSameSeedSameRun: chance comes from the seed and from nowhere else.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) (uint64, uint64) {
		cfg := config(40)
		cfg.Seed, cfg.Join = seed, 3*time.Second
		w := New(cfg)
		w.Run(5 * time.Second)
		w.Kill(w.nodes[5:8])
		w.Run(3 * time.Second)
		return w.Trace()
	}
	hash, events := run(7)
	if h, e := run(7); h != hash || e != events {
		t.Errorf("one seed, two runs: %x of %d events, %x of %d", hash, events, h, e)
	}
	if h, _ := run(8); h == hash {
		t.Error("two seeds, one run")
	}
}

// TestHeld: a block is held when it can have come from the source, a cut way
// brings what was under way, and nothing later.
func TestHeld(t *testing.T) {
	cfg := config(3)
	cfg.Near, cfg.Far = 20*time.Millisecond, 20*time.Millisecond
	w := newWorld(cfg)
	for _, n := range w.nodes[1:] {
		n.alive, n.flows = true, make([]flow, cfg.Layout.N())
		n.flows[0] = flow{last: -1}
	}
	w.nodes[1].flows[0].feeders = []feeder{{from: 0, since: time.Second}}
	w.nodes[2].flows[0].feeders = []feeder{{from: 1, since: 0}}
	for at, want := range map[time.Duration]int64{
		1020 * time.Millisecond: -1, // fed since a second, and the way
		1060 * time.Millisecond: 10,
		1159 * time.Millisecond: 10, // block 11 is two times 30 ms away
		1160 * time.Millisecond: 11,
	} {
		if got := w.held(2, 0, at, 0); got != want {
			t.Errorf("at %v it holds %d, not %d", at, got, want)
		}
	}
	w.nodes[1].kids = []kid{{2, 0}}
	w.t = 1135 * time.Millisecond
	w.Kill(w.nodes[1:2])
	if got := w.held(2, 0, 1170*time.Millisecond, 0); got != 11 {
		t.Errorf("what was sent before the death is lost: %d", got)
	}
	if got := w.held(2, 0, 2*time.Second, 0); got != 11 {
		t.Errorf("the dead send: %d", got)
	}
}

// TestBound: the arithmetic of depth.
func TestBound(t *testing.T) {
	for n, want := range map[int]int{100: 3, 1000: 4, 10_000: 4, 100_000: 5} {
		cfg := DefaultConfig(1, n)
		w := &World{Config: cfg}
		for range n + 1 {
			w.nodes = append(w.nodes, &node{slots: cfg.Slots})
		}
		if got := w.Bound(); got != want {
			t.Errorf("%d participants need %d hops, not %d", n, got, want)
		}
	}
}
