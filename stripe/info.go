package stripe

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stripecast/stripecast/stripe/wire"
)

// Media says what the stream's bytes are.
type Media uint8

const (
	// MediaTS is MPEG-TS in 188-byte packets.
	MediaTS Media = iota
	// MediaMP3 is MPEG audio, layer III or II.
	MediaMP3
	// MediaAAC is ADTS AAC.
	MediaAAC
	// MediaOgg is an Ogg bitstream.
	MediaOgg
	// MediaOpaque is anything else.
	MediaOpaque

	mediaCount
)

// String is the media's usual file suffix.
func (m Media) String() string {
	return [...]string{"ts", "mp3", "aac", "ogg", "bin"}[m]
}

// MIME is the media's type on HTTP.
func (m Media) MIME() string {
	return [...]string{"video/mp2t", "audio/mpeg", "audio/aac", "application/ogg", "application/octet-stream"}[m]
}

// Radio reports whether a stream of this medium has sound and no pictures, whatever is in
// it. A transport stream may have none either, but only its bytes tell.
func (m Media) Radio() bool { return m == MediaMP3 || m == MediaAAC || m == MediaOgg }

// Info is what everyone must know of a stream before carrying it, signed by its
// source. A newer one of the same epoch (Seq) replaces an older.
type Info struct {
	Stream    ID
	Epoch     uint32
	Seq       uint32
	Layout    Layout
	BlockTime time.Duration // T, whole ms, up to MaxBlockTime
	Rate      uint64        // bits a second of stream, before coding
	Media     Media
	Root      [32]byte // node ID of the source's own participant
	Name      string
	// Title is what plays at the moment, Description what the stream is; for people,
	// and "" if nothing is said.
	Title, Description string
	// Thumbnail is where a picture of the stream is, a ValidThumbnail; "" if there is none.
	// Whoever fetches it tells its host who watches.
	Thumbnail string
	// Lock is what a private stream's says of its key, the same throughout an epoch; zero if
	// anyone can read the stream.
	Lock Lock
}

// Private reports whether only who has the link's key can read the stream.
func (i Info) Private() bool { return i.Lock != Lock{} }

// ErrInfo is wrapped by every refusal of an Info's bytes.
var ErrInfo = errors.New("bad stream info")

// infoDomains are what each version is signed with.
var infoDomains = map[uint8]string{
	infoVersion:    "stripecast info v2\x00",
	pictureVersion: "stripecast info v3\x00",
	privateVersion: "stripecast info v4\x00",
}

// The layout on the wire, in order: version 1, stream 32, epoch 4, seq 4, k 1,
// m 1, block time 2 (ms), rate 6 (bits/s), media 1, root 32, name 1+…, title 1+…,
// description 1+…, and the signature 64 over domain and all before it. That of a private
// stream, and no other, is version 4, and has thumbnail 1+…, salt 16 and check 16 behind the
// description. Any other with a thumbnail is version 3, and has that 1+… there.
const (
	infoVersion    = 2
	pictureVersion = 3
	privateVersion = 4
)

// MaxInfo is the longest encoded Info, in bytes.
const MaxInfo = 88 + MaxName + MaxTitle + MaxDescription + MaxThumbnail + lockLen + ed25519.SignatureSize

// lockLen is an encoded Lock, in bytes.
const lockLen = 32

// Sign encodes the info and signs it with the stream's key.
func (i Info) Sign(key ed25519.PrivateKey) []byte {
	version := uint8(infoVersion)
	switch {
	case i.Private():
		version = privateVersion
	case i.Thumbnail != "":
		version = pictureVersion
	}
	var w wire.Writer
	w.U8(version)
	w.Raw(i.Stream[:])
	w.U32(i.Epoch)
	w.U32(i.Seq)
	w.U8(uint8(i.Layout.K))
	w.U8(uint8(i.Layout.M))
	w.U16(uint16(i.BlockTime.Milliseconds()))
	w.U48(i.Rate)
	w.U8(uint8(i.Media))
	w.Raw(i.Root[:])
	w.Bytes8([]byte(i.Name))
	w.Bytes8([]byte(i.Title))
	w.Bytes8([]byte(i.Description))
	if version >= pictureVersion {
		w.Bytes8([]byte(i.Thumbnail))
	}
	if version == privateVersion {
		w.Raw(i.Lock.Salt[:])
		w.Raw(i.Lock.Check[:])
	}
	w.Raw(ed25519.Sign(key, append([]byte(infoDomains[version]), w.B...)))
	return w.B
}

