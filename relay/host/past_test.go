package host_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/store"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memdisk"
	"github.com/stripecast/stripecast/test/memnet"
)

const access = 10 // blocks from one to start at to the next

// show is what was shown before a test begins.
type show struct {
	blocks    uint64
	restarted bool // the relays have nothing but their disks
	goesOn    bool // the source is still there
	spoil     func(*memdisk.Disk)
}

// cinema is a source and three relays that have a film on their disks, in a bubble of
// virtual time.
type cinema struct {
	*trio
	show
	film [][]byte
}

// inCinema has the source gone when f begins.
func inCinema(t *testing.T, what show, f func(c *cinema)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cinema{trio: &trio{T: t, delivered: map[uint64]time.Duration{}}, show: what}
		c.net = memnet.New(rand.New(rand.NewPCG(1, 1)), memnet.Link{Delay: 10 * time.Millisecond})
		seed := sha256.Sum256([]byte("stream"))
		c.key = ed25519.NewKeyFromSeed(seed[:])
		layout := stripe.Layout{K: 4, M: 2}
		var err error
		if c.coder, err = fec.New(layout); err != nil {
			t.Fatal(err)
		}
		source := c.join("source", relay.Config{Upload: 20e6}, memdisk.New(), nil)
		c.info = stripe.Info{
			Stream: stripe.IDOf(c.key), Epoch: 3, Seq: 1, Layout: layout, BlockTime: blockTime,
			Rate: 400_000, Root: source.host.ID(), Name: "film",
		}
		source.host.Announce(c.info.Sign(c.key))
		for i := range 3 {
			c.join(fmt.Sprint("relay ", i), c.relay(), memdisk.New(), source)
		}
		defer func() {
			for _, p := range c.parts {
				p.host.Kill()
			}
			c.wg.Wait()
			c.net.Close()
			<-time.After(drained)
		}()
		<-time.After(settled)
		c.screen(int(what.blocks))
		<-time.After(time.Second)
		if what.goesOn {
			f(c)
			return
		}
		source.host.Kill()
		if what.restarted {
			for _, p := range c.parts[1:] {
				p.host.Kill()
			}
			old := c.parts[1:]
			c.parts = c.parts[:1]
			for _, p := range old {
				if what.spoil != nil {
					what.spoil(p.disk)
				}
				var join *part
				if len(c.parts) > 1 {
					join = c.parts[1]
				}
				c.join(p.name, c.relay(), p.disk, join)
			}
		}
		<-time.After(settled)
		f(c)
	})
}

// relay has room for k stripes, so that what three have is the film in any case.
func (c *cinema) relay() relay.Config {
	return relay.Config{Upload: 20e6, Download: 10e6, Streams: []stripe.ID{stripe.IDOf(c.key)}}
}

func (c *cinema) join(name string, cfg relay.Config, disk *memdisk.Disk, at *part) *part {
	c.Helper()
	end, err := c.net.Listen()
	if err != nil {
		c.Fatal(err)
	}
	cfg.Key, cfg.Back = host.NewKey(), time.Second
	hc := host.Config{Participant: cfg, Socket: end, Gossip: cfg.Upload > 0, Logger: discard}
	if disk != nil {
		hc.Store = c.open(disk)
	}
	if at != nil {
		hc.Join = []string{at.host.Advertised().String()}
	}
	p := &part{name: name, disk: disk}
	if p.host, err = host.Start(hc); err != nil {
		c.Fatal(err)
	}
	c.parts = append(c.parts, p)
	c.wg.Go(func() {
		for o := range p.host.Media() {
			if d, ok := o.(relay.Deliver); ok {
				c.mu.Lock()
				c.delivered[d.Header.Number] = 0
				c.mu.Unlock()
			}
		}
	})
	return p
}

// viewer comes when all is over.
func (c *cinema) viewer(disk *memdisk.Disk) *part {
	c.Helper()
	return c.join("viewer", relay.Config{Play: true, Streams: []stripe.ID{c.info.Stream}}, disk, c.parts[1])
}

