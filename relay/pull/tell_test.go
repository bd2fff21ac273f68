package pull

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// whole has blocks from first to last come, whole, at the pace of the stream.
func (r *rig) whole(first, last uint64) {
	r.t.Helper()
	for number := first; number <= last; number++ {
		r.got(9, number, 0)
		r.store.has[number] = r.p.all
		r.p.Rebuilt(r.now, number)
		r.pass(100 * time.Millisecond)
	}
}

// Whoever lacks nothing says so in a few bytes; what is missing is named; it is told
// when it is late enough, and when it is there.
func TestHolesAreTold(t *testing.T) {
	r := newRig(t, nil)
	r.whole(0, 4)
	r.join(1, 63, 0)
	first := heardBy[*overlay.Window](r, 1)
	if len(first) != 1 || fmt.Sprint(first[0].Runs, first[0].Holes) != "[{0 4}] []" || !first[0].Live || first[0].Stripes != 63 {
		t.Fatalf("told %+v", first)
	}
	r.hear(1, &overlay.Window{Epoch: 9, Stripes: 0}) // it has nothing
	r.got(9, 5, 2)
	due := r.p.at(5).due
	r.pass(due.Add(holeAge - time.Millisecond).Sub(r.now))
	if got := heardBy[*overlay.Holes](r, 1); len(got) > 0 {
		t.Errorf("told too early: %v", got)
	}
	r.pass(time.Millisecond)
	if got := heardBy[*overlay.Holes](r, 1); len(got) != 1 || got[0].Newest != 5 || fmt.Sprint(got[0].Holes) != "[{5 59 0s}]" {
		t.Errorf("told %+v", got)
	}
	r.store.has[5] = 63
	r.p.Rebuilt(r.now, 5)
	r.step()
	if got := heardBy[*overlay.Holes](r, 1); len(got) > 0 {
		t.Errorf("again at once: %+v", got)
	}
	r.pass(eventEvery)
	if got := heardBy[*overlay.Holes](r, 1); len(got) != 1 || fmt.Sprint(got[0].Holes) != "[{5 0 0s}]" {
		t.Errorf("healed, and told %+v", got)
	}
}

// What a neighbour tells is believed, and no more.
func TestBelieved(t *testing.T) {
	r := newRig(t, nil)
	r.whole(0, 1)
	r.p.Up(r.now, node(1))
	r.hear(1, &overlay.Window{Epoch: 9, Ask: true, Live: true, Stripes: 0b1111,
		Runs: []overlay.Run{{First: 1, Last: 2}, {First: 5, Last: 9}}, Holes: []overlay.Piece{{Number: 6, Stripes: 3}}})
	nb := r.p.near[0]
	for number, want := range map[uint64]uint64{0: 0, 1: 15, 2: 15, 3: 0, 4: 0, 5: 15, 6: 12, 9: 15, 11: 15, 12: 0} {
		if got := nb.believed(r.now, r.p, number); got != want {
			t.Errorf("block %d: %b, want %b", number, got, want)
		}
	}
	if later := r.now.Add(300 * time.Millisecond); nb.believed(later, r.p, 14) != 15 || nb.believed(later, r.p, 15) != 0 {
		t.Error("the last run does not go on at the stream's pace")
	}
	r.hear(1, &overlay.Holes{Newest: 12, Holes: []overlay.Piece{{Number: 6}, {Number: 7, Stripes: 1}}})
	for number, want := range map[uint64]uint64{6: 15, 7: 14, 12: 15, 14: 15, 15: 0} {
		if got := nb.believed(r.now, r.p, number); got != want {
			t.Errorf("after Holes, block %d: %b, want %b", number, got, want)
		}
	}
	nb.live = false
	if nb.believed(r.now, r.p, 12) != 15 || nb.believed(r.now, r.p, 13) != 0 {
		t.Error("the last run goes on although it is not live")
	}
	nb.epoch = 8
	if nb.believed(r.now, r.p, 6) != 0 {
		t.Error("another epoch's blocks are believed")
	}
}

// More holes than may be told of hide what is older.
func TestManyHoles(t *testing.T) {
	r := newRig(t, nil)
	r.whole(0, 100)
	for n := range uint64(100) {
		r.store.has[n] = 1
	}
	run, holes, ok := r.p.liveRun(r.p.cfg.Stripes)
	if !ok || run != (overlay.Run{First: 36, Last: 100}) || len(holes) != overlay.MaxHoles || holes[0].Number != 36 {
		t.Errorf("%v, %d holes, %v", run, len(holes), ok)
	}
	overlay.Encode(r.p.state(r.now, false))
}

