// Package remux turns what is played into fragmented MP4, which browsers take:
//
//	blocks ──Demuxer──▶ Units, in decode order a track ──AppendFragment──▶ moof, mdat
//	                      └ Config: how to decode it ──AppendInit──▶ ftyp, moov
//
// No picture and no sound is decoded or coded anew; a unit's bytes are the source's,
// in MP4's wrapping. It knows H.264, HEVC, AAC and MP3; of what it does not know a
// Demuxer says the name. Its input is hostile: the limits are in limits.go.
//
// The package is pure: no clock, no chance, no network, no file. Sources: ISO/IEC
// 13818-1 (PES), 14496-10 and 23008-2 (parameter sets), 14496-12, -14 and -15 (MP4),
// RFC 6381 (codecs).
package remux