// screen publishes n blocks in their time.
func (c *cinema) screen(n int) {
	for range n {
		number := uint64(len(c.film))
		data := bytes.Repeat([]byte{byte(number), byte(number >> 8), 5}, 1500)
		pieces := c.coder.Encode(data)
		h := stripe.Header{
			Stream: c.info.Stream, Epoch: c.info.Epoch, Number: number, Layout: c.info.Layout,
			ShardLen: len(pieces[0]), DataLen: len(data), SourceTime: c.time(number).UnixMilli(),
		}
		if number%access == 0 {
			h.Flags = stripe.RandomAccess
		}
		c.film = append(c.film, data)
		c.parts[0].host.Publish(stripe.Seal(c.key, h, pieces))
		<-time.After(c.time(number + 1).Sub(c.time(number)))
	}
}

// time is when the source closed a block: every tenth is a short one.
func (c *cinema) time(number uint64) time.Time {
	return time.UnixMilli(1_800_000_000_000 + int64(number)*100 - int64(number/10)*40)
}

// extent is what a viewer can have, as soon as it can.
func (c *cinema) extent(p *part) host.Extent {
	c.Helper()
	began := time.Now()
	for range time.NewTicker(50 * time.Millisecond).C {
		if e, ok := p.host.Extent(c.info.Stream); ok && e.First == 0 && e.Last == c.blocks-1 {
			return e
		}
		if time.Since(began) > 10*time.Second {
			for _, p := range c.parts[1:] {
				for _, st := range p.host.Status().Streams {
					homes := 0
					for _, b := range st.Stripes {
						if b.Home {
							homes |= 1 << b.Stripe
						}
					}
					c.Logf("%s: homes %b, %d neighbours", p.name, homes, st.Neighbours)
					if s := p.host.Store(); s != nil {
						c.Logf("it has %+v", s.Runs(store.Key{Stream: c.info.Stream, Epoch: c.info.Epoch}, 1, 16))
					}
				}
			}
			e, ok := p.host.Extent(c.info.Stream)
			c.Fatalf("to be had are %+v, %t", e, ok)
		}
	}
	panic("unreachable")
}

// mustRead wants blocks as they were made.
func (c *cinema) mustRead(p *part, from, upto uint64) {
	c.Helper()
	for n := from; n <= upto; n++ {
		h, data, err := p.host.Block(context.Background(), c.info.Stream, n)
		if err != nil || h.Number != n || !bytes.Equal(data, c.film[n]) {
			c.Fatalf("block %d: %+v, %d bytes, %v", n, h, len(data), err)
		}
	}
}

