package quicnet

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Forward queues an encoded shard for a peer; nobody may change it afterwards.
// It is sent on whichever lane is free first, or dropped when it has waited too long
// (relay.Outbox), when 256 younger ones wait, or when the peer is not connected.
func (n *Net) Forward(id membership.NodeID, shard []byte, expires time.Time) {
	n.mu.Lock()
	p := n.live(id)
	if p == nil {
		n.shed++
		n.mu.Unlock()
		return
	}
	if !p.feeding {
		p.feeding = true
		for _, l := range p.lanes {
			l.startSender()
		}
	}
	n.mu.Unlock()
	p.mu.Lock()
	p.out.Push(time.Now(), relay.Item{Data: shard, Expires: expires})
	p.mu.Unlock()
	p.poke()
}

// poke wakes one sender.
func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next takes from the outbox, and wakes another sender if there is more.
func (p *peer) next() (relay.Item, bool) {
	p.mu.Lock()
	item, ok := p.out.Pop(time.Now())
	more := p.out.Len() > 0
	p.mu.Unlock()
	if more {
		p.poke()
	}
	return item, ok
}

// startSender gives a living lane its sender if the peer is fed and it has none.
// The caller holds net.mu.
func (l *lane) startSender() {
	if l.peer.feeding && !l.sending && l.retired.IsZero() && !l.peer.ending {
		l.sending = true
		s := &sender{lane: l, timer: time.NewTimer(time.Hour)}
		l.peer.spawn(s.run)
	}
}

// sender sends shards over one lane, one after the other.
type sender struct {
	*lane
	timer *time.Timer
	buf   []byte
	sent  []sentShard // oldest first, at most sentLimit
}

// sentShard is a shard that QUIC has and the peer perhaps not.
type sentShard struct {
	stream         *quic.SendStream
	at             time.Time
	lost, received uint64 // packets, when it was begun and when it was done
}

func (s *sender) run() {
	defer s.timer.Stop()
	for {
		select {
		case <-s.retire:
			s.peer.poke() // should it be us who was woken
			return
		default:
		}
		item, ok := s.peer.next()
		if !ok {
			if !s.rest() {
				return
			}
			continue
		}
		if err := s.forward(item); err != nil {
			s.peer.shed.Add(1)
			if s.conn.Context().Err() != nil {
				return
			}
		}
		s.resetLate(time.Now())
	}
}

// rest waits for something to send, or to reset, and reports whether there can be.
func (s *sender) rest() bool {
	wait := time.Hour
	if len(s.sent) > 0 {
		wait = time.Until(s.sent[0].at.Add(lateAfter))
	}
	s.timer.Reset(wait)
	select {
	case <-s.peer.wake:
	case <-s.timer.C:
		s.resetLate(time.Now())
	case <-s.retire:
		s.peer.poke() // should it be us who was woken
		return false
	case <-s.conn.Context().Done():
		s.peer.poke()
		return false
	}
	return true
}

var errExpired = errors.New("shard expired")

// forward sends one shard as one stream: it waits for the upload cap and for the
// peer's credit, and returns when all but the last packet has left. An error
// means that the shard was not sent whole.
func (s *sender) forward(item relay.Item) error {
	now := time.Now()
	wait, ok := s.peer.net.uplink.reserve(now, wireCost(len(item.Data)), capUntil(now, item))
	if !ok {
		return errExpired
	}
	if wait > 0 {
		s.timer.Reset(wait)
		select {
		case <-s.timer.C:
		case <-s.conn.Context().Done():
			return context.Cause(s.conn.Context())
		}
	}
	begun := s.conn.ConnectionStats()
	stream, err := s.open(item.Until)
	if err != nil {
		return err
	}
	stream.SetWriteDeadline(item.Until)
	w := wire.Writer{B: s.buf[:0]}
	w.U8(uniShard)
	w.Raw(item.Data)
	s.buf = w.B
	if _, err := stream.Write(s.buf); err != nil {
		stream.CancelWrite(resetExpired)
		return err
	}
	stream.Close()
	s.peer.touch()
	s.peer.net.count.shardsOut.Add(1)
	s.remember(sentShard{stream, time.Now(), begun.PacketsLost, s.conn.ConnectionStats().PacketsReceived})
	return nil
}

