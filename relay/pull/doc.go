// Package pull fetches what push did not bring: exactly the shards that a block is
// short of, from neighbours who have them, before the block is played.
//
//	push: Got, Rebuilt ──▶ ┌────────┐ ──Say{Want}──▶ ┌────────┐
//	                       │ Puller │ ◀─Lack, shards─│ Puller │ of a neighbour
//	        Silent, Fetch ▶└────────┘ ◀─Window,Holes─└────────┘ ──Serve──▶ its caller
//
// A Puller is what one participant does about one stream. It chooses six to eight
// neighbours, tells them what it lacks (never what it has), knows when a block is
// late, asks for what is short, and answers what others ask, under a meter. It holds
// no shard: what is there it asks of a Store, and the shards themselves are sent and
// received by its caller.
//
// It is not overlay.Forest: it never decides who feeds whom, and what it brings is
// never pushed on. A caller must not forward to its children a shard that came
// because it was asked for (Got says so): a child that lacks it pulls it itself, with
// its own deadline. A shard that was pulled may be served to others who pull.
//
// The package is pure: time and chance are arguments. Methods leave Outputs for
// Take; Step does what is due; Deadline says when Step is next needed.
package pull
