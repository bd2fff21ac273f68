package ts

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// mp3Frame is an MPEG-1 layer III frame, 128 kbit/s, 44.1 kHz.
func mp3Frame(pad byte) []byte {
	return append([]byte{0xff, 0xfb, 0x90 | pad<<1, 0xc0}, make([]byte, 413+int(pad))...)
}

func adtsFrame(n int) []byte { // AAC LC, 48 kHz, stereo
	n += adtsHeader
	return append([]byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}, make([]byte, n-adtsHeader)...)
}

func id3Tag(n int) []byte {
	return append([]byte{'I', 'D', '3', 4, 0, 0, 0, byte(n >> 14), byte(n>>7) & 0x7f, byte(n) & 0x7f}, make([]byte, n)...)
}

func oggPage(flags byte, serial uint32, granule uint64, body []byte) []byte {
	p := []byte("OggS\x00")
	p = append(p, flags)
	for i := range 8 {
		p = append(p, byte(granule>>(8*i)))
	}
	p = append(p, byte(serial), byte(serial>>8), byte(serial>>16), byte(serial>>24))
	p = append(p, make([]byte, 8)...)
	n := len(body)/255 + 1
	p = append(p, byte(n))
	for range n - 1 {
		p = append(p, 255)
	}
	return append(append(p, byte(len(body)%255)), body...)
}

func audioConfig(m stripe.Media) Config {
	return Config{Media: m, BlockTime: 100 * time.Millisecond, MaxBlock: stripe.MaxBlock}
}

func TestFrameHeaders(t *testing.T) {
	for _, c := range []struct {
		name                string
		parse               func([]byte) (frame, bool)
		b                   []byte
		size, samples, rate int
	}{
		{"MPEG-1 III 128k 44.1", parseMPEG, []byte{0xff, 0xfb, 0x90, 0}, 417, 1152, 44100},
		{"with padding", parseMPEG, []byte{0xff, 0xfb, 0x92, 0}, 418, 1152, 44100},
		{"MPEG-1 II 192k 48", parseMPEG, []byte{0xff, 0xfd, 0xa4, 0}, 576, 1152, 48000},
		{"MPEG-1 I 32k 32", parseMPEG, []byte{0xff, 0xff, 0x18, 0}, 48, 384, 32000},
		{"MPEG-2 III 64k 22.05", parseMPEG, []byte{0xff, 0xf3, 0x80, 0}, 208, 576, 22050},
		{"MPEG-2 II 64k 24", parseMPEG, []byte{0xff, 0xf5, 0x84, 0}, 384, 1152, 24000},
		{"MPEG-2.5 III 8k 8", parseMPEG, []byte{0xff, 0xe3, 0x18, 0}, 72, 576, 8000},
		{"free format", parseMPEG, []byte{0xff, 0xfb, 0x00, 0}, 0, 0, 0},
		{"bad bit rate", parseMPEG, []byte{0xff, 0xfb, 0xf0, 0}, 0, 0, 0},
		{"bad rate", parseMPEG, []byte{0xff, 0xfb, 0x9c, 0}, 0, 0, 0},
		{"no layer", parseMPEG, []byte{0xff, 0xf9, 0x90, 0}, 0, 0, 0},
		{"no version", parseMPEG, []byte{0xff, 0xeb, 0x90, 0}, 0, 0, 0},
		{"ADTS 48", parseADTS, adtsFrame(200), 207, 1024, 48000},
		{"ADTS of no length", parseADTS, []byte{0xff, 0xf1, 0x4c, 0x80, 0, 0, 0xfc}, 0, 0, 0},
		{"ADTS of bad rate", parseADTS, []byte{0xff, 0xf1, 0x74, 0x80, 0x10, 0, 0xfc}, 0, 0, 0},
		{"ADTS shorter than its CRC", parseADTS, []byte{0xff, 0xf0, 0x4c, 0x80, 1, 0, 0xfc}, 0, 0, 0},
	} {
		f, ok := c.parse(c.b)
		if ok != (c.size > 0) || f.size != c.size || f.samples != c.samples || f.rate != c.rate {
			t.Errorf("%s: %+v %v", c.name, f, ok)
		}
	}
}

