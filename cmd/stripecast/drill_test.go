package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// someone is a node of that letter; '-' is none, 's' the source.
func someone(letter byte) membership.NodeID {
	if letter == '-' {
		return membership.NodeID{}
	}
	return membership.NodeID{0: letter}
}

// fedBy is the stripes of a viewer, one a letter: its parent, a capital if it is
// late.
func fedBy(parents string) (stripes []relay.StripeStatus) {
	for i := range parents {
		letter := parents[i] | 0x20
		late := letter != parents[i] || parents[i] == '-'
		stripes = append(stripes, relay.StripeStatus{Stripe: i, Parent: someone(letter), Live: !late})
	}
	return stripes
}

// seen is a sight of a viewer at so many milliseconds.
func seen(ms int, parents string, played, skipped uint64) sight {
	s := sight{
		at: time.UnixMilli(int64(ms)), stripes: fedBy(parents), played: played, skipped: skipped,
		info: stripe.Info{Root: [32]byte(someone('s')), Layout: stripe.Layout{K: 4, M: 2}, BlockTime: 100 * time.Millisecond},
	}
	for _, b := range s.stripes {
		if b.Live {
			s.live++
		}
	}
	return s
}

func TestChooseParents(t *testing.T) {
	for _, c := range []struct {
		name, want string
		n          int
		viewers    []string
	}{
		{"those with most stripes", "cb", 2, []string{"abbccc"}},
		{"among equals the lower ID", "ab", 2, []string{"cbaa-b"}},
		{"never the source", "a", 3, []string{"sssssa"}},
		{"only the source", "", 3, []string{"ssssss"}},
		{"nobody", "", 3, []string{"------"}},
		{"late ones too", "b", 1, []string{"aBBsss"}},
		{"fewer than asked", "ba", 4, []string{"abbsss"}},
		{"over all viewers", "cd", 2, []string{"aacdss", "bbcd", "ccds"}},
		{"no viewers", "", 2, nil},
	} {
		var stripes [][]relay.StripeStatus
		for _, v := range c.viewers {
			stripes = append(stripes, fedBy(v))
		}
		got := chooseParents(stripes, c.n, func(id membership.NodeID) bool { return id != someone('s') })
		want := []membership.NodeID{}
		for i := range c.want {
			want = append(want, someone(c.want[i]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
}

func TestUnready(t *testing.T) {
	for _, c := range []struct {
		parents string
		played  uint64
		want    error
	}{
		{"aabbcs", 1, nil},
		{"aabbcs", 0, errSilent},
		{"", 5, errSilent},
		{"ssssss", 5, errRootOnly},
		{"ss----", 5, errRootOnly},
		{"aabb-s", 5, errPartial},
		{"aabBcs", 5, errPartial},
	} {
		if got := seen(0, c.parents, c.played, 0).unready(); !errors.Is(got, c.want) {
			t.Errorf("%q after %d blocks: %v, want %v", c.parents, c.played, got, c.want)
		}
	}
}

// TestWatch: what a round is found to have cost.
func TestWatch(t *testing.T) {
	cut := []membership.NodeID{someone('a'), someone('b'), someone('z')}
	for _, c := range []struct {
		name, before string
		after        []sight
		lost, parts  int // parts of cut that fed it
		spare        int
		ttr          float64 // below 0: not
	}{
		{"fed again one by one", "aabcds",
			[]sight{seen(1020, "aabcds", 0, 0), seen(1400, "ccBcds", 0, 0), seen(1600, "ccdcds", 0, 0), seen(1700, "CcdcdS", 0, 0)}, 3, 2, -1, 0.6},
		{"the parents are back, and that does not count", "aabcds",
			[]sight{seen(1020, "-abcds", 0, 0), seen(1400, "acdcds", 0, 0)}, 3, 2, -1, -1},
		{"others late at the same time", "abcdss",
			[]sight{seen(1300, "--CDss", 0, 0), seen(1500, "ccCdss", 0, 0), seen(1900, "cccdss", 0, 0)}, 2, 2, -2, 0.9},
		{"what was not fed before is not missed", "aAcdss",
			[]sight{seen(1300, "c-cdss", 0, 0)}, 1, 1, 0, 0.3},
		{"hit by none of them", "ccddss",
			[]sight{seen(1020, "ccddss", 0, 0)}, 0, 0, 2, 0.02},
		{"the stream goes", "accdss",
			[]sight{seen(1020, "", 0, 0), seen(1200, "cccdss", 0, 0)}, 1, 1, -4, 0.2},
	} {
		before := seen(1000, c.before, 100, 7)
		w := newWatch(3, 2, cut, before)
		for _, s := range c.after {
			w.see(s)
		}
		o := w.end(seen(11000, "ccddss", 195, 12), 250*time.Millisecond)
		if o.Round != 3 || o.Viewer != 2 || o.Lost != c.lost || len(o.Parents) != c.parts || o.Live != before.live || o.Spare != c.spare {
			t.Errorf("%s: %+v", c.name, o)
		}
		if (o.TTR == nil) != (c.ttr < 0) || o.TTR != nil && math.Abs(*o.TTR-c.ttr) > 1e-9 {
			t.Errorf("%s: fed again after %v, want %v", c.name, o.TTR, c.ttr)
		}
		if o.Due != 100 || o.Played != 95 || o.Skipped != 5 || o.Still != 0.25 || o.Length != 10 {
			t.Errorf("%s: %+v", c.name, o)
		}
	}
}

// TestPulse: playing stands still from when a block's time is over to the next.
func TestPulse(t *testing.T) {
	type beat struct {
		at     int // ms
		number uint64
		source int64 // ms
	}
	for _, c := range []struct {
		name  string
		beats []beat
		at    int
		want  int // ms
	}{
		{"even", []beat{{1000, 1, 100}, {1100, 2, 200}, {1200, 3, 300}}, 1250, 0},
		{"one late", []beat{{1000, 1, 100}, {1230, 2, 200}, {1240, 3, 300}}, 1300, 130},
		{"one skipped", []beat{{1000, 1, 100}, {1200, 3, 300}}, 1250, 100},
		{"the longest", []beat{{1000, 1, 100}, {1300, 4, 400}, {1700, 8, 800}, {1850, 9, 900}}, 1900, 300},
		{"a source that pauses is not to blame", []beat{{1000, 1, 100}, {2000, 2, 1100}}, 2050, 0},
		{"still under way", []beat{{1000, 1, 100}}, 1700, 600},
		{"unequal blocks", []beat{{1000, 1, 100}, {1240, 2, 340}, {1250, 3, 350}, {1480, 4, 580}}, 1500, 0},
		{"the same source time twice", []beat{{1000, 1, 100}, {1100, 2, 100}}, 1150, 0},
		{"nothing yet", nil, 5000, 0},
	} {
		p := &pulse{}
		p.Open(stripe.Info{BlockTime: 100 * time.Millisecond})
		for _, b := range c.beats {
			p.beat(time.UnixMilli(int64(b.at)), stripe.Header{Epoch: 1, Number: b.number, SourceTime: b.source})
		}
		now := time.UnixMilli(int64(c.at))
		if got := p.take(now); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("%s: still for %v, want %d ms", c.name, got, c.want)
		}
		if len(c.beats) > 1 && p.take(now) > 0 {
			t.Errorf("%s: taken twice", c.name)
		}
	}
}

func someReport() *report {
	s := func(v float64) *float64 { return &v }
	r := &report{Stream: "id", Name: "film", Layout: "4+2", Every: 10, Rounds: []outcome{
		{Round: 1, Viewer: 1, Parents: []string{"a", "b"}, Lost: 3, Live: 6, Due: 100, Played: 100, Still: 0.004, TTR: s(0.61), Spare: -1, Length: 10},
		{Round: 2, Viewer: 1, Parents: []string{"c"}, Lost: 2, Live: 6, Due: 98, Played: 95, Skipped: 3, Still: 0.31, TTR: s(1.2), Length: 10},
	}}
	r.sum()
	return r
}

func TestReportTable(t *testing.T) {
	const want = "" +
		"  round  viewer  parents cut  stripes lost  blocks due  played  skipped  stand-still  fed again after  least spare\n" +
		"      1       1            2        3 of 6         100     100        0       0.00 s           0.61 s           -1\n" +
		"      2       1            1        2 of 6          98      95        3       0.31 s              not            0\n" +
		"  total                    3             5         198     195        3       0.31 s              not           -1\n"
	r := someReport()
	if *r.Total.TTR != 1.2 {
		t.Errorf("fed again after %v", *r.Total.TTR)
	}
	r.Rounds[1].TTR = nil
	r.sum()
	var out bytes.Buffer
	if err := r.write(&out, false); err != nil || out.String() != want {
		t.Errorf("%v\n%swant\n%s", err, out.String(), want)
	}
}

func TestReportJSON(t *testing.T) {
	var out bytes.Buffer
	r := someReport()
	r.Rounds[1].TTR = nil
	r.sum()
	if err := r.write(&out, true); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rounds []map[string]any
		Total  map[string]any
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if o := got.Rounds[0]; o["stripes_lost"] != 3.0 || o["ttr"] != 0.61 || o["least_spare"] != -1.0 || len(o["parents_cut"].([]any)) != 2 {
		t.Errorf("%v", o)
	}
	if o := got.Rounds[1]; o["ttr"] != nil || o["blocks_skipped"] != 3.0 {
		t.Errorf("%v", o)
	}
	if s := got.Total; s["blocks_due"] != 198.0 || s["parents_cut"] != 3.0 || s["ttr"] != nil || s["standstill"] != 0.31 {
		t.Errorf("%v", s)
	}
}

func TestVerdict(t *testing.T) {
	r := someReport()
	if err := r.verdict(); err == nil || err.Error() != "3 of 198 blocks were skipped" {
		t.Errorf("%v", err)
	}
	r.Rounds = r.Rounds[:1]
	r.sum()
	if err := r.verdict(); err != nil {
		t.Errorf("%v", err)
	}
}

// TestDrillMistakes: each is told before anything is started.
func TestDrillMistakes(t *testing.T) {
	id := strings.Repeat("a", 52)
	link := "stripecast://" + id + "@127.0.0.1:1/x"
	if _, err := stripe.ParseLink(link); err == nil {
		t.Fatal("the link must not be one that could be dialled")
	}
	const good = "stripecast://oo4rnqntiqklf732uvbhhxjwj2omaccffyetov62n2murhi42nza@127.0.0.1:1/film"
	for _, c := range []struct {
		args []string
		code int
		hint string
	}{
		{[]string{"drill", link}, 1, "stripecast://ID@host:port/name"},
		{[]string{"drill"}, 2, "help"},
		{[]string{"drill", good, "--parents", "-1"}, 1, "--parents"},
		{[]string{"drill", good, "--parents", "65"}, 1, "--parents"},
		{[]string{"drill", good, "--rounds", "0"}, 1, "--rounds"},
		{[]string{"drill", good, "--viewers", "9"}, 1, "--viewers from 1 to 8"},
		{[]string{"drill", good, "--viewers", "0"}, 1, "--viewers"},
		{[]string{"drill", good, "--every", "1s"}, 1, "--every from 3s to 10m"},
		{[]string{"drill", good, "--delay", "1h"}, 1, "--delay"},
		{[]string{"drill", good, "--listen", "nowhere"}, 1, "--listen"},
		{[]string{"demo", "--drill", "--kill-every", "1s"}, 1, "--kill-every"},
		{[]string{"demo", "--drill", "--relays", "0"}, 1, "1 relay"},
	} {
		code, out, errs := call(t, c.args...)
		_, hint, _ := strings.Cut(errs, "\nhint: ")
		if code != c.code || out != "" || !strings.HasPrefix(errs, "error: ") || !strings.Contains(hint, c.hint) {
			t.Errorf("%v: %d, %q, %q", c.args, code, out, errs)
		}
	}
}
