package gossip

import (
	"bytes"
	"compress/lzw"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/stripecast/stripecast/membership"
)

// who is an identity of the guard's tests.
type who struct {
	key  ed25519.PrivateKey
	id   membership.NodeID
	name string
}

func someone(i int) who {
	key := testKey(i)
	id := membership.NodeIDOf(key)
	return who{key, id, id.String()}
}

var (
	us, alice, bob, mallory = someone(201), someone(202), someone(203), someone(204)
	epoch                   = time.Unix(1e9, 0)
)

func (w who) record(seq uint64, addrs ...string) []byte {
	r := membership.Record{Node: w.id, Seq: seq, TTL: time.Minute}
	for _, a := range addrs {
		r.Addrs = append(r.Addrs, netip.MustParseAddrPort(a))
	}
	return r.Sign(w.key)
}

func (w who) alive(inc uint32, seq uint64) alive {
	return alive{inc, w.name, w.record(seq, "192.0.2.1:7000"), versions}
}

// watch is a guard and what it told the host.
type watch struct {
	*guard
	heard [][]byte
	full  bool // the host takes nothing more
}

func newWatch() *watch {
	w := &watch{}
	w.guard = newGuard(us.id, us.record(1, "192.0.2.9:7000"), slog.New(slog.DiscardHandler), func(raw []byte) bool {
		if !w.full {
			w.heard = append(w.heard, raw)
		}
		return !w.full
	})
	return w
}

// must lets a message through and returns what memberlist gets.
func (w *watch) must(t *testing.T, now time.Time, from who, m message) message {
	t.Helper()
	out := w.packet(now, from.id, encode(m))
	if len(out) != 1 {
		t.Fatalf("%T refused: %v", m, w.refused)
	}
	got, err := decodePart(out[0])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// mustNot expects one refusal for the reason.
func (w *watch) mustNot(t *testing.T, now time.Time, from who, why Reason, packet []byte) {
	t.Helper()
	before := w.refused
	if out := w.packet(now, from.id, packet); len(out) != 0 {
		t.Fatalf("let through: %q", out)
	}
	before[why]++
	if w.refused != before {
		t.Fatalf("refused as %v, want %v", w.refused, before)
	}
}

func compound(parts ...[]byte) []byte {
	var e encoder
	e.U8(kindCompound)
	e.U8(uint8(len(parts)))
	for _, p := range parts {
		e.U16(uint16(len(p)))
	}
	for _, p := range parts {
		e.Raw(p)
	}
	return e.B
}

// squeezed is 40 MiB of zeros, compressed as memberlist does.
var squeezed = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	z := lzw.NewWriter(&out, lzw.LSB, 8)
	zeros := make([]byte, 1<<20)
	for range 40 {
		z.Write(zeros)
	}
	z.Close()
	return out.Bytes()
})

