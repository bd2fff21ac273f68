//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stripecast/stripecast/cmd/stripecast/clip"
	"github.com/stripecast/stripecast/stripe/ts"
)

// clipTime is how long the built-in clip lasts.
const clipTime = 4 * time.Second

// record is so much of the endless clip, from an offset. Every round has its own
// clock, so no part of it equals another.
func record(t testing.TB, from, length time.Duration) []byte {
	t.Helper()
	l, err := ts.NewLooper(clip.TS())
	if err != nil {
		t.Fatal(err)
	}
	packets := func(d time.Duration) int64 {
		return int64(len(clip.TS())/ts.PacketLen) * int64(d) / int64(clipTime) * ts.PacketLen
	}
	if _, err := io.CopyN(io.Discard, l, packets(from)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, packets(length))
	if _, err := io.ReadFull(l, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// live reads bytes at an even pace, as a camera would give them.
type live struct {
	data  []byte
	over  time.Duration
	began time.Time
	sent  int
}

// pace makes data last for over.
func pace(data []byte, over time.Duration) *live { return &live{data: data, over: over} }

func (l *live) Read(p []byte) (int, error) {
	const step = 20 * time.Millisecond
	if l.sent == len(l.data) {
		return 0, io.EOF
	}
	if l.began.IsZero() {
		l.began = time.Now()
	}
	wait := time.NewTimer(step)
	defer wait.Stop()
	<-wait.C
	due := int(float64(len(l.data)) * min(1, time.Since(l.began).Seconds()/l.over.Seconds()))
	n := copy(p, l.data[l.sent:due])
	l.sent += n
	if n == 0 {
		return l.Read(p)
	}
	return n, nil
}

// mustEndAs wants got to be what input ends with, from wherever it begins, and to
// be at least so long. A TS client on HTTP may get tables before its first block.
func mustEndAs(t testing.TB, who string, got, input []byte, least int) {
	t.Helper()
	if !bytes.HasSuffix(input, got) {
		for range 4 {
			if len(got) < 2*ts.PacketLen || bytes.HasSuffix(input, got) {
				break
			}
			got = got[ts.PacketLen:]
		}
	}
	switch {
	case len(got) < least:
		t.Errorf("%s got %d bytes, want at least %d of %d (%s)", who, len(got), least, len(input), load())
	case !bytes.HasSuffix(input, got):
		t.Errorf("%s: %s (%s)", who, difference(got, input), load())
	}
}

// mustBePart wants got to be one piece of input.
func mustBePart(t testing.TB, who string, got, input []byte, least int) {
	t.Helper()
	switch {
	case len(got) < least:
		t.Errorf("%s got %d bytes, want at least %d (%s)", who, len(got), least, load())
	case !bytes.Contains(input, got):
		t.Errorf("%s: %s (%s)", who, difference(got, input), load())
	}
}

// difference tells where got leaves input.
func difference(got, input []byte) string {
	head := min(len(got), 4*ts.PacketLen)
	at := bytes.Index(input, got[:head])
	if at < 0 {
		return "it begins with what the source never sent"
	}
	same := 0
	for same < len(got) && at+same < len(input) && got[same] == input[at+same] {
		same++
	}
	next := -1
	for off := same; off < min(len(got), same+20*ts.PacketLen) && next < 0; off++ {
		if off+head < len(got) {
			next = bytes.Index(input[at+same:], got[off:off+head])
		}
	}
	return fmt.Sprintf("from byte %d of the input it is right for %d bytes (packet %d); %d bytes follow, which go on %d bytes later; the input has %d more",
		at, same, same/ts.PacketLen, len(got)-same, next, len(input)-at-same)
}
