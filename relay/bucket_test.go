package relay

import (
	"math/rand/v2"
	"testing"
	"time"
)

// sentAt is a trace of what left a bucket and when.
type sentAt struct {
	at    time.Time
	bytes int
}

// greedy sends items of random size as fast as the bucket lets it, over d,
// waking up to jitter too late each time.
func greedy(b *Bucket, rnd *rand.Rand, from time.Time, d, jitter time.Duration) []sentAt {
	var trace []sentAt
	for now := from; now.Before(from.Add(d)); {
		n := 500 + rnd.IntN(4000)
		if w := b.Take(now, n); w > 0 {
			now = now.Add(w + time.Duration(rnd.Int64N(int64(jitter))))
		}
		trace = append(trace, sentAt{now, n})
	}
	return trace
}

// worst is the most and the least bytes of any stretch of length d that begins
// and ends within the trace.
func worst(trace []sentAt, d time.Duration) (most, least int) {
	least = 1 << 60
	end := trace[len(trace)-1].at
	sum, j := 0, 0
	for i := range trace {
		for j < len(trace) && trace[j].at.Before(trace[i].at.Add(d)) {
			sum += trace[j].bytes
			j++
		}
		most = max(most, sum)
		sum -= trace[i].bytes
		if trace[i].at.Add(d).Before(end) {
			// The stretch opens just after item i.
			open := sum
			if j < len(trace) && !trace[j].at.After(trace[i].at.Add(d)) {
				open += trace[j].bytes
			}
			least = min(least, open)
		}
	}
	return most, least
}

func TestBucketHoldsRateOverAnyFiveSeconds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const window = 5 * time.Second
	for _, bps := range []float64{400e3, 5e6, 80e6} {
		b := NewBucket(outboxEpoch, bps)
		trace := greedy(b, rnd, outboxEpoch, 30*time.Second, 10*time.Millisecond)
		most, least := worst(trace, window)
		want := bps / 8 * window.Seconds()
		t.Logf("%.1f Mbit/s: worst 5 s are %+.2f %% and %+.2f %%", bps/1e6,
			(float64(most)/want-1)*100, (float64(least)/want-1)*100)
		if float64(most) > want*1.05 || float64(least) < want*0.95 {
			t.Errorf("%v bit/s: %d … %d bytes in 5 s, want %.0f ± 5 %%", bps, least, most, want)
		}
	}
}

func TestBucketBurstAfterIdle(t *testing.T) {
	b := NewBucket(outboxEpoch, 8e6) // 1 MB/s, so the burst is 250 kB
	now := outboxEpoch.Add(time.Hour)
	if w := b.Take(now, 250_000); w != 0 {
		t.Fatalf("a burst of 250 ms waits %v", w)
	}
	if w := b.Take(now, 100_000); w != 100*time.Millisecond {
		t.Fatalf("100 kB after the burst wait %v, want 100 ms", w)
	}
	if w := b.Wait(now, 50_000); w != 150*time.Millisecond {
		t.Fatalf("50 kB more would wait %v, want 150 ms", w)
	}
	b.Take(now, -100_000)
	if w := b.Wait(now, 50_000); w != 50*time.Millisecond {
		t.Fatalf("after giving back, 50 kB would wait %v, want 50 ms", w)
	}
}

func TestBucketChangesRate(t *testing.T) {
	b := NewBucket(outboxEpoch, 8e6)
	b.Take(outboxEpoch, 250_000+10_000) // 10 kB of debt
	b.SetRate(outboxEpoch, 0.8e6)       // 100 kB/s
	if w := b.Take(outboxEpoch, 0); w != 100*time.Millisecond {
		t.Fatalf("debt waits %v at the new rate, want 100 ms", w)
	}
	b.SetRate(outboxEpoch, 0)
	if w := b.Take(outboxEpoch, 1<<30); w != 0 {
		t.Fatalf("without a limit a gigabyte waits %v", w)
	}
	b.SetRate(outboxEpoch, 8e6)
	if w := b.Take(outboxEpoch, 1000); w != time.Millisecond {
		t.Fatalf("after the limit is back 1 kB waits %v, want 1 ms: no debt and no savings", w)
	}
	b.Take(outboxEpoch.Add(-time.Hour), 0) // a clock that steps back gives nothing
	if w := b.Wait(outboxEpoch, 0); w != time.Millisecond {
		t.Fatalf("a step back changed the debt to %v", w)
	}
}
