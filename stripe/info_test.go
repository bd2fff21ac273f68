package stripe

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInfo(t *testing.T) {
	long := sampleInfo()
	long.Name, long.Media, long.BlockTime, long.Layout = strings.Repeat("ü", MaxName/2), MediaOpaque, MaxBlockTime, Layout{K: 60, M: 4}
	long.Title, long.Description = strings.Repeat("ö", MaxTitle/2), strings.Repeat("d", MaxDescription)
	long.Thumbnail = "https://" + strings.Repeat("h", MaxThumbnail-8)
	long.Lock = Lock{Salt: [16]byte{1}, Check: [16]byte{2}}
	long.Rate, long.Epoch, long.Seq = 1<<48-1, 1<<32-1, 1<<32-1
	pictured, private := sampleInfo(), sampleInfo()
	pictured.Thumbnail = "https://example.org/picture.jpg"
	private.Lock = long.Lock
	for version, want := range map[byte]Info{2: sampleInfo(), 3: pictured, 4: private, 4 + 128: long} {
		b := want.Sign(keyOf(1))
		if got, err := OpenInfo(b); err != nil || got != want {
			t.Fatalf("%+v %v, want %+v", got, err, want)
		}
		if b[0] != version&127 {
			t.Errorf("version %d, want %d", b[0], version&127)
		}
		if len(b) > MaxInfo || want == long && len(b) != MaxInfo {
			t.Errorf("%d bytes, at most %d", len(b), MaxInfo)
		}
		for bit := range len(b) * 8 {
			bad := slices.Clone(b)
			bad[bit/8] ^= 1 << (bit % 8)
			if _, err := OpenInfo(bad); !errors.Is(err, ErrInfo) {
				t.Fatalf("bit %d flipped: %v", bit, err)
			}
		}
		for n := range b {
			if _, err := OpenInfo(b[:n]); !errors.Is(err, ErrInfo) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		if _, err := OpenInfo(append(b, 0)); !errors.Is(err, ErrInfo) {
			t.Error("a byte too many is accepted")
		}
		if _, err := OpenInfo(want.Sign(keyOf(9))); !errors.Is(err, ErrInfo) {
			t.Error("another's signature is accepted")
		}
	}
}

func TestInfoRefuses(t *testing.T) {
	for name, change := range map[string]func(*Info){
		"no shards":             func(i *Info) { i.Layout = Layout{0, 4} },
		"too many shards":       func(i *Info) { i.Layout = Layout{60, 5} },
		"no block time":         func(i *Info) { i.BlockTime = 0 },
		"long block time":       func(i *Info) { i.BlockTime = MaxBlockTime + time.Millisecond },
		"media":                 func(i *Info) { i.Media = mediaCount },
		"long name":             func(i *Info) { i.Name = strings.Repeat("n", MaxName+1) },
		"long title":            func(i *Info) { i.Title = strings.Repeat("t", MaxTitle+1) },
		"title of lines":        func(i *Info) { i.Title = "one\ntwo" },
		"no text":               func(i *Info) { i.Description = "\xff" },
		"thumbnail in the open": func(i *Info) { i.Thumbnail = "http://example.org/x.jpg" },
		"thumbnail of nobody":   func(i *Info) { i.Thumbnail = "https:///x.jpg" },
		"thumbnail quoted":      func(i *Info) { i.Thumbnail = `https://example.org/"` },
		"thumbnail of words":    func(i *Info) { i.Thumbnail = "https://example.org/a b" },
		"thumbnail not ASCII":   func(i *Info) { i.Thumbnail = "https://example.org/ü" },
		"no root":               func(i *Info) { i.Root = [32]byte{} },
	} {
		i := sampleInfo()
		change(&i)
		if _, err := OpenInfo(i.Sign(keyOf(1))); !errors.Is(err, ErrInfo) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A private stream has a lock: one encoding says that it has none.
	open := sampleInfo()
	open.Lock.Salt[0] = 1
	b := open.Sign(keyOf(1))
	clear(b[len(b)-ed25519.SignatureSize-lockLen : len(b)-ed25519.SignatureSize])
	if _, err := OpenInfo(b); !errors.Is(err, ErrInfo) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("private without a lock: %v", err)
	}
	// Anyone can sign for the identity key: R is the identity, S is zero.
	i := sampleInfo()
	i.Stream = weakKeys()["identity"]
	b = i.Sign(keyOf(1))
	forged := append(b[:len(b)-ed25519.SignatureSize:len(b)-ed25519.SignatureSize], append([]byte{1}, make([]byte, 63)...)...)
	body := forged[:len(forged)-ed25519.SignatureSize]
	if !ed25519.Verify(i.Stream[:], append([]byte(infoDomains[infoVersion]), body...), forged[len(body):]) {
		t.Fatal("Go refuses the identity key by itself: this test shows nothing")
	}
	if _, err := OpenInfo(forged); !errors.Is(err, ErrInfo) {
		t.Errorf("an info of the identity key: %v", err)
	}
}

func TestMediaNames(t *testing.T) {
	seen := map[string]bool{}
	for m := range mediaCount {
		seen[m.String()] = true
		if !strings.Contains(m.MIME(), "/") {
			t.Errorf("%v: %q", m, m.MIME())
		}
		if sound := strings.HasPrefix(m.MIME(), "audio/") || m == MediaOgg; m.Radio() != sound {
			t.Errorf("%v: radio is %v", m, m.Radio())
		}
	}
	if len(seen) != int(mediaCount) {
		t.Errorf("%d names for %d media", len(seen), mediaCount)
	}
}

func FuzzOpenInfo(f *testing.F) {
	f.Add(sampleInfo().Sign(keyOf(1)))
	f.Add(Info{}.Sign(keyOf(1)))
	pictured := sampleInfo()
	pictured.Thumbnail = "https://example.org/picture.jpg"
	f.Add(pictured.Sign(keyOf(1)))
	private := sampleInfo()
	private.Lock = NewLock(LinkKey{1}, private.Stream, private.Epoch, [16]byte{2})
	f.Add(private.Sign(keyOf(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Signed anew, so that what lies behind the signature is reached too.
		if n := len(b) - ed25519.SignatureSize; n > 0 && n < MaxInfo {
			body := bytes.Clone(b[:n])
			if id := IDOf(keyOf(1)); n > 33 {
				copy(body[1:], id[:])
			}
			b = append(body, ed25519.Sign(keyOf(1), append([]byte(infoDomains[body[0]]), body...))...)
		}
		i, err := OpenInfo(b)
		if err != nil {
			if !errors.Is(err, ErrInfo) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(i.Sign(keyOf(1)), b) {
			t.Errorf("%+v does not encode to what it was read from", i)
		}
	})
}

// A text that was made to fit is valid, says the same, and stays as it is.
func TestFitText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"Artist - Title":             "Artist - Title",
		"  two\r\nlines\t\x00of it ": "two lines of it",
		"caf\xe9":                    "caf\ufffd",
		"áéíóú áéíóú":                "áéíóú áé",
		"0123456789abcde xyz":        "0123456789abcde",
		"\u202egnorw":                "gnorw",
	} {
		got := FitText(in, 16)
		if got != want || !ValidText(got, 16) || FitText(got, 16) != got {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A text that can be printed keeps all that is no control character.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"Artist – Title":       "Artist – Title",
		"a\r\nb\tc\x00":        "abc",
		"\x1b[2Jgone\u009b31m": "[2Jgone31m",
		"caf\xe9\xe9!":         "caf\ufffd!",
	} {
		if got := Printable(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
