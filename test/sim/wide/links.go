package wide

import (
	"slices"
	"time"

	"github.com/stripecast/stripecast/overlay"
)

// The transport's bounds and times, as relay and relay/quicnet have them.
const (
	maxPeers      = 512
	maxOutbound   = 128 // dialled by one; the longest unused is closed
	maxHandshakes = 100 // a second
	dialTimeout   = 3 * time.Second
	idleTimeout   = 8 * time.Second
	unusedTimeout = 30 * time.Second
	crowdedFor    = 5 * time.Second // the same with more than crowdedPeers
	crowdedPeers  = maxPeers * 3 / 4
	joinAgain     = time.Second
	houseEvery    = 10 * time.Second
)

// link is a connection, as one of its ends keeps it.
type link struct {
	peer    int32
	dialled bool // by this end
	needed  bool // by its forest, as it was last asked
	used    time.Duration
}

func (n *node) find(peer int32) (int, bool) {
	return slices.BinarySearchFunc(n.links, peer, func(l link, peer int32) int { return int(l.peer) - int(peer) })
}

func (n *node) linked(peer *node) bool {
	_, ok := n.find(peer.index)
	return ok
}

// start brings a node to life.
func (w *World) start(n *node) {
	n.alive, n.joined = true, w.t
	n.flows = make([]flow, w.Layout.N())
	n.begin()
}

// join starts a node and dials whom its link names: the source and one that is
// there already. It does so again while nobody has told it of the stream.
func (w *World) join(n *node) {
	if n.joined == never {
		w.start(n)
	}
	if !n.alive {
		return
	}
	if n.forest == nil || len(n.links) == 0 {
		w.dial(n, w.nodes[0])
		if n.index > 1 {
			if h := w.nodes[1+w.rnd.IntN(int(n.index)-1)]; h.alive {
				w.dial(n, h)
			}
		}
	}
	w.schedule(w.t+joinAgain, event{kind: evJoin, node: n.index})
}

func (w *World) dial(n, to *node) {
	if n == to || n.linked(to) || slices.Contains(n.dialling, to.index) {
		return
	}
	n.dials++
	n.dialling = append(n.dialling, to.index)
	if !to.alive {
		w.schedule(w.t+dialTimeout, event{kind: evFailed, node: n.index, peer: to.index})
		return
	}
	w.schedule(w.t+3*w.path(n.index, to.index), event{kind: evDialled, node: n.index, peer: to.index})
}

// dialled ends a dial: both ends are up, or the other has no room.
func (w *World) dialled(n, to *node) {
	i := slices.Index(n.dialling, to.index)
	if i < 0 {
		return
	}
	if !to.alive {
		w.schedule(w.t+dialTimeout, event{kind: evFailed, node: n.index, peer: to.index})
		return
	}
	if n.linked(to) {
		n.dialling = slices.Delete(n.dialling, i, i+1)
		return
	}
	to.read()
	if len(to.links) > crowdedPeers && w.t-to.swept >= time.Second {
		to.swept = w.t
		to.mark()
		to.housekeeping()
	}
	if len(n.links) >= maxPeers || len(to.links) >= maxPeers || to.index == 0 && !w.handshake() {
		w.refused++
		w.dialFailed(n, to)
		return
	}
	n.dialling = slices.Delete(n.dialling, i, i+1)
	for i, end := range [2][2]*node{{n, to}, {to, n}} {
		at, _ := end[0].find(end[1].index)
		end[0].links = slices.Insert(end[0].links, at, link{peer: end[1].index, dialled: i == 0, used: w.t})
	}
	n.evict(to)
	n.up(to)
	to.up(n)
}

// evict closes the connection that has been unused for longest, if we dialled too many.
func (n *node) evict(newest *node) {
	dialled := 0
	for i := range n.links {
		if n.links[i].dialled {
			dialled++
		}
	}
	if dialled <= maxOutbound {
		return
	}
	n.mark()
	oldest := -1
	for i := range n.links {
		l := &n.links[i]
		if l.dialled && !l.needed && l.peer != newest.index && (oldest < 0 || l.used < n.links[oldest].used) {
			oldest = i
		}
	}
	if oldest >= 0 {
		n.close(n.w.nodes[n.links[oldest].peer])
	}
}

