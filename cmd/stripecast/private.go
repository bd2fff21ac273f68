package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/stripecast/stripecast/stripe"
)

// The key of a private stream goes where a person puts it: from the source's standard output
// into the viewers' links. Nothing else that is written, logged or served holds it.

// linkKeyEnd is behind the name of the stream's key file in that of its link key.
const linkKeyEnd = ".private"

// linkKey reads the key of the links of the stream whose key is in path, and makes it if
// missing, so that links stay good when the source is started again.
func linkKey(path string) (key stripe.LinkKey, made bool, err error) {
	path += linkKeyEnd
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if key, err = stripe.ParseLinkKey(strings.TrimSpace(string(b))); err != nil {
			return key, false, fail(fmt.Errorf("%s is damaged: it holds no link key", path), "remove the file and a new key is made: links that were given away then open nothing")
		}
		return key, false, nil
	case !errors.Is(err, fs.ErrNotExist):
		return key, false, fail(err, "the key of the links is kept beside the stream's key; make the file readable or move the key")
	}
	rand.Read(key[:]) // never fails
	return key, true, writeLinkKey(path, key)
}

// writeLinkKey never overwrites, and leaves no half of a key.
func writeLinkKey(path string, key stripe.LinkKey) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, key.Text())
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}
	if err != nil {
		return fail(err, "the key of the links is kept beside the stream's key; make the directory writable or move the key")
	}
	return nil
}

// wasPrivate reports whether the stream whose key is in path has a link key.
func wasPrivate(path string) bool {
	_, err := os.Stat(path + linkKeyEnd)
	return err == nil
}

// unlock says why a link does not open the stream that info is of.
func (c *console) unlock(info stripe.Info, link stripe.Link) error {
	if !info.Private() {
		if !link.Key.IsZero() {
			c.say("warning: the link has a key, but the stream is not private: anyone can watch it")
		}
		return nil
	}
	_, err := stripe.NewCipher(link.Key, info)
	return explainKey(err)
}

// explainKey says what to do about a key.
func explainKey(err error) error {
	switch {
	case errors.Is(err, stripe.ErrNoKey):
		return fail(err, "ask whoever publishes it for the whole link, which begins stripecast://ID.KEY@")
	case errors.Is(err, stripe.ErrWrongKey):
		return fail(err, "ask whoever publishes it for the link that its source printed last")
	}
	return err
}

// discreet writes anything but keys.
type discreet struct{ to io.Writer }

// Write implements io.Writer. Whole lines come at once.
func (d discreet) Write(p []byte) (int, error) {
	if _, err := io.WriteString(d.to, stripe.HideKeys(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
