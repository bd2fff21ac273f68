// Package netns tests the built program on a network of the kernel's: real
// processes, each in a network namespace of its own, behind a router that limits
// and loses what the test says.
//
//	  source            relay 1 …          viewer 1 …      each 10.77.N.2/24
//	    │ tc tbf           │                   │           on a veth pair
//	┌───┴──────────────────┴───────────────────┴───┐
//	│ router: forwards; nft drops; and the test is │
//	│ here: it reads every viewer's status and     │
//	│ bytes, and kills                             │
//	└──────────────────────────────────────────────┘
//
// The test binary runs itself again as the first process of new PID, mount and
// network namespaces. So nothing gets out, since no link leads out; and when that
// process ends, in whatever way, the kernel ends all that it started and takes the
// network down.
//
// It holds tests only. They need Linux, root, and ip, tc and nft (iproute2,
// nftables); without them they skip, or fail if STRIPECAST_REQUIRE_TOOLS is 1. The
// table takes the whole machine for more than a minute, and runs with
// STRIPECAST_FULL=1 alone. With STRIPECAST_BIN=/path/stripecast that program is
// tested instead of one that is built.
//
// What the kernel cannot do here is delay: rows that need a round-trip time are
// test/sim's and test/memnet's.
package netns
