package gossip

import (
	"bytes"
	"io"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe/wire"
)

// The first byte of a message, as memberlist numbers them. What is not listed
// here (user messages, compression, encryption, labels) is refused.
const (
	kindPing     = 0
	kindIndirect = 1
	kindAck      = 2
	kindSuspect  = 3
	kindAlive    = 4
	kindDead     = 5
	kindExchange = 6
	kindCompound = 7
	kindNack     = 11
	kindChecksum = 12
	kindError    = 13
)

const (
	maxNodeName = 64 // a NodeID takes 52
	maxAddress  = 16
	maxVersions = 6
	maxPort     = 1<<16 - 1
)

// versions is what every node of the pool is said to speak, by us as by others:
// memberlist's protocol 1 to 5, now 2, and no delegate protocol. It is always
// written so, because one node with odd versions makes memberlist refuse
// every exchange.
var versions = []byte{1, 5, protocol, 0, 0, 0}

const protocol = 2

// placeholder is the address memberlist is given for every node. It must parse
// and must not be zero; the transport looks the real one up by name.
const (
	placeholderHost = "0.0.0.0"
	placeholderPort = 1
)

var placeholderIP = []byte{0, 0, 0, 0}

// message is one of ping, indirect, ack, nack, suspect, alive, dead and remoteError.
type message interface{ encode(*encoder) }

type ping struct {
	seq          uint32
	node, source string
}

type indirect struct {
	ping
	nack bool
}

type ack struct{ seq uint32 }

type nack struct{ seq uint32 }

type suspect struct {
	incarnation uint32
	node, from  string
}

type dead struct {
	incarnation uint32
	node, from  string
}

type alive struct {
	incarnation uint32
	node        string
	record      []byte
	versions    []byte
}

type remoteError struct{ text string }

var (
	pingFields     = []string{"SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode"}
	indirectFields = []string{"SeqNo", "Node", "SourceAddr", "SourcePort", "SourceNode", "Target", "Port", "Nack"}
	ackFields      = []string{"SeqNo", "Payload"}
	nackFields     = []string{"SeqNo"}
	suspectFields  = []string{"Incarnation", "Node", "From"}
	aliveFields    = []string{"Incarnation", "Node", "Addr", "Port", "Meta", "Vsn"}
	errorFields    = []string{"Error"}
)

// decodeMessage reads the message of the given kind, without its first byte.
func decodeMessage(d *decoder, kind byte) (message, error) {
	var m message
	switch kind {
	case kindPing:
		m = d.ping()
	case kindIndirect:
		m = d.indirect()
	case kindAck:
		var a ack
		d.fields(ackFields, func(i int) {
			if i == 0 {
				a.seq = d.u32()
			} else {
				d.bytes(0) // nobody sends a payload
			}
		})
		m = a
	case kindNack:
		var n nack
		d.fields(nackFields, func(int) { n.seq = d.u32() })
		m = n
	case kindSuspect:
		m = d.suspect()
	case kindDead:
		m = dead(d.suspect())
	case kindAlive:
		m = d.alive()
	case kindError:
		var e remoteError
		d.fields(errorFields, func(int) { e.text = string(d.bytes(MaxErrorText)) })
		m = e
	default:
		return nil, refuse(Forbidden)
	}
	return m, d.err
}

func (d *decoder) name() string { return string(d.bytes(maxNodeName)) }

func (d *decoder) ping() (p ping) {
	d.fields(pingFields, func(i int) { d.pingField(&p, i) })
	return p
}

func (d *decoder) pingField(p *ping, i int) {
	switch pingFields[i] {
	case "SeqNo":
		p.seq = d.u32()
	case "Node":
		p.node = d.name()
	case "SourceAddr":
		d.bytes(maxAddress)
	case "SourcePort":
		d.number(maxPort)
	case "SourceNode":
		p.source = d.name()
	}
}

func (d *decoder) indirect() (p indirect) {
	d.fields(indirectFields, func(i int) {
		switch indirectFields[i] {
		case "Target":
			d.bytes(maxAddress)
		case "Port":
			d.number(maxPort)
		case "Nack":
			p.nack = d.bool()
		default:
			d.pingField(&p.ping, i)
		}
	})
	return p
}

