package gossip

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"time"

	"github.com/stripecast/stripecast/membership"
)

// state is one node in an exchange of state, memberlist's "push/pull".
type state struct {
	alive
	status uint32
}

const (
	statusAlive   = 0
	statusSuspect = 1
	statusDead    = 2
	statusLeft    = 3
)

type exchangeHeader struct {
	nodes int
	join  bool
}

var (
	headerFields = []string{"Nodes", "UserStateLen", "Join"}
	stateFields  = []string{"Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"}
)

// header reads the head of an exchange of up to most nodes.
func (d *decoder) header(most int) (h exchangeHeader) {
	d.fields(headerFields, func(i int) {
		switch headerFields[i] {
		case "Nodes":
			if h.nodes = int(d.number(math.MaxInt32)); h.nodes > most && d.err == nil {
				d.err = refuse(TooLong)
			}
		case "UserStateLen":
			if d.number(math.MaxInt32) != 0 && d.err == nil {
				d.err = refuse(Forbidden)
			}
		case "Join":
			h.join = d.bool()
		}
	})
	return h
}

func (d *decoder) state() (s state) {
	d.fields(stateFields, func(i int) {
		switch stateFields[i] {
		case "Name":
			s.node = d.name()
		case "Addr":
			d.bytes(maxAddress)
		case "Port":
			d.number(maxPort)
		case "Meta":
			s.record = d.bytes(membership.MaxRecord)
		case "Incarnation":
			s.incarnation = d.u32()
		case "State":
			s.status = uint32(d.number(statusLeft))
		case "Vsn":
			s.versions = d.bytes(maxVersions)
		}
	})
	return s
}

func (s state) encode(e *encoder) {
	e.pairs(7)
	e.text("Name", s.node)
	e.bytes("Addr", placeholderIP)
	e.number("Port", placeholderPort)
	e.bytes("Meta", s.record)
	e.number("Incarnation", s.incarnation)
	e.number("State", s.status)
	e.bytes("Vsn", versions)
}

func encodeExchange(join bool, states []state) []byte {
	var e encoder
	e.U8(kindExchange)
	e.pairs(3)
	e.number("Nodes", uint32(len(states)))
	e.number("UserStateLen", 0)
	e.bool("Join", join)
	for _, s := range states {
		s.encode(&e)
	}
	return e.B
}

// stream reads the one message that a stream carries in one direction and
// returns what memberlist may read of it. answer says that we opened the stream.
// Every state is judged as it arrives, so what is held at any time is what was
// accepted, and the first thing that does not parse ends it.
func (g *guard) stream(now time.Time, from membership.NodeID, r io.Reader, answer bool) ([]byte, error) {
	d := &decoder{src: bufio.NewReader(io.LimitReader(r, MaxExchange))}
	out, err := g.readStream(now, from, d, answer)
	if err != nil {
		return nil, g.count(err)
	}
	return out, nil
}

func (g *guard) readStream(now time.Time, from membership.NodeID, d *decoder, answer bool) ([]byte, error) {
	kind := d.byte()
	switch {
	case d.err == io.EOF:
		return nil, nil // hung up without a word, as we do
	case d.err != nil:
		return nil, d.err
	case kind == kindExchange:
		return g.readExchange(now, from, d)
	case answer && (kind == kindAck || kind == kindError), !answer && kind == kindPing:
		m, err := decodeMessage(d, kind)
		if err != nil {
			return nil, err
		}
		if m, err = g.judge(now, from, m); err != nil {
			return nil, err
		}
		return encode(m), nil
	}
	return nil, refuse(Forbidden)
}

func (g *guard) readExchange(now time.Time, from membership.NodeID, d *decoder) ([]byte, error) {
	h := d.header(MaxNodes)
	var accepted []state
	for range h.nodes {
		s := d.state()
		if d.err != nil {
			return nil, d.err
		}
		if s, err := g.judgeState(now, from, s); err == nil {
			accepted = append(accepted, s)
		} else {
			g.count(err)
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return encodeExchange(h.join, accepted), nil
}

// sentStream looks at what memberlist writes to a stream, always one whole
// message. From an exchange the guard learns whom memberlist still holds; one
// of more than MaxNodes is cut to ourselves and a random choice of the others.
func (g *guard) sentStream(now time.Time, b []byte) []byte {
	d := &decoder{src: bytes.NewReader(b)}
	if d.byte() != kindExchange {
		return b
	}
	h := d.header(math.MaxInt32)
	var states []state
	for range h.nodes {
		states = append(states, d.state())
		if d.err != nil {
			g.log.Error("memberlist wrote an exchange that the guard cannot read", "err", d.err)
			return b
		}
	}
	g.sync(now, states)
	if len(states) <= MaxNodes {
		return b
	}
	rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	for i, s := range states {
		if s.node == g.name {
			states[0], states[i] = states[i], states[0]
		}
	}
	return encodeExchange(h.join, states[:MaxNodes])
}
