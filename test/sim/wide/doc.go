// Package wide runs very many participants in virtual time: each a real
// overlay.Forest with a real membership.Book, and no shard at all.
//
//	heap of events ──message, dial, wake──▶ node(Forest, Book)
//	      ▲                                    │ outputs
//	      └──────── links, gossip, feeds ◀─────┘
//
// A stripe flows through a participant as a whole: what it holds at a time
// follows from whom it is fed by, and since when, up to the source. A Forest is
// told of single blocks only while something about its stripes changes; while
// all is well it is told, when it looks, that they have progressed.
//
// What is real: every decision about who feeds whom, and every message about it.
// What a node does around its Forest (hello, questions for records, the advert)
// is what relay.Core does. What is modelled: delays, dials, dead connections, and
// gossip as a queue that spreads so many records a second. Pull, loss, upload
// rates and everything inside a shard belong to package sim.
//
// One seed is one run.
package wide
