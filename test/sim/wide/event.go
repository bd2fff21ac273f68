package wide

import (
	"github.com/stripecast/stripecast/overlay"
)

// event is something that happens at a time.
type event struct {
	kind kind
	node int32 // to whom it happens
	peer int32 // because of whom
	msg  overlay.Message
	do   func()
}

type kind uint8

const (
	evJoin    kind = iota // the node starts, or tries again to find anybody
	evWake                // its Forest or its questions want to be looked at
	evTick                // a block comes while something about its stripes changes
	evMessage             // a message of peer arrives
	evDialled             // a dial to peer ends well
	evFailed              // a dial to peer fails
	evLost                // the connection with peer is found dead
	evClosed              // peer has closed the connection, which nobody needed
	evDo                  // the experiment's
)
