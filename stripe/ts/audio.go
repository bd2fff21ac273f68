package ts

import "github.com/stripecast/stripecast/stripe"

// AudioFrame is what the header of an MPEG audio or ADTS frame says.
type AudioFrame struct {
	Header   int // bytes before the coded sound
	Size     int // bytes, header and all; above Header
	Samples  int // per channel
	Rate     int // Hz
	Channels int // 0: the header does not say
	Layer    int // of MPEG audio, 1 to 3
	Profile  int // of ADTS: the audio object type
	Index    int // of ADTS: the name of Rate (14496-3, table 1.18)
}

// AudioHeader is the longest header of an audio frame, in bytes.
const AudioHeader = adtsHeader

// ParseFrame reads the header at the front of b, of ADTS for stripe.MediaAAC, else of
// MPEG audio. False: there is none, or b has fewer than AudioHeader bytes.
func ParseFrame(media stripe.Media, b []byte) (AudioFrame, bool) {
	if len(b) < AudioHeader {
		return AudioFrame{}, false
	}
	parse := parseMPEG
	if media == stripe.MediaAAC {
		parse = parseADTS
	}
	f, ok := parse(b)
	if !ok {
		return AudioFrame{}, false
	}
	a := AudioFrame{Size: f.size, Samples: f.samples, Rate: f.rate}
	if media == stripe.MediaAAC {
		a.Header = adtsHeader
		if b[1]&1 == 0 {
			a.Header += 2
		}
		a.Profile, a.Index, a.Channels = 1+int(b[2]>>6), int(b[2]>>2&0x0f), int(b[2]&1)<<2|int(b[3]>>6)
	} else {
		a.Layer, a.Channels = 4-int(b[1]>>1&3), 2
		if b[3]>>6 == 3 {
			a.Channels = 1
		}
	}
	return a, a.Size > a.Header
}
