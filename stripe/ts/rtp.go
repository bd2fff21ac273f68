package ts

// RTP returns what one datagram carries for a stream: of an RTP packet (RFC 3550, 5.1)
// its payload, of anything else all of it. It is empty if an RTP packet's header and
// padding leave nothing. The result is a part of b.
func RTP(b []byte) []byte {
	const fixed = 12
	if len(b) < fixed || b[0]>>6 != 2 || b[0] == syncByte {
		return b
	}
	at, end := fixed+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 { // an extension, whose length is in words
		if at+4 > end {
			return nil
		}
		at += 4 + 4*int(be16(b[at+2:]))
	}
	if b[0]&0x20 != 0 { // padding, whose length is its last byte
		end -= int(b[end-1])
	}
	if at >= end {
		return nil
	}
	return b[at:end]
}
