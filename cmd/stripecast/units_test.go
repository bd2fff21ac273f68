package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseRate(t *testing.T) {
	for _, c := range []struct {
		in   string
		want float64
	}{
		{"0", 0}, {"1", 1}, {"800k", 800e3}, {"800K", 800e3}, {"20M", 20e6}, {"20m", 20e6}, {"1G", 1e9}, {"1g", 1e9},
		{"2.5M", 2.5e6}, {".5M", 5e5}, {"1e6", 1e6}, {"-0", 0},
	} {
		got, err := parseRate(c.in)
		if err != nil || got != c.want {
			t.Errorf("%q is %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "M", "k", "20 M", " 20M", "20Mbit", "20T", "-1", "-1M", "Inf", "inf", "+InfG", "NaN", "1e400", "1e308G", "ten", "0x10", "20MM", "1,5M"} {
		got, err := parseRate(in)
		var f *failure
		if !errors.As(err, &f) || f.hint == "" || f.usage || !strings.Contains(err.Error(), in) {
			t.Errorf("%q is %v, %v", in, got, err)
		}
	}
}

func TestRateForPeople(t *testing.T) {
	for _, c := range []struct {
		bps  float64
		want string
	}{
		{0, "0 kbit/s"}, {64e3, "64 kbit/s"}, {999e3, "999 kbit/s"}, {1e6, "1.00 Mbit/s"}, {1.546e6, "1.55 Mbit/s"},
		{999e6, "999.00 Mbit/s"}, {1e9, "1.00 Gbit/s"}, {25e8, "2.50 Gbit/s"},
	} {
		if got := rate(c.bps); got != c.want {
			t.Errorf("%v is %q, want %q", c.bps, got, c.want)
		}
	}
}

func TestMeter(t *testing.T) {
	at := time.Unix(1000, 0)
	m := meter{at: at}
	for _, c := range []struct {
		after time.Duration
		total uint64
		want  float64
	}{
		{0, 500, 0},                    // no time has passed
		{time.Second, 1500, 8000},      // 1000 bytes
		{0, 2000, 0},                   // no time has passed
		{2 * time.Second, 2000, 0},     // no bytes
		{time.Second, 100, 0},          // the counter began again
		{time.Second / 2, 1100, 16000}, // and goes on
	} {
		at = at.Add(c.after)
		if got := m.rate(at, c.total); got != c.want {
			t.Errorf("%v later at %d: %v, want %v", c.after, c.total, got, c.want)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
	}{
		{"0", 0}, {"1", 1}, {"7B", 7}, {"64k", 64e3}, {"500M", 500e6}, {"500MB", 500e6}, {"1.5g", 15e8}, {"2T", 2e12},
		{"64Ki", 64 << 10}, {"500MiB", 500 << 20}, {"2Gi", 2 << 30}, {"2GiB", 2 << 30}, {"1e6", 1e6},
	} {
		got, err := parseBytes(c.in)
		if err != nil || got != c.want {
			t.Errorf("%q is %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"", "B", "i", "iB", "5i", "5iB", "M", "20 M", "-1", "-1G", "Inf", "NaN", "1e400", "9999999T", "ten", "20Mbit", "5MM", "5BB", "5Mii"} {
		got, err := parseBytes(in)
		var f *failure
		if !errors.As(err, &f) || f.hint == "" || f.usage || !strings.Contains(err.Error(), in) {
			t.Errorf("%q is %v, %v", in, got, err)
		}
	}
}

func TestForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 kB", 64e3: "64 kB", 999e3: "999 kB", 1e6: "1.0 MB", 2 << 30: "2.15 GB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		15 * time.Minute: "15m", 2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s",
		20 * time.Minute: "20m", 10 * time.Second: "10s", time.Hour + 10*time.Second: "1h0m10s", 10 * time.Hour: "10h",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestMany(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{many(0, "relay"), "0 relays"},
		{many(1, "relay"), "1 relay"},
		{many(2, "home stripe"), "2 home stripes"},
		{many(1, "child", "children"), "1 child"},
		{many(20, "child", "children"), "20 children"},
	} {
		if c.got != c.want {
			t.Errorf("%q, not %q", c.got, c.want)
		}
	}
}
