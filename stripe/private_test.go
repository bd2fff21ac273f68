package stripe

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// privateInfo is that of a private stream, and its key.
func privateInfo() (LinkKey, Info) {
	var key LinkKey
	copy(key[:], "a key of thirty-two bytes, secret")
	i := sampleInfo()
	i.Lock = NewLock(key, i.Stream, i.Epoch, [16]byte{5, 6, 7})
	return key, i
}

func cipherOf(t *testing.T, key LinkKey, i Info) *Cipher {
	t.Helper()
	c, err := NewCipher(key, i)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCipher: what was encrypted is decrypted, by its stream, epoch and number alone, and
// not when a bit of it is another.
func TestCipher(t *testing.T) {
	key, info := privateInfo()
	data := bytes.Repeat([]byte("0123456789"), 30)
	seals, opens := cipherOf(t, key, info), cipherOf(t, key, info)
	sent := seals.Encrypt(7, data)
	h := Header{Stream: info.Stream, Epoch: info.Epoch, Number: 7}
	if len(sent) != len(data)+CipherMore || info.PlainLen(len(sent)) != len(data) || bytes.Contains(sent, data[:10]) {
		t.Errorf("%d bytes of %d, or they can be read", len(sent), len(data))
	}
	before := bytes.Clone(sent)
	if got, err := opens.Decrypt(&h, sent); err != nil || !bytes.Equal(got, data) || !bytes.Equal(sent, before) {
		t.Errorf("%q, %v", got, err)
	}
	for bit := range len(sent) * 8 {
		bad := bytes.Clone(sent)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := opens.Decrypt(&h, bad); !errors.Is(err, ErrCipher) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for name, change := range map[string]func(*Header){
		"number": func(h *Header) { h.Number++ }, "epoch": func(h *Header) { h.Epoch++ }, "stream": func(h *Header) { h.Stream[3]++ },
	} {
		other := h
		change(&other)
		if _, err := opens.Decrypt(&other, sent); !errors.Is(err, ErrCipher) {
			t.Errorf("with another %s: %v", name, err)
		}
	}
	for n := 1; n < len(sent); n++ {
		if _, err := opens.Decrypt(&h, sent[:n]); !errors.Is(err, ErrCipher) {
			t.Fatalf("%d bytes of it: %v", n, err)
		}
	}
	if none := seals.Encrypt(8, nil); len(none) != 0 || info.PlainLen(0) != 0 {
		t.Errorf("an empty block becomes %d bytes", len(none))
	}
	if got, err := opens.Decrypt(&h, nil); err != nil || len(got) != 0 {
		t.Errorf("an empty block is read as %q, %v", got, err)
	}
	if plain := sampleInfo(); plain.PlainLen(100) != 100 {
		t.Error("a stream that is not private has other lengths")
	}
}

// TestNonces: none comes twice, and where it could because an epoch did, the key is another.
func TestNonces(t *testing.T) {
	key, info := privateInfo()
	seen := map[string]bool{}
	keystream := map[string]bool{}
	for epoch := range uint32(20) {
		for salt := range byte(3) {
			info.Epoch, info.Lock = epoch, NewLock(key, info.Stream, epoch, [16]byte{salt})
			c := cipherOf(t, key, info)
			secret, _ := epochKey(key, info.Stream, epoch, info.Lock.Salt)
			for number := uint64(0); number < 1<<33; number = number*3 + 1 {
				nonce, _ := c.about(number)
				if used := string(secret[:]) + string(nonce); seen[used] || len(nonce) != c.aead.NonceSize() {
					t.Fatalf("epoch %d, salt %d, number %d: nonce %x", epoch, salt, number, nonce)
				} else {
					seen[used] = true
				}
				// Of zeros all that is sent is the key stream.
				if sent := string(c.Encrypt(number, make([]byte, 32))[:32]); keystream[sent] {
					t.Fatalf("epoch %d, salt %d, number %d: one key stream for two blocks", epoch, salt, number)
				} else {
					keystream[sent] = true
				}
			}
		}
	}
	c := cipherOf(t, key, info)
	c.Encrypt(5, []byte("x"))
	for _, again := range []uint64{5, 4, 0} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("number %d after 5 is encrypted", again)
				}
			}()
			c.Encrypt(again, []byte("y"))
		}()
	}
}