// bomb is a compressed message of about the given length.
func bomb(length int) []byte {
	var e encoder
	e.U8(9)
	e.pairs(2)
	e.number("Algo", 0)
	e.str([]byte("Buf"))
	e.str(squeezed()[:min(len(squeezed()), length)])
	return e.B
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestForbiddenPackets(t *testing.T) {
	good := encode(ack{7})
	short := alice.alive(1, 1)
	short.versions = versions[:2]
	many := make([][]byte, MaxParts+1)
	for i := range many {
		many[i] = good
	}
	for what, c := range map[string]struct {
		why    Reason
		packet []byte
	}{
		"compressed bomb":         {Forbidden, bomb(1000)},
		"long bomb":               {TooLong, bomb(31 << 10)},
		"encrypted":               {Forbidden, []byte{10, 0, 0, 0, 1}},
		"label":                   {Forbidden, append([]byte{244, 1, 'x'}, good...)},
		"user message":            {Forbidden, []byte{8, 1, 2, 3}},
		"error":                   {Forbidden, encode(remoteError{"x"})},
		"exchange":                {Forbidden, encodeExchange(true, nil)},
		"unknown kind":            {Forbidden, []byte{99, 1}},
		"compound in a compound":  {Forbidden, compound(compound(good))},
		"checksum in a compound":  {Forbidden, compound(append([]byte{kindChecksum, 0, 0, 0, 0}, good...))},
		"too many parts":          {TooLong, compound(many...)},
		"255 pings":               {TooLong, append([]byte{kindCompound, 255}, make([]byte, 1000)...)},
		"cut compound":            {Malformed, compound(good, good)[:10]},
		"compound and more":       {Malformed, append(compound(good), 0)},
		"empty part":              {Malformed, compound(nil)},
		"empty":                   {Malformed, nil},
		"only a checksum":         {Malformed, []byte{kindChecksum, 0, 0, 0, 0}},
		"message and more":        {Malformed, append(encode(ack{7}), 0)},
		"cut message":             {Malformed, good[:len(good)-1]},
		"array":                   {Malformed, []byte{kindAck, 0x91, 1}},
		"unknown field":           {Malformed, []byte{kindAck, 0x81, 0xa1, 'x', 1}},
		"a field twice":           {Malformed, append([]byte{kindAck, 0x82}, append(good[2:], good[2:]...)...)},
		"more fields than are":    {Malformed, append([]byte{kindAck, 0x8f}, good[2:]...)},
		"negative number":         {Malformed, append(bytes.Clone(good[:len(good)-1]), 0xff)},
		"negative long number":    {Malformed, append(bytes.Clone(good[:len(good)-1]), 0xd2, 0xff, 0xff, 0xff, 0xff)},
		"65-bit number":           {Malformed, append(bytes.Clone(good[:len(good)-1]), 0xcf, 255, 255, 255, 255, 255, 255, 255, 255)},
		"float":                   {Malformed, append(bytes.Clone(good[:len(good)-1]), 0xca, 0, 0, 0, 0)},
		"4 GB string":             {Malformed, append([]byte{kindSuspect, 0x81, 0xa4, 'N', 'o', 'd', 'e'}, 0xdb, 255, 255, 255, 255)},
		"64 KiB string":           {Malformed, append([]byte{kindSuspect, 0x81, 0xa4, 'N', 'o', 'd', 'e'}, 0xda, 255, 255)},
		"ack with a payload":      {Malformed, append([]byte{kindAck, 0x81, 0xa7}, "Payload\xa1x"...)},
		"two-byte Vsn":            {BadVersion, encodeAs(short)},
		"too long":                {TooLong, make([]byte, MaxPacket+1)},
		"many bytes and no sense": {Malformed, append([]byte{kindPing}, bytes.Repeat([]byte{0x85}, 1000)...)},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWatch()
			used := allocated(func() { w.mustNot(t, epoch, mallory, c.why, c.packet) })
			if used > 100<<10 {
				t.Errorf("allocated %d bytes", used)
			}
		})
	}
}

// encodeAs writes an alive message with the versions it has.
func encodeAs(a alive) []byte {
	b := encode(a)
	b = b[:len(b)-1-len(versions)]
	e := encoder{}
	e.B = b
	e.str(a.versions)
	return e.B
}

