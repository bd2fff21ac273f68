package ts

import (
	"bytes"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
)

// After a break the next block says so, whatever was left goes out before, and the
// stream's clock goes on where the input's did, or is the new input's.
func TestCutterBreak(t *testing.T) {
	var before, same, other muxer
	steady(&before, 0, 50, 25) // two seconds
	same = muxer{cc: before.cc}
	steady(&same, 0, 50, 25)
	other.tables(Stream{PID: 0x200, Type: typeH264})
	for i := range 50 {
		other.pes(0x200, 0xe0, field{hasPCR: true, pcr: uint64(90+i) * ticksPerSecond / 25}, uint64(i)*3600, append(bytes.Clone(esIDR), make([]byte, 900)...))
	}
	for _, c := range []struct {
		name  string
		after []byte
		media uint64 // of the first block after the break
	}{
		{"the same again", same.out, 0},
		{"another encoder, with other PIDs", other.out, 90 * 3600},
	} {
		k := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
		var cuts []Cut
		cuts = append(cuts, k.Write(epoch, before.out[:len(before.out)-50])...)
		cuts = append(cuts, k.Break(epoch)...)
		n := len(cuts)
		later := epoch.Add(10 * time.Second)
		cuts = append(cuts, k.Write(later, c.after)...)
		cuts = append(cuts, k.Flush(later)...)
		whole := before.out[:len(before.out)-PacketLen] // the torn packet is none
		if got := joined(cuts[:n]); !bytes.Equal(got, whole) {
			t.Errorf("%s: %d of %d bytes before the break", c.name, len(got), len(whole))
		}
		if got := joined(cuts[n:]); !bytes.Equal(got, c.after) {
			t.Errorf("%s: %d of %d bytes after it", c.name, len(got), len(c.after))
		}
		for i, cut := range cuts {
			if cut.Discontinuity != (i == n) {
				t.Errorf("%s: block %d of %d, break at %d: discontinuity %v", c.name, i, len(cuts), n, cut.Discontinuity)
			}
		}
		if got := cuts[n]; got.MediaTime != c.media || !got.RandomAccess {
			t.Errorf("%s: %s, want it at %d", c.name, brief(got), c.media)
		}
	}
	// Before the first block there is nothing to continue.
	k := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
	k.Break(epoch)
	if cuts := k.Write(epoch, before.out); cuts[0].Discontinuity {
		t.Error("the first block ever has a discontinuity")
	}
}

// A clock that goes on by as much as time passed is the old one, around its wrap too.
func TestCutterBreakSameClock(t *testing.T) {
	const from = pcrWrap - 3*ticksPerSecond
	var before, after muxer
	steady(&before, from, 50, 25)
	steady(&after, from+12*ticksPerSecond, 50, 25)
	k := NewCutter(tsConfig(100*time.Millisecond, stripe.MaxBlock))
	k.Write(epoch, before.out)
	k.Break(epoch)
	cuts := k.Write(epoch.Add(10*time.Second), after.out)
	if want := uint64(from+12*ticksPerSecond) / ticksPerPTS; len(cuts) == 0 || cuts[0].MediaTime != want || !cuts[0].Discontinuity {
		t.Errorf("%d blocks, %v, want the first at %d", len(cuts), cuts, want)
	}
}

// Sound goes on in its own count, with a mark.
func TestCutterBreakAudio(t *testing.T) {
	for media, b := range map[stripe.Media][]byte{
		stripe.MediaMP3:    bytes.Repeat(mp3Frame(0), 40),
		stripe.MediaAAC:    bytes.Repeat(adtsFrame(200), 40),
		stripe.MediaOpaque: make([]byte, 5000),
	} {
		k := NewCutter(audioConfig(media))
		cuts := append([]Cut{}, k.Write(epoch, b[:len(b)-10])...)
		cuts = append(cuts, k.Break(epoch)...)
		n, end := len(cuts), cuts[len(cuts)-1].MediaTime+uint64(ticks(cuts[len(cuts)-1].Span)/ticksPerPTS)
		cuts = append(cuts, k.Write(epoch.Add(time.Second), b)...)
		cuts = append(cuts, k.Flush(epoch.Add(time.Second))...)
		if got := joined(cuts); len(got) != 2*len(b)-10 {
			t.Errorf("%v: %d bytes", media, len(got))
		}
		for i, cut := range cuts {
			if cut.Discontinuity != (i == n) || i >= n && cut.MediaTime < end {
				t.Errorf("%v: block %d of %d, break at %d after %d: %s", media, i, len(cuts), n, end, brief(cut))
			}
		}
	}
}
