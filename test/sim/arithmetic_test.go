package sim

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/stripe"
)

// over is P[Bin(n, q) > m].
func over(n int, q float64, m int) float64 {
	if q <= 0 || q >= 1 {
		return math.Round(q)
	}
	whole, _ := math.Lgamma(float64(n + 1))
	sum := 0.0
	for i := n; i > m; i-- { // the least first
		in, _ := math.Lgamma(float64(i + 1))
		out, _ := math.Lgamma(float64(n - i + 1))
		sum += math.Exp(whole - in - out + float64(i)*math.Log(q) + float64(n-i)*math.Log1p(-q))
	}
	return sum
}

// remade is the probability that a block is undecodable after so many hops if
// everybody on the way holds all n stripes, each from another parent, and makes the
// shard that it passes on if it can: what is lost is then lost on the last hop, or
// at a parent that could not decode.
func remade(n, m int, p float64, hops int) (undecodable float64) {
	has := 1.0 // the parent has its shard
	for range hops {
		q := 1 - (1-p)*has
		undecodable = over(n, q, m)
		has = 1 - q*over(n-1, q, m-1)
	}
	return undecodable
}

// interval is Clopper and Pearson's of count out of total, with 99 % confidence.
func interval(count, total int) (lo, hi float64) {
	const tail = 0.005
	find := func(above func(q float64) bool) float64 {
		lo, hi := 0.0, 1.0
		for range 60 {
			if mid := (lo + hi) / 2; above(mid) {
				hi = mid
			} else {
				lo = mid
			}
		}
		return lo
	}
	if count > 0 {
		lo = find(func(q float64) bool { return over(total, q, count-1) > tail })
	}
	if hi = 1; count < total {
		hi = find(func(q float64) bool { return 1-over(total, q, count) < tail })
	}
	return lo, hi
}

const hops = 4

// quick is a stream of small and many blocks: fifty a second, so that a parent
// that loses ten in a hundred is never silent for as long as its child's patience.
func quick(seed uint64, layout stripe.Layout) Config {
	cfg := DefaultConfig(seed)
	cfg.PushOnly = true // the code's arithmetic alone
	cfg.Layout, cfg.BlockTime, cfg.AccessEvery = layout, 20*time.Millisecond, 50
	cfg.Rate = float64(layout.K*2*stripe.ShardUnit*8) / cfg.BlockTime.Seconds()
	cfg.Near, cfg.Far, cfg.WorkTime = time.Millisecond, 3*time.Millisecond, 0
	return cfg
}

// uplinkFor is the upload of who is to have so many slots.
func (w *World) uplinkFor(slots int) float64 {
	info := stripe.Info{Layout: w.Layout, BlockTime: w.BlockTime, Rate: uint64(w.Rate)}
	return (float64(slots) + 0.5) * info.SlotRate() / 0.85 / 0.875
}

// widen gives a node three times the upload that it believes to have: no shard
// waits long, nor is dropped, for another.
func (w *World) widen(n *Node) *Node {
	n.bucket = relay.NewBucket(w.now(), 3*n.cfg.Upload)
	return n
}

// homeAlone is the stripe that a relay with one slot takes if it knows nobody.
func (w *World) homeAlone(name string) int {
	key := w.key(name)
	self := membership.NodeIDOf(key)
	info := stripe.Info{Stream: w.source.stream, Layout: w.Layout, BlockTime: w.BlockTime, Rate: uint64(w.Rate), Root: w.source.id}
	f := overlay.New(w.now(), overlay.Config{Self: self, Info: info, Slots: 1}, membership.NewBook(self, nil), rand.New(rand.NewPCG(1, 1)))
	for s := range w.Layout.N() {
		if f.Branch(w.now(), s).Home {
			return s
		}
	}
	return -1
}

