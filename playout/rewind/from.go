package rewind

import (
	"errors"
	"fmt"
	"time"
)

// From says where in a stream to begin. The zero From is its start.
type From struct {
	kind fromKind
	// span is how long before the end; or the time of day, since midnight.
	span time.Duration
}

type fromKind uint8

const (
	fromStart fromKind = iota
	fromAgo
	fromClock
)

// ErrFrom is wrapped by every refusal of ParseFrom.
var ErrFrom = errors.New("no moment of a stream")

// maxFromText is how much of a text that is refused is repeated.
const maxFromText = 40

// ParseFrom reads a moment: "start"; "-5m", so long before the newest there is; or
// "20:15:00" or "20:15", when it was last so late.
func ParseFrom(s string) (From, error) {
	if s == "start" {
		return From{}, nil
	}
	if len(s) > 1 && s[0] == '-' {
		if d, err := time.ParseDuration(s[1:]); err == nil && d >= 0 {
			return From{fromAgo, d}, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(layout, s); err == nil && len(s) == len(layout) {
			midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
			return From{fromClock, t.Sub(midnight)}, nil
		}
	}
	if len(s) > maxFromText {
		s = s[:maxFromText] + "…"
	}
	return From{}, fmt.Errorf("%q is %w: want -5m for five minutes ago, 20:15:00 for when it was last so late here, or start", s, ErrFrom)
}

// String is what ParseFrom reads.
func (f From) String() string {
	switch f.kind {
	case fromStart:
		return "start"
	case fromAgo:
		return "-" + f.span.String()
	case fromClock:
		return time.Time{}.Add(f.span).Format("15:04:05")
	default:
		panic(fmt.Sprintf("rewind: from %d", f.kind))
	}
}

// Time is when that is. "Ago" counts from the newest of the extent, by the source's
// clock, so it means the same after the end of the stream and where clocks differ; a
// time of day is one where now is, and never later than now.
func (f From) Time(now time.Time, e Extent) time.Time {
	switch f.kind {
	case fromStart:
		return e.From
	case fromAgo:
		return e.To.Add(-f.span)
	case fromClock:
		at := f.on(now, 0)
		if at.After(now) {
			at = f.on(now, 1)
		}
		return at
	default:
		panic(fmt.Sprintf("rewind: from %d", f.kind))
	}
}

// on is that time of day, some days before now. The clocks are set forward and back, so
// it is not so many hours ago.
func (f From) on(now time.Time, days int) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d-days, int(f.span.Hours()), int(f.span.Minutes())%60, int(f.span.Seconds())%60, 0, now.Location())
}
