package ts

// anchor knows a random access point of one programme: of its video, or, if it
// has none, of the stream that carries the PCR, else its first.
type anchor struct {
	pid   PID
	known bool
	video bool
	codec uint8 // stream_type
	// flagged means that the muxer sets the random access indicator here, and a
	// parameter set alone says nothing.
	flagged bool
}

const (
	typeMPEG1 = 0x01
	typeMPEG2 = 0x02
	typeH264  = 0x1b
	typeHEVC  = 0x24
	formatAV1 = 'A'<<24 | 'V'<<16 | '0'<<8 | '1'
)

// isVideo reports whether s is video (13818-1, table 2-34, and what is in use).
func (s *Stream) isVideo() bool {
	switch s.Type {
	case typeMPEG1, typeMPEG2, 0x10, typeH264, 0x1e, 0x1f, 0x20, 0x21, 0x23, typeHEVC,
		0x25, 0x33, 0x34, 0x42, 0xd1, 0xd2, 0xd4, 0xea:
		return true
	case 0x06:
		return s.Format == formatAV1
	}
	return false
}

func (a *anchor) learn(p *Program) {
	next := anchor{}
	for i := range p.Streams {
		s := &p.Streams[i]
		switch {
		case s.isVideo() && !next.video:
			next = anchor{pid: s.PID, known: true, video: true, codec: s.Type}
		case !next.video && (!next.known || s.PID == p.PCR):
			next = anchor{pid: s.PID, known: true}
		}
	}
	if next.pid == a.pid && next.codec == a.codec {
		next.flagged = a.flagged
	}
	*a = next
}

// at reports whether p, on pid, begins a random access point.
func (a *anchor) at(pid PID, p Packet) bool {
	if pid != a.pid || !a.known || !p.Start() {
		return false
	}
	if !a.video {
		_, ok := pesData(p)
		return ok
	}
	if p.RandomAccess() {
		a.flagged = true
		return true
	}
	es, ok := pesData(p)
	return ok && !p.Scrambled() && a.scan(es)
}

// pesData is the elementary stream in the packet that begins a PES packet.
func pesData(p Packet) ([]byte, bool) {
	b := p.Payload()
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 {
		return nil, false
	}
	return b[min(9+int(b[8]), len(b)):], true
}

// scan looks for what begins a picture that can be decoded alone, among the start
// codes of a packet's worth of video, up to the first picture.
func (a *anchor) scan(es []byte) bool {
	for i := 0; i+3 < len(es); i++ {
		if es[i] != 0 || es[i+1] != 0 || es[i+2] != 1 {
			continue
		}
		switch code := es[i+3]; a.codec {
		case typeMPEG1, typeMPEG2:
			if code == 0xb3 { // sequence header
				return true
			}
			if code == 0 { // picture
				return false
			}
		case typeH264:
			switch kind := code & 0x1f; {
			case kind == 5: // IDR
				return true
			case kind == 7 && !a.flagged: // parameters: the IDR is in a later packet
				return true
			case kind >= 1 && kind <= 4:
				return false
			}
		case typeHEVC:
			switch kind := code >> 1 & 0x3f; {
			case kind >= 16 && kind <= 23: // IRAP
				return true
			case (kind == 32 || kind == 33) && !a.flagged:
				return true
			case kind < 16:
				return false
			}
		default:
			return false
		}
	}
	return false
}
