package fec_test

import (
	"fmt"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/stripe"
)

// A block comes back from any k of its n shards.
func Example() {
	coder, err := fec.New(stripe.Layout{K: 4, M: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	block := []byte("a block of the stream, about a tenth of a second of it")
	shards := coder.Encode(block)
	fmt.Println(len(shards), "shards of", len(shards[0]), "bytes")

	shards[0], shards[3] = nil, nil // lost
	all, err := coder.Rebuild(shards)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", coder.Join(all, len(block)))

	shards[5] = nil // one too many
	_, err = coder.Rebuild(shards)
	fmt.Println(err)
	// Output:
	// 6 shards of 64 bytes
	// a block of the stream, about a tenth of a second of it
	// fec: fewer than k shards
}
