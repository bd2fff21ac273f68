package membership

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

func testKey(i int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(i), byte(i>>8)
	return ed25519.NewKeyFromSeed(seed)
}

func streamID(i int) stripe.ID { return stripe.IDOf(testKey(10_000 + i)) }

// fullRecord has as much of everything as a record may.
func fullRecord(i int) Record {
	r := Record{Node: NodeIDOf(testKey(i)), Seq: 1<<48 - 1, TTL: MaxTTL, Slots: 0xffff}
	for a := range MaxAddrs {
		r.Addrs = append(r.Addrs, netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:65535", a+1)))
	}
	for s := range MaxStreams {
		r.Streams = append(r.Streams, Carried{
			Stream: streamID(s), Epoch: 1<<32 - 1, Source: s == 0, Plays: s == 1, Homes: 1<<63 | 1, Free: 0xffff, Depth: 0xff,
		})
	}
	return r
}

func smallRecord(i int, seq uint64) Record {
	return Record{
		Node: NodeIDOf(testKey(i)), Seq: seq, TTL: 10 * time.Minute, Slots: 3,
		Addrs:   []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7000")},
		Streams: []Carried{{Stream: streamID(0), Epoch: 1, Homes: 2, Free: 3, Depth: 1}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for what, r := range map[string]Record{
		"full":  fullRecord(1),
		"small": smallRecord(1, 0),
		"empty": {Node: NodeIDOf(testKey(1))},
	} {
		raw := r.Sign(testKey(1))
		got, err := OpenRecord(raw)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", what, err, got, r)
		}
		if len(raw) > MaxRecord {
			t.Errorf("%s: %d bytes", what, len(raw))
		}
	}
}

func TestRecordIsCutToWhatFits(t *testing.T) {
	r := smallRecord(1, 1)
	r.Slots, r.TTL = 1<<20, 65536*time.Second
	r.Streams[0].Free, r.Streams[0].Depth = 1<<20, 1<<20
	r.Addrs[0] = netip.MustParseAddrPort("[::ffff:192.0.2.1]:7000")
	got, err := OpenRecord(r.Sign(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	if got.Slots != 0xffff || got.TTL != MaxTTL || got.Streams[0].Free != 0xffff || got.Streams[0].Depth != 0xff {
		t.Errorf("%+v", got)
	}
	if got.Addrs[0] != netip.MustParseAddrPort("192.0.2.1:7000") {
		t.Errorf("address %v", got.Addrs[0])
	}
}

// The bytes of a record, for other implementations.
func TestRecordLayout(t *testing.T) {
	r := smallRecord(1, 0x010203040506)
	raw := r.Sign(testKey(1))
	want := "01" + hex.EncodeToString(r.Node[:]) + "010203040506" + "0258" + "0003" +
		"01" + "04c0000201" + "1b58" +
		"01" + hex.EncodeToString(r.Streams[0].Stream[:]) + "00000001" + "00" + "0000000000000002" + "0003" + "01"
	body, sig := raw[:len(raw)-ed25519.SignatureSize], raw[len(raw)-ed25519.SignatureSize:]
	if got := hex.EncodeToString(body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !ed25519.Verify(r.Node[:], append([]byte("stripecast record v1\x00"), body...), sig) {
		t.Error("the signature does not cover the domain and the body")
	}
}

func TestFlippedBitsAreRefused(t *testing.T) {
	raw := fullRecord(1).Sign(testKey(1))
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := OpenRecord(bad); !errors.Is(err, ErrRecord) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	for n := range len(raw) {
		if _, err := OpenRecord(raw[:n]); !errors.Is(err, ErrRecord) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, err := OpenRecord(append(bytes.Clone(raw), 0)); !errors.Is(err, ErrRecord) {
		t.Error("a byte more is taken")
	}
	if _, err := OpenRecord(make([]byte, MaxRecord+1)); !errors.Is(err, ErrRecord) {
		t.Error("too long")
	}
	if _, err := OpenRecord(smallRecord(1, 1).Sign(testKey(2))); !errors.Is(err, ErrRecord) {
		t.Error("signed with another's key")
	}
}

// forge signs whatever write makes of a small record's body.
func forge(write func(w *wire.Writer)) []byte {
	var w wire.Writer
	w.U8(recordVersion)
	id := NodeIDOf(testKey(1))
	w.Raw(id[:])
	w.U48(1)
	w.U16(60)
	w.U16(1)
	write(&w)
	w.Raw(ed25519.Sign(testKey(1), append([]byte(recordDomain), w.B...)))
	return w.B
}

// Well signed does not mean well formed.
func TestSignedNonsenseIsRefused(t *testing.T) {
	weak := stripe.ID{1} // the identity
	address := func(ip []byte, port uint16) []byte {
		return forge(func(w *wire.Writer) {
			w.U8(1)
			w.Bytes8(ip)
			w.U16(port)
			w.U8(0)
		})
	}
	carried := func(id stripe.ID, flags uint8, times int) []byte {
		return forge(func(w *wire.Writer) {
			w.U8(0)
			w.U8(uint8(times))
			for range times {
				w.Raw(id[:])
				w.U32(1)
				w.U8(flags)
				w.U64(1)
				w.U16(1)
				w.U8(1)
			}
		})
	}
	for what, raw := range map[string][]byte{
		"five addresses":     forge(func(w *wire.Writer) { w.U8(MaxAddrs + 1) }),
		"255 streams":        forge(func(w *wire.Writer) { w.U8(0); w.U8(255) }),
		"address of 5 bytes": address([]byte{1, 2, 3, 4, 5}, 1),
		"no address":         address(nil, 1),
		"port 0":             address([]byte{192, 0, 2, 1}, 0),
		"unspecified":        address([]byte{0, 0, 0, 0}, 1),
		"unspecified 6":      address(make([]byte, 16), 1),
		"multicast":          address([]byte{224, 0, 0, 1}, 1),
		"broadcast":          address([]byte{255, 255, 255, 255}, 1),
		"IPv4 in IPv6":       address(netip.MustParseAddr("::ffff:192.0.2.1").AsSlice(), 1),
		"unknown flag":       carried(streamID(0), 4, 1),
		"a stream twice":     carried(streamID(0), 0, 2),
		"weak stream":        carried(weak, 0, 1),
		"bytes left over":    forge(func(w *wire.Writer) { w.U8(0); w.U8(0); w.U8(0) }),
	} {
		if _, err := OpenRecord(raw); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, raw := range map[string][]byte{
		"no address": forge(func(w *wire.Writer) { w.U8(0); w.U8(0) }),
		"one":        address([]byte{192, 0, 2, 1}, 1),
		"a source":   carried(streamID(0), 1, 1),
		"a viewer":   carried(streamID(0), 2, 1),
	} {
		if _, err := OpenRecord(raw); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Go verifies any signature by these keys, or some by chance.
func TestWeakNodeKeysAreRefused(t *testing.T) {
	for _, key := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000", // order 1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
		"0100000000000000000000000000000000000000000000000000000000000080", // not canonical
	} {
		b, _ := hex.DecodeString(key)
		r := smallRecord(1, 1)
		r.Node = NodeID(b)
		raw := r.Sign(testKey(1))
		// The signature that the identity key verifies: R the identity, S zero.
		copy(raw[len(raw)-ed25519.SignatureSize:], append([]byte{1}, make([]byte, 63)...))
		if _, err := OpenRecord(raw); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", key, err)
		}
		if _, err := ParseNodeID(NodeID(b).String()); err == nil {
			t.Errorf("%s is parsed", key)
		}
	}
}

func TestSignPanicsOnTooMuch(t *testing.T) {
	r := fullRecord(1)
	for range 4 {
		r.Streams = append(r.Streams, r.Streams...)
	}
	defer func() {
		if recover() == nil {
			t.Error("a record too long was signed")
		}
	}()
	r.Sign(testKey(1))
}

func TestNodeIDText(t *testing.T) {
	id := NodeIDOf(testKey(7))
	got, err := ParseNodeID(id.String())
	if err != nil || got != id || len(id.String()) != 52 || id.Brief() != id.String()[:8] {
		t.Errorf("%v %v", got, err)
	}
	if !(NodeID{}).IsZero() || id.IsZero() {
		t.Error("IsZero")
	}
	if got := id.Short().String(); got != hex.EncodeToString(id[:8]) {
		t.Errorf("short %s", got)
	}
}

// What opens says one thing only: signed again by its node it is the same bytes.
func FuzzOpenRecord(f *testing.F) {
	f.Add(fullRecord(1).Sign(testKey(1)), true)
	f.Add(smallRecord(1, 5).Sign(testKey(1)), true)
	f.Add(Record{Node: NodeIDOf(testKey(1))}.Sign(testKey(1)), false)
	f.Fuzz(func(t *testing.T, raw []byte, sign bool) {
		if sign && len(raw) >= ed25519.SignatureSize { // the fuzzer cannot sign
			body := raw[:len(raw)-ed25519.SignatureSize]
			raw = append(bytes.Clone(body), ed25519.Sign(testKey(1), append([]byte(recordDomain), body...))...)
		}
		r, err := OpenRecord(raw)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatal(err)
			}
			return
		}
		if r.Node != NodeIDOf(testKey(1)) {
			t.Fatal("a record of somebody who did not sign")
		}
		if len(r.Addrs) > MaxAddrs || len(r.Streams) > MaxStreams || r.TTL > MaxTTL {
			t.Fatalf("over the limits: %+v", r)
		}
		again, err := OpenRecord(r.Sign(testKey(1)))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, again, r)
		}
	})
}