// capUntil is how long a shard may wait for the upload cap. What waits for that
// waits in a standing backlog, the bucket's debt, whatever its outbox looks like: at
// least OutboxInterval is for a shard that a standstill has made late.
func capUntil(now time.Time, item relay.Item) time.Time {
	until := now.Add(relay.OutboxInterval)
	if item.Expires.After(until) {
		until = item.Expires
	}
	if item.Until.Before(until) {
		until = item.Until
	}
	return until
}

// open opens a stream, waiting for the peer's credit until the shard expires.
func (s *sender) open(expires time.Time) (*quic.SendStream, error) {
	stream, err := s.conn.OpenUniStream()
	var full *quic.StreamLimitReachedError
	if !errors.As(err, &full) {
		return stream, err
	}
	ctx, cancel := context.WithDeadline(s.conn.Context(), expires)
	defer cancel()
	return s.conn.OpenUniStreamSync(ctx)
}

func (s *sender) remember(shard sentShard) {
	if len(s.sent) == sentLimit {
		s.sent = s.sent[1:]
	}
	s.sent = append(s.sent, shard)
}

// resetLate resets the shards that were sent lateAfter ago and may not have
// arrived, so that they are not sent again. QUIC does not say what has been
// acknowledged, but if packets have come since and none was lost since, all was.
func (s *sender) resetLate(now time.Time) {
	for len(s.sent) > 0 && now.Sub(s.sent[0].at) >= lateAfter {
		shard := s.sent[0]
		s.sent[0] = sentShard{}
		s.sent = s.sent[1:]
		st := s.conn.ConnectionStats()
		if st.PacketsLost != shard.lost || st.PacketsReceived == shard.received {
			shard.stream.CancelWrite(resetExpired)
			s.peer.net.count.shardsLate.Add(1)
		}
	}
}

// wireCost is about what a shard of n bytes takes on the wire: each packet adds
// the headers of IP, UDP, QUIC and frame, and the tag.
func wireCost(n int) int {
	const payload, around = 1200, 64
	return n + (n/payload+1)*around
}

// uplink is the upload cap that all senders share.
type uplink struct {
	mu sync.Mutex
	// owned by mu
	bucket   *relay.Bucket
	charged  int64   // since the last settle
	out      uint64  // bytes on the wire, at the last settle
	measured float64 // bits a second; 0 = not yet
	probing  bool    // padding is not charged
	probed   bool    // it is from the next settle on
}

func newUplink(now time.Time, bps float64) *uplink {
	return &uplink{bucket: relay.NewBucket(now, bps)}
}

func (u *uplink) setRate(now time.Time, bps float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bucket.SetRate(now, bps)
}

// reserve takes cost bytes and says how long to wait before sending them, unless
// that is beyond expires: then it takes nothing.
func (u *uplink) reserve(now time.Time, cost int, expires time.Time) (time.Duration, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if wait := u.bucket.Wait(now, cost); !now.Add(wait).Before(expires) {
		return 0, false
	}
	u.charged += int64(cost)
	return u.bucket.Take(now, cost), true
}

// settle charges the difference between what was reserved and what has been on
// the wire, out bytes in all: retransmissions, messages, gossip, acknowledgements.
func (u *uplink) settle(now time.Time, out uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.probing {
		u.bucket.Take(now, int(int64(out-u.out)-u.charged))
	}
	u.out, u.charged = out, 0
	if u.probed {
		u.probing, u.probed = false, false
	}
}

// believe sets the rate to what the uplink is believed to allow.
func (u *uplink) believe(now time.Time, bps, measured float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.measured = measured
	if u.bucket.Rate() != bps {
		u.bucket.SetRate(now, bps)
	}
}

// overdraw says that a probe begins, which charges nothing but shards, or has ended.
func (u *uplink) overdraw(on bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if on {
		u.probing = true
	}
	u.probed = !on
}
