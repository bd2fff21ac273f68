package overlay

import (
	"crypto/sha256"
	"math"
	"math/bits"
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
	slots  float64 // each relay's, spread evenly over its home stripes
	free   int
}

// coverage tells what others give to each stripe, and counts all relays, with us.
func (f *Forest) coverage() (per []cover, relays int) {
	per = make([]cover, len(f.branches))
	relays = 1
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || e.Doubted || e.Slots == 0 || c.Source || c.Epoch != f.cfg.Info.Epoch {
			continue
		}
		relays++
		each := float64(e.Slots) / float64(max(1, bits.OnesCount64(c.Homes)))
		for s := range per {
			if c.Home(s) {
				per[s].relays++
				per[s].slots += each
				per[s].free += c.Free
			}
		}
	}
	return per, relays
}

// reconsiderHomes takes the scarcest stripes as home stripes until there are
// enough, moves from a stripe that others serve better to one that is short, and
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
	if move && f.rnd.IntN(2) == 0 {
		return // another may move there at the same time: let chance decide
	}
	f.giveUpHome(now, surplus)
	if move {
		f.takeHome(now, rare)
	}
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

// thinRoots asks the newest relay of a stripe that has more than Roots at the
// source to move below another: relays that came as viewers, or found nobody
// else at first. One that comes back, having found nobody, may stay.
func (f *Forest) thinRoots(now time.Time) {
	for _, b := range f.branches {
		if f.roots(b) <= Roots {
			continue
		}
		for i := len(b.children) - 1; i >= 0; i-- {
			c := &b.children[i]
			if c.interior && c.evict.IsZero() && now.Sub(c.since) >= rootStay && len(f.alternatives(b, c.id)) > 0 {
				f.dismiss(now, b, c, Full)
				break
			}
		}
	}
}

// tidy looks for a relay in stripes that the source feeds us only because there
// was nobody else, and in home stripes where it feeds more relays than it should.
func (f *Forest) tidy(now time.Time) {
	source := membership.NodeID(f.cfg.Info.Root)
	for _, b := range f.branches {
		if !b.wanted || b.parent != source || b.search != nil || f.ended {
			continue
		}
		if now.Sub(b.begun) < f.cfg.Back+stillMin {
			continue // the past is still coming, and only from there
		}
		if b.home && (f.rootsKnown(b) < Roots || f.rnd.IntN(3) > 0) {
			continue
		}
		b.search = &search{replace: true, tidy: true, next: now}
	}
}

// warm keeps, for every stripe, a connection to somebody who could be the parent
// if the parent dies: dialling only then may cost more time than there is.
func (f *Forest) warm(now time.Time) {
	dials := 0
	for _, b := range f.branches {
		if !b.wanted || b.parent.IsZero() || f.ended {
			b.backup = membership.NodeID{}
			continue
		}
		if e, ok := f.book.Get(b.backup); ok && f.peers[b.backup] != nil && !e.Doubted {
			if _, fit := f.eligible(now, b, e, false); fit {
				continue
			}
		}
		e := f.bestBackup(now, b)
		if e == nil {
			b.backup = membership.NodeID{}
			continue
		}
		b.backup = e.Node
		if f.peers[e.Node] == nil && dials < maxWarm {
			dials++
			f.out = append(f.out, Dial{Peer: e.Node})
		}
	}
}

// bestBackup is the best candidate of a stripe, a connected one if possible.
func (f *Forest) bestBackup(now time.Time, b *branch) *membership.Entry {
	var best *membership.Entry
	var bestScore time.Duration
	for _, e := range f.book.All() {
		if _, ok := f.eligible(now, b, e, false); !ok || e.Doubted {
			continue
		}
		if score := f.score(e, true); best == nil || score < bestScore {
			best, bestScore = e, score
		}
	}
	return best
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