// TestPastWithoutSource: one who comes when the source is gone, and the relays have
// started anew, has the whole film, byte by byte, and is anywhere in it within a
// second.
func TestPastWithoutSource(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		inCinema(t, show{blocks: 600, restarted: restarted}, func(c *cinema) {
			v := c.viewer(nil)
			began := time.Now()
			c.extent(v)
			known := time.Since(began)
			c.mustRead(v, 0, c.blocks-1)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("a minute of film was read in %v", took)
			} else {
				t.Logf("restarted %t: the extent was known after %v, a minute of film read after %v", restarted, known, took)
			}
			c.mustSeek(v, 0, 9, 10, 305, 599, 17, 450)
			if e := c.extent(v); !e.From.Equal(c.time(0)) || !e.To.Equal(c.time(c.blocks-1)) || e.Live {
				t.Errorf("it reaches from %v to %v, want %v, %v; live: %t", e.From, e.To, c.time(0), c.time(c.blocks-1), e.Live)
			}
			st := v.host.Status().Streams[0]
			if st.Started == restarted || st.Pull.Wasted*50 > st.Pull.Answered || st.Pull.Unasked > 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// mustSeek wants to be at blocks within a second each.
func (c *cinema) mustSeek(p *part, numbers ...uint64) {
	c.Helper()
	for _, number := range numbers {
		began := time.Now()
		got, err := p.host.Seek(context.Background(), c.info.Stream, c.time(number).Add(time.Millisecond))
		if want := number / access * access; err != nil || got != want {
			c.Errorf("at block %d it begins at %d: %v", number, got, err)
			continue
		}
		c.mustRead(p, got, got)
		if took := time.Since(began); took > time.Second {
			c.Errorf("a seek to block %d took %v", number, took)
		} else {
			c.Logf("a seek to block %d took %v", number, took)
		}
	}
	for at, want := range map[time.Time]uint64{
		c.time(0).Add(-time.Hour):       0,
		c.time(c.blocks).Add(time.Hour): c.blocks - access,
	} {
		if got, err := p.host.Seek(context.Background(), c.info.Stream, at); err != nil || got != want {
			c.Errorf("at %v it begins at %d, want %d: %v", at, got, want, err)
		}
	}
}

// TestOwnBesideAbsent: what is on our own disk is read at once, however many wait for what
// nobody sends.
func TestOwnBesideAbsent(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(memdisk.New())
		c.extent(v)
		c.mustRead(v, 0, 20)
		<-time.After(time.Second) // it is on disk
		for _, p := range c.parts[1:4] {
			p.host.Kill()
		}
		ctx, cancel := context.WithCancel(context.Background())
		var waiting sync.WaitGroup
		for n := range uint64(50) {
			waiting.Go(func() { v.host.Block(ctx, c.info.Stream, 60+n) })
		}
		<-time.After(time.Second)
		began := time.Now()
		c.mustRead(v, 0, 20)
		if got, err := v.host.Seek(ctx, c.info.Stream, c.time(15)); err != nil || got != access {
			t.Errorf("it begins at %d, %v", got, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("our own blocks came after %v", took)
		}
		cancel()
		waiting.Wait()
	})
}

// TestHeadersGiveWay: all headers of a film are there soon if nobody waits for anything
// else, and who does waits hardly longer for that.
func TestHeadersGiveWay(t *testing.T) {
	inCinema(t, show{blocks: 300, restarted: true}, func(c *cinema) {
		ctx, id := context.Background(), c.info.Stream
		all := func(v *part) (took time.Duration) {
			began := time.Now()
			known := 0
			for from := uint64(0); from < c.blocks; from += host.MaxHeaders {
				got, err := v.host.Headers(ctx, id, from, min(from+host.MaxHeaders, c.blocks)-1)
				if err != nil {
					t.Errorf("from %d: %v", from, err)
				}
				for i, h := range got {
					if h.Number != from+uint64(i) || h.DataLen != len(c.film[h.Number]) {
						t.Errorf("from %d: %+v", from, h)
					}
				}
				known += len(got)
			}
			if known != int(c.blocks) {
				t.Errorf("%d headers of %d", known, c.blocks)
			}
			return time.Since(began)
		}
		v := c.viewer(nil)
		c.extent(v)
		alone := all(v)
		began := time.Now()
		c.mustRead(v, 0, 99)
		read := time.Since(began)
		before := v.host.Status().Streams[0].Pull.Asked
		v = c.viewer(nil)
		c.extent(v)
		var others sync.WaitGroup
		others.Go(func() { all(v) })
		began = time.Now()
		c.mustRead(v, 0, 99)
		beside := time.Since(began)
		c.mustSeek(v, 250, 150)
		others.Wait()
		asked := v.host.Status().Streams[0].Pull.Asked
		t.Logf("all headers after %v; 10 s of film read in %v, beside headers in %v; %d and %d shards asked for", alone, read, beside, before, asked)
		if alone > 5*time.Second || beside > read*5/4+200*time.Millisecond {
			t.Error("that is too long")
		}
		if _, err := v.host.Headers(ctx, id, 0, host.MaxHeaders); !errors.Is(err, host.ErrAbsent) {
			t.Errorf("too many at once: %v", err)
		}
	})
}

// TestOfferedLater: what a store has of a stream that had no place when it was opened is
// offered within a minute or so.
func TestOfferedLater(t *testing.T) {
	inCinema(t, show{blocks: 20}, func(c *cinema) {
		from := c.parts[1].host.Store()
		late := c.join("archive", relay.Config{Upload: 20e6, Any: true}, memdisk.New(), nil)
		key := store.Key{Stream: c.info.Stream, Epoch: c.info.Epoch}
		<-time.After(time.Second)
		for n := range c.blocks {
			for i := range c.info.Layout.N() {
				if sh, err := from.Get(key, n, i); err == nil {
					late.host.Store().Put(sh)
				}
			}
		}
		late.host.Store().PutInfo(key, c.info.Sign(c.key))
		<-time.After(70 * time.Second)
		st := late.host.Status().Streams
		if len(st) != 1 || st[0].Info.Stream != c.info.Stream {
			t.Fatalf("it carries %+v", st)
		}
		v := c.join("viewer", relay.Config{Play: true, Streams: []stripe.ID{c.info.Stream}}, nil, late)
		c.extent(v)
	})
}

// TestManyReaders: many read at once at different places, each gets what it asks for,
// and nothing is asked for twice that is still there.
func TestManyReaders(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		began := time.Now()
		var readers sync.WaitGroup
		for i := range uint64(4) {
			readers.Go(func() {
				for n := 30 * i; n < 30*i+30; n++ {
					h, data, err := v.host.Block(context.Background(), c.info.Stream, n)
					if err != nil || h.Number != n || !bytes.Equal(data, c.film[n]) {
						t.Errorf("block %d: %d bytes, %v", n, len(data), err)
						return
					}
				}
			})
		}
		readers.Wait()
		p := v.host.Status().Streams[0].Pull
		if took := time.Since(began); took > 20*time.Second || p.Asked > 2*4*120 {
			t.Errorf("four read three seconds each in %v: %+v", took, p)
		} else {
			t.Logf("four read three seconds each in %v: %+v", took, p)
		}
	})
}

