package stripe

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/stripecast/stripecast/stripe/wire"
)

// The blocks of a private stream are encrypted before they are coded, with a key that
// stands in its links and nowhere else: who carries it, carries what it cannot read.
//
//	link key, salt ─HKDF(stream, epoch)─▶ key of the epoch, check
//	block ─AES-256-GCM(nonce: epoch, number; bound to stream, epoch, number)─▶ coded, signed, sent
//
// No nonce is used twice with one key. Within an epoch a Cipher encrypts rising numbers
// only; an epoch is stored before its first use and never comes again; and should one do so
// all the same, because a key file was copied or a disk restored, the salt is another one,
// so the key is too.

// LinkKey is what the links of a private stream hold beside its ID: whoever has it can read
// the stream. The zero LinkKey is none. Text alone writes it; whatever formats, encodes or
// logs it, or what it is in, gets a word instead.
type LinkKey [32]byte

// ErrLinkKey means that a link's key is not how one is written. The text is not repeated.
var ErrLinkKey = errors.New("the link's key is not 52 letters a-z and digits 2-7")

// ParseLinkKey reads what Text wrote, in either case.
func ParseLinkKey(s string) (LinkKey, error) {
	b, _, exact := decodeText(s)
	if k := LinkKey(b); exact && !k.IsZero() {
		return k, nil
	}
	return LinkKey{}, ErrLinkKey
}

// Text is the key in base32, for links.
func (k LinkKey) Text() string { return idText.EncodeToString(k[:]) }

// IsZero reports whether there is no key.
func (k LinkKey) IsZero() bool { return k == LinkKey{} }

// Is compares, in a time that does not depend on the keys.
func (k LinkKey) Is(o LinkKey) bool { return subtle.ConstantTimeCompare(k[:], o[:]) == 1 }

// hiddenKey stands for a key wherever it might be read.
const hiddenKey = "KEY"

// String is not the key.
func (k LinkKey) String() string {
	if k.IsZero() {
		return ""
	}
	return hiddenKey
}

// Format writes String, whatever the verb.
func (k LinkKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText is String.
func (k LinkKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// keyed is a stream ID, or most of one, and the key behind it, or some of that: also if either
// is mistyped, or the . is escaped as in a URL.
var keyed = regexp.MustCompile(`([a-zA-Z0-9]{40,})(?:\.|%2[eE])+[a-zA-Z0-9]{8,}`)

// HideKeys is any text without the keys of the links in it.
func HideKeys(s string) string { return keyed.ReplaceAllString(s, "${1}."+hiddenKey) }

// Lock is what the Info of a private stream says of its key, for everyone to read.
type Lock struct {
	Salt  [16]byte // chance, new at every run of the source
	Check [16]byte // tells the right key from others
}

// NewLock makes the lock of one epoch. salt must be from a source of chance that nobody can
// guess or repeat.
func NewLock(key LinkKey, stream ID, epoch uint32, salt [16]byte) Lock {
	_, check := epochKey(key, stream, epoch, salt)
	return Lock{Salt: salt, Check: check}
}

const privateDomain = "stripecast private v1\x00"

// epochKey derives what encrypts an epoch, and what tells the link key (HKDF, RFC 5869, with
// SHA-256): neither says anything of the other.
func epochKey(key LinkKey, stream ID, epoch uint32, salt [16]byte) (secret [32]byte, check [16]byte) {
	var w wire.Writer
	w.Raw([]byte(privateDomain))
	w.Raw(stream[:])
	w.U32(epoch)
	b, err := hkdf.Key(sha256.New, key[:], salt[:], string(w.B), len(secret)+len(check))
	if err != nil {
		panic(err) // the length is ours
	}
	copy(secret[:], b)
	copy(check[:], b[len(secret):])
	return secret, check
}

// CipherMore is by how many bytes an encrypted block is longer. One of no bytes, as the last
// of an epoch is, is not encrypted.
const CipherMore = 16

var (
	// ErrNoKey means that a stream is private and the link has no key.
	ErrNoKey = errors.New("the stream is private, and the link has no key")
	// ErrWrongKey means that the link's key is another one.
	ErrWrongKey = errors.New("the stream is private, and the link's key is not its key")
	// ErrCipher means that a block is not what this key encrypted: its source erred.
	ErrCipher = errors.New("a block of the private stream cannot be decrypted")
)

// Cipher encrypts or decrypts the blocks of one epoch of a private stream. Many may Decrypt at once.
type Cipher struct {
	aead   cipher.AEAD
	stream ID
	epoch  uint32
	next   uint64 // the lowest number that may be encrypted
}

// NewCipher is for the epoch that info is of, which must be private. It returns ErrNoKey or
// ErrWrongKey, as can be told before any block.
func NewCipher(key LinkKey, info Info) (*Cipher, error) {
	if key.IsZero() {
		return nil, ErrNoKey
	}
	secret, check := epochKey(key, info.Stream, info.Epoch, info.Lock.Salt)
	if subtle.ConstantTimeCompare(check[:], info.Lock.Check[:]) != 1 {
		return nil, ErrWrongKey
	}
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // the length is ours
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return &Cipher{aead: aead, stream: info.Stream, epoch: info.Epoch}, nil
}

// Encrypt returns what is coded and sent instead of a block's data, of which there may be
// MaxBlock − CipherMore bytes. It panics unless numbers rise: one that comes twice would give
// both blocks away.
func (c *Cipher) Encrypt(number uint64, data []byte) []byte {
	if number < c.next {
		panic("stripe: a block's number is used twice")
	}
	c.next = number + 1
	if len(data) == 0 {
		return nil
	}
	nonce, bound := c.about(number)
	return c.aead.Seal(make([]byte, 0, len(data)+CipherMore), nonce, data, bound)
}

// Decrypt is the data of a rebuilt block, or ErrCipher. It leaves sent as it is.
func (c *Cipher) Decrypt(h *Header, sent []byte) ([]byte, error) {
	if len(sent) == 0 {
		return sent, nil
	}
	if h.Stream != c.stream || h.Epoch != c.epoch {
		return nil, fmt.Errorf("%w: block %d is of another epoch", ErrCipher, h.Number)
	}
	nonce, bound := c.about(h.Number)
	data, err := c.aead.Open(nil, nonce, sent, bound)
	if err != nil {
		return nil, fmt.Errorf("%w: block %d", ErrCipher, h.Number)
	}
	return data, nil
}

// about is the nonce of a block, and what it is bound to.
func (c *Cipher) about(number uint64) (nonce, bound []byte) {
	var w wire.Writer
	w.Raw(c.stream[:])
	w.U32(c.epoch)
	w.U64(number)
	return w.B[len(c.stream):], w.B
}

// PlainLen is how long a block of so many bytes is for who reads it.
func (i Info) PlainLen(sent int) int {
	if !i.Private() {
		return sent
	}
	return max(0, sent-CipherMore)
}
