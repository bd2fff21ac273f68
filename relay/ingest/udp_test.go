package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stripecast/stripecast/stripe/ts"
)

// TestUDP: what is sent is read in order, without RTP headers, and the end of the
// context is the end of it.
func TestUDP(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u, err := OpenUDP(ctx, "udp://@127.0.0.1:"+freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	to, err := net.Dial("udp", u.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	want := packets(70, 1)
	got := make([]byte, 0, len(want))
	for i := range 10 {
		load := want[i*7*ts.PacketLen:][:7*ts.PacketLen]
		if i%2 == 1 {
			load = append([]byte{0x80, 33, 0, byte(i), 0, 0, 0, 0, 1, 2, 3, 4}, load...)
		}
		if _, err := to.Write(load); err != nil {
			t.Fatal(err)
		}
		to.Write([]byte{0x80, 33, 0, byte(i), 0, 0, 0, 0, 1, 2, 3, 4}) // RTP of nothing
		part := make([]byte, 7*ts.PacketLen)
		if _, err := io.ReadFull(u, part); err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from the %d that were sent", len(got), len(want))
	}
	cancel()
	if n, err := u.Read(make([]byte, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %d, %v", n, err)
	}
}

func freePort(t *testing.T) string {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, _ := net.SplitHostPort(c.LocalAddr().String())
	return port
}

// TestUDPQueue: what nobody reads is dropped from its oldest, counted, and bounded
// whatever the datagrams are like.
func TestUDPQueue(t *testing.T) {
	for _, size := range []int{1, 1316, 60_000} {
		u := &UDP{wake: make(chan struct{}, 1)}
		const extra = 10
		n := MaxDatagrams/(size+datagramCost) + extra
		for i := range n {
			b := make([]byte, size)
			b[0] = byte(i)
			u.put(b, nil)
		}
		if u.Dropped() != extra || u.size > MaxDatagrams {
			t.Errorf("%d datagrams of %d bytes: %d dropped, %d waiting", n, size, u.Dropped(), u.size)
		}
		left := 0
		for u.size > 0 {
			p := make([]byte, 1000)
			c, err := u.Read(p)
			if left == 0 && p[0] != extra {
				t.Errorf("of %d bytes: it begins with datagram %d, not %d", size, p[0], extra)
			}
			if left += c; err != nil {
				t.Fatal(err)
			}
		}
		if want := (n - extra) * size; left != want {
			t.Errorf("of %d bytes: %d were read, want %d", size, left, want)
		}
	}
}

func TestUDPAddress(t *testing.T) {
	for address, want := range map[string]string{
		"udp://239.1.2.3:5000":                  "239.1.2.3:5000",
		"udp://@239.1.2.3:5000":                 "239.1.2.3:5000",
		"udp://239.1.2.3:5000?iface=127.0.0.1":  "239.1.2.3:5000",
		"udp://127.0.0.1:5000":                  "127.0.0.1:5000",
		"udp://:5000":                           "[::]:5000",
		"udp://@:5000":                          "[::]:5000",
		"udp://[::1]:5000/":                     "[::1]:5000",
		"udp://[ff02::1]:5000":                  "[ff02::1]:5000",
		"udp://239.1.2.3":                       "",
		"udp://239.1.2.3:0":                     "",
		"udp://239.1.2.3:70000":                 "",
		"udp://239.1.2.3:5000/path":             "",
		"udp://127.0.0.1:5000?iface=127.0.0.1":  "",
		"udp://239.1.2.3:5000?iface=no-such-if": "",
		"udp://239.1.2.3:5000?iface=192.0.2.77": "",
		"udp://239.1.2.3:5000?ttl=3":            "",
		"udp://":                                "",
	} {
		got, iface, err := udpAddress(address)
		switch {
		case want == "" && !errors.Is(err, ErrAddress):
			t.Errorf("%s: %v, %v", address, got, err)
		case want != "" && (err != nil || got.String() != want):
			t.Errorf("%s: %v, %v, want %s", address, got, err, want)
		case want != "" && (iface != nil) != strings.Contains(address, "iface"):
			t.Errorf("%s: interface %v", address, iface)
		}
	}
}
