package store

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/wire"
)

// Kinds of record.
const (
	kindShard = iota + 1
	kindInfo
	kindIndex
	kindTrailer
)

const (
	magic       = "SCAST\x01\r\n"
	headerLen   = len(magic) + 32 + 4
	recordHead  = 4 + 4 + 1
	entryLen    = 4 + 4 + 6 + 1 + 8 // and 4 for each shard
	markLen     = 4 + 6
	trailerBody = 4 + 4 + 4*4 + 2*markLen + 1 + 2*markLen + 4
	trailerLen  = recordHead + trailerBody
	// maxIndex is the longest index, of a segment where each shard is a block.
	maxIndex = 4 + MaxSegmentShards*(entryLen+4)
	maxFile  = MaxSegmentBytes + maxSegmentOverhead
)

var errDamaged = errors.New("it is damaged on disk")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is how a segment begins.
func header(key Key) []byte {
	w := wire.Writer{B: make([]byte, 0, headerLen)}
	w.Raw([]byte(magic))
	w.Raw(key.Stream[:])
	w.U32(key.Epoch)
	return w.B
}

// salt is where the checksums of a key's records begin.
func salt(key Key) uint32 { return crc32.Checksum(header(key), castagnoli) }

// appendRecord appends a record to b.
func appendRecord(b []byte, salt uint32, kind uint8, body []byte) []byte {
	w := wire.Writer{B: b}
	at := len(b)
	w.U32(0)
	w.U32(uint32(len(body)))
	w.U8(kind)
	w.Raw(body)
	sum := wire.Writer{B: w.B[at:at]}
	sum.U32(crc32.Update(salt, castagnoli, w.B[at+4:]))
	return w.B
}

// openRecord checks a whole record and returns its body, a part of b.
func openRecord(b []byte, salt uint32) (kind uint8, body []byte, err error) {
	r := wire.NewReader(b)
	sum, length := r.U32(), r.U32()
	kind = r.U8()
	body = r.Rest()
	if r.Err() != nil || uint64(length) != uint64(len(body)) || sum != crc32.Update(salt, castagnoli, b[4:]) {
		return 0, nil, errDamaged
	}
	return kind, body, nil
}

// trailer is what the last record of a segment says.
type trailer struct {
	summary
	index, indexLen uint32 // offset and length of the index's record
}

func (t *trailer) encode() []byte {
	w := wire.Writer{B: make([]byte, 0, trailerBody)}
	w.U32(t.index)
	w.U32(t.indexLen)
	w.U32(t.first)
	w.U32(t.last)
	w.U32(t.blocks)
	w.U32(t.shards)
	writeMark(&w, t.oldest)
	writeMark(&w, t.newest)
	starts := uint8(0)
	if t.starts {
		starts = 1
	}
	w.U8(starts)
	writeMark(&w, t.startFirst)
	writeMark(&w, t.startLast)
	w.U32(t.info)
	return w.B
}

func parseTrailer(body []byte) (t trailer, err error) {
	r := wire.NewReader(body)
	t.index = r.U32()
	t.indexLen = r.U32()
	t.first = r.U32()
	t.last = r.U32()
	t.blocks = r.U32()
	t.shards = r.U32()
	t.oldest, t.newest = readMark(r), readMark(r)
	t.starts = r.U8() == 1
	t.startFirst, t.startLast = readMark(r), readMark(r)
	t.info = r.U32()
	return t, r.Done()
}

func writeMark(w *wire.Writer, m mark) {
	w.U32(m.number)
	w.U48(uint64(m.time))
}

func readMark(r *wire.Reader) mark { return mark{r.U32(), int64(r.U48())} }

func (x *index) encode() []byte {
	size := 4
	for i := range x.entries {
		size += entryLen + 4*len(x.entries[i].at)
	}
	w := wire.Writer{B: make([]byte, 0, size)}
	w.U32(uint32(len(x.entries)))
	for i := range x.entries {
		e := &x.entries[i]
		writeMark(&w, e.mark)
		w.U32(e.size)
		w.U8(uint8(e.flags))
		w.U64(e.have)
		for _, at := range e.at {
			w.U32(at)
		}
	}
	return w.B
}

