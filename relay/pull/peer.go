package pull

import (
	"bytes"
	"math/bits"
	"slices"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
)

// peer is somebody who is connected.
type peer struct {
	id          membership.NodeID
	rtt, rttVar time.Duration
	unasked     int
	strayAt     time.Time // when the last of them came
	proposed    time.Time // until when its answer to our proposal is waited for; zero if none
	owed        []debt    // by it, if it is a neighbour, or was
	taking                // its answers
	answerAt    time.Time // no answer to its questions what we hold before
}

// taking is how long answers take, and by how much that varies.
type taking struct{ took, dev time.Duration }

// most is how long nearly all take.
func (t *taking) most() time.Duration { return t.took + 4*t.dev }

// shun is somebody who is not asked to be a neighbour for a while.
type shun struct {
	id    membership.NodeID
	until time.Time
	bad   bool // nor let be one
}

// neighbour is a peer with whom we exchange what we hold.
type neighbour struct {
	*peer
	since  time.Time
	heard  time.Time
	lonely bool

	// What it says that it holds.
	epoch   uint32
	live    bool
	stripes uint64
	runs    []overlay.Run
	holes   []overlay.Piece // ascending
	toldAt  time.Time       // when the last block of its last run was that

	// What it is asked.
	asks      int
	fails     int       // answers in a row that did not come
	failing   time.Time // since when
	failed    time.Time // when the last of them was found out
	tries     int       // asked, and of them
	good      int       // answered: of late
	busy      time.Duration
	busyUntil time.Time
	lacks     []lack
	wants     []overlay.Piece // to be said
	cancels   []overlay.Piece
	sayAt     time.Time // nothing is said before
	askAt     time.Time // nothing is asked before

	// What it asks, and is told.
	rides      bool // it is served when those who give have what they asked for
	queue      []item
	secondFrom time.Time // its wants are counted from here
	second     int
	stateAt    time.Time // when it is next told everything
}

// lack is what a neighbour was found not to have, for a while.
type lack struct {
	number, stripes uint64
	until           time.Time
	old             bool // it was asked for as history: one entry has all of a block
}

// debt is a shard that may still come although it is not waited for: it was given up,
// or has come, and comes again.
type debt struct {
	number uint64
	stripe int
	spare  bool      // one more than needed
	at     time.Time // when it was asked for, or would be sent at the earliest
	until  time.Time
	paid   bool // it came
}

func (at *peer) roundTrip() time.Duration {
	if at.rtt == 0 {
		return unknownRTT
	}
	return at.rtt
}

func (nb *neighbour) rtt() time.Duration { return nb.roundTrip() }

// patience is how long an answer may take: as its path says, and as answers did. What
// it sends is behind other things in its queues, and those are longer where packets
// are lost.
func (nb *neighbour) patience() time.Duration { return max(nb.path(), min(nb.most(), retryMost)) }

// path is that as its path says alone.
func (nb *neighbour) path() time.Duration {
	return max(retryMin, 2*nb.rtt()+4*nb.rttVar+retryMargin)
}

// answer takes how long an answer took.
func (t *taking) answer(took time.Duration) {
	if t.took == 0 {
		t.took, t.dev = took, took/4
		return
	}
	off := took - t.took
	t.dev += (max(off, -off) - t.dev) / 4
	t.took += off / 8
}

// newest is the newest block that it says it has.
func (nb *neighbour) newest() (uint64, bool) {
	if len(nb.runs) == 0 {
		return 0, false
	}
	return nb.runs[len(nb.runs)-1].Last, true
}

// believed is which shards of a block it most likely has.
func (nb *neighbour) believed(now time.Time, p *Puller, number uint64) uint64 {
	if nb.epoch != p.cfg.Info.Epoch || !nb.covers(now, number, p.clock.pace) {
		return 0
	}
	has := nb.stripes
	if i, ok := findPiece(nb.holes, number); ok {
		has &^= nb.holes[i].Stripes
	}
	for _, l := range nb.lacks {
		if l.number == number && now.Before(l.until) {
			has &^= l.stripes
		}
	}
	return has
}

// covers reports whether a block lies in its runs, or where the last one has got to
// by now.
func (nb *neighbour) covers(now time.Time, number uint64, pace time.Duration) bool {
	for _, r := range nb.runs {
		if number >= r.First && number <= r.Last {
			return true
		}
	}
	last, ok := nb.newest()
	return ok && nb.live && number > last && number-last <= uint64(now.Sub(nb.toldAt)/pace)+2
}

