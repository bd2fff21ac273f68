package overlay

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

var update = flag.Bool("update", false, "write what came out into the files of testdata")

// filled is n bytes that tell a field from its neighbours.
func filled(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func pathOf(n int) (path []membership.ShortID) {
	for i := range n {
		path = append(path, membership.ShortID(filled(byte(0x10*i), 8)))
	}
	return path
}

func recordsOf(n, size int) (records [][]byte) {
	for i := range n {
		records = append(records, filled(byte(i), size))
	}
	return records
}

// messages are all kinds, each in small and as large as it may be.
func messages() []Message {
	id := stripe.ID(filled(0x80, 32))
	last := stripe.MaxShards - 1
	return []Message{
		&Hello{Record: filled(1, 5)},
		&Hello{Record: filled(1, membership.MaxRecord)},
		&Hello{Record: []byte{}},
		&Ask{Stream: id},
		&Sample{Stream: id, Info: []byte{}},
		&Sample{Stream: id, Info: filled(0x40, 6), Records: recordsOf(2, 3)},
		&Sample{Stream: id, Info: filled(0x40, stripe.MaxInfo), Records: recordsOf(MaxSample, 195)},
		&Subscribe{Stream: id, Stripe: 0},
		&Subscribe{Stream: id, Stripe: 3, From: 0x010203040506, Back: 1500 * time.Millisecond, Fresh: true},
		&Subscribe{Stream: id, Stripe: last, From: 1<<48 - 1, Back: 0xffff * time.Millisecond,
			Fresh: true, Interior: true, LastResort: true, IfNewer: true, Standby: true, Live: stripe.MaxShards},
		&Accept{Stream: id, Stripe: 3, Path: pathOf(1)},
		&Accept{Stream: id, Stripe: last, Path: pathOf(MaxPath)},
		&Refuse{Stream: id, Stripe: 3, Reason: Full},
		&Refuse{Stream: id, Stripe: last, Reason: reasonCount - 1, Alternatives: recordsOf(MaxAlternatives, membership.MaxRecord)},
		&Leave{Stream: id, Stripe: 3},
		&Drop{Stream: id, Stripe: 3, Reason: Leaving, Alternatives: recordsOf(1, 4)},
		&Drop{Stream: id, Stripe: last, Reason: TooDeep, Alternatives: recordsOf(MaxAlternatives, membership.MaxRecord)},
		&Route{Stream: id, Stripe: 3, Path: pathOf(2)},
		&Route{Stream: id, Stripe: last, Path: pathOf(MaxPath)},
		&Repairing{Stream: id, Stripe: last},
		&Live{Stream: id, Stripes: stripe.MaxShards},
		&Promise{Stream: id, Stripe: 3, Path: pathOf(2)},
		&Promise{Stream: id, Stripe: last, Path: pathOf(MaxPath)},
		&Window{Tag: id.Tag()},
		&Window{Tag: id.Tag(), Epoch: 0x01020304, Live: true, Stripes: 0xfffff, Runs: []Run{{First: 5, Last: 0x0a0b0c0d}}},
		&Window{Tag: id.Tag(), Epoch: 7, Ask: true, Live: true, Lonely: true, Stripes: 1 << 63,
			Runs: []Run{{1, 1}, {2, 4}}, Holes: []Piece{{Number: 3, Stripes: 1}, {Number: 4, Stripes: 0x0102030405060708}}},
		&Window{Tag: id.Tag(), Stripes: math.MaxUint64, Runs: runsOf(MaxRuns), Holes: piecesOf(MaxHoles)},
		&Holes{Tag: id.Tag(), Newest: 9, Holes: []Piece{{Number: 7, Stripes: 6}, {Number: 8}}},
		&Holes{Tag: id.Tag(), Holes: piecesOf(MaxHoles)},
		&Want{Tag: id.Tag(), Pieces: []Piece{{Number: 8, Stripes: 5}, {Number: 7, Stripes: 2, After: 120 * time.Millisecond}}},
		&Want{Tag: id.Tag(), Pieces: append(piecesOf(MaxPieces-1), Piece{Number: math.MaxUint32, Stripes: math.MaxUint64, After: MaxAfter})},
		&Lack{Tag: id.Tag(), Pieces: piecesOf(1)},
		&Lack{Tag: id.Tag(), Busy: true, Pieces: piecesOf(MaxPieces)},
		&Cancel{Tag: id.Tag(), Pieces: piecesOf(2)},
		&Cancel{Tag: id.Tag(), Pieces: piecesOf(MaxPieces)},
		&Part{Tag: id.Tag()},
		&Thanks{Tag: id.Tag(), Epoch: 0x01020304, Receipt: Receipt{Period: 0x05060708, Shards: 0x090a, Sig: [64]byte(filled(1, 64))}},
		&Show{Tag: id.Tag()},
		&Receipts{Tag: id.Tag(), Epoch: 7},
		&Receipts{Tag: id.Tag(), Epoch: 7, Of: receiptsOf(MaxReceipts)},
	}
}

func receiptsOf(n int) (all []Receipt) {
	for i := range n {
		all = append(all, Receipt{Taker: nodeID(fmt.Sprint(i)), Period: 9, Shards: uint16(i), Sig: [64]byte(filled(byte(i), 64))})
	}
	return all
}

func runsOf(n int) (runs []Run) {
	for i := range n {
		runs = append(runs, Run{First: uint64(10 * i), Last: uint64(10*i + 8)})
	}
	return runs
}

func piecesOf(n int) (pieces []Piece) {
	for i := range n {
		pieces = append(pieces, Piece{Number: uint64(3 * i), Stripes: 1 << (i % stripe.MaxShards)})
	}
	return pieces
}

func TestMessagesRoundTrip(t *testing.T) {
	kinds := map[uint8]bool{}
	for _, m := range messages() {
		kinds[m.kind()] = true
		got, err := Decode(Encode(m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v\n got %T %+v\nwant %T %+v", err, got, got, m, m)
		}
	}
	if len(kinds) != 21 {
		t.Errorf("%d kinds of message tried, of 21", len(kinds))
	}
}

// Every flag of Subscribe stands for itself.
func TestSubscribeFlags(t *testing.T) {
	for bits := range uint8(32) {
		want := Subscribe{Fresh: bits&1 != 0, Interior: bits&2 != 0, LastResort: bits&4 != 0, IfNewer: bits&8 != 0, Standby: bits&16 != 0}
		b := Encode(&want)
		if b[34] != bits {
			t.Errorf("flags %04b are written as %04b", bits, b[34])
		}
		if got, err := Decode(b); err != nil || *got.(*Subscribe) != want {
			t.Errorf("flags %04b: %+v, %v", bits, got, err)
		}
	}
}

// Every flag of Window and Lack stands for itself.
func TestPullFlags(t *testing.T) {
	for bits := range uint8(8) {
		want := &Window{Ask: bits&1 != 0, Live: bits&2 != 0, Lonely: bits&4 != 0, Runs: runsOf(1)}
		b := Encode(want)
		if b[13] != bits {
			t.Errorf("flags %03b are written as %03b", bits, b[13])
		}
		if got, err := Decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("flags %03b: %+v, %v", bits, got, err)
		}
	}
	if b := Encode(&Lack{Busy: true, Pieces: piecesOf(1)}); b[9] != 1 {
		t.Errorf("busy is written as %b", b[9])
	}
}

// What a writer must not write, a reader refuses; each pair is just inside and just
// outside of a bound.
func TestDecodeRefusesPull(t *testing.T) {
	run := func(from, to uint64) *Window { return &Window{Runs: []Run{{from, to}}} }
	holes := func(numbers ...uint64) (p []Piece) {
		for _, n := range numbers {
			p = append(p, Piece{Number: n})
		}
		return p
	}
	shards := func(n int, stripes uint64, after time.Duration) (p []Piece) {
		for i := range n {
			p = append(p, Piece{Number: uint64(i), Stripes: stripes, After: after})
		}
		return p
	}
	for what, pair := range map[string][2]Message{
		"run":              {run(3, 3), run(4, 3)},
		"runs apart":       {&Window{Runs: []Run{{1, 2}, {3, 4}}}, &Window{Runs: []Run{{1, 2}, {2, 4}}}},
		"runs":             {&Window{Runs: runsOf(MaxRuns)}, &Window{Runs: runsOf(MaxRuns + 1)}},
		"live":             {&Window{Live: true, Runs: runsOf(1)}, &Window{Live: true}},
		"holes of window":  {&Window{Holes: piecesOf(MaxHoles)}, &Window{Holes: piecesOf(MaxHoles + 1)}},
		"order of window":  {&Window{Holes: holes(1, 2)}, &Window{Holes: holes(2, 2)}},
		"holes":            {&Holes{Holes: piecesOf(MaxHoles)}, &Holes{Holes: piecesOf(MaxHoles + 1)}},
		"order of holes":   {&Holes{Holes: holes(1, 2)}, &Holes{Holes: holes(2, 1)}},
		"pieces of want":   {&Want{Pieces: shards(MaxPieces, 1, 0)}, &Want{Pieces: shards(MaxPieces+1, 1, 0)}},
		"no want":          {&Want{Pieces: shards(1, 1, 0)}, &Want{}},
		"nothing wanted":   {&Want{Pieces: shards(1, 1, 0)}, &Want{Pieces: shards(1, 0, 0)}},
		"after":            {&Want{Pieces: shards(1, 1, MaxAfter)}, &Want{Pieces: shards(1, 1, MaxAfter+afterStep)}},
		"pieces of lack":   {&Lack{Pieces: shards(MaxPieces, 1, 0)}, &Lack{Pieces: shards(MaxPieces+1, 1, 0)}},
		"no lack":          {&Lack{Pieces: shards(1, 1, 0)}, &Lack{}},
		"nothing lacking":  {&Lack{Pieces: shards(1, 1, 0)}, &Lack{Pieces: shards(1, 0, 0)}},
		"pieces of cancel": {&Cancel{Pieces: shards(MaxPieces, 1, 0)}, &Cancel{Pieces: shards(MaxPieces+1, 1, 0)}},
		"no cancel":        {&Cancel{Pieces: shards(1, 1, 0)}, &Cancel{}},
		"nothing canceled": {&Cancel{Pieces: shards(1, 1, 0)}, &Cancel{Pieces: shards(1, 0, 0)}},
	} {
		if _, err := Decode(Encode(pair[0])); err != nil {
			t.Errorf("%s inside its bound: %v", what, err)
		}
		if m, err := Decode(Encode(pair[1])); !errors.Is(err, ErrMessage) {
			t.Errorf("%s over its bound: %+v, %v", what, m, err)
		}
	}
}

// More than fits in 16 bits of ms is cut to them.
func TestBackIsCut(t *testing.T) {
	got, err := Decode(Encode(&Subscribe{Back: time.Hour}))
	if err != nil || got.(*Subscribe).Back != 0xffff*time.Millisecond {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestMessageBytes holds the bytes of every message to testdata/messages.hex, of
// which one line is a message: its name and its bytes.
func TestMessageBytes(t *testing.T) {
	const file = "testdata/messages.hex"
	var got strings.Builder
	for _, m := range messages() {
		name := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", m), "*overlay."))
		if b := Encode(m); len(b) < 200 { // the long ones show nothing more
			fmt.Fprintf(&got, "%-9s %s\n", name, hex.EncodeToString(b))
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	for line := range strings.Lines(string(want)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		b, err := hex.DecodeString(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(b)
		if err != nil || !strings.EqualFold(fmt.Sprintf("%T", m), "*overlay."+name) || !bytes.Equal(Encode(m), b) {
			t.Errorf("%s is read as %T, %v", name, m, err)
		}
	}
}

// Whatever is cut off or added, it is no message.
func TestDecodeRefusesCutAndTrailing(t *testing.T) {
	for _, m := range messages() {
		b := Encode(m)
		for n := range b {
			if got, err := Decode(b[:n]); !errors.Is(err, ErrMessage) {
				t.Fatalf("%d of %d bytes of %T: %+v, %v", n, len(b), m, got, err)
			}
		}
		if _, err := Decode(append(b, 0)); !errors.Is(err, ErrMessage) {
			t.Errorf("%T and a byte more: %v", m, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	id := stripe.ID(filled(0x80, 32))
	records := func(head []byte, n int) []byte {
		w := wire.Writer{B: head}
		w.U8(uint8(n))
		for range n {
			w.Bytes16([]byte{1})
		}
		return w.B
	}
	branch := func(kind uint8, s int, more ...byte) []byte {
		w := wire.Writer{B: []byte{kind}}
		w.Raw(id[:])
		w.U8(uint8(s))
		w.Raw(more)
		return w.B
	}
	path := func(kind uint8, n int) []byte {
		return append(branch(kind, 0, byte(n)), make([]byte, 8*n)...)
	}
	sample := append(append([]byte{3}, id[:]...), 0, 0)
	subscribe := make([]byte, 10)
	// Each pair is just inside and just outside of a bound.
	for what, pair := range map[string][2][]byte{
		"records of sample":   {records(sample, MaxSample), records(sample, MaxSample+1)},
		"records of refuse":   {records(branch(6, 0, 0), MaxAlternatives), records(branch(6, 0, 0), MaxAlternatives+1)},
		"records of drop":     {records(branch(8, 0, 0), MaxAlternatives), records(branch(8, 0, 0), MaxAlternatives+1)},
		"reason of refuse":    {branch(6, 0, byte(reasonCount-1), 0), branch(6, 0, byte(reasonCount), 0)},
		"reason of drop":      {branch(8, 0, byte(reasonCount-1), 0), branch(8, 0, byte(reasonCount), 0)},
		"path of accept":      {path(5, MaxPath), path(5, MaxPath+1)},
		"no path of accept":   {path(5, 1), path(5, 0)},
		"path of route":       {path(9, MaxPath), path(9, MaxPath+1)},
		"no path of route":    {path(9, 1), path(9, 0)},
		"stripe of subscribe": {branch(4, stripe.MaxShards-1, subscribe...), branch(4, stripe.MaxShards, subscribe...)},
		"stripe of accept":    {branch(5, stripe.MaxShards-1, path(5, 1)[34:]...), branch(5, stripe.MaxShards, path(5, 1)[34:]...)},
		"stripe of refuse":    {branch(6, stripe.MaxShards-1, 0, 0), branch(6, stripe.MaxShards, 0, 0)},
		"stripe of leave":     {branch(7, stripe.MaxShards-1), branch(7, stripe.MaxShards)},
		"stripe of drop":      {branch(8, stripe.MaxShards-1, 0, 0), branch(8, stripe.MaxShards, 0, 0)},
		"stripe of route":     {branch(9, stripe.MaxShards-1, path(9, 1)[34:]...), branch(9, stripe.MaxShards, path(9, 1)[34:]...)},
		"kind 0":              {branch(7, 0), branch(0, 0)},
		"path of promise":     {path(12, MaxPath), path(12, MaxPath+1)},
		"no path of promise":  {path(12, 1), path(12, 0)},
		"stripe of repairing": {branch(10, stripe.MaxShards-1), branch(10, stripe.MaxShards)},
		"stripe of promise":   {branch(12, stripe.MaxShards-1, path(12, 1)[34:]...), branch(12, stripe.MaxShards, path(12, 1)[34:]...)},
		"stripes of live":     {branch(11, stripe.MaxShards), branch(11, stripe.MaxShards+1)},
		"live of subscribe":   {branch(4, 0, append(subscribe[:9:9], stripe.MaxShards)...), branch(4, 0, append(subscribe[:9:9], stripe.MaxShards+1)...)},
		"kind 19":             {branch(7, 0), branch(19, 0)},
		"length":              {Encode(&Hello{Record: make([]byte, MaxMessage-3)}), append([]byte{1, 0x0f, 0xfe}, make([]byte, MaxMessage-2)...)},
	} {
		if _, err := Decode(pair[0]); err != nil {
			t.Errorf("%s inside its bound: %v", what, err)
		}
		if m, err := Decode(pair[1]); !errors.Is(err, ErrMessage) {
			t.Errorf("%s over its bound: %+v, %v", what, m, err)
		}
	}
	if _, err := Decode(nil); !errors.Is(err, ErrMessage) {
		t.Errorf("nothing: %v", err)
	}
}

// What costs curve arithmetic is done with receipts that were asked for, and with no others.
func TestReceiptsAreReadUnchecked(t *testing.T) {
	weak := receiptsOf(1)
	weak[0].Taker = membership.NodeID{1} // under this key any message verifies
	if _, err := Decode(Encode(&Receipts{Of: weak})); err != nil {
		t.Errorf("a taker's key was looked at before it was known whether anybody asked: %v", err)
	}
	info := stripe.Info{Stream: stripe.ID{9}, Layout: stripe.Layout{K: 2, M: 2}, BlockTime: 100 * time.Millisecond}
	weak[0].Sig = [64]byte{1} // R is the identity, s is 0
	if weak[0].Valid(&info, nodeID("giver")) {
		t.Error("a receipt under a weak key is good")
	}
}

// A message that nobody would take is not written.
func TestEncodePanicsOnTooLong(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a message of more than MaxMessage was written")
		}
	}()
	Encode(&Hello{Record: make([]byte, MaxMessage)})
}

func TestReasonNames(t *testing.T) {
	names := map[string]bool{}
	for r := range reasonCount {
		names[r.String()] = true
	}
	if len(names) != int(reasonCount) {
		t.Errorf("%d names for %d reasons", len(names), reasonCount)
	}
}

// What decodes is within the limits and encodes to what decodes the same; the
// bytes may differ in unknown flags only.
func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		f.Add(Encode(m))
	}
	f.Add([]byte{3})
	f.Add(bytes.Repeat([]byte{0xff}, MaxMessage+1))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatal(err)
			}
			return
		}
		again := Encode(m)
		flags := false
		switch m.(type) {
		case *Subscribe, *Window, *Lack:
			flags = true
		}
		if !flags && !bytes.Equal(again, b) {
			t.Fatalf("%T: %x is written as %x", m, b, again)
		}
		if back, err := Decode(again); err != nil || !reflect.DeepEqual(back, m) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, back, m)
		}
		if err := check(m); err != nil {
			t.Fatalf("%+v is over a limit", m)
		}
	})
}

// The most that Decode allocates for any input: a count that no bytes stand
// behind, and the most elements that bytes can stand behind.
func TestDecodeAllocates(t *testing.T) {
	inputs := [][]byte{
		append([]byte{3}, bytes.Repeat([]byte{0xff}, MaxMessage-1)...),
		append(append([]byte{3}, make([]byte, 34)...), append([]byte{0xff}, make([]byte, 2*0xff)...)...),
		append(append([]byte{5}, make([]byte, 33)...), append([]byte{0xff}, make([]byte, 8*0xff)...)...),
		append(append([]byte{8}, make([]byte, 34)...), append([]byte{0xff}, make([]byte, 2*0xff)...)...),
		append(append([]byte{13}, make([]byte, 21)...), append([]byte{0xff}, make([]byte, 12*0xff)...)...),
		append(append([]byte{15}, make([]byte, 8)...), append([]byte{0xff}, make([]byte, 13*0xff)...)...),
	}
	for _, m := range messages() {
		inputs = append(inputs, Encode(m))
	}
	for _, b := range inputs {
		const runs = 16
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			Decode(b)
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / runs; each > 64<<10 {
			t.Errorf("%d bytes of kind %d cost %d bytes of memory", len(b), b[0], each)
		}
	}
}
