package hls

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stripecast/stripecast/playout/remux"
)

// Names of what a Muxer makes, beside each other. Segments and parts are N.m4s and
// N.P.m4s; what a decoder needs first is N.mp4, N being the first segment it is for.
const (
	Master = "index.m3u8"
	Media  = "stream.m3u8"

	segmentSuffix = ".m4s"
	initSuffix    = ".mp4"
)

// MIME types of what a Muxer makes.
const (
	PlaylistType = "application/vnd.apple.mpegurl"
	segmentType  = "video/mp4"
)

// Next is the number of the segment after the last.
func (m *Muxer) Next() int { return m.list.first + len(m.list.segments) }

// Ended reports whether the playlist is complete.
func (m *Muxer) Ended() bool { return m.ended }

// Ready reports whether there is enough for a player to begin: a whole segment, or all
// that there will be.
func (m *Muxer) Ready() bool {
	n := len(m.list.segments)
	return n > 1 || n == 1 && !m.list.open
}

// Has reports whether a segment, or a part of it if that is not below 0, is there or
// has been. never says that it makes no sense to wait for it.
func (m *Muxer) Has(number, part int) (has, never bool) {
	next := m.Next()
	switch {
	case number > next-1+aheadMost:
		return false, true
	case number >= next:
		return m.ended, false
	case number < next-1 || !m.list.open || m.ended:
		return true, false
	case part < 0:
		return false, false
	}
	return part < len(m.list.segments[len(m.list.segments)-1].parts), false
}

// MasterPlaylist is what a player opens.
func (m *Muxer) MasterPlaylist() []byte {
	var b bytes.Buffer
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:6\n")
	peak := 0.0
	for i := range m.list.segments {
		if s := &m.list.segments[i]; s.duration >= time.Second || peak == 0 && s.duration > 0 {
			peak = max(peak, float64(s.bytes*8)/s.duration.Seconds())
		}
	}
	configs := m.configs()
	var codecs []string
	for _, c := range configs {
		codecs = append(codecs, c.Codec)
	}
	fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=\"%s\"", int(peak), strings.Join(codecs, ","))
	if i := slices.IndexFunc(configs, func(c *remux.Config) bool { return c.Video }); i >= 0 {
		fmt.Fprintf(&b, ",RESOLUTION=%dx%d", configs[i].Width, configs[i].Height)
	}
	b.WriteString("\n" + Media + "\n")
	return b.Bytes()
}

func (m *Muxer) configs() []*remux.Config {
	if n := len(m.list.segments); n > 0 {
		return m.list.segments[n-1].configs
	}
	return nil
}

// MediaPlaylist is the list of segments and parts.
func (m *Muxer) MediaPlaylist() []byte {
	var b bytes.Buffer
	l := &m.list
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:%d\n", int(SegmentTarget.Seconds()))
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.3f\n", 3*PartTarget.Seconds())
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%.3f\n", PartTarget.Seconds())
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", l.first+l.gone, l.breaks)
	left := time.Duration(0)
	for i := l.gone; i < len(l.segments); i++ {
		left += l.segments[i].duration
	}
	for i := l.gone; i < len(l.segments); i++ {
		s := &l.segments[i]
		number := l.first + i
		if s.broken {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if i == l.gone || s.init == number {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"%d%s\"\n", s.init, initSuffix)
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.date.UTC().Format("2006-01-02T15:04:05.000Z"))
		open := l.open && i == len(l.segments)-1
		if left -= s.duration; left < detailed {
			for j, p := range s.parts {
				fmt.Fprintf(&b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"", p.duration.Seconds(), partName(number, j))
				if p.independent {
					b.WriteString(",INDEPENDENT=YES")
				}
				b.WriteByte('\n')
			}
		}
		if !open {
			fmt.Fprintf(&b, "#EXTINF:%.5f,\n%d%s\n", s.duration.Seconds(), number, segmentSuffix)
		}
	}
	if m.ended {
		b.WriteString("#EXT-X-ENDLIST\n")
		return b.Bytes()
	}
	number, j := m.Next(), 0
	if l.open {
		number--
		j = len(l.segments[len(l.segments)-1].parts)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n", partName(number, j))
	return b.Bytes()
}

func partName(number, part int) string {
	return strconv.Itoa(number) + "." + strconv.Itoa(part) + segmentSuffix
}

// ParseName says which segment, and which part of it, a name is of; part is -1 for the
// whole segment. False: of none.
func ParseName(name string) (number, part int, ok bool) {
	name, ok = strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, 0, false
	}
	whole, rest, parted := strings.Cut(name, ".")
	part = -1
	if number, ok = plain(whole); ok && parted {
		part, ok = plain(rest)
	}
	return number, part, ok
}

// plain reads a number as this package writes it.
func plain(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == s
}

// File is a segment, a part or an init by its name: pieces to be sent one after the
// other, that do not change any more. False: there is none, or not yet.
func (m *Muxer) File(name string) (pieces [][]byte, mime string, ok bool) {
	if first, is := strings.CutSuffix(name, initSuffix); is {
		number, ok := plain(first)
		if !ok {
			return nil, "", false
		}
		for i := range m.list.segments {
			if s := &m.list.segments[i]; s.init == number {
				return [][]byte{remux.AppendInit(nil, s.configs...)}, segmentType, true
			}
		}
		return nil, "", false
	}
	number, part, ok := ParseName(name)
	if !ok {
		return nil, "", false
	}
	s, open, ok := m.list.find(number)
	switch {
	case !ok || part < 0 && open || part >= len(s.parts):
		return nil, "", false
	case part >= 0:
		return [][]byte{s.parts[part].data}, segmentType, true
	}
	for _, p := range s.parts {
		pieces = append(pieces, p.data)
	}
	return pieces, segmentType, true
}
