// Package rewind is the past of a stream, for people: from any moment that is still
// held on into live, and a finished stream as a file in which a player can seek.
//
//	Past (who holds it) ─Block─▶ a few blocks ahead ─▶ Reader ─▶ player
//	Live (what plays now) ───────────── when caught up ──┘
//
// A Reader takes each block in order, as fast as its client reads, and whoever does
// not read is paused: nothing is dropped for its sake, and nothing is fetched. Once it
// has caught up it takes what plays now, like everybody.
//
// How a player seeks. A player that asks for bytes needs the exact length of the whole
// file first, and that is the sum of all blocks' lengths. A length stands in the
// block's header, which comes with its shards and in no other way, so that somebody
// who has nothing of the stream would have to fetch something of every block before
// the first picture. Therefore there are two ways in:
//
//   - by time, which always works and at once: a playlist of pieces of PieceTime each
//     (HTTP live streaming, RFC 8216), which needs to know only when the stream began
//     and ended. A piece is found when it is asked for.
//   - by bytes, as soon as all lengths are known: from what is on this machine's disk,
//     where one shard of a block is enough, from the blocks that were read, and, once a
//     client has asked for the file, from one shard of each other block, fetched when
//     nobody waits for anything else. Until all are known there is no pretence: the file
//     is sent whole, from its beginning, without a length.
//
// The package knows no media format and nothing of who holds what: the host gives it
// both. It is a shell: it lives in real time.
package rewind
