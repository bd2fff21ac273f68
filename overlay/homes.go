package overlay

import (
	"cmp"
	"crypto/sha256"
	"math"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// A relay spends its slots in few stripes: the fewer, the less its loss costs
// anyone, and the less it must download. It needs more than one only while the
// pool is small. Each stripe wants one and a half relays so that a dead one has
// a deputy; nobody ever takes more than m, because that is what a viewer can
// lose.

// homesWanted is how many home stripes a relay should have in a pool of this
// many relays.
func (f *Forest) homesWanted(relays int) int {
	if f.cfg.Slots == 0 {
		return 0
	}
	n, m := f.cfg.Info.Layout.N(), f.cfg.Info.Layout.M
	each := (3*n/2 + relays - 1) / relays
	return max(1, min(each, m, n, f.cfg.Slots))
}

// cover is what other relays are known to give to one stripe.
type cover struct {
	relays int
	roots  int     // that the source feeds, or that make the stripe
	slots  float64 // each relay's, spread evenly over its home stripes
	free   int
}

// survey goes through the book once: what others give to each stripe, how many
// relays there are, with us, and in how many networks.
func (f *Forest) survey() {
	per := make([]cover, len(f.branches))
	relays := 1
	networks := map[netip.Prefix]bool{}
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || e.Doubted || e.Slots == 0 || c.Source || c.Epoch != f.cfg.Info.Epoch {
			continue
		}
		relays++
		if network, ok := networkOf(e); ok {
			networks[network] = true
		}
		each := float64(e.Slots) / float64(max(1, bits.OnesCount64(c.Homes)))
		for s := range per {
			if c.Home(s) {
				per[s].relays++
				per[s].slots += each
				per[s].free += c.Free
				if c.Depth == 1 {
					per[s].roots++
				}
			}
		}
	}
	f.cover, f.relays, f.networks = per, relays, len(networks)
}

// reconsiderHomes takes the scarcest stripes as home stripes until there are
// enough, moves from a stripe that others serve better to one that is short, and
// gives one up, rarely, when the pool has grown.
func (f *Forest) reconsiderHomes(now time.Time) {
	per, relays := f.cover, f.relays
	want := f.homesWanted(relays)
	have := 0
	for _, b := range f.branches {
		if b.home {
			have++
		}
	}
	for ; have < want; have++ {
		b := f.scarcest(per)
		if b == nil {
			return
		}
		f.takeHome(now, b)
	}
	have += f.takeSole(now)
	if now.Before(f.dropHome) {
		return
	}
	surplus := f.mostCovered(per)
	if surplus == nil || per[surplus.stripe].relays == 0 {
		return // every home stripe of ours has nobody but us
	}
	rare := f.scarcest(per)
	// Nothing is given up for a relay more or less: only when there would be
	// enough even without a quarter of the pool.
	most := f.homesWanted(max(1, relays*3/4))
	move := rare != nil && have <= most && f.betterThere(per, surplus, rare, have)
	if !move && (have <= most || per[surplus.stripe].free < len(surplus.children)) {
		return
	}
	f.dropHome = now.Add(2*time.Second + time.Duration(f.rnd.Int64N(int64(3*time.Second))))
	if f.short {
		f.dropHome = now // who has too many is in the way of others at the source
	}
	if move && f.rnd.IntN(2) == 0 {
		return // another may move there at the same time: let chance decide
	}
	f.giveUpHome(now, surplus)
	if move {
		f.takeHome(now, rare)
	}
}

// takeSole takes home stripes beyond the usual number if a source is short of
// uplink and nobody else has them: it feeds each to one only, and who is that one
// must pass it on. One that nobody takes comes to nobody. It returns how many.
func (f *Forest) takeSole(now time.Time) int {
	if !f.short || f.cfg.Slots == 0 || now.Sub(f.born) < soleAfter {
		return 0 // others may have them: their records are still to come
	}
	n := 0
	for _, b := range f.branches {
		if b.home || b.quota == 0 || f.cover[b.stripe].relays > 0 {
			continue
		}
		if b.parent == membership.NodeID(f.cfg.Info.Root) || b.parent.IsZero() && f.rnd.IntN(f.relays) == 0 {
			f.takeHome(now, b)
			n++
		}
	}
	return n
}

