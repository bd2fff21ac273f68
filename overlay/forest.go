package overlay

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// Config says who a Forest belongs to and what it wants.
type Config struct {
	Self   membership.NodeID
	Info   stripe.Info
	Source bool // this participant is the root of all stripes
	All    bool // wants every stripe (it plays); otherwise its home stripes only
	Room   bool // wants k stripes besides, to make shards that did not come
	Slots  int  // children of one stripe it may have in all
	// Back is how far behind the newest block a newcomer wants to begin.
	Back time.Duration
}

// Output is something a Forest wants done. The set is closed.
type Output interface{ output() }

// Send says Msg to To, who is connected.
type Send struct {
	To  membership.NodeID
	Msg Message
}

// Dial connects to Peer, who is in the book.
type Dial struct{ Peer membership.NodeID }

// Feed begins to send a stripe to a child: from block From, or if Fresh from the
// last random access block at least Back old. It replaces an earlier Feed.
type Feed struct {
	Child  membership.NodeID
	Stripe int
	From   uint64
	Fresh  bool
	Back   time.Duration
}

// Starve ends a Feed.
type Starve struct {
	Child  membership.NodeID
	Stripe int
}

func (Send) output()   {}
func (Dial) output()   {}
func (Feed) output()   {}
func (Starve) output() {}

// Forest is one participant's place in the n trees of one stream. It has one
// owner. Every method that is told something may leave Outputs for Take.
type Forest struct {
	cfg      Config
	book     *membership.Book
	rnd      *rand.Rand
	peers    map[membership.NodeID]*peer // connected ones; never ranged over
	gone     []departed                  // of late, in the order in which they went; maxGone at most
	trials   trials
	askers   []asker  // in the order in which they came; maxAskers at most
	hollow   []hollow // in the order of their IDs; maxHollow at most
	branches []*branch
	head     uint64 // newest block number seen on any stripe
	headSeen bool
	arrivals [arrivalSpan]arrival
	usual    time.Duration // how late nearly all blocks come on most stripes
	heard    time.Time     // when a shard last came on any stripe, or a parent accepted
	children int           // of all stripes
	quiet    int           // peers that are
	going    int           // those of them that were asked to go
	stirred  bool          // somebody who waits may be let in now
	born     time.Time
	tidyAt   time.Time
	dropHome time.Time // no home stripe is given up before
	leaving  bool
	ended    bool

	// What the book told at the last look.
	cover    []Cover
	relays   int
	networks int       // up to manyNetworks
	short    bool      // the source feeds nobody in some stripes
	betterAt time.Time // when a nearer parent is next looked for
	shortAt  time.Time // since when slots are short
	showAt   time.Time // when children are next asked what they give

	told     bool // parents know standing:
	standing int  // -1, 0, 1, 2: fewer than k stripes, k, more, more than comfort

	final  uint64    // the last block, if ended
	overAt time.Time // when what is missing of the last blocks is given up
	out    []Output

	ancestors []membership.ShortID // see Ancestors; nil if a path has changed
	changes   []Change             // of parents, the last maxChanges
}

type peer struct {
	since       time.Time // connected, first of late
	rtt, rttVar time.Duration
	live        int  // stripes that it gets, as it said last
	quiet       bool // it acknowledges nothing: it is dead, or cut off
	mute        bool // it is connected, and silent in all that it should say: doubted
	begs        bool // it asked us to feed it
	shown       shown
}

// branch is our place in one stripe's tree.
type branch struct {
	stripe int
	home   bool // we may have children here
	wanted bool // we want to be fed
	extra  bool // we want it to be able to make others
	made   bool // we make it ourselves: the source feeds it to nobody
	quota  int  // how many relays the source feeds

	parent  membership.NodeID
	network netip.Prefix         // the parent's
	spread  time.Duration        // of its times of arrival, as the connection to it has them
	former  membership.NodeID    // the parent before, whose last shards are on their way
	lost    membership.NodeID    // the parent that went out of reach, until another is found
	path    []membership.ShortID // from the source to the parent, both included
	backup  backup               // could be the parent; kept connected
	unfit   []memory             // could not
	search  *search              // for a parent, or a better one
	courted []memory             // who was asked of late, and may accept yet
	calm    time.Time            // no search before
	rest    time.Duration        // how long the next failed search rests
	scarce  bool                 // the last failed because all are full
	tired   bool                 // so did those before, and they rest long
	roused  bool                 // but not this time
	shuns   []memory             // parents that failed here
	took    time.Time            // when it became a home stripe

	last  uint64 // newest block number fed to us
	got   bool
	seen  seen
	begun time.Time     // when a parent last accepted us as a newcomer
	since time.Time     // when a parent last accepted us
	goBy  time.Time     // when the parent, who asked us to go, has stopped feeding us
	tardy int           // blocks that came too late, of late
	lag   time.Duration // how long after the first stripe blocks come, smoothed
	habit habit         // how late they mostly come, whoever was the parent
	heard time.Time     // when a shard last came, or the parent accepted
	late  time.Time     // since when another stripe is ahead; zero if none is
	// excused: of that silence the time in which nothing came on any stripe is taken.
	excused bool

	newest    uint64 // block that we hold for children
	holds     bool
	warned    time.Time // when children were told that we look for a parent
	repairing time.Time // when the parent said so; zero if something came since

	children []child
	waiting  []waiter // who would be one
}

