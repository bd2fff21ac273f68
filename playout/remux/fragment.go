package remux

// Samples is what a fragment has of one track.
type Samples struct {
	Track int   // from 1, as in AppendInit
	Time  int64 // of the first, in the track's timescale; not below 0
	Units []Unit
	Ends  int64 // when the last ends, on the clock of the units' times
}

// Flags of a sample (14496-12, 8.8.3.1): it depends on others and is none to begin
// with, or it depends on none.
const (
	sampleDepends = 0x01010000
	sampleAlone   = 0x02000000
)

// AppendFragment appends a fragment, the number-th of its stream. Each unit lasts until
// the next one of its track.
func AppendFragment(dst []byte, number int, tracks ...Samples) []byte {
	w := &boxes{dst}
	start := len(w.b)
	offsets := make([]int, len(tracks)) // where a track's offset of its data stands
	w.box("moof", func() {
		w.full("mfhd", 0, 0, func() { w.u32(number) })
		for i, t := range tracks {
			w.box("traf", func() {
				w.full("tfhd", 0, 0x020000, func() { w.u32(t.Track) })
				w.full("tfdt", 1, 0, func() { w.u64(t.Time) })
				offsets[i] = w.run(t)
			})
		}
	})
	w.box("mdat", func() {
		for i, t := range tracks {
			w.patch(offsets[i], len(w.b)-start)
			for _, u := range t.Units {
				w.raw(u.Data...)
			}
		}
	})
	return w.b
}

// run writes a trun and returns where the offset of its data stands.
func (w *boxes) run(t Samples) (offset int) {
	video := len(t.Units) > 0 && t.Units[0].Config.Video
	flags := 0x301 // offset of the data, durations, sizes
	if video {
		flags |= 0xc00 // flags, composition offsets
	}
	w.full("trun", 1, flags, func() {
		w.u32(len(t.Units))
		offset = len(w.b)
		w.u32(0)
		for i, u := range t.Units {
			end := t.Ends
			if i+1 < len(t.Units) {
				end = t.Units[i+1].Time
			}
			w.u32(int(end - u.Time))
			w.u32(len(u.Data))
			if !video {
				continue
			}
			if u.Key {
				w.u32(sampleAlone)
			} else {
				w.u32(sampleDepends)
			}
			w.u32(int(u.Offset))
		}
	})
	return offset
}
