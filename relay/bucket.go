package relay

import "time"

// BucketBurst is how much unused upload a Bucket keeps for later, as time at
// its rate. Whatever is saved beyond it is lost.
const BucketBurst = 250 * time.Millisecond

// Bucket meters upload in bytes. Over any stretch of time d it lets through at
// most rate·(d + BucketBurst), and over a busy one at least rate·d less one
// item: 5 % over any 5 s. It works by debt: Take always takes, and says how long
// to wait before what was taken may be sent. It belongs to one goroutine at a
// time; NewBucket makes one, and the zero value has no limit.
type Bucket struct {
	rate  float64   // bytes a second; 0 = no limit
	level float64   // bytes that may be sent now; negative = debt
	last  time.Time // when level was true
}

// NewBucket returns a bucket that lets bps bits a second through, full at now.
// Zero or less means no limit.
func NewBucket(now time.Time, bps float64) *Bucket {
	b := &Bucket{last: now}
	b.SetRate(now, bps)
	b.level = b.burst()
	return b
}

// SetRate changes the rate from now on, in bits a second. Debt stays, savings
// are cut to the new burst. Zero or less means no limit and forgives the debt.
func (b *Bucket) SetRate(now time.Time, bps float64) {
	b.fill(now)
	b.rate = max(bps, 0) / 8
	b.level = min(b.level, b.burst())
	if b.rate == 0 {
		b.level = 0
	}
}

// Rate is the rate in bits a second, 0 without a limit.
func (b *Bucket) Rate() float64 { return b.rate * 8 }

// Wait is what Take(now, n) would return; it takes nothing.
func (b *Bucket) Wait(now time.Time, n int) time.Duration {
	b.fill(now)
	if b.rate == 0 {
		return 0
	}
	return max(0, time.Duration((float64(n)-b.level)/b.rate*float64(time.Second)))
}

// Take takes n bytes and returns how long to wait before sending them. A
// negative n gives back bytes that were taken and not sent.
func (b *Bucket) Take(now time.Time, n int) time.Duration {
	wait := b.Wait(now, n)
	if b.rate != 0 {
		b.level = min(b.level-float64(n), b.burst())
	}
	return wait
}

func (b *Bucket) burst() float64 { return b.rate * BucketBurst.Seconds() }

// fill brings level up to now. A now before the last one changes nothing.
func (b *Bucket) fill(now time.Time) {
	if d := now.Sub(b.last); d > 0 {
		b.level = min(b.level+b.rate*d.Seconds(), b.burst())
		b.last = now
	}
}
