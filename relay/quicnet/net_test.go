package quicnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/test/memnet"
)

func TestUpThenHangup(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	if s := peerStat(a, b.ID()); s.Lanes != 1 || s.Addr != b.Addr() || s.Out == 0 || s.In == 0 || s.RTT == 0 {
		t.Errorf("stat %+v", s)
	}
	b.Hangup(a.ID(), "no room\x1b[2J")
	if d := await[Down](t, b, nil); d.Peer != a.ID() || d.Reason != "no room?[2J" {
		t.Errorf("%+v", d)
	}
	if d := await[Down](t, a, nil); d.Peer != b.ID() || d.Reason != "the peer says: no room?[2J" {
		t.Errorf("%+v", d)
	}
	// And the same two meet again.
	link(t, b, a)
}

func TestDialIsPinned(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	other := membership.NodeIDOf(testKey(3))
	a.Dial(other, []string{b.Addr().String()})
	if f := await[DialFailed](t, a, nil); f.Peer != other || f.Addr != b.Addr().String() || !strings.Contains(f.Reason, errOther.Error()) {
		t.Errorf("%+v", f)
	}
	until(t, "handshake fails", func() bool { return b.Stats().HandshakesFailed == 1 })
	if s := b.Stats(); s.Peers != 0 || s.Handshakes != 0 {
		t.Errorf("a refused handshake counts: %+v", s)
	}
	a.Dial(a.ID(), []string{a.Addr().String()})
	if f := await[DialFailed](t, a, nil); !strings.Contains(f.Reason, errSelf.Error()) {
		t.Errorf("dialling oneself: %+v", f)
	}
	// The second address is right.
	a.Dial(b.ID(), []string{a.Addr().String(), b.Addr().String()})
	if up := await[Up](t, a, nil); up.Peer != b.ID() {
		t.Errorf("%+v", up)
	}
}

func TestDialOfWhoeverAnswers(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	a.Dial(membership.NodeID{}, []string{b.Addr().String()})
	if up := await[Up](t, a, nil); up.Peer != b.ID() {
		t.Fatalf("%+v", up)
	}
	a.Dial(membership.NodeID{}, []string{b.Addr().String()}) // nothing
	a.Dial(b.ID(), []string{"127.0.0.1:1"})                  // nothing
	a.Dial(membership.NodeID{}, []string{fmt.Sprintf("localhost:%d", b.Addr().Port())})
	if f := await[DialFailed](t, a, nil); f.Peer != b.ID() || f.Reason != errConnected.Error() {
		t.Fatalf("%+v", f)
	}
	await[Up](t, b, nil)
	a.Send(b.ID(), []byte("still there"))
	if m := await[Message](t, b, nil); string(m.Bytes) != "still there" {
		t.Fatalf("%+v", m)
	}
}

func TestDialFailsWithAReason(t *testing.T) {
	virtual(t, memnet.Link{Delay: 10 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		who := membership.NodeIDOf(testKey(9))
		began := time.Now()
		a.Dial(who, []string{"127.0.9.9:1", "nonsense"})
		f := await[DialFailed](t, a, nil)
		if f.Peer != who || f.Addr != "127.0.9.9:1" || f.Reason != "127.0.9.9:1: no answer; nonsense: not host:port" {
			t.Errorf("%+v", f)
		}
		if d := time.Since(began); d > dialTimeout+100*time.Millisecond {
			t.Errorf("took %v", d)
		}
		a.Dial(who, nil)
		if f := await[DialFailed](t, a, nil); f.Reason != "no address" {
			t.Errorf("%+v", f)
		}
	})
}

func TestMessagesInOrderBothWays(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	const count = 1000
	text := func(i int) []byte {
		return append(fmt.Appendf(nil, "%d ", i), bytes.Repeat([]byte{byte(i)}, i*37%(MaxMessage-10))...)
	}
	// A sender within its queue's limit: it waits for the other's answer.
	for _, dir := range [][2]*Net{{a, b}, {b, a}} {
		from, to := dir[0], dir[1]
		for i := 0; i < count; {
			for range 100 {
				from.Send(to.ID(), text(i))
				i++
			}
			for j := i - 100; j < i; j++ {
				if m := await[Message](t, to, nil); m.Peer != from.ID() || !bytes.Equal(m.Bytes, text(j)) {
					t.Fatalf("message %d is %.20q", j, m.Bytes)
				}
			}
		}
	}
}

