package quicnet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe/wire"
)

// errFrame means that a peer's control stream is not a run of frames.
var errFrame = errors.New("bad control frame")

// appendFrame appends a message as it travels: two bytes of length, the message.
func appendFrame(b, msg []byte) []byte {
	w := wire.Writer{B: b}
	w.Bytes16(msg)
	return w.B
}

// readFrame reads one message. It calls begun after the first byte, which is
// when the rest is due. io.EOF stands for an end between two frames.
func readFrame(r io.Reader, begun func()) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	begun()
	if _, err := io.ReadFull(r, head[1:]); err != nil {
		return nil, cutShort(err)
	}
	size := int(wire.NewReader(head[:]).U16())
	if size == 0 || size > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	msg := make([]byte, size) // at most MaxMessage
	if _, err := io.ReadFull(r, msg); err != nil {
		return nil, cutShort(err)
	}
	return msg, nil
}

// cutShort is what an error in the middle of a frame means.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", errFrame)
	}
	return err
}

// Send queues a control message of 1 … MaxMessage bytes for a peer; nobody may
// change it afterwards. Messages
// arrive in order or the peer goes Down; to a peer that is not connected they
// are lost. A peer with more than 256 waiting is hung up on.
func (n *Net) Send(id membership.NodeID, msg []byte) {
	if len(msg) == 0 || len(msg) > MaxMessage {
		panic(fmt.Sprintf("quicnet: a message of %d bytes", len(msg)))
	}
	p := n.lookup(id)
	if p == nil {
		return
	}
	select {
	case p.messages <- msg:
	default:
		n.end(p, codeHangup, "does not read its messages")
	}
}

// openControl opens our control stream on a lane we dialled, and writes its type
// at once: the peer sees the stream only then.
func (l *lane) openControl() {
	p := l.peer
	s, err := l.conn.OpenStream()
	if err == nil {
		_, err = s.Write([]byte{bidiControl})
	}
	if err != nil {
		p.net.end(p, codeBad, "no control stream: "+err.Error())
		return
	}
	p.setControl(s)
	p.spawn(func() { l.readMessages(s) })
}

// setControl makes s the stream that messages are sent on, unless there is one.
func (p *peer) setControl(s *quic.Stream) {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.control == nil {
		p.control = s
		close(p.ready)
	}
}

// readMessages hands the messages of a control stream to the host. Its end, in
// whatever way, is the end of the peer.
func (l *lane) readMessages(s *quic.Stream) {
	p, n := l.peer, l.peer.net
	for {
		s.SetReadDeadline(time.Time{})
		msg, err := readFrame(s, func() { s.SetReadDeadline(time.Now().Add(frameTimeout)) })
		var reset *quic.StreamError
		switch {
		case err == nil:
			p.touch()
			n.emit(Message{Peer: p.id, Bytes: msg})
			continue
		case err == io.EOF:
			n.end(p, codeBye, "left")
		case errors.Is(err, errFrame):
			n.end(p, codeBad, err.Error())
		case errors.As(err, &reset):
			n.end(p, codeBad, "control stream reset")
		case errors.Is(err, os.ErrDeadlineExceeded):
			n.end(p, codeBad, "control frame too slow")
		}
		return // otherwise the connection is gone, and ended says why
	}
}

// sendMessages writes what waits to the control stream, until the peer ends or
// the Net leaves; then it ends the stream, which tells the peer so.
func (p *peer) sendMessages() {
	const batch = 16 << 10
	select {
	case <-p.ready:
	case <-p.leave:
		p.net.end(p, codeBye, "left")
		return
	case <-p.dead:
		return
	}
	var buf []byte
	for leaving := false; !leaving; {
		buf = buf[:0]
		select {
		case <-p.dead:
			return
		case <-p.leave:
			leaving = true
		case msg := <-p.messages:
			buf = appendFrame(buf, msg)
		}
		for more := true; more && (leaving || len(buf) < batch); {
			select {
			case msg := <-p.messages:
				buf = appendFrame(buf, msg)
			default:
				more = false
			}
		}
		if _, err := p.control.Write(buf); err != nil {
			return // the reader of the stream or of the lane knows why
		}
		p.touch()
	}
	p.control.Close()
}