// TestAbsentPast: what nobody has is absent, and said soon; who gives up is let go.
func TestAbsentPast(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		began := time.Now()
		for n := c.blocks; n < c.blocks+20; n++ {
			if _, _, err := v.host.Block(context.Background(), c.info.Stream, n); !errors.Is(err, host.ErrAbsent) {
				t.Errorf("block %d: %v", n, err)
			}
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("twenty blocks were found absent in %v", took)
		} else {
			t.Logf("twenty blocks were found absent in %v", took)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, _, err := v.host.Block(ctx, c.info.Stream, 5000); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		c.mustRead(v, 100, 119)
		if _, _, err := v.host.Block(context.Background(), stripe.ID{1}, 1); !errors.Is(err, host.ErrNoStream) {
			t.Errorf("of another stream: %v", err)
		}
	})
}

// TestPastBesideLive: who reads the past as fast as it comes misses nothing that is
// live.
func TestPastBesideLive(t *testing.T) {
	inCinema(t, show{blocks: 120, goesOn: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.screen(int(settled / blockTime))
		missed := v.host.Status().Streams[0].Pull.Missed
		live := uint64(len(c.film))
		film := slices.Clone(c.film)
		var reader sync.WaitGroup
		took := make([]time.Duration, 3)
		reader.Go(func() {
			for i := range took {
				began := time.Now()
				for n := range live {
					if _, data, err := v.host.Block(context.Background(), c.info.Stream, n); err != nil || !bytes.Equal(data, film[n]) {
						t.Errorf("block %d: %d bytes, %v", n, len(data), err)
						return
					}
				}
				took[i] = time.Since(began)
			}
		})
		c.screen(100)
		reader.Wait()
		<-time.After(time.Second)
		c.mu.Lock()
		defer c.mu.Unlock()
		for n := live; n < live+100; n++ {
			if _, ok := c.delivered[n]; !ok {
				t.Errorf("live block %d was lost", n)
			}
		}
		st := v.host.Status().Streams[0]
		if st.Pull.Missed > missed {
			t.Errorf("%+v", st.Pull)
		}
		t.Logf("16 s of film were read in %v; %+v", took, st.Pull)
		if e, ok := v.host.Extent(c.info.Stream); !ok || !e.Live || e.First != 0 || e.Last != live+99 {
			t.Errorf("%+v", e)
		}
	})
}

// TestAbsentHoldsUpNobody: one waits for what nobody has, and others read on.
func TestAbsentHoldsUpNobody(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		began := time.Now()
		var waiter sync.WaitGroup
		waiter.Go(func() {
			if _, _, err := v.host.Block(context.Background(), c.info.Stream, 5000); !errors.Is(err, host.ErrAbsent) {
				t.Errorf("block 5000: %v", err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it was found absent after %v", took)
			}
		})
		<-time.After(100 * time.Millisecond)
		c.mustRead(v, 0, 99)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("ten seconds were read in %v", took)
		} else {
			t.Logf("ten seconds were read in %v", took)
		}
		waiter.Wait()
	})
}

