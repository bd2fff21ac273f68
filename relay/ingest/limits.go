package ingest

import "time"

// Every bound on what comes from the network, and on how long it is waited for.
const (
	// MaxDatagrams is what waits of UDP for the reader, in bytes, with datagramCost for
	// each datagram. When full, the oldest one is dropped and counted.
	MaxDatagrams = 4 << 20
	datagramCost = 64
	// socketBuffer is what is asked of the system for a UDP socket, in bytes; it may
	// give less, and drops the newest when that is full.
	socketBuffer = 2 << 20
	// maxDatagram is the longest datagram there is, in bytes.
	maxDatagram = 64 << 10
	// maxFailed is how many reads of a UDP socket in a row may fail; then it is given up.
	maxFailed = 100
	// maxLook is how much of what came back is looked at to tell what it is, in bytes;
	// what cannot be told by then is refused.
	maxLook = 64 << 10

	// firstRetry is the wait before a line is opened again. It doubles each time, up
	// to maxRetry, and begins anew after a connection of calm.
	firstRetry = 500 * time.Millisecond
	maxRetry   = 15 * time.Second
	calm       = 10 * time.Second

	// maxRedirects is how many redirects of a request are followed; one more fails it.
	maxRedirects = 5
	// maxHeader is the longest HTTP header taken, in bytes; a longer one fails the
	// request.
	maxHeader = 64 << 10
	// dialTime and headerTime are how long a server may take to let us in, and to
	// begin its answer; later the request fails.
	dialTime   = 10 * time.Second
	headerTime = 10 * time.Second
	// idleTime is how long a body may bring nothing; then its connection is given up.
	idleTime = 10 * time.Second

	// edge is how many segments before its end a live playlist is joined.
	edge = 3
	// minTarget is taken for a target duration that is shorter or not told.
	minTarget = time.Second
	// stalledTargets is for how many target durations, and headerTime, a live playlist
	// may bring nothing new; then it is opened anew.
	stalledTargets = 3
	// maxMissed is how many segments in a row are passed over because they cannot be had.
	maxMissed = 3

	// maxClients is how many connections a Listener has at once; one more is closed.
	maxClients = 16
	// maxClientHeader and clientHeaderTime bound the header of who comes, in bytes and
	// in time; what is longer or later is refused.
	maxClientHeader  = 16 << 10
	clientHeaderTime = 5 * time.Second
	// slateAfter is how long nothing may come before a slate is shown, and slateWait how
	// long what came back may have no picture to begin at; then it begins anywhere. So it
	// does when it has maxBack bytes. slateRead is how much is read at a time, in bytes.
	slateAfter = 2 * time.Second
	slateWait  = 5 * time.Second
	maxBack    = 8 << 20
	slateRead  = 32 << 10
	// guessTime is how long the answer to a wrong password takes.
	guessTime = time.Second
)
