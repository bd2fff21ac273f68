package rewind

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseFrom(t *testing.T) {
	for text, want := range map[string]string{
		"start": "start", "-5m": "-5m0s", "-1h30m10s": "-1h30m10s", "-0s": "-0s", "-1.5s": "-1.5s",
		"20:15:00": "20:15:00", "20:15": "20:15:00", "00:00": "00:00:00", "23:59:59": "23:59:59",
	} {
		from, err := ParseFrom(text)
		if err != nil || from.String() != want {
			t.Errorf("%q: %v, %v", text, from, err)
		}
		if again, err := ParseFrom(from.String()); err != nil || again != from {
			t.Errorf("%q: %v is read as %v, %v", text, from, again, err)
		}
	}
	for _, text := range []string{
		"", "-", "5m", "+5m", " 5m", "--5m", "-5", "-5m ", "-5 m", "-9999999999h", "24:00", "20:60", "20:15:61", "8:15",
		"20:15:0", "20.15", "2026-03-01", "begin", "Start", "-20:15", "-\x00", strings.Repeat("-", 100000),
	} {
		if from, err := ParseFrom(text); !errors.Is(err, ErrFrom) || from != (From{}) || len(err.Error()) > 300 {
			t.Errorf("%.50q: %v, %v", text, from, err)
		}
	}
}

func TestFromTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	utc := func(s string) time.Time {
		at, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	e := Extent{From: utc("2026-03-01 18:00:00"), To: utc("2026-03-01 20:00:00")}
	for _, c := range []struct{ from, now, want string }{
		{"start", "2026-03-05 00:00:00", "2026-03-01 18:00:00"},
		{"-5m", "2026-03-05 00:00:00", "2026-03-01 19:55:00"}, // of the stream, not of the clock here
		{"-5h", "2026-03-01 20:00:00", "2026-03-01 15:00:00"},
		{"20:15:00", "2026-03-01 19:16:00", "2026-03-01 19:15:00"}, // an hour east of UTC
		{"20:15:00", "2026-03-01 19:15:00", "2026-03-01 19:15:00"},
		{"20:15:00", "2026-03-01 19:14:59", "2026-02-28 19:15:00"}, // not in the future
		{"23:30", "2026-03-01 23:10:00", "2026-03-01 22:30:00"},    // here it is tomorrow already
		{"04:00", "2026-03-29 01:30:00", "2026-03-28 03:00:00"},    // at 01:00 the clocks were set forward
		{"04:00", "2026-03-29 02:00:00", "2026-03-29 02:00:00"},
		{"20:00", "2026-10-25 10:00:00", "2026-10-24 18:00:00"}, // and back
	} {
		from, err := ParseFrom(c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := from.Time(utc(c.now).In(berlin), e); !got.Equal(utc(c.want)) {
			t.Errorf("%s at %s: %v, want %s", c.from, c.now, got.UTC(), c.want)
		}
	}
}
