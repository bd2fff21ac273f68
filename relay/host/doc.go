// Package host runs one participant in real time: it owns a relay.Core, feeds it
// what the QUIC transport (relay/quicnet), the gossip (membership/gossip), the
// clock and its own workers report, and carries out what it returns.
//
//	quicnet ─events─▶ ┌──────┐ ─Say, Forward, Dial…─▶ quicnet
//	gossip ─records─▶ │ loop │ ─Advertise──────────▶ gossip
//	workers ◀─Check── │ Core │ ─Seen, Deliver──────▶ Media()
//	        ─Checked─▶└──────┘ ─Keep───────────────▶ relay/store
//	Block, Seek ─wish─▶ library ─Fetch─▶ Core        ▲
//	keeper, recall ─Stored, Lost─▶ Core ─Recall──────┘
//
// One goroutine, Run's loop, owns the Core. Whoever else has something to say
// sends it an Input; nobody sends code.
package host