func findPiece(pieces []overlay.Piece, number uint64) (int, bool) {
	return slices.BinarySearchFunc(pieces, number, func(x overlay.Piece, n uint64) int {
		switch {
		case x.Number < n:
			return -1
		case x.Number > n:
			return 1
		}
		return 0
	})
}

// change takes a neighbour's Holes.
func (nb *neighbour) change(now time.Time, m *overlay.Holes) {
	if len(nb.runs) == 0 {
		return
	}
	if last := &nb.runs[len(nb.runs)-1]; m.Newest > last.Last {
		last.Last, nb.toldAt = m.Newest, now
	}
	for _, hole := range m.Holes {
		i, known := findPiece(nb.holes, hole.Number)
		switch {
		case hole.Stripes == 0 && known:
			nb.holes = slices.Delete(nb.holes, i, i+1)
			nb.lacks = slices.DeleteFunc(nb.lacks, func(l lack) bool { return l.number == hole.Number })
		case hole.Stripes == 0:
		case known:
			nb.holes[i] = hole
		default:
			nb.holes = slices.Insert(nb.holes, i, hole)
			if len(nb.holes) > overlay.MaxHoles {
				nb.holes = slices.Delete(nb.holes, 0, 1) // a Lack will tell
			}
		}
	}
}

// interval is how often one who carries these stripes tells what it holds.
func (p *Puller) interval(stripes uint64) time.Duration {
	if p.over {
		return stateMost
	}
	k := p.cfg.Info.Layout.K
	carried := min(max(bits.OnesCount64(stripes&p.all), 1), k)
	return min(stateEvery*time.Duration(k)/time.Duration(carried), stateMost)
}

func (p *Puller) peer(id membership.NodeID) *peer {
	if i, ok := slices.BinarySearchFunc(p.peers, id, byPeer); ok {
		return p.peers[i]
	}
	return nil
}

func byPeer(at *peer, id membership.NodeID) int { return bytes.Compare(at.id[:], id[:]) }

func (p *Puller) neighbour(id membership.NodeID) *neighbour {
	if i, ok := slices.BinarySearchFunc(p.near, id, byNeighbour); ok {
		return p.near[i]
	}
	return nil
}

func byNeighbour(nb *neighbour, id membership.NodeID) int { return bytes.Compare(nb.id[:], id[:]) }

// Up says that a peer is connected.
func (p *Puller) Up(now time.Time, id membership.NodeID) {
	i, known := slices.BinarySearchFunc(p.peers, id, byPeer)
	if known || id == p.cfg.Self {
		return
	}
	p.dirty = true
	at := &peer{id: id}
	p.peers = slices.Insert(p.peers, i, at)
	if j := slices.IndexFunc(p.dials, func(s shun) bool { return s.id == id }); j >= 0 {
		p.dials = slices.Delete(p.dials, j, j+1)
		p.propose(now, at)
	}
}

// Down says that a peer is gone, or could not be reached.
func (p *Puller) Down(now time.Time, id membership.NodeID) {
	p.dirty = true
	if j := slices.IndexFunc(p.dials, func(s shun) bool { return s.id == id }); j >= 0 {
		p.dials = slices.Delete(p.dials, j, j+1)
		p.shun(now, id, false)
	}
	p.drop(now, id)
	if i, ok := slices.BinarySearchFunc(p.peers, id, byPeer); ok {
		p.peers = slices.Delete(p.peers, i, i+1)
	}
}

// Measured tells the round-trip time to a peer, smoothed, and its variation.
func (p *Puller) Measured(id membership.NodeID, rtt, rttVar time.Duration) {
	if at := p.peer(id); at != nil {
		at.rtt, at.rttVar = rtt, rttVar
	}
}

// Ancestors tells who stands between the source and us, in any stripe: what befalls
// them befalls us, so others are better neighbours. Nobody changes ids any more.
func (p *Puller) Ancestors(ids []membership.ShortID) { p.ancestors = ids }

// Neighbours are those whom connections are needed to.
func (p *Puller) Neighbours() []membership.NodeID {
	ids := make([]membership.NodeID, 0, len(p.near))
	for _, nb := range p.near {
		ids = append(ids, nb.id)
	}
	return ids
}