// Recordings are told of with what is live; what touches is one run, and the oldest of
// too many is left out.
func TestRuns(t *testing.T) {
	r := newRig(t, nil)
	r.whole(50, 52)
	for _, c := range []struct{ stored, want string }{
		{"[]", "[{50 52}]"},
		{"[{3 9}]", "[{3 9} {50 52}]"},
		{"[{3 49}]", "[{3 52}]"},
		{"[{3 9} {20 51}]", "[{3 9} {20 52}]"},
		{"[{1 2} {4 5} {7 8} {10 11} {13 14}]", "[{7 8} {10 11} {13 14} {50 52}]"},
	} {
		r.store.runs = runsOf(c.stored)
		m := r.p.state(r.now, false)
		if got := fmt.Sprint(m.Runs); got != c.want {
			t.Errorf("%s: %s, want %s", c.stored, got, c.want)
		}
		if _, err := overlay.Decode(overlay.Encode(m)); err != nil {
			t.Error(err)
		}
	}
}

// runsOf reads runs as they are printed.
func runsOf(text string) (runs []overlay.Run) {
	for len(text) > 2 {
		var r overlay.Run
		if _, err := fmt.Sscanf(text[1:], "{%d %d}", &r.First, &r.Last); err != nil {
			panic(err)
		}
		runs = append(runs, r)
		for text = text[1:]; len(text) > 0 && text[0] != '}'; {
			text = text[1:]
		}
		text = text[1:]
	}
	return runs
}

// Nothing comes: neighbours are asked what there is, less and less often.
func TestProbe(t *testing.T) {
	r := newRig(t, nil)
	r.whole(0, 4)
	for i := 1; i <= 3; i++ {
		r.join(i, 63, 4)
	}
	r.said = nil
	var asked []int
	for range 6 {
		r.pass(time.Second)
		n := 0
		for i := 1; i <= 3; i++ {
			for _, m := range heardBy[*overlay.Window](r, i) {
				if m.Ask {
					n++
				}
			}
		}
		asked = append(asked, n)
	}
	if asked[0] < 4 || asked[3]+asked[4]+asked[5] < 2 || asked[3]+asked[4]+asked[5] > 6 {
		t.Errorf("questions a second: %v", asked)
	}
}

// Question after question is answered five times a second.
func TestAnswerRate(t *testing.T) {
	r := newRig(t, nil)
	r.whole(0, 4)
	r.join(1, 63, 4)
	r.said = nil
	for range 1000 {
		r.now = r.now.Add(time.Millisecond)
		r.hear(1, window(true, false))
	}
	answers := slices.DeleteFunc(heardBy[*overlay.Window](r, 1), func(m *overlay.Window) bool { return m.Ask })
	if n := len(answers); n < 5 || n > 6 {
		t.Errorf("a thousand questions in a second are answered %d times", n)
	}
}

// What telling costs: eight neighbours, 1 Mbit/s, 16+4. All that a Window is, with its
// frame's two bytes; and even if each travels in a packet of its own, of IP, UDP, and
// QUIC (short header, 4 bytes of connection ID, 2 of number, 16 of seal, 8 of stream
// frame).
func TestOverhead(t *testing.T) {
	const rate, frame, packet = 1_000_000, 2, 20 + 8 + 1 + 4 + 2 + 16 + 8
	r := newRig(t, func(c *Config) { c.Info = streamInfo(16, 4) })
	r.whole(0, 30)
	size := len(overlay.Encode(r.p.state(r.now, false)))
	every := r.p.interval(r.p.cfg.Stripes).Seconds()
	bare := 8 * float64(MaxNeighbours*(size+frame)) / every / rate
	alone := 8 * float64(MaxNeighbours*(size+frame+packet)) / every / rate
	t.Logf("a Window of %d bytes every %.0f s to %d neighbours: %.3f %% of the stream; in packets of their own %.3f %%", size, every, MaxNeighbours, 100*bare, 100*alone)
	if bare > 0.0015 || alone > 0.003 {
		t.Errorf("%.3f %%, in packets of their own %.3f %%", 100*bare, 100*alone)
	}
	v := newRig(t, func(c *Config) { c.Info, c.Pulls, c.Stripes = streamInfo(16, 4), false, 1<<7 })
	v.got(9, 0, 7)
	v.pass(time.Second)
	v.join(1, 63, 5)
	m := heardBy[*overlay.Window](v, 1)
	if len(m) != 1 || m[0].Stripes != 1<<7 || len(m[0].Holes) > 0 || fmt.Sprint(m[0].Runs) != "[{0 0}]" {
		t.Fatalf("one who carries stripe 7 says %+v", m)
	}
	if volunteer := v.p.interval(v.p.cfg.Stripes); volunteer != stateMost || bits.OnesCount64(v.p.cfg.Stripes) != 1 {
		t.Errorf("and so every %v", volunteer)
	}
}
