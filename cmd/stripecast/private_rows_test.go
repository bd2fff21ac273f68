//go:build linux

package main

import (
	"os"
	"strings"

	"github.com/stripecast/stripecast/stripe"
)

// secret is a key of a link.
var secret = stripe.LinkKey{1, 2, 3}

// privately opens a private stream with a link's key.
func privately(key stripe.LinkKey) func(*stage) error {
	return func(s *stage) error {
		info := stripe.Info{Stream: stripe.ID{1}, Epoch: 1}
		info.Lock = stripe.NewLock(secret, info.Stream, info.Epoch, [16]byte{1})
		return (&console{err: &strings.Builder{}}).unlock(info, stripe.Link{ID: info.Stream, Key: key})
	}
}

// beside runs a private source beside whose key something is where the link's should be.
func beside(put func(path string) error) func(*stage) error {
	return func(s *stage) error {
		if err := put(s.filled("{dir}/shut.key") + linkKeyEnd); err != nil {
			s.Fatal(err)
		}
		return line("source", "{dir}/clip.ts", "--private", "--key", "{dir}/shut.key", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")(s)
	}
}

func privateMessages() []message {
	const path = "{dir}/shut.key.private"
	return []message{
		{vi("stripecast://{id}.abc@127.0.0.1:1/x"), "bad link: the link's key is not 52 letters a-z and digits 2-7", linkHint},
		{privately(stripe.LinkKey{}), "the stream is private, and the link has no key", "ask whoever publishes it for the whole link, which begins stripecast://ID.KEY@"},
		{privately(stripe.LinkKey{4}), "the stream is private, and the link's key is not its key", "ask whoever publishes it for the link that its source printed last"},
		{beside(func(path string) error { return os.WriteFile(path, []byte("nothing\n"), 0o600) }), path + " is damaged: it holds no link key",
			"remove the file and a new key is made: links that were given away then open nothing"},
		{beside(func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		}), "read " + path + ": is a directory", "the key of the links is kept beside the stream's key; make the file readable or move the key"},
		{beside(func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Symlink("no/such", path)
		}), "open " + path + ": file exists", "the key of the links is kept beside the stream's key; make the directory writable or move the key"},
	}
}