// Blocks of frames begin with one, last T on average, and hold every byte.
func TestCutterAudio(t *testing.T) {
	mp3 := id3Tag(3000)
	for i := range 400 {
		mp3 = append(mp3, mp3Frame(byte(i&1))...)
	}
	adts := []byte{}
	for i := range 400 {
		if i%100 == 50 {
			adts = append(adts, id3Tag(40)...)
		}
		adts = append(adts, adtsFrame(100+i)...)
	}
	for _, c := range []struct {
		media stripe.Media
		in    []byte
		total time.Duration
		start []byte
	}{
		{stripe.MediaMP3, mp3, 400 * 1152 * time.Second / 44100, []byte{0xff, 0xfb}},
		{stripe.MediaAAC, adts, 400 * 1024 * time.Second / 48000, []byte{0xff, 0xf1}},
	} {
		_, cuts := cutAll(audioConfig(c.media), rand.New(rand.NewPCG(1, 1)), c.in)
		if !bytes.Equal(joined(cuts), c.in) {
			t.Fatalf("%v: %d bytes in, %d out", c.media, len(c.in), len(joined(cuts)))
		}
		if want := int(c.total / (100 * time.Millisecond)); len(cuts) < want || len(cuts) > want+1 {
			t.Errorf("%v: %d blocks, want %d", c.media, len(cuts), want)
		}
		total := time.Duration(0)
		for i, cut := range cuts {
			total += cut.Span
			if !cut.RandomAccess || cut.Discontinuity {
				t.Errorf("%v block %d: %s", c.media, i, brief(cut))
			}
			if i > 0 && !bytes.HasPrefix(cut.Data, c.start) && !bytes.HasPrefix(cut.Data, []byte(id3Magic)) {
				t.Errorf("%v block %d begins with % x", c.media, i, cut.Data[:4])
			}
		}
		if off := total - c.total; off < -time.Millisecond || off > time.Millisecond {
			t.Errorf("%v: %v long, want %v", c.media, total, c.total)
		}
	}
}

// A clock of samples stays exact: what a frame has beyond whole ticks is not lost.
func TestFramesClock(t *testing.T) {
	c := NewCutter(audioConfig(stripe.MediaMP3))
	const n = 5000
	c.Write(epoch, bytes.Repeat(mp3Frame(0), n))
	if want := int64(n) * 1152 * ticksPerSecond / 44100; c.b.clock != want {
		t.Errorf("%d ticks after %d frames, want %d", c.b.clock, n, want)
	}
}

// The chunks an audio stream comes in change nothing about its blocks.
func TestCutterAudioChunks(t *testing.T) {
	for media, in := range audioSamples(300) {
		whole := NewCutter(audioConfig(media))
		want := slices.Clone(whole.Write(epoch, in))
		want = append(want, whole.Flush(epoch)...)
		for seed := range uint64(20) {
			_, got := cutAll(audioConfig(media), rand.New(rand.NewPCG(seed, 3)), in)
			t.Run(fmt.Sprint(media, seed), func(t *testing.T) { sameCuts(t, got, want) })
		}
	}
}

func audioSamples(n int) map[stripe.Media][]byte {
	rnd := rand.New(rand.NewPCG(9, 9))
	out := map[stripe.Media][]byte{}
	for i := range n {
		junk := noise(rnd, rnd.IntN(2)*rnd.IntN(300)*(i%17/16))
		out[stripe.MediaMP3] = slices.Concat(out[stripe.MediaMP3], mp3Frame(byte(i&1)), junk)
		out[stripe.MediaAAC] = slices.Concat(out[stripe.MediaAAC], adtsFrame(i), junk)
		out[stripe.MediaOgg] = slices.Concat(out[stripe.MediaOgg], oggPage(0, 1, uint64(i)*960, make([]byte, i)), junk)
	}
	head := slices.Concat([]byte("OpusHead"), make([]byte, 11))
	out[stripe.MediaOgg] = slices.Concat(oggPage(2, 1, 0, head), out[stripe.MediaOgg])
	return out
}

