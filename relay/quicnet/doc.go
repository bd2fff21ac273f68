// Package quicnet is the transport: everything a participant says goes through
// one UDP port, inside mutually authenticated QUIC connections.
//
// To the rest of the program there are peers, named by their node ID, and five
// things that pass: events, control messages, shards, gossip packets and gossip
// streams. A peer is a bundle of one or more connections, its lanes: quic-go's
// NewReno allows one connection only a few Mbit/s at 1 % loss, so shards are
// dealt over several.
//
//	          ┌─ first lane ── control stream (bidi, type 1), both ways
//	          │                gossip streams (bidi, type 2)
//	peer ─────┤                gossip packets (DATAGRAM)
//	(node ID) │                shards (one uni stream each, type 1, FIN)
//	          ├─ lane ──────── shards
//	          └─ lane ──────── shards
//
// # On the wire
//
// TLS 1.3, each side with one self-signed Ed25519 certificate whose key is its
// node ID; names, dates and issuers mean nothing. A dial is pinned to the node
// ID it wants, if it wants one. Who dials a node it has no bundle with says ALPN
// "stripecast/1" and opens the control stream at once; further lanes of a bundle
// say "stripecast-lane/1" and are refused where there is no bundle. So a
// "stripecast/1" from a node whose bundle is old says that the node has
// restarted, and the old bundle is closed without waiting for a timeout.
//
// A stream's first byte is its type. A control stream is a run of frames: two
// bytes of length, 1 … 4096, then that many bytes. A shard stream is the type
// and the encoded shard; it is reset when the shard is too late.
//
// Two nodes that dial each other at the same time both keep both connections:
// either side sends on the first control stream it has, always the same one,
// and reads from both. If any "stripecast/1" connection of a bundle dies, all of
// the bundle is closed and the peer is Down: a control stream is never moved, so
// messages are delivered in order or the peer goes down. The end of a control
// stream says that its sender is leaving and has nothing more to say.
//
// # What it is not
//
// It does not know what a control message or a shard means, whom to connect to
// or whether a peer is worth keeping. It decides only what keeps the port alive:
// limits (limits.go), the upload rate, and closing peers that nobody needs.
package quicnet
