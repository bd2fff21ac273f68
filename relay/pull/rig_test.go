package pull

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// epoch0 is when virtual time begins.
var epoch0 = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// holder is a Store of shards of one size.
type holder struct {
	has  map[uint64]uint64
	runs []overlay.Run
	size int
	lies bool // it says that it holds everything
}

func (h *holder) Holds(number uint64) (uint64, int) {
	if h.lies {
		return math.MaxUint64 >> 44, h.size
	}
	return h.has[number], h.size
}
func (h *holder) Runs() []overlay.Run       { return h.runs }
func (h *holder) Here(number uint64) uint64 { return h.has[number] }

// unmetered is a Meter that always has room.
type unmetered struct{}

func (unmetered) Wait(time.Time, int) time.Duration { return 0 }
func (unmetered) Take(time.Time, int) time.Duration { return 0 }

// metered lets rate bytes a second through, as relay.Bucket does.
type metered struct {
	rate, level float64
	at          time.Time
}

func (m *metered) Wait(now time.Time, n int) time.Duration {
	m.level = min(m.level+m.rate*now.Sub(m.at).Seconds(), m.rate/4)
	m.at = now
	return max(0, time.Duration((float64(n)-m.level)/m.rate*float64(time.Second)))
}

func (m *metered) Take(now time.Time, n int) time.Duration {
	wait := m.Wait(now, n)
	m.level -= float64(n)
	return wait
}

func node(i int) (id membership.NodeID) {
	id[0], id[1], id[31] = byte(i>>8), byte(i), 1
	return id
}

func streamInfo(k, m int) stripe.Info {
	return stripe.Info{Stream: stripe.ID{0: 7}, Epoch: 9, Layout: stripe.Layout{K: k, M: m}, BlockTime: 100 * time.Millisecond, Rate: 1_000_000}
}

// rig is one Puller, 4+2, and all that surrounds it.
type rig struct {
	t     *testing.T
	now   time.Time
	p     *Puller
	store *holder
	said  []Output
}

func newRig(t *testing.T, change func(*Config)) *rig {
	store := &holder{has: map[uint64]uint64{}, size: 1000}
	cfg := Config{Self: node(0), Info: streamInfo(4, 2), Pulls: true, Delay: 2 * time.Second, Store: store, Meter: unmetered{}}
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, now: epoch0, store: store}
	r.p = New(r.now, cfg, membership.NewBook(cfg.Self, nil), rand.New(rand.NewPCG(1, 2)))
	return r
}

// step lets the Puller do what is due, keeps what it said, and looks for faults.
func (r *rig) step() {
	r.t.Helper()
	r.p.Step(r.now)
	r.said = append(r.said, slices.Clone(r.p.Take())...)
	for _, fault := range faults(r.now, r.p) {
		r.t.Errorf("at %v: %s", r.now.Sub(epoch0), fault)
	}
}

// pass lets time pass, with all Steps that fall due.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for at := r.p.Deadline(); !at.After(end); at = r.p.Deadline() {
		r.now = at
		r.step()
	}
	r.now = end
	r.step()
}

// join makes node i a neighbour that has these stripes of blocks 0 to last.
func (r *rig) join(i int, stripes uint64, last uint64) {
	r.t.Helper()
	r.p.Up(r.now, node(i))
	r.hear(i, &overlay.Window{Epoch: 9, Ask: true, Live: true, Stripes: stripes, Runs: []overlay.Run{{First: 0, Last: last}}})
}

func (r *rig) hear(i int, m overlay.Message) {
	r.t.Helper()
	r.p.Heard(r.now, node(i), m)
	r.step()
}

// got has a shard come from node i.
func (r *rig) got(i int, number uint64, s int) (pulled bool) {
	r.t.Helper()
	r.store.has[number] |= 1 << s
	pulled = r.p.Got(r.now, node(i), number, s, 1000+int64(number)*100)
	r.step()
	return pulled
}

// heardBy is all that was said to node i since the last look, of one kind.
func heardBy[M overlay.Message](r *rig, i int) (got []M) {
	r.said = slices.DeleteFunc(r.said, func(o Output) bool {
		s, ok := o.(Say)
		if !ok || s.To != node(i) {
			return false
		}
		m, is := s.Msg.(M)
		if is {
			got = append(got, m)
		}
		return is
	})
	return got
}

// outputs are all of one kind since the last look.
func outputs[O Output](r *rig) (got []O) {
	r.said = slices.DeleteFunc(r.said, func(o Output) bool {
		x, is := o.(O)
		if is {
			got = append(got, x)
		}
		return is
	})
	return got
}

// wantsOf are the shards that node i was asked for: "block/stripe", "+" behind the
// spare.
func wantsOf(r *rig, i int) (shards []string) {
	for _, m := range heardBy[*overlay.Want](r, i) {
		for _, piece := range m.Pieces {
			for s := range 64 {
				if piece.Stripes>>s&1 == 0 {
					continue
				}
				text := fmt.Sprintf("%d/%d", piece.Number, s)
				if piece.After > 0 {
					text += "+"
				}
				shards = append(shards, text)
			}
		}
	}
	slices.Sort(shards)
	return shards
}

// short is a rig with two neighbours who have all, and block 0 of which two shards are
// here and two short: two and a spare are asked for, as little time is left.
func short(t *testing.T) *rig { return shortFor(t, patienceFirst+spareLeft) }

// shortFor is it where blocks are played so long after their front.
func shortFor(t *testing.T, delay time.Duration) *rig {
	r := newRig(t, func(c *Config) { c.Delay = delay })
	for i := 1; i <= 2; i++ {
		r.join(i, 63, 0)
		r.p.Measured(node(i), 20*time.Millisecond, time.Millisecond)
	}
	r.got(9, 0, 0)
	r.got(9, 0, 1)
	r.pass(patienceFirst - time.Millisecond)
	r.hear(1, &overlay.Cancel{}) // our own path is alive
	r.pass(time.Millisecond)
	return r
}