func TestAliveNeedsTheNodesOwnRecord(t *testing.T) {
	good := alice.alive(3, 5)
	flipped := alice.alive(3, 5)
	flipped.record[40] ^= 1
	unsigned := alice.alive(3, 5)
	unsigned.record = nil
	stolen := mallory.alive(3, 5)
	stolen.node = alice.name
	nowhere := alive{3, alice.name, alice.record(5), versions}
	upper := alice.alive(3, 5)
	upper.node = string(bytes.ToUpper([]byte(upper.node)))
	absurd := alice.alive(1<<31, 5)
	future := alice.alive(3, 5)
	future.versions = []byte{3, 9, 4, 0, 0, 0}
	for what, c := range map[string]struct {
		why Reason
		a   alive
	}{
		"flipped bit":       {BadRecord, flipped},
		"no record":         {BadRecord, unsigned},
		"another's record":  {BadRecord, stolen},
		"no address":        {BadRecord, nowhere},
		"name in capitals":  {BadRecord, upper},
		"incarnation 2^31":  {BadIncarnation, absurd},
		"protocol too new":  {BadVersion, future},
		"no protocol":       {BadVersion, alive{3, alice.name, good.record, nil}},
		"protocol zero":     {BadVersion, alive{3, alice.name, good.record, []byte{0, 5, 2, 0, 0, 0}}},
		"delegate protocol": {BadVersion, alive{3, alice.name, good.record, []byte{1, 5, 2, 1, 1, 1}}},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWatch()
			w.mustNot(t, epoch, mallory, c.why, encodeAs(c.a))
			if len(w.known) > 0 || len(w.heard) > 0 {
				t.Error("it left a trace")
			}
		})
	}
	w := newWatch()
	got := w.must(t, epoch, bob, good).(alive)
	if got.incarnation != 3 || got.node != alice.name || !bytes.Equal(got.record, good.record) || !bytes.Equal(got.versions, versions) {
		t.Errorf("memberlist gets %+v", got)
	}
	if len(w.heard) != 1 || !bytes.Equal(w.heard[0], good.record) {
		t.Errorf("the host heard %q", w.heard)
	}
	if id, addr, ok := w.find(alice.name); !ok || id != alice.id || addr != "192.0.2.1:7000" {
		t.Errorf("found %v at %s: %v", id, addr, ok)
	}
	newer := alice.alive(3, 5)
	newer.versions = []byte{2, 9, 2, 0, 3, 0} // understands more than we do
	if out := w.packet(epoch, bob.id, encodeAs(newer)); len(out) != 1 || !bytes.Equal(out[0], encode(good)) {
		t.Error("the versions are not written as ours")
	}
}

func TestAddressesOfGossipAreNotUsed(t *testing.T) {
	victim := []byte{198, 51, 100, 7}
	w := newWatch()
	w.must(t, epoch, alice, alice.alive(1, 1))
	type wireAlive struct {
		Incarnation     uint32
		Node            string
		Addr            []byte
		Port            uint16
		Meta, Vsn, Void []byte `codec:",omitempty"`
	}
	type wirePing struct {
		SeqNo      uint32
		Node       string
		SourceAddr []byte `codec:",omitempty"`
		SourcePort uint16 `codec:",omitempty"`
		SourceNode string `codec:",omitempty"`
		Target     []byte `codec:",omitempty"`
		Port       uint16 `codec:",omitempty"`
		Nack       bool   `codec:",omitempty"`
	}
	a := alice.alive(1, 1)
	for what, packet := range map[string][]byte{
		"alive": pack(kindAlive, wireAlive{1, alice.name, victim, 53, a.record, versions, nil}),
		"ping":  pack(kindPing, wirePing{SeqNo: 300, Node: us.name, SourceAddr: victim, SourcePort: 53, SourceNode: bob.name}),
		"indirect": pack(kindIndirect, wirePing{SeqNo: 70000, Node: alice.name, SourceAddr: victim, SourcePort: 53,
			SourceNode: bob.name, Target: victim, Port: 53, Nack: true}),
	} {
		if !bytes.Contains(packet, victim) {
			t.Fatalf("%s: the test does not name the victim", what)
		}
		out := w.packet(epoch, bob.id, packet)
		if len(out) != 1 {
			t.Fatalf("%s refused: %v", what, w.refused)
		}
		if bytes.Contains(out[0], victim) {
			t.Errorf("%s: memberlist gets the victim's address", what)
		}
	}
}

// pack writes a message as memberlist does.
func pack(kind byte, v any) []byte {
	buf := bytes.NewBuffer([]byte{kind})
	if err := codec.NewEncoder(buf, &codec.MsgpackHandle{}).Encode(v); err != nil {
		panic(err)
	}
	return buf.Bytes()
}