func TestCloseDeliversWhatWasSent(t *testing.T) {
	virtual(t, memnet.Link{Delay: 40 * time.Millisecond, Loss: 0.02}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		for i := range 200 {
			a.Send(b.ID(), fmt.Appendf(nil, "%d", i))
		}
		go a.Close()
		for i := range 200 {
			if m := await[Message](t, b, nil); string(m.Bytes) != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, m.Bytes)
			}
		}
		if d := await[Down](t, b, nil); d.Reason != "left" {
			t.Errorf("%+v", d)
		}
	})
}

func TestPeerThatReadsNoMessagesIsHungUpOn(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	msg := make([]byte, MaxMessage)
	until(t, "hang up", func() bool { // b's events are not read
		for range 50 {
			a.Send(b.ID(), msg)
		}
		return len(a.Peers()) == 0
	})
	if d := await[Down](t, a, nil); d.Reason != "does not read its messages" {
		t.Errorf("%+v", d)
	}
	go func() {
		for range b.Events() {
		}
	}()
}

func TestSimultaneousDial(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		a.Dial(b.ID(), []string{b.Addr().String()})
		b.Dial(a.ID(), []string{a.Addr().String()})
		await[Up](t, a, nil)
		await[Up](t, b, nil)
		for i := range 20 {
			a.Send(b.ID(), []byte{byte(i)})
			b.Send(a.ID(), []byte{byte(i)})
			if m := await[Message](t, b, nil); m.Bytes[0] != byte(i) {
				t.Fatalf("b got %v for %d", m.Bytes, i)
			}
			if m := await[Message](t, a, nil); m.Bytes[0] != byte(i) {
				t.Fatalf("a got %v for %d", m.Bytes, i)
			}
		}
		t.Logf("%d lanes", peerStat(a, b.ID()).Lanes)
		quiet(t, a, 10*time.Second)
		quiet(t, b, time.Second)
	})
}

func TestKillIsSeen(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.SetLanes(b.ID(), 4)
		until(t, "lanes", func() bool { return peerStat(b, a.ID()).Lanes == 4 })
		a.Pin(b.ID(), true)
		b.Pin(a.ID(), true)
		quiet(t, b, time.Minute) // keep-alive keeps it
		began := time.Now()
		a.Kill()
		d := await[Down](t, b, nil)
		took := time.Since(began)
		t.Logf("down after %v: %s", took, d.Reason)
		if took < idleTimeout/2 || took > idleTimeout+time.Second {
			t.Errorf("after %v, want about %v", took, idleTimeout)
		}
	})
}

func TestRestartedPeerIsUpAtOnce(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, e := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.Kill()
		again, err := w.ListenAt(e.Addr())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		a = w.open(t, testKey(1), again)
		a.Dial(b.ID(), []string{b.Addr().String()})
		if d := await[Down](t, b, nil); d.Reason != "restarted" {
			t.Errorf("%+v", d)
		}
		await[Up](t, b, nil)
		await[Up](t, a, nil)
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("took %v", d)
		}
		b.Send(a.ID(), []byte("welcome"))
		if m := await[Message](t, a, nil); string(m.Bytes) != "welcome" {
			t.Errorf("%+v", m)
		}
	})
}

func TestStatelessResetEndsTheFormerSelf(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, e := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.Kill()
		again, err := w.ListenAt(e.Addr())
		if err != nil {
			t.Fatal(err)
		}
		w.open(t, testKey(1), again) // and it dials nobody
		began := time.Now()
		d := await[Down](t, b, nil)
		if took := time.Since(began); took > 2*keepAlive || d.Reason != "restarted" {
			t.Errorf("%+v after %v", d, took)
		}
	})
}

func TestUnusedPeerIsClosedUnlessPinned(t *testing.T) {
	virtual(t, memnet.Link{Delay: 5 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		b, _ := w.attach(t)
		link(t, a, b)
		a.Pin(b.ID(), true)
		b.Pin(a.ID(), true)
		quiet(t, a, 5*time.Minute)
		a.Send(b.ID(), []byte("x"))
		await[Message](t, b, nil)
		began := time.Now()
		a.Pin(b.ID(), false)
		quiet(t, a, unusedTimeout-time.Second)
		d := await[Down](t, a, nil)
		if took := time.Since(began); took < unusedTimeout || took > unusedTimeout+time.Second {
			t.Errorf("%+v after %v", d, took)
		}
		if other := await[Down](t, b, nil); !d.Unused || !other.Unused {
			t.Errorf("%+v and %+v: nobody is gone", d, other)
		}
	})
}

