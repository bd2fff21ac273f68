package hls

import (
	"time"

	"github.com/stripecast/stripecast/playout/remux"
	"github.com/stripecast/stripecast/stripe"
)

// Muxer makes one stream's playlists and segments. Make one with New. It has one
// owner.
type Muxer struct {
	demux *remux.Demuxer
	list  list
	ended bool

	tracks [2]track // video, audio
	run    int      // of the units
	begun  bool     // a unit of the run has been taken into a part
	broken bool     // what comes next does not continue what was before
	// The run's origin in the segments' time: its unit at from is put at to.
	from, to time.Duration
	end      time.Duration // where all that is in segments ends, on their clock
	number   int           // of fragments

	part time.Duration // where the part under way begins, in the run's time
	date time.Time     // when the source closed the last block
}

// track is the units of one track that are in no part yet.
type track struct {
	config *remux.Config
	units  []remux.Unit
	bytes  int   // of them
	last   int64 // the time of the newest unit
	any    bool  // last
	length int64 // of the last unit that was put into a part
}

const (
	pictures = iota
	sounds
)

// New is for a stream of this medium. Its first segment has the number first: who goes
// on where another Muxer was counts on.
func New(media stripe.Media, first int) *Muxer {
	return &Muxer{demux: remux.NewDemuxer(media), list: list{first: first}, broken: first > 0}
}

// Refused is the name of what cannot be in these segments; empty if everything can.
func (m *Muxer) Refused() string { return m.demux.Refused() }

// Push takes the next block, closed by the source at date, by its clock. gap says that
// it does not continue what came before.
func (m *Muxer) Push(block []byte, gap bool, date time.Time) {
	if m.ended {
		return
	}
	m.date = date
	if gap {
		m.demux.Gap()
	}
	for _, u := range m.demux.Push(block) {
		m.take(u)
	}
	m.cut(false)
}

// End ends the stream: the playlist says so.
func (m *Muxer) End() {
	if m.ended {
		return
	}
	for _, u := range m.demux.Flush() {
		m.take(u)
	}
	m.cut(true)
	m.list.close()
	m.ended = true
}

// take queues a unit.
func (m *Muxer) take(u remux.Unit) {
	kind := sounds
	if u.Config.Video {
		kind = pictures
	}
	t := &m.tracks[kind]
	pause := t.any && u.Run == m.run && u.Config == t.config && u.Time > t.last &&
		u.Config.Duration(u.Time-t.last) > maxSample
	other := t.config != u.Config && (t.config != nil || m.begun && (!u.Config.Video || u.Key))
	if u.Run != m.run || other || pause {
		m.restart(u.Run)
	}
	if t.any && u.Time <= t.last {
		return // it would last less than nothing
	}
	if len(t.units) == 0 && !m.begun && u.Config.Video && !u.Key {
		return // nothing is decoded before a key picture
	}
	t.config, t.last, t.any = u.Config, u.Time, true
	t.units, t.bytes = append(t.units, u), t.bytes+len(u.Data)
	if video := &m.tracks[pictures]; kind == sounds && video.config != nil && u.At()-video.config.Duration(video.last) > maxBlank {
		m.blank()
	}
	if t.full() {
		m.cut(true)
		for t.full() {
			t.shift(1)
		}
	}
}

// blank goes on with sound alone, a discontinuity: pictures have ceased. What is queued
// of it stays, and the next key picture begins anew.
func (m *Muxer) blank() {
	m.cut(true)
	m.list.close()
	m.tracks[pictures] = track{}
	m.begun, m.broken = false, true
}

// full reports whether more waits than may.
func (t *track) full() bool { return len(t.units) > maxQueue || t.bytes > maxWaiting }

// restart puts what is queued into a last part; what follows is a discontinuity, at
// the first key picture.
func (m *Muxer) restart(run int) {
	m.cut(true)
	m.list.close()
	m.tracks = [2]track{}
	m.run, m.begun, m.broken = run, false, true
}

// lead is the track whose units part the stream: video, where there is one. One that
// does not come is there no more than one that is not named.
func (m *Muxer) lead() int {
	if m.tracks[pictures].config != nil {
		return pictures
	}
	if video, _ := m.demux.Has(); video && !m.begun && m.tracks[sounds].span() < maxBlank {
		return pictures
	}
	return sounds
}

// cut makes the parts that are complete; all says that nothing is waited for.
func (m *Muxer) cut(all bool) {
	lead := &m.tracks[m.lead()]
	for len(lead.units) > 0 {
		if !m.begun && !m.begin(all) {
			return
		}
		n, segment := m.boundary(lead, all)
		if n == 0 {
			return
		}
		until := lead.stop(n)
		if !all && !m.complete(until) {
			return
		}
		m.fragment(n, until)
		if segment {
			m.list.close()
		}
	}
}

