package remux

import (
	"bytes"
	"slices"
)

// sets are parameter sets by kind.
type sets [3][][]byte

// codec is what H.264 and HEVC do differently.
type codec struct {
	sps     int // the kind of set that says most
	setKind func(nal []byte) (kind int, ok bool)
	config  func(*sets) (*Config, bool)
	// key reports whether a picture's NAL unit can be decoded alone.
	key func(nal []byte) bool
	// aside reports whether a NAL unit has no place in MP4.
	aside func(nal []byte) bool
}

var (
	avc = codec{
		0, avcSetKind, avcConfig,
		func(nal []byte) bool { return nal[0]&0x1f == avcIDR },
		func(nal []byte) bool { k := nal[0] & 0x1f; return k == avcAUD || k == 12 },
	}
	hevc = codec{
		1, hevcSetKind, hevcConfig,
		func(nal []byte) bool { k := nal[0] >> 1 & 0x3f; return k >= hevcFirstIRAP && k <= hevcLastIRAP },
		func(nal []byte) bool { k := nal[0] >> 1 & 0x3f; return k == hevcAUD || k == 38 },
	}
)

// video makes units of access units in Annex B's form.
type video struct {
	codec  codec
	sets   sets // those config was made of
	config *Config
}

// unit is an access unit with lengths instead of start codes. False: it cannot be
// decoded, for want of parameter sets.
func (v *video) unit(es []byte, random bool) (u Unit, ok bool) {
	nals := split(es)
	var found sets
	for _, nal := range nals {
		kind, is := v.codec.setKind(nal)
		if is && len(nal) <= maxSet && len(found[kind]) < maxSets && !holds(found[kind], nal) {
			found[kind] = append(found[kind], nal)
		}
		u.Key = u.Key || v.codec.key(nal)
	}
	sps := found[v.codec.sps]
	u.Key = u.Key || random && len(sps) > 0
	if u.Key && len(sps) > 0 {
		v.learn(&found)
	}
	if v.config == nil {
		return u, false
	}
	size := 0
	for _, nal := range nals {
		size += 4 + len(nal)
	}
	u.Data = make([]byte, 0, size)
	for _, nal := range nals {
		if kind, is := v.codec.setKind(nal); is && holds(v.sets[kind], nal) || v.codec.aside(nal) {
			continue
		}
		n := len(nal)
		u.Data = append(append(u.Data, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), nal...)
	}
	u.Config = v.config
	return u, len(u.Data) > 0
}

func holds(set [][]byte, nal []byte) bool {
	return slices.ContainsFunc(set, func(o []byte) bool { return bytes.Equal(o, nal) })
}

// learn makes a config of the parameter sets of a key picture, if they are others.
func (v *video) learn(found *sets) {
	same := true
	for i := range found {
		if len(found[i]) == 0 {
			found[i] = v.sets[i]
		}
		same = same && slices.EqualFunc(found[i], v.sets[i], bytes.Equal)
	}
	if same {
		return
	}
	c, ok := v.codec.config(found)
	if !ok {
		v.config, v.sets = nil, sets{}
		return
	}
	v.config = c
	for i := range found {
		v.sets[i] = nil
		for _, nal := range found[i] {
			v.sets[i] = append(v.sets[i], bytes.Clone(nal))
		}
	}
}

// split finds the NAL units between start codes; empty ones are left out.
func split(es []byte) (nals [][]byte) {
	from := -1
	for at := 0; at+2 < len(es); {
		n := bytes.IndexByte(es[at+2:], 1)
		if n < 0 {
			break
		}
		if at += n; es[at] != 0 || es[at+1] != 0 {
			at++
			continue
		}
		nals = appendNAL(nals, es, from, at)
		at += 3
		from = at
	}
	return appendNAL(nals, es, from, len(es))
}

func appendNAL(nals [][]byte, es []byte, from, to int) [][]byte {
	if from < 0 {
		return nals
	}
	nal := bytes.TrimRight(es[from:to], "\x00")
	if len(nal) == 0 {
		return nals
	}
	return append(nals, nal)
}
