package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stripecast/stripecast/relay/host"
)

func TestKeyFileRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key := host.NewKey()
	if err := writeKey(path, key); err != nil {
		t.Fatal(err)
	}
	got, err := readKey(path)
	if err != nil || !got.Equal(key) {
		t.Fatalf("read another key: %v", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeKey(path, host.NewKey()); err == nil {
		t.Error("a key was overwritten")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Error("the key changed")
	}
}

// TestOpensslKey reads a key as openssl genpkey -algorithm ed25519 writes it.
func TestOpensslKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	// The first test vector of RFC 8032, section 7.1.
	const file = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := readKey(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
	if got := fmt.Sprintf("%x", key.Public()); got != want {
		t.Errorf("public key %s, want %s", got, want)
	}
}

func TestReadKeyRefuses(t *testing.T) {
	pemOf := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	ed, err := x509.MarshalPKCS8PrivateKey(host.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "words": []byte("a key\n"), "cut short": pemOf(pemType, ed)[:60],
		"cut inside": pemOf(pemType, ed[:len(ed)-4]), "another curve": pemOf(pemType, ec), "public": pemOf("PUBLIC KEY", ed),
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readKey(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSourceKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	first, where, made, err := sourceKey(path)
	if err != nil || !made || where != path {
		t.Fatal(where, made, err)
	}
	again, _, made, err := sourceKey(path)
	if err != nil || made || !again.Equal(first) {
		t.Fatal("the second time it is another", made, err)
	}
}

// TestNodeKey: a source is the same node after a restart, and its node key does
// not betray its stream key.
func TestNodeKey(t *testing.T) {
	key := host.NewKey()
	node := nodeKey(key)
	if !node.Equal(nodeKey(ed25519.NewKeyFromSeed(key.Seed()))) {
		t.Error("another node key each time")
	}
	if node.Equal(key) || node.Equal(nodeKey(host.NewKey())) {
		t.Error("node keys are not the streams' own")
	}
}

func TestNextEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	last := uint32(0)
	for range 3 {
		now := time.Now().Unix()
		e, err := nextEpoch(path)
		if err != nil || e <= last || int64(e) < now {
			t.Fatalf("epoch %d after %d: %v", e, last, err)
		}
		last = e
		if b, err := os.ReadFile(path + ".epoch"); err != nil || string(b) != fmt.Sprintln(e) {
			t.Fatalf("the file has %q, %v", b, err)
		}
	}
	// A clock that was set back does not repeat one.
	write := func(s string) {
		if err := os.WriteFile(path+".epoch", []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("4000000000\n")
	if e, err := nextEpoch(path); err != nil || e != 4000000001 {
		t.Errorf("epoch %d, %v", e, err)
	}
	for _, bad := range []string{"", "many", "-1", "4294967296", "4294967295"} {
		write(bad)
		if e, err := nextEpoch(path); err == nil {
			t.Errorf("epoch %d after %q", e, bad)
		}
		if b, err := os.ReadFile(path + ".epoch"); err != nil || string(b) != bad {
			t.Errorf("%q was replaced by %q", bad, b)
		}
	}
	if _, err := nextEpoch(filepath.Join(t.TempDir(), "no", "key")); err == nil {
		t.Error("an epoch that cannot be kept")
	}
	left, err := filepath.Glob(path + ".epoch.*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
