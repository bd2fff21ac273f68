package quicnet

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
)

const (
	alpnPeer = "stripecast/1"      // the dialler has no bundle with us
	alpnLane = "stripecast-lane/1" // one more connection of a bundle

	resetDomain = "stripecast stateless reset v1"
)

var (
	errNoIdentity = errors.New("no Ed25519 certificate")
	errSelf       = errors.New("that is this node itself")
)

// identity is what a node proves itself with. It is immutable.
type identity struct {
	id    membership.NodeID
	cert  tls.Certificate
	reset quic.StatelessResetKey
}

// newIdentity makes the node's certificate. Its dates are as wide as they can
// be written: nobody checks them, and a clock may be anything.
func newIdentity(key ed25519.PrivateKey) (*identity, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("quicnet: no node key")
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("quicnet: certificate: %w", err)
	}
	// Derived, so that a restarted node can tell peers of its former self so.
	reset, err := hkdf.Key(sha256.New, key.Seed(), nil, resetDomain, len(quic.StatelessResetKey{}))
	if err != nil {
		return nil, fmt.Errorf("quicnet: reset key: %w", err)
	}
	return &identity{
		id:    membership.NodeIDOf(key),
		cert:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		reset: quic.StatelessResetKey(reset),
	}, nil
}

// peerID is who the other side of a connection is. TLS has proved, or is about
// to prove, that it holds the key; the certificate around it is only a carrier.
func peerID(cs tls.ConnectionState) (membership.NodeID, error) {
	if len(cs.PeerCertificates) != 1 {
		return membership.NodeID{}, errNoIdentity
	}
	key, ok := cs.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return membership.NodeID{}, errNoIdentity
	}
	if err := stripe.CheckKey([32]byte(key)); err != nil {
		return membership.NodeID{}, err
	}
	return membership.NodeID(key), nil
}

func (i *identity) config(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             alpn,
		Certificates:           []tls.Certificate{i.cert},
		SessionTicketsDisabled: true,
	}
}

// server accepts any node but itself.
func (i *identity) server() *tls.Config {
	c := i.config(alpnPeer, alpnLane)
	c.ClientAuth = tls.RequireAnyClientCert
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := i.check(cs)
		return err
	}
	return c
}

// client accepts who answers if allow does. allow runs before the other side
// learns that the handshake went well.
func (i *identity) client(alpn string, allow func(membership.NodeID) error) *tls.Config {
	c := i.config(alpn)
	c.InsecureSkipVerify = true // there is no authority; check replaces it
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := i.check(cs)
		if err != nil {
			return err
		}
		return allow(id)
	}
	return c
}

func (i *identity) check(cs tls.ConnectionState) (membership.NodeID, error) {
	id, err := peerID(cs)
	if err == nil && id == i.id {
		err = errSelf
	}
	return id, err
}
