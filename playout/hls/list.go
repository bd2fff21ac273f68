package hls

import (
	"time"

	"github.com/stripecast/stripecast/playout/remux"
)

// list is the segments that there are.
type list struct {
	first    int       // number of the oldest
	segments []segment // the last may be open
	open     bool
	bytes    int
	breaks   int // discontinuities of segments that have left the playlist
	gone     int // of segments, those at the front that have left it
}

type segment struct {
	parts    []part
	duration time.Duration
	bytes    int
	broken   bool // it does not continue the one before
	configs  []*remux.Config
	init     int       // number of the segment whose init goes for this one too
	date     time.Time // when the source closed its first block, by its clock
}

type part struct {
	data        []byte
	duration    time.Duration
	independent bool // it begins with a key picture
}

// duration is that of the segment under way.
func (l *list) duration() time.Duration {
	if !l.open {
		return 0
	}
	return l.segments[len(l.segments)-1].duration
}

// add adds a part, to a new segment if none is open or the tracks are others.
func (l *list) add(p part, configs []*remux.Config, broken bool, date time.Time) {
	if l.open && !sameConfigs(l.segments[len(l.segments)-1].configs, configs) {
		l.close()
		broken = true
	}
	if !l.open {
		number := l.first + len(l.segments)
		s := segment{configs: configs, broken: broken, init: number, date: date}
		if len(l.segments) > 0 {
			if last := &l.segments[len(l.segments)-1]; sameConfigs(last.configs, configs) {
				s.init = last.init
			} else {
				s.broken = true
			}
		}
		l.segments, l.open = append(l.segments, s), true
	}
	s := &l.segments[len(l.segments)-1]
	s.parts = append(s.parts, p)
	s.duration += p.duration
	s.bytes += len(p.data)
	l.bytes += len(p.data)
	l.trim()
}

func sameConfigs(a, b []*remux.Config) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// close ends the segment under way.
func (l *list) close() { l.open = false }

// trim lets the oldest go.
func (l *list) trim() {
	total := time.Duration(0)
	for i := l.gone; i < len(l.segments); i++ {
		total += l.segments[i].duration
	}
	for l.gone < len(l.segments)-1 && (total-l.segments[l.gone].duration >= listed || l.bytes-l.before(l.gone) > maxBytes ||
		len(l.segments)-l.gone > maxSegments) {
		total -= l.segments[l.gone].duration
		if l.segments[l.gone].broken {
			l.breaks++
		}
		l.gone++
	}
	for l.gone > grace || l.gone > 0 && l.bytes > maxBytes {
		l.bytes -= l.segments[0].bytes
		l.segments = append([]segment(nil), l.segments[1:]...)
		l.first++
		l.gone--
	}
	if l.bytes > maxBytes {
		l.close()
	}
}

// before is the bytes of the first n segments.
func (l *list) before(n int) (bytes int) {
	for i := range n {
		bytes += l.segments[i].bytes
	}
	return bytes
}

// find is a segment by its number.
func (l *list) find(number int) (s *segment, open, ok bool) {
	i := number - l.first
	if i < 0 || i >= len(l.segments) {
		return nil, false, false
	}
	return &l.segments[i], l.open && i == len(l.segments)-1, true
}
