package stripe

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseLayout(t *testing.T) {
	for k := range MaxShards + 2 {
		for m := range MaxShards + 2 {
			want := Layout{k, m}
			got, err := ParseLayout(want.String())
			valid := k >= 1 && k+m <= MaxShards
			if (err == nil) != valid || valid && got != want || err != nil && !errors.Is(err, ErrLayout) {
				t.Fatalf("%v: %v %v", want, got, err)
			}
		}
	}
	for _, s := range []string{"", "16", "16+", "+4", "16-4", "16+4+1", " 16+4", "16+4 ", "-1+4", "16+-4", "256+1", "1e1+2", "1000000+1", strings.Repeat("9", 500)} {
		if l, err := ParseLayout(s); !errors.Is(err, ErrLayout) {
			t.Errorf("%q: %v %v", short(s), l, err)
		}
	}
}

func TestShardLen(t *testing.T) {
	for _, l := range []Layout{{1, 0}, {3, 1}, {16, 4}, {64, 0}} {
		for _, n := range []int{0, 1, 63, 64, 65, 1023, 1024, 1025, 62_500, MaxBlock} {
			got := l.ShardLen(n)
			if got%ShardUnit != 0 || got < ShardUnit || got*l.K < n || got > ShardUnit && (got-ShardUnit)*l.K >= n {
				t.Errorf("%v, %d bytes: shards of %d", l, n, got)
			}
			if l.ShardOverhead()+got > MaxShardWire {
				t.Errorf("%v, %d bytes: longer than MaxShardWire", l, n)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		rate       float64
		fixL, fixT bool
		layout     Layout
		t          time.Duration
	}{
		{5e6, false, false, Layout{16, 4}, 100 * ms},
		{3e6, false, false, Layout{16, 4}, 130 * ms},
		{1e6, false, false, Layout{16, 4}, 370 * ms},
		{700e3, false, false, Layout{12, 3}, 360 * ms},
		{128e3, false, false, Layout{3, 1}, 400 * ms},
		{32e3, false, false, Layout{1, 1}, 470 * ms},
		{8e3, false, false, Layout{1, 1}, 500 * ms},
		{700e3, true, false, Layout{16, 4}, 500 * ms},
		{700e3, false, true, Layout{3, 1}, 100 * ms},
		{700e3, true, true, Layout{16, 4}, 100 * ms},
		{0, false, false, Layout{16, 4}, 100 * ms},
		{math.NaN(), false, false, Layout{16, 4}, 100 * ms},
	} {
		l, d := Choose(c.rate, DefaultLayout, c.fixL, 100*ms, c.fixT)
		if l != c.layout || d != c.t {
			t.Errorf("%+v: %v, %v", c, l, d)
		}
	}
}

// What Choose promises, for every rate and layout: bounds, ratio, what is fixed,
// and that it gives nothing away that it need not.
func TestChooseProperties(t *testing.T) {
	costs := func(rate float64, l Layout, d time.Duration) float64 {
		over := float64(l.ShardOverhead())
		return over / (over + rate/8*d.Seconds()/float64(l.K))
	}
	for k := 1; k <= 60; k += 7 {
		for m := 0; m <= MaxShards-k; m += 3 {
			want := Layout{k, m}
			for rate := 2e3; rate < 2e7; rate *= 1.7 {
				l, d := Choose(rate, want, false, 100*time.Millisecond, false)
				if l.Validate() != nil || l.M*want.K < want.M*l.K || l.K > want.K {
					t.Fatalf("%v at %.0f: %v", want, rate, l)
				}
				if d < 100*time.Millisecond || d > MaxBlockTime || d%timeStep != 0 {
					t.Fatalf("%v at %.0f: %v", want, rate, d)
				}
				if costs(rate, l, d) > maxOverhead && (l.K > 1 || d < MaxBlockTime) {
					t.Fatalf("%v at %.0f: %v and %v cost %.3f", want, rate, l, d, costs(rate, l, d))
				}
				if l != want && costs(rate, want, MaxBlockTime) <= maxOverhead {
					t.Fatalf("%v at %.0f: %v, though it would do", want, rate, l)
				}
				if d > 100*time.Millisecond && costs(rate, l, d-timeStep) <= maxOverhead {
					t.Fatalf("%v at %.0f: %v of %v, though less would do", want, rate, d, l)
				}
			}
		}
	}
}

func FuzzParseLayout(f *testing.F) {
	f.Add("16+4")
	f.Add("1+0")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLayout(s)
		if err != nil {
			if !errors.Is(err, ErrLayout) {
				t.Error(err)
			}
			return
		}
		if again, err := ParseLayout(l.String()); err != nil || again != l || l.Validate() != nil {
			t.Errorf("%q: %v, again %v %v", s, l, again, err)
		}
	})
}
