package quicnet

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
)

// Uplink is what is known of the way out.
type Uplink struct {
	Cap      float64 // on all that is sent, in bits a second; 0 = none
	Measured float64 // what the uplink was found to carry, in bits a second; 0 = not yet
}

// Uplink is what is known of the way out. With Config.Measure it changes.
func (n *Net) Uplink() Uplink {
	n.uplink.mu.Lock()
	defer n.uplink.mu.Unlock()
	return Uplink{Cap: n.uplink.bucket.Rate(), Measured: n.uplink.measured}
}

// measure keeps the cap at what the uplink is believed to carry.
func (n *Net) measure(b *belief) {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	last := make(map[membership.NodeID]fedPeer)
	at, out := time.Now(), n.Stats().Out
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		now, total := time.Now(), n.Stats().Out
		l := n.load(last)
		l.used = float64(total-out) * 8 / max(now.Sub(at).Seconds(), 1e-3)
		at, out = now, total
		b.observe(now, l)
		if b.due(now) {
			bps, near, ok := n.probe()
			at, out = time.Now(), n.Stats().Out
			b.probed(at, bps, near, ok)
			n.log.Info("uplink probed", "ok", ok, "bps", int(bps), "near", near)
		}
		n.uplink.believe(time.Now(), b.upload(), b.bps)
	}
}

// fedPeer is what a peer had been sent when it was last looked at.
type fedPeer struct{ out, dropped uint64 }

// load looks at the peers that we feed; last is brought up to date.
func (n *Net) load(last map[membership.NodeID]fedPeer) load {
	const fed = 4 << 10 // bytes since the last look: more than keeping in touch
	n.mu.Lock()
	defer n.mu.Unlock()
	var l load
	was := make(map[membership.NodeID]fedPeer, len(last))
	for id, f := range last {
		was[id] = f
	}
	clear(last)
	for _, p := range n.sorted() {
		if len(p.lanes) == 0 {
			continue
		}
		l.any, l.far = true, l.far || !nearby(p.lanes[0].at().Addr())
		f := fedPeer{p.traffic().out, p.dropped()}
		last[p.id] = f
		if old, known := was[p.id]; known && p.feeding && f.out-old.out >= fed {
			// A shard is of a few kilobytes.
			shed := (f.dropped - old.dropped) * fed
			rtt, least := p.leastRTT()
			l.peers = append(l.peers, peerLoad{p.id, rtt, least, shed > (f.out-old.out)/10})
		}
	}
	return l
}

// leastRTT is the smoothed round trip of the lane that has the least, and the least
// that there was on any. The caller holds net.mu.
func (p *peer) leastRTT() (smoothed, ever time.Duration) {
	for i, l := range p.lanes {
		st := l.conn.ConnectionStats()
		if i == 0 {
			smoothed, ever = st.SmoothedRTT, st.MinRTT
		}
		smoothed, ever = min(smoothed, st.SmoothedRTT), min(ever, st.MinRTT)
	}
	return smoothed, ever
}

