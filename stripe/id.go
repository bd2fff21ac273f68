package stripe

import (
	"crypto/ed25519"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

// ID names a stream: it is the source's Ed25519 public key.
type ID [ed25519.PublicKeySize]byte

// Tag is the first eight bytes of an ID. It tells the streams of one
// participant apart on the wire; what it names is proved by the signature.
type Tag [8]byte

// ErrWeakKey means that a public key is not canonical or of small order. Go's
// ed25519 accepts such keys, and with the identity key any signature at all.
var ErrWeakKey = errors.New("public key is not canonical or has small order")

var idText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// IDOf is the ID of the stream that key publishes.
func IDOf(key ed25519.PrivateKey) ID {
	return ID(key.Public().(ed25519.PublicKey))
}

// ParseID reads what ID.String wrote, in either case. It refuses weak keys.
func ParseID(s string) (ID, error) {
	b, ok, exact := decodeText(s)
	if !ok {
		return ID{}, fmt.Errorf("%q is not a stream ID: want 52 letters a-z and digits 2-7", beginning(s))
	}
	if !exact {
		return ID{}, fmt.Errorf("%q is not how a stream ID is written", beginning(s))
	}
	if err := CheckKey(b); err != nil {
		return ID{}, err
	}
	return b, nil
}

// decodeText reads 32 bytes in base32, in either case, if it can (ok). They are written so
// (exact) only without the line ends and spare bits that the decoder skips.
func decodeText(s string) (b [32]byte, ok, exact bool) {
	s = strings.ToLower(s)
	raw, err := idText.DecodeString(s)
	if err != nil || len(raw) != len(b) {
		return b, false, false
	}
	b = [32]byte(raw)
	return b, true, idText.EncodeToString(raw) == s
}

// CheckKey returns ErrWeakKey unless key is the canonical encoding of a point
// whose order is not small (RFC 8032, section 5.1; the cofactor is 8).
func CheckKey(key [32]byte) error {
	p, err := new(edwards25519.Point).SetBytes(key[:])
	if err != nil || [32]byte(p.Bytes()) != key {
		return ErrWeakKey
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return ErrWeakKey
	}
	return nil
}

// String is the ID in base32: 52 lower-case letters and digits.
func (id ID) String() string { return idText.EncodeToString(id[:]) }

// Short is the first eight letters, for people.
func (id ID) Short() string { return id.String()[:8] }

// Tag is the ID's tag on the wire.
func (id ID) Tag() Tag { return Tag(id[:8]) }

func short(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// beginning is enough of a text to know it by, and too little of a key to be one.
func beginning(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}
