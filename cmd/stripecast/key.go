package main

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/stripe"
)

const pemType = "PRIVATE KEY" // PKCS #8 (RFC 5958), as openssl writes it

func newKey(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make or show a source's key",
		Long: "Make or show a source's key. Whoever holds the key publishes the stream; the\n" +
			"stream's ID is its public half.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new FILE",
		Short: "Make a key in FILE, which must not exist, and print its stream ID",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key := host.NewKey()
			if err := writeKey(args[0], key); err != nil {
				return err
			}
			fmt.Fprintln(c.out, stripe.IDOf(key))
			return nil
		},
	}, &cobra.Command{
		Use:   "show FILE",
		Short: "Print the stream ID of the key in FILE",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := readKey(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintln(c.out, stripe.IDOf(key))
			return nil
		},
	})
	return cmd
}

// writeKey never overwrites: a key that is gone is a stream that is gone.
func writeKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fail(fmt.Errorf("%s exists already", path), "stripecast key show %s prints its stream ID", path)
	case err != nil:
		return fail(err, "give a file in a directory that exists and that you may write to")
	}
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func readKey(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fail(err, "stripecast key new %s makes one", path)
	}
	block, _ := pem.Decode(b)
	if block != nil && block.Type == pemType {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := key.(ed25519.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, fail(fmt.Errorf("%s holds no Ed25519 key", path), "stripecast key new FILE makes one")
}

// sourceKey reads the key in path, or the default one, and makes it if missing.
func sourceKey(path string) (key ed25519.PrivateKey, where string, made bool, err error) {
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, "", false, fail(err, "say where the key is with --key FILE")
		}
		path = filepath.Join(dir, "stripecast", "source.key")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, "", false, fail(err, "say where the key is with --key FILE")
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		key = host.NewKey()
		return key, path, true, writeKey(path, key)
	}
	key, err = readKey(path)
	return key, path, false, err
}

// nextEpoch takes the next epoch of the key in path: above every one before, and
// on disk before it is used. It follows the wall clock where it can, so that a
// lost file does not repeat an epoch.
func nextEpoch(path string) (uint32, error) {
	path += ".epoch"
	hint := "the epoch must be kept beside the key; make the directory writable or move the key"
	last := uint64(0)
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if last, err = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err != nil {
			return 0, fail(fmt.Errorf("%s is damaged: it holds no epoch", path), "if the stream's last run was before now, remove the file")
		}
	case !errors.Is(err, fs.ErrNotExist):
		return 0, fail(err, "%s", hint)
	}
	next := max(last+1, uint64(time.Now().Unix()))
	if next > 1<<32-1 {
		return 0, fail(errors.New("this key has used all its epochs"), "make a new key")
	}
	if err := replaceFile(path, fmt.Sprintln(next)); err != nil {
		return 0, fail(err, "%s", hint)
	}
	return uint32(next), nil
}

// replaceFile writes a file such that there is a whole one at any time, the old or the new.
func replaceFile(path, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// nodeKey derives the source's node key from its stream key, so that the root of
// the forest is the same node after a restart.
func nodeKey(stream ed25519.PrivateKey) ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, stream.Seed(), nil, "stripecast source node v1", ed25519.SeedSize)
	if err != nil {
		panic(err) // the length is ours
	}
	return ed25519.NewKeyFromSeed(seed)
}
