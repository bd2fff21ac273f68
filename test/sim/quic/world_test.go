package tierq

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/source"
	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/memnet"
)

// plan is who takes part.
type plan struct {
	relays, viewers   int
	rate              int // of the stream, bits a second
	layout            stripe.Layout
	blockTime, delay  time.Duration
	sourceUp, relayUp float64 // bits a second
	viewerUp          float64 // of every third viewer; the others share nothing
}

// fifty is 1 source, 19 relays and 30 viewers.
func fifty() plan {
	return plan{
		relays: 19, viewers: 30,
		rate: 400_000, layout: stripe.Layout{K: 8, M: 2},
		blockTime: 100 * time.Millisecond, delay: 2 * time.Second,
		sourceUp: 6e6, relayUp: 4e6, viewerUp: 1.5e6,
	}
}

// thirty is 1 source, 11 relays and 18 viewers.
func thirty() plan {
	p := fifty()
	p.relays, p.viewers = 11, 18
	return p
}

// world is one bubble's worth of participants.
type world struct {
	plan
	t     *testing.T
	began time.Time
	rnd   *rand.Rand
	net   *memnet.Network
	truth *truth
	id    stripe.ID
	all   []*participant // in the order of their making; the first is the source
	made  int
	stop  context.CancelFunc
	ctx   context.Context
	wg    sync.WaitGroup
	watch watch
	hit   int // participants that the fault of this row took a parent from

	link  memnet.Link // what every link has beside its delay
	upset func(from, to *participant, l *memnet.Link)
	cuts  map[[2]*participant]time.Time // from, to: since when nothing passes
}

type participant struct {
	name   string
	number int
	h      *host.Host
	end    *memnet.Endpoint
	screen *screen       // of a viewer
	away   bool          // killed, leaving or left
	gone   chan struct{} // closed when it has left
	victim bool          // what happens to it is no failure of ours
	dead   time.Time     // since when it feeds nobody; zero: it may
	near   time.Duration // its part of the one-way delay of its links
}

// inBubble runs f with a world of its own, and ends that afterwards.
func inBubble(t *testing.T, seed uint64, p plan, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{plan: p, t: t, began: time.Now(), rnd: rand.New(rand.NewPCG(seed, 0xb0bb1e))}
		w.net = memnet.New(w.rnd, memnet.Link{Cut: true})
		w.ctx, w.stop = context.WithCancel(context.Background())
		w.watch.state = map[*participant]*standing{}
		w.cuts = map[[2]*participant]time.Time{}
		defer w.end()
		f(w)
	})
}

// end kills everybody and waits until nothing moves any more.
func (w *world) end() {
	w.stop()
	var wg sync.WaitGroup
	for _, p := range w.all {
		if !p.away {
			wg.Go(p.h.Kill)
		}
	}
	wg.Wait()
	w.wg.Wait()
	w.net.Close()
	<-time.After(drained)
}

// drained is after how long the last timer of what has been closed has fired:
// memberlist's, of a probe that nobody answers.
const drained = 30 * time.Second

func (w *world) key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "%s %d", name, w.rnd.Uint64()))
	return ed25519.NewKeyFromSeed(seed[:])
}

// add starts a participant in a network (/24) of its own.
func (w *world) add(name string, cfg relay.Config, gossip bool) *participant {
	i := w.made
	w.made++
	end, err := w.net.ListenAt(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18 + byte(i/250), byte(i % 250), 1}), 7070))
	if err != nil {
		w.t.Fatal(err)
	}
	if cfg.Upload > 0 {
		end.SetUpload(cfg.Upload * 1.1) // the cap is a little below what the line can
	}
	p := &participant{name: name, number: i, end: end, gone: make(chan struct{}), near: time.Duration(3+w.rnd.IntN(18)) * time.Millisecond}
	cfg.Key = w.key(name)
	hc := host.Config{Participant: cfg, Socket: end, Gossip: gossip, Logger: slog.New(slog.DiscardHandler)}
	if i > 0 {
		hc.Join = []string{w.all[0].end.Addr().String()}
	}
	w.all = append(w.all, p)
	w.shape(p)
	if p.h, err = host.Start(hc); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// shape sets the links from and to a participant.
func (w *world) shape(p *participant) {
	for _, q := range w.all {
		if q != p {
			w.set(p, q)
			w.set(q, p)
		}
	}
}

