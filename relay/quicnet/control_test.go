package quicnet

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestFramesRoundTrip(t *testing.T) {
	var b []byte
	sizes := []int{1, 2, 255, 256, 1000, MaxMessage}
	for _, size := range sizes {
		b = appendFrame(b, bytes.Repeat([]byte{byte(size)}, size))
	}
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b))} {
		begun := 0
		for _, size := range sizes {
			msg, err := readFrame(r, func() { begun++ })
			if err != nil || !bytes.Equal(msg, bytes.Repeat([]byte{byte(size)}, size)) {
				t.Fatalf("%s: %d bytes: %v", name, size, err)
			}
		}
		if _, err := readFrame(r, func() { begun++ }); err != io.EOF || begun != len(sizes) {
			t.Errorf("%s: ended with %v, begun %d times", name, err, begun)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(appendFrame(nil, []byte("x")))
	f.Add(appendFrame(appendFrame(nil, bytes.Repeat([]byte{1}, MaxMessage)), []byte("and one more")))
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var again []byte
		for {
			msg, err := readFrame(r, func() {})
			if err == nil {
				if len(msg) == 0 || len(msg) > MaxMessage {
					t.Fatalf("a message of %d bytes", len(msg))
				}
				again = appendFrame(again, msg)
				continue
			}
			if err != io.EOF && !errors.Is(err, errFrame) {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(in, again) || err == io.EOF && len(again) != len(in) {
				t.Fatalf("%x was read as %x, then %v", in, again, err)
			}
			return
		}
	})
}