func TestPingsNameTheirSender(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, alice, alice.alive(1, 1))
	w.must(t, epoch, bob, ping{1, us.name, bob.name})
	w.must(t, epoch, bob, indirect{ping{1, alice.name, bob.name}, true})
	w.mustNot(t, epoch, bob, WrongSource, encode(ping{1, us.name, alice.name}))
	w.mustNot(t, epoch, bob, WrongSource, encode(ping{1, us.name, ""}))
	w.mustNot(t, epoch, bob, NotForUs, encode(ping{1, alice.name, bob.name}))
	w.mustNot(t, epoch, bob, NotForUs, encode(ping{1, "", bob.name}))
	w.mustNot(t, epoch, bob, WrongSource, encode(indirect{ping{1, alice.name, alice.name}, true}))
	w.mustNot(t, epoch, bob, UnknownNode, encode(indirect{ping{1, mallory.name, bob.name}, true}))
	w.mustNot(t, epoch, us, WrongSource, encode(ack{1}))
}

func TestOnlyANodeItselfLeaves(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, bob, alice.alive(4, 1))
	for what, d := range map[string]dead{
		"forged leave": {4, alice.name, alice.name},
		"word of dead": {4, alice.name, bob.name},
	} {
		if got := w.must(t, epoch, mallory, d); got != (suspect{4, alice.name, mallory.name}) {
			t.Errorf("%s: memberlist gets %+v", what, got)
		}
	}
	if got := w.must(t, epoch, mallory, suspect{4, alice.name, bob.name}); got != (suspect{4, alice.name, mallory.name}) {
		t.Errorf("mallory accused as bob: %+v", got)
	}
	leave := dead{4, alice.name, alice.name}
	if got := w.must(t, epoch, alice, leave); got != leave {
		t.Errorf("memberlist gets %+v", got)
	}
	w.mustNot(t, epoch, alice, WrongSource, encode(dead{4, alice.name, bob.name}))
	w.mustNot(t, epoch, alice, BadIncarnation, encode(dead{1 << 31, alice.name, alice.name}))
	w.mustNot(t, epoch, bob, UnknownNode, encode(dead{4, bob.name, bob.name}))
	w.mustNot(t, epoch, mallory, UnknownNode, encode(suspect{4, bob.name, mallory.name}))
	w.mustNot(t, epoch, mallory, UnknownNode, encode(suspect{4, "no name", mallory.name}))
}

func TestNobodyRaisesAnothersIncarnationFar(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, bob, alice.alive(10, 1))
	w.mustNot(t, epoch, mallory, BadIncarnation, encode(suspect{12, alice.name, mallory.name}))
	w.mustNot(t, epoch, mallory, BadIncarnation, encode(alice.alive(10+SlackBurst+1, 1)))
	w.mustNot(t, epoch, mallory, BadIncarnation, encode(alice.alive(MaxIncarnation-1, 1)))
	w.must(t, epoch, mallory, alice.alive(10+SlackBurst, 1))
	w.mustNot(t, epoch, mallory, BadIncarnation, encode(alice.alive(10+SlackBurst+SlackRate, 1)))
	later := epoch.Add(time.Second)
	w.must(t, later, mallory, alice.alive(10+SlackBurst+SlackRate, 1))
	w.must(t, later, mallory, suspect{10 + SlackBurst + SlackRate, alice.name, ""})

	// An excessive number does not keep the record from the host.
	heard := len(w.heard)
	w.mustNot(t, later, mallory, BadIncarnation, encode(alice.alive(5000, 2)))
	if len(w.heard) != heard+1 {
		t.Error("the newer record was not heard")
	}
	// The node itself says what it likes, and others may repeat it.
	w.must(t, later, alice, alice.alive(5000, 2))
	w.must(t, later, bob, alice.alive(5001, 2))
}

