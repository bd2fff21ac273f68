package httpd

import (
	"time"

	"github.com/stripecast/stripecast/playout/hls"
)

// Every bound of this package.
const (
	// MaxRing is how many bytes of recent blocks are kept for all clients
	// together. One block more drops the oldest, and who is still at it skips.
	MaxRing = 32 << 20
	// MaxRingBlocks is how many blocks that may be, by the same rule.
	MaxRingBlocks = 1024
	// MaxClients is how many clients may take the stream at once. One more is
	// answered 503.
	MaxClients = 64
	// MaxRewinds is how many of them may take the past, each from a place of its own.
	// One more is answered 503.
	MaxRewinds = 16
	// MaxConns is how many connections may be open. One more is closed at once.
	MaxConns = 256

	// maxHeader is the largest request header, in bytes; net/http answers 431.
	maxHeader = 16 << 10
	// fallbackPorts is how many ports after the default one are tried.
	fallbackPorts = 100
	// pieceLen is the most that is written under one deadline, in bytes.
	pieceLen = 64 << 10

	// MaxIdle is how long live HLS is made while nobody asks for it.
	MaxIdle = 30 * time.Second
	// lingerTime is how long after its last request an HLS player counts as one.
	lingerTime = 5 * time.Second
	// icyInterval is how many bytes of a radio's stream are between two titles, as with
	// Icecast.
	icyInterval = 16000
	// icyTitle is the longest title, in bytes; of a longer one the rest is left out.
	icyTitle = 255*16 - 15
	// blockTimeout is how long a playlist or a part that is not there yet is waited for;
	// then the playlist is sent as it is, and of a part it is said that there is none.
	blockTimeout = 3 * hls.SegmentTarget

	headerTimeout = 5 * time.Second  // to send a request's header
	answerTimeout = 10 * time.Second // to read an answer that is not the stream
	probeTimeout  = 2 * time.Second  // to say whether all is well; then it is not
	idleTimeout   = time.Minute      // between requests
	closeTimeout  = 2 * time.Second  // for answers under way when Run ends

	// lead is how much of the stream a newcomer gets at once, at the least, if
	// there is so much.
	lead = time.Second
	// keep is how much of the stream is kept for clients that are behind, in
	// source time, beyond what a newcomer needs.
	keep = 10 * time.Second
)
