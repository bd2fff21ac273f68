package remux

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// splitSlowly is split, one byte at a time.
func splitSlowly(es []byte) (nals [][]byte) {
	var cur []byte
	in := false
	flush := func() {
		if cur = bytes.TrimRight(cur, "\x00"); in && len(cur) > 0 {
			nals = append(nals, cur)
		}
		cur = nil
	}
	for i := 0; i < len(es); i++ {
		if bytes.HasPrefix(es[i:], []byte{0, 0, 1}) {
			flush()
			in = true
			i += 2
			continue
		}
		cur = append(cur, es[i])
	}
	flush()
	return nals
}

// TestSplit: against a slow twin, with few different bytes.
func TestSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		b := make([]byte, r.IntN(24))
		for i := range b {
			b[i] = byte(r.IntN(3))
		}
		if got, want := split(b), splitSlowly(b); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("%x: %x, want %x", b, got, want)
		}
	}
}

// TestExpGolomb: numbers written by the standard's rule are read again.
func TestExpGolomb(t *testing.T) {
	for _, n := range []uint32{0, 1, 2, 3, 7, 8, 254, 255, 65534, 1<<31 - 2} {
		width := 0
		for v := n + 1; v > 1; v >>= 1 {
			width++
		}
		var w []byte // bits
		for range width {
			w = append(w, 0)
		}
		for i := width; i >= 0; i-- {
			w = append(w, byte((n+1)>>i&1))
		}
		b := make([]byte, (len(w)+7)/8)
		for i, bit := range w {
			b[i/8] |= bit << (7 - i%8)
		}
		r := &bitReader{b: b}
		if got := r.ue(); got != n || r.short || r.at != len(w) {
			t.Errorf("%d is read as %d, %d bits of %d", n, got, r.at, len(w))
		}
	}
	for _, b := range [][]byte{nil, {0}, make([]byte, 100)} {
		r := &bitReader{b: b}
		if r.ue(); !r.short {
			t.Errorf("%x is a number", b)
		}
	}
	var signed []int32
	for _, b := range []byte{0x80, 0x40, 0x60, 0x20, 0x28} {
		signed = append(signed, (&bitReader{b: []byte{b}}).se())
	}
	if want := []int32{0, 1, -1, 2, -2}; !slices.Equal(signed, want) {
		t.Errorf("%v, want %v", signed, want)
	}
}

func TestPayload(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "0000": "0000", "000003": "0000", "00000301": "000001", "0003": "0003",
		"00000300000302": "0000000002", "0000000300": "00000000",
	} {
		if got := hex.EncodeToString(payload(unhex(t, in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestParameterSets: sizes and names as x264 and x265 wrote them into their sets.
func TestParameterSets(t *testing.T) {
	start := "00000001"
	for _, c := range []struct {
		name   string
		codec  codec
		sets   string
		key    string // a picture that can be decoded alone
		width  int
		height int
		want   string
	}{
		{"High, cropped", avc, "6764001eacd940a02dfac044000003000400000300c83c58b658" + start + "68eaecb22c", "6588", 640, 350, "avc1.64001E"},
		{"High, interlaced", avc, "6764001eacd940a05b6022000003000200000300643e28532c" + start + "68faacb22c", "6588", 640, 352, "avc1.64001E"},
		{"HEVC, cropped", hevc, "40010c01ffff01600000030090000003000003003f95940900" + start +
			"42010101600000030090000003000003003fa005020161f5965654a4c2f016808000000300800000" + "0c84" + start + "4401c073c18900", "2601af", 640, 350, "hvc1.1.6.L63.90"},
	} {
		v := video{codec: c.codec}
		u, ok := v.unit(unhex(t, start+c.sets+start+c.key), false)
		if !ok || !u.Key || u.Config.Width != c.width || u.Config.Height != c.height || u.Config.Codec != c.want {
			t.Errorf("%s: %v %+v", c.name, ok, u.Config)
			continue
		}
		if want := len(c.key) / 2; len(u.Data) != 4+want || number(u.Data[:4]) != want {
			t.Errorf("%s: the picture is %x", c.name, u.Data)
		}
		again, ok := v.unit(unhex(t, start+c.sets+start+c.key), false)
		if !ok || again.Config != u.Config {
			t.Errorf("%s: the same sets make another config", c.name)
		}
		bare, ok := v.unit(unhex(t, start+c.key), false)
		if !ok || bare.Config != u.Config || !bare.Key {
			t.Errorf("%s: a picture without sets", c.name)
		}
		for n := range len(c.sets) / 2 { // cut short, they make no config, or say so
			v := video{codec: c.codec}
			if u, ok := v.unit(unhex(t, start+c.sets[:2*n]+start+c.key), true); ok && u.Config == nil {
				t.Errorf("%s, %d bytes: a picture of no config", c.name, n)
			}
		}
	}
	// Other sets are another config, but only at a picture that can be decoded alone.
	v := video{codec: avc}
	one, _ := v.unit(unhex(t, start+"6764001eacd940a02dfac044000003000400000300c83c58b658"+start+"68eaecb22c"+start+"6588"), false)
	later, _ := v.unit(unhex(t, start+"6764001eacd940a05b6022000003000200000300643e28532c"+start+"68faacb22c"+start+"4188"), false)
	other, _ := v.unit(unhex(t, start+"6764001eacd940a05b6022000003000200000300643e28532c"+start+"68faacb22c"+start+"6588"), false)
	if one.Config != later.Config || one.Config == other.Config || other.Config.Height != 352 {
		t.Error("another config too early, or too late")
	}
}
