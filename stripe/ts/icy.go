package ts

import "bytes"

// StreamTitle reads the title in a block of the metadata that radio servers put between
// the bytes of a stream (ICY): StreamTitle='…'; false if there is none.
func StreamTitle(meta []byte) (title []byte, ok bool) {
	_, rest, ok := bytes.Cut(meta, []byte("StreamTitle='"))
	if !ok {
		return nil, false
	}
	// A title may have quotes of its own: what ends it is one before a semicolon.
	title, _, ok = bytes.Cut(rest, []byte("';"))
	return title, ok
}