type child struct {
	id       membership.NodeID
	interior bool      // it feeds others in this stripe
	since    time.Time // when it came, or came back
	evict    time.Time // it was asked to go and is starved then; zero if it may stay
}

// memory is somebody who is remembered for a while.
type memory struct {
	id    membership.NodeID
	until time.Time
}

// recalls reports whether somebody is still remembered.
func recalls(all []memory, now time.Time, id membership.NodeID) bool {
	return slices.ContainsFunc(all, func(m memory) bool { return m.id == id && now.Before(m.until) })
}

// New returns a Forest that knows its candidates from book, which it shares with
// the rest of its participant.
func New(now time.Time, cfg Config, book *membership.Book, rnd *rand.Rand) *Forest {
	f := &Forest{cfg: cfg, book: book, rnd: rnd, peers: map[membership.NodeID]*peer{}}
	for s := range cfg.Info.Layout.N() {
		b := &branch{stripe: s, wanted: cfg.All && !cfg.Source}
		f.branches = append(f.branches, b)
	}
	f.born, f.tidyAt, f.betterAt = now, now, now.Add(betterEvery)
	f.cover = make([]Cover, len(f.branches))
	book.Follow(cfg.Info.Stream)
	f.setQuotas(now)
	f.Step(now)
	return f
}

// Take returns what is to be done since the last call. The slice is reused.
func (f *Forest) Take() []Output {
	out := f.out
	f.out = f.out[len(f.out):]
	return out
}

func (f *Forest) send(to membership.NodeID, m Message) {
	if _, up := f.peers[to]; up {
		f.out = append(f.out, Send{To: to, Msg: m})
	}
}

// Up says that a peer is connected.
func (f *Forest) Up(now time.Time, id membership.NodeID) {
	if f.peers[id] != nil {
		return
	}
	p := &peer{since: now}
	f.recall(now, id, p)
	f.peers[id] = p
	f.awake(now)
	for _, b := range f.branches {
		if b.search != nil {
			f.connected(now, b, id)
		}
		if b.backup.id == id && b.wanted {
			f.askBackup(now, b)
		}
	}
}

// Down says that a peer is gone, or could not be reached.
func (f *Forest) Down(now time.Time, id membership.NodeID) {
	if p := f.peers[id]; p != nil {
		if p.quiet {
			f.quiet--
		}
		f.remember(now, id, p)
	}
	delete(f.peers, id)
	for _, b := range f.branches {
		f.removeChild(b, id)
		if b.search != nil {
			b.search.answered(now, id)
		}
		if b.parent == id {
			b.parent, b.lost = membership.NodeID{}, id
			b.shun(id, now)
			f.seek(now, b, false)
		}
	}
	f.Step(now)
}

// Measured tells the round-trip time to a peer, smoothed, and its variation
// (RFC 9002, 5.3).
func (f *Forest) Measured(id membership.NodeID, rtt, rttVar time.Duration) {
	p := f.peers[id]
	if p == nil {
		return
	}
	p.rtt, p.rttVar = rtt, rttVar
	for _, b := range f.branches {
		if b.parent == id {
			b.spread = f.spread(id)
		}
	}
}

// Feeds reports whether a peer's shards on stripe s are to its credit: it is the
// parent, was it just before, or was asked to be it.
func (f *Forest) Feeds(id membership.NodeID, s int) bool {
	b := f.branches[s]
	return b.parent == id || b.former == id || b.search != nil && b.search.find(id) != nil || b.courts(id)
}

