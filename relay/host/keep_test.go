package host_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"log/slog"
	"math/rand/v2"
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

const (
	blockTime = 100 * time.Millisecond
	settled   = 4 * time.Second // all are in each other's trees
	drained   = 30 * time.Second
)

var discard = slog.New(slog.DiscardHandler)

// part is one participant and its disk.
type part struct {
	name string
	host *host.Host
	disk *memdisk.Disk
}

// trio is a source, a relay and a viewer that shares, each with a back buffer of its
// own, in a bubble of virtual time.
type trio struct {
	*testing.T
	net   *memnet.Network
	key   ed25519.PrivateKey
	info  stripe.Info
	coder *fec.Coder
	parts []*part // source, relay, viewer
	wg    sync.WaitGroup

	made [][]*stripe.Shard // by number
	when []time.Time

	mu        sync.Mutex // guards what follows
	delivered map[uint64]time.Duration
}

func inBubble(t *testing.T, disk func() *memdisk.Disk, f func(r *trio)) {
	synctest.Test(t, func(t *testing.T) {
		r := &trio{T: t, delivered: map[uint64]time.Duration{}}
		r.net = memnet.New(rand.New(rand.NewPCG(1, 1)), memnet.Link{Delay: 10 * time.Millisecond})
		seed := sha256.Sum256([]byte("stream"))
		r.key = ed25519.NewKeyFromSeed(seed[:])
		layout := stripe.Layout{K: 4, M: 2}
		var err error
		if r.coder, err = fec.New(layout); err != nil {
			t.Fatal(err)
		}
		source := r.add("source", relay.Config{Upload: 20e6}, disk())
		r.info = stripe.Info{
			Stream: stripe.IDOf(r.key), Epoch: 3, Seq: 1, Layout: layout, BlockTime: blockTime,
			Rate: 400_000, Root: source.host.ID(), Name: "film",
		}
		source.host.Announce(r.info.Sign(r.key))
		streams := []stripe.ID{r.info.Stream}
		r.add("relay", relay.Config{Upload: 10e6, Streams: streams}, disk())
		viewer := r.add("viewer", relay.Config{Upload: 5e6, Streams: streams, Play: true}, disk())
		r.wg.Go(func() { r.watch(viewer.host.Media()) })
		<-time.After(settled)
		f(r)
		r.wg.Wait()
		r.net.Close()
		<-time.After(drained)
	})
}

func (r *trio) add(name string, cfg relay.Config, disk *memdisk.Disk) *part {
	r.Helper()
	end, err := r.net.Listen()
	if err != nil {
		r.Fatal(err)
	}
	cfg.Key, cfg.Back = host.NewKey(), time.Second
	hc := host.Config{Participant: cfg, Socket: end, Gossip: true, Logger: discard, Store: r.open(disk)}
	if len(r.parts) > 0 {
		hc.Join = []string{r.parts[0].host.Advertised().String()}
	}
	p := &part{name: name, disk: disk}
	if p.host, err = host.Start(hc); err != nil {
		r.Fatal(err)
	}
	r.parts = append(r.parts, p)
	return p
}

func (r *trio) open(disk *memdisk.Disk) *store.Store {
	r.Helper()
	s, err := store.Open("dir", store.Config{Keep: store.DefaultKeep, FS: disk, Logger: discard})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

// watch notes after how long each block was rebuilt.
func (r *trio) watch(media <-chan relay.Output) {
	for o := range media {
		if d, ok := o.(relay.Deliver); ok {
			r.mu.Lock()
			r.delivered[d.Header.Number] = time.Since(r.when[d.Header.Number])
			r.mu.Unlock()
		}
	}
}

// publish sends n blocks in their time.
func (r *trio) publish(n int) {
	for range n {
		number := uint64(len(r.made))
		data := bytes.Repeat([]byte{byte(number), byte(number >> 8), 5}, 1500)
		pieces := r.coder.Encode(data)
		shards := stripe.Seal(r.key, stripe.Header{
			Stream: r.info.Stream, Epoch: r.info.Epoch, Number: number, Layout: r.info.Layout,
			ShardLen: len(pieces[0]), DataLen: len(data), SourceTime: time.Now().UnixMilli(), Flags: stripe.RandomAccess,
		}, pieces)
		r.mu.Lock()
		r.made, r.when = append(r.made, shards), append(r.when, time.Now())
		r.mu.Unlock()
		r.parts[0].host.Publish(shards)
		<-time.After(blockTime)
	}
}

// leave ends all, viewer first, and says how long that took.
func (r *trio) leave() time.Duration {
	began := time.Now()
	for i := len(r.parts) - 1; i >= 0; i-- {
		r.parts[i].host.Leave()
	}
	return time.Since(began)
}

// mustPlay wants the viewer to have got every block from one on, and at once.
func (r *trio) mustPlay(from uint64, within time.Duration) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	worst := time.Duration(0)
	for n := from; n < uint64(len(r.made)); n++ {
		lag, ok := r.delivered[n]
		if !ok {
			r.Errorf("block %d was not delivered", n)
		}
		worst = max(worst, lag)
	}
	if worst > within {
		r.Errorf("a block was there %v after it was published", worst)
	}
}

