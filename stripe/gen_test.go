package stripe

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"time"
)

// keyOf is a key made from one byte.
func keyOf(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// sealed is a sealed block of layout l with dataLen bytes.
func sealed(l Layout, dataLen int) []*Shard {
	key := keyOf(1)
	h := Header{
		Stream: IDOf(key), Epoch: 7, Number: 1234, Layout: l, ShardLen: l.ShardLen(dataLen), DataLen: dataLen,
		Flags: RandomAccess | End, SourceTime: 1_700_000_000_123, MediaTime: 1<<40 + 5,
	}
	shards := make([][]byte, l.N())
	for i := range shards {
		shards[i] = bytes.Repeat([]byte{byte(i + 1)}, h.ShardLen)
	}
	return Seal(key, h, shards)
}

func sampleInfo() Info {
	return Info{
		Stream: IDOf(keyOf(1)), Epoch: 3, Seq: 9, Layout: DefaultLayout, BlockTime: 100 * time.Millisecond,
		Rate: 5_000_000, Media: MediaTS, Root: IDOf(keyOf(2)), Name: "a name",
	}
}

// weakKeys are encodings of points of small order, and encodings that are not
// canonical (a y of p or more, or −0).
func weakKeys() map[string][32]byte {
	out := map[string][32]byte{}
	keys := map[string]string{
		"identity": "0100000000000000000000000000000000000000000000000000000000000000",
		"order 2":  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":  "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4′": "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8":  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8′": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 8″": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8‴": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"−0":       "0100000000000000000000000000000000000000000000000000000000000080",
		"y = p":    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"y = p+1":  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"y = p+3":  "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"no point": "0200000000000000000000000000000000000000000000000000000000000000",
		"all ones": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	}
	for name, h := range keys {
		b, err := hex.DecodeString(h)
		if err != nil {
			panic(err)
		}
		out[name] = [32]byte(b)
	}
	return out
}
