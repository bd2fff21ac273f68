package ts

import (
	"bytes"
	"testing"
)

// rtpPacket is an RTP packet with so many contributing sources, words of extension
// (none if negative) and bytes of padding.
func rtpPacket(sources, words, padding int, load []byte) []byte {
	b := append([]byte{0x80 | byte(sources), 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}, make([]byte, 4*sources)...)
	if words >= 0 {
		b[0] |= 0x10
		b = append(append(b, 0xbe, 0xde, 0, byte(words)), make([]byte, 4*words)...)
	}
	b = append(b, load...)
	if padding > 0 {
		b[0] |= 0x20
		b = append(append(b, make([]byte, padding-1)...), byte(padding))
	}
	return b
}

func TestRTP(t *testing.T) {
	load := bytes.Repeat([]byte{syncByte}, PacketLen)
	for name, b := range map[string][]byte{
		"no RTP":         load,
		"RTP":            rtpPacket(0, -1, 0, load),
		"with sources":   rtpPacket(3, -1, 0, load),
		"with extension": rtpPacket(0, 2, 0, load),
		"with no words":  rtpPacket(0, 0, 0, load),
		"with padding":   rtpPacket(0, -1, 4, load),
		"with all of it": rtpPacket(15, 9, 200, load),
	} {
		if got := RTP(b); !bytes.Equal(got, load) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(load))
		}
	}
	for name, b := range map[string][]byte{
		"nothing in it":       rtpPacket(0, -1, 0, nil),
		"nothing but padding": rtpPacket(0, -1, 9, nil),
		"padding too long":    append(rtpPacket(0, -1, 4, nil)[:15], 0xff),
		"extension too long":  {0x90, 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0xff, 0xff, 1},
		"extension cut":       {0x90, 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0},
		"sources cut":         {0x8f, 33, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0},
	} {
		if got := RTP(b); len(got) > 0 {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
}

// FuzzRTP: whatever comes, what is taken from it is a part of it.
func FuzzRTP(f *testing.F) {
	f.Add(rtpPacket(2, 3, 7, []byte("load")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := RTP(b); len(got) > len(b) || !bytes.Contains(b, got) {
			t.Errorf("%x from %x", got, b)
		}
	})
}
