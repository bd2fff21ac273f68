// Package wide runs very many participants in virtual time: each a real
// overlay.Forest with a real membership.Book, and no shard at all.
//
//	calendar ──message, dial, wake──▶ node(Forest, Book)
//	    ▲                               │ outputs
//	    └───── links, gossip, feeds ◀───┘
//
// A stripe flows through a participant as a whole: what it holds at a time
// follows from whom it is fed by, and since when, up to the source. A Forest is
// told of single blocks only while something about its stripes changes; while
// all is well it is told, when it looks, that they have progressed.
//
// Time passes in moments of 5 ms: what arrives within one arrives at its end, and a
// node does all that it has to do then before the next node does. A Hello is read when
// its node next does something else: it changes the book and nothing besides. Records
// are signed, but opened without a look at the signature while their signer's own bytes
// are at hand. Messages are counted by the length of their encoding, not encoded.
//
// What is real: every decision about who feeds whom, and every message about it.
// What a node does around its Forest (hello, questions for records, the advert)
// is what relay.Core does. What is modelled: delays, dials, dead connections, and
// gossip as a queue that spreads so many records a second. Pull, loss, upload
// rates and everything inside a shard belong to package sim.
//
// One seed is one run.
package wide