// OpenInfo reads a signed Info and checks its signature.
func OpenInfo(b []byte) (Info, error) {
	refuse := func(what any) (Info, error) { return Info{}, fmt.Errorf("%w: %v", ErrInfo, what) }
	if len(b) > MaxInfo || len(b) < ed25519.SignatureSize {
		return refuse("length")
	}
	body, sig := b[:len(b)-ed25519.SignatureSize], b[len(b)-ed25519.SignatureSize:]
	r := wire.NewReader(body)
	var i Info
	version := r.U8()
	domain, known := infoDomains[version]
	if !known {
		return refuse(fmt.Sprintf("version %d", version))
	}
	r.Copy(i.Stream[:])
	i.Epoch = r.U32()
	i.Seq = r.U32()
	i.Layout.K = int(r.U8())
	i.Layout.M = int(r.U8())
	i.BlockTime = time.Duration(r.U16()) * time.Millisecond
	i.Rate = r.U48()
	i.Media = Media(r.U8())
	r.Copy(i.Root[:])
	i.Name = string(r.Bytes8())
	i.Title = string(r.Bytes8())
	i.Description = string(r.Bytes8())
	if version >= pictureVersion {
		i.Thumbnail = string(r.Bytes8())
	}
	if version == privateVersion {
		r.Copy(i.Lock.Salt[:])
		r.Copy(i.Lock.Check[:])
	}
	if err := r.Done(); err != nil {
		return refuse(err)
	}
	if err := i.Layout.Validate(); err != nil {
		return refuse(err)
	}
	switch {
	case i.BlockTime < MinBlockTime || i.BlockTime > MaxBlockTime:
		return refuse("block time")
	case i.Media >= mediaCount:
		return refuse("media")
	case !ValidName(i.Name):
		return refuse("name")
	case !ValidText(i.Title, MaxTitle):
		return refuse("title")
	case !ValidText(i.Description, MaxDescription):
		return refuse("description")
	case !ValidThumbnail(i.Thumbnail) || version == pictureVersion && i.Thumbnail == "":
		return refuse("thumbnail")
	case version == privateVersion && !i.Private():
		return refuse("lock")
	case CheckKey(i.Stream) != nil || CheckKey(i.Root) != nil:
		return refuse(ErrWeakKey)
	}
	if !ed25519.Verify(i.Stream[:], append([]byte(domain), body...), sig) {
		return refuse("signature")
	}
	return i, nil
}

// ValidThumbnail reports whether s may say where a stream's picture is: "", or at most
// MaxThumbnail bytes that begin with https:// and a host, all of them ASCII that is seen, and
// none a quote.
func ValidThumbnail(s string) bool {
	if s == "" {
		return true
	}
	rest, ok := strings.CutPrefix(s, "https://")
	return ok && len(s) <= MaxThumbnail && rest != "" && rest[0] != '/' &&
		!strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' })
}

// SlotRate is what feeding one child one stripe costs, in bits a second on the
// wire: a K-th of the rate, the proof, and a tenth for QUIC and repair.
func (i Info) SlotRate() float64 {
	data := float64(i.Rate) / float64(i.Layout.K)
	proof := float64(i.Layout.ShardOverhead()*8) / i.BlockTime.Seconds()
	return (data + proof) * 1.1
}

// SourceShare is the part of its uplink that a source short of it gives to
// children, and SourceMost is it if k stripes would not fit otherwise: SlotRate
// allows a tenth for QUIC and repair, of which a loss-free path needs half.
const (
	SourceShare = 0.95
	SourceMost  = 0.985
)

// LeastUpload is the uplink with which a source can feed k stripes once, in bits a
// second: about 1.17 times the stream's rate. With less nobody can play it.
func (i Info) LeastUpload() float64 { return i.SlotRate() * float64(i.Layout.K) / SourceMost }
