package remux

import (
	"fmt"
	"math/bits"
	"strings"
)

// HEVC's NAL unit types.
const (
	hevcFirstIRAP = 16
	hevcLastIRAP  = 21
	hevcVPS       = 32
	hevcSPS       = 33
	hevcPPS       = 34
	hevcAUD       = 35
)

func hevcSetKind(nal []byte) (kind int, ok bool) {
	k := int(nal[0] >> 1 & 0x3f)
	return k - hevcVPS, k >= hevcVPS && k <= hevcPPS
}

// hevcProfile is the 12 bytes of general_profile_space … general_level_idc.
const hevcProfile = 12

// hevcConfig reads parameter sets.
func hevcConfig(sets *sets) (*Config, bool) {
	if len(sets[0]) == 0 || len(sets[1]) == 0 || len(sets[2]) == 0 {
		return nil, false
	}
	s, profile, layers, ok := parseHEVC(sets[1][0])
	if !ok {
		return nil, false
	}
	c := &Config{Video: true, Timescale: videoScale, Width: s.width, Height: s.height, Codec: hevcCodec(profile)}
	var w boxes
	w.video("hvc1", c, func() {
		w.box("hvcC", func() {
			w.raw(1)
			w.raw(profile...)
			w.raw(0xf0, 0, 0xfc, 0xfc|byte(s.chroma), 0xf8|byte(s.luma), 0xf8|byte(s.chromaBits), 0, 0)
			w.raw(byte(layers&0xf)<<2|3, byte(len(sets)))
			for i, kind := range sets {
				w.raw(byte(hevcVPS + i))
				w.u16(len(kind))
				for _, nal := range kind {
					w.u16(len(nal))
					w.raw(nal...)
				}
			}
		})
	})
	c.entry = w.b
	return c, true
}

// hevcCodec is 14496-15, annex E.3.
func hevcCodec(p []byte) string {
	compat := bits.Reverse32(uint32(p[1])<<24 | uint32(p[2])<<16 | uint32(p[3])<<8 | uint32(p[4]))
	tier := "L"
	if p[0]&0x20 != 0 {
		tier = "H"
	}
	space := ""
	if n := p[0] >> 6; n > 0 {
		space = string(rune('A' + n - 1))
	}
	s := fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, p[0]&0x1f, compat, tier, p[11])
	last := 11
	for last > 5 && p[last-1] == 0 {
		last--
	}
	var constraints strings.Builder
	for _, b := range p[5:last] {
		fmt.Fprintf(&constraints, ".%X", b)
	}
	return s + constraints.String()
}

// parseHEVC reads an SPS (23008-2, 7.3.2.2), header and all.
func parseHEVC(nal []byte) (s sps, profile []byte, layers int, ok bool) {
	if len(nal) < 3 {
		return s, nil, 0, false
	}
	b := payload(nal[2:])
	if len(b) < 1+hevcProfile {
		return s, nil, 0, false
	}
	r := &bitReader{b: b}
	r.skip(4)
	sub := int(r.u(3))
	layers = (sub+1)<<1 | int(r.u(1)) // numTemporalLayers, temporalIdNested
	profile = b[1 : 1+hevcProfile]
	r.skip(8 * hevcProfile)
	hevcSubLayers(r, sub)
	r.ue()
	if s.chroma = r.ue(); s.chroma == 3 {
		r.skip(1)
	}
	s.width, s.height = int(r.ue()), int(r.ue())
	if r.flag() {
		x, y := cropUnits(s.chroma)
		s.width -= x * (int(r.ue()) + int(r.ue()))
		s.height -= y * (int(r.ue()) + int(r.ue()))
	}
	s.luma, s.chromaBits = r.ue(), r.ue()
	return s, profile, layers, !r.short && s.usable()
}

func hevcSubLayers(r *bitReader, sub int) {
	var profile, level [8]bool
	for i := range sub {
		profile[i], level[i] = r.flag(), r.flag()
	}
	if sub > 0 {
		r.skip(2 * (8 - sub))
	}
	for i := range sub {
		if profile[i] {
			r.skip(88)
		}
		if level[i] {
			r.skip(8)
		}
	}
}
