package view

import (
	"sync"

	"github.com/stripecast/stripecast/stripe"
)

// Keyring is the key of a viewer's link, if it has one, and what that opens. Many goroutines
// may use it.
type Keyring struct {
	key stripe.LinkKey

	mu     sync.Mutex // guards what follows: what was opened last
	of     lockOf
	cipher *stripe.Cipher
	err    error
}

// lockOf is what is opened: an epoch's lock.
type lockOf struct {
	stream stripe.ID
	epoch  uint32
	lock   stripe.Lock
}

// NewKeyring returns the keyring of a link with that key, which may be none.
func NewKeyring(key stripe.LinkKey) *Keyring { return &Keyring{key: key} }

// Opens says why a stream cannot be read: stripe.ErrNoKey or stripe.ErrWrongKey. One that is
// not private anyone can.
func (k *Keyring) Opens(info stripe.Info) error {
	if !info.Private() {
		return nil
	}
	_, err := k.opened(info)
	return err
}

// Decrypt is a block of the stream's epoch as the source had it; that of a stream that is not
// private is as it is. sent is not changed.
func (k *Keyring) Decrypt(info stripe.Info, h *stripe.Header, sent []byte) ([]byte, error) {
	if !info.Private() {
		return sent, nil
	}
	cipher, err := k.opened(info)
	if err != nil {
		return nil, err
	}
	return cipher.Decrypt(h, sent)
}

func (k *Keyring) opened(info stripe.Info) (*stripe.Cipher, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if of := (lockOf{info.Stream, info.Epoch, info.Lock}); of != k.of {
		k.of = of
		k.cipher, k.err = stripe.NewCipher(k.key, info)
	}
	return k.cipher, k.err
}