// chains is a stream that comes to one viewer over hops-1 volunteers a stripe, one
// below the other: each has one slot and one home stripe, and knows its parent only.
func chains(t *testing.T, seed uint64, layout stripe.Layout) (w *World, viewer *Node) {
	t.Helper()
	w = New(quick(seed, layout))
	n := layout.N()
	parents := map[[2]*Node]bool{} // child, parent
	w.Knows = func(n, of *Node) bool {
		return parents[[2]*Node{n, of}] && (n.cfg.Play || n.homes() > 0)
	}
	w.Reach = func(from, to *Node) bool { return parents[[2]*Node{from, to}] || parents[[2]*Node{to, from}] }
	w.widen(w.AddSource(w.uplinkFor(2 * n)).Node)
	last := make([]*Node, n)
	for s := range last {
		last[s] = w.source.Node
	}
	for layer := range hops - 1 {
		for s := range last {
			name := ""
			for try := 0; name == "" || w.homeAlone(name) != s; try++ {
				name = fmt.Sprintf("relay%d-%d-%d", layer, s, try)
			}
			r := w.add(name, relay.Config{
				Upload: w.uplinkFor(1), Gossips: true, Back: w.Delay, Streams: []stripe.ID{w.source.stream},
			}, []*Node{last[s]})
			parents[[2]*Node{r, last[s]}] = true
			r.start()
			w.widen(r)
			w.After(900*time.Millisecond, func() { r.handle(relay.Learned{Record: r.hosts[0].record}) })
			last[s] = r
		}
		w.Run(3 * time.Second)
	}
	viewer = w.add("viewer", relay.Config{Play: true, Back: w.Delay, Streams: []stripe.ID{w.source.stream}}, last)
	for _, r := range last {
		parents[[2]*Node{viewer, r}] = true
	}
	viewer.start()
	w.Run(4 * time.Second)
	return w, viewer
}

func (n *Node) homes() (count int) {
	for _, st := range n.Status().Streams {
		for _, b := range st.Stripes {
			if b.Home {
				count++
			}
		}
	}
	return count
}

// shape is the mean number of hops to some nodes, and whether all have all stripes.
func (w *World) shape(of ...*Node) (depth float64, whole bool) {
	count := 0
	for _, n := range of {
		for _, st := range n.Status().Streams {
			for _, b := range st.Stripes {
				depth += float64(b.Depth)
				if b.Depth > 0 {
					count++
				}
			}
		}
	}
	return depth / float64(max(1, count)), count == len(of)*w.Layout.N()
}

// sharingPool is a pool of viewers that share: each makes the shards that it passes on.
func sharingPool(seed uint64, layout stripe.Layout) (w *World, viewers []*Node) {
	w = New(quick(seed, layout))
	w.widen(w.AddSource(w.uplinkFor(2 * layout.N())).Node)
	for i := range 16 {
		w.After(w.between(0, time.Second), func() {
			viewers = append(viewers, w.widen(w.AddViewer(fmt.Sprintf("viewer%d", i), w.uplinkFor(layout.N()*5/4))))
		})
	}
	w.Run(15 * time.Second)
	return w, viewers
}

// tally is how many blocks could not be decoded. What cannot be decoded in one
// place can often not be decoded elsewhere either: clump is by how much the count
// of a block varies more than if viewers had nothing in common, at least 1.
type tally struct {
	count, total int
	clump        float64
	left         int // out, because a stripe had no live parent: that is not what is computed
}

// undecodable counts blocks of which less than k shards came to some nodes within
// half a second or a little more.
func (w *World) undecodable(blocks int, of ...*Node) (t tally) {
	var squares float64
	count := 0
	for from := w.Now(); count < blocks; {
		steady := slices.DeleteFunc(slices.Clone(of), func(n *Node) bool { return !n.whole() })
		w.Run(2 * time.Second)
		steady = slices.DeleteFunc(steady, func(n *Node) bool { return !n.whole() })
		to := w.Now() - time.Second/2
		for _, m := range w.madeIn(from, to) {
			lost := 0
			for _, n := range steady {
				if !n.decodes(m) {
					lost++
				}
			}
			count++
			t.count, squares = t.count+lost, squares+float64(lost*lost)
			t.total, t.left = t.total+len(steady), t.left+len(of)-len(steady)
		}
		from = to
	}
	mean := float64(t.count) / float64(count)
	wide := float64(t.total) / float64(count)
	if p := mean / wide; p > 0 && p < 1 {
		t.clump = (squares/float64(count) - mean*mean) / (wide * p * (1 - p))
	}
	t.clump = max(1, t.clump)
	return t
}