func (w *world) set(from, to *participant) {
	l := w.link
	l.Delay = from.near + to.near
	_, l.Cut = w.cuts[[2]*participant{from, to}]
	if w.upset != nil {
		w.upset(from, to, &l)
	}
	w.net.SetLink(from.end.Addr().Addr(), to.end.Addr().Addr(), l)
}

// reshape sets all links, after a change of link or upset.
func (w *world) reshape() {
	for _, p := range w.all {
		for _, q := range w.all {
			if q != p {
				w.set(p, q)
			}
		}
	}
}

// publish starts the source and its stream.
func (w *world) publish() {
	key := w.key("stream")
	w.id = stripe.IDOf(key)
	p := w.add("source", relay.Config{Upload: w.sourceUp, Back: 4 * time.Second}, true)
	w.truth = &truth{Host: p.h, blocks: map[uint64]made{}}
	src, err := source.Probe(w.ctx, source.Config{
		Key: key, Name: "tier Q", Input: newMuxer(rand.New(rand.NewPCG(w.rnd.Uint64(), 0)), w.rate, 600),
		Layout: w.layout, LayoutFixed: true, BlockTime: w.blockTime, BlockTimeFixed: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	src.SetEpoch(1)
	w.wg.Go(func() {
		if err := src.Run(w.ctx, w.truth); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) relay(name string) *participant {
	return w.add(name, relay.Config{Upload: w.relayUp, Any: true, Back: 4 * time.Second}, true)
}

func (w *world) viewer(name string, upload float64) *participant {
	p := w.add(name, relay.Config{
		Upload: upload, Streams: []stripe.ID{w.id}, Play: true, Back: w.delay,
	}, upload > 0)
	p.screen = &screen{truth: w.truth}
	player := view.New(w.delay, p.screen)
	media := p.screen.tee(w.ctx, p.h.Media())
	w.wg.Go(func() { player.Run(w.ctx, media) })
	return p
}

// gather lets all join within four seconds and run for a while.
func (w *world) gather(settle time.Duration) {
	w.publish()
	relays, viewers := 0, 0
	const steps = 80
	for step := range steps {
		for relays < w.relays && relays*steps/2 <= step*w.relays {
			w.relay(fmt.Sprintf("relay%d", relays))
			relays++
		}
		for viewers < w.viewers && viewers*steps <= step*w.viewers {
			up := 0.0
			if viewers%3 == 0 {
				up = w.viewerUp
			}
			w.viewer(fmt.Sprintf("viewer%d", viewers), up)
			viewers++
		}
		w.run(pollEvery)
	}
	w.run(settle - steps*pollEvery)
	w.start()
}

// kill ends a participant as a crash would.
func (w *world) kill(p *participant) {
	w.hit += w.fedBy(p)
	p.away, p.dead = true, time.Now()
	p.h.Kill()
}

// leave lets a participant say goodbye; it feeds nobody once that is over.
func (w *world) leave(p *participant) {
	w.hit += w.fedBy(p)
	p.away = true
	w.wg.Go(func() {
		p.h.Leave()
		close(p.gone)
	})
}

// sever makes one direction between two participants lose all, or ends that.
func (w *world) sever(from, to *participant, on bool) {
	pair := [2]*participant{from, to}
	if delete(w.cuts, pair); on {
		w.hit++
		w.cuts[pair] = time.Now()
	}
	w.set(from, to)
}

// byID is a participant by its node ID, or nil.
func (w *world) byID(id membership.NodeID) *participant {
	for _, p := range w.all {
		if !id.IsZero() && p.h.ID() == id {
			return p
		}
	}
	return nil
}

// stall stops a participant's process, as others see it, or lets it go on.
func (w *world) stall(p *participant, on bool) {
	p.dead = time.Time{}
	if on {
		w.hit += w.fedBy(p)
		p.victim, p.dead = true, time.Now()
	}
	p.end.Stall(on)
}

// interior is the relay with the most children among those that are there.
func (w *world) interior() *participant {
	var best *participant
	most := -1
	for _, p := range w.all[1:] {
		if p.away || p.victim || p.screen != nil {
			continue
		}
		for _, s := range p.h.Status().Streams {
			if s.Children > most {
				best, most = p, s.Children
			}
		}
	}
	return best
}
