package gossip

import (
	"bytes"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The messages as memberlist declares them; it does not export them.
type (
	theirPing struct {
		SeqNo      uint32
		Node       string
		SourceAddr []byte `codec:",omitempty"`
		SourcePort uint16 `codec:",omitempty"`
		SourceNode string `codec:",omitempty"`
	}
	theirIndirect struct {
		SeqNo      uint32
		Target     []byte
		Port       uint16
		Node       string
		Nack       bool
		SourceAddr []byte `codec:",omitempty"`
		SourcePort uint16 `codec:",omitempty"`
		SourceNode string `codec:",omitempty"`
	}
	theirAck struct {
		SeqNo   uint32
		Payload []byte
	}
	theirNack    struct{ SeqNo uint32 }
	theirError   struct{ Error string }
	theirSuspect struct {
		Incarnation uint32
		Node        string
		From        string
	}
	theirAlive struct {
		Incarnation uint32
		Node        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Vsn         []uint8
	}
	theirHeader struct {
		Nodes        int
		UserStateLen int
		Join         bool
	}
	theirState struct {
		Name        string
		Addr        []byte
		Port        uint16
		Meta        []byte
		Incarnation uint32
		State       int
		Vsn         []uint8
	}
)

func unpack(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := codec.NewDecoder(bytes.NewReader(b), &codec.MsgpackHandle{}).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// What memberlist's own codec writes, ours reads; and the other way round.
func TestCodecAgreesWithMemberlists(t *testing.T) {
	for _, n := range []uint32{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<31 - 1, 1<<32 - 1} {
		for _, length := range []int{0, 1, 31, 32, 64} {
			name := string(bytes.Repeat([]byte{'n'}, length))
			record := bytes.Repeat([]byte{7}, length*8)
			agree(t, pack(kindPing, theirPing{n, name, placeholderIP, 1, name}), ping{n, name, name})
			agree(t, pack(kindIndirect, theirIndirect{n, placeholderIP, 1, name, true, nil, 0, name}), indirect{ping{n, name, name}, true})
			agree(t, pack(kindAck, theirAck{n, nil}), ack{n})
			agree(t, pack(kindNack, theirNack{n}), nack{n})
			agree(t, pack(kindSuspect, theirSuspect{n, name, name}), suspect{n, name, name})
			agree(t, pack(kindDead, theirSuspect{n, name, name}), dead{n, name, name})
			a := pack(kindAlive, theirAlive{n, name, placeholderIP, 1, record, versions})
			agree(t, encode(mustDecode(t, a)), mustDecode(t, a))

			var theirs theirAlive
			unpack(t, encode(mustDecode(t, a))[1:], &theirs)
			if theirs.Incarnation != n || theirs.Node != name || !bytes.Equal(theirs.Meta, record) ||
				!bytes.Equal(theirs.Vsn, versions) || !bytes.Equal(theirs.Addr, placeholderIP) || theirs.Port != placeholderPort {
				t.Errorf("memberlist reads %+v", theirs)
			}
		}
	}
	var p theirPing
	unpack(t, encode(ping{300, "to", "from"})[1:], &p)
	if p.SeqNo != 300 || p.Node != "to" || p.SourceNode != "from" || p.SourceAddr != nil {
		t.Errorf("memberlist reads %+v", p)
	}
	var i theirIndirect
	unpack(t, encode(indirect{ping{300, "to", "from"}, true})[1:], &i)
	if i.SeqNo != 300 || i.Node != "to" || i.SourceNode != "from" || !i.Nack || i.Port != placeholderPort || i.SourceAddr != nil {
		t.Errorf("memberlist reads %+v", i)
	}
	var s theirSuspect
	unpack(t, encode(dead{300, "who", "from"})[1:], &s)
	if s != (theirSuspect{300, "who", "from"}) {
		t.Errorf("memberlist reads %+v", s)
	}
	var e theirError
	unpack(t, encode(remoteError{"no"})[1:], &e)
	if e.Error != "no" {
		t.Errorf("memberlist reads %+v", e)
	}
}

func mustDecode(t *testing.T, b []byte) message {
	t.Helper()
	d := &decoder{src: bytes.NewReader(b)}
	m, err := decodeMessage(d, d.byte())
	if err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return m
}

func agree(t *testing.T, theirs []byte, want message) {
	t.Helper()
	if got := mustDecode(t, theirs); !bytes.Equal(encode(got), encode(want)) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestExchangeAgreesWithMemberlists(t *testing.T) {
	for _, nodes := range []int{0, 1, 127, 128, MaxNodes} {
		theirs := pack(kindExchange, theirHeader{nodes, 0, true})
		for i := range nodes {
			s := theirState{"name", placeholderIP, 1, []byte("meta"), uint32(i), i % 4, versions}
			theirs = append(theirs, pack(0, s)[1:]...)
		}
		d := &decoder{src: bytes.NewReader(theirs[1:])}
		h := d.header(MaxNodes)
		if h != (exchangeHeader{nodes, true}) {
			t.Fatalf("%+v", h)
		}
		var states []state
		for range h.nodes {
			states = append(states, d.state())
		}
		if d.err != nil {
			t.Fatal(d.err)
		}
		r := bytes.NewReader(encodeExchange(h.join, states)[1:])
		dec := codec.NewDecoder(r, &codec.MsgpackHandle{})
		var back theirHeader
		if err := dec.Decode(&back); err != nil || back != (theirHeader{nodes, 0, true}) {
			t.Fatalf("%+v %v", back, err)
		}
		for i := range nodes {
			var s theirState
			if err := dec.Decode(&s); err != nil || s.Name != "name" || string(s.Meta) != "meta" || s.Incarnation != uint32(i) || s.State != i%4 {
				t.Fatalf("%+v %v", s, err)
			}
		}
	}
}

// fuzzGuard is a guard that knows alice.
func fuzzGuard(t *testing.T) *watch {
	w := newWatch()
	w.must(t, epoch, bob, alice.alive(4, 1))
	return w
}

func seedMessages() []message {
	return []message{
		ping{1, us.name, mallory.name}, indirect{ping{1, alice.name, mallory.name}, true}, ack{1}, nack{200},
		suspect{4, alice.name, alice.name}, dead{4, alice.name, alice.name}, alice.alive(5, 2), bob.alive(1, 1),
		alive{9, us.name, us.record(0, "192.0.2.1:1"), versions},
	}
}

// Whatever is let through is one message, written in the one way we write it,
// that may pass again, and says nothing for another peer.
func FuzzGuardPacket(f *testing.F) {
	var parts [][]byte
	for _, m := range seedMessages() {
		b := encode(m)
		f.Add(b)
		f.Add(append([]byte{kindChecksum, 1, 2, 3, 4}, b...))
		parts = append(parts, b)
	}
	f.Add(compound(parts[:5]...))
	f.Add(pack(kindAlive, theirAlive{1, alice.name, placeholderIP, 1, alice.record(3, "192.0.2.1:1"), versions}))
	f.Add(bomb(1000))
	f.Fuzz(func(t *testing.T, b []byte) {
		w := fuzzGuard(t)
		for _, out := range w.packet(epoch, mallory.id, b) {
			m, err := decodePart(out)
			if err != nil || !bytes.Equal(encode(m), out) {
				t.Fatalf("%q: %v", out, err)
			}
			switch m := m.(type) {
			case ping:
				if m.source != mallory.name || m.node != us.name {
					t.Errorf("%+v", m)
				}
			case indirect:
				if m.source != mallory.name || m.node != alice.name {
					t.Errorf("%+v", m)
				}
			case suspect:
				if m.from != mallory.name {
					t.Errorf("%+v", m)
				}
			case dead:
				t.Errorf("nobody here can leave: %+v", m)
			case alive:
				if m.incarnation >= MaxIncarnation || w.known[m.node] == nil && m.node != us.name {
					t.Errorf("%+v", m)
				}
			}
		}
	})
}

// Whatever is let through is a whole exchange within its bounds, or one ping.
func FuzzGuardStream(f *testing.F) {
	f.Add(encodeExchange(true, []state{
		{alice.alive(5, 2), statusAlive}, {bob.alive(1, 1), statusAlive}, {alice.alive(4, 1), statusLeft}, {alice.alive(4, 1), statusDead},
	}), false)
	theirs := pack(kindExchange, theirHeader{1, 0, false})
	f.Add(append(theirs, pack(0, theirState{alice.name, placeholderIP, 1, nil, 4, statusSuspect, versions})[1:]...), true)
	f.Add(pack(kindExchange, theirHeader{1 << 20, 0, true}), false)
	for _, m := range seedMessages() {
		f.Add(encode(m), true)
		f.Add(encode(m), false)
	}
	f.Add(encode(remoteError{"no"}), true)
	f.Fuzz(func(t *testing.T, b []byte, answer bool) {
		out, err := fuzzGuard(t).stream(epoch, mallory.id, bytes.NewReader(b), answer)
		if err != nil || len(out) == 0 {
			return
		}
		d := &decoder{src: bytes.NewReader(out)}
		if d.byte() != kindExchange {
			switch m := mustDecode(t, out).(type) {
			case ping:
				if answer || m.source != mallory.name {
					t.Errorf("%+v", m)
				}
			case ack, remoteError:
				if !answer {
					t.Errorf("%+v", m)
				}
			default:
				t.Errorf("%T in a stream", m)
			}
			return
		}
		h := d.header(MaxNodes)
		for range h.nodes {
			if s := d.state(); s.status != statusAlive && s.status != statusSuspect {
				t.Errorf("%+v", s)
			}
		}
		if rest, _ := d.src.ReadByte(); d.err != nil || rest != 0 {
			t.Errorf("%v", d.err)
		}
	})
}