// whole reports whether a node has a live parent in every stripe.
func (n *Node) whole() bool {
	st := n.Status().Streams
	return len(st) > 0 && st[0].Live == n.w.Layout.N()
}

func (t tally) String() string { return fmt.Sprintf("%d/%d", t.count, t.total) }

// agrees reports whether what was computed lies within the interval of what was
// seen. What clumps counts as so much less (Korn and Graubard 1998).
func (t tally) agrees(computed float64) bool {
	lo, hi := interval(int(float64(t.count)/t.clump+0.5), int(float64(t.total)/t.clump))
	return lo <= computed && computed <= hi
}

// TestArithmetic: what is computed of blocks that cannot be decoded is what
// happens, for volunteers that pass one stripe on, and for viewers that share and
// make again what did not come.
func TestArithmetic(t *testing.T) {
	large(t)
	t.Parallel()
	losses := []float64{0.005, 0.01, 0.02, 0.05, 0.10}
	var b strings.Builder
	out := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "k+m\tp\t4 hops\tseen\tmade again: P[Bin(n,p)>m]\t4 hops\tseen\tclumps")
	for _, layout := range []stripe.Layout{{K: 8, M: 2}, {K: 10, M: 5}, {K: 16, M: 4}, {K: 16, M: 8}} {
		w, viewer := chains(t, 1, layout)
		if depth, whole := w.shape(viewer); depth != hops || !whole {
			t.Errorf("%v: the viewer's stripes come over %.2f hops; all of them: %v", layout, depth, whole)
			continue
		}
		pool, viewers := sharingPool(1, layout)
		mean, whole := pool.shape(viewers...)
		if !whole {
			t.Errorf("%v: not all who share have all stripes", layout)
		}
		n := layout.N()
		for _, p := range losses {
			chance := over(n, 1-math.Pow(1-p, hops), layout.M)
			w.SetNet(Conditions{Final: p})
			w.Run(time.Second)
			plain := w.undecodable(enough(chance, 1), viewer)

			once, deep := over(n, p, layout.M), remade(n, layout.M, p, hops)
			pool.SetNet(Conditions{Final: p})
			pool.Run(time.Second)
			again := pool.undecodable(enough(once, len(viewers)), viewers...)

			fmt.Fprintf(out, "%d+%d\t%.1f %%\t%.1e\t%v\t%.1e\t%.1e\t%v\t%.1f\n", layout.K, layout.M, 100*p,
				chance, plain, once, deep, again, again.clump)
			if 4*(plain.left+again.left) > plain.total+again.total {
				t.Errorf("%v, p = %g: %d and %d of what was to be seen was not steady", layout, p, plain.left, again.left)
			}
			if !plain.agrees(chance) {
				t.Errorf("%v, p = %g: computed %.2e, seen %v", layout, p, chance, plain)
			}
			if below := deep < 1.1*once; below && !again.agrees(once) {
				t.Errorf("%v, p = %g, made again: computed %.2e, seen %v; of %d viewers and blocks a stripe was not fed", layout, p, once, again, again.left)
			}
		}
		after, still := w.shape(viewer)
		mean2, _ := pool.shape(viewers...)
		fmt.Fprintf(out, "\t\t%.2f\tall stripes: %v\t%.2f hops, at the end %.2f\t\t\t\n", after, still, mean, mean2)
	}
	out.Flush()
	t.Log("\n" + b.String())
}

// enough is for how many blocks to look: for what is frequent fewer, and for what
// nobody will see hardly any.
func enough(p float64, viewers int) int {
	switch {
	case p > 0.1:
		return 400
	case p > 1e-3:
		return 1500 / min(viewers, 4)
	case p > 1e-5:
		return 1200 / min(viewers, 4)
	}
	return 200
}

// kill is what came of one mass kill.
type kill struct {
	fraction          float64
	survivors, decode int
	same              int // survivors with whom the forest's arithmetic agrees
	moving            int // and with whom it does not, because of a stripe more
	expected          float64
	depth             float64
	whole             bool
	differ            []string
}