// Extent is what can be had of the past, as neighbours tell: the newest stretch whose
// last block two of them have, or the only one, as far back as they have enough
// shards together. With live, new blocks come, as two of them say, or the only one.
func (p *Puller) Extent() (run overlay.Run, live, ok bool) {
	var lasts, firsts []uint64
	lives := 0
	for _, nb := range p.near {
		if last, has := nb.newest(); has && nb.epoch == p.cfg.Info.Epoch {
			lasts = append(lasts, last)
			if nb.live {
				lives++
			}
		}
	}
	if len(lasts) == 0 {
		return run, false, false
	}
	live = lives >= min(2, len(lasts)) // one alone could hide for ever that a stream is over
	slices.Sort(lasts)
	run.Last = lasts[max(0, len(lasts)-2)]
	for _, nb := range p.near {
		if first, has := nb.back(p.cfg.Info.Epoch, run.Last); has {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	for _, run.First = range firsts {
		var stripes uint64
		for _, nb := range p.near {
			if first, has := nb.back(p.cfg.Info.Epoch, run.Last); has && first <= run.First {
				stripes |= nb.stripes & p.all
			}
		}
		if bits.OnesCount64(stripes) >= p.cfg.Info.Layout.K {
			return run, live, true
		}
	}
	return overlay.Run{}, live, false
}

// back is how far back a neighbour has the blocks before this one.
func (nb *neighbour) back(epoch uint32, last uint64) (first uint64, ok bool) {
	for _, r := range nb.runs {
		if nb.epoch == epoch && r.First <= last && r.Last >= last {
			return r.First, true
		}
	}
	return 0, false
}

// join makes a peer a neighbour.
func (p *Puller) join(now time.Time, at *peer, m *overlay.Window) *neighbour {
	at.proposed = time.Time{}
	nb := &neighbour{peer: at, since: now, heard: now, stateAt: now, secondFrom: now}
	i, _ := slices.BinarySearchFunc(p.near, at.id, byNeighbour)
	p.near = slices.Insert(p.near, i, nb)
	nb.hold(now, m)
	return nb
}

// hold takes what a neighbour says that it holds.
func (nb *neighbour) hold(now time.Time, m *overlay.Window) {
	nb.epoch, nb.live, nb.lonely, nb.stripes = m.Epoch, m.Live, m.Lonely, m.Stripes
	nb.runs, nb.holes, nb.toldAt = slices.Clone(m.Runs), slices.Clone(m.Holes), now
	nb.lacks = slices.DeleteFunc(nb.lacks, func(l lack) bool { return !now.Before(l.until) })
}

// drop forgets a neighbour; what it was asked for is asked of others.
func (p *Puller) drop(now time.Time, id membership.NodeID) {
	i, ok := slices.BinarySearchFunc(p.near, id, byNeighbour)
	if !ok {
		return
	}
	nb := p.near[i]
	for _, a := range p.asks {
		if a.of == nb {
			nb.owe(now, a)
		}
	}
	p.asks = slices.DeleteFunc(p.asks, func(a *ask) bool { return a.of == nb })
	p.near = slices.Delete(p.near, i, i+1)
}

// part says goodbye to a neighbour.
func (p *Puller) part(now time.Time, nb *neighbour, bad bool) {
	p.say(nb.id, &overlay.Part{Tag: p.tag})
	p.drop(now, nb.id)
	p.shun(now, nb.id, bad)
}

// Close parts with all neighbours, for good: the stream is carried no more.
func (p *Puller) Close(now time.Time) {
	p.dirty, p.closed = true, true
	for len(p.near) > 0 {
		p.part(now, p.near[0], false)
	}
}

func (p *Puller) shun(now time.Time, id membership.NodeID, bad bool) {
	bad = bad || p.shunned(now, id, true)
	p.shuns = slices.DeleteFunc(p.shuns, func(s shun) bool { return s.id == id || !now.Before(s.until) })
	if len(p.shuns) >= maxShuns {
		p.shuns = slices.Delete(p.shuns, 0, 1)
	}
	p.shuns = append(p.shuns, shun{id, now.Add(shunTime), bad})
}

// shunned reports whether somebody is not to be asked, or if bad not to be let in.
func (p *Puller) shunned(now time.Time, id membership.NodeID, bad bool) bool {
	return slices.ContainsFunc(p.shuns, func(s shun) bool {
		return s.id == id && now.Before(s.until) && (s.bad || !bad)
	})
}
