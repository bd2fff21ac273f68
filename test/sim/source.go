package sim

import (
	"crypto/ed25519"
	"math/rand/v2"
	"time"

	"github.com/stripecast/stripecast/fec"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// recentBlocks is how many blocks keep their shards, more than any window holds.
const recentBlocks = 512

// Source is the node that makes the stream, and all that it ever made.
type Source struct {
	*Node
	streamKey ed25519.PrivateKey
	stream    stripe.ID
	coder     *fec.Coder
	epoch     uint32
	next      uint64 // number of the next block
	ending    bool
	running   bool
	ticking   bool
	rnd       *rand.Rand
	truth     map[blockID]*made // never ranged over
	recent    [recentBlocks]*made
}

type blockID struct {
	epoch  uint32
	number uint64
}

// made is what the source published as one block.
type made struct {
	id        blockID
	data      []byte
	at        time.Duration
	access    bool
	sent      int // shards of it that the source sent
	sentBytes int
	shards    []*stripe.Shard
	root      stripe.Root
	checked   uint64 // bit i: shard i was really checked
	rebuilt   [2]*relay.Rebuilt
}

// AddSource adds the source of the world's stream and starts it. It begins to
// publish at once.
func (w *World) AddSource(upload float64) *Source {
	coder, err := fec.New(w.Layout)
	if err != nil {
		panic(err)
	}
	s := &Source{
		streamKey: w.key("stream"), coder: coder,
		rnd: rand.New(rand.NewPCG(w.Seed, 0xb10c)), truth: map[blockID]*made{},
	}
	s.stream = stripe.IDOf(s.streamKey)
	s.Node = w.add("source", relay.Config{Upload: upload, Gossips: true}, nil)
	w.source = s
	s.Begin()
	return s
}

// Begin starts the source's process, or starts it again, with a new epoch.
func (s *Source) Begin() {
	s.epoch++
	s.next, s.ending, s.running = 0, false, true
	s.start()
	info := stripe.Info{
		Stream: s.stream, Epoch: s.epoch, Seq: 1, Layout: s.w.Layout, BlockTime: s.w.BlockTime,
		Rate: uint64(s.w.Rate), Media: stripe.MediaTS, Root: s.id, Name: "sim",
	}
	s.handle(relay.Announce{Info: info.Sign(s.streamKey)})
	if !s.ticking {
		s.ticking = true
		s.w.after(0, nil, act{kind: doPublish})
	}
}

// Hold makes the source's input silent, or lets it go on.
func (s *Source) Hold(on bool) { s.running = !on }

// End makes the next block the last.
func (s *Source) End() { s.ending = true }

// tick publishes a block every T.
func (s *Source) tick() {
	s.w.after(s.w.BlockTime, nil, act{kind: doPublish})
	if s.running && s.alive && !s.paused {
		s.publish()
	}
}

func (s *Source) publish() {
	w := s.w
	m := &made{id: blockID{s.epoch, s.next}, at: w.t, access: s.next%uint64(w.AccessEvery) == 0}
	// A block with a key frame is twice as long; the mean is the rate that is announced.
	every := float64(w.AccessEvery)
	size := w.Rate / 8 * w.BlockTime.Seconds() * (0.75 + 0.5*s.rnd.Float64()) * every / (every + 1)
	if m.access {
		size *= 2
	}
	m.data = make([]byte, max(1, int(size)/188)*188)
	for i := range m.data {
		if i%188 == 0 {
			m.data[i] = 0x47
		} else if i%8 == 1 || i%188 == 1 {
			m.data[i] = byte(s.rnd.Uint32())
		}
	}
	h := stripe.Header{
		Stream: s.stream, Epoch: s.epoch, Number: s.next, Layout: w.Layout,
		ShardLen: w.Layout.ShardLen(len(m.data)), DataLen: len(m.data),
		SourceTime: w.now().UnixMilli(), MediaTime: uint64(w.t.Milliseconds() * 90),
	}
	if m.access {
		h.Flags |= stripe.RandomAccess
	}
	if s.ending {
		h.Flags |= stripe.End
		s.running = false
	}
	m.shards = stripe.Seal(s.streamKey, h, s.coder.Encode(m.data))
	s.truth[m.id] = m
	if old := s.recent[s.next%recentBlocks]; old != nil {
		old.shards, old.rebuilt = nil, [2]*relay.Rebuilt{}
	}
	s.recent[s.next%recentBlocks] = m
	s.next++
	s.handle(relay.Publish{Shards: m.shards})
}
