package stripe

import "time"

const (
	// maxOverhead is the share of what is sent that header and proof may take.
	maxOverhead = 0.06
	// timeStep is what an automatic T is a whole multiple of.
	timeStep = 10 * time.Millisecond
)

// Choose fits T and layout to a stream of rate bits a second, so that header and
// proof take at most 6 % of every shard sent. It makes T longer first, in steps of
// 10 ms up to MaxBlockTime, and then the layout smaller, never with less parity for
// its data than want. What is fixed it leaves alone; if nothing is small enough, it
// returns the smallest. A rate that is not positive is not known: want and
// blockTime stand.
func Choose(rate float64, want Layout, layoutFixed bool, blockTime time.Duration, timeFixed bool) (Layout, time.Duration) {
	if !(rate > 0) {
		return want, blockTime
	}
	layouts := []Layout{want}
	if !layoutFixed {
		layouts = smaller(want)
	}
	for _, l := range layouts {
		if t, ok := timeFor(rate, l, blockTime, timeFixed); ok {
			return l, t
		}
	}
	last := layouts[len(layouts)-1]
	t, _ := timeFor(rate, last, blockTime, timeFixed)
	return last, t
}

// timeFor is the shortest T from blockTime on with which l costs little enough;
// false if there is none, with the longest.
func timeFor(rate float64, l Layout, blockTime time.Duration, fixed bool) (time.Duration, bool) {
	cheap := func(t time.Duration) bool {
		shard := rate / 8 * t.Seconds() / float64(l.K)
		over := float64(l.ShardOverhead())
		return over <= maxOverhead*(over+shard)
	}
	if fixed {
		return blockTime, cheap(blockTime)
	}
	t := max(timeStep, (blockTime+timeStep-1)/timeStep*timeStep)
	for ; t < MaxBlockTime; t += timeStep {
		if cheap(t) {
			return t, true
		}
	}
	return MaxBlockTime, cheap(MaxBlockTime)
}

// smaller lists want and the layouts below it, largest first: those of exactly its
// ratio, then those of fewer data shards, with parity rounded up.
func smaller(want Layout) []Layout {
	a, b := want.K, want.M
	for b != 0 {
		a, b = b, a%b
	}
	unit := Layout{K: want.K / a, M: want.M / a}
	var out []Layout
	for i := a; i >= 1; i-- {
		out = append(out, Layout{K: unit.K * i, M: unit.M * i})
	}
	for k := unit.K - 1; k >= 1; k-- {
		out = append(out, Layout{K: k, M: (k*want.M + want.K - 1) / want.K})
	}
	return out
}