// parseIndex reads an index whose records end where the index begins.
func parseIndex(body []byte, end uint32) (index, error) {
	r := wire.NewReader(body)
	count := int(r.U32())
	if count > r.Len()/(entryLen+4) || count > MaxSegmentShards {
		return index{}, errDamaged
	}
	x := index{entries: make([]entry, count)}
	offsets := make([]uint32, 0, (r.Len()-count*entryLen)/4)
	for i := range x.entries {
		e := &x.entries[i]
		e.mark = readMark(r)
		e.size = r.U32()
		e.flags = stripe.Flags(r.U8())
		e.have = r.U64()
		n := bits.OnesCount64(e.have)
		if n > r.Len()/4 || n == 0 || i > 0 && e.number <= x.entries[i-1].number || e.size > maxRecord {
			return index{}, errDamaged
		}
		from := len(offsets)
		for range n {
			at := r.U32()
			if at < uint32(headerLen) || uint64(at)+recordHead+uint64(e.size) > uint64(end) {
				return index{}, errDamaged
			}
			offsets = append(offsets, at)
		}
		e.at = offsets[from:len(offsets):len(offsets)]
	}
	if r.Done() != nil {
		return index{}, errDamaged
	}
	return x, nil
}

// readTrailer reads the last record of a file of that size.
func readTrailer(f File, size int64, salt uint32) (trailer, error) {
	if size < int64(headerLen+trailerLen) || size > maxFile {
		return trailer{}, errDamaged
	}
	b := make([]byte, trailerLen)
	if err := readFull(f, b, size-int64(trailerLen)); err != nil {
		return trailer{}, err
	}
	kind, body, err := openRecord(b, salt)
	if err != nil || kind != kindTrailer {
		return trailer{}, errDamaged
	}
	t, err := parseTrailer(body)
	if err != nil || int64(t.index)+int64(t.indexLen) != size-int64(trailerLen) || t.indexLen > recordHead+maxIndex {
		return trailer{}, errDamaged
	}
	return t, nil
}

// readIndex reads the index that a trailer names.
func readIndex(f File, t trailer, salt uint32) (index, error) {
	b := make([]byte, t.indexLen)
	if err := readFull(f, b, int64(t.index)); err != nil {
		return index{}, err
	}
	kind, body, err := openRecord(b, salt)
	if err != nil || kind != kindIndex {
		return index{}, errDamaged
	}
	return parseIndex(body, t.index)
}

// readFull fills b from f, and takes the end of the file for damage.
func readFull(f File, b []byte, at int64) error {
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}

// scan reads the records of a segment from the front to the first that is not whole,
// and tells where shards and infos end. An error is the disk's; what was read before
// it is returned.
func scan(f File, size int64, key Key) (x index, sum summary, end int64, err error) {
	size = min(size, maxFile)
	from := salt(key)
	end = min(int64(headerLen), size)
	in := bufio.NewReaderSize(io.NewSectionReader(f, end, size-end), 64<<10)
	var rec []byte
	for at := end; sum.shards < MaxSegmentShards; {
		if rec, err = nextRecord(in, rec, size-at); err != nil || rec == nil {
			return x, sum, end, err
		}
		kind, body, bad := openRecord(rec, from)
		if bad != nil {
			return x, sum, end, nil
		}
		switch kind {
		case kindShard:
			s, bad := stripe.ParseShard(key.Stream, body)
			if bad != nil || s.Epoch != key.Epoch {
				return x, sum, end, nil
			}
			if newBlock, ok := x.add(&s.Header, s.Index, uint32(len(body)), uint32(at)); ok {
				sum.add(&s.Header, newBlock)
			}
		case kindInfo:
			sum.info = uint32(at)
		default:
			return x, sum, end, nil // index or trailer: they are made anew
		}
		at += int64(len(rec))
		end = at
	}
	return x, sum, end, nil
}

// nextRecord reads a record into the memory of rec. It returns nil at the end, which
// is left bytes away at most.
func nextRecord(in *bufio.Reader, rec []byte, left int64) ([]byte, error) {
	head, err := in.Peek(recordHead)
	if err != nil {
		return nil, unlessEnd(err)
	}
	r := wire.NewReader(head)
	r.U32()
	n := int64(r.U32())
	if n > maxRecord || recordHead+n > left {
		return nil, nil
	}
	if n += recordHead; int64(cap(rec)) < n {
		rec = make([]byte, n)
	}
	rec = rec[:n]
	if _, err := io.ReadFull(in, rec); err != nil {
		return nil, unlessEnd(err)
	}
	return rec, nil
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("reading a segment: %w", err)
}
