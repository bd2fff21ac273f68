package ts

import (
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// RateMeter measures a stream's rate: the mean over the last five seconds of media
// time. The zero value is ready.
type RateMeter struct {
	slots [rateSlots]struct {
		bytes int
		span  time.Duration
	}
	at, used int
}

// Add counts a block.
func (m *RateMeter) Add(c Cut) {
	if m.used == 0 {
		m.used = 1
	}
	if m.slots[m.at].span >= rateSlot {
		m.at = (m.at + 1) % rateSlots
		m.used = min(m.used+1, rateSlots)
		m.slots[m.at].bytes, m.slots[m.at].span = 0, 0
	}
	m.slots[m.at].bytes += len(c.Data)
	m.slots[m.at].span += c.Span
}

// BitsPerSecond is the rate; 0 while there is not a quarter of a second to go by.
func (m *RateMeter) BitsPerSecond() float64 {
	bytes, span := 0, time.Duration(0)
	for _, s := range m.slots[:m.used] {
		bytes, span = bytes+s.bytes, span+s.span
	}
	if span < rateSlot {
		return 0
	}
	return float64(bytes) * 8 / span.Seconds()
}

// Estimate is the mean rate of the stream that begins with prefix, in bits a second
// by the stream's own clock, over two seconds of it or EstimateLen. It is false if
// prefix holds less than a quarter of a second, or no clock.
func Estimate(prefix []byte) (bitsPerSecond float64, ok bool) {
	media, known := Sniff(prefix)
	if !known {
		return 0, false
	}
	cfg := DefaultConfig()
	cfg.Media = media
	c := NewCutter(cfg)
	var m RateMeter
	var span time.Duration
	// What follows the last cut is left out: how long it lasts is not known.
	for _, cut := range c.Write(time.Time{}, prefix[:min(len(prefix), EstimateLen)]) {
		m.Add(cut)
		if span += cut.Span; span >= 2*time.Second && media == stripe.MediaTS {
			break
		}
	}
	rate := m.BitsPerSecond()
	return rate, rate > 0
}
