package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// guard judges all that peers send, and keeps what it needs to do so: the nodes
// that memberlist may hold and the rates of the peers. Packets, streams and
// memberlist's callbacks come from different goroutines, hence the lock.
type guard struct {
	self membership.NodeID
	name string
	log  *slog.Logger
	// heard offers a record to the host and reports whether it was taken. It
	// must not block.
	heard func(raw []byte) bool
	home  []netip.Addr // our own addresses

	mu      sync.Mutex
	ours    []byte // our record as it is now
	own     ourselves
	known   map[string]*known
	peers   map[membership.NodeID]*peer
	swept   time.Time // when forgetPeers last looked
	refused [reasons]uint64
}

// known is a node that memberlist may hold.
type known struct {
	id   membership.NodeID
	raw  []byte // the newest record, its signature checked
	rec  membership.Record
	told bool // the host took the record
	addr int  // which of its addresses to use
	held time.Time

	incarnation uint32 // the highest that was let through
	slack       slack
	accused     accusations
}

// ourselves is what is known of our own incarnation.
type ourselves struct {
	sent  uint32    // the highest that memberlist has sent
	learn time.Time // until then others may tell us a higher one
	slack slack

	accused accusations
}

// slack bounds what others can claim of an incarnation that was base at since.
type slack struct {
	base  uint32
	since time.Time
}

func (s slack) ceiling(now time.Time, rate float64) uint32 {
	return uint32(min(float64(s.base)+SlackBurst+rate*now.Sub(s.since).Seconds(), MaxIncarnation-1))
}

func newGuard(self membership.NodeID, record []byte, log *slog.Logger, heard func([]byte) bool) *guard {
	var home []netip.Addr
	if rec, err := membership.OpenRecord(record); err == nil {
		for _, a := range rec.Addrs {
			home = append(home, a.Addr())
		}
	}
	return &guard{
		self: self, name: self.String(), log: log, heard: heard, home: home,
		ours:  record,
		known: make(map[string]*known), peers: make(map[membership.NodeID]*peer),
	}
}

