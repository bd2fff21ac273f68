package gossip

import (
	"errors"

	"github.com/hashicorp/memberlist"

	"github.com/stripecast/stripecast/membership"
)

// delegate is what memberlist asks and tells. It calls some of the methods with
// its own locks held: they never block and never call it back.
type delegate struct{ p *Pool }

var (
	errUnguarded = errors.New("gossip: the guard does not know this node")
	errTooMany   = errors.New("gossip: too many nodes")
)

// NodeMeta is our record. It always fits memberlist's limit.
func (d delegate) NodeMeta(int) []byte {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	return d.p.record
}

// NotifyAlive is a second lock behind the guard: nobody becomes a member whom it
// has not let in, and so there are never more than MaxMembers of them.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if !d.p.guard.knows(n.Name) {
		return errUnguarded
	}
	return nil
}

// NotifyMerge likewise.
func (d delegate) NotifyMerge(nodes []*memberlist.Node) error {
	if len(nodes) > MaxNodes {
		return errTooMany
	}
	return nil
}

// NotifyLeave tells the host the rumour.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	if id, err := membership.ParseNodeID(n.Name); err == nil && id != d.p.self {
		d.p.tell(Gone{id})
	}
}

// The guard has told the host of the record already.
func (d delegate) NotifyJoin(*memberlist.Node)   {}
func (d delegate) NotifyUpdate(*memberlist.Node) {}

// The pool has no messages and no state of its own to send.
func (d delegate) NotifyMsg([]byte)                {}
func (d delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d delegate) LocalState(bool) []byte          { return nil }
func (d delegate) MergeRemoteState([]byte, bool)   {}
