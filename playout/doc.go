// Package playout turns blocks that come in any order into blocks in order, on
// time.
//
//	rebuilt blocks, any order ──▶ Buffer ──Play, Skip, Epoch, Ended──▶ shells
//	headers of blocks to come ──▶   │
//	                                └─ base: source time on the local clock
//
// A block plays at its source time + Δ. Where source time stands on the local
// clock is measured, not believed: the smallest (arrival − source time) of the
// last one to two minutes. So wrong wall clocks do not matter, and a late stripe
// does not move the picture. A block that is missing when its turn comes is a
// counted skip, and what follows plays on time; a source that pauses is a pause.
//
// The package does not rebuild blocks, fetch shards, or look into the bytes it
// plays. It is pure: time is an argument and must be monotonic. Its shells are
// playout/sink (standard output or a file) and playout/httpd (players on HTTP).
package playout