// Got says that a checked shard of block number came on a stripe from a peer
// that Feeds it.
// The source reports what it publishes in the same way.
func (f *Forest) Got(now time.Time, from membership.NodeID, s int, number uint64) {
	b := f.branches[s]
	f.awake(now)
	f.excuse(now)
	f.heard = now
	b.hold(number)
	if !b.got || number > b.last {
		b.last, b.got = number, true
	}
	b.seen.add(number)
	// The shards of one who was only asked may overtake its Accept, and those of the
	// former parent come late: neither says anything of the parent.
	speaks := f.cfg.Source || from == b.parent
	if p := f.peers[from]; p != nil {
		f.speaks(p, from)
	}
	if speaks {
		b.heard = now
		f.ease(now, b)
		b.warned, b.repairing = time.Time{}, time.Time{}
		if b.search != nil && b.search.replace && b.search.silent && !b.search.tardy {
			b.search = nil // it speaks again
		}
	}
	if !f.headSeen || number > f.head {
		f.head, f.headSeen = number, true
		f.arrivals[number%arrivalSpan] = arrival{number, now}
		f.usual = f.usually()
		for _, other := range f.branches {
			if other.late.IsZero() && (!other.got || other.last < f.head) {
				other.late = now
			}
		}
	}
	if speaks {
		f.judge(now, b, number)
		b.late, b.excused = time.Time{}, false
		if b.last < f.head {
			b.late = now
		}
	}
	if speaks {
		f.serve(now, b, func(w *waiter) bool { return w.why != Full })
	}
	f.leaveEnded(now, b)
}

// End says that number is the last block of the epoch: silence is no fault now,
// and a stripe on which it and those before it came needs no parent any more.
// Shards overtake each other, so the last block alone does not say that all came.
func (f *Forest) End(now time.Time, number uint64) {
	f.ended, f.final, f.overAt = true, number, now.Add(endPatience)
	for _, b := range f.branches {
		f.leaveEnded(now, b)
	}
}

func (f *Forest) leaveEnded(now time.Time, b *branch) {
	if !f.ended || !b.got || b.last < f.final || b.parent.IsZero() {
		return
	}
	if !now.Before(f.overAt) || b.seen.whole(f.final-min(f.final, lastBlocks), f.final) {
		f.leaveQuietly(b) // for those who come late
	}
}

// Starved reports whether nothing has come on any stripe for long.
func (f *Forest) Starved(now time.Time) bool {
	return !now.Before(f.stillAt())
}

// awake ends the rests between searches when somebody is reached, or something
// comes, after a time in which nothing came at all: what they found out is past.
func (f *Forest) awake(now time.Time) {
	if f.cfg.Source || f.heard.IsZero() || !f.Starved(now) {
		return
	}
	for _, b := range f.branches {
		b.refresh()
		b.calm = earlier(b.calm, now)
	}
}

// stillAt is when nothing will have come on any stripe for long.
func (f *Forest) stillAt() time.Time {
	return f.heard.Add(max(5*f.cfg.Info.BlockTime, stillMin))
}

// SetInfo takes a newer info of the same epoch and layout.
func (f *Forest) SetInfo(info stripe.Info) { f.cfg.Info = info }

// SetSlots changes how many children there may be. Those above it stay until
// they leave.
func (f *Forest) SetSlots(now time.Time, n int) {
	f.stirred = f.stirred || n > f.cfg.Slots
	f.cfg.Slots = n
	if f.cfg.Source {
		f.setQuotas(now)
	}
}

// SetRoom says whether there is room to take k stripes besides our own.
func (f *Forest) SetRoom(on bool) { f.cfg.Room = on }

// Step does what is due at now.
func (f *Forest) Step(now time.Time) {
	if f.leaving {
		return
	}
	f.answer(now, func(a *asker) bool { return !now.Before(a.until) })
	f.evictAll(now)
	f.serveAll(now)
	f.evictAll(now) // who was shown out at once, for one who waited
	if !now.Before(f.tidyAt) {
		f.tidyAt = now.Add(tidyEvery + time.Duration(f.rnd.Int64N(int64(tidyEvery)/2)))
		f.keepHouse(now)
	}
	for _, b := range f.branches {
		f.letGo(now, b)
		if at, ok := f.warnAt(b); ok && !now.Before(at) {
			f.warn(now, b)
		}
		if f.ended && !now.Before(f.overAt) {
			f.leaveEnded(now, b)
		}
		if !b.wanted || f.ended {
			continue
		}
		if at, ok := f.watch(b); ok && !now.Before(at) {
			f.suspect(now, b)
		}
		if b.search != nil {
			f.advance(now, b)
		}
	}
}