// A node that is accused announces itself anew; no peer may make it do that all
// the time.
func TestAccusationsAreMetered(t *testing.T) {
	accuse := func(who who, inc uint32, by who) []byte { return encode(suspect{inc, who.name, by.name}) }
	for name, c := range map[string]struct {
		victim who
		every  time.Duration
	}{"another": {alice, AccuseEvery}, "us": {us, AccuseUsEvery}} {
		t.Run(name, func(t *testing.T) {
			w := newWatch()
			w.must(t, epoch, alice, alice.alive(10, 1))
			w.sent(epoch, us.name, 10)
			w.must(t, epoch, mallory, suspect{9, c.victim.name, mallory.name})
			soon := epoch.Add(c.every - 1)
			w.must(t, soon, mallory, suspect{9, c.victim.name, mallory.name}) // again
			w.mustNot(t, soon, mallory, TooFast, accuse(c.victim, 10, mallory))
			w.mustNot(t, soon, mallory, TooFast, encode(dead{10, c.victim.name, mallory.name}))
			w.must(t, soon, bob, suspect{10, c.victim.name, bob.name})
			later := epoch.Add(c.every)
			w.must(t, later, mallory, suspect{10, c.victim.name, mallory.name})
			w.mustNot(t, later, mallory, TooFast, accuse(c.victim, 11, mallory))
			for i := range MaxAccusers {
				w.must(t, later, someone(100+i), suspect{10, c.victim.name, someone(100 + i).name})
			}
			w.must(t, later, mallory, suspect{11, c.victim.name, mallory.name}) // forgotten
		})
	}
}

func TestClaimsAboutOurselves(t *testing.T) {
	claim := func(inc uint32) []byte {
		return encode(alive{inc, us.name, us.record(0, "192.0.2.9:1"), versions}) // an old record of ours
	}
	w := newWatch()
	w.learn(epoch)
	if out := w.packet(epoch, bob.id, claim(50_000)); len(out) != 1 {
		t.Fatal("a new start does not learn its last incarnation")
	}
	w.sentPacket(epoch, encode(alive{50_001, us.name, us.record(1, "192.0.2.9:1"), versions}))
	w.mustNot(t, epoch, bob, BadIncarnation, claim(MaxLearned))
	later := epoch.Add(LearnTime)
	w.mustNot(t, later, bob, BadIncarnation, claim(60_000))
	w.mustNot(t, later, bob, BadIncarnation, encode(suspect{60_000, us.name, bob.name}))
	w.must(t, later, bob, suspect{50_001, us.name, bob.name})
	// We follow what others can be made to believe.
	w.must(t, later, mallory, suspect{50_001 + SlackBurst + uint32(SlackRate*LearnTime.Seconds()), us.name, mallory.name})
	forged := mallory.alive(50_002, 9)
	forged.node = us.name
	w.mustNot(t, later, mallory, BadRecord, encode(forged))
	if len(w.heard) > 0 {
		t.Error("heard ourselves")
	}
}

func TestOlderRecordsAreStale(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, bob, alice.alive(1, 5))
	w.mustNot(t, epoch, mallory, StaleRecord, encode(alice.alive(9, 4)))
	other := alive{9, alice.name, alice.record(5, "192.0.2.77:1"), versions}
	w.mustNot(t, epoch, mallory, StaleRecord, encode(other)) // two of the same number
	w.must(t, epoch, bob, alice.alive(2, 5))
	if len(w.heard) != 1 {
		t.Errorf("heard %d times", len(w.heard))
	}
	w.must(t, epoch, bob, alice.alive(2, 6))
	if len(w.heard) != 2 {
		t.Errorf("heard %d times", len(w.heard))
	}
}

func TestAHostThatIsFullHearsLater(t *testing.T) {
	w := newWatch()
	w.full = true
	w.must(t, epoch, bob, alice.alive(1, 1))
	w.full = false
	w.must(t, epoch, bob, alice.alive(1, 1))
	w.must(t, epoch, bob, alice.alive(1, 1))
	if len(w.heard) != 1 {
		t.Errorf("heard %d times", len(w.heard))
	}
}