// betterThere reports whether our slots are worth more in another stripe than in
// a home stripe of ours: that one has none left, and is poorer even without us.
func (f *Forest) betterThere(per []cover, here, there *branch, homes int) bool {
	a, b := per[here.stripe], per[there.stripe]
	if b.relays == 0 {
		return true
	}
	return b.free == 0 && a.slots >= b.slots+float64(f.cfg.Slots)/float64(homes)/2
}

// wants reports whether a stripe is to be fed to us: all for who plays, home
// stripes for who relays, and k others besides for a relay with room.
func (f *Forest) wants(b *branch) bool {
	return (f.cfg.All || b.home || b.extra) && !b.made && !f.cfg.Source
}

// takeExtra chooses the k stripes that a relay with room takes besides its home
// stripes, in an order of its own.
func (f *Forest) takeExtra(now time.Time) {
	order := slices.Clone(f.branches)
	slices.SortFunc(order, func(a, b *branch) int {
		return cmp.Compare(rank(f.cfg.Self, a.stripe), rank(f.cfg.Self, b.stripe))
	})
	left := 0
	if f.cfg.Room {
		left = f.cfg.Info.Layout.K
	}
	for _, b := range order {
		extra := !b.home && left > 0
		if extra {
			left--
		}
		if b.extra == extra {
			continue
		}
		b.extra = extra
		switch wants := f.wants(b); {
		case wants && !b.wanted:
			f.begin(now, b)
		case !wants && b.wanted:
			b.wanted, b.search = false, nil
			f.evict(now, b)
		}
	}
}

// begin wants a stripe that was not wanted before.
func (f *Forest) begin(now time.Time, b *branch) {
	b.wanted, b.got = true, false
	b.late, b.heard, b.calm = time.Time{}, now, now
}

func (f *Forest) takeHome(now time.Time, b *branch) {
	b.home = true
	if !b.wanted {
		f.begin(now, b)
	}
	if !b.parent.IsZero() {
		// The parent should know that this child feeds others now.
		f.send(b.parent, f.subscribe(now, b))
	}
}

func (f *Forest) giveUpHome(now time.Time, b *branch) {
	if b.made {
		b.made, b.path = false, nil
	}
	b.home = false
	if b.wanted = f.wants(b); !b.wanted {
		b.search = nil
	} else if !b.parent.IsZero() {
		f.send(b.parent, f.subscribe(now, b)) // that we feed nobody any more
	}
	for i := range b.children {
		f.dismiss(now, b, &b.children[i], NotHere)
	}
	f.evict(now, b)
}

// scarcest is the stripe with the fewest slots that is not a home stripe of ours;
// among about equals the node's own order decides, so that relays that come
// together spread.
func (f *Forest) scarcest(per []cover) *branch {
	sum := 1.0
	for _, c := range per {
		sum += c.slots
	}
	var best *branch
	var bestRank uint64
	for _, b := range f.branches {
		if b.home || len(b.children) > 0 {
			continue
		}
		level := uint64(math.Ceil(4 * per[b.stripe].slots * float64(len(per)) / sum)) // quarters of the mean
		rank := level<<32 | uint64(rank(f.cfg.Self, b.stripe))
		if best == nil || rank < bestRank {
			best, bestRank = b, rank
		}
	}
	return best
}

// mostCovered is the home stripe of ours to which others give the most, and among
// equals the one with the fewest children.
func (f *Forest) mostCovered(per []cover) *branch {
	var best *branch
	for _, b := range f.branches {
		if !b.home {
			continue
		}
		if best == nil || per[b.stripe].slots > per[best.stripe].slots ||
			per[b.stripe].slots == per[best.stripe].slots && len(b.children) < len(best.children) {
			best = b
		}
	}
	return best
}

// rank orders the stripes differently for every node.
func rank(id membership.NodeID, s int) uint32 {
	sum := sha256.Sum256(append(id[:], byte(s)))
	return uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
}
