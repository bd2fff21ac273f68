package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
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