func TestCutterOgg(t *testing.T) {
	vorbis := append([]byte("\x01vorbis\x00\x00\x00\x00\x02\x44\xac\x00\x00"), make([]byte, 14)...) // 44100
	opus := append([]byte("OpusHead"), make([]byte, 11)...)
	b := slices.Concat(oggPage(2, 1, 0, vorbis), oggPage(0, 1, 0, make([]byte, 4000)))
	for i := range 20 {
		b = append(b, oggPage(0, 1, uint64(i+1)*4410, make([]byte, 900))...)
	}
	b = append(b, oggPage(2, 2, 0, opus)...) // the next link of the chain
	for i := range 20 {
		b = append(b, oggPage(0, 2, uint64(i+1)*4800, make([]byte, 900))...)
	}
	_, cuts := cutAll(audioConfig(stripe.MediaOgg), rand.New(rand.NewPCG(1, 1)), b)
	if !bytes.Equal(joined(cuts), b) || len(cuts) != 40 {
		t.Fatalf("%d blocks, %d bytes of %d; want 40", len(cuts), len(joined(cuts)), len(b))
	}
	for i, c := range cuts {
		if c.MediaTime != uint64(i)*9000 || !bytes.HasPrefix(c.Data, []byte(oggMagic)) || !c.RandomAccess {
			t.Errorf("block %d: %s", i, brief(c))
		}
	}
}

// Bytes without structure are cut by arrival.
func TestCutterOpaque(t *testing.T) {
	c := NewCutter(audioConfig(stripe.MediaOpaque))
	in := make([]byte, 5000)
	var cuts []Cut
	for i := range 100 {
		cuts = append(cuts, c.Write(epoch.Add(time.Duration(i)*20*time.Millisecond), in[i*50:i*50+50])...)
	}
	cuts = append(cuts, c.Flush(epoch.Add(2*time.Second))...)
	if len(cuts) != 20 || !bytes.Equal(joined(cuts), in) {
		t.Fatalf("%d blocks in 2 s, want 20", len(cuts))
	}
	for i, c := range cuts {
		if c.MediaTime != uint64(i)*9000 || !c.RandomAccess {
			t.Errorf("block %d: %s", i, brief(c))
		}
	}
}

func TestSniff(t *testing.T) {
	var m muxer
	steady(&m, 0, 10, 5)
	samples := audioSamples(40)
	for name, c := range map[string]struct {
		b    []byte
		want stripe.Media
		ok   bool
	}{
		"TS":           {m.out, stripe.MediaTS, true},
		"TS, joined":   {m.out[77:], stripe.MediaTS, true},
		"TS, short":    {m.out[:2*PacketLen], stripe.MediaTS, true},
		"one packet":   {m.out[:PacketLen], stripe.MediaOpaque, false},
		"MP3":          {samples[stripe.MediaMP3], stripe.MediaMP3, true},
		"MP3, joined":  {samples[stripe.MediaMP3][100:], stripe.MediaMP3, true},
		"MP3, tagged":  {append(id3Tag(500), samples[stripe.MediaMP3]...), stripe.MediaMP3, true},
		"only a tag":   {id3Tag(500)[:400], stripe.MediaMP3, true},
		"AAC":          {samples[stripe.MediaAAC], stripe.MediaAAC, true},
		"AAC, tagged":  {append(id3Tag(60), samples[stripe.MediaAAC]...), stripe.MediaAAC, true},
		"two frames":   {append(mp3Frame(0), mp3Frame(0)...), stripe.MediaOpaque, false},
		"Ogg":          {samples[stripe.MediaOgg], stripe.MediaOgg, true},
		"text":         {bytes.Repeat([]byte("GG hello "), 500), stripe.MediaOpaque, false},
		"nothing":      {nil, stripe.MediaOpaque, false},
		"random bytes": {noise(rand.New(rand.NewPCG(1, 1)), 3000), stripe.MediaOpaque, false},
	} {
		if got, ok := Sniff(c.b); got != c.want || ok != c.ok {
			t.Errorf("%s: %v %v, want %v %v", name, got, ok, c.want, c.ok)
		}
	}
}

func FuzzAudio(f *testing.F) {
	for media, b := range audioSamples(20) {
		f.Add(uint8(media), b, uint64(1))
	}
	f.Add(uint8(stripe.MediaMP3), id3Tag(300), uint64(2))
	f.Fuzz(func(t *testing.T, media uint8, b []byte, seed uint64) {
		cfg := audioConfig(stripe.Media(media))
		if len(b) > 1<<16 || cfg.Media == stripe.MediaTS || cfg.Validate() != nil {
			return
		}
		rnd := rand.New(rand.NewPCG(seed, 0))
		if seed%2 == 0 {
			cfg.MaxBlock = 2*PacketLen + int(seed%10_000)
		}
		_, cuts := cutAll(cfg, rnd, b)
		checkCuts(t, cfg, cuts, b)
		Sniff(b)
		Estimate(b)
	})
}
