// Package overlay decides who feeds whom, for every stripe of one stream, and
// knows the messages that participants say to each other about it.
//
//	            source
//	      ┌───────┴───────┐          stripe 3
//	   relay A         relay B       A and B have 3 as a home stripe
//	   ┌──┴──┐         ┌──┴──┐
//	viewer viewer   relay C viewer   C has it too: it may have children
//
// Every stripe is a tree of its own. A participant has children only in its
// home stripes, and in need only has more than m of those, so the trees are
// interior-disjoint: whoever vanishes takes at most m stripes from anyone who
// finds others to take the rest from.
//
// Forest is one participant's place in those trees: its parents, its children,
// whom it lets in, and what it does when a parent goes silent. It never learns
// what a shard contains, only that one of a number came on a stripe.
//
// The package is pure: time and chance are arguments, and what a Forest wants
// done it returns as Outputs.
package overlay
