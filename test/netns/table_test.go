//go:build linux

package netns

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is what one fault did.
type row struct {
	name, fault string
	due, missed uint64          // blocks of all viewers
	share       float64         // missed by the worst viewer, of those it was due
	stood       time.Duration   // the longest that a picture stood still
	replaced    []time.Duration // per child of the dead, sorted: until all its stripes had live parents again
	lost        int             // children of the dead that did not get there while watched
	short       time.Duration   // the longest that anybody else had not all of its stripes
	compared    int             // bytes that viewers gave to players, and were the source's
	ours, all   float64         // cores: the stream's and the test's own, and the machine's
	notes       []string
}

// percentile of sorted figures, the next that was measured.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(p*float64(len(sorted))))-1]
}

func (r *row) String() string {
	replaced := "-"
	if len(r.replaced)+r.lost > 0 {
		replaced = fmt.Sprintf("%.2f / %.2f s of %d", percentile(r.replaced, 0.5).Seconds(), percentile(r.replaced, 0.99).Seconds(), len(r.replaced)+r.lost)
	}
	if r.lost > 0 {
		replaced += fmt.Sprintf(", %d never", r.lost)
	}
	s := fmt.Sprintf("%-4s %-44s %d of %d (worst %.1f %%) | ST %.2f s | TTR %s | others short %.2f s | %.1f MB compared | CPU %.2f of %.2f",
		r.name, r.fault, r.missed, r.due, 100*r.share, r.stood.Seconds(), replaced, r.short.Seconds(), float64(r.compared)/1e6, r.ours, r.all)
	for _, n := range r.notes {
		s += "\n       " + n
	}
	return s
}

// stage is a cast while a row is measured.
type stage struct {
	*cast
	row    *row
	before map[*member]status
	began  time.Time
	spent  float64
	ticks  [2]int
}

// begin starts to measure.
func (c *cast) begin(name, fault string) *stage {
	c.t.Helper()
	for _, v := range c.viewers {
		v.eye.mark() // forget how it was while all came
	}
	pass(2 * time.Second)
	s := &stage{cast: c, row: &row{name: name, fault: fault}, before: map[*member]status{}}
	for _, v := range c.viewers {
		v.eye.mark()
		s.before[v] = v.status(c.t)
	}
	s.began, s.spent = time.Now(), spent(c.t)
	s.ticks[0], s.ticks[1] = busy(c.t)
	return s
}

// missing is what viewers have missed since the stage began.
func (s *stage) missing() (due, missed uint64, share float64) {
	s.t.Helper()
	for _, v := range s.viewers {
		was, is := s.before[v].Blocks, v.status(s.t).Blocks
		m := is.Skipped - was.Skipped
		d := is.Played - was.Played + m
		due, missed = due+d, missed+m
		if d > 0 {
			share = max(share, float64(m)/float64(d))
		}
	}
	return due, missed, share
}

// end closes the row. What a player got must be the source's, whatever happened.
func (s *stage) end() *row {
	s.t.Helper()
	r, now := s.row, time.Now()
	took := now.Sub(s.began).Seconds()
	spentAll, could := busy(s.t)
	r.ours = (spent(s.t) - s.spent) / took
	r.all = float64(spentAll-s.ticks[0]) / float64(could-s.ticks[1]) * cores()
	r.due, r.missed, r.share = s.missing()
	for _, v := range s.viewers {
		got := v.eye.seen(now)
		r.stood = max(r.stood, got.stood)
		r.compared += got.right
		if got.wrong > 0 {
			s.t.Errorf("%s: %d of %d bytes to the player are not the source's", v.name, got.wrong, got.wrong+got.right)
		}
		if r.missed == 0 && got.gaps > 0 {
			s.t.Errorf("%s: %d gaps in what a player gets, and no block was skipped", v.name, got.gaps)
		}
	}
	slices.Sort(r.replaced)
	s.t.Log(r)
	return r
}