// killSome kills a part of all participants but the source, and looks which of the
// survivors among some viewers decode what is published at once after it.
func killSome(w *World, fraction float64, remade bool) (k kill) {
	at := w.places()
	w.Knows = nil
	var viewers []*Node
	viewers = append(viewers, w.all("viewer")...)
	k.fraction = fraction
	k.depth, k.whole = w.shape(viewers...)
	k.expected = w.expected(at, viewers, fraction, remade)
	victims := w.some(w.nodes[1:], fraction)
	w.Crash(victims...)
	dead := make([]bool, len(w.nodes))
	for _, n := range victims {
		dead[n.index] = true
	}
	comes := w.survives(at, dead, remade)
	from := w.Now()
	w.Run(280 * time.Millisecond)
	blocks := w.madeIn(from+time.Millisecond, from+100*time.Millisecond)
	for _, n := range viewers {
		if !n.alive {
			continue
		}
		k.survivors++
		can := bits.OnesCount64(comes[n.index]) >= w.Layout.K
		decoded := 0
		for _, m := range blocks {
			if n.decodes(m) {
				decoded++
			}
		}
		if decoded == len(blocks) {
			k.decode++
		}
		came := n.came(blocks[0])
		switch more := came &^ comes[n.index]; {
		case can && decoded == len(blocks) || !can && decoded == 0:
			k.same++
		case comes[n.index]&^came == 0 && bits.OnesCount64(more) == 1:
			k.moving++ // a stripe was about to change its parent, and had two
		default:
			k.differ = append(k.differ, fmt.Sprintf("%s: %b should come, and %b did", n.Name, comes[n.index], n.came(blocks[0])))
		}
	}
	return k
}

// expected is the share of survivors that decode, over many kills of this forest.
func (w *World) expected(at [][]place, viewers []*Node, fraction float64, remade bool) float64 {
	decode, survivors := 0, 0
	for range 60 {
		dead := make([]bool, len(w.nodes))
		for _, n := range w.some(w.nodes[1:], fraction) {
			dead[n.index] = true
		}
		comes := w.survives(at, dead, remade)
		for _, n := range viewers {
			if !dead[n.index] {
				survivors++
				if bits.OnesCount64(comes[n.index]) >= w.Layout.K {
					decode++
				}
			}
		}
	}
	return float64(decode) / float64(max(1, survivors))
}

// volunteers is a pool of relays with two slots each, that hold one stripe each and
// stand four hops deep, and of viewers below them.
func volunteers(seed uint64) *World {
	w := New(quick(seed, stripe.DefaultLayout))
	w.widen(w.AddSource(w.uplinkFor(2 * w.Layout.N())).Node)
	for i := range 200 {
		w.After(w.between(0, 4*time.Second), func() { w.widen(w.AddRelay(fmt.Sprintf("relay%d", i), w.uplinkFor(2))) })
	}
	for i := range 8 {
		w.After(w.between(4*time.Second, 8*time.Second), func() { w.AddViewer(fmt.Sprintf("viewer%d", i), 0) })
	}
	w.Run(15 * time.Second)
	return w
}

// TestMassKill: who still decodes before anything is repaired is whom the forest's
// arithmetic names.
func TestMassKill(t *testing.T) {
	large(t)
	t.Parallel()
	n, m := stripe.DefaultLayout.N(), stripe.DefaultLayout.M
	for _, f := range []float64{0.05, 0.10, 0.20} {
		one, again := killSome(volunteers(1), f, false), kill{}
		pool, _ := sharingPool(2, stripe.DefaultLayout)
		again = killSome(pool, f, true)
		t.Logf("%2.0f %% killed: volunteers (%.1f hops) decode %d of %d, over all kills of this forest %.1f %%, with 4 hops computed %.1f %%;",
			100*f, one.depth, one.decode, one.survivors, 100*one.expected, 100*(1-over(n, 1-math.Pow(1-f, hops-1), m)))
		t.Logf("   made again (%.1f hops) decode %d of %d, over all kills %.1f %%, computed %.1f %%",
			again.depth, again.decode, again.survivors, 100*again.expected, 100*(1-over(n, f, m)))
		for _, k := range []kill{one, again} {
			if k.same+min(1, k.moving) != k.survivors || k.survivors == 0 {
				t.Errorf("%.0f %%: of %d survivors %d do what the forest says (all stripes before: %v): %v", 100*f, k.survivors, k.same, k.whole, k.differ)
			}
		}
	}
}
