package hls

import (
	"bytes"
	"testing"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// FuzzMuxer: whatever comes, and wherever it has gaps, the playlist can be read, every
// segment that it names is there, and none lasts less than nothing.
func FuzzMuxer(f *testing.F) {
	f.Add(uint8(stripe.MediaTS), uint8(40), uint64(0), clip.TS()[:400*ts.PacketLen])
	f.Add(uint8(stripe.MediaTS), uint8(7), uint64(0b1000100), clip.TS()[:300*ts.PacketLen])
	f.Add(uint8(stripe.MediaMP3), uint8(1), uint64(2), bytes.Repeat(append([]byte{0xff, 0xfb, 0x90, 0}, make([]byte, 413)...), 300))
	f.Fuzz(func(t *testing.T, media, packets uint8, gaps uint64, b []byte) {
		m := New(stripe.Media(media%5), 3)
		for i := 0; len(b) > 0; i++ {
			n := min(len(b), (1+int(packets))*ts.PacketLen)
			m.Push(b[:n], gaps>>(i%64)&1 == 1, began)
			b = b[n:]
		}
		m.End()
		l := read(t, m.MediaPlaylist())
		for i, s := range l.segments {
			if s.uri == "" || s.duration < 0 {
				t.Fatalf("segment %d: %+v", i, s)
			}
			pieces, _, ok := m.File(s.uri)
			if !ok {
				t.Fatalf("%s is not there", s.uri)
			}
			times(t, bytes.Join(pieces, nil))
			if _, _, ok := m.File(s.init); !ok {
				t.Fatalf("%s is not there", s.init)
			}
		}
	})
}
