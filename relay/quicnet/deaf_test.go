package quicnet

import (
	"testing"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/test/memnet"
)

func deafens(c *Config) { c.Deafens = true }

// TestDeafen: who is not heard is, for both sides, gone without a word, cannot be
// dialled, and others do not notice; afterwards all is as before.
func TestDeafen(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t, deafens)
		b, _ := w.attach(t)
		c, _ := w.attach(t)
		link(t, a, b)
		link(t, a, c)

		a.Deafen([]membership.NodeID{b.ID()})
		began := time.Now()
		b.Send(a.ID(), []byte("to a"))
		b.Forward(a.ID(), []byte("shard"), soon(time.Second))
		a.Send(b.ID(), []byte("to b"))
		c.Send(a.ID(), []byte("from c"))
		if m := await[Message](t, a, nil); m.Peer != c.ID() {
			t.Fatalf("heard %s", m.Peer.Brief())
		}
		if down := await[Down](t, a, nil); down.Peer != b.ID() || down.Reason != "silent for 8s" {
			t.Fatalf("%+v", down)
		}
		if d := time.Since(began); d < idleTimeout-time.Second || d > idleTimeout+2*time.Second {
			t.Errorf("down after %v", d)
		}
		if down := await[Down](t, b, nil); down.Peer != a.ID() || down.Reason != "silent for 8s" {
			t.Fatalf("%+v", down)
		}
		a.Dial(b.ID(), []string{b.Addr().String()})
		if f := await[DialFailed](t, a, nil); f.Peer != b.ID() {
			t.Fatalf("%+v", f)
		}
		quiet(t, b, time.Second)

		a.Hear()
		link(t, a, b)
		b.Send(a.ID(), []byte("again"))
		if m := await[Message](t, a, nil); m.Peer != b.ID() || string(m.Bytes) != "again" {
			t.Fatalf("%+v", m)
		}
	})
}

// TestHearAfterShort: a connection that outlasts the silence ends with it, and the
// next one is as good as new for both.
func TestHearAfterShort(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t, deafens)
		b, _ := w.attach(t)
		link(t, a, b)
		a.Deafen([]membership.NodeID{b.ID()})
		b.Send(a.ID(), []byte("lost"))
		quiet(t, a, 2*time.Second)
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			a.Hear()
		}()
		if down := await[Down](t, a, nil); down.Peer != b.ID() {
			t.Fatalf("%+v", down)
		}
		<-heard
		a.Dial(b.ID(), []string{b.Addr().String()})
		await[Up](t, a, nil)
		await[Down](t, b, nil)
		await[Up](t, b, nil)
		b.Send(a.ID(), []byte("new"))
		if m := await[Message](t, a, nil); string(m.Bytes) != "new" {
			t.Fatalf("%q", m.Bytes)
		}
	})
}

// TestDeafenUnknown: a node that was never seen is not let in from wherever it
// comes, whoever dials.
func TestDeafenUnknown(t *testing.T) {
	virtual(t, memnet.Link{Delay: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		a, _ := w.attach(t, deafens)
		b, _ := w.attach(t)
		a.Deafen([]membership.NodeID{b.ID()})
		a.Dial(b.ID(), []string{b.Addr().String()})
		await[DialFailed](t, a, nil)
		a.Hear()
		a.Deafen([]membership.NodeID{b.ID()})
		a.Dial(membership.NodeID{}, []string{b.Addr().String()})
		await[DialFailed](t, a, nil)
		a.Hear()
		a.Deafen([]membership.NodeID{b.ID()})
		b.Dial(a.ID(), []string{a.Addr().String()})
		// Its side of the handshake may stand before ours says no; nobody tells it.
		quiet(t, a, 3*time.Second)
		a.Hear()
		if n := len(a.Peers()); n != 0 {
			t.Errorf("%d peers", n)
		}
	})
}

// TestDeafSocket: over real UDP.
func TestDeafSocket(t *testing.T) {
	a, b := listen(t, 1, deafens), listen(t, 2)
	link(t, a, b)
	a.Deafen([]membership.NodeID{b.ID()})
	b.Send(a.ID(), []byte("lost"))
	const short = 300 * time.Millisecond
	timer := time.NewTimer(short)
	defer timer.Stop()
	select {
	case e := <-a.Events():
		t.Fatalf("%T %+v", e, e)
	case <-timer.C:
	}
	go a.Hear()
	await[Down](t, a, nil)
}
