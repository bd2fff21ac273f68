package sim

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	asked "github.com/stripecast/stripecast/test/sim/table"
)

var (
	onlyRows = flag.String("rows", "", "the table's rows to run, as F1,F3; all of them if empty")
	rowSeed  = flag.Uint64("row-seed", 0, "run the table's rows with this seed only")
	rowRuns  = flag.Int("row-runs", rowSeeds, "so many runs of each of the table's rows at the most")
)

// row is one fault of the acceptance table and what must hold under it.
type row struct {
	id, what, target string
	// run is one run with one seed. It runs beside others: t is only for t.Logf
	// and t.Errorf, and nothing outside the run's own World may be written.
	run   func(t *testing.T, seed uint64) figures
	seeds int // how many runs; 0 means rowSeeds
	// ttr is what 99 % of the repairs of all runs together must take at the most, if not
	// 0. One run alone has some hundred: its p99 is its second slowest.
	ttr time.Duration
	// known is part of what is said when a target is missed of which that is known.
	// It stands in the table as missed, and fails no test. All else does. Several
	// are separated by a bar.
	known string
}

// knows reports whether what is said is of a miss that is known.
func (r *row) knows(what string) bool {
	if r.known == "" {
		return false
	}
	return strings.HasPrefix(what, "for example ") || slices.ContainsFunc(strings.Split(r.known, "|"), func(part string) bool {
		return strings.Contains(what, part)
	})
}

// is reports whether a name is the row's, or that of all its kind: F8 is F8.1 as well.
func (r *row) is(name string) bool { return r.id == name || strings.HasPrefix(r.id, name+".") }

// rowSeeds is how often a row runs, as the acceptance table has it.
const rowSeeds = 5

// rowWorkers is how many runs go on at once.
const rowWorkers = 2

// figures is what one run of a row came to.
type figures struct {
	bl           float64       // the worst viewer's blocks skipped ÷ due
	due, skipped uint64        // all viewers' blocks
	still        time.Duration // the longest time for which a picture stood still
	ttr          []time.Duration
	never        int // stripes that got no other parent at all
	other        string
	broke        []string // what missed the target; empty: it holds

	since   time.Duration // from when on it was measured
	victims []*Node       // who were left out
}

// outcome is a run of a row.
type outcome struct {
	row, seed int
	figures
}

// TestTable runs the rows and prints the table. A row that misses its target
// fails the test, and says how to run it again.
func TestTable(t *testing.T) {
	large(t)
	if *onlyRows == "" {
		asked.Asked(t, "Table")
	}
	var rows []row
	for _, r := range slices.Concat(parentRows(), crowdRows(), pullRows(), riderRows()) {
		if *onlyRows == "" || slices.ContainsFunc(strings.Split(*onlyRows, ","), r.is) {
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no row is called %s", *onlyRows)
	}
	var runs []outcome
	for i, r := range rows {
		if r.seeds == 0 {
			r.seeds = rowSeeds
		}
		for s := 1; s <= min(r.seeds, *rowRuns); s++ {
			if *rowSeed == 0 {
				runs = append(runs, outcome{row: i, seed: s})
			}
		}
		if *rowSeed != 0 {
			runs = append(runs, outcome{row: i, seed: int(*rowSeed)})
		}
	}
	runAll(t, rows, runs)
	judgeRepairs(rows, runs)
	t.Log("\n" + table(rows, runs))
	for _, o := range runs {
		news := false
		for _, b := range o.broke {
			if rows[o.row].knows(b) {
				t.Logf("%s, seed %d: %s (known)", rows[o.row].id, o.seed, b)
				continue
			}
			news = true
			t.Errorf("%s, seed %d: %s", rows[o.row].id, o.seed, b)
		}
		if news {
			t.Errorf("again: go test ./test/sim -run Table -v -rows %s -row-seed %d", rows[o.row].id, o.seed)
		}
	}
}

// judgeRepairs holds the repairs of a row's runs, all together, to what the row wants.
// What is missed is said of its slowest run.
func judgeRepairs(rows []row, runs []outcome) {
	for i, r := range rows {
		var all []time.Duration
		var slowest *outcome
		for j := range runs {
			o := &runs[j]
			if o.row != i {
				continue
			}
			all = append(all, o.ttr...)
			if slowest == nil || Quantile(o.ttr, 0.99) > Quantile(slowest.ttr, 0.99) {
				slowest = o
			}
		}
		slices.Sort(all)
		if p99 := Quantile(all, 0.99); r.ttr > 0 {
			slowest.want(p99 <= r.ttr, "p99 of %d repairs is %v", len(all), ms(p99))
		}
	}
}

// runAll fills in the figures of all runs.
func runAll(t *testing.T, rows []row, runs []outcome) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range rowWorkers {
		workers.Go(func() {
			for i := range next {
				runs[i].figures = rows[runs[i].row].run(t, uint64(runs[i].seed))
			}
		})
	}
	for i := range runs {
		next <- i
	}
	close(next)
	workers.Wait()
}

