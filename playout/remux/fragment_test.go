package remux

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe"
)

// box is one of MP4's, taken apart.
type box struct {
	name  string
	at    int // in the file
	body  []byte
	inner []box
}

var containers = []string{"moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"}

func parse(t testing.TB, b []byte, at int) (all []box) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 || number(b[:4]) < 8 || number(b[:4]) > len(b) {
			t.Fatalf("a box of %d bytes among %d", number(b[:4]), len(b))
		}
		n := number(b[:4])
		x := box{name: string(b[4:8]), at: at, body: b[8:n]}
		if slices.Contains(containers, x.name) {
			x.inner = parse(t, x.body, at+8)
		}
		all = append(all, x)
		b, at = b[n:], at+n
	}
	return all
}

func number(b []byte) (n int) {
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n
}

// all finds boxes of a name, however deep.
func all(boxes []box, name string) (found []box) {
	for _, b := range boxes {
		if b.name == name {
			found = append(found, b)
		}
		found = append(found, all(b.inner, name)...)
	}
	return found
}

// TestFragment: what is written can be read again: every sample where its run says.
func TestFragment(t *testing.T) {
	units := demux(stripe.MediaTS, clip.TS())
	tracks := []Samples{{Track: 1, Time: 7 << 33, Units: of(units, true)}, {Track: 2, Units: of(units, false)}}
	for i := range tracks {
		u := tracks[i].Units
		tracks[i].Ends = u[len(u)-1].Time + 1024
	}
	prefix := []byte("before")
	b := AppendFragment(bytes.Clone(prefix), 9, tracks...)
	if !bytes.HasPrefix(b, prefix) {
		t.Fatal("it does not append")
	}
	b = b[len(prefix):]
	boxes := parse(t, b, 0)
	if n := number(all(boxes, "mfhd")[0].body); n != 9 {
		t.Errorf("number %d", n)
	}
	for i, traf := range all(boxes, "traf") {
		want := tracks[i]
		if id := number(all(traf.inner, "tfhd")[0].body[4:]); id != want.Track {
			t.Errorf("track %d", id)
		}
		if at := number(all(traf.inner, "tfdt")[0].body[4:]); int64(at) != want.Time {
			t.Errorf("time %d", at)
		}
		run := all(traf.inner, "trun")[0].body
		if number(run[4:8]) != len(want.Units) {
			t.Fatalf("%d samples of %d", number(run[4:8]), len(want.Units))
		}
		data := b[number(run[8:12]):]
		run = run[12:]
		for j, u := range want.Units {
			end := want.Ends
			if j+1 < len(want.Units) {
				end = want.Units[j+1].Time
			}
			if number(run[:4]) != int(end-u.Time) || number(run[4:8]) != len(u.Data) || !bytes.HasPrefix(data, u.Data) {
				t.Fatalf("sample %d of track %d", j, want.Track)
			}
			data, run = data[len(u.Data):], run[8:]
			if u.Config.Video {
				if number(run[:4]) == sampleAlone != u.Key || number(run[4:8]) != int(u.Offset) {
					t.Fatalf("sample %d: flags %x, offset %d", j, number(run[:4]), number(run[4:8]))
				}
				run = run[8:]
			}
		}
	}
}

// TestInit: the tracks with their sizes and what their decoders need.
func TestInit(t *testing.T) {
	units := demux(stripe.MediaTS, clip.TS())
	b := AppendInit(nil, of(units, true)[0].Config, of(units, false)[0].Config)
	boxes := parse(t, b, 0)
	if len(all(boxes, "trak")) != 2 || len(all(boxes, "trex")) != 2 {
		t.Fatal("not two tracks")
	}
	for i, want := range []struct{ handler, entry, inside string }{{"vide", "avc1", "avcC"}, {"soun", "mp4a", "esds"}} {
		if got := string(all(boxes, "hdlr")[i].body[8:12]); got != want.handler {
			t.Errorf("handler %s", got)
		}
		stsd := all(boxes, "stsd")[i].body
		if string(stsd[12:16]) != want.entry || number(stsd[8:12]) != len(stsd)-8 || !bytes.Contains(stsd, []byte(want.inside)) {
			t.Errorf("entry %q", stsd)
		}
	}
}
