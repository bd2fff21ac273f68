package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// parseRate reads bits a second: a number with k, M or G behind it, as in 20M.
func parseRate(s string) (float64, error) {
	num, factor := s, 1.0
	if s != "" {
		if i := strings.IndexByte("kKmMgG", s[len(s)-1]); i >= 0 {
			num, factor = s[:len(s)-1], math.Pow(1000, float64(i/2+1))
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	v *= factor
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fail(fmt.Errorf("%q is no rate", s), "give bits a second, as in 800k, 20M or 1G")
	}
	return v, nil
}

// parseBytes reads a number of bytes with k, M, G or T behind it, and i for 1024
// instead of 1000, as in 500M or 2GiB.
func parseBytes(s string) (int64, error) {
	num := strings.TrimSuffix(s, "B")
	base := 1000.0
	if rest, binary := strings.CutSuffix(num, "i"); binary {
		num, base = rest, 1024
	}
	factor := 1.0
	if num != "" {
		if i := strings.IndexByte("kKmMgGtT", num[len(num)-1]); i >= 0 {
			num, factor = num[:len(num)-1], math.Pow(base, float64(i/2+1))
		} else if base == 1024 {
			num = "" // an i needs something before it
		}
	}
	v, err := strconv.ParseFloat(num, 64)
	v *= factor
	if err != nil || !(v >= 0 && v < 1<<62) {
		return 0, fail(fmt.Errorf("%q is no number of bytes", s), "give bytes as in 500M, 2G or 2GiB")
	}
	return int64(v), nil
}

// size is bytes for people.
func size(n int64) string {
	switch v := float64(n); {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", v/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", v/1e6)
	default:
		return fmt.Sprintf("%.0f kB", v/1e3)
	}
}

// short is a duration for people, without zeros at its end.
func short(d time.Duration) string {
	s := d.String()
	if rest, ok := strings.CutSuffix(s, "m0s"); ok {
		s = rest + "m"
	}
	if rest, ok := strings.CutSuffix(s, "h0m"); ok {
		s = rest + "h"
	}
	return s
}

// rate is bits a second for people.
func rate(bps float64) string {
	switch {
	case bps >= 1e9:
		return fmt.Sprintf("%.2f Gbit/s", bps/1e9)
	case bps >= 1e6:
		return fmt.Sprintf("%.2f Mbit/s", bps/1e6)
	default:
		return fmt.Sprintf("%.0f kbit/s", bps/1e3)
	}
}

// many is so many of something: "1 relay", "2 relays". What is no plural with s is given.
func many(n int, one string, more ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(more) > 0:
		return fmt.Sprintf("%d %s", n, more[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
