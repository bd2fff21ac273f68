package vectors

import (
	"bytes"
	"crypto/ed25519"
	"net/netip"
	"testing"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// The keys of all vectors: Ed25519 seeds of 32 equal bytes.
var (
	streamKey = seedKey(1)
	sourceKey = seedKey(2)
	relayKey  = seedKey(3)
	streamID  = stripe.IDOf(streamKey)
	sourceID  = membership.NodeIDOf(sourceKey)
	relayID   = membership.NodeIDOf(relayKey)
)

func seedKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))
}

const epoch = 1700000000

// header is that of block 7: 150 bytes in three data shards of one unit.
var header = stripe.Header{
	Stream: streamID, Epoch: epoch, Number: 7, Layout: stripe.Layout{K: 3, M: 2},
	ShardLen: 64, DataLen: 150, Flags: stripe.RandomAccess,
	SourceTime: 1700000000700, MediaTime: 63000,
}

// blockData is the block: byte i is i.
func blockData() []byte {
	b := make([]byte, header.DataLen)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func sealed(t *testing.T) []*stripe.Shard {
	t.Helper()
	c, err := fec.New(header.Layout)
	if err != nil {
		t.Fatal(err)
	}
	return stripe.Seal(streamKey, header, c.Encode(blockData()))
}

// receipt is what the relay signs of what it got from the source in period 12.
func receipt() overlay.Receipt {
	i := info()
	return overlay.SignReceipt(relayKey, &i, sourceID, 12, 1500)
}

// anonymous is a receipt as Thanks carries it.
func anonymous(r overlay.Receipt) overlay.Receipt {
	r.Taker = membership.NodeID{}
	return r
}

func info() stripe.Info {
	return stripe.Info{
		Stream: streamID, Epoch: epoch, Seq: 2, Layout: header.Layout,
		BlockTime: 100 * time.Millisecond, Rate: 1500000, Media: stripe.MediaTS,
		Root: sourceID, Name: "film", Title: "Reel 2", Description: "A film in two reels",
	}
}

// pictured is an info with a thumbnail.
func pictured() stripe.Info {
	i := info()
	i.Seq, i.Thumbnail = 3, "https://example.org/film.jpg"
	return i
}

// linkKey and salt are those of the private stream.
var (
	linkKey = stripe.LinkKey(bytes.Repeat([]byte{4}, len(stripe.LinkKey{})))
	salt    = [16]byte(bytes.Repeat([]byte{5}, 16))
)

// private is an info of a stream that only who has the key can read.
func private() stripe.Info {
	i := pictured()
	i.Lock = stripe.NewLock(linkKey, i.Stream, i.Epoch, salt)
	return i
}

func record() membership.Record {
	return membership.Record{
		Node: relayID, Seq: 1700000000123, TTL: 10 * time.Minute, Slots: 12,
		Addrs: []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.7:7070"),
			netip.MustParseAddrPort("[2001:db8::7]:7070"),
		},
		Streams: []membership.Carried{{
			Stream: streamID, Epoch: epoch, Homes: 1 << 3, Free: 11, Depth: 1,
		}},
	}
}

var path = []membership.ShortID{sourceID.Short(), relayID.Short()}

// messages are one of each kind.
func messages() map[string]overlay.Message {
	infoRaw, recordRaw := info().Sign(streamKey), record().Sign(relayKey)
	return map[string]overlay.Message{
		"hello":  &overlay.Hello{Record: recordRaw},
		"ask":    &overlay.Ask{Stream: streamID},
		"sample": &overlay.Sample{Stream: streamID, Info: infoRaw, Records: [][]byte{recordRaw}},
		"subscribe": &overlay.Subscribe{
			Stream: streamID, Stripe: 3, From: 8, Back: 1500 * time.Millisecond, Interior: true, IfNewer: true, Live: 17,
		},
		"accept": &overlay.Accept{Stream: streamID, Stripe: 3, Path: path},
		"refuse": &overlay.Refuse{Stream: streamID, Stripe: 3, Reason: overlay.Full, Alternatives: [][]byte{recordRaw}},
		"leave":  &overlay.Leave{Stream: streamID, Stripe: 3},
		"drop":   &overlay.Drop{Stream: streamID, Stripe: 3, Reason: overlay.Leaving},
		"route":  &overlay.Route{Stream: streamID, Stripe: 3, Path: path},

		"repairing": &overlay.Repairing{Stream: streamID, Stripe: 3},
		"live":      &overlay.Live{Stream: streamID, Stripes: 15},
		"thanks":    &overlay.Thanks{Tag: streamID.Tag(), Epoch: epoch, Receipt: anonymous(receipt())},
		"show":      &overlay.Show{Tag: streamID.Tag()},
		"receipts":  &overlay.Receipts{Tag: streamID.Tag(), Epoch: epoch, Of: []overlay.Receipt{receipt()}},
		"promise":   &overlay.Promise{Stream: streamID, Stripe: 3, Path: path},

		"window": &overlay.Window{
			Tag: streamID.Tag(), Epoch: epoch, Ask: true, Live: true, Stripes: 0b11111,
			Runs:  []overlay.Run{{First: 2, Last: 7}},
			Holes: []overlay.Piece{{Number: 5, Stripes: 1 << 3}},
		},
		"holes": &overlay.Holes{Tag: streamID.Tag(), Newest: 9, Holes: []overlay.Piece{{Number: 5}, {Number: 8, Stripes: 1<<1 | 1<<4}}},
		"want": &overlay.Want{Tag: streamID.Tag(), Pieces: []overlay.Piece{
			{Number: 7, Stripes: 1 << 1}, {Number: 7, Stripes: 1 << 4, After: 250 * time.Millisecond},
		}},
		"lack":   &overlay.Lack{Tag: streamID.Tag(), Busy: true, Pieces: []overlay.Piece{{Number: 7, Stripes: 1 << 1}}},
		"cancel": &overlay.Cancel{Tag: streamID.Tag(), Pieces: []overlay.Piece{{Number: 7, Stripes: 1 << 4}}},
		"part":   &overlay.Part{Tag: streamID.Tag()},
	}
}
