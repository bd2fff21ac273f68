package relay

import "time"

// Allowance counts what a peer may still cost us: it fills up by rate a second,
// to burst at most. It is a token bucket that refuses where Bucket waits. Time
// that runs back fills nothing.
type Allowance struct {
	rate, burst, level float64
	at                 time.Time // when level was last true
}

// NewAllowance returns a full one.
func NewAllowance(now time.Time, rate, burst float64) Allowance {
	return Allowance{rate: rate, burst: burst, level: burst, at: now}
}

// Has reports whether there is one to take.
func (a *Allowance) Has(now time.Time) bool {
	if d := now.Sub(a.at); d > 0 {
		a.level = min(a.level+a.rate*d.Seconds(), a.burst)
		a.at = now
	}
	return a.level >= 1
}

// Take takes one, if there is one.
func (a *Allowance) Take(now time.Time) bool {
	ok := a.Has(now)
	if ok {
		a.level--
	}
	return ok
}

// Full reports whether nothing has been taken that is not filled up again.
func (a *Allowance) Full(now time.Time) bool {
	a.Has(now)
	return a.level == a.burst
}
