package wide

import "github.com/stripecast/stripecast/membership"

// rememberedEach is how many opened records of each node are remembered in one half.
const rememberedEach = 5

// opened is the records that were opened, by where their bytes lie: nobody copies
// them. The older half is forgotten when the newer is full, and opened again when
// one of it comes.
type opened struct {
	newer, older map[*byte]*membership.Signed // never ranged over
}

func (o *opened) find(raw []byte) *membership.Signed {
	if rec, ok := o.newer[&raw[0]]; ok {
		return rec
	}
	return o.older[&raw[0]]
}

func (o *opened) keep(rec *membership.Signed, most int) {
	if o.newer == nil || len(o.newer) >= most {
		o.newer, o.older = make(map[*byte]*membership.Signed, most), o.newer
	}
	o.newer[&rec.Raw[0]] = rec
}

// open is the nodes' membership.Opener: it remembers what was opened.
func (w *World) open(raw []byte) (*membership.Signed, error) {
	if rec := w.records.find(raw); rec != nil {
		return rec, nil
	}
	rec, err := membership.Open(raw)
	if err == nil {
		rec.Raw = raw
		w.remember(rec)
	}
	return rec, err
}

// remember keeps an opened record for all the books, and not for ever.
func (w *World) remember(rec *membership.Signed) {
	w.records.keep(rec, rememberedEach*len(w.nodes)+1000)
}

// announced is an opened record that we signed ourselves. What it says of the stream lies
// beside it: candidates are looked at all the time.
func announced(r membership.Record, raw []byte) *membership.Signed {
	rec := &struct {
		membership.Signed
		streams [1]membership.Carried
	}{Signed: membership.Signed{Record: r, Raw: raw}}
	rec.Streams = append(rec.streams[:0], r.Streams...)
	return &rec.Signed
}
