package relay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// ban is a node that sent proven bad shards.
type ban struct {
	id    membership.NodeID
	until time.Time
}

// ban shuts a node out for banTime.
func (c *Core) ban(now time.Time, id membership.NodeID) {
	c.bans = slices.DeleteFunc(c.bans, func(b ban) bool { return b.id == id || !now.Before(b.until) })
	if len(c.bans) >= MaxBans {
		c.bans = slices.Delete(c.bans, 0, 1)
	}
	c.bans = append(c.bans, ban{id, now.Add(banTime)})
}

func (c *Core) banned(now time.Time, id membership.NodeID) bool {
	return slices.ContainsFunc(c.bans, func(b ban) bool { return b.id == id && now.Before(b.until) })
}
