package remux

import (
	"fmt"
	"slices"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// Demuxer takes a stream apart: the first video and the first audio of the first
// programme of MPEG-TS, or bare MP3 or AAC. Make one with NewDemuxer.
type Demuxer struct {
	media   stripe.Media
	refused string
	run     int

	// of MPEG-TS
	psi      ts.PSI
	hasVideo bool
	hasAudio bool
	vpes     pes
	apes     pes
	video    video
	audio    audio

	last    int64 // the last time stamp, unwrapped from where the run began, 1/90000 s
	raw     uint64
	stamped bool // last and raw are known
	good    int  // time stamps since the run began
	odd     int  // since the last good one, of another clock
}

// NewDemuxer is for a stream of this medium.
func NewDemuxer(media stripe.Media) *Demuxer {
	d := &Demuxer{media: media}
	switch media {
	case stripe.MediaTS:
	case stripe.MediaMP3, stripe.MediaAAC:
		d.hasAudio, d.audio.media = true, media
		d.audio.known = true // it counts from 0
	default:
		d.refused = "a stream of type " + media.MIME()
	}
	return d
}

// Refused is the name of what cannot be in MP4, as in "MPEG-2 video"; empty if
// everything can. Of such a stream there are no units.
func (d *Demuxer) Refused() string { return d.refused }

// Has says which tracks the stream has, as far as it has told.
func (d *Demuxer) Has() (video, audio bool) { return d.hasVideo, d.hasAudio }

// Gap says that what comes next does not continue what came before.
func (d *Demuxer) Gap() {
	d.run++
	d.vpes = pes{pid: d.vpes.pid}
	d.apes = pes{pid: d.apes.pid}
	d.audio.forget()
	d.audio.known = d.media != stripe.MediaTS
	d.stamped, d.good, d.odd = false, 0, 0
}

// Push takes the next bytes of the stream, of MPEG-TS whole packets, and returns the
// units that they complete, each track's in order.
func (d *Demuxer) Push(block []byte) (units []Unit) {
	if d.refused != "" {
		return nil
	}
	if d.media != stripe.MediaTS {
		return d.sound(block, 0, false)
	}
	for ; len(block) >= ts.PacketLen && d.refused == ""; block = block[ts.PacketLen:] {
		p := ts.Packet(block[:ts.PacketLen])
		if p[0] != 0x47 || p.Damaged() {
			continue
		}
		if d.psi.Push(p) {
			d.choose()
		}
		if pid := p.PID(); d.hasVideo && pid == d.vpes.pid || d.hasAudio && pid == d.apes.pid {
			units = d.packet(units, p)
		}
	}
	if d.refused != "" {
		return nil
	}
	return units
}

// Flush returns what is under way, at the end of the stream.
func (d *Demuxer) Flush() (units []Unit) {
	if d.refused != "" || d.media != stripe.MediaTS {
		return nil
	}
	for _, w := range d.vpes.close(nil) {
		units = d.picture(units, w)
	}
	return units
}

func (d *Demuxer) packet(units []Unit, p ts.Packet) []Unit {
	if d.hasVideo && p.PID() == d.vpes.pid {
		done, lost := d.vpes.push(p, false)
		for _, w := range done {
			units = d.picture(units, w)
		}
		if lost {
			d.Gap()
		}
		return units
	}
	done, lost := d.apes.push(p, true)
	if lost {
		d.audio.forget()
	}
	for _, w := range done {
		if at, ok := d.time(w.pts); ok {
			units = append(units, d.sound(w.data, at, true)...)
		}
	}
	return units
}

func (d *Demuxer) picture(units []Unit, w whole) []Unit {
	at, ok := d.time(w.dts)
	if !ok {
		return units
	}
	u, ok := d.video.unit(w.data, w.random)
	if !ok {
		return units
	}
	u.Time, u.Run = at, d.run
	u.Offset = int32(step(w.dts, w.pts))
	return append(units, u)
}

func (d *Demuxer) sound(b []byte, at int64, isStamped bool) []Unit {
	units, refused := d.audio.push(b, at, isStamped)
	d.refused = refused
	for i := range units {
		units[i].Run = d.run
	}
	return units
}

// time unwraps a time stamp. One that is far from the last begins a new run; for a
// while after that one of the old clock is none.
func (d *Demuxer) time(raw uint64) (int64, bool) {
	if !d.stamped {
		d.raw, d.last, d.stamped = raw, 0, true
		return 0, true
	}
	n := step(d.raw, raw)
	if limit := int64(maxJump.Seconds() * videoScale); n > limit || n < -limit {
		if d.odd++; d.run > 0 && d.good < settleUnits && d.odd < settleUnits {
			return 0, false
		}
		vpes, apes := d.vpes, d.apes // what is under way is of the new clock
		d.Gap()
		d.vpes, d.apes = vpes, apes
		d.raw, d.last, d.stamped = raw, 0, true
		return 0, true
	}
	d.raw, d.last = raw, d.last+n
	d.good, d.odd = d.good+1, 0
	return d.last, true
}

// step is the shorter way from one time stamp to another around the wrap.
func step(from, to uint64) int64 {
	const wrap = 1 << 33
	n := int64((to - from) & (wrap - 1))
	if n > wrap/2 {
		n -= wrap
	}
	return n
}

// choose picks the tracks that the tables name.
func (d *Demuxer) choose() {
	programs := d.psi.Programs()
	i := slices.IndexFunc(programs, func(p ts.Program) bool { return p.Known })
	if i < 0 {
		return
	}
	var v, a *ts.Stream
	var other string // a sound that cannot be had
	for j := range programs[i].Streams {
		s := &programs[i].Streams[j]
		switch kind, can := kindOf(s); {
		case kind == isVideo && v == nil:
			v = s
			if !can {
				d.refused = nameOf(s)
				return
			}
		case kind == isAudio && a == nil && can:
			a = s
		case kind == isAudio && other == "":
			other = nameOf(s)
		}
	}
	if v == nil && a == nil || a == nil && other != "" {
		if d.refused = other; other == "" {
			d.refused = "a programme without picture and sound"
		}
		return
	}
	d.take(v, a)
}

// take makes these the tracks, either of which may be nil.
func (d *Demuxer) take(v, a *ts.Stream) {
	var vpid, apid ts.PID
	media, how := stripe.MediaMP3, avc
	if v != nil {
		vpid = v.PID
		if v.Type == typeHEVC {
			how = hevc
		}
	}
	if a != nil {
		apid = a.PID
		if a.Type == typeADTS {
			media = stripe.MediaAAC
		}
	}
	same := d.hasVideo == (v != nil) && d.hasAudio == (a != nil) && d.vpes.pid == vpid && d.apes.pid == apid &&
		(v == nil || d.video.codec.sps == how.sps) && (a == nil || d.audio.media == media)
	if same {
		return
	}
	if d.hasVideo || d.hasAudio {
		d.Gap()
	}
	d.hasVideo, d.hasAudio = v != nil, a != nil
	d.vpes, d.apes = pes{pid: vpid}, pes{pid: apid}
	d.video, d.audio = video{codec: how}, audio{media: media}
}

// Stream types (13818-1, table 2-34) that are taken.
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typeADTS       = 0x0f
	typeH264       = 0x1b
	typeHEVC       = 0x24
)

