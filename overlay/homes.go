package overlay

import (
	"cmp"
	"crypto/sha256"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// A relay spends its slots in few stripes: the fewer, the less its loss costs
// anyone, and the less it must download. It needs more than one only while the
// pool is small. Each stripe wants one and a half relays so that a dead one has
// a deputy; nobody takes more than m, because that is what a viewer can lose,
// but where somebody else would have no parent at all.

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

// Cover is what other relays are known to give to one stripe.
type Cover struct {
	Relays int     // that have it as a home stripe
	Roots  int     // of them, those next to the source, and those who make it
	Free   int     // slots of theirs that are
	slots  float64 // each relay's, spread evenly over its home stripes
}

// Cover tells it of stripe s, as the book said within the last second or two.
func (f *Forest) Cover(s int) Cover { return f.cover[s] }

// survey goes through the book once: what others give to each stripe, how many
// relays there are, with us, and in how many networks, up to manyNetworks.
func (f *Forest) survey() {
	per := make([]Cover, len(f.branches))
	relays := 1
	networks := make([]netip.Prefix, 0, manyNetworks)
	for _, e := range f.book.All() {
		c, ok := e.Carries(f.cfg.Info.Stream)
		if !ok || e.Doubted || e.Slots == 0 || c.Source || c.Epoch != f.cfg.Info.Epoch {
			continue
		}
		relays++
		if len(networks) < manyNetworks {
			if network, ok := NetworkOf(e); ok && !slices.Contains(networks, network) {
				networks = append(networks, network)
			}
		}
		each := float64(e.Slots) / float64(max(1, bits.OnesCount64(c.Homes)))
		for homes := c.Homes; homes != 0; homes &= homes - 1 {
			s := bits.TrailingZeros64(homes)
			if s >= len(per) {
				break
			}
			per[s].Relays++
			per[s].slots += each
			per[s].Free += c.Free
			if c.Depth == 1 {
				per[s].Roots++
			}
		}
	}
	f.cover, f.relays, f.networks = per, relays, len(networks)
}

// reconsiderHomes takes the scarcest stripes as home stripes until there are
// enough, moves from a stripe that others serve better to one that is short, and
// gives one up, rarely, when the pool has grown.
func (f *Forest) reconsiderHomes(now time.Time) {
	if f.cfg.Slots == 0 {
		f.giveUpHomes(now)
		return
	}
	per, relays := f.cover, f.relays
	want := f.homesWanted(relays)
	have := f.homes()
	if f.young(now) {
		want = min(want, youngHomes) // who others are is still to be learned
		if relays >= manyRelays || f.book.OfSamples() {
			want = min(want, 1)
		}
	}
	for ; have < want; have++ {
		b := f.scarcest(per)
		if b == nil {
			return
		}
		f.takeHome(now, b)
	}
	have += f.takeSole(now) + f.takeNeeded(now, have)
	// Nothing is given up for a relay more or less: only when there would be
	// enough even without a quarter of the pool.
	most := f.homesWanted(max(1, relays*3/4))
	if idle := f.idleHome(per); have > most && idle != nil && !f.young(now) {
		f.giveUpHome(now, idle)
		return
	}
	if now.Before(f.dropHome) {
		return
	}
	surplus := f.mostCovered(now, per)
	if surplus == nil || per[surplus.stripe].Relays < 2 {
		return // every home stripe of ours has nobody but us, or one other
	}
	spared := !per[surplus.stripe].less(len(surplus.children)).scant()
	var rare *branch
	if have <= most && f.relays < 2*len(f.branches) {
		rare = f.poorThere(per, surplus, have)
	} else if have <= most && spared {
		rare = f.needier(per, surplus, have)
	}
	if rare == nil && (have <= most || !spared) {
		return
	}
	f.dropHome = now.Add(2*time.Second + time.Duration(f.rnd.Int64N(int64(3*time.Second))))
	if f.short {
		f.dropHome = now // who has too many is in the way of others at the source
	}
	f.giveUpHome(now, surplus)
	if rare != nil {
		f.takeHome(now, rare)
	}
}

// homes is how many home stripes we have.
func (f *Forest) homes() int {
	n := 0
	for _, b := range f.branches {
		if b.home {
			n++
		}
	}
	return n
}

// poorThere is, in a small pool, the stripe to move to: it has no slots left, and is
// poorer even without us. Another may move there at the same time: chance decides.
func (f *Forest) poorThere(per []Cover, here *branch, homes int) *branch {
	there := f.scarcest(per)
	if there == nil || f.rnd.IntN(2) == 0 {
		return nil
	}
	a, b := per[here.stripe], per[there.stripe]
	if b.Relays == 0 || b.Free == 0 && a.slots >= b.slots+float64(f.cfg.Slots)/float64(homes)/2 {
		return there
	}
	return nil
}

// needier is, in a big pool, a stripe in which our slots are worth more than in a
// home stripe of ours, or nil. Others see the same at the same time: so chance
// decides, such that about half of what a stripe has too much moves at a time, to
// each that has too little according to how much that is.
func (f *Forest) needier(per []Cover, here *branch, homes int) *branch {
	ours := float64(f.cfg.Slots) / float64(homes)
	mean := ours / float64(len(per))
	for _, c := range per {
		mean += c.slots / float64(len(per))
	}
	have := per[here.stripe].slots + ours
	if have < mean+ours/2 || f.rnd.Float64()*2*have >= have-mean {
		return nil
	}
	return f.chance(func(b *branch) float64 {
		c := per[b.stripe]
		if b.home || len(b.children) > 0 || b.quota == 0 || float64(c.Free) > c.slots/8 {
			return 0
		}
		few := float64(f.relays) // slots: not even enough for all whom we know
		if len(here.children) > f.cfg.Slots/8 && (c.Free > 0 || c.slots > few) || c.Free > 0 && c.slots > few*21/20 {
			return 0
		}
		return max(0, mean-ours/2-c.slots)
	})
}

// young reports whether we came so recently that others' records may be missing.
func (f *Forest) young(now time.Time) bool { return now.Sub(f.born) < youth }

// idleHome is a home stripe of ours without children that two others have, with
// slots enough free, or nil.
func (f *Forest) idleHome(per []Cover) *branch {
	for _, b := range f.branches {
		if c := per[b.stripe]; b.home && !f.soleRoot(b) && len(b.children) == 0 && c.Relays >= 2 && !c.less(spareHome).scant() {
			return b
		}
	}
	return nil
}

// takeNeeded takes one more home stripe where that helps, and returns how many: a
// stripe that only one relay has; one in which nobody lets us in, for who feeds
// others displaces a leaf, which it then feeds; one of parity that nobody makes.
func (f *Forest) takeNeeded(now time.Time, have int) int {
	if f.young(now) || f.Starved(now) || !f.room() || have >= f.cfg.Slots {
		return 0
	}
	b := f.stuck(now)
	if b != nil && f.relays >= 2*len(f.branches) {
		// In a big pool not all who are stuck should do the same.
		need := (float64(f.relays) - f.cover[b.stripe].slots) / float64(f.cfg.Slots)
		if f.rnd.Float64()*float64(f.relays) >= 2*max(1, need) {
			b = nil
		}
	}
	if b == nil && have < f.most() && f.rnd.IntN(f.relays) < 2 {
		b = f.lonely()
	}
	if b == nil && have < f.most() && f.rnd.IntN(f.relays) < 4 {
		b = f.scant()
	}
	if b == nil && have < f.most() && f.rnd.IntN(4) == 0 {
		b = f.unmade(now)
	}
	if b == nil {
		return 0
	}
	swapped := 0
	small := f.short && f.relays*f.most() < 2*len(f.branches) // too few to go round
	if have >= f.most() && !small {
		idle := f.idleHome(f.cover)
		if idle == nil {
			return 0
		}
		f.giveUpHome(now, idle)
		swapped = 1
	}
	f.takeHome(now, b)
	return 1 - swapped
}

// stuck is a stripe that the source feeds to somebody, but for long nobody to us.
func (f *Forest) stuck(now time.Time) *branch {
	for _, b := range f.branches {
		if b.wanted && !b.home && b.quota > 0 && (b.parent.IsZero() || f.silent(now, b)) && f.longWithout(now, b) {
			return b
		}
	}
	return nil
}

// longWithout reports whether nothing has come on a stripe for stuckAfter.
func (f *Forest) longWithout(now time.Time, b *branch) bool {
	return now.Sub(later(b.heard, f.born)) >= stuckAfter
}

// scant is a stripe that has too few free slots for the children of one of its relays
// if that dies, while we have some that nobody needs where they are.
func (f *Forest) scant() *branch {
	if f.short || f.cfg.Slots-f.Children() < max(4, f.cfg.Slots/spareSlots) {
		return nil
	}
	return f.first(func(b *branch) bool {
		return !b.home && len(b.children) == 0 && b.quota > 0 && f.cover[b.stripe].scant()
	})
}

// less is what is left when so many more are fed.
func (c Cover) less(children int) Cover {
	c.Free -= children
	return c
}

// scant reports whether the others could not take the children of one of them.
func (c Cover) scant() bool { return c.Relays == 0 || float64(c.Free) < c.slots/float64(c.Relays) }

// rescue takes a stripe in which everybody refused us as a home stripe, for who
// feeds others displaces a leaf, which it then feeds. Others are in the same plight:
// chance lets a few do so. It reports whether it did.
func (f *Forest) rescue(now time.Time, b *branch) bool {
	if f.young(now) || f.Starved(now) || b.home || b.quota == 0 || f.short || !f.room() || f.rnd.IntN(rescuers) > 0 {
		return false
	}
	if f.homes() >= min(f.most(), f.cfg.Slots) {
		return false
	}
	f.takeHome(now, b)
	return true
}

// unmade is a stripe that the source feeds to nobody, and that nobody feeds us or
// of which no slot is free, if we could make it.
func (f *Forest) unmade(now time.Time) *branch {
	if !f.short || !f.holdsK() || f.live(now) < f.cfg.Info.Layout.K {
		return nil
	}
	return f.first(func(b *branch) bool {
		missed := b.wanted && b.parent.IsZero() && f.longWithout(now, b)
		return b.quota == 0 && !b.home && (missed || f.cover[b.stripe].Free == 0)
	})
}

// lonely is a stripe that one relay alone has as a home stripe, or nil: when it
// dies, only the source is left.
func (f *Forest) lonely() *branch {
	if f.short {
		return nil
	}
	return f.first(func(b *branch) bool {
		return !b.home && len(b.children) == 0 && f.cover[b.stripe].Relays == 1
	})
}

// first is the first stripe for which fit holds, in an order of our own, or nil.
func (f *Forest) first(fit func(*branch) bool) *branch {
	var best *branch
	for _, b := range f.branches {
		if fit(b) && f.before(b, best) {
			best = b
		}
	}
	return best
}

// before reports whether a stripe comes before another in an order of our own.
func (f *Forest) before(a, b *branch) bool {
	return b == nil || rank(f.cfg.Self, a.stripe) < rank(f.cfg.Self, b.stripe)
}

// takeSole takes home stripes beyond the usual number if a source is short of
// uplink and nobody else has them: it feeds each to one only, and who is that one
// must pass it on. One that nobody takes comes to nobody. It returns how many.
func (f *Forest) takeSole(now time.Time) int {
	if !f.short || f.cfg.Slots == 0 || f.young(now) {
		return 0 // others may have them: their records are still to come
	}
	n := 0
	for _, b := range f.branches {
		if b.home || b.quota == 0 || f.cover[b.stripe].Relays > 0 {
			continue
		}
		if b.parent == f.root() || b.parent.IsZero() && f.rnd.IntN(f.relays) == 0 {
			f.takeHome(now, b)
			n++
		}
	}
	return n
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
	b.home, b.took = true, now
	if !b.wanted {
		f.begin(now, b)
	}
	if !b.parent.IsZero() {
		// The parent should know that this child feeds others now.
		f.send(b.parent, f.subscribe(now, b))
		f.lift(now, b)
	}
}

// giveUpHomes gives up those in which there are no children any more: without slots none
// will come.
func (f *Forest) giveUpHomes(now time.Time) {
	for _, b := range f.branches {
		if b.home && len(b.children) == 0 {
			f.giveUpHome(now, b)
		}
	}
}

func (f *Forest) giveUpHome(now time.Time, b *branch) {
	if b.made {
		b.made = false
		f.reroute(b, nil)
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

// scarcest is a stripe with few slots that is not a home stripe of ours. One that
// nobody is known to have comes first; else it is the scarcer of the first two in
// an order of our own, so that relays that see the same do not all do the same (the
// power of two choices: Mitzenmacher 2001).
func (f *Forest) scarcest(per []Cover) *branch {
	if f.relays >= 2*len(f.branches) {
		return f.poorer(per)
	}
	var bare *branch
	var two [2]*branch
	for _, b := range f.branches {
		if b.home || len(b.children) > 0 || b.quota == 0 {
			continue // a stripe of parity that we would have to make can wait
		}
		if per[b.stripe].Relays == 0 && f.before(b, bare) {
			bare = b
		}
		switch {
		case f.before(b, two[0]):
			two[0], two[1] = b, two[0]
		case f.before(b, two[1]):
			two[1] = b
		}
	}
	switch {
	case bare != nil:
		return bare
	case two[1] != nil && per[two[1].stripe].slots < per[two[0].stripe].slots:
		return two[1]
	}
	return two[0]
}

// poorer is a stripe that is not a home stripe of ours, by chance: the fewer slots
// it has the likelier, none if it has twice the mean. In a pool that grows fast what
// we know of others is old; a choice of the scarcest would be everybody's.
func (f *Forest) poorer(per []Cover) *branch {
	mean := 0.0
	for _, c := range per {
		mean += c.slots / float64(len(per))
	}
	return f.chance(func(b *branch) float64 {
		if b.home || len(b.children) > 0 || b.quota == 0 {
			return 0
		}
		return max(0, 2*mean-per[b.stripe].slots)
	})
}

// chance is a stripe drawn by chance with a probability proportional to its weight,
// or nil if none has any.
func (f *Forest) chance(weight func(*branch) float64) *branch {
	sum := 0.0
	for _, b := range f.branches {
		sum += weight(b)
	}
	at := f.rnd.Float64() * sum
	for _, b := range f.branches {
		w := weight(b)
		if at -= w; w > 0 && at < 0 {
			return b
		}
	}
	return nil
}

// mostCovered is the home stripe of ours to which others give the most, and among
// equals the one with the fewest children.
func (f *Forest) mostCovered(now time.Time, per []Cover) *branch {
	var best *branch
	for _, b := range f.branches {
		if !b.home || f.keeps(now, b) {
			continue
		}
		if best == nil || per[b.stripe].slots > per[best.stripe].slots ||
			per[b.stripe].slots == per[best.stripe].slots && len(b.children) < len(best.children) {
			best = b
		}
	}
	return best
}

// keeps reports whether a home stripe is not given up whatever others give to it, which they
// may not do any more: we are its only root, or feed others since short, or when nothing comes.
func (f *Forest) keeps(now time.Time, b *branch) bool {
	return f.soleRoot(b) || len(b.children) > 0 && (now.Sub(b.took) < homeStay || b.search != nil && b.search.urgent())
}

// soleRoot reports whether we are the only one whom the source feeds a stripe: all
// others have it through us, and nobody could take our place before we are gone.
func (f *Forest) soleRoot(b *branch) bool { return b.quota == 1 && b.parent == f.root() }

// rank orders the stripes differently for every node.
func rank(id membership.NodeID, s int) uint32 {
	sum := sha256.Sum256(append(id[:], byte(s)))
	return uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
}