// TestCrowdPassesThrough: who is named in every link is not full for long of those who
// came and need it no more.
func TestCrowdPassesThrough(t *testing.T) {
	virtual(t, memnet.Link{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		hub, _ := w.attach(t)
		friend, _ := w.attach(t)
		link(t, friend, hub)
		hub.Pin(friend.ID(), true)
		friend.Pin(hub.ID(), true)
		for range crowdedPeers {
			n, _ := w.attach(t)
			n.Dial(hub.ID(), []string{hub.Addr().String()})
			await[Up](t, hub, nil)
		}
		began := time.Now() // the last has just come
		for len(hub.Peers()) > crowdedPeers {
			if d := await[Down](t, hub, nil); !d.Unused || d.Peer == friend.ID() {
				t.Errorf("%+v", d)
			}
		}
		if took := time.Since(began); took > crowdedTimeout+2*housekeeping {
			t.Errorf("it was full for %v", took)
		}
		if peerStat(hub, friend.ID()).Lanes != 1 {
			t.Error("one that is needed was closed")
		}
	})
}

func TestTooManyOutboundPeersCloseTheLeastUsed(t *testing.T) {
	virtual(t, memnet.Link{Delay: time.Millisecond}, func(t *testing.T, w *world) {
		hub, _ := w.attach(t)
		var nodes []*Net
		for range MaxOutbound + 2 {
			n, _ := w.attach(t)
			hub.Dial(n.ID(), []string{n.Addr().String()})
			await[Up](t, hub, nil)
			if len(nodes) == 0 {
				hub.Pin(n.ID(), true)
			}
			nodes = append(nodes, n)
		}
		if n := len(hub.Peers()); n != MaxOutbound {
			t.Fatalf("%d peers", n)
		}
		for i, want := range []bool{true, false, false, true} {
			if got := peerStat(hub, nodes[i].ID()).Lanes == 1; got != want {
				t.Errorf("peer %d connected: %v, want %v", i, got, want)
			}
		}
	})
}

func TestNodesBehindOneAddressAreCapped(t *testing.T) {
	virtual(t, memnet.Link{Delay: 5 * time.Millisecond}, func(t *testing.T, w *world) {
		victim, _ := w.attach(t)
		for i := range nodesPerIP + 1 {
			e, err := w.ListenAt(netip.AddrPortFrom(netip.MustParseAddr("203.0.113.5"), uint16(1000+i)))
			if err != nil {
				t.Fatal(err)
			}
			n := w.open(t, testKey(100+i), e)
			n.Dial(victim.ID(), []string{victim.Addr().String()})
			await[Up](t, n, nil)
			if i < nodesPerIP {
				await[Up](t, victim, nil)
				continue
			}
			// The dialler is done with its handshake before the victim is.
			if d := await[Down](t, n, nil); d.Reason != "the peer says: too many nodes at this address" {
				t.Errorf("%+v", d)
			}
		}
		if n := len(victim.Peers()); n != nodesPerIP {
			t.Errorf("%d peers", n)
		}
	})
}

func TestListeningOnAllAddresses(t *testing.T) {
	a := listen(t, 1, func(c *Config) { c.Listen = ":0" })
	b := listen(t, 2)
	b.Dial(a.ID(), []string{fmt.Sprintf("127.0.0.1:%d", a.Addr().Port())})
	await[Up](t, b, nil)
	if up := await[Up](t, a, nil); up.Addr != b.Addr() {
		t.Errorf("%+v", up)
	}
	a.SetLanes(b.ID(), 2) // it dials from its wildcard socket
	until(t, "2 lanes", func() bool { return peerStat(b, a.ID()).Lanes == 2 })
}

func TestPortTaken(t *testing.T) {
	a := listen(t, 1)
	_, err := Open(Config{Key: testKey(2), Listen: a.Addr().String()})
	if !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), a.Addr().String()) {
		t.Fatalf("%v", err)
	}
	if _, err := Open(Config{Key: testKey(2), Listen: "nowhere"}); err == nil || errors.Is(err, ErrPortTaken) {
		t.Fatalf("%v", err)
	}
}

func TestGossipPackets(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	if err := a.SendPacket(b.ID(), b.Addr().String(), make([]byte, MaxPacket+1)); err == nil {
		t.Error("a packet over the limit is taken")
	}
	// The first ones wait for the dial that they cause.
	for i := range 3 {
		if err := a.SendPacket(b.ID(), b.Addr().String(), bytes.Repeat([]byte{byte(i)}, MaxPacket)); err != nil {
			t.Fatal(err)
		}
	}
	late := time.After(patience)
	for i := range 3 {
		select {
		case p := <-b.Packets():
			if p.From != a.ID() || p.Addr != a.Addr() || len(p.Bytes) != MaxPacket || p.Bytes[0] != byte(i) {
				t.Fatalf("packet %d: %v %v %d bytes", i, p.From, p.Addr, len(p.Bytes))
			}
		case <-late:
			t.Fatal("no packet")
		}
	}
	if err := b.SendPacket(membership.NodeID{}, a.Addr().String(), []byte("by address")); err != nil {
		t.Fatal(err)
	}
	select {
	case p := <-a.Packets():
		if string(p.Bytes) != "by address" {
			t.Fatalf("%+v", p)
		}
	case <-late:
		t.Fatal("no packet")
	}
}

