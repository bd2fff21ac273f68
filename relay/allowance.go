package relay

import "time"

// allowance counts what a peer may still cost us: it fills up by rate a second,
// to burst at most.
type allowance struct {
	rate, burst, level float64
	at                 time.Time // when level was last true
}

func newAllowance(now time.Time, rate, burst float64) allowance {
	return allowance{rate: rate, burst: burst, level: burst, at: now}
}

// take takes one, if there is one.
func (a *allowance) take(now time.Time) bool {
	a.level = min(a.burst, a.level+a.rate*now.Sub(a.at).Seconds())
	a.at = now
	if a.level < 1 {
		return false
	}
	a.level--
	return true
}