// kill ends participants at one instant, and watches for a while how the others
// mend it.
func (s *stage) kill(victims []*member, watched time.Duration) {
	s.t.Helper()
	w := &wake{source: s.source, names: map[string]string{}, dead: map[string]bool{}, were: map[*member]status{}}
	for _, m := range append([]*member{s.source}, s.alive()...) {
		st := m.status(s.t)
		w.names[st.Node] = m.name
		w.were[m] = st
		if slices.Contains(victims, m) {
			w.dead[st.Node] = true
		} else if m != s.source {
			w.others = append(w.others, m)
		}
	}
	w.at = time.Now()
	for _, v := range victims {
		v.kill()
	}
	stop := watch(context.Background(), 50*time.Millisecond, w.others)
	pass(watched)
	seen := stop()
	for _, m := range w.others {
		mended, short := w.mending(m, seen[m])
		switch {
		case !w.were[m].fedBy(w.dead):
			s.row.short = max(s.row.short, short)
			continue
		case mended == 0:
			s.row.lost++
		default:
			s.row.replaced = append(s.row.replaced, mended)
		}
		if (mended == 0 || mended > time.Second) && w.told < maxStories {
			w.told++
			s.t.Logf("%s is slow:%s", m.name, w.story(seen[m]))
		}
	}
}

// wake is what a kill leaves behind.
type wake struct {
	at     time.Time
	source *member
	others []*member // that live on
	names  map[string]string
	dead   map[string]bool
	were   map[*member]status // just before
	told   int
}

// maxStories is how many are told after a kill; most are the same.
const maxStories = 2

// mending is when after a kill a participant first had all that it wants of live
// parents, 0 if it did not, and the longest that it then or before had not.
func (w *wake) mending(m *member, seen []glance) (mended, short time.Duration) {
	since := w.at
	for _, g := range seen {
		if whole(m, g.status, w.dead) {
			if mended == 0 {
				mended = g.at.Sub(w.at)
			}
			since = g.at
		}
		short = max(short, g.at.Sub(since))
	}
	return mended, short
}

// story is who fed each stripe that the dead had fed, and from when on; and who
// could have: those who were interior in it.
func (w *wake) story(seen []glance) string {
	var b strings.Builder
	if len(seen) == 0 {
		return " it says nothing"
	}
	for i := range seen[0].Stripes {
		var line strings.Builder
		was, hurt := "", false
		for _, g := range seen {
			is := "nobody"
			switch s := g.Stripes[i]; {
			case w.dead[s.Parent]:
				is, hurt = "dead "+w.names[s.Parent], true
			case s.Parent != "" && !s.Live:
				is = "silent " + w.names[s.Parent]
			case s.Parent != "":
				is = w.names[s.Parent]
			}
			if is != was {
				fmt.Fprintf(&line, " %s (%.2f s)", is, g.at.Sub(w.at).Seconds())
			}
			was = is
		}
		if hurt {
			fmt.Fprintf(&b, "\n  stripe %2d:%s; could:%s", i, line.String(), w.carriers(i))
		}
	}
	return b.String()
}

// carriers is who was interior in a stripe, below whom, with how many slots free.
func (w *wake) carriers(stripe int) string {
	var b strings.Builder
	for _, m := range append([]*member{w.source}, w.others...) {
		if st := w.were[m]; st.Stripes[stripe].Home {
			s := st.Stripes[stripe]
			fmt.Fprintf(&b, " %s (below %q, feeds %d, %d free)", m.name, w.names[s.Parent], s.Children, st.Slots-st.Children)
		}
	}
	return b.String()
}

// busiest is the so many relays with the most children.
func (c *cast) busiest(n int) []*member {
	c.t.Helper()
	children := map[*member]int{}
	var running []*member
	for _, r := range c.relays {
		if r.running() {
			running = append(running, r)
			children[r] = r.status(c.t).Children
		}
	}
	slices.SortStableFunc(running, func(a, b *member) int { return children[b] - children[a] })
	return running[:n]
}

// want is what a row must hold.
func want(t *testing.T, held bool, format string, args ...any) {
	t.Helper()
	if !held {
		t.Errorf(format+" (%s)", append(args, load())...)
	}
}

// usual is who takes part: as many as two cores carry without being the fault
// themselves. The source can send the whole stream three times and a relay twice,
// parity and headers and all, a viewer not once: relays are what is interior.
func usual() plan {
	return plan{relays: 12, viewers: 8, sourceUp: 12e6, relayUp: 8e6, viewUp: 3e6, block: 100 * time.Millisecond}
}

