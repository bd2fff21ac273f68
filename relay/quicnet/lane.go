package quicnet

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/stripe/wire"
)

// Types of streams, and why one is reset.
const (
	uniShard   = 1
	uniRetire  = 3 // no more shards on this lane: it is going to be closed
	uniPadding = 2

	bidiControl = 1
	bidiGossip  = 2
)

const (
	resetExpired quic.StreamErrorCode = iota + 1 // the shard is too late
	resetUnknown                                 // of no known type
	resetSlow                                    // it took too long
	resetFull                                    // no room for it
	resetDone                                    // nobody reads on
)

// lane is one connection of a peer.
type lane struct {
	peer    *peer
	conn    *quic.Conn
	first   bool // it said "stripecast/1": it carries everything
	dialled bool
	remote  netip.AddrPort // when the connection came about
	since   time.Time

	typical atomic.Int64 // length of the last shard that came, a guess at the next
	control atomic.Bool  // the peer has opened its control stream here
	retire  chan struct{}

	// owned by net.mu
	retired time.Time // when retire was closed, or zero
	sending bool
}

func newLane(c *quic.Conn, from origin, first bool) *lane {
	return &lane{
		conn: c, first: first, dialled: from.dialled,
		remote: addrPort(c.RemoteAddr()), since: time.Now(),
		retire: make(chan struct{}),
	}
}

// at is where the other end is now: it moves when a NAT on the way forgets it.
func (l *lane) at() netip.AddrPort { return addrPort(l.conn.RemoteAddr()) }

// run is the life of a lane that place has added. It accepts shards until the
// connection ends.
func (l *lane) run() {
	p := l.peer
	defer l.ended()
	<-p.up
	p.survive(func() {
		if l.first {
			p.spawn(l.acceptBidi)
			p.spawn(l.receivePackets)
			if l.dialled {
				l.openControl()
			}
		}
		p.net.mu.Lock()
		l.startSender()
		p.net.mu.Unlock()
		for {
			s, err := l.conn.AcceptUniStream(context.Background())
			if err != nil {
				return
			}
			p.spawn(func() { l.readShard(s) })
		}
	})
}

// ended takes a lane whose run is over out of its bundle.
func (l *lane) ended() {
	p, n := l.peer, l.peer.net
	defer p.wg.Done()
	l.conn.CloseWithError(codeFault, "internal error") // unless it is closed, which it is but after a panic
	err := context.Cause(l.conn.Context())
	n.windows.release(l.conn)
	n.mu.Lock()
	defer n.mu.Unlock()
	t := l.traffic()
	p.past.add(t)
	n.past.add(t)
	for i, other := range p.lanes {
		if other == l {
			p.lanes = append(p.lanes[:i:i], p.lanes[i+1:]...)
			break
		}
	}
	if l.first || len(p.lanes) == 0 {
		code, why := closedFor(err)
		n.endLocked(p, code, why)
	}
}

// acceptBidi accepts control and gossip streams.
func (l *lane) acceptBidi() {
	for {
		s, err := l.conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		s.ReleaseStreamCredit()
		l.peer.spawn(func() { l.handleBidi(s) })
	}
}

func (l *lane) handleBidi(s *quic.Stream) {
	p, n := l.peer, l.peer.net
	s.SetReadDeadline(time.Now().Add(shardTimeout))
	var b [1]byte
	if _, err := io.ReadFull(s, b[:]); err != nil {
		n.count.streamsRefused.Add(1)
		resetBidi(s, resetSlow)
		return
	}
	s.SetReadDeadline(time.Time{})
	switch kind := wire.NewReader(b[:]).U8(); {
	case kind == bidiControl && !l.dialled && l.control.CompareAndSwap(false, true):
		p.setControl(s)
		l.readMessages(s)
	case kind == bidiControl:
		n.end(p, codeBad, "a control stream too many")
	case kind == bidiGossip:
		l.deliverStream(s)
	default:
		n.count.streamsRefused.Add(1)
		resetBidi(s, resetUnknown)
	}
}