// TestLock: the right key is known by the info alone, and no other is taken for it.
func TestLock(t *testing.T) {
	key, info := privateInfo()
	if _, err := NewCipher(LinkKey{}, info); !errors.Is(err, ErrNoKey) {
		t.Errorf("no key: %v", err)
	}
	wrong := key
	wrong[31] ^= 1
	if _, err := NewCipher(wrong, info); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	for name, change := range map[string]func(*Info){
		"epoch": func(i *Info) { i.Epoch++ }, "stream": func(i *Info) { i.Stream[0]++ },
		"salt": func(i *Info) { i.Lock.Salt[0]++ }, "check": func(i *Info) { i.Lock.Check[15]++ },
	} {
		other := info
		change(&other)
		if _, err := NewCipher(key, other); !errors.Is(err, ErrWrongKey) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	if bytes.Contains(info.Sign(keyOf(1)), key[:8]) {
		t.Error("the info tells the key")
	}
}

// Encodings are all the ways in which a key may stand in a text.
func encodings(k LinkKey) []string {
	return []string{
		k.Text(), strings.ToUpper(k.Text()), hex.EncodeToString(k[:]), string(k[:]), base64.StdEncoding.EncodeToString(k[:]),
		base64.RawURLEncoding.EncodeToString(k[:]), base32.StdEncoding.EncodeToString(k[:]),
		strings.Trim(fmt.Sprint([32]byte(k)), "[]"), strings.Trim(fmt.Sprintf("%#v", [32]byte(k)), "[32]uint8{}"),
	}
}

// TestKeyIsNotFormatted: whoever formats, logs or encodes a key, or a struct with it, gets a word.
func TestKeyIsNotFormatted(t *testing.T) {
	key, _ := privateInfo()
	link := Link{ID: IDOf(keyOf(1)), Key: key, Hosts: []string{"h:1"}}
	if !strings.Contains(link.String(), key.Text()) || link.Public().String() == link.String() {
		t.Fatal("the link has no key: this test shows nothing")
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("a key", "key", key)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("a key", "key", key)
	type inside struct {
		Key LinkKey
		N   int
	}
	encoded, err := json.Marshal(inside{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{logged.String(), string(encoded), link.Public().String(), HideKeys(link.String()), HideKeys(strings.ToUpper(link.String()))}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, key), fmt.Sprintf(verb, inside{Key: key}))
	}
	for _, text := range texts {
		for _, e := range encodings(key) {
			if strings.Contains(text, e) {
				t.Errorf("%q holds the key", text)
			}
		}
	}
	if got := HideKeys("see " + link.String() + " and"); got != "see "+LinkScheme+link.ID.String()+".KEY@h:1/ and" {
		t.Errorf("hidden: %s", got)
	}
	id, k := link.ID.String(), key.Text()
	for _, mistyped := range []string{id + "%2E" + k, id + "%2e" + k, id + ".." + k, id[:51] + "1." + k, id + "." + k[:3] + "1" + k[4:], id + "." + k[:20] + "8" + k[21:]} {
		if got := HideKeys(mistyped); strings.Contains(got, k[21:]) || strings.Contains(got, k[:8]) {
			t.Errorf("%q is hidden as %q", mistyped, got)
		}
	}
	for _, plain := range []string{"", "pool.example.org:7070", link.Public().String(), "a.b", "clip.ts of " + link.ID.String() + ". Then"} {
		if got := HideKeys(plain); got != plain {
			t.Errorf("%q becomes %q", plain, got)
		}
	}
}

// TestErrorsHideKeys: what is wrong with a link is said without its key.
func TestErrorsHideKeys(t *testing.T) {
	key, _ := privateInfo()
	id, k := IDOf(keyOf(1)).String(), key.Text()
	for _, s := range []string{
		"http://" + id + "." + k + "@h:1/", id + "." + k + "@h:1/x", LinkScheme + id + "." + k, LinkScheme + id + "." + k + "/x",
		LinkScheme + id + "." + k + "x@h:1/", LinkScheme + id + "." + k + "@", LinkScheme + id + "." + k + "@h/", LinkScheme + id[1:] + "." + k + "@h:1/",
		LinkScheme + k + "x." + id + "@h:1/", LinkScheme + id + "." + k + "@h:1/%zz", LinkScheme + id + "." + strings.ToUpper(k) + "@h:0/x",
	} {
		_, err := ParseLink(s)
		if !errors.Is(err, ErrLink) {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if strings.Contains(strings.ToLower(err.Error()), k[:26]) {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{id + "." + k, k + "x", strings.ToUpper(k) + " "} {
		if _, err := ParseID(s); err == nil || strings.Contains(strings.ToLower(err.Error()), k[:26]) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	key, info := privateInfo()
	seal, err := NewCipher(key, info)
	if err != nil {
		f.Fatal(err)
	}
	whole := seal.Encrypt(3, []byte("what was said"))
	f.Add(info.Epoch, uint64(3), whole)
	f.Add(info.Epoch, uint64(4), whole[:16])
	f.Add(uint32(0), uint64(1<<40), []byte{})
	opens, err := NewCipher(key, info)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, epoch uint32, number uint64, sent []byte) {
		data, err := opens.Decrypt(&Header{Stream: info.Stream, Epoch: epoch, Number: number}, sent)
		switch {
		case len(sent) == 0:
			if err != nil || len(data) != 0 {
				t.Errorf("an empty block: %q, %v", data, err)
			}
		case err != nil:
			if !errors.Is(err, ErrCipher) {
				t.Error(err)
			}
		case epoch != info.Epoch || number != 3 || !bytes.Equal(sent, whole):
			t.Errorf("epoch %d, block %d: %x is read as %q", epoch, number, sent, data)
		}
	})
}