func TestRatesOfAPeer(t *testing.T) {
	w := newWatch()
	count := func(now time.Time, from who, packet func(i int) []byte, n int) (passed int) {
		for i := range n {
			passed += len(w.packet(now, from.id, packet(i)))
		}
		return passed
	}
	acks := func(int) []byte { return encode(ack{1}) }
	if n := count(epoch, alice, acks, 10_000); n != MessageBurst {
		t.Errorf("%d messages at once", n)
	}
	if n := count(epoch.Add(time.Second), alice, acks, 10_000); n != MessageRate {
		t.Errorf("%d messages a second later", n)
	}
	if n := count(epoch, bob, acks, 10); n != 10 {
		t.Errorf("another peer pays: %d", n)
	}
	// Records, over more than the burst: each packet has one that is new.
	fresh := func(i int) []byte { return encode(bob.alive(1, uint64(i+1))) }
	now, passed := epoch, 0
	for i := range 40 {
		now = epoch.Add(time.Duration(i) * time.Second)
		passed += count(now, mallory, func(j int) []byte { return fresh(i*200 + j) }, 200)
	}
	if most := RecordBurst + 40*RecordRate; passed < most-RecordRate || passed > most {
		t.Errorf("%d records in 40 s, want about %d", passed, most)
	}
	known := encode(alive{1, bob.name, w.known[bob.name].raw, versions})
	if n := count(now.Add(time.Second), alice, func(int) []byte { return known }, MessageRate); n != MessageRate {
		t.Errorf("what is known already counts as a record: %d", n)
	}
}

func TestPeersAreBounded(t *testing.T) {
	w := newWatch()
	peer := func(i int) membership.NodeID { return membership.NodeID{1, byte(i), byte(i >> 8)} }
	for i := range MaxPeers {
		if !w.mayTalk(epoch, peer(i), 1) {
			t.Fatal(i)
		}
	}
	if w.mayTalk(epoch.Add(2*time.Second), alice.id, 1) {
		t.Error("one more peer than there is room for")
	}
	if !w.mayTalk(epoch.Add(PeerIdle), alice.id, 1) || len(w.peers) != 1 {
		t.Errorf("the idle keep their room: %d", len(w.peers))
	}
}

func TestMembersAreBounded(t *testing.T) {
	w := newWatch()
	enter := func(now time.Time, i int, addr string) bool {
		who := someone(1000 + i)
		bearer := membership.NodeID{2, byte(i >> 7), byte(i >> 15)} // 128 records each
		a := alive{1, who.name, who.record(1, addr), versions}
		return len(w.packet(now, bearer, encode(a))) == 1
	}
	n := 0
	for i := range 10 {
		if enter(epoch, i, fmt.Sprintf("203.0.113.5:%d", 1000+i)) {
			n++
		}
	}
	if n != MaxPerIP {
		t.Errorf("%d nodes of one IP", n)
	}
	for i := range 100 {
		if enter(epoch, 100+i, fmt.Sprintf("203.0.113.%d:1", 100+i)) {
			n++
		}
	}
	if n != MaxPerNetwork {
		t.Errorf("%d nodes of one network", n)
	}
	for i := range 20 {
		if enter(epoch, 300+i, fmt.Sprintf("[2001:db8:0:%x::1]:1", i)) {
			n++
		}
	}
	if n != MaxPerNetwork+MaxPerIP {
		t.Errorf("%d nodes of one IPv6 /56", n-MaxPerNetwork)
	}
	for i := range MaxMembers {
		if enter(epoch, 1000+i, fmt.Sprintf("10.%d.%d.1:1", i/250, i%250)) {
			n++
		}
	}
	if n != MaxMembers || len(w.known) != MaxMembers {
		t.Fatalf("%d members", n)
	}
	// Who is known moves and stays known when all is full.
	who := someone(1000 + 1000)
	w.must(t, epoch, bob, alive{2, who.name, who.record(2, "192.0.2.1:1"), versions})

	// memberlist holds one of them still: the others are forgotten in time.
	held := []state{{alive: alive{2, who.name, nil, versions}}}
	w.sync(epoch.Add(ForgetAfter-1), held)
	if len(w.known) != MaxMembers {
		t.Errorf("%d members before ForgetAfter", len(w.known))
	}
	w.sync(epoch.Add(ForgetAfter), held)
	if len(w.known) != 1 {
		t.Errorf("%d members after it", len(w.known))
	}
}

