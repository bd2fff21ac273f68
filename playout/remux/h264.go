package remux

import "fmt"

// pictureSize bounds what a parameter set may say of width and height.
const pictureSize = 1 << 14

// H.264's NAL unit types.
const (
	avcIDR = 5
	avcSPS = 7
	avcPPS = 8
	avcAUD = 9
)

// avcSetKind says whether a NAL unit is a parameter set, and which: 0 for an SPS, 1 for
// a PPS.
func avcSetKind(nal []byte) (kind int, ok bool) {
	switch nal[0] & 0x1f {
	case avcSPS:
		return 0, true
	case avcPPS:
		return 1, true
	}
	return 0, false
}

// avcConfig reads parameter sets.
func avcConfig(sets *sets) (*Config, bool) {
	if len(sets[0]) == 0 || len(sets[1]) == 0 || len(sets[0][0]) < 4 {
		return nil, false
	}
	first := sets[0][0]
	sps, ok := parseAVC(first)
	if !ok {
		return nil, false
	}
	c := &Config{
		Video: true, Timescale: videoScale, Width: sps.width, Height: sps.height,
		Codec: fmt.Sprintf("avc1.%02X%02X%02X", first[1], first[2], first[3]),
	}
	var w boxes
	w.video("avc1", c, func() {
		w.box("avcC", func() {
			w.raw(1, first[1], first[2], first[3], 0xff, 0xe0|byte(len(sets[0])))
			for _, nal := range sets[0] {
				w.u16(len(nal))
				w.raw(nal...)
			}
			w.raw(byte(len(sets[1])))
			for _, nal := range sets[1] {
				w.u16(len(nal))
				w.raw(nal...)
			}
			if sps.high {
				w.raw(0xfc|byte(sps.chroma), 0xf8|byte(sps.luma), 0xf8|byte(sps.chromaBits), 0)
			}
		})
	})
	c.entry = w.b
	return c, true
}

// sps is what a sequence parameter set says that MP4 wants to know.
type sps struct {
	width, height    int
	chroma           uint32 // format
	luma, chromaBits uint32 // bits beyond 8
	high             bool   // H.264: it says the three before
}

// parseAVC reads an SPS (14496-10, 7.3.2.1.1), header and all.
func parseAVC(nal []byte) (s sps, ok bool) {
	r := &bitReader{b: payload(nal[1:])}
	profile := r.u(8)
	r.skip(16)
	r.ue() // its ID
	s.chroma = 1
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		s.high = true
		if s.chroma = r.ue(); s.chroma == 3 {
			r.skip(1)
		}
		s.luma, s.chromaBits = r.ue(), r.ue()
		r.skip(1)
		if r.flag() {
			avcScaling(r, s.chroma)
		}
	}
	r.ue()
	switch r.ue() { // order of pictures
	case 0:
		r.ue()
	case 1:
		r.skip(1)
		r.se()
		r.se()
		for n := r.ue(); n > 0 && !r.short; n-- {
			r.se()
		}
	}
	r.ue()
	r.skip(1)
	width, height := 16*(int(r.ue())+1), int(r.ue())+1
	frames := 1 // of a height's unit: 2 with fields
	if !r.flag() {
		frames = 2
		r.skip(1)
	}
	height *= 16 * frames
	r.skip(1)
	if r.flag() {
		x, y := cropUnits(s.chroma)
		width -= x * (int(r.ue()) + int(r.ue()))
		height -= y * frames * (int(r.ue()) + int(r.ue()))
	}
	s.width, s.height = width, height
	return s, !r.short && s.usable()
}

func (s *sps) usable() bool {
	return s.width > 0 && s.height > 0 && s.width <= pictureSize && s.height <= pictureSize &&
		s.chroma <= 3 && s.luma <= 6 && s.chromaBits <= 6
}

// cropUnits is in how many pixels a chroma format counts what is cut off.
func cropUnits(chroma uint32) (x, y int) {
	switch chroma {
	case 1:
		return 2, 2
	case 2:
		return 2, 1
	}
	return 1, 1
}

func avcScaling(r *bitReader, chroma uint32) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if !r.flag() {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se() + 256) % 256
			}
			if next != 0 {
				last = next
			}
		}
	}
}
