package quicnet

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stripecast/stripecast/test/memnet"
)

// tapped is an endpoint that notes what is sent, as it is on the wire.
type tapped struct {
	*memnet.Endpoint
	mu   sync.Mutex
	sent []sentPacket
}

type sentPacket struct {
	at    time.Time
	bytes int
}

func (e *tapped) WriteTo(b []byte, to net.Addr) (int, error) {
	e.mu.Lock()
	e.sent = append(e.sent, sentPacket{time.Now(), len(b) + 28})
	e.mu.Unlock()
	return e.Endpoint.WriteTo(b, to)
}

// rates is the least and the most bits a second over any stretch of length d
// between two times, in steps of 20 ms.
func (e *tapped) rates(from, to time.Time, d time.Duration) (least, most float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	least = 1e18
	for ; !from.Add(d).After(to); from = from.Add(20 * time.Millisecond) {
		sum := 0
		for _, p := range e.sent {
			if !p.at.Before(from) && p.at.Before(from.Add(d)) {
				sum += p.bytes
			}
		}
		bps := float64(sum) * 8 / d.Seconds()
		least, most = min(least, bps), max(most, bps)
	}
	return least, most
}

// TestUploadCapOnTheWire: all that leaves the port of a participant that is fed a
// stream and has more children than its cap allows is the cap, ± 5 % over any 5 s:
// shards, retransmissions, acknowledgements.
func TestUploadCapOnTheWire(t *testing.T) {
	for _, bps := range []float64{1e6, 4e6} {
		for _, loss := range []float64{0, 0.1} {
			t.Run(fmt.Sprintf("%v Mbit/s, loss %v", bps/1e6, loss), func(t *testing.T) {
				virtual(t, memnet.Link{Delay: 20 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: loss}, func(t *testing.T, w *world) {
					capOnTheWire(t, w, bps)
				})
			})
		}
	}
}

func capOnTheWire(t *testing.T, w *world, bps float64) {
	const size, settling, length = 3000, 2 * time.Second, 12 * time.Second
	parent, _ := w.attach(t)
	end, err := w.Listen()
	if err != nil {
		t.Fatal(err)
	}
	tap := &tapped{Endpoint: end}
	a, _ := w.attach(t, func(c *Config) { c.PacketConn, c.Upload = tap, bps })
	link(t, parent, a)
	var children []*Net
	for range 3 {
		n, _ := w.attach(t)
		link(t, a, n)
		collect(n)
		children = append(children, n)
	}
	collect(a)
	lanes := max(2, int(bps/1e6))
	for _, n := range append(children, parent) {
		a.SetLanes(n.ID(), lanes)
		until(t, "lanes", func() bool { return peerStat(a, n.ID()).Lanes == lanes })
	}
	began := time.Now()
	done := make(chan struct{})
	go func() { // as much as the cap, from the parent
		feed(parent, []*Net{a}, size, time.Duration(size*8/bps*1e9), length, 150*time.Millisecond)
		close(done)
	}()
	// Twice the cap, in all.
	feed(a, children, size, time.Duration(3*size*8/bps*1e9/2), length, 150*time.Millisecond)
	<-done
	least, most := tap.rates(began.Add(settling), began.Add(length), 5*time.Second)
	least1, most1 := tap.rates(began.Add(settling), began.Add(length), time.Second)
	t.Logf("of the cap: %.3f … %.3f over 5 s, %.3f … %.3f over 1 s", least/bps, most/bps, least1/bps, most1/bps)
	if least < 0.95*bps || most > 1.05*bps {
		t.Errorf("over 5 s: %.3f … %.3f of the cap", least/bps, most/bps)
	}
	if most1 > 1.25*bps {
		t.Errorf("over 1 s: up to %.3f of the cap, want no more than the burst of a quarter", most1/bps)
	}
}