func TestGossipPacketsDoNotDialTheDeadForEver(t *testing.T) {
	virtual(t, memnet.Link{}, func(t *testing.T, w *world) {
		a, _ := w.attach(t)
		who := membership.NodeIDOf(testKey(99))
		fails, end := 0, time.After(10*time.Minute)
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-tick.C:
				if err := a.SendPacket(who, "127.0.9.9:1", []byte("ping")); err != nil {
					t.Fatal(err)
				}
				continue
			case <-a.Events():
				fails++
				continue
			case <-end:
			}
			break
		}
		sent := w.Stats().Sent
		t.Logf("%d dials, %d packets in 10 min", fails, sent)
		if fails < 5 || fails > 22 || sent > 600 {
			t.Errorf("%d dials, %d packets", fails, sent)
		}
	})
}

func TestGossipStreams(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, who, err := a.OpenStream(ctx, membership.NodeID{}, b.Addr().String())
	if err != nil || who != b.ID() {
		t.Fatalf("%v, %v", who, err)
	}
	c.SetDeadline(soon(patience))
	question := bytes.Repeat([]byte("question "), 20_000)
	go func() {
		c.Write(question)
		c.(interface{ CloseWrite() error }).CloseWrite()
	}()
	s := <-b.Streams()
	if s.From != a.ID() || s.Addr != a.Addr() {
		t.Fatalf("%+v", s)
	}
	s.Conn.SetDeadline(soon(patience))
	got, err := io.ReadAll(s.Conn)
	if err != nil || !bytes.Equal(got, question) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	s.Conn.Write([]byte("answer"))
	s.Conn.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Fatalf("%q, %v", got, err)
	}
	c.Close()
	// Credit comes back: many more than may be open at a time, by ID now.
	for i := range 3 * maxBidiStreams {
		c, _, err := b.OpenStream(ctx, a.ID(), "")
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		c.Write([]byte{byte(i)})
		c.Close()
		s := <-a.Streams()
		if got, err := io.ReadAll(s.Conn); err != nil || len(got) != 1 || got[0] != byte(i) {
			t.Fatalf("stream %d: %v, %v", i, got, err)
		}
		s.Conn.Close()
	}
	if _, _, err := a.OpenStream(ctx, membership.NodeID{}, a.Addr().String()); !errors.Is(err, errSelf) {
		t.Errorf("a stream to oneself: %v", err)
	}
}

func TestEveryGoroutineEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, end := range []func(*Net){(*Net).Close, (*Net).Kill} {
		a, b := listen(t, 1), listen(t, 2)
		link(t, a, b)
		a.SetLanes(b.ID(), 3)
		until(t, "lanes", func() bool { return peerStat(a, b.ID()).Lanes == 3 })
		a.Send(b.ID(), []byte("x"))
		a.SendPacket(b.ID(), "", []byte("x"))
		a.Dial(membership.NodeIDOf(testKey(3)), []string{"127.0.0.1:9"})
		// More than b's host will ever read: its readers block on it.
		for range eventQueue + 500 {
			a.Forward(b.ID(), make([]byte, 100), soon(time.Second))
		}
		await[Message](t, b, nil)
		end(a)
		end(b)
		if _, open := <-b.Packets(); open {
			<-b.Packets()
		}
	}
	until(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestPanicCostsThePeer(t *testing.T) {
	a, b := listen(t, 1), listen(t, 2)
	link(t, a, b)
	a.lookup(b.ID()).spawn(func() { panic("a bug") })
	if d := await[Down](t, a, nil); d.Reason != "internal error" {
		t.Errorf("%+v", d)
	}
	await[Down](t, b, nil)
	if s := a.Stats(); s.Panics != 1 {
		t.Errorf("%+v", s)
	}
	link(t, a, b)
	p := a.lookup(b.ID())
	for range maxPanics - 1 {
		a.panicked(p, "a bug")
	}
	defer func() {
		if recover() == nil {
			t.Errorf("panic %d within a minute was survived", maxPanics+1)
		}
	}()
	a.panicked(p, "a bug")
}