// close closes a connection that is of no use.
func (n *node) close(p *node) {
	n.w.unlink(n, p, false)
	n.w.schedule(n.w.t+n.w.path(n.index, p.index), event{kind: evClosed, node: p.index, peer: n.index})
}

// handshake reports whether the source takes one more newcomer in this second.
func (w *World) handshake() bool {
	if w.t-w.sourceAt >= time.Second {
		w.sourceAt, w.sourceDials = w.t, 0
	}
	w.sourceDials++
	return w.sourceDials <= maxHandshakes
}

func (w *World) dialFailed(n, to *node) {
	if i := slices.Index(n.dialling, to.index); i >= 0 {
		n.dialling = slices.Delete(n.dialling, i, i+1)
		n.book.DialFailed(w.now(), to.id)
		n.down(to)
	}
}

// unlink ends a connection at n's end: it was found dead, or is of no use.
func (w *World) unlink(n, peer *node, dead bool) {
	i, ok := n.find(peer.index)
	if !ok {
		return
	}
	n.links = slices.Delete(n.links, i, i+1)
	if dead {
		n.book.Doubt(peer.id)
	}
	n.down(peer)
}

// say sends a message over a connection.
func (w *World) say(n, to *node, m overlay.Message) {
	i, ok := n.find(to.index)
	if !ok {
		return
	}
	kind, size := sizeOf(m)
	n.messages++
	n.bytes += size
	n.links[i].used = w.t
	w.kinds[kind]++
	w.kindBytes[kind] += size
	at := w.t + w.path(n.index, to.index)
	switch m := m.(type) {
	case *overlay.Hello:
		to.await(greeting{at, n.index, m.Record})
		return
	case *overlay.Sample:
		if len(m.Records) == 0 && to.forest != nil {
			to.await(greeting{at, n.index, nil}) // nothing that it does not know
			return
		}
	case *overlay.Refuse:
		w.refusals[m.Reason]++
	case *overlay.Drop:
		w.drops[m.Reason]++
	case *overlay.Subscribe:
		if m.Standby {
			w.standby++
		}
	}
	w.schedule(at, event{kind: evMessage, node: to.index, peer: n.index, msg: m})
}

// Kill ends nodes as kill -9 does: nobody is told.
func (w *World) Kill(victims []*node) {
	for _, n := range victims {
		n.alive, n.died = false, w.t
		for s := range n.flows {
			w.loseWay(n, s)
		}
		for _, l := range n.links {
			w.schedule(w.t+idleTimeout, event{kind: evLost, node: l.peer, peer: n.index})
		}
		w.gossip.mourn(w, n)
	}
	w.killed = w.t
	for _, n := range w.nodes[1:] {
		if n.alive && n.forest != nil {
			n.bereave()
		}
	}
}

// housekeeping closes what nobody has used and this end does not need.
func (n *node) housekeeping() {
	w := n.w
	unused := unusedTimeout
	if len(n.links) > crowdedPeers {
		unused = crowdedFor
	}
	for i := len(n.links) - 1; i >= 0; i-- {
		l := n.links[i]
		p := w.nodes[l.peer]
		if p.alive && !l.needed && w.t-l.used >= unused {
			n.close(p)
		}
	}
}

// mark asks the forest which connections it needs.
func (n *node) mark() {
	if n.forest == nil {
		return
	}
	n.read()
	clear(n.w.used)
	n.forest.Using(n.w.used)
	for i := range n.links {
		n.links[i].needed = n.w.used[n.w.ids[n.links[i].peer]]
	}
}

func (w *World) houseKeeping() {
	for _, n := range w.nodes {
		if n.alive {
			n.mark()
		}
	}
	for _, n := range w.nodes {
		if n.alive {
			n.housekeeping()
		}
	}
	w.After(houseEvery, w.houseKeeping)
}
