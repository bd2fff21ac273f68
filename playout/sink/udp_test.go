package sink

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/stripe"
)

// timed is block n, of so many packets, closed so many ms after the first.
func timed(n int, packets int, ms int64) playout.Play {
	return playout.Play{
		Header: stripe.Header{Number: uint64(n), SourceTime: 1e12 + ms},
		Data:   bytes.Repeat([]byte{byte(n)}, packets*188),
	}
}

// TestDatagrams: what is pushed arrives, in order, in datagrams of seven packets, the
// last one with what is left.
func TestDatagrams(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	s, err := Open(Config{Path: UDPScheme + receiver.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	var want []byte
	for i := range 5 {
		p := timed(i, 30, int64(i)*10)
		want = append(want, p.Data...)
		s.Push(p)
	}
	s.End()
	receiver.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got []byte
	for b := make([]byte, 2000); len(got) < len(want); {
		n, _, err := receiver.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if n != datagramLen && len(got)+n != len(want) {
			t.Errorf("a datagram of %d bytes", n)
		}
		got = append(got, b[:n]...)
	}
	if err := <-done; err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, or other bytes", err)
	}
	if st := s.Stats(); st.Blocks != 5 || st.Queued != 0 {
		t.Errorf("%+v", st)
	}
}

// TestNobodyListens: that is no fault.
func TestNobodyListens(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(Config{Path: UDPScheme + c.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for i := range 4 {
		s.Push(timed(i, 14, int64(i)*5))
	}
	s.End()
	if err := s.Run(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUDPPaths(t *testing.T) {
	for _, path := range []string{"udp://", "udp://127.0.0.1", "udp://:5000", "udp://127.0.0.1:0", "udp://127.0.0.1:70000", "udp://127.0.0.1:5000/x", "udp://127.0.0.1:5000?ttl=1", "udp://a@127.0.0.1:5000"} {
		if s, err := Open(Config{Path: path}); err == nil {
			t.Errorf("%s is opened: %v", path, s.cfg)
		}
	}
	for _, path := range []string{"udp://127.0.0.1:5000", "udp://[::1]:5000"} {
		s, err := Open(Config{Path: path})
		if err != nil && !strings.Contains(err.Error(), "[::1]") { // there may be no IPv6
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			s.End()
			s.Run(context.Background())
		}
	}
}

// stopwatch notes when it is written to.
type stopwatch struct {
	began time.Time
	at    []time.Duration
}

func (w *stopwatch) Write(b []byte) (int, error) {
	w.at = append(w.at, time.Since(w.began))
	return len(b), nil
}

func (w *stopwatch) Close() error { return nil }

// TestPace: a block's datagrams go evenly over the time to the next block; one that is
// late goes faster, and so catches up.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stopwatch{began: time.Now()}
		s := &Sink{cfg: Config{Path: "udp"}, wake: make(chan struct{}, 1), udp: &datagrams{to: w}}
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		const blocks, each = 20, 100 * time.Millisecond
		for i := range blocks {
			s.Push(timed(i, 70, int64(i)*each.Milliseconds()))
			<-time.After(each)
		}
		synctest.Wait()
		if len(w.at) != blocks*10 {
			t.Fatalf("%d datagrams", len(w.at))
		}
		for i := 1; i < len(w.at); i++ {
			if d := w.at[i] - w.at[i-1]; d < 8*time.Millisecond || d > 20*time.Millisecond {
				t.Errorf("%v between datagrams %d and %d", d, i-1, i)
			}
		}
		w.at, w.began = nil, time.Now()
		for i := range 5 { // at once
			s.Push(timed(i, 70, int64(blocks+i)*each.Milliseconds()))
		}
		s.End()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last := w.at[len(w.at)-1]; last > 5*each*3/4 || last < 5*each/4 {
			t.Errorf("five blocks that waited took %v", last)
		}
	})
}

// TestPaceEnds: the end of a context is not waited for.
func TestPaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &stopwatch{began: time.Now()}
		s := &Sink{cfg: Config{Path: "udp"}, wake: make(chan struct{}, 1), udp: &datagrams{to: w}}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		s.Push(timed(0, 700, 0))
		if err := s.Run(ctx); err == nil || time.Since(w.began) > 60*time.Millisecond {
			t.Error(err, time.Since(w.began))
		}
		synctest.Wait()
	})
}
