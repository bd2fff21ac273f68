package overlay

import (
	"net/netip"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// search looks for a parent in one stripe. Candidates are asked one after the
// other, the next as soon as one refuses or takes too long; the first to accept
// is taken. A round that found nobody asks the source as a last resort, then
// rests.
type search struct {
	replace   bool // a parent still feeds us meanwhile
	silent    bool // because that parent went silent
	probe     bool // because no parent of ours says anything: asks few
	tardy     bool // because all that comes from it comes too late
	hasty     bool // the parent that still feeds us is about to go
	tidy      bool // only for a better place: the source is no last resort
	above     int  // a path shorter than this is wanted; 0 if any will do
	stage     stage
	queue     []membership.NodeID // named by refusals: asked first
	asked     []request
	redirects int
	full      int  // who refused for want of a slot
	hollow    int  // who refused though its record promised room
	brief     bool // those before found no room: few are asked
	rescues   int  // times that it was considered to feed others ourselves
	hopes     int  // times that one was waited for who was not ready
	next      time.Time
	wait      time.Time // until then those asked may answer before the source is
}

type stage uint8

const (
	stageCandidates stage = iota // who keeps to the rule of m
	stageSource                  // the source, as a last resort
	stageAnyone                  // anybody at all
	stageOver
)

type request struct {
	id       membership.NodeID
	at       time.Time
	until    time.Time // most who live answer, or are connected, by then
	sent     bool      // the peer is connected and was asked
	answered bool
}

// urgent reports whether nothing comes on the stripe, now or very soon.
func (s *search) urgent() bool { return s.silent || s.hasty || !s.replace }

func (s *search) find(id membership.NodeID) *request {
	for i := range s.asked {
		if s.asked[i].id == id {
			return &s.asked[i]
		}
	}
	return nil
}

func (s *search) count(fits func(*request) bool) int {
	n := 0
	for i := range s.asked {
		if fits(&s.asked[i]) {
			n++
		}
	}
	return n
}

// open is how many requests have no answer yet.
func (s *search) open() int { return s.count(func(r *request) bool { return !r.answered }) }

// expected is how many of those still are likely to answer: one that says nothing
// for so long, or cannot be reached, is most likely dead.
func (s *search) expected(now time.Time) int {
	return s.count(func(r *request) bool { return !r.answered && now.Before(r.until) })
}

// dead is how many most likely are: they had time to answer, or to be connected.
func (s *search) dead(now time.Time) int {
	return s.count(func(r *request) bool { return !r.answered && !r.until.IsZero() && !now.Before(r.until) })
}

func (s *search) waitsFor(id membership.NodeID) bool {
	r := s.find(id)
	return r != nil && !r.answered
}

func (s *search) answered(now time.Time, id membership.NodeID) {
	if r := s.find(id); r != nil && !r.answered {
		r.answered = true
		s.next = now
	}
}

// seek begins a search, or tells the one under way that no parent feeds us now.
func (f *Forest) seek(now time.Time, b *branch, replace bool) {
	if f.leaving || f.ended || !b.wanted {
		return
	}
	if b.search == nil {
		b.search = &search{replace: replace, next: now, brief: b.tired && f.mayRest(now, b)}
		return
	}
	s := b.search
	s.tidy, s.above = false, 0 // any will do now
	if !replace {
		s.replace, s.silent, s.probe = false, false, false
	}
}

// advance asks the next candidate when it is time.
func (f *Forest) advance(now time.Time, b *branch) {
	s := b.search
	for _, r := range s.asked {
		if r.sent && !r.answered && now.Sub(r.at) >= 3*answerWait {
			f.takeForDead(r.id)
		}
	}
	for !now.Before(s.next) {
		if s.urgent() && s.rescues < s.full/enoughFull+s.dead(now)/enoughDead {
			if s.rescues++; f.rescue(now, b) {
				f.restart(now, b)
				return
			}
		}
		if id, ok := f.pick(now, b); ok {
			f.ask(now, b, id)
			continue
		}
		if s.stage == stageCandidates && s.open() > 0 && now.Before(s.wait) {
			s.next = s.wait
			return
		}
		if until := f.born.Add(gather); len(s.asked) == 0 && now.Before(until) {
			s.next = earlier(until, now.Add(gather/5))
			return
		}
		if s.stage++; s.tidy || s.brief && (s.stage == stageAnyone || !f.hasRoom(now, f.root())) {
			s.stage = stageOver
		}
		switch s.stage {
		case stageSource:
			if s.full > 0 && f.rescue(now, b) {
				f.restart(now, b)
				return
			}
			source := f.root()
			if f.short && !b.home && f.spent(source) {
				continue // a refusal would cost it uplink that it needs for the stream
			}
			// It may have refused while others were still to be asked.
			s.asked = slices.DeleteFunc(s.asked, func(r request) bool { return r.id == source })
			s.queue = append(s.queue, source)
		case stageAnyone:
			s.asked = slices.DeleteFunc(s.asked, func(r request) bool { return r.answered })
		default:
			s.stage = stageOver
			if until, wait := s.unanswered(now, f.short); wait {
				s.next = until
				return
			}
			f.giveUpSearch(now, b)
			return
		}
	}
}

// restart begins a search anew, as one who will feed others. Who has not answered is not
// asked again.
func (f *Forest) restart(now time.Time, b *branch) {
	s := b.search
	silent := slices.DeleteFunc(s.asked, func(r request) bool { return r.answered })
	b.search = &search{replace: s.replace, silent: s.silent, hasty: s.hasty, next: now, asked: silent}
	f.advance(now, b)
}

// spent reports whether a node says that it has no slot free.
func (f *Forest) spent(id membership.NodeID) bool {
	e, known := f.book.Get(id)
	if !known {
		return false
	}
	c, ok := e.Carries(f.cfg.Info.Stream)
	return ok && c.Free == 0
}

// unanswered is until when to wait for the requests that have no answer yet. When
// nothing is fed meanwhile, most likely those who take long are dead too, and another
// round asks others; should one of them accept after all, it is taken. A source that is
// short of uplink takes long to answer and is not dead.
func (s *search) unanswered(now time.Time, short bool) (until time.Time, waits bool) {
	for _, r := range s.asked {
		switch {
		case r.answered:
		case s.urgent() && short:
			until = later(until, r.at.Add(urgentGiveUp))
		case s.urgent():
			until = later(until, r.until)
		default:
			until = later(until, r.at.Add(giveUp))
		}
	}
	return until, until.After(now)
}

// giveUpSearch rests before the next, longer each time.
func (f *Forest) giveUpSearch(now time.Time, b *branch) {
	s := b.search
	b.search = nil
	if s.tidy {
		return
	}
	f.vain(now, b, s)
	f.tire(now, b, s)
	if s.probe {
		b.rest = max(b.rest, probePause)
	}
	b.calm = now.Add(b.rest/2 + time.Duration(f.rnd.Int64N(int64(b.rest))))
}

func (f *Forest) ask(now time.Time, b *branch, id membership.NodeID) {
	s := b.search
	s.asked = append(s.asked, request{id: id, at: now})
	if p := f.peers[id]; p != nil {
		s.next = now.Add(answerWait)
		if s.urgent() && p.rtt > 0 {
			s.next = now.Add(min(answerWait, 2*p.rtt+urgentWait))
		}
		s.wait = s.next
		s.asked[len(s.asked)-1].until = s.next
		f.connected(now, b, id)
		if s.urgent() && s.expected(now) < urgentAsks+s.full/fullAsks+s.dead(now)/deadAsks {
			s.next = now
		}
		return
	}
	e, known := f.book.Get(id)
	if !known || !e.MayDial(now) {
		s.asked[len(s.asked)-1].answered = true
		return // and the next at once
	}
	s.next = now.Add(dialWait)
	if s.urgent() {
		s.next = now.Add(urgentDialWait)
		s.wait = s.next
		s.asked[len(s.asked)-1].until = s.next
		if s.expected(now) < urgentDials && s.stage == stageCandidates {
			s.next = now
		}
	}
	f.out = append(f.out, Dial{Peer: id})
}

// connected asks a candidate that we waited to be connected to.
func (f *Forest) connected(now time.Time, b *branch, id membership.NodeID) {
	r := b.search.find(id)
	if r == nil || r.sent || r.answered {
		return
	}
	r.sent = true
	b.court(now, id)
	m := f.subscribe(now, b)
	if f.isRoot(id) && b.backup.id == id && b.backup.agree && !b.search.tidy {
		m.LastResort = true // there was nobody else when we asked for a backup
	}
	f.send(id, m)
}

// subscribe is what we ask of a parent: to go on at the first block we miss, or
// to begin like a newcomer if that is so long ago that it is no use to anybody.
func (f *Forest) subscribe(now time.Time, b *branch) *Subscribe {
	m := &Subscribe{
		Stream: f.cfg.Info.Stream, Stripe: b.stripe,
		Interior: b.home,
		Fresh:    f.begins(now, b),
		Back:     f.cfg.Back,
		Live:     f.live(now),
	}
	if s := b.search; s != nil {
		m.LastResort = s.above == 0 && (s.stage != stageCandidates || s.full >= fullEnough || s.brief)
		m.IfNewer = s.silent
	}
	if b.got {
		m.From = b.last + 1
	}
	if !m.Fresh && !m.IfNewer {
		m.From = f.missing(b)
	}
	return m
}

// missing is the first block of a stripe that did not come, unless it is too old
// to be of use: that a hole stayed open is no reason to be sent all after it again.
func (f *Forest) missing(b *branch) uint64 {
	span := min(seenSpan, max(1, uint64(f.cfg.Back/f.cfg.Info.BlockTime)))
	return max(b.seen.missing(), b.last+1-min(span, b.last+1))
}

// begins reports whether we have so little of a stripe that we begin like a
// newcomer.
func (f *Forest) begins(now time.Time, b *branch) bool {
	return !b.got || now.Sub(b.heard) > max(f.cfg.Back, stillMin)
}

// accepted takes a new parent, and leaves the old one only now.
func (f *Forest) accepted(now time.Time, b *branch, from membership.NodeID, path []membership.ShortID) {
	if b.parent == from {
		b.goBy = time.Time{}
		f.rerouted(now, b, from, path)
		return
	}
	if !f.welcome(now, b, from) || !f.acceptable(b, from, path) {
		f.send(from, &Leave{Stream: f.cfg.Info.Stream, Stripe: b.stripe})
		if b.search != nil {
			b.search.answered(now, from)
		}
		return
	}
	f.leaveParent(b)
	f.note(now, b, from)
	b.network = netip.Prefix{}
	if e, known := f.book.Get(from); known {
		b.network, _ = NetworkOf(e)
	}
	if f.begins(now, b) {
		b.begun = now
	}
	holes := (b.search == nil || b.search.silent) && b.got && b.seen.missing() <= b.last
	b.parent, b.search = from, nil
	b.since, b.tardy, b.lag, b.spread, b.goBy = now, 0, 0, f.spread(from), time.Time{}
	b.courted, f.stirred = b.courted[:0], true
	b.heard, f.heard = now, now
	f.ease(now, b)
	f.trueWord(from)
	if holes {
		// It was asked for what is newer; now also for what the old one owed us.
		f.send(from, f.subscribe(now, b))
	}
	if !b.late.IsZero() {
		b.late, b.excused = now, false
	}
	f.setPath(now, b, path)
}

// leadsHere reports whether a path leads to that parent, and not through us.
func (f *Forest) leadsHere(path []membership.ShortID, from membership.NodeID) bool {
	return path[len(path)-1] == from.Short() && !slices.Contains(path, f.cfg.Self.Short())
}

// acceptable reports whether a path is one that we want: no loop, nobody on it who
// stands in m other stripes of ours already, if there may be others, and short
// enough if that was all we wanted.
func (f *Forest) acceptable(b *branch, from membership.NodeID, path []membership.ShortID) bool {
	s := b.search
	if !f.leadsHere(path, from) || s != nil && s.above > 0 && len(path) >= s.above {
		return false
	}
	return s == nil || s.stage != stageCandidates || f.keepsRule(b, path)
}

func (f *Forest) refused(now time.Time, b *branch, from membership.NodeID, m *Refuse) {
	hollow := f.refuted(now, b, from, m.Reason)
	if b.search == nil || !b.search.waitsFor(from) {
		if b.backup.id == from {
			f.unfit(now, b)
			f.learn(now, b, m.Alternatives)
		}
		return
	}
	b.search.answered(now, from)
	if m.Reason == Full && !f.isRoot(from) {
		b.search.full++
	} else if hollow {
		b.search.hollow++
	}
	f.learn(now, b, m.Alternatives)
	if s := b.search; m.Reason == NotReady && s.stage == stageAnyone && s.hopes < maxHopes {
		// It looks for a parent itself, maybe because we asked.
		s.hopes++
		s.asked = slices.DeleteFunc(s.asked, func(r request) bool { return r.id == from })
		s.queue = slices.Insert(s.queue, 0, from)
		s.next = now.Add(hopeWait)
	}
}

// learn puts the parents that another named at the head of the search.
func (f *Forest) learn(now time.Time, b *branch, records [][]byte) {
	named := len(records) > 0 && b.search != nil && b.search.redirects < MaxRedirects
	if named {
		b.search.redirects++
	}
	for _, raw := range records {
		if _, err := f.book.Add(now, raw); err != nil || !named {
			continue
		}
		node, _ := membership.RecordNode(raw)
		if e, known := f.book.Get(node); known && !e.Doubted {
			b.search.queue = append(b.search.queue, node)
		}
	}
}

// dropped moves on when the parent asks us to; it still feeds us for a while.
func (f *Forest) dropped(now time.Time, b *branch, from membership.NodeID, m *Drop) {
	if b.parent != from {
		return
	}
	b.shun(from, now)
	b.goBy = now.Add(shedTime)
	if m.Reason == Cut {
		b.goBy = now
	}
	f.seek(now, b, true)
	if b.search != nil {
		b.search.hasty = b.search.hasty || m.Reason == Leaving || m.Reason == Cut
	}
	f.learn(now, b, m.Alternatives)
	if f.told {
		f.tellLive(now) // before others show us out too
	}
}

func (f *Forest) rerouted(now time.Time, b *branch, from membership.NodeID, path []membership.ShortID) {
	if b.parent != from {
		return
	}
	if !f.leadsHere(path, from) {
		f.leaveParent(b)
		b.shun(from, now)
		f.seek(now, b, false)
		return
	}
	f.setPath(now, b, path)
}

func (f *Forest) setPath(now time.Time, b *branch, path []membership.ShortID) {
	if slices.Equal(b.path, path) {
		return
	}
	f.reroute(b, slices.Clone(path))
	if len(path) >= MaxDepth-farHops {
		f.lift(now, b)
	}
	for i := range b.children {
		if c := &b.children[i]; len(path) < MaxPath {
			f.send(c.id, &Route{Stream: f.cfg.Info.Stream, Stripe: b.stripe, Path: f.pathThrough(b)})
		} else {
			f.dismiss(now, b, c, TooDeep)
		}
	}
}

// pathThrough is the path that our children have.
func (f *Forest) pathThrough(b *branch) []membership.ShortID {
	return append(slices.Clone(b.path), f.cfg.Self.Short())
}