type kind int

const (
	isOther kind = iota
	isVideo
	isAudio
)

// kindOf says what a stream is, and whether it can be in MP4 as far as its type tells.
func kindOf(s *ts.Stream) (k kind, can bool) {
	switch s.Type {
	case typeH264, typeHEVC:
		return isVideo, true
	case typeADTS, typeMPEG1Audio, typeMPEG2Audio:
		return isAudio, true
	}
	if _, ok := videoNames[s.Type]; ok {
		return isVideo, false
	}
	if _, ok := audioNames[s.Type]; ok {
		return isAudio, false
	}
	if s.Type == 0x06 {
		switch s.Format {
		case formatAV1:
			return isVideo, false
		case formatOpus, formatAC3:
			return isAudio, false
		}
	}
	return isOther, false
}

const (
	formatAV1  = 'A'<<24 | 'V'<<16 | '0'<<8 | '1'
	formatOpus = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	formatAC3  = 'A'<<24 | 'C'<<16 | '-'<<8 | '3'
)

var (
	videoNames = map[uint8]string{
		0x01: "MPEG-1 video", 0x02: "MPEG-2 video", 0x10: "MPEG-4 video", 0x20: "H.264 MVC", 0x21: "JPEG 2000",
		0x33: "VVC", 0x42: "AVS", 0xd1: "Dirac", 0xd2: "AVS2", 0xd4: "AVS3", 0xea: "VC-1",
	}
	audioNames = map[uint8]string{0x11: "LATM AAC", 0x81: "AC-3", 0x82: "DTS", 0x83: "TrueHD", 0x84: "E-AC-3", 0x87: "E-AC-3"}
)

func nameOf(s *ts.Stream) string {
	name := videoNames[s.Type] + audioNames[s.Type]
	switch {
	case name != "":
	case s.Format == formatAV1:
		name = "AV1"
	case s.Format == formatOpus:
		name = "Opus"
	case s.Format == formatAC3:
		name = "AC-3"
	}
	return fmt.Sprintf("%s (stream type 0x%02x)", name, s.Type)
}
