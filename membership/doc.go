// Package membership says who is in the pool: node IDs, the record each node
// signs about itself, and the candidate book that keeps the valid ones.
//
// A record is the only thing anyone may say about a node, and only the node can
// say it. The book believes records and failed dials, never rumours: gossip
// spreads and expires records but decides nothing.
//
// This package is pure; membership/gossip is its shell, which runs memberlist
// inside the QUIC connections of relay/quicnet.
package membership