// TestTableN prints the rows that want real processes and a real network.
func TestTableN(t *testing.T) {
	need(t)
	if os.Getenv("STRIPECAST_FULL") != "1" || testing.Short() {
		t.Skip("it takes the whole machine for more than a minute: STRIPECAST_FULL=1 runs it")
	}
	var table strings.Builder
	for _, f := range []struct {
		name string
		run  func(*testing.T) *row
	}{{"F1", relayKilled}, {"F7", lossyUplinks}, {"F18", manyKilled}, {"F23", homeUplink}} {
		t.Run(f.name, func(t *testing.T) {
			if r := f.run(t); r != nil {
				fmt.Fprintf(&table, "\n%v", r)
			}
		})
	}
	t.Logf("BL, ST and TTR with real processes, %.2f Mbit/s, %v to play (%s):%s", rate()/1e6, playDelay, load(), table.String())
}

// relayKilled is F1: interior relays die one after the other.
func relayKilled(t *testing.T) *row {
	const kills = 3
	c := assemble(t, usual())
	c.settled()
	s := c.begin("F1", fmt.Sprintf("kill -9 of the busiest relay, %d in turn", kills))
	for range kills {
		s.kill(c.busiest(1), 3*time.Second)
		// The next is another fault, not a part of this; but it comes.
		since := time.Now()
		poll(3*time.Second, func() bool { return c.calm(&since) })
	}
	pass(playDelay) // what was under way when the last died is played
	r := s.end()
	want(t, r.missed == 0, "%d of %d blocks were missed", r.missed, r.due)
	want(t, r.stood == 0, "a picture stood still for %v", r.stood)
	want(t, r.lost == 0 && percentile(r.replaced, 0.99) <= time.Second, "the slowest had all its parents after %v, and %d had not at the end", percentile(r.replaced, 1), r.lost)
	return r
}

// lossyUplinks is F7: a tenth of what some relays send is lost, and nothing of
// what they get; and then the reverse.
func lossyUplinks(t *testing.T) *row {
	const percent, each = 10, 4 * time.Second
	c := assemble(t, usual())
	c.settled()
	s := c.begin("F7", fmt.Sprintf("%d %% loss at a half of the relays, up, then down", percent))
	lossy := c.busiest(len(c.relays) / 2)
	for _, way := range []string{up, down} {
		for _, r := range lossy {
			c.lose(r.host, way, percent)
		}
		pass(each)
		c.heal()
	}
	pass(playDelay)
	r := s.end()
	want(t, r.missed == 0, "%d of %d blocks were missed", r.missed, r.due)
	want(t, r.stood == 0, "a picture stood still for %v", r.stood)
	return r
}

// manyKilled is F18: 30 % of the relays die at one instant, those that feed most.
func manyKilled(t *testing.T) *row {
	c := assemble(t, usual())
	c.settled()
	victims := c.busiest((len(c.relays)*3 + 9) / 10)
	s := c.begin("F18", fmt.Sprintf("kill -9 of the %d busiest of %d relays at once", len(victims), len(c.relays)))
	s.kill(victims, 5*time.Second)
	_, soon, share := s.missing()
	pass(4 * time.Second)
	r := s.end()
	want(t, share <= 0.01, "a viewer missed %.1f %% of its blocks in the first 5 s", 100*share)
	want(t, r.missed == soon, "%d blocks were missed later than 5 s after", r.missed-soon)
	want(t, r.lost == 0 && percentile(r.replaced, 1) <= 3*time.Second, "the slowest had all its parents after %v, and %d had not at the end", percentile(r.replaced, 1), r.lost)
	return r
}

// homeUplink is F23: the source's link carries 1.25 times the stream's rate, the
// viewers' twice that each, and there is nobody else. It is measured, and nothing
// is demanded of it but that no wrong byte comes.
func homeUplink(t *testing.T) *row {
	c := assemble(t, plan{viewers: 20, sourceUp: 1.25 * rate(), sourceLimit: 1.25 * rate(), viewUp: 2 * rate()})
	c.eventually("all viewers are in the pool", func() bool {
		for _, v := range c.viewers {
			if _, err := v.look(); err != nil {
				return false
			}
		}
		return true
	})
	poll(10*time.Second, func() bool { return c.playing() == len(c.viewers) })
	s := c.begin("F23", "a source with 1.25 times the rate, viewers with 2")
	pass(8 * time.Second)
	s.row.notes = append(s.row.notes, fmt.Sprintf("nothing is demanded here yet; %d of %d viewers play", c.playing(), len(c.viewers)))
	return s.end()
}