// TestOwnStore: what our own disk has needs nobody else.
func TestOwnStore(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		disk := memdisk.New()
		v := c.viewer(disk)
		c.extent(v)
		c.mustRead(v, 0, c.blocks-1)
		v.host.Leave()
		for _, p := range c.parts[1:4] {
			p.host.Kill()
		}
		<-time.After(settled)
		again := c.join("again", relay.Config{Play: true, Streams: []stripe.ID{c.info.Stream}}, disk, nil)
		e := c.extent(again)
		if !e.From.Equal(c.time(0)) || !e.To.Equal(c.time(c.blocks-1)) || e.Live {
			t.Errorf("%+v", e)
		}
		c.mustRead(again, 0, c.blocks-1)
		c.mustSeek(again, 0, 9, 10, 65, 119, 17)
		if p := again.host.Status().Streams[0].Pull; p.Asked > 0 {
			t.Errorf("shards were asked for: %+v", p)
		}
	})
}

// TestDiskLostIt: what a relay offered and cannot read any more it says at once that it
// lacks, and the film is whole as long as the others have enough.
func TestDiskLostIt(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		broken := c.parts[1]
		broken.disk.SetFail(func(op memdisk.Op) (int, error) {
			if op.Kind == "read" {
				return 0, syscall.EIO
			}
			return op.Size, nil
		})
		c.mustRead(v, 0, 99)
		st := v.host.Status().Streams[0].Pull
		if st.Lacked == 0 || st.Retried*10 > st.Asked {
			t.Errorf("%+v", st)
		}
		t.Logf("%+v", st)
	})
}

// TestBeginningIsLost: the disks say that they have all, and have lost the first half.
// Who seeks comes to where he wants in what is left, or to its beginning.
func TestBeginningIsLost(t *testing.T) {
	spoil := func(d *memdisk.Disk) {
		for _, name := range d.Names() {
			if b := d.Bytes(name); strings.HasSuffix(name, ".v1") {
				clear(b[len(b)/10 : len(b)/2])
				d.Set(name, b)
			}
		}
	}
	inCinema(t, show{blocks: 240, restarted: true, spoil: spoil}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		start := time.Now()
		for _, seek := range []struct{ to, least, most uint64 }{{200, 200, 200}, {165, 160, 160}, {60, 100, 130}} {
			began := time.Now()
			got, err := v.host.Seek(context.Background(), c.info.Stream, c.time(seek.to))
			if err != nil || got < seek.least || got > seek.most {
				t.Errorf("to block %d: %d, %v", seek.to, got, err)
			} else {
				t.Logf("to block %d: %d after %v", seek.to, got, time.Since(began))
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("all that took %v", took)
		}
		c.mustRead(v, 150, 200)
	})
}

// TestSourceComesBack: a stream that is carried for its past does not keep a later run
// of its source from those who carry it.
func TestSourceComesBack(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		v := c.viewer(nil)
		c.extent(v)
		c.mustRead(v, 0, 9)
		source := c.join("source again", relay.Config{Upload: 20e6}, memdisk.New(), c.parts[2])
		c.parts[0], c.film = source, nil
		c.info.Epoch, c.info.Root = c.info.Epoch+1, source.host.ID()
		source.host.Announce(c.info.Sign(c.key))
		<-time.After(settled)
		c.screen(100)
		<-time.After(time.Second)
		for _, p := range c.parts[1:] {
			if st := p.host.Status().Streams[0]; st.Info.Epoch != c.info.Epoch || !st.Started || st.Head != 99 {
				t.Errorf("%s: epoch %d, head %d", p.name, st.Info.Epoch, st.Head)
			}
		}
		c.mustRead(v, 30, 99)
		if e, ok := v.host.Extent(c.info.Stream); !ok || !e.Live || e.Last != 99 {
			t.Errorf("%+v, %t", e, ok)
		}
	})
}

// TestCalmWithoutSource: a stream of which nothing comes is not looked for all the time.
func TestCalmWithoutSource(t *testing.T) {
	inCinema(t, show{blocks: 120, restarted: true}, func(c *cinema) {
		c.viewer(nil)
		<-time.After(time.Minute)
		before := map[string]uint64{}
		for _, p := range c.parts[1:] {
			before[p.name] = p.host.Net().Out
		}
		const seconds = 60
		<-time.After(seconds * time.Second)
		for _, p := range c.parts[1:] {
			if rate := float64(p.host.Net().Out-before[p.name]) * 8 / seconds; rate > 0.05*float64(c.info.Rate) {
				t.Errorf("%s sends %.0f bit/s", p.name, rate)
			} else {
				t.Logf("%s sends %.0f bit/s", p.name, rate)
			}
		}
	})
}