// table is the worst of each row's runs, for people.
func table(rows []row, runs []outcome) string {
	var b strings.Builder
	out := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	fmt.Fprintln(out, "row\t| fault\t| runs\t| BL worst\t| skipped/due\t| ST worst\t| TTR p50/p99 (of one run)\t| other\t| target\t| holds?")
	for i, r := range rows {
		var all figures
		var worst *outcome
		count, red := 0, 0
		var slowest time.Duration // p99 of one run
		for j := range runs {
			o := &runs[j]
			if o.row != i {
				continue
			}
			count++
			all.bl, all.still = max(all.bl, o.bl), max(all.still, o.still)
			all.due, all.skipped = all.due+o.due, all.skipped+o.skipped
			all.ttr, all.never = append(all.ttr, o.ttr...), all.never+o.never
			slowest = max(slowest, Quantile(o.ttr, 0.99))
			if len(o.broke) > 0 {
				red++
			}
			if worst == nil || o.worse(worst) {
				worst = o
			}
		}
		slices.Sort(all.ttr)
		ttr := "–"
		if len(all.ttr) > 0 || all.never > 0 {
			ttr = fmt.Sprintf("%v/%v (%v)", ms(Quantile(all.ttr, 0.5)), ms(Quantile(all.ttr, 0.99)), ms(slowest))
		}
		if all.never > 0 {
			ttr += fmt.Sprintf(", never %d", all.never)
		}
		holds := "yes"
		if red > 0 {
			holds = fmt.Sprintf("NO, in %d of %d", red, count)
		}
		fmt.Fprintf(out, "%s\t| %s\t| %d\t| %.2g\t| %d/%d\t| %v\t| %s\t| %s\t| %s\t| %s\n",
			r.id, r.what, count, all.bl, all.skipped, all.due, ms(all.still), ttr, worst.other, r.target, holds)
	}
	out.Flush()
	return b.String()
}

// worse says of which run of a row the table tells the other figure: of the one
// that missed most.
func (o *outcome) worse(than *outcome) bool {
	return cmp.Or(cmp.Compare(len(o.broke), len(than.broke)), cmp.Compare(o.bl, than.bl), cmp.Compare(o.other, than.other)) > 0
}

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// missed begins a run's figures with what viewers missed since a time, the victims
// left out, and with what may happen in no row.
func missed(w *World, since time.Duration, victims ...*Node) (f figures) {
	m := w.Missed(since, victims...)
	f.bl, f.due, f.skipped = m.Worst, uint64(m.Due), uint64(m.Skipped)
	f.still, _ = w.Still(since, victims...)
	f.since, f.victims = since, victims
	f.ttr, f.never = w.Repairs(since), w.Unrepaired(3*time.Second)
	s := w.Sum(since)
	f.broke = append(f.broke, w.Accusations()...)
	if s.Spins > 0 || s.Over > 0 {
		f.broke = append(f.broke, fmt.Sprintf("%d wakes left a deadline that had passed, %d times more children than slots", s.Spins, s.Over))
	}
	if m.Behind > 0 {
		f.broke = append(f.broke, fmt.Sprintf("%d viewers do not play at the end", m.Behind))
	}
	if m.Due == 0 {
		f.broke = append(f.broke, "no block was due: no test")
	}
	return f
}

// want notes what missed the target.
func (f *figures) want(ok bool, format string, args ...any) {
	if !ok {
		f.broke = append(f.broke, fmt.Sprintf(format, args...))
	}
}

// unseen wants no block skipped, by whomever.
func (f *figures) unseen(w *World) {
	if f.skipped == 0 && f.still == 0 {
		return
	}
	why := "the first fates are of another time"
	for _, fate := range w.Sum(0).Fates {
		if fate.At >= f.since && !slices.Contains(f.victims, fate.Viewer) {
			why = fate.String()
			break
		}
	}
	f.want(false, "%d of %d blocks skipped, a picture stood still for %v: %s", f.skipped, f.due, f.still, why)
}
