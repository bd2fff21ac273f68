// Package ts is everything that knows a byte of the stream's media: it cuts
// MPEG-TS and audio into blocks, paces and measures them, loops a clip, joins
// streams end to end, and marks what was skipped.
//
//	bytes ──align──▶ packets ──Cutter──▶ Cut, Cut, … ──Pacer──▶ when to send
//	                    │
//	                    └──PSI──▶ first programme: its clock, its video
//
// Whoever carries or rebuilds blocks needs none of this. A Cutter changes no byte
// it delivers: joined blocks are the input's whole packets, in order. Nothing here
// decodes a picture, and tables other than PAT and PMT are carried unread.
//
// The package is pure: no clock, no chance, no network, no file. Sources: ISO/IEC
// 13818-1 (transport stream), 11172-3 and 13818-3 (MPEG audio), 14496-3 (ADTS),
// RFC 3533 (Ogg).
package ts