func readAll(w *watch, from who, r io.Reader, answer bool) ([]byte, error) {
	return w.stream(epoch, from.id, r, answer)
}

func TestHostileStreams(t *testing.T) {
	header := func(nodes, user int) []byte {
		return pack(kindExchange, struct {
			Nodes, UserStateLen int
			Join                bool
		}{nodes, user, true})
	}
	big := make([]state, MaxNodes+1)
	for what, c := range map[string]struct {
		why Reason
		r   io.Reader
	}{
		"a million nodes":      {TooLong, bytes.NewReader(header(1<<20, 0))},
		"513 nodes":            {TooLong, bytes.NewReader(encodeExchange(true, big))},
		"minus one nodes":      {Malformed, bytes.NewReader(header(-1, 0))},
		"user state":           {Forbidden, bytes.NewReader(header(1, 20<<20))},
		"nodes of nothing":     {BadVersion, io.MultiReader(bytes.NewReader(header(MaxNodes, 0)), endless{0x80})},
		"empty nodes":          {BadRecord, io.MultiReader(bytes.NewReader(header(1, 0)), bytes.NewReader(emptyState()))},
		"junk for nodes":       {Malformed, io.MultiReader(bytes.NewReader(header(MaxNodes, 0)), endless{0xc1})},
		"compressed bomb":      {Forbidden, bytes.NewReader(bomb(31 << 10))},
		"encrypted 4 GB":       {Forbidden, bytes.NewReader([]byte{10, 255, 255, 255, 255})},
		"label":                {Forbidden, bytes.NewReader([]byte{244, 1, 'x', kindPing})},
		"user message":         {Forbidden, bytes.NewReader([]byte{8, 0x81})},
		"alive":                {Forbidden, bytes.NewReader(encode(alice.alive(1, 1)))},
		"ack nobody asked for": {Forbidden, bytes.NewReader(encode(ack{1}))},
		"error likewise":       {Forbidden, bytes.NewReader(encode(remoteError{"x"}))},
		"ping as another":      {WrongSource, bytes.NewReader(encode(ping{1, us.name, alice.name}))},
		"half a ping":          {Malformed, bytes.NewReader(encode(ping{1, us.name, mallory.name})[:9])},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWatch()
			var out []byte
			used := allocated(func() { out, _ = readAll(w, mallory, c.r, false) })
			if w.refused[c.why] == 0 {
				t.Errorf("refused as %v", w.refused)
			}
			if out != nil && !bytes.Equal(out, encodeExchange(true, nil)) {
				t.Errorf("memberlist gets %q", out)
			}
			if used > 2<<20 {
				t.Errorf("allocated %d bytes", used)
			}
		})
	}
}

// emptyState is a node of which nothing is said.
func emptyState() []byte { return []byte{0x81, 0xa3, 'V', 's', 'n', 0xa6, 1, 5, 2, 0, 0, 0} }

// endless repeats a byte for ever.
type endless struct{ b byte }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.b
	}
	return len(p), nil
}

