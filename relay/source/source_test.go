package source

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/stripe/ts"
)

// step is one thing that an input does: nothing for a while, then bytes or an error.
type step struct {
	wait time.Duration
	b    []byte
	err  error
}

// script is an input that does one step after the other.
type script struct{ steps []step }

func (s *script) Read(p []byte) (int, error) {
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	next := &s.steps[0]
	<-time.After(next.wait)
	next.wait = 0
	n := copy(p, next.b)
	if next.b = next.b[n:]; len(next.b) > 0 {
		return n, nil
	}
	err := next.err
	s.steps = s.steps[1:]
	return n, err
}

// block is what went out.
type block struct {
	stripe.Header
	data []byte
}

// tap is a participant that keeps what it is given to publish.
type tap struct {
	t      *testing.T
	infos  []stripe.Info
	blocks []block
}

func (p *tap) ID() membership.NodeID { return membership.NodeID(stripe.IDOf(testKey("node"))) }

func (p *tap) Announce(info []byte) {
	i, err := stripe.OpenInfo(info)
	if err != nil {
		p.t.Error(err)
	}
	p.infos = append(p.infos, i)
}

func (p *tap) Publish(shards []*stripe.Shard) {
	coder, err := fec.New(shards[0].Layout)
	if err != nil {
		p.t.Fatal(err)
	}
	payloads := make([][]byte, len(shards))
	for i, s := range shards {
		payloads[i] = s.Data
	}
	p.blocks = append(p.blocks, block{shards[0].Header, coder.Join(payloads, shards[0].DataLen)})
}

func testKey(name string) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, name)
	return ed25519.NewKeyFromSeed(seed)
}

// mp3 is so many frames of 128 kbit/s at 48 kHz: 24 ms and 384 bytes each.
func mp3(frames int) (b []byte) {
	for range frames {
		b = append(append(b, 0xff, 0xfb, 0x94, 0xc0), make([]byte, 380)...)
	}
	return b
}

// publish runs a source over an input in virtual time.
func publish(t *testing.T, in io.Reader) (*tap, error) {
	return publishPrivately(t, in, stripe.LinkKey{}, 1)
}

// publishPrivately runs one with a link's key, in an epoch.
func publishPrivately(t *testing.T, in io.Reader, key stripe.LinkKey, epoch uint32) (*tap, error) {
	to := &tap{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	src, err := Probe(ctx, Config{
		Key: testKey("stream"), Name: "x", LinkKey: key, Input: in, Paced: true, Layout: stripe.Layout{K: 4, M: 2}, LayoutFixed: true,
		BlockTime: 100 * time.Millisecond, BlockTimeFixed: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return to, err
	}
	src.SetEpoch(epoch)
	return to, src.Run(ctx, to)
}

// TestBreak: an input that comes back after a blip goes on in the same epoch, with a
// discontinuity, at the time at which it came back; one that breaks before it is known
// what it is begins anew.
func TestBreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		to, err := publish(t, &script{[]step{
			{b: []byte("no stream at all"), err: Mark{Break: true}},
			{b: mp3(50)},
			{wait: 900 * time.Millisecond, b: mp3(50)},
			{wait: 900 * time.Millisecond, err: Mark{Break: true}},
			{wait: 20 * time.Second, b: mp3(50)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		total, broken := 0, 0
		for i, b := range to.blocks {
			total += len(b.data)
			if b.Number != uint64(i) || b.Epoch != to.blocks[0].Epoch {
				t.Errorf("block %d is %d/%d", i, b.Epoch, b.Number)
			}
			if b.Has(stripe.Discontinuity) {
				broken++
				if at := time.UnixMilli(b.SourceTime).Sub(began); at < 21*time.Second || at > 23*time.Second {
					t.Errorf("it goes on after %v of source time", at)
				}
			}
			if i > 0 && (b.SourceTime < to.blocks[i-1].SourceTime || b.MediaTime < to.blocks[i-1].MediaTime) {
				t.Errorf("block %d: source time %d after %d, media time %d after %d", i, b.SourceTime, to.blocks[i-1].SourceTime, b.MediaTime, to.blocks[i-1].MediaTime)
			}
		}
		if total != 150*384 || broken != 1 {
			t.Errorf("%d bytes of %d, %d discontinuities of 1", total, 150*384, broken)
		}
	})
}

// TestBreakIsMarked: a decoder of TS is told of a break by a packet before what follows.
func TestBreakIsMarked(t *testing.T) {
	packets := func(n int) (b []byte) {
		for i := range n {
			p := append([]byte{0x47, 1, 0, 0x10 | byte(i)&15}, make([]byte, ts.PacketLen-4)...)
			b = append(b, p...)
		}
		return b
	}
	synctest.Test(t, func(t *testing.T) {
		to, err := publish(t, &script{[]step{
			{b: packets(40)}, {wait: 4 * time.Second, err: Mark{Break: true}}, {wait: time.Second, b: packets(40)},
		}})
		if err != nil {
			t.Fatal(err)
		}
		marks := 0
		for _, b := range to.blocks {
			if b.Has(stripe.Discontinuity) && len(b.data) > ts.PacketLen && ts.Packet(b.data[:ts.PacketLen]).Discontinuity() && ts.Packet(b.data[:ts.PacketLen]).PID() == 0x100 {
				marks++
			}
		}
		if marks != 1 {
			t.Errorf("%d blocks of %d are marked, want 1", marks, len(to.blocks))
		}
	})
}

// TestReadFails: an input that fails ends the stream, and the error says why.
func TestReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the disk is gone")
		to, err := publish(t, &script{[]step{{b: mp3(50)}, {wait: 4 * time.Second, err: broken}}})
		if !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
		if last := to.blocks[len(to.blocks)-1]; !last.Has(stripe.End) {
			t.Error("the stream has no end")
		}
		if _, err := publish(t, &script{}); !errors.Is(err, ErrEmpty) {
			t.Errorf("nothing: %v", err)
		}
	})
}

