// Package gossip is the shell of membership: it runs memberlist inside the QUIC
// connections of relay/quicnet, to spread signed records among the participants
// that have slots to give.
//
//	quicnet ── packets, streams ──> guard ──> memberlist ──> Gone (a rumour)
//	                                  └─────> Heard (a signed record)
//
// memberlist puts malicious members out of its scope, so it never sees a byte
// that a peer wrote. The guard decodes every message with a bounded reader of
// its own, judges it, and writes it again; memberlist decodes only that. What
// the guard holds to:
//
//   - A node is named by its key. Only its own signed record, carried as its
//     metadata, makes it known, and an older record never replaces a newer one.
//   - Addresses are never taken from gossip: memberlist is given a placeholder,
//     and what it sends goes to the address in the node's record, pinned to its
//     key. An answer goes to the peer that asked.
//   - Only a node itself may say that it leaves. Anybody else's word of a death
//     is an accusation, made in the name of the peer that brought it; the
//     accused has time to refute it.
//   - Incarnation numbers are not signed, so nobody can raise another's far.
//   - Compression, encryption, labels, user messages and nesting do not exist.
//
// The package decides nothing: a Gone removes nobody from the candidate book.
package gossip
