package memnet

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func pair(t *testing.T, seed uint64, link Link) (*Network, *Endpoint, *Endpoint) {
	t.Helper()
	n := New(rand.New(rand.NewPCG(seed, 0)), link)
	a, err := n.Listen()
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return n, a, b
}

// drain reads until d has passed.
func drain(e *Endpoint, d time.Duration) (got [][]byte, at []time.Time) {
	e.SetReadDeadline(time.Now().Add(d))
	buf := make([]byte, 2000)
	for {
		n, _, err := e.ReadFrom(buf)
		if err != nil {
			return got, at
		}
		got = append(got, append([]byte(nil), buf[:n]...))
		at = append(at, time.Now())
	}
}

func TestDelayAndAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{Delay: 20 * time.Millisecond})
		defer n.Close()
		if a.Addr().String() != "127.0.0.1:7070" || b.Addr().String() != "127.0.0.2:7070" {
			t.Fatalf("addresses %v and %v", a.Addr(), b.Addr())
		}
		start := time.Now()
		if _, err := a.WriteTo([]byte("hello"), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		k, from, err := b.ReadFrom(buf)
		if err != nil || string(buf[:k]) != "hello" || from.String() != a.Addr().String() {
			t.Fatalf("read %q from %v, %v", buf[:k], from, err)
		}
		if d := time.Since(start); d != 20*time.Millisecond {
			t.Fatalf("took %v, want 20 ms", d)
		}
	})
}

func TestLossDuplicationAndReorderRepeatFromTheSeed(t *testing.T) {
	run := func(seed uint64) (out []byte) {
		synctest.Test(t, func(t *testing.T) {
			n, a, b := pair(t, seed, Link{Delay: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, Loss: 0.2, Duplicate: 0.1})
			defer n.Close()
			for i := range 200 {
				a.WriteTo([]byte{byte(i)}, b.LocalAddr())
			}
			got, _ := drain(b, time.Second)
			for _, p := range got {
				out = append(out, p[0])
			}
			st := n.Stats()
			if st.Sent != 200 || st.Delivered != uint64(len(got)) || st.Lost < 20 || st.Lost > 60 {
				t.Errorf("stats %+v with %d received", st, len(got))
			}
		})
		return out
	}
	one, two, other := run(7), run(7), run(8)
	if string(one) != string(two) {
		t.Error("the same seed gave two different runs")
	}
	if string(one) == string(other) {
		t.Error("two seeds gave the same run")
	}
	swapped, seen, twice := 0, map[byte]bool{}, 0
	for i, v := range one {
		if i > 0 && v < one[i-1] {
			swapped++
		}
		if seen[v] {
			twice++
		}
		seen[v] = true
	}
	if swapped < 20 || twice < 5 || twice > 40 {
		t.Errorf("%d out of order and %d twice among %d", swapped, twice, len(one))
	}
}

func TestUploadRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{})
		defer n.Close()
		a.SetUpload(8 * 100 * 1028) // 100 packets a second
		for range 40 {
			a.WriteTo(make([]byte, 1000), b.LocalAddr())
		}
		got, at := drain(b, time.Second)
		// 200 ms of queue, the one being sent, and no more.
		if len(got) < 20 || len(got) > 22 {
			t.Fatalf("%d packets passed, want 21", len(got))
		}
		if d := at[len(at)-1].Sub(at[0]); d != time.Duration(len(at)-1)*10*time.Millisecond {
			t.Fatalf("%d packets took %v", len(at), d)
		}
	})
}

func TestCutFreezeAndMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{MTU: 500})
		defer n.Close()
		count := func(what string, want int) {
			t.Helper()
			a.WriteTo([]byte("x"), b.LocalAddr())
			if got, _ := drain(b, 10*time.Millisecond); len(got) != want {
				t.Fatalf("%s: %d packets, want %d", what, len(got), want)
			}
		}
		count("open", 1)
		n.SetLink(a.Addr().Addr(), b.Addr().Addr(), Link{Cut: true})
		count("cut", 0)
		b.WriteTo([]byte("y"), a.LocalAddr())
		if got, _ := drain(a, 10*time.Millisecond); len(got) != 1 {
			t.Fatal("a cut in one direction is one in both")
		}
		n.SetLink(a.Addr().Addr(), b.Addr().Addr(), Link{MTU: 500})
		b.Freeze(true)
		count("frozen", 0)
		b.Freeze(false)
		a.WriteTo(make([]byte, 473), b.LocalAddr())
		count("over the MTU", 1)
	})
}

func TestCloseAndDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{})
		if _, err := n.ListenAt(a.Addr()); err == nil {
			t.Fatal("an address was given out twice")
		}
		errs := make(chan error, 1)
		go func() {
			_, _, err := a.ReadFrom(make([]byte, 10))
			errs <- err
		}()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read ended with %v", err)
		}
		a.Close()
		if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("write after Close: %v", err)
		}
		if _, err := n.ListenAt(a.Addr()); err != nil {
			t.Fatalf("a closed address is not free: %v", err)
		}
		go func() {
			_, _, err := b.ReadFrom(make([]byte, 10))
			errs <- err
		}()
		synctest.Wait()
		n.Close()
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("read ended with %v", err)
		}
	})
}

func TestThreeHundredAddressesDiffer(t *testing.T) {
	n := New(rand.New(rand.NewPCG(1, 1)), Link{})
	defer n.Close()
	seen := map[netip.AddrPort]bool{}
	for range 600 {
		e, err := n.Listen()
		if err != nil {
			t.Fatal(err)
		}
		if seen[e.Addr()] || !e.Addr().Addr().IsLoopback() {
			t.Fatalf("address %v", e.Addr())
		}
		seen[e.Addr()] = true
	}
}

func TestDownloadRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{Delay: 10 * time.Millisecond})
		defer n.Close()
		b.SetDownload(8 * 100 * 1028) // 100 packets a second
		start := time.Now()
		for range 100 {
			a.WriteTo(make([]byte, 1000), b.LocalAddr())
		}
		got, at := drain(b, 3*time.Second)
		if len(got) < 19 || len(got) > 23 {
			t.Fatalf("%d packets came, want those that fit 200 ms of queue", len(got))
		}
		for i, when := range at {
			if want := time.Duration(i+2) * 10 * time.Millisecond; when.Sub(start).Round(time.Millisecond) != want {
				t.Fatalf("packet %d after %v, want %v", i, when.Sub(start), want)
			}
		}
	})
}

func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, a, b := pair(t, 1, Link{})
		defer n.Close()
		got := make(chan byte, 10)
		go func() {
			buf := make([]byte, 10)
			for {
				if _, _, err := b.ReadFrom(buf); err != nil {
					close(got)
					return
				}
				got <- buf[0]
			}
		}()
		synctest.Wait()
		b.Stall(true)
		a.WriteTo([]byte{1}, b.LocalAddr())
		b.WriteTo([]byte{2}, a.LocalAddr())
		if back, _ := drain(a, time.Second); len(back) != 0 {
			t.Error("a stopped process has sent something")
		}
		if len(got) != 0 {
			t.Error("a stopped process has read something")
		}
		b.Stall(false)
		if v := <-got; v != 1 {
			t.Errorf("read %d", v)
		}
		b.Close()
		if _, open := <-got; open {
			t.Error("more came than was sent")
		}
	})
}