// count counts a refusal and returns its error.
func (g *guard) count(err error) error {
	var r refusal
	if !errors.As(err, &r) {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			r = refusal{Malformed}
		} else {
			return err // the connection failed: nobody's fault
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused[r.Reason]++
	return r
}

// packet judges a packet and returns the messages that memberlist may have, each
// written again.
func (g *guard) packet(now time.Time, from membership.NodeID, b []byte) [][]byte {
	parts, err := splitPacket(b)
	if err == nil && !g.mayTalk(now, from, len(parts)) {
		err = refuse(TooFast)
	}
	if err != nil {
		g.count(err)
		return nil
	}
	var out [][]byte
	for _, part := range parts {
		m, err := decodePart(part)
		if err == nil {
			m, err = g.judge(now, from, m)
		}
		if err != nil {
			g.count(err)
			continue
		}
		out = append(out, encode(m))
	}
	return out
}

func (g *guard) mayTalk(now time.Time, from membership.NodeID, messages int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peer(now, from)
	return p != nil && p.messages.take(now, float64(messages), MessageRate, MessageBurst)
}

// mayOpen says whether a peer may open one more stream towards us.
func (g *guard) mayOpen(now time.Time, from membership.NodeID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.peer(now, from)
	return p != nil && p.streams.take(now, 1, StreamRate, StreamBurst)
}

// judge returns the message as memberlist may have it.
func (g *guard) judge(now time.Time, from membership.NodeID, m message) (message, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from == g.self || from.IsZero() {
		return nil, refuse(WrongSource)
	}
	switch m := m.(type) {
	case ack, nack, remoteError:
		return m, nil
	case ping:
		if m.node != g.name {
			return nil, refuse(NotForUs)
		}
		if m.source != from.String() {
			return nil, refuse(WrongSource)
		}
		return m, nil
	case indirect:
		if m.source != from.String() {
			return nil, refuse(WrongSource)
		}
		if g.known[m.node] == nil {
			return nil, refuse(UnknownNode)
		}
		return m, nil
	case alive:
		return m, g.judgeAlive(now, from, m)
	case suspect:
		m.from = from.String()
		return m, g.judgeAccusation(now, from, m.node, m.incarnation)
	case dead:
		return g.judgeDead(now, from, m)
	default:
		panic(fmt.Sprintf("gossip: message %T", m))
	}
}

// judgeDead lets a node say that it leaves. Any other word of a death becomes a
// suspicion by the peer that brought it.
func (g *guard) judgeDead(now time.Time, from membership.NodeID, d dead) (message, error) {
	if d.node != from.String() {
		return suspect{d.incarnation, d.node, from.String()}, g.judgeAccusation(now, from, d.node, d.incarnation)
	}
	if d.from != d.node {
		return nil, refuse(WrongSource)
	}
	if d.incarnation >= MaxIncarnation {
		return nil, refuse(BadIncarnation)
	}
	if g.known[d.node] == nil {
		return nil, refuse(UnknownNode)
	}
	return d, nil
}

// judgeAccusation takes what others say against a node: it must be known, and in
// an incarnation that it has had, or the next, whose alive we may have missed.
// Every one makes its node announce itself anew, in the whole pool: no peer may
// ask for that again and again.
func (g *guard) judgeAccusation(now time.Time, from membership.NodeID, node string, inc uint32) error {
	if node == g.name {
		if err := g.own.admit(now, inc); err != nil {
			return err
		}
		return g.own.accused.take(now, from, inc, AccuseUsEvery)
	}
	k := g.known[node]
	if k == nil {
		return refuse(UnknownNode)
	}
	if inc > k.incarnation+1 {
		return refuse(BadIncarnation)
	}
	return k.accused.take(now, from, inc, AccuseEvery)
}

// judgeState is judge for one node of an exchange.
func (g *guard) judgeState(now time.Time, from membership.NodeID, s state) (state, error) {
	if s.status == statusAlive {
		_, err := g.judge(now, from, s.alive)
		return s, err
	}
	d := dead{s.incarnation, s.node, from.String()}
	if s.status == statusLeft {
		d.from = s.node
	}
	m, err := g.judge(now, from, d)
	if err != nil {
		return s, err
	}
	s.record = nil
	if _, left := m.(dead); !left {
		s.status = statusSuspect
	}
	return s, nil
}

func (g *guard) judgeAlive(now time.Time, from membership.NodeID, a alive) error {
	if a.incarnation >= MaxIncarnation {
		return refuse(BadIncarnation)
	}
	if !speaks(a.versions) {
		return refuse(BadVersion)
	}
	if a.node == g.name {
		return g.judgeOurselves(now, from, a)
	}
	k, err := g.admit(now, from, a)
	if err != nil {
		return err
	}
	if !k.told {
		k.told = g.heard(k.raw)
	}
	if a.incarnation > k.slack.ceiling(now, SlackRate) {
		if from != k.id { // it may say of itself what it likes
			return refuse(BadIncarnation)
		}
		k.slack = slack{a.incarnation, now}
	}
	k.incarnation = max(k.incarnation, a.incarnation)
	return nil
}

// judgeOurselves takes what others believe of us: after a restart it is how
// memberlist learns which incarnation to go beyond.
func (g *guard) judgeOurselves(now time.Time, from membership.NodeID, a alive) error {
	if !bytes.Equal(a.record, g.ours) {
		if _, err := g.open(now, from, a); err != nil {
			return err
		}
	}
	return g.own.admit(now, a.incarnation)
}

// speaks says whether a node can be understood. A shorter list made memberlist
// panic up to v0.6.0.
func speaks(v []byte) bool {
	return len(v) == maxVersions && v[0] <= protocol && protocol <= v[1] && v[2] == protocol &&
		v[0] > 0 && v[3] == 0 && v[5] == 0
}

// open checks that the record in an alive message is signed by the node it names.
func (g *guard) open(now time.Time, from membership.NodeID, a alive) (membership.Record, error) {
	p := g.peer(now, from)
	if p == nil || !p.records.take(now, 1, RecordRate, RecordBurst) {
		return membership.Record{}, refuse(TooFast)
	}
	rec, err := membership.OpenRecord(a.record)
	if err != nil || rec.Node.String() != a.node || len(rec.Addrs) == 0 {
		return membership.Record{}, refuse(BadRecord)
	}
	return rec, nil
}

// admit returns what is known of the node after its record was taken in.
func (g *guard) admit(now time.Time, from membership.NodeID, a alive) (*known, error) {
	k := g.known[a.node]
	if k != nil && bytes.Equal(k.raw, a.record) {
		return k, nil // what everyone repeats costs no signature
	}
	rec, err := g.open(now, from, a)
	if err != nil {
		return nil, err
	}
	if k != nil && rec.Seq <= k.rec.Seq {
		return nil, refuse(StaleRecord)
	}
	if !g.room(rec, k) {
		return nil, refuse(Full)
	}
	if k == nil {
		k = &known{id: rec.Node, held: now, slack: slack{a.incarnation, now}}
		g.known[a.node] = k
	}
	k.raw, k.rec, k.told, k.addr = a.record, rec, false, 0
	return k, nil
}

// room says whether there is room for the node, which may be known already as
// old, in the pool and around the address it gives.
func (g *guard) room(rec membership.Record, old *known) bool {
	if old == nil && len(g.known) >= MaxMembers {
		return false
	}
	ip, network := placeOf(rec)
	perIPMost, perNetworkMost := MaxPerIP, MaxPerNetwork
	if slices.Contains(g.home, rec.Addrs[0].Addr()) {
		perIPMost, perNetworkMost = MaxHere, MaxHere // other nodes on this machine
	}
	perIP, perNetwork := 0, 0
	for _, k := range g.known {
		if k == old {
			continue
		}
		otherIP, otherNetwork := placeOf(k.rec)
		if otherIP == ip {
			perIP++
		}
		if otherNetwork == network {
			perNetwork++
		}
	}
	return perIP < perIPMost && perNetwork < perNetworkMost
}

// placeOf is what counts as the IP and the network of the first address.
func placeOf(rec membership.Record) (ip, network netip.Prefix) {
	a, bits := rec.Addrs[0].Addr(), [2]int{56, 48}
	if a.Is4() {
		bits = [2]int{32, 24}
	}
	ip, _ = a.Prefix(bits[0]) // fails for no address of that length
	network, _ = a.Prefix(bits[1])
	return ip, network
}

// admit takes a claim about our own incarnation, which memberlist will go beyond.
func (o *ourselves) admit(now time.Time, inc uint32) error {
	if now.Before(o.learn) && inc < MaxLearned || inc <= o.slack.ceiling(now, OwnRate) {
		return nil
	}
	return refuse(BadIncarnation)
}

func (o *ourselves) send(now time.Time, inc uint32) {
	o.sent = max(o.sent, inc)
	if now.Before(o.learn) {
		o.slack = slack{o.sent, now}
	}
}

// learn begins a LearnTime.
func (g *guard) learn(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own.learn = now.Add(LearnTime)
}

// sentPacket looks at what memberlist sends, for our own incarnation.
func (g *guard) sentPacket(now time.Time, b []byte) {
	parts, err := splitPacket(b)
	if err != nil {
		g.log.Error("memberlist wrote a packet that the guard cannot read", "err", err)
	}
	for _, part := range parts {
		switch m, _ := decodePart(part); m := m.(type) {
		case alive:
			g.sent(now, m.node, m.incarnation)
		case dead:
			g.sent(now, m.node, m.incarnation)
		}
	}
}

func (g *guard) sent(now time.Time, node string, inc uint32) {
	if node != g.name {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.own.send(now, inc)
}

// sync forgets the nodes that memberlist holds no longer. It is told whom it
// holds only by what it sends: an exchange names them all.
func (g *guard) sync(now time.Time, states []state) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range states {
		if s.node == g.name {
			g.own.send(now, s.incarnation)
		} else if k := g.known[s.node]; k != nil {
			k.held = now
		}
	}
	for name, k := range g.known {
		if now.Sub(k.held) >= ForgetAfter {
			delete(g.known, name)
		}
	}
}

// setOurs replaces our record.
func (g *guard) setOurs(raw []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ours = raw
}

// knows says whether the guard let the node in.
func (g *guard) knows(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return name == g.name || g.known[name] != nil
}

// find returns where to send to a node.
func (g *guard) find(name string) (id membership.NodeID, addr string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.known[name]
	if k == nil {
		return membership.NodeID{}, "", false
	}
	return k.id, k.rec.Addrs[k.addr].String(), true
}

// failed says that a node cannot be reached: its next address is tried then.
func (g *guard) failed(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if k := g.known[name]; k != nil {
		k.addr = (k.addr + 1) % len(k.rec.Addrs)
	}
}

// farewell returns the message by which we leave and up to most names to tell.
// Its incarnation covers a last record that is still on its way.
func (g *guard) farewell(most int) (b []byte, names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name := range g.known {
		names = append(names, name)
	}
	slices.Sort(names)
	return encode(dead{g.own.sent + 1, g.name, g.name}), names[:min(most, len(names))]
}
