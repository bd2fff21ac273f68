package view

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/playout"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// screen is a sink that keeps what is played.
type screen struct {
	opened int
	got    [][]byte
}

func (s *screen) Open(stripe.Info)    { s.opened++ }
func (s *screen) Push(p playout.Play) { s.got = append(s.got, p.Data) }
func (s *screen) End()                {}

// showing is a private stream, and what its participant delivers.
type showing struct {
	info   stripe.Info
	cipher *stripe.Cipher
	media  chan relay.Output
}

// begin opens an epoch whose blocks are encrypted with a key.
func (s *showing) begin(t *testing.T, epoch uint32, key stripe.LinkKey) {
	s.info = stripe.Info{Stream: stripe.ID{1}, Epoch: epoch, BlockTime: 100 * time.Millisecond}
	s.info.Lock = stripe.NewLock(key, s.info.Stream, epoch, [16]byte{byte(epoch)})
	var err error
	if s.cipher, err = stripe.NewCipher(key, s.info); err != nil {
		t.Fatal(err)
	}
	s.media <- relay.Opened{Info: s.info}
}

// show delivers a number of blocks, of which one is damaged by its source.
func (s *showing) show(n, damaged int) {
	for i := range n {
		data := s.cipher.Encrypt(uint64(i), fmt.Appendf(nil, "epoch %d, block %d", s.info.Epoch, i))
		if i == damaged {
			data[0] ^= 1
		}
		h := stripe.Header{Stream: s.info.Stream, Epoch: s.info.Epoch, Number: uint64(i), DataLen: len(data), SourceTime: time.Now().UnixMilli(), Flags: stripe.RandomAccess}
		s.media <- relay.Deliver{Header: h, Data: data}
		<-time.After(100 * time.Millisecond)
	}
}

// TestPrivate: who has the key sees what the source had; who has not sees nothing, and is
// told once an epoch, not once a block. A block that no key decrypts is skipped.
func TestPrivate(t *testing.T) {
	right, wrong := stripe.LinkKey{1}, stripe.LinkKey{2}
	for _, c := range []struct {
		name     string
		key      stripe.LinkKey
		second   stripe.LinkKey // of the source's second run
		damaged  int
		told     []error
		blocks   int
		screened int
	}{
		{"the key", right, right, -1, nil, 40, 1},
		{"no key", stripe.LinkKey{}, right, -1, []error{stripe.ErrNoKey, stripe.ErrNoKey}, 0, 0},
		{"another key", wrong, right, -1, []error{stripe.ErrWrongKey, stripe.ErrWrongKey}, 0, 0},
		{"a new key", right, wrong, -1, []error{stripe.ErrWrongKey}, 20, 1},
		{"a damaged block", right, right, 7, []error{stripe.ErrCipher, stripe.ErrCipher}, 38, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &showing{media: make(chan relay.Output, 100)}
				sink := &screen{}
				player := New(time.Second, sink)
				var told []error
				player.Unlock(NewKeyring(c.key), func(err error) { told = append(told, err) })
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); player.Run(ctx, s.media) }()
				s.begin(t, 1, right)
				s.show(20, c.damaged)
				<-time.After(3 * time.Second)
				s.begin(t, 2, c.second)
				s.show(20, c.damaged)
				<-time.After(3 * time.Second)
				cancel()
				<-done
				if len(sink.got) != c.blocks || sink.opened != c.screened {
					t.Errorf("%d blocks of %d were played, opened %d times", len(sink.got), c.blocks, sink.opened)
				}
				for _, b := range sink.got {
					if !bytes.HasPrefix(b, []byte("epoch ")) {
						t.Fatalf("%q was played", b)
					}
				}
				if !slices.EqualFunc(told, c.told, errors.Is) {
					t.Errorf("it was told %q, want %q", told, c.told)
				}
				if st := player.Stats(); c.damaged >= 0 && st.Skipped != 2 {
					t.Errorf("%d blocks were skipped", st.Skipped)
				}
			})
		})
	}
}

// TestKeyring: one key opens all epochs, in any order, and what is not private is not touched.
func TestKeyring(t *testing.T) {
	s := &showing{media: make(chan relay.Output, 10)}
	keys := NewKeyring(stripe.LinkKey{1})
	var infos []stripe.Info
	var sent [][]byte
	for epoch := range uint32(3) {
		s.begin(t, epoch, stripe.LinkKey{1})
		infos, sent = append(infos, s.info), append(sent, s.cipher.Encrypt(9, []byte("x")))
	}
	for _, i := range []int{2, 0, 1, 1, 2} {
		h := stripe.Header{Stream: infos[i].Stream, Epoch: infos[i].Epoch, Number: 9}
		if data, err := keys.Decrypt(infos[i], &h, sent[i]); err != nil || string(data) != "x" {
			t.Errorf("epoch %d: %q, %v", i, data, err)
		}
		if _, err := keys.Decrypt(infos[i], &h, sent[(i+1)%3]); !errors.Is(err, stripe.ErrCipher) {
			t.Errorf("a block of another epoch in %d: %v", i, err)
		}
	}
	open := stripe.Info{Stream: stripe.ID{1}}
	if data, err := keys.Decrypt(open, &stripe.Header{}, sent[0]); err != nil || !bytes.Equal(data, sent[0]) {
		t.Errorf("%q, %v", data, err)
	}
	if err := NewKeyring(stripe.LinkKey{}).Opens(open); err != nil {
		t.Error(err)
	}
}
