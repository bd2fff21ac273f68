package overlay

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// BranchStatus is our place in one stripe.
type BranchStatus struct {
	Parent membership.NodeID // zero if there is none
	Depth  int               // hops from the source; 0 for the source, or if there is no parent
	Live   bool              // fed by a parent that is not late
	Home   bool
	Made   bool // we make it ourselves

	Path []membership.ShortID // from the source to the parent; nobody changes it
	RTT  time.Duration        // to the parent, smoothed; 0 if it is not known
	// Lag is how long after the first stripe blocks come on this one, smoothed; if none
	// comes, for how long it has been behind.
	Lag  time.Duration
	Slow bool // there is a parent, and Lag is more than one may have
}

// Branch tells our place in stripe s.
func (f *Forest) Branch(now time.Time, s int) BranchStatus {
	b := f.branches[s]
	st := BranchStatus{Parent: b.parent, Home: b.home, Made: b.made}
	if f.cfg.Source {
		st.Live = true
	} else if !b.parent.IsZero() {
		st.Depth = len(b.path)
		st.Live = b.got && !f.silent(now, b)
		st.Path = b.path
		if p := f.peers[b.parent]; p != nil {
			st.RTT = p.rtt
		}
		if st.Lag = b.lag; !b.late.IsZero() {
			st.Lag = max(st.Lag, now.Sub(b.late))
		}
		st.Slow = st.Lag >= f.patience(b)
	}
	return st
}

// Crowd is who else takes part in a stream, of those whom the book knows and nobody
// doubts. A viewer that gives nothing is known to nobody.
type Crowd struct {
	Relays  int // that do not play
	Viewers int // that play, and share
	Depth   int // the most hops from the source at which any of them stands in a home stripe
}

// Crowd counts them.
func (f *Forest) Crowd() (c Crowd) {
	for _, e := range f.book.All() {
		carried, ok := e.Carries(f.cfg.Info.Stream)
		switch {
		case !ok || e.Doubted || carried.Source || carried.Epoch != f.cfg.Info.Epoch:
			continue
		case carried.Plays:
			c.Viewers++
		default:
			c.Relays++
		}
		c.Depth = max(c.Depth, carried.Depth)
	}
	return c
}

// Needy reports whether we play what goes on, and parents feed us fewer stripes than that
// takes.
func (f *Forest) Needy(now time.Time) bool {
	return f.cfg.All && !f.cfg.Source && !f.ended && f.live(now) < f.cfg.Info.Layout.K
}

// Silent is on which wanted stripes nothing is to be expected now: bit i is stripe i.
func (f *Forest) Silent(now time.Time) (stripes uint64) {
	for _, b := range f.branches {
		if b.wanted && !b.made && !f.Branch(now, b.stripe).Live {
			stripes |= 1 << b.stripe
		}
	}
	return stripes
}

// Carried is which stripes are wanted, for us or our children: bit i is stripe i.
func (f *Forest) Carried() (stripes uint64) {
	for _, b := range f.branches {
		if f.cfg.Source || f.Wants(b.stripe) {
			stripes |= 1 << b.stripe
		}
	}
	return stripes
}

// Ancestors are all who stand between the source and us in some stripe, each once.
// Nobody changes the slice, here neither.
func (f *Forest) Ancestors() []membership.ShortID {
	if f.ancestors == nil {
		f.ancestors = []membership.ShortID{}
		for _, b := range f.branches {
			for _, id := range b.path {
				if !slices.Contains(f.ancestors, id) {
					f.ancestors = append(f.ancestors, id)
				}
			}
		}
	}
	return f.ancestors
}

// reroute notes who stands between the source and us in a stripe.
func (f *Forest) reroute(b *branch, path []membership.ShortID) { b.path, f.ancestors = path, nil }

// Wants reports whether shards of stripe s are wanted, for us or our children.
func (f *Forest) Wants(s int) bool {
	return f.branches[s].wanted || len(f.branches[s].children) > 0
}

// Home reports whether stripe s is a home stripe or still has children.
func (f *Forest) Home(s int) bool { return f.branches[s].home || len(f.branches[s].children) > 0 }

// Children is the number of children of all stripes, without those asked to go or
// out of reach.
func (f *Forest) Children() int { return f.children - f.going - f.lost() }

// Fed is the number of children of all stripes that are fed, those asked to go
// among them.
func (f *Forest) Fed() int { return f.children }

// Parents returns who feeds us, each once, in the order of the stripes, with
// the number of stripes taken from each.
func (f *Forest) Parents() (ids []membership.NodeID, stripes []int) {
	for _, b := range f.branches {
		if b.parent.IsZero() {
			continue
		}
		i := slices.Index(ids, b.parent)
		if i < 0 {
			ids, stripes = append(ids, b.parent), append(stripes, 0)
			i = len(ids) - 1
		}
		stripes[i]++
	}
	return ids, stripes
}

// Using adds to set whom connections are needed to.
func (f *Forest) Using(set map[membership.NodeID]bool) {
	for _, b := range f.branches {
		set[b.parent], set[b.backup.id] = true, true
		for i := range b.children {
			set[b.children[i].id] = true
		}
		if b.search == nil {
			continue
		}
		for _, r := range b.search.asked {
			if !r.answered {
				set[r.id] = true
			}
		}
	}
}

// Advert is what our record says of this stream.
func (f *Forest) Advert() membership.Carried {
	c := membership.Carried{
		Stream: f.cfg.Info.Stream,
		Epoch:  f.cfg.Info.Epoch,
		Source: f.cfg.Source,
		Plays:  f.cfg.All && !f.cfg.Source,
	}
	if f.leaving {
		return c
	}
	c.Free = max(0, f.cfg.Slots-f.children+f.lost())
	for _, b := range f.branches {
		if b.home {
			c.Homes |= 1 << b.stripe
			c.Depth = max(c.Depth, len(b.path))
		}
	}
	return c
}
