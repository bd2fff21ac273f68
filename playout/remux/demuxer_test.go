package remux

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/asticode/go-astits"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// demux takes a stream apart in one go.
func demux(media stripe.Media, b []byte) []Unit {
	d := NewDemuxer(media)
	return append(d.Push(b), d.Flush()...)
}

// of is the units of one kind.
func of(units []Unit, video bool) []Unit {
	return slices.DeleteFunc(slices.Clone(units), func(u Unit) bool { return u.Config.Video != video })
}

// TestSecondOpinion: go-astits finds the same pictures and sounds in the clip, at the
// same times.
func TestSecondOpinion(t *testing.T) {
	dmx := astits.NewDemuxer(context.Background(), bytes.NewReader(clip.TS()))
	type stamp struct{ dts, pts int64 }
	var pictures []stamp
	sound := 0
	for {
		d, err := dmx.NextData()
		if errors.Is(err, astits.ErrNoMorePackets) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case d.PES == nil:
		case d.PES.Header.IsVideoStream():
			s := stamp{pts: d.PES.Header.OptionalHeader.PTS.Base}
			s.dts = s.pts
			if dts := d.PES.Header.OptionalHeader.DTS; dts != nil {
				s.dts = dts.Base
			}
			pictures = append(pictures, s)
		default:
			for b := d.PES.Data; len(b) > 0; sound++ {
				f, ok := ts.ParseFrame(stripe.MediaAAC, b)
				if !ok {
					t.Fatal("no ADTS frame")
				}
				b = b[f.Size:]
			}
		}
	}
	units := demux(stripe.MediaTS, clip.TS())
	video, audio := of(units, true), of(units, false)
	if len(video) != len(pictures) || len(audio) != sound || len(video) == 0 || sound == 0 {
		t.Fatalf("%d pictures and %d sounds, go-astits found %d and %d", len(video), len(audio), len(pictures), sound)
	}
	for i, p := range pictures {
		if d := p.dts - pictures[0].dts; video[i].Time-video[0].Time != d || int64(video[i].Offset) != p.pts-p.dts {
			t.Fatalf("picture %d: %+v of %+v", i, video[i].Time, p)
		}
	}
	c := video[0].Config
	if c.Width != 640 || c.Height != 360 || c.Codec != "avc1.4D401E" || !video[0].Key || video[1].Key {
		t.Errorf("%+v", c)
	}
	if c := audio[0].Config; c.Codec != "mp4a.40.2" || c.Rate != 32000 || c.Channels != 1 || c.Timescale != 32000 {
		t.Errorf("%+v", c)
	}
	for i, u := range audio[1:] {
		if u.Time != audio[i].Time+1024 {
			t.Fatalf("sound %d at %d, the one before at %d", i+1, u.Time, audio[i].Time)
		}
	}
}

// TestPieces: it makes no difference in what pieces a stream comes.
func TestPieces(t *testing.T) {
	want := demux(stripe.MediaTS, clip.TS())
	r := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		d := NewDemuxer(stripe.MediaTS)
		var got []Unit
		for b := clip.TS(); len(b) > 0; {
			n := min(len(b), ts.PacketLen*(1+r.IntN(100)))
			got = append(got, d.Push(b[:n])...)
			b = b[n:]
		}
		got = append(got, d.Flush()...)
		if !same(got, want) {
			t.Fatal("other units")
		}
	}
}

// same compares units but for where their configs lie.
func same(a, b []Unit) bool {
	return slices.EqualFunc(a, b, func(a, b Unit) bool {
		return reflect.DeepEqual(a.Config, b.Config) && a.Time == b.Time && a.Offset == b.Offset &&
			a.Length == b.Length && a.Key == b.Key && a.Run == b.Run && bytes.Equal(a.Data, b.Data)
	})
}