// TestWhatIsHeldIsKept: what a participant was sent or made is on its disk, whether it
// leaves or crashes, and is what the source made.
func TestWhatIsHeldIsKept(t *testing.T) {
	for _, crash := range []bool{false, true} {
		inBubble(t, memdisk.New, func(r *trio) {
			r.publish(60)
			<-time.After(time.Second)
			r.mustPlay(5, 500*time.Millisecond)
			var held []int // bytes in the window, which has not dropped any yet
			for _, p := range r.parts {
				held = append(held, p.host.Status().Streams[0].Window)
			}
			if crash {
				for _, p := range r.parts {
					p.host.Kill()
				}
			} else {
				r.leave()
			}
			for i, p := range r.parts {
				got, least := r.checkDisk(p), held[i]
				if p.name == "viewer" { // who may hold more than came: what it has rebuilt
					least = held[i] * r.info.Layout.K / r.info.Layout.N()
				}
				if got < least || got > held[i] || got == 0 {
					r.Errorf("%s held %d bytes of shards, and %d are on its disk", p.name, held[i], got)
				}
			}
			r.Logf("held and kept: %d bytes", held)
		})
	}
}

// checkDisk opens a disk anew and counts the bytes of its shards, each of which must
// be genuine.
func (r *trio) checkDisk(p *part) (size int) {
	r.Helper()
	s := r.open(p.disk)
	defer s.Close()
	key := store.Key{Stream: r.info.Stream, Epoch: r.info.Epoch}
	raw, err := s.Info(key)
	if err != nil {
		r.Errorf("%s: info: %v", p.name, err)
	} else if info, err := stripe.OpenInfo(raw); err != nil || info != r.info {
		r.Errorf("%s: info %+v, %v", p.name, info, err)
	}
	blocks, err := s.Blocks(key, 0, uint64(len(r.made)))
	if err != nil || s.Stats().Problem != "" {
		r.Errorf("%s: %v, %+v", p.name, err, s.Stats())
	}
	for _, b := range blocks {
		for i := range r.info.Layout.N() {
			if b.Have>>i&1 == 0 {
				continue
			}
			sh, err := s.Get(key, b.Number, i)
			if err != nil {
				r.Errorf("%s: %v", p.name, err)
				continue
			}
			size += len(sh.Encoded())
			root := sh.Root()
			if !stripe.CheckSeal(&sh.Header, root, &sh.Sig) || !bytes.Equal(sh.Encoded(), r.made[b.Number][i].Encoded()) {
				r.Errorf("%s: block %d, shard %d is not the source's", p.name, b.Number, i)
			}
		}
	}
	return size
}

// TestDiskIsNotInTheWay: whatever the disks do, the picture is there as quickly as with
// disks that work, and what is wrong is told; leaving takes no longer than the disk is
// waited for.
func TestDiskIsNotInTheWay(t *testing.T) {
	always := func(err error) func(memdisk.Op) (int, error) {
		return func(op memdisk.Op) (int, error) {
			if op.Changes() {
				return 0, err
			}
			return op.Size, nil
		}
	}
	for _, c := range []struct {
		name string
		fail func(memdisk.Op) (int, error)
	}{
		{"full", always(syscall.ENOSPC)},
		{"broken", always(syscall.EIO)},
		{"read-only", always(syscall.EROFS)},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := func() *memdisk.Disk {
				d := memdisk.New()
				d.SetFail(c.fail)
				return d
			}
			inBubble(t, disk, func(r *trio) {
				r.publish(50)
				<-time.After(time.Second)
				r.mustPlay(5, 500*time.Millisecond)
				for _, p := range r.parts {
					if st := p.host.Store().Stats(); st.Problem == "" || st.Dropped == 0 || st.Shards > 0 {
						r.Errorf("%s: %+v", p.name, st)
					}
				}
				r.leave()
			})
		})
	}
}

// TestDiskThatHangs: the same of disks that stop answering in the middle.
func TestDiskThatHangs(t *testing.T) {
	inBubble(t, memdisk.New, func(r *trio) {
		r.publish(20)
		answer := make(chan struct{})
		for _, p := range r.parts {
			p.disk.SetFail(func(op memdisk.Op) (int, error) {
				<-answer
				return op.Size, nil
			})
		}
		r.publish(50)
		<-time.After(time.Second)
		r.mustPlay(5, 500*time.Millisecond)
		if took, each := r.leave(), 10*time.Second; took > 3*each {
			r.Errorf("they left after %v", took)
		}
		close(answer)
	})
}

// TestNothingToSee: who does not play is shown nothing that nobody would read.
func TestNothingToSee(t *testing.T) {
	inBubble(t, memdisk.New, func(r *trio) {
		for range 3 {
			r.info.Seq++
			r.parts[0].host.Announce(r.info.Sign(r.key))
			r.publish(2)
		}
		<-time.After(time.Second)
		for _, p := range r.parts[:2] {
			if n := len(p.host.Media()); n > 0 {
				t.Errorf("%s: %d outputs wait for a reader", p.name, n)
			}
		}
		r.leave()
	})
}

// TestNoStore: who keeps nothing has no store.
func TestNoStore(t *testing.T) {
	h, err := host.Start(host.Config{
		Participant: relay.Config{Key: host.NewKey()}, Listen: "127.0.0.1:0", Logger: discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Kill()
	if h.Store() != nil {
		t.Error("there is a store")
	}
}
