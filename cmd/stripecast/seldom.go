package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// seldomEvery separates two warnings or errors that say the same.
	seldomEvery = time.Minute
	// maxSeldom is how many are remembered; then the one said the longest ago is not.
	maxSeldom = 128
	// maxSame is how much of a line is compared, in bytes.
	maxSame = 256
)

// seldom is a slog.Handler that passes on a warning or an error, and the next one with the
// same words and attributes only after seldomEvery, with how many there were between.
type seldom struct {
	to    slog.Handler
	about string // what WithAttrs and WithGroup said
	said  *lately
}

// lately is what was said in the last time.
type lately struct {
	mu  sync.Mutex // guards all
	all []sameLine // the one said last at the end
}

type sameLine struct {
	text    string
	at      time.Time
	skipped int
}

func newSeldom(to slog.Handler) *seldom { return &seldom{to: to, said: &lately{}} }

// Enabled implements slog.Handler.
func (s *seldom) Enabled(ctx context.Context, level slog.Level) bool { return s.to.Enabled(ctx, level) }

// WithAttrs implements slog.Handler.
func (s *seldom) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &seldom{s.to.WithAttrs(attrs), fmt.Sprint(s.about, attrs), s.said}
}

// WithGroup implements slog.Handler.
func (s *seldom) WithGroup(name string) slog.Handler {
	return &seldom{s.to.WithGroup(name), s.about + name + ".", s.said}
}

// Handle implements slog.Handler.
func (s *seldom) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return s.to.Handle(ctx, r)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%v %s %s", r.Level, r.Message, s.about)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, " %v", a)
		return text.Len() < maxSame
	})
	line := text.String()
	skipped, say := s.said.again(r.Time, line[:min(len(line), maxSame)])
	if !say {
		return nil
	}
	if skipped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", skipped))
	}
	return s.to.Handle(ctx, r)
}

// again reports whether a line is to be said now, and how often it was not since it was.
func (l *lately) again(now time.Time, text string) (skipped int, say bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.all, func(s sameLine) bool { return s.text == text })
	if i >= 0 {
		if now.Sub(l.all[i].at) < seldomEvery {
			l.all[i].skipped++
			return 0, false
		}
		skipped = l.all[i].skipped
		l.all = slices.Delete(l.all, i, i+1)
	} else if len(l.all) == maxSeldom {
		l.all = slices.Delete(l.all, 0, 1)
	}
	l.all = append(l.all, sameLine{text: text, at: now})
	return skipped, true
}