// nearby reports whether the way to an address says nothing about the way to the
// Internet.
func nearby(ip netip.Addr) bool {
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// padded is a lane that is to send padding.
type padded struct {
	*lane
	room *atomic.Int64 // bytes that its peer may still be sent
}

// probe is one measurement under way.
type probe struct {
	stop  context.Context // when it is over
	lanes []padded
	begun int          // lanes that have begun to send
	pads  atomic.Int32 // and have not stopped
}

// probe fills the uplink with padding and returns what it carried; near if all that
// it went to were near by. Padding goes to a few peers chosen at random, behind the
// shards of their lanes: over one lane at first, for a lane begins with 40 kB at
// once, and over another every probePause until the uplink is full. It stops after
// probeTime, when the uplink has been full for probeWindow, or when the peers take
// no more.
//
// It cannot tell the uplink from the peers' downlinks if those together are the
// slower; NewReno over a lossy path makes it too small as well. Both err on the safe
// side. Peers on the same machine or LAN make it too large: they are left out if
// there are others, and what is beyond maxUplink is not believed.
func (n *Net) probe() (bps float64, near, ok bool) {
	peers, near := n.choose()
	if len(peers) == 0 {
		return 0, near, false
	}
	n.widen(peers, probeLanes/len(peers))
	defer n.widen(peers, 0)
	n.awaitLanes(peers)
	ctx, cancel := context.WithTimeout(n.ctx, probeTime)
	defer cancel()
	pr := &probe{stop: ctx, lanes: n.lanesOf(peers)}
	n.uplink.overdraw(true)
	defer n.uplink.overdraw(false)
	tick := time.NewTicker(probeTick)
	defer tick.Stop()
	var t train
	for next := time.Now(); ; {
		t.add(n.look(pr))
		for now := time.Now(); pr.begun < len(pr.lanes) && t.full() < 0; {
			if pr.pads.Load() > 0 && now.Before(next) {
				break
			}
			n.pad(pr)
			next = now.Add(probePause)
		}
		if t.enough() || pr.pads.Load() == 0 && (pr.begun == len(pr.lanes) || t.full() >= 0) {
			break
		}
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	cancel()
	bps, ok = t.rate()
	return bps, near, ok && n.ctx.Err() == nil
}

// choose chooses the peers of a probe, and reports whether all are near by.
func (n *Net) choose() (peers []*peer, near bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var far []*peer
	for _, p := range n.sorted() {
		if len(p.lanes) == 0 {
			continue
		}
		peers = append(peers, p)
		if !nearby(p.lanes[0].at().Addr()) {
			far = append(far, p)
		}
	}
	if near = len(far) == 0; !near {
		peers = far
	}
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return peers[:min(len(peers), probePeers)], near
}

// widen has so many lanes, at least, for each of the peers of a probe.
func (n *Net) widen(peers []*peer, lanes int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range peers {
		if p.probed = lanes; !p.ending {
			n.tendLanes(p, time.Now())
		}
	}
}

// awaitLanes waits until nothing is dialled for those peers any more, for at most
// probeDial.
func (n *Net) awaitLanes(peers []*peer) {
	late := time.NewTimer(probeDial)
	defer late.Stop()
	tick := time.NewTicker(probeTick)
	defer tick.Stop()
	for {
		n.mu.Lock()
		idle := !slices.ContainsFunc(peers, func(p *peer) bool { return p.dialling > 0 })
		n.mu.Unlock()
		if idle {
			return
		}
		select {
		case <-tick.C:
		case <-late.C:
			return
		case <-n.ctx.Done():
			return
		}
	}
}

// lanesOf is the lanes that a probe to those peers uses, in turn.
func (n *Net) lanesOf(peers []*peer) (lanes []padded) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rooms := make([]atomic.Int64, len(peers))
	for turn := range probeLanes {
		for i, p := range peers {
			if turn < len(p.lanes) && len(lanes) < probeLanes && p.lanes[turn].retired.IsZero() {
				rooms[i].Store(paddingPerPeer)
				lanes = append(lanes, padded{p.lanes[turn], &rooms[i]})
			}
		}
	}
	return lanes
}

// pad makes one more lane of a probe send.
func (n *Net) pad(pr *probe) {
	l := pr.lanes[pr.begun]
	pr.begun++
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.room.Load() > 0 && slices.Contains(l.peer.lanes, l.lane) && !l.peer.ending {
		pr.pads.Add(1)
		l.peer.spawn(func() {
			defer pr.pads.Add(-1)
			l.send(pr.stop)
		})
	}
}

// send sends padding over a lane while there is room and the probe lasts.
func (l padded) send(stop context.Context) {
	s, err := l.conn.OpenUniStream()
	if err != nil {
		return
	}
	// What is not sent or not acknowledged by the end is not sent again.
	defer s.CancelWrite(resetDone)
	defer context.AfterFunc(stop, func() { s.CancelWrite(resetDone) })()
	s.SetPriority(7, true) // the last
	chunk := make([]byte, paddingChunk)
	chunk[0] = uniPadding
	for l.room.Add(-paddingChunk) >= 0 {
		if _, err := s.Write(chunk); err != nil {
			return
		}
	}
	// What has left is still to come through.
	late := time.NewTimer(l.conn.ConnectionStats().SmoothedRTT)
	defer late.Stop()
	select {
	case <-late.C:
	case <-stop.Done():
	}
}

// look counts what the lanes of a probe have sent so far, and then what all other
// lanes have, which have no round trip to wait for.
func (n *Net) look(pr *probe) moment {
	m := moment{at: time.Now(), lanes: make([]laneCount, 0, len(pr.lanes)+1)}
	others := n.Stats().Out
	for i, l := range pr.lanes {
		st := l.conn.ConnectionStats()
		sent, headers := l.traffic().out, l.headers()
		m.lanes = append(m.lanes, laneCount{
			sent: sent, lost: st.BytesLost + headers*st.PacketsLost,
			heard: st.PacketsReceived, rtt: st.LatestRTT, base: st.MinRTT, sending: i < pr.begun,
		})
		others -= min(others, sent)
	}
	m.lanes = append(m.lanes, laneCount{sent: others})
	return m
}

// swallow reads padding, of which the first bytes have come, and throws it away.
func (l *lane) swallow(s *quic.ReceiveStream, first int) {
	p, n := l.peer, l.peer.net
	buf := make([]byte, paddingChunk)
	for k := first; n.padding.take(time.Now(), p.id, k); {
		var err error
		if k, err = s.Read(buf); err != nil { // its end, sooner or later
			s.CancelRead(resetSlow)
			return
		}
	}
	n.count.streamsRefused.Add(1)
	s.CancelRead(resetFull)
}

// padding counts what others' probes have brought in this minute.
type padding struct {
	mu sync.Mutex
	// owned by mu
	began time.Time
	total int
	peers map[membership.NodeID]int
}

// take counts bytes of a peer, or reports that they are too many.
func (q *padding) take(now time.Time, id membership.NodeID, bytes int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.peers == nil || now.Sub(q.began) >= paddingMinute {
		q.began, q.total, q.peers = now, 0, make(map[membership.NodeID]int)
	}
	if _, known := q.peers[id]; !known && len(q.peers) >= maxPadders {
		return false
	}
	q.total += bytes
	q.peers[id] += bytes
	return q.total <= paddingTotal && q.peers[id] <= paddingPerPeer
}