func resetBidi(s *quic.Stream, code quic.StreamErrorCode) {
	s.CancelRead(code)
	s.CancelWrite(code)
}

// readShard reads one stream and hands its shard to the host. The credit for
// the stream goes back when the host has taken it.
func (l *lane) readShard(s *quic.ReceiveStream) {
	defer s.ReleaseStreamCredit()
	p, n := l.peer, l.peer.net
	s.SetReadDeadline(time.Now().Add(shardTimeout))
	buf, err := l.readAll(s)
	switch {
	case err == nil:
	case errors.Is(err, errPadding):
		l.swallow(s, len(buf))
		return
	case errors.Is(err, errRetire):
		n.mu.Lock()
		l.retireLocked(time.Now())
		n.mu.Unlock()
		return
	case errors.Is(err, errShardLength):
		s.CancelRead(resetFull)
		n.end(p, codeBad, "a shard is too long")
		return
	case errors.Is(err, errNoRoom), errors.Is(err, errUnknown), errors.Is(err, os.ErrDeadlineExceeded):
		n.count.streamsRefused.Add(1)
		s.CancelRead(resetUnknown)
		return
	default: // the sender gave it up, or the connection is gone
		var reset *quic.StreamError
		if errors.As(err, &reset) {
			n.count.shardsReset.Add(1)
		}
		return
	}
	r := wire.NewReader(buf)
	r.U8()
	p.touch()
	n.count.shardsIn.Add(1)
	n.emit(Shard{Peer: p.id, Bytes: r.Rest()})
}

var (
	errShardLength = errors.New("shard too long")
	errNoRoom      = errors.New("too many incomplete shards")
	errUnknown     = errors.New("stream of unknown type")
	errRetire      = errors.New("the lane retires")
	errPadding     = errors.New("stream of padding")
)

// readAll reads a shard stream to its end into a buffer that grows with what
// has come, never with what was promised.
func (l *lane) readAll(s io.Reader) ([]byte, error) {
	const least = 2048
	p, n := l.peer, l.peer.net
	size := min(max(int(l.typical.Load()), least), streamWindow)
	var held int64
	defer func() {
		p.held.Add(-held)
		n.held.Add(-held)
	}()
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			if len(buf) > maxShardStream {
				return nil, errShardLength
			}
			grow := int64(size - cap(buf))
			held += grow
			if p.held.Add(grow) > peerAssembly || n.held.Add(grow) > assemblyBudget {
				return nil, errNoRoom
			}
			buf = append(make([]byte, 0, size), buf...)
			size = min(2*size, maxShardStream+1)
		}
		k, err := s.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+k]
		if len(buf) > 0 {
			switch wire.NewReader(buf).U8() {
			case uniShard:
			case uniRetire:
				return nil, errRetire
			case uniPadding:
				return buf, errPadding
			default:
				return nil, errUnknown
			}
		}
		switch {
		case err == io.EOF && len(buf) > maxShardStream:
			return nil, errShardLength
		case err == io.EOF && len(buf) > 0:
			l.typical.Store(int64(len(buf)) + 1) // room to see the end
			return buf, nil
		case err == io.EOF:
			return nil, errUnknown
		case err != nil:
			return nil, err
		}
	}
}

// retireLocked ends the lane's sender, unless it is the first lane's. The caller
// holds net.mu.
func (l *lane) retireLocked(now time.Time) {
	if !l.first && l.retired.IsZero() {
		l.retired = now
		close(l.retire)
	}
}

// sayRetired asks the other side to send no more shards on a lane: what is under way
// when it is closed is lost.
func (l *lane) sayRetired() {
	ctx, cancel := context.WithTimeout(l.conn.Context(), retireAfter/2)
	defer cancel()
	if s, err := l.conn.OpenUniStreamSync(ctx); err == nil {
		s.Write([]byte{uniRetire})
		s.Close()
	}
}