// bare joins the clip's sound to a stream of ADTS frames.
func bare(t testing.TB) []byte {
	t.Helper()
	var p pes
	var b []byte
	psi := &ts.PSI{}
	for in := clip.TS(); len(in) > 0; in = in[ts.PacketLen:] {
		pkt := ts.Packet(in[:ts.PacketLen])
		psi.Push(pkt)
		if len(psi.Programs()) == 0 || !psi.Programs()[0].Known {
			continue
		}
		i := slices.IndexFunc(psi.Programs()[0].Streams, func(s ts.Stream) bool { return s.Type == typeADTS })
		if pkt.PID() != psi.Programs()[0].Streams[i].PID {
			continue
		}
		done, _ := p.push(pkt, true)
		for _, w := range done {
			b = append(b, w.data...)
		}
	}
	return b
}

// TestBareAudio: frames that no packet gives a time follow each other, whatever the
// pieces; what is no frame is passed over.
func TestBareAudio(t *testing.T) {
	in := bare(t)
	want := demux(stripe.MediaAAC, in)
	if n := len(of(demux(stripe.MediaTS, clip.TS()), false)); len(want) != n || n == 0 {
		t.Fatalf("%d frames of %d", len(want), n)
	}
	for i, u := range want {
		if u.Time != int64(i)*1024 || u.Length != 1024 {
			t.Fatalf("frame %d: %d, %d", i, u.Time, u.Length)
		}
	}
	d := NewDemuxer(stripe.MediaAAC)
	got := d.Push([]byte("ID3 is no frame"))
	for i := range in {
		got = append(got, d.Push(in[i:i+1])...)
	}
	if !same(got, want) {
		t.Errorf("byte by byte %d units of %d", len(got), len(want))
	}
	d.Gap()
	if again := d.Push(in); len(again) != len(want) || again[0].Run != 1 {
		t.Errorf("after a gap %d units of %d", len(again), len(want))
	}
}

// shift moves a clip's clock, so that it is another's.
func shift(t testing.TB, times int) []byte {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(clip.TS()))
	for range times {
		for n := 0; n < len(b); {
			m, err := l.Read(b[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	return b
}

// TestRuns: a loop's clock goes on; another clock, and a lost packet, begin a new run.
func TestRuns(t *testing.T) {
	runs := func(parts ...[]byte) (runs []int) {
		for _, u := range demux(stripe.MediaTS, bytes.Join(parts, nil)) {
			runs = append(runs, u.Run)
		}
		return slices.Compact(runs)
	}
	one := clip.TS()
	if got := runs(shift(t, 1), shift(t, 2), shift(t, 3)); !slices.Equal(got, []int{0}) {
		t.Errorf("a loop: runs %v", got)
	}
	if got := runs(one, shift(t, 10), one); len(got) < 3 || !slices.IsSorted(got) {
		t.Errorf("other clocks: runs %v", got)
	}
	hole := append(bytes.Clone(one[:300*ts.PacketLen]), one[400*ts.PacketLen:]...)
	if got := runs(hole); len(got) < 2 {
		t.Errorf("a hole: runs %v", got)
	}
}

// TestRefused: what cannot be in MP4 is named.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		video, audio uint8
		want         string
	}{
		{typeH264, typeADTS, ""},
		{0x02, typeADTS, "MPEG-2 video (stream type 0x02)"},
		{typeH264, 0x81, "AC-3 (stream type 0x81)"},
		{0xd1, 0x81, "Dirac (stream type 0xd1)"},
		{0x05, 0x05, "a programme without picture and sound"},
	} {
		d := NewDemuxer(stripe.MediaTS)
		d.Push(tables(c.video, c.audio))
		if got := d.Refused(); got != c.want {
			t.Errorf("%#x and %#x: %q, want %q", c.video, c.audio, got, c.want)
		}
		if v, a := d.Has(); c.want == "" != (v && a) {
			t.Errorf("%#x and %#x: video %v, audio %v", c.video, c.audio, v, a)
		}
	}
	layer2 := bytes.Repeat(append([]byte{0xff, 0xfd, 0x84, 0}, make([]byte, 380)...), 4)
	for media, in := range map[stripe.Media][]byte{stripe.MediaOgg: nil, stripe.MediaOpaque: nil, stripe.MediaMP3: layer2} {
		d := NewDemuxer(media)
		if units := d.Push(in); len(units) > 0 || d.Refused() == "" {
			t.Errorf("%v: %d units, %q", media, len(units), d.Refused())
		}
	}
}

// tables is a PAT and a PMT of one video on PID 0x100 and one audio on 0x101.
func tables(video, audio uint8) []byte {
	pat := section(0, []byte{0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | 0x10, 0})
	pmt := section(2, []byte{0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, video, 0xe1, 0, 0xf0, 0, audio, 0xe1, 1, 0xf0, 0})
	return append(inPacket(0, pat), inPacket(0x1000, pmt)...)
}

func section(table byte, body []byte) []byte {
	n := len(body) + 4
	b := append([]byte{table, 0xb0 | byte(n>>8), byte(n)}, body...)
	crc := uint32(0xffffffff)
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc&0x80000000 != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return append(b, byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc))
}

