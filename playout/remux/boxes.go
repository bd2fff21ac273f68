package remux

// videoScale is the timescale of video: that of a transport stream's time stamps.
const videoScale = 90000

// boxes writes MP4's boxes (14496-12, 4.2).
type boxes struct{ b []byte }

// box writes one with what body writes in it.
func (w *boxes) box(name string, body func()) {
	at := len(w.b)
	w.u32(0)
	w.b = append(w.b, name...)
	body()
	w.patch(at, len(w.b)-at)
}

// full writes a box with version and flags.
func (w *boxes) full(name string, version byte, flags int, body func()) {
	w.box(name, func() {
		w.u32(int(version)<<24 | flags)
		body()
	})
}

func (w *boxes) raw(b ...byte) { w.b = append(w.b, b...) }
func (w *boxes) zeros(n int)   { w.b = append(w.b, make([]byte, n)...) }
func (w *boxes) u16(v int)     { w.raw(byte(v>>8), byte(v)) }
func (w *boxes) u32(v int)     { w.raw(byte(v>>24), byte(v>>16), byte(v>>8), byte(v)) }

func (w *boxes) u64(v int64) {
	w.u32(int(v >> 32))
	w.u32(int(v & 0xffffffff))
}

func (w *boxes) patch(at, v int) {
	w.b[at], w.b[at+1], w.b[at+2], w.b[at+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

func (w *boxes) matrix() {
	for _, v := range []int{0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000} {
		w.u32(v)
	}
}

// video writes a visual sample entry.
func (w *boxes) video(name string, c *Config, inner func()) {
	w.box(name, func() {
		w.zeros(6)
		w.u16(1)
		w.zeros(16)
		w.u16(c.Width)
		w.u16(c.Height)
		w.u32(0x480000) // 72 dpi
		w.u32(0x480000)
		w.zeros(4)
		w.u16(1)
		w.zeros(32)
		w.u16(24)
		w.u16(0xffff)
		inner()
	})
}

// MPEG-4's names of codecs (14496-1, table 5).
const (
	objectAAC = 0x40
	objectMP3 = 0x6b
)

// audio writes the sample entry of AAC, which has a specific config, or of MP3.
func (w *boxes) audio(c *Config, object byte, specific []byte) {
	w.box("mp4a", func() {
		w.zeros(6)
		w.u16(1)
		w.zeros(8)
		w.u16(c.Channels)
		w.u16(16)
		w.zeros(4)
		w.u32(min(c.Rate, 0xffff) << 16)
		w.full("esds", 0, 0, func() {
			decoder := 13
			if len(specific) > 0 {
				decoder += 2 + len(specific)
			}
			w.raw(3, byte(3+2+decoder+3), 0, 0, 0)
			w.raw(4, byte(decoder), object, 0x15)
			w.zeros(11)
			if len(specific) > 0 {
				w.raw(5, byte(len(specific)))
				w.raw(specific...)
			}
			w.raw(6, 1, 2)
		})
	})
}

// AppendInit appends what a decoder needs first: the tracks, numbered from 1 in this
// order.
func AppendInit(dst []byte, tracks ...*Config) []byte {
	w := &boxes{dst}
	w.box("ftyp", func() { w.raw([]byte("iso6\x00\x00\x00\x00iso6mp41")...) })
	w.box("moov", func() {
		w.full("mvhd", 0, 0, func() {
			w.zeros(8)
			w.u32(1000)
			w.zeros(4)
			w.u32(0x10000)
			w.u16(0x100)
			w.zeros(10)
			w.matrix()
			w.zeros(24)
			w.u32(len(tracks) + 1)
		})
		for i, c := range tracks {
			w.track(i+1, c)
		}
		w.box("mvex", func() {
			for i := range tracks {
				w.full("trex", 0, 0, func() {
					w.u32(i + 1)
					w.u32(1)
					w.zeros(12)
				})
			}
		})
	})
	return w.b
}

func (w *boxes) track(id int, c *Config) {
	w.box("trak", func() {
		w.full("tkhd", 0, 3, func() {
			w.zeros(8)
			w.u32(id)
			w.zeros(20)
			if c.Video {
				w.u16(0)
			} else {
				w.u16(0x100)
			}
			w.zeros(2)
			w.matrix()
			w.u32(c.Width << 16)
			w.u32(c.Height << 16)
		})
		w.box("mdia", func() {
			w.full("mdhd", 0, 0, func() {
				w.zeros(8)
				w.u32(int(c.Timescale))
				w.zeros(4)
				w.u16(0x55c4) // no language
				w.zeros(2)
			})
			w.handler(c)
		})
	})
}

func (w *boxes) handler(c *Config) {
	kind, name := "soun", "sound\x00"
	if c.Video {
		kind, name = "vide", "video\x00"
	}
	w.full("hdlr", 0, 0, func() {
		w.zeros(4)
		w.raw([]byte(kind)...)
		w.zeros(12)
		w.raw([]byte(name)...)
	})
	w.box("minf", func() {
		if c.Video {
			w.full("vmhd", 0, 1, func() { w.zeros(8) })
		} else {
			w.full("smhd", 0, 0, func() { w.zeros(4) })
		}
		w.box("dinf", func() {
			w.full("dref", 0, 0, func() {
				w.u32(1)
				w.full("url ", 0, 1, func() {})
			})
		})
		w.box("stbl", func() {
			w.full("stsd", 0, 0, func() {
				w.u32(1)
				w.raw(c.entry...)
			})
			w.full("stts", 0, 0, func() { w.zeros(4) })
			w.full("stsc", 0, 0, func() { w.zeros(4) })
			w.full("stsz", 0, 0, func() { w.zeros(8) })
			w.full("stco", 0, 0, func() { w.zeros(4) })
		})
	})
}
