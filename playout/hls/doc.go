// Package hls makes what is played into live HLS with low-latency parts, as fragmented
// MP4 (RFC 8216 and its second edition, draft-pantos-hls-rfc8216bis):
//
//	blocks ──remux.Demuxer──▶ units ──Muxer──▶ parts of half a second ─┐
//	                                            segments of 1.5 to 4 s ◀──┤
//	                                            playlists ◀─────────────┘
//
// Times in the segments follow each other without holes: what is skipped, and a new
// epoch, are marked as a discontinuity and take no time, so that a player which takes
// the segments one after the other has nothing to jump over. It is not an HTTP server
// and waits for nobody: Has says whether there is what a client asks for.
//
// The package is pure: no clock, no chance, no network, no file.
package hls