// TestTitleBehindTheLook: a title that comes while it is found out what the input is
// counts from its own bytes on.
func TestTitleBehindTheLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, err := publish(t, &script{[]step{{err: Mark{Title: "one"}}, {b: mp3(200)}, {err: Mark{Title: "two"}}, {b: mp3(200)}}})
		if err != nil {
			t.Fatal(err)
		}
		if first := to.infos[0]; first.Title != "one" {
			t.Errorf("it begins as %q", first.Title)
		}
		if last := to.infos[len(to.infos)-1]; last.Title != "two" {
			t.Errorf("it ends as %q", last.Title)
		}
		if total := len(to.blocks); total < 80 {
			t.Errorf("%d blocks of 9.6 s", total)
		}
	})
}

// TestTitles: a title is told with the block it begins with, made to fit, and no oftener
// than an info may change; the last one wins.
func TestTitles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		steps := []step{{err: Mark{Title: "First\nsong"}}, {b: mp3(50)}, {wait: 900 * time.Millisecond, b: mp3(50)}}
		for i := range 10 {
			steps = append(steps, step{wait: 100 * time.Millisecond, err: Mark{Title: string(rune('a' + i))}})
		}
		steps = append(steps, step{wait: 9 * time.Second, err: Mark{Title: " \x00"}}, step{wait: time.Second, b: mp3(50)})
		to, err := publish(t, &script{steps})
		if err != nil {
			t.Fatal(err)
		}
		var titles []string
		for i, info := range to.infos {
			if i == 0 || info.Title != to.infos[i-1].Title {
				titles = append(titles, info.Title)
			}
			if i > 0 && info.Seq != to.infos[i-1].Seq+1 {
				t.Errorf("info %d has sequence %d after %d", i, info.Seq, to.infos[i-1].Seq)
			}
		}
		if most := int(time.Since(began)/announceEvery) + 1; len(to.infos) > most {
			t.Errorf("%d infos in %v", len(to.infos), time.Since(began))
		}
		if want := []string{"First song", "j"}; !slices.Equal(titles, want) {
			t.Errorf("titles %q, want %q", titles, want)
		}
	})
}

// noisy is frames as mp3 makes them, and each another.
func noisy(frames int) []byte {
	b := mp3(frames)
	for i := range b {
		if i%384 >= 4 {
			b[i] = byte(i*7 + i/384*13)
		}
	}
	return b
}

// TestPrivate: what goes out of a private stream is what came in for who has the key, and
// for nobody else. A later run with the same key uses no key and nonce of the first again,
// nor does one that is given the same epoch, as by a copy of the key's files.
func TestPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, in := stripe.LinkKey{1, 2, 3}, noisy(200)
		first := map[uint64]block{}
		salts := map[[16]byte]bool{}
		for run, epoch := range []uint32{5, 6, 6} {
			to, err := publishPrivately(t, &script{[]step{{b: in[:384*100]}, {wait: time.Second, err: Mark{Title: "next"}}, {b: in[384*100:]}}}, key, epoch)
			if err != nil {
				t.Fatal(err)
			}
			info := to.infos[0]
			for _, i := range to.infos {
				if !i.Private() || i.Lock != info.Lock {
					t.Errorf("run %d: an info of another lock: %+v", run, i)
				}
			}
			if salts[info.Lock.Salt] {
				t.Errorf("run %d has the salt of an earlier one", run)
			}
			salts[info.Lock.Salt] = true
			opens, err := stripe.NewCipher(key, info)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for _, b := range to.blocks {
				data, err := opens.Decrypt(&b.Header, b.data)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, data...)
				if was := first[b.Number]; len(b.data) > 0 && bytes.Equal(was.data, b.data) {
					t.Errorf("run %d encrypts block %d as the first does", run, b.Number)
				}
				if run == 0 {
					first[b.Number] = b
				}
				if len(data) >= 32 && bytes.Contains(b.data, data[len(data)/2:][:16]) {
					t.Errorf("run %d: block %d can be read", run, b.Number)
				}
			}
			if last := to.blocks[len(to.blocks)-1]; !bytes.Equal(got, in) || !last.Has(stripe.End) || len(last.data) > 0 {
				t.Errorf("run %d: %d bytes of %d, or others, or no end", run, len(got), len(in))
			}
		}
	})
}

// TestPrivateBlocksFit: the longest block of a private stream fits into one.
func TestPrivateBlocksFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := bytes.Repeat(append([]byte{0x47, 1, 0, 0x10}, make([]byte, ts.PacketLen-4)...), 3*stripe.MaxBlock/ts.PacketLen)
		to, err := publishPrivately(t, &script{[]step{{b: in}}}, stripe.LinkKey{1}, 1)
		if err != nil {
			t.Fatal(err)
		}
		longest := 0
		for _, b := range to.blocks {
			longest = max(longest, b.DataLen)
		}
		if longest > stripe.MaxBlock || longest <= stripe.MaxBlock-stripe.CipherMore-ts.PacketLen {
			t.Errorf("the longest block has %d bytes: %d are allowed, and there is more", longest, stripe.MaxBlock)
		}
	})
}