func inPacket(pid int, section []byte) []byte {
	b := append([]byte{0x47, 0x40 | byte(pid>>8), byte(pid), 0x10, 0}, section...)
	for len(b) < ts.PacketLen {
		b = append(b, 0xff)
	}
	return b
}

// TestShortPackets: a packet that says that it ends within its own header is none.
func TestShortPackets(t *testing.T) {
	for length := range 20 {
		for _, flags := range []byte{0x80, 0xc0} {
			d := NewDemuxer(stripe.MediaTS)
			d.Push(tables(typeH264, typeADTS))
			sound := []byte{0, 0, 1, 0xc0, 0, byte(length), 0x80, flags, 10, 0x31, 0, 1, 0, 1, 0x11, 0, 1, 0, 1}
			p := inPacket(0x101, sound)
			p = append(p[:4], append(sound, p[5+len(sound):]...)...) // without a section's pointer
			p = append(p, 0xff)
			if units := append(d.Push(p), d.Flush()...); len(units) > 0 {
				t.Errorf("length %d, flags %#x: %d units", length, flags, len(units))
			}
		}
	}
}

func TestDuration(t *testing.T) {
	c := &Config{Timescale: 44100}
	for _, n := range []int64{0, 1, 1023, 44100, -1, -44101, 1 << 48} {
		if got := c.Ticks(c.Duration(n)); got != n {
			t.Errorf("%d ticks are %v and that is %d", n, c.Duration(n), got)
		}
	}
	if got := (&Config{Timescale: 90000}).Duration(90000 * 3600 * 24 * 365); got != 24*365*time.Hour {
		t.Errorf("a year is %v", got)
	}
}

// FuzzDemuxer: whatever comes, units have a config and go forward, and their lengths
// add up.
func FuzzDemuxer(f *testing.F) {
	in := clip.TS()[:200*ts.PacketLen]
	f.Add(uint8(stripe.MediaTS), in)
	f.Add(uint8(stripe.MediaAAC), bare(f)[:2000])
	f.Add(uint8(stripe.MediaMP3), bytes.Repeat(append([]byte{0xff, 0xfb, 0x90, 0}, make([]byte, 413)...), 3))
	f.Add(uint8(stripe.MediaTS), append(tables(typeHEVC, typeMPEG1Audio), in...))
	f.Fuzz(func(t *testing.T, media uint8, b []byte) {
		d := NewDemuxer(stripe.Media(media % 5))
		half := len(b) / 2 / ts.PacketLen * ts.PacketLen
		units := append(d.Push(b[:half]), d.Push(b[half:])...)
		units = append(units, d.Flush()...)
		for _, u := range units {
			if u.Config == nil || u.Config.Timescale == 0 || len(u.Config.entry) == 0 {
				t.Fatalf("%+v", u)
			}
			if u.Config.Video != (u.Length == 0) {
				t.Fatalf("length %d", u.Length)
			}
		}
	})
}
