// Package stripe says what a stream is made of: its ID and link, its layout, its
// blocks and the shards they are coded into, and how a shard proves by itself
// that the source made it.
//
//	TS bytes ──stripe/ts cuts──▶ block ──fec codes──▶ n shards ──Seal──▶ n proofs
//
// A block's header is signed together with the root of a Merkle tree over its n
// shards. Every shard travels with header, signature and its path in that tree,
// so whoever holds the stream ID can check it alone.
//
// The package is pure: no clock, no chance, no network, no file. It does not
// know how shards are computed (fec), who carries them (overlay) or when they
// are played (playout).
package stripe
