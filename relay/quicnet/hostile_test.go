package quicnet

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

// attacker is a bare QUIC client with its own socket.
type attacker struct {
	t  *testing.T
	tr *quic.Transport
	id *identity
}

func newAttacker(t *testing.T, key int) *attacker {
	t.Helper()
	sock, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	id, err := newIdentity(testKey(key))
	if err != nil {
		t.Fatal(err)
	}
	a := &attacker{t, &quic.Transport{Conn: sock}, id}
	t.Cleanup(func() { a.tr.Close(); sock.Close() })
	return a
}

// tls is what an honest client would say.
func (a *attacker) tls(alpn string) *tls.Config {
	return a.id.client(alpn, func(membership.NodeID) error { return nil })
}

func (a *attacker) dial(to *Net, conf *tls.Config) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	return a.tr.Dial(ctx, net.UDPAddrFromAddrPort(to.Addr()), conf, &quic.Config{
		EnableDatagrams: true, MaxIncomingUniStreams: 10, InitialPacketSize: packetSize,
	})
}

// must dials as an honest client would.
func (a *attacker) must(to *Net, alpn string) *quic.Conn {
	a.t.Helper()
	c, err := a.dial(to, a.tls(alpn))
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// closed waits until the other side has closed c and returns why.
func closed(t *testing.T, c *quic.Conn) error {
	t.Helper()
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-time.After(patience):
		t.Fatal("the connection stays")
		return nil
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, other.Public(), other)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*tls.Config){
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"h3"} },
		"no certificate":   func(c *tls.Config) { c.Certificates = nil },
		"another key type": func(c *tls.Config) {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: other}}
		},
		"two certificates": func(c *tls.Config) {
			cert := a.id.cert
			cert.Certificate = [][]byte{cert.Certificate[0], cert.Certificate[0]}
			c.Certificates = []tls.Certificate{cert}
		},
		"someone else's certificate": func(c *tls.Config) {
			id, err := newIdentity(testKey(7))
			if err != nil {
				t.Fatal(err)
			}
			c.Certificates = []tls.Certificate{{Certificate: id.cert.Certificate, PrivateKey: testKey(2)}}
		},
		"the victim's own": func(c *tls.Config) { c.Certificates = []tls.Certificate{victim.id.cert} },
	} {
		t.Run(name, func(t *testing.T) {
			before := victim.Stats()
			conf := a.tls(alpnPeer)
			change(conf)
			c, err := a.dial(victim, conf)
			if err == nil { // TLS 1.3 tells a client of its certificate's fate afterwards
				err = closed(t, c)
			}
			var transport *quic.TransportError
			if !errors.As(err, &transport) || !transport.ErrorCode.IsCryptoError() {
				t.Errorf("ended with %v", err)
			}
			until(t, "failure is counted", func() bool {
				return victim.Stats().HandshakesFailed == before.HandshakesFailed+1
			})
			if s := victim.Stats(); s.Handshakes != before.Handshakes || s.Peers != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestLaneOfNoBundleIsRefused(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	err := closed(t, a.must(victim, alpnLane))
	var app *quic.ApplicationError
	if !errors.As(err, &app) || app.ErrorCode != codeRefused || app.ErrorMessage != "a lane of no bundle" {
		t.Errorf("%v", err)
	}
}

func TestLanesOfOneNodeAreCapped(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	first := a.must(victim, alpnPeer)
	await[Up](t, victim, nil)
	var conns []*quic.Conn
	for range MaxLanes - 1 {
		conns = append(conns, a.must(victim, alpnLane))
	}
	until(t, "lanes", func() bool { return victim.Stats().Lanes == MaxLanes })
	if err := closed(t, a.must(victim, alpnLane)); err == nil {
		t.Error("one lane too many stays")
	}
	for _, c := range append(conns, first) {
		if c.Context().Err() != nil {
			t.Fatal("a lane within the cap was closed")
		}
	}
}

func TestControlStreamsThatBreakTheProtocol(t *testing.T) {
	frame := func(size, body int) []byte {
		return append([]byte{bidiControl, byte(size >> 8), byte(size)}, make([]byte, body)...)
	}
	for _, c := range []struct {
		name, reason string
		bytes        []byte
		fin          bool
	}{
		{"too long", "bad control frame: 4097 bytes", frame(MaxMessage+1, 10), false},
		{"longest length", "bad control frame: 65535 bytes", []byte{bidiControl, 0xff, 0xff}, false},
		{"empty", "bad control frame: 0 bytes", frame(0, 0), false},
		{"cut short", "bad control frame: cut short", frame(100, 50), true},
		{"half a length", "bad control frame: cut short", []byte{bidiControl, 0}, true},
		{"too slow", "control frame too slow", frame(100, 50), false},
		{"ended", "left", []byte{bidiControl}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			victim := listen(t, 1)
			a := newAttacker(t, 2)
			conn := a.must(victim, alpnPeer)
			await[Up](t, victim, nil)
			s, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write(c.bytes)
			if c.fin {
				s.Close()
			}
			if d := await[Down](t, victim, nil); d.Reason != c.reason {
				t.Errorf("%q, want %q", d.Reason, c.reason)
			}
			closed(t, conn)
		})
	}
	t.Run("two of them", func(t *testing.T) {
		victim := listen(t, 1)
		a := newAttacker(t, 2)
		conn := a.must(victim, alpnPeer)
		for range 2 {
			s, err := conn.OpenStream()
			if err != nil {
				t.Fatal(err)
			}
			s.Write([]byte{bidiControl})
		}
		if d := await[Down](t, victim, nil); d.Reason != "a control stream too many" {
			t.Errorf("%+v", d)
		}
	})
}

func TestStreamsOfUnknownTypeAreReset(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	conn := a.must(victim, alpnPeer)
	await[Up](t, victim, nil)
	const each = 200 // far beyond the credit: it must come back
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range each {
		u, err := conn.OpenUniStreamSync(ctx)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		if i%2 == 0 {
			u.Write([]byte{9, 9, 9})
		}
		u.Close()
		b, err := conn.OpenStreamSync(ctx)
		if err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
		b.Write([]byte{0})
		b.SetReadDeadline(soon(patience))
		var reset *quic.StreamError
		if _, err := b.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.ErrorCode != resetUnknown {
			t.Fatalf("stream %d: %v", i, err)
		}
		b.CancelWrite(0)
	}
	until(t, "all are counted", func() bool { return victim.Stats().StreamsRefused == 2*each })
	if s := victim.Stats(); s.Peers != 1 || s.ShardsIn != 0 {
		t.Errorf("%+v", s)
	}
}

func TestShardThatIsTooLong(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	conn := a.must(victim, alpnPeer)
	u, err := conn.OpenUniStream()
	if err != nil {
		t.Fatal(err)
	}
	go u.Write(append([]byte{uniShard}, make([]byte, stripe.MaxShardWire+1)...))
	if d := await[Down](t, victim, nil); d.Reason != "a shard is too long" {
		t.Errorf("%+v", d)
	}
	closed(t, conn)
}

// TestSlowStreams opens what streams it may, sends most of a shard over each and
// never ends them.
func TestSlowStreams(t *testing.T) {
	victim := listen(t, 1)
	a := newAttacker(t, 2)
	conn := a.must(victim, alpnPeer)
	await[Up](t, victim, nil)
	began := time.Now()
	for range maxUniStreams {
		u, err := conn.OpenUniStream()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			u.SetWriteDeadline(soon(patience))
			u.Write(append([]byte{uniShard}, make([]byte, 500<<10)...))
		}()
	}
	p := victim.lookup(a.id.id)
	most := int64(0)
	until(t, "all are reset", func() bool {
		most = max(most, p.held.Load())
		return victim.Stats().StreamsRefused == maxUniStreams
	})
	took := time.Since(began)
	t.Logf("reset after %v; at most %d KiB held", took, most>>10)
	// By shardTimeout and nothing else: the next to end them would be idleTimeout. How
	// soon after it depends on who else wants the CPU.
	if took > 2*shardTimeout || most > peerAssembly+(1<<20) || p.held.Load() != 0 {
		t.Errorf("took %v, %d bytes held at most, %d now", took, most, p.held.Load())
	}
	if s := victim.Stats(); s.Peers != 1 || s.ShardsIn != 0 {
		t.Errorf("%+v", s)
	}
}
