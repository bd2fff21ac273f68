// Package store is the disk tier of a participant's window: the back buffer, which
// holds the last minutes of a stream, and a recording, which holds all of it. It keeps
// encoded shards as they travelled, header and proof with them, so what it gives back
// is checked like anything else that comes from elsewhere.
//
// It is not the window of package relay, which is in memory and decides what is
// forwarded, and it decides nothing: it does not know who may have what. A failing
// disk costs history and never live: Put does not wait, whatever the disk does.
//
//	DIR/lock                                held while a Store is open
//	DIR/<stream ID>/<epoch>/<sequence>.v1   segments, written in that order
//
//	segment   magic 8, stream 32, epoch 4, then records to the end
//	record    CRC32C 4, length of body 4, kind 1, body
//	kinds     1 shard, as it travels
//	          2 info, signed, as it travels; also the first record of later segments
//	          3 index: where each shard of each block is
//	          4 trailer, always of one length: where the index is, and a summary
//
// The checksum is over the segment's first 44 bytes and all of the record that follows
// it, so a record proves where it belongs. Those 44 are computed from the path and never
// read.
//
// A segment is only ever appended to. When it is long or old enough it gets index and
// trailer and is made durable (fsync). Until then the death of the process loses what
// was not written yet (flushEvery), and a power cut what the system had not written
// either. A segment without a whole trailer was cut off: its records are read from the
// front to the first that is not whole, and then it gets the index it lacks.
//
// Of a segment that is not written to any more only its summary stays in memory. Its
// index is read when it is needed, and a few are kept, so a recording of weeks needs
// little.
//
// One goroutine, the writer, owns what is written. Readers come from any goroutine and
// wait for the disk: call them where waiting does no harm.
package store