// letGo forgets a parent that asked us to go and feeds us no more: it may be asked
// again like any other.
func (f *Forest) letGo(now time.Time, b *branch) {
	if b.goBy.IsZero() || now.Before(b.goBy) {
		return
	}
	b.goBy = time.Time{}
	if b.parent.IsZero() || f.ended {
		return
	}
	f.leaveQuietly(b) // until another is found
	f.seek(now, b, false)
}

// keepHouse does what needs no haste.
func (f *Forest) keepHouse(now time.Time) {
	f.survey()
	f.setQuotas(now)
	if f.cfg.Source {
		f.thinRoots(now)
		return
	}
	for _, b := range f.branches {
		b.uncourt(now)
	}
	f.reconsiderHomes(now)
	f.takeExtra(now)
	f.decideMaking(now)
	f.tidy(now)
	f.seekBetter(now)
	f.rouse(now)
	f.warm(now)
	f.tellLive(now)
}

// watch is when this stripe next needs a search, unless something comes or one
// for that reason is under way.
func (f *Forest) watch(b *branch) (time.Time, bool) {
	switch {
	case b.search != nil && (b.search.silent || !b.search.replace):
		return time.Time{}, false
	case b.parent.IsZero():
		return b.calm, true
	case b.tardy >= tardyMost:
		return later(b.calm, b.heard), true
	}
	if at := later(f.silentAt(b), b.calm); !b.late.IsZero() && !f.standsStill(at) {
		return at, true
	}
	if b != f.prober() {
		return time.Time{}, false
	}
	return later(f.stillAt(), b.calm), true
}

// prober is the stripe that asks around when nothing progresses at all. Mostly
// the source pauses then, and one stripe is enough to learn that it does not.
func (f *Forest) prober() *branch {
	for _, b := range f.branches {
		if b.wanted && !b.parent.IsZero() {
			return b
		}
	}
	return nil
}

// suspect looks for another parent where there is none, or where it is silent.
func (f *Forest) suspect(now time.Time, b *branch) {
	if b.parent.IsZero() {
		f.seek(now, b, false)
		return
	}
	b.search = &search{replace: true, silent: true, probe: b.late.IsZero(), next: now}
	if b.tardy >= tardyMost {
		b.search.tardy, b.search.probe, b.tardy = true, false, 0
	}
	if !b.search.probe {
		b.shun(b.parent, now)
		f.doubt(now, b.parent)
	}
}

// patience is how long a stripe may lag behind the others before its parent is
// given up: max(3·T, 2·SRTT + 4·RTTVAR), never less than silentMin, and as long as
// blocks usually take if that is more.
func (f *Forest) patience(b *branch) time.Duration {
	return max(3*f.cfg.Info.BlockTime, silentMin, b.spread, f.usual)
}

// spread is for how long what a peer sends may be on its way: 2·SRTT + 4·RTTVAR.
func (f *Forest) spread(id membership.NodeID) time.Duration {
	if p := f.peers[id]; p != nil {
		return 2*p.rtt + 4*p.rttVar
	}
	return 0
}

func (f *Forest) silent(now time.Time, b *branch) bool {
	return !b.late.IsZero() && now.Sub(b.late) >= f.patience(b)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Deadline is when Step next has something to do.
func (f *Forest) Deadline() (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if f.leaving {
		return at, false
	}
	for i := range f.askers {
		sooner(f.askers[i].until)
	}
	for _, b := range f.branches {
		if f.going > 0 {
			for _, c := range b.children {
				if !c.evict.IsZero() {
					sooner(c.evict)
				}
			}
		}
		if t, warns := f.warnAt(b); warns {
			sooner(t)
		}
		if !b.goBy.IsZero() {
			sooner(b.goBy)
		}
		if !b.wanted || f.ended {
			continue
		}
		if b.search != nil {
			sooner(b.search.next)
		}
		if t, watched := f.watch(b); watched {
			sooner(t)
		}
	}
	if f.ended && f.lingers() {
		sooner(f.overAt)
	}
	sooner(f.tidyAt)
	return at, ok
}

// lingers reports whether a stripe whose last block came still has its parent.
func (f *Forest) lingers() bool {
	return slices.ContainsFunc(f.branches, func(b *branch) bool {
		return b.got && b.last >= f.final && !b.parent.IsZero()
	})
}

func (b *branch) shun(id membership.NodeID, now time.Time) {
	b.shuns = slices.DeleteFunc(b.shuns, func(m memory) bool { return m.id == id || now.After(m.until) })
	b.shuns = append(b.shuns, memory{id, now.Add(10 * time.Second)})
}

func (b *branch) shunned(id membership.NodeID, now time.Time) bool {
	return recalls(b.shuns, now, id)
}
