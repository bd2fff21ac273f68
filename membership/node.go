package membership

import (
	"crypto/ed25519"
	"encoding/hex"

	"github.com/stripecast/stripecast/stripe"
)

// NodeID names a participant: its Ed25519 public key, which its TLS certificate
// and its record are signed with.
type NodeID [ed25519.PublicKeySize]byte

// ShortID is the first eight bytes of a NodeID: enough to find a loop or an
// ancestor in a path, not to prove anything.
type ShortID [8]byte

// NodeIDOf is the ID of the node that holds key.
func NodeIDOf(key ed25519.PrivateKey) NodeID {
	return NodeID(key.Public().(ed25519.PublicKey))
}

// ParseNodeID reads NodeID.String and refuses weak keys.
func ParseNodeID(s string) (NodeID, error) {
	id, err := stripe.ParseID(s)
	return NodeID(id), err
}

// IsZero reports whether the ID names nobody.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// String is the ID in base32: 52 lower-case letters and digits.
func (id NodeID) String() string { return stripe.ID(id).String() }

// Brief is the first eight letters, for people.
func (id NodeID) Brief() string { return stripe.ID(id).Short() }

// Short is the ID as it stands in a path.
func (id NodeID) Short() ShortID { return ShortID(id[:8]) }

// String is the short ID in hexadecimal.
func (s ShortID) String() string { return hex.EncodeToString(s[:]) }

// Brief is the first eight letters of the ID that it is short for, as NodeID.Brief is.
func (s ShortID) Brief() string {
	var id NodeID
	copy(id[:], s[:])
	return id.Brief()
}
