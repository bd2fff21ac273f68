package overlay

import (
	"hash/fnv"
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

// coverage counts the relays known in each stripe, without us, and all relays,
// with us.
func (f *Forest) coverage() (per []int, relays int) {
	per = make([]int, len(f.branches))
	relays = 1
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || e.Doubted || e.Slots == 0 || c.Source || c.Epoch != f.cfg.Info.Epoch {
			continue
		}
		relays++
		for s := range per {
			if c.Home(s) {
				per[s]++
			}
		}
	}
	return per, relays
}

// reconsiderHomes takes the scarcest stripes as home stripes until there are
// enough, moves one from a stripe that has others to one that has nobody, and
// gives one up, rarely, when the pool has grown.
func (f *Forest) reconsiderHomes(now time.Time) {
	per, relays := f.coverage()
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
	if now.Before(f.dropHome) {
		return
	}
	surplus := f.mostCovered(per)
	if surplus == nil || per[surplus.stripe] == 0 {
		return // every home stripe of ours has nobody but us
	}
	rare := f.scarcest(per)
	move := rare != nil && per[rare.stripe] == 0 && have <= want
	if !move && have <= want {
		return
	}
	f.dropHome = now.Add(2*time.Second + time.Duration(f.rnd.Int64N(int64(3*time.Second))))
	if move && f.rnd.IntN(2) == 0 {
		return // another may move there at the same time: let chance decide
	}
	f.giveUpHome(now, surplus)
	if move {
		f.takeHome(now, rare)
	}
}

func (f *Forest) takeHome(now time.Time, b *branch) {
	b.home = true
	if !b.wanted {
		b.wanted, b.got = true, false
		b.late, b.heard, b.calm = time.Time{}, now, now
	}
	if !b.parent.IsZero() {
		// The parent should know that this child feeds others now.
		f.send(b.parent, f.subscribe(now, b))
	}
}

func (f *Forest) giveUpHome(now time.Time, b *branch) {
	b.home, b.wanted = false, f.cfg.All
	if !b.wanted {
		b.search = nil
	}
	for i := range b.children {
		f.dismiss(now, b, &b.children[i], NotHere)
	}
	f.evict(now, b)
}

// scarcest is the stripe with the fewest relays that is not a home stripe of
// ours; among equals the node's own order decides, so that relays that come
// together spread.
func (f *Forest) scarcest(per []int) *branch {
	var best *branch
	var bestRank uint64
	for _, b := range f.branches {
		if b.home || len(b.children) > 0 {
			continue
		}
		rank := uint64(per[b.stripe])<<32 | uint64(rank(f.cfg.Self, b.stripe))
		if best == nil || rank < bestRank {
			best, bestRank = b, rank
		}
	}
	return best
}

// mostCovered is the home stripe of ours that has the most other relays, and
// among those the fewest children.
func (f *Forest) mostCovered(per []int) *branch {
	var best *branch
	for _, b := range f.branches {
		if !b.home {
			continue
		}
		if best == nil || per[b.stripe] > per[best.stripe] ||
			per[b.stripe] == per[best.stripe] && len(b.children) < len(best.children) {
			best = b
		}
	}
	return best
}

// rank orders the stripes differently for every node (FNV-1a).
func rank(id membership.NodeID, s int) uint32 {
	h := fnv.New32a()
	h.Write(id[:])
	h.Write([]byte{byte(s)})
	return h.Sum32()
}

// tidy looks for a relay in stripes that the source feeds us only because there
// was nobody else, and in home stripes where it feeds more relays than it should.
func (f *Forest) tidy(now time.Time) {
	source := membership.NodeID(f.cfg.Info.Root)
	for _, b := range f.branches {
		if !b.wanted || b.parent != source || b.search != nil || f.ended {
			continue
		}
		if b.home && (f.rootsKnown(b) < Roots || f.rnd.IntN(3) > 0) {
			continue
		}
		b.search = &search{replace: true, tidy: true, next: now}
	}
}

// rootsKnown counts the other relays that the source is known to feed in a stripe.
func (f *Forest) rootsKnown(b *branch) int {
	roots := 0
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if ok && !e.Doubted && !c.Source && c.Home(b.stripe) && c.Depth == 1 {
			roots++
		}
	}
	return roots
}
