package stripe_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/stripe"
)

// A source seals a block, and whoever gets one of its shards can tell by that shard alone
// whether the source made it.
func Example() {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)) // from ed25519.GenerateKey
	block := []byte("a block of the stream")
	layout := stripe.Layout{K: 4, M: 2}
	coder, err := fec.New(layout)
	if err != nil {
		fmt.Println(err)
		return
	}
	shards := coder.Encode(block)
	sealed := stripe.Seal(key, stripe.Header{
		Stream: stripe.IDOf(key), Epoch: 1, Number: 7, Layout: layout,
		ShardLen: len(shards[0]), DataLen: len(block), SourceTime: 1_700_000_000_000,
	}, shards)
	wire := sealed[5].Encoded()

	// Elsewhere only the stream's ID is known, from its link.
	got, err := stripe.ParseShard(stripe.IDOf(key), wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("shard", got.Index, "of block", got.Number, "is genuine:", got.Check())

	wire[len(wire)-1] ^= 1
	forged, err := stripe.ParseShard(stripe.IDOf(key), wire)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("with another byte:", forged.Check())
	// Output:
	// shard 5 of block 7 is genuine: true
	// with another byte: false
}

func ExampleParseLink() {
	link, err := stripe.ParseLink("stripecast://oo4rnqntiqklf732uvbhhxjwj2omaccffyetov62n2murhi42nza@192.0.2.10:7070,pool.example.org:7070/film")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(link.Name, link.Hosts)
	// Output: film [192.0.2.10:7070 pool.example.org:7070]
}

// A thin stream gets longer blocks, and then fewer shards, so that the proofs do not
// outweigh it.
func ExampleChoose() {
	for _, rate := range []float64{5e6, 1.5e6, 128e3} {
		layout, block := stripe.Choose(rate, stripe.DefaultLayout, false, 100*time.Millisecond, false)
		fmt.Printf("%.3f Mbit/s: %v, blocks of %v\n", rate/1e6, layout, block)
	}
	// Output:
	// 5.000 Mbit/s: 16+4, blocks of 100ms
	// 1.500 Mbit/s: 16+4, blocks of 250ms
	// 0.128 Mbit/s: 3+1, blocks of 400ms
}