// begin begins a run with the lead's first unit, once the other track is known.
func (m *Muxer) begin(all bool) bool {
	lead := &m.tracks[m.lead()]
	_, audio := m.demux.Has()
	other := &m.tracks[sounds]
	if lead != other && audio && other.config == nil && !all && lead.span() < maxSkew {
		return false
	}
	m.begun = true
	m.from, m.to = lead.units[0].At(), m.end
	m.part = m.from
	return true
}

// span is the time between a track's oldest and newest unit.
func (t *track) span() time.Duration {
	if len(t.units) == 0 {
		return 0
	}
	return t.units[len(t.units)-1].At() - t.units[0].At()
}

// boundary says how many of the lead's units are the next part, 0 if that is not known
// yet, and whether a segment ends with it.
func (m *Muxer) boundary(t *track, all bool) (n int, segment bool) {
	done := m.list.duration()
	for i := 1; i < len(t.units); i++ {
		at := t.units[i].At() - m.part
		if t.units[i].Key && t.config.Video && done+at >= segmentLeast {
			return i, true
		}
		next := at
		if i+1 < len(t.units) {
			next = t.units[i+1].At() - m.part
		} else {
			next += t.unit(i)
		}
		switch {
		case done+next > SegmentTarget:
			return i, true
		case !t.config.Video && done+at >= segmentLeast:
			return i, true
		case next > PartTarget:
			return i, false
		}
	}
	if all {
		return len(t.units), true
	}
	return 0, false
}

// unit is how long a track's i-th unit lasts, as far as it is known.
func (t *track) unit(i int) time.Duration { return t.config.Duration(t.ticks(i)) }

func (t *track) ticks(i int) int64 {
	switch u := t.units[i]; {
	case i+1 < len(t.units):
		return t.units[i+1].Time - u.Time
	case u.Length > 0:
		return u.Length
	case t.length > 0:
		return t.length
	default:
		return int64(t.config.Timescale) / 25
	}
}

// stop is when the n-th unit begins, or the last one ends.
func (t *track) stop(n int) time.Duration {
	if n < len(t.units) {
		return t.units[n].At()
	}
	return t.units[n-1].At() + t.unit(n-1)
}

// complete reports whether both tracks have come until a time, or one is not to be
// waited for.
func (m *Muxer) complete(until time.Duration) bool {
	lead := &m.tracks[m.lead()]
	newest := lead.units[len(lead.units)-1].At()
	other := &m.tracks[sounds]
	if lead == other || other.config == nil || newest-until > maxSkew {
		return true
	}
	return other.any && other.config.Duration(other.last+other.length) >= until
}

// fragment puts the lead's first n units, and the other's until the same time, into a
// part.
func (m *Muxer) fragment(n int, until time.Duration) {
	lead := m.lead()
	p := part{duration: until - m.part, independent: m.tracks[lead].units[0].Key}
	var samples []remux.Samples
	var configs []*remux.Config
	for kind := range m.tracks {
		t := &m.tracks[kind]
		if t.config == nil {
			continue
		}
		configs = append(configs, t.config)
		count := n
		if kind != lead {
			t.drop(m.from)
			count = t.before(until)
		}
		if count == 0 {
			continue
		}
		s := remux.Samples{Track: len(configs), Units: t.units[:count], Ends: t.units[count-1].Time + t.ticks(count-1)}
		s.Time = t.config.Ticks(m.to - m.from + t.config.Duration(t.units[0].Time))
		t.length = t.ticks(count - 1)
		m.end = max(m.end, m.to-m.from+t.config.Duration(s.Ends))
		samples = append(samples, s)
	}
	m.number++
	p.data = remux.AppendFragment(nil, m.number, samples...)
	m.list.add(p, configs, m.broken, m.date)
	m.broken = false
	for _, s := range samples {
		t := &m.tracks[sounds]
		if s.Units[0].Config.Video {
			t = &m.tracks[pictures]
		}
		t.shift(len(s.Units))
		t.units = append([]remux.Unit(nil), t.units...)
	}
	m.part = until
}

// drop drops the units before a time.
func (t *track) drop(until time.Duration) { t.shift(t.before(until)) }

// shift drops the first n units.
func (t *track) shift(n int) {
	for _, u := range t.units[:n] {
		t.bytes -= len(u.Data)
	}
	t.units = t.units[n:]
}

// before counts the units before a time.
func (t *track) before(until time.Duration) int {
	n := 0
	for n < len(t.units) && t.units[n].At() < until {
		n++
	}
	return n
}
