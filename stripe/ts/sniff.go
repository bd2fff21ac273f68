package ts

import (
	"bytes"

	"github.com/stripecast/stripecast/stripe"
)

// Sniff tells from the first bytes of a stream what it is; false if it cannot. A
// few KB are enough; more than sniffLen is ignored.
func Sniff(prefix []byte) (stripe.Media, bool) {
	b := prefix[:min(len(prefix), sniffLen)]
	switch {
	case isTransport(b):
		return stripe.MediaTS, true
	case bytes.HasPrefix(b, []byte(oggMagic)):
		return stripe.MediaOgg, true
	}
	tagged := false
	for len(b) >= id3Header && id3Size(b) > 0 {
		tagged = true
		b = b[min(id3Size(b), len(b)):]
	}
	for at := bytes.IndexByte(b, 0xff); at >= 0 && at < len(b); {
		if threeFrames(b[at:], parseADTS, adtsHeader) {
			return stripe.MediaAAC, true
		}
		if threeFrames(b[at:], parseMPEG, mpegHeader) {
			return stripe.MediaMP3, true
		}
		next := bytes.IndexByte(b[at+1:], 0xff)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	if tagged {
		return stripe.MediaMP3, true // a tag longer than b
	}
	return stripe.MediaOpaque, false
}

// isTransport reports whether sync bytes stand at a packet's stride from some
// place in b on: syncRun of them, in a short b at least two.
func isTransport(b []byte) bool {
	for at := range b {
		room := (len(b) - at + PacketLen - 1) / PacketLen
		if room < 2 || room < syncRun && at >= PacketLen {
			return false
		}
		if train(b[at:]) {
			return true
		}
	}
	return false
}

// threeFrames reports whether three frames of one kind follow each other.
func threeFrames(b []byte, parse func([]byte) (frame, bool), need int) bool {
	var kind uint32
	for i := range 3 {
		if len(b) < need {
			return false
		}
		f, ok := parse(b)
		if !ok || i > 0 && f.kind != kind {
			return false
		}
		kind, b = f.kind, b[min(f.size, len(b)):]
	}
	return true
}
