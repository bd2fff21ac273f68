package vectors

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/stripe"
)

// compare fails unless the vector in the document is what the code made.
func compare(t *testing.T, name string, made []byte) {
	t.Helper()
	if want := bytesOf(t, name); !bytes.Equal(want, made) {
		t.Errorf("%s: PROTOCOL.md has\n\t%x\nthe code makes\n\t%x", name, want, made)
	}
}

func TestKeys(t *testing.T) {
	made := fmt.Sprintf("stream %s\nsource %s\nrelay %s\n", streamID, sourceID, relayID)
	if got := textOf(t, "ids"); got != made {
		t.Errorf("ids: PROTOCOL.md has\n%s\nthe code makes\n%s", got, made)
	}
	for _, line := range lines(textOf(t, "weak keys")) {
		b, err := hex.DecodeString(strings.Fields(line)[0])
		if err != nil || len(b) != len(stripe.ID{}) {
			t.Fatalf("weak key %q: %v", line, err)
		}
		if err := stripe.CheckKey([32]byte(b)); !errors.Is(err, stripe.ErrWeakKey) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestMatrix: unit vectors through the coder show its parity rows.
func TestMatrix(t *testing.T) {
	for _, l := range []stripe.Layout{header.Layout, stripe.DefaultLayout} {
		c, err := fec.New(l)
		if err != nil {
			t.Fatal(err)
		}
		var rows []byte
		for row := range l.M {
			for column := range l.K {
				block := make([]byte, l.K*stripe.ShardUnit)
				block[column*stripe.ShardUnit] = 1
				rows = append(rows, c.Encode(block)[l.K+row][0])
			}
		}
		compare(t, "matrix "+l.String(), rows)
	}
}

func TestShard(t *testing.T) {
	shards := sealed(t)
	for name, made := range map[string]*stripe.Shard{"shard": shards[1], "shard of parity": shards[4]} {
		compare(t, name, made.Encoded())
		got, err := parseShard(bytesOf(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		root := got.Root()
		compare(t, "root", root[:])
		if got.Header != header || got.Index != made.Index || !bytes.Equal(got.Data, made.Data) {
			t.Errorf("%s is read as %+v", name, got)
		}
	}
}

// TestRebuiltShard: any k shards lead back to the others as they stand in the
// document.
func TestRebuiltShard(t *testing.T) {
	c, err := fec.New(header.Layout)
	if err != nil {
		t.Fatal(err)
	}
	shards := sealed(t)
	all, err := c.Rebuild([][]byte{nil, nil, shards[2].Data, shards[3].Data, shards[4].Data})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.Join(all, header.DataLen), blockData()) {
		t.Error("the block is another one")
	}
	again, ok := stripe.Reseal(shards[2], all)
	if !ok {
		t.Fatal("the root is another one")
	}
	compare(t, "shard", again[1].Encoded())
}

func TestInfo(t *testing.T) {
	compare(t, "info", info().Sign(streamKey))
	got, err := stripe.OpenInfo(bytesOf(t, "info"))
	if err != nil || got != info() {
		t.Errorf("info is read as %+v, %v", got, err)
	}
	compare(t, "info3", pictured().Sign(streamKey))
	if got, err := stripe.OpenInfo(bytesOf(t, "info3")); err != nil || got != pictured() {
		t.Errorf("info3 is read as %+v, %v", got, err)
	}
}

// TestPrivate: the lock, the encrypted block 7, and back.
func TestPrivate(t *testing.T) {
	compare(t, "info4", private().Sign(streamKey))
	got, err := stripe.OpenInfo(bytesOf(t, "info4"))
	if err != nil || got != private() {
		t.Errorf("info4 is read as %+v, %v", got, err)
	}
	encrypts, err := stripe.NewCipher(linkKey, private())
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "private block", encrypts.Encrypt(header.Number, blockData()))
	decrypts, err := stripe.NewCipher(linkKey, got)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := decrypts.Decrypt(&header, bytesOf(t, "private block")); err != nil || !bytes.Equal(data, blockData()) {
		t.Errorf("the private block is read as %x, %v", data, err)
	}
}

func TestRecord(t *testing.T) {
	compare(t, "record", record().Sign(relayKey))
	got, err := membership.OpenRecord(bytesOf(t, "record"))
	if err != nil {
		t.Fatal(err)
	}
	if want := record(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("record is read as\n%+v, want\n%+v", got, want)
	}
}

func TestMessages(t *testing.T) {
	for name, m := range messages() {
		compare(t, name, overlay.Encode(m))
		got, err := overlay.Decode(bytesOf(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		compare(t, name, overlay.Encode(got))
		if fmt.Sprintf("%T %+v", got, got) != fmt.Sprintf("%T %+v", m, m) {
			t.Errorf("%s is read as %+v, want %+v", name, got, m)
		}
	}
}

func TestLink(t *testing.T) {
	made := stripe.Link{
		ID: streamID, Name: "my film",
		Hosts: []string{"pool.example.org:7070", "192.0.2.7:7070", "[2001:db8::7]:7070"},
	}
	text := strings.TrimSpace(textOf(t, "link"))
	if made.String() != text {
		t.Errorf("link: PROTOCOL.md has\n\t%s\nthe code makes\n\t%s", text, made)
	}
	got, err := stripe.ParseLink(text)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(made) {
		t.Errorf("link is read as %+v, %v", got, err)
	}
	made.Key = linkKey
	text = strings.TrimSpace(textOf(t, "private link"))
	if made.String() != text {
		t.Errorf("private link: PROTOCOL.md has\n\t%s\nthe code makes\n\t%s", text, made)
	}
	if got, err := stripe.ParseLink(text); err != nil || got.Key != linkKey || got.Public().String() != strings.TrimSpace(textOf(t, "link")) {
		t.Errorf("private link is read as %+v, %v", got, err)
	}
}

func TestRefusedLinks(t *testing.T) {
	for _, line := range lines(textOf(t, "refused links")) {
		text, why, ok := strings.Cut(line, " # ")
		if !ok {
			t.Fatalf("%q gives no reason", line)
		}
		text = strings.ReplaceAll(strings.TrimSpace(text), "ID", streamID.String())
		_, err := stripe.ParseLink(text)
		if !errors.Is(err, stripe.ErrLink) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %s", line, err, why)
		}
	}
}

// TestRefused makes each change of the table to a vector and wants it refused for
// the reason given there.
func TestRefused(t *testing.T) {
	for _, line := range lines(textOf(t, "refused")) {
		change, why, ok := strings.Cut(line, " # ")
		fields := strings.Fields(change)
		if !ok || len(fields) < 3 {
			t.Fatalf("%q is no change with a reason", line)
		}
		b := bytes.Clone(bytesOf(t, fields[0]))
		if err := decode(fields[0], b); err != nil {
			t.Fatalf("%s is refused unchanged: %v", fields[0], err)
		}
		err := decode(fields[0], alter(t, b, fields[1], fields[2]))
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// alter overwrites b at an offset, cuts bytes off, or appends some.
func alter(t *testing.T, b []byte, at, what string) []byte {
	t.Helper()
	if at == "cut" {
		n, err := strconv.Atoi(what)
		if err != nil || n > len(b) {
			t.Fatalf("cut %s: %v", what, err)
		}
		return b[:len(b)-n]
	}
	change, err := hex.DecodeString(what)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if at == "add" {
		return append(b, change...)
	}
	n, err := strconv.Atoi(at)
	if err != nil || n+len(change) > len(b) {
		t.Fatalf("change at %s of %d bytes: %v", at, len(b), err)
	}
	copy(b[n:], change)
	return b
}

var errSignature = errors.New("signature")

// parseShard is every check that a shard's bytes can fail.
func parseShard(b []byte) (*stripe.Shard, error) {
	s, err := stripe.ParseShard(streamID, b)
	if err == nil && !s.Check() {
		err = errSignature
	}
	return s, err
}

// decode reads bytes as what a vector's name says.
func decode(name string, b []byte) (err error) {
	switch name {
	case "shard":
		_, err = parseShard(b)
	case "info", "info3", "info4":
		_, err = stripe.OpenInfo(b)
	case "record":
		_, err = membership.OpenRecord(b)
	default:
		_, err = overlay.Decode(b)
	}
	return err
}
