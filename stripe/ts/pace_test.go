package ts

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

func block100(i int) Cut {
	return Cut{Data: make([]byte, 12500), MediaTime: uint64(i) * 9000, Span: 100 * ms}
}

func TestPacerFile(t *testing.T) {
	var p Pacer
	now := epoch
	for i := range 50 {
		due := p.Due(now, block100(i))
		if want := epoch.Add(time.Duration(i) * 100 * ms); !due.Equal(want) {
			t.Fatalf("block %d due %v after the first, want %v", i, due.Sub(epoch), want.Sub(epoch))
		}
		if i%3 == 0 {
			now = due // else it reads ahead
		}
	}
}

func TestPacerDiscontinuity(t *testing.T) {
	var p Pacer
	for i := range 3 {
		p.Due(epoch, block100(i))
	}
	jump := Cut{MediaTime: 5, Span: 100 * ms, Discontinuity: true}
	if due := p.Due(epoch, jump); !due.Equal(epoch.Add(300 * ms)) {
		t.Errorf("after a jump due in %v, want when the block before is over, in 300ms", due.Sub(epoch))
	}
	jump.MediaTime, jump.Discontinuity = 5+9000, false
	if due := p.Due(epoch, jump); !due.Equal(epoch.Add(400 * ms)) {
		t.Errorf("and then in %v, want 400ms", due.Sub(epoch))
	}
}

func TestPacerLate(t *testing.T) {
	var p Pacer
	p.Due(epoch, block100(0))
	late := epoch.Add(900 * ms)
	if due := p.Due(late, block100(1)); !due.Equal(late) {
		t.Error("a late block waits")
	}
	if due := p.Due(late, block100(10)); !due.Equal(epoch.Add(time.Second)) {
		t.Error("a second's lateness moved the anchor")
	}
	late = epoch.Add(5 * time.Second)
	p.Due(late, block100(11))
	if due := p.Due(late, block100(13)); !due.Equal(late.Add(200 * ms)) {
		t.Errorf("after a long stall due in %v, want 200ms", due.Sub(late))
	}
}

// A live input that jitters, and whose clock runs 100 ppm fast for a day, is never
// held; a file piped in is held a second ahead.
func TestPacerSlack(t *testing.T) {
	p := Pacer{Slack: time.Second}
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 10 * 3600 * 24 {
		at := epoch.Add(time.Duration(float64(i) * float64(100*ms) * (1 - 100e-6))).Add(time.Duration(rnd.IntN(400)) * ms)
		if due := p.Due(at, block100(i)); due.After(at) {
			t.Fatalf("block %d held for %v", i, due.Sub(at))
		}
	}
	p = Pacer{Slack: time.Second}
	var due time.Time
	for i := range 31 {
		due = p.Due(epoch, block100(i))
	}
	if wait := due.Sub(epoch); wait < 1990*ms || wait > 2*time.Second {
		t.Errorf("a file's fourth second is due in %v, want 2s", wait)
	}
}

func TestRateMeter(t *testing.T) {
	var m RateMeter
	if m.BitsPerSecond() != 0 {
		t.Error("a rate of nothing")
	}
	for i := range 20 {
		m.Add(block100(i))
	}
	if r := m.BitsPerSecond(); r != 1e6 {
		t.Errorf("%v, want 1 Mbit/s", r)
	}
	for i := range 60 { // six seconds: the window is all new
		c := block100(i)
		c.Data = c.Data[:6250]
		m.Add(c)
		m.Add(Cut{Span: 0})
	}
	if r := m.BitsPerSecond(); math.Abs(r-5e5) > 1 {
		t.Errorf("%v, want 0.5 Mbit/s", r)
	}
}

func TestEstimate(t *testing.T) {
	var m muxer
	steady(&m, 100, 100, 25)
	want := float64(len(m.out)) * 8 / 4
	if got, ok := Estimate(m.out); !ok || got < 0.95*want || got > 1.05*want {
		t.Errorf("TS: %v %v, want %v", got, ok, want)
	}
	mp3 := bytes.Repeat(append(mp3Frame(0), mp3Frame(1)...), 100)
	if got, ok := Estimate(mp3); !ok || got < 126e3 || got > 130e3 {
		t.Errorf("MP3: %v %v, want 128k", got, ok)
	}
	for name, b := range map[string][]byte{"nothing": nil, "noise": make([]byte, 5000), "too short": m.out[:1000]} {
		if got, ok := Estimate(b); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
}