func (d *decoder) suspect() (s suspect) {
	d.fields(suspectFields, func(i int) {
		switch suspectFields[i] {
		case "Incarnation":
			s.incarnation = d.u32()
		case "Node":
			s.node = d.name()
		case "From":
			s.from = d.name()
		}
	})
	return s
}

func (d *decoder) alive() (a alive) {
	d.fields(aliveFields, func(i int) {
		switch aliveFields[i] {
		case "Incarnation":
			a.incarnation = d.u32()
		case "Node":
			a.node = d.name()
		case "Addr":
			d.bytes(maxAddress)
		case "Port":
			d.number(maxPort)
		case "Meta":
			a.record = d.bytes(membership.MaxRecord)
		case "Vsn":
			a.versions = d.bytes(maxVersions)
		}
	})
	return a
}

// The addresses of pings are not written: an answer then goes to where the
// packet came from.

func (p ping) encode(e *encoder) {
	e.U8(kindPing)
	e.pairs(3)
	e.number("SeqNo", p.seq)
	e.text("Node", p.node)
	e.text("SourceNode", p.source)
}

func (p indirect) encode(e *encoder) {
	e.U8(kindIndirect)
	e.pairs(6)
	e.number("SeqNo", p.seq)
	e.text("Node", p.node)
	e.text("SourceNode", p.source)
	e.bytes("Target", placeholderIP)
	e.number("Port", placeholderPort)
	e.bool("Nack", p.nack)
}

func (a ack) encode(e *encoder) {
	e.U8(kindAck)
	e.pairs(1)
	e.number("SeqNo", a.seq)
}

func (n nack) encode(e *encoder) {
	e.U8(kindNack)
	e.pairs(1)
	e.number("SeqNo", n.seq)
}

func (s suspect) encode(e *encoder) {
	e.U8(kindSuspect)
	s.encodeFields(e)
}

func (s suspect) encodeFields(e *encoder) {
	e.pairs(3)
	e.number("Incarnation", s.incarnation)
	e.text("Node", s.node)
	e.text("From", s.from)
}

func (d dead) encode(e *encoder) {
	e.U8(kindDead)
	suspect(d).encodeFields(e)
}

func (a alive) encode(e *encoder) {
	e.U8(kindAlive)
	e.pairs(6)
	e.number("Incarnation", a.incarnation)
	e.text("Node", a.node)
	e.bytes("Addr", placeholderIP)
	e.number("Port", placeholderPort)
	e.bytes("Meta", a.record)
	e.bytes("Vsn", versions)
}

func (r remoteError) encode(e *encoder) {
	e.U8(kindError)
	e.pairs(1)
	e.text("Error", r.text)
}

func encode(m message) []byte {
	var e encoder
	m.encode(&e)
	return e.B
}

// splitPacket finds the messages of a packet. A checksum in front is skipped:
// QUIC has already authenticated every byte.
func splitPacket(b []byte) ([][]byte, error) {
	if len(b) > MaxPacket {
		return nil, refuse(TooLong)
	}
	r := wire.NewReader(b)
	kind := r.U8()
	if kind == kindChecksum {
		r.U32()
		b = r.Rest()
		r = wire.NewReader(b)
		kind = r.U8()
	}
	if kind != kindCompound {
		if r.Err() != nil {
			return nil, refuse(Malformed)
		}
		return [][]byte{b}, nil
	}
	n := int(r.U8())
	if n > MaxParts {
		return nil, refuse(TooLong)
	}
	lengths := make([]int, n)
	for i := range lengths {
		lengths[i] = int(r.U16())
	}
	parts := make([][]byte, n)
	for i, length := range lengths {
		parts[i] = r.Raw(length)
	}
	if r.Done() != nil {
		return nil, refuse(Malformed)
	}
	return parts, nil
}

// decodePart reads one message of a packet. What only streams carry is forbidden.
func decodePart(b []byte) (message, error) {
	r := bytes.NewReader(b)
	d := &decoder{src: r}
	kind := d.byte()
	if d.err != nil {
		return nil, refuse(Malformed)
	}
	if kind == kindError {
		return nil, refuse(Forbidden)
	}
	m, err := decodeMessage(d, kind)
	if err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && r.Len() > 0 {
		err = refuse(Malformed)
	}
	return m, err
}