// The largest exchange that is let through: what it costs.
func TestLargestExchange(t *testing.T) {
	var states []state
	for i := range MaxNodes {
		who := someone(1000 + i)
		states = append(states, state{alive: alive{1, who.name, who.record(1, fmt.Sprintf("10.%d.%d.1:1", i/250, i%250)), versions}})
	}
	b := encodeExchange(true, states)
	w := newWatch()
	var out []byte
	used := allocated(func() { out, _ = readAll(w, bob, bytes.NewReader(b), false) })
	if !bytes.Equal(out, b) || len(w.heard) != MaxNodes {
		t.Errorf("%d of %d bytes, %d heard", len(out), len(b), len(w.heard))
	}
	if used > 4<<20 {
		t.Errorf("allocated %d bytes", used)
	}
	t.Logf("%d nodes, %d bytes, %d allocated", MaxNodes, len(b), used)
}

func TestExchangeIsJudgedNodeByNode(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, bob, alice.alive(4, 1))
	carol := someone(9)
	forged := mallory.alive(1, 1)
	forged.node = someone(8).name
	say := func(a alive, status uint32) state { return state{a, status} }
	in := []state{
		say(carol.alive(1, 1), statusAlive),
		say(forged, statusAlive),
		say(alive{4, alice.name, nil, versions}, statusDead),
		say(alive{4, alice.name, []byte("junk"), nil}, statusLeft),
		say(alive{6, alice.name, nil, versions}, statusSuspect),
		say(alive{1, bob.name, nil, versions}, statusDead),
	}
	out, err := readAll(w, bob, bytes.NewReader(encodeExchange(false, in)), true)
	if err != nil {
		t.Fatal(err)
	}
	want := encodeExchange(false, []state{
		say(carol.alive(1, 1), statusAlive),
		say(alive{4, alice.name, nil, nil}, statusSuspect), // dead: she may refute it
		say(alive{4, alice.name, nil, nil}, statusSuspect), // left: she has not said so
	})
	if !bytes.Equal(out, want) {
		t.Errorf("memberlist gets\n%q, want\n%q", out, want)
	}
	left := []state{say(alice.alive(4, 1), statusLeft)}
	out, _ = readAll(w, alice, bytes.NewReader(encodeExchange(false, left)), true)
	left[0].record = nil
	if !bytes.Equal(out, encodeExchange(false, left)) {
		t.Errorf("her own leave: %q", out)
	}
}

func TestSentExchangeIsCut(t *testing.T) {
	w := newWatch()
	states := []state{{alive: alive{77, us.name, us.record(1), versions}}}
	for i := range 3 * MaxNodes {
		states = append(states, state{alive: alive{1, fmt.Sprint("node ", i), nil, versions}})
	}
	rand.Shuffle(len(states), func(i, j int) { states[i], states[j] = states[j], states[i] })
	out := w.sentStream(epoch, encodeExchange(true, states))
	d := &decoder{src: bytes.NewReader(out[1:])}
	h := d.header(MaxNodes)
	seen := map[string]bool{}
	for range h.nodes {
		seen[d.state().node] = true
	}
	if d.err != nil || !h.join || h.nodes != MaxNodes || len(seen) != MaxNodes || !seen[us.name] {
		t.Errorf("%v, %+v, %d nodes, ourselves %v", d.err, h, len(seen), seen[us.name])
	}
	if w.own.sent != 77 {
		t.Errorf("our incarnation is %d", w.own.sent)
	}
	small := encodeExchange(false, states[:MaxNodes])
	if !bytes.Equal(w.sentStream(epoch, small), small) {
		t.Error("a small exchange was changed")
	}
	if ping := encode(ping{1, "a", "b"}); !bytes.Equal(w.sentStream(epoch, ping), ping) {
		t.Error("a ping was changed")
	}
}

func TestUnreachableNodeIsTriedAtItsNextAddress(t *testing.T) {
	w := newWatch()
	w.must(t, epoch, bob, alive{1, alice.name, alice.record(1, "192.0.2.1:1", "192.0.2.2:2"), versions})
	for _, want := range []string{"192.0.2.1:1", "192.0.2.2:2", "192.0.2.1:1"} {
		if _, addr, _ := w.find(alice.name); addr != want {
			t.Errorf("at %s, want %s", addr, want)
		}
		w.failed(alice.name)
	}
	w.failed("nobody")
}
