package main

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/stripecast/stripecast/membership"
	"github.com/stripecast/stripecast/overlay"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/quicnet"
)

// forestStatus is what /api/forest says: a participant's place in the trees of the first
// stream that it carries, as the page draws it. Nodes are named by the first eight
// letters of their IDs.
type forestStatus struct {
	Role    string  `json:"role"` // source, relay or view
	Node    string  `json:"node"`
	Stream  string  `json:"stream"` // ID; empty if none is carried
	Name    string  `json:"name"`
	Media   string  `json:"media"`
	K       int     `json:"k"`
	M       int     `json:"m"`
	Rate    uint64  `json:"rate"` // bits/s of stream
	Ended   bool    `json:"ended"`
	Root    string  `json:"root"` // the source
	Spare   int     `json:"spare_stripes"`
	Live    int     `json:"live_stripes"`
	Delay   float64 `json:"delay"`  // seconds from source to player; 0 unless it plays
	Shared  float64 `json:"shared"` // bytes out ÷ bytes in, since it began
	Played  uint64  `json:"played"` // blocks
	Skipped uint64  `json:"skipped"`
	In      float64 `json:"in"`  // bits/s on the wire, of late
	Out     float64 `json:"out"` // likewise
	Slots   int     `json:"slots"`
	Problem string  `json:"problem"` // with what is kept on disk, in words; empty: none

	Stripes []placeStatus  `json:"stripes"`
	Parents []parentStatus `json:"parents"` // each once
	Changes []changeStatus `json:"changes"` // of parents, the last 32, oldest first
	Source  rootStatus     `json:"source"`  // what the source knows; elsewhere its node is empty
}

// placeStatus is the place in one stripe.
type placeStatus struct {
	Stripe   int      `json:"stripe"`
	Parent   string   `json:"parent"` // empty if there is none
	Path     []string `json:"path"`   // from the source to the parent
	Depth    int      `json:"depth"`  // hops from the source
	RTT      float64  `json:"rtt"`    // seconds, to the parent and back; 0: not known
	Late     float64  `json:"late"`   // seconds behind the first stripe
	Live     bool     `json:"live"`
	Slow     bool     `json:"slow"` // later than a parent may be
	Home     bool     `json:"home"`
	Made     bool     `json:"made"` // here, from others
	Wanted   bool     `json:"wanted"`
	Children int      `json:"children"`
	Fed      []string `json:"fed"` // of the children the first maxFed
}

// maxFed is how many children of a stripe are named; of more, the number is told.
const maxFed = 16

type parentStatus struct {
	Node    string  `json:"node"`
	Stripes []int   `json:"stripes"`
	RTT     float64 `json:"rtt"`  // seconds
	Late    float64 `json:"late"` // seconds: its latest stripe's
	Slow    bool    `json:"slow"` // in some stripe
}

type changeStatus struct {
	Ago    float64 `json:"ago"` // seconds
	Stripe int     `json:"stripe"`
	From   string  `json:"from"` // empty: there was none before
	To     string  `json:"to"`
	Gap    float64 `json:"gap"`  // seconds without a shard
	Lost   bool    `json:"lost"` // from fell silent, came too late, or was out of reach
}

// rootStatus is what a source knows of its forest: of those who give, for who does not
// is no member of the pool.
type rootStatus struct {
	Node     string       `json:"node"`
	Viewers  int          `json:"viewers"` // that share
	Relays   int          `json:"relays"`  // that do not play
	Depth    int          `json:"depth"`   // the most hops to one of them
	Children int          `json:"children"`
	Slots    int          `json:"slots"`
	Out      float64      `json:"out"`    // bits/s on the wire, of late
	Egress   float64      `json:"egress"` // of late, as a multiple of the stream's rate; 0: not known
	InAll    float64      `json:"in_all"` // the same since it began
	Thin     int          `json:"thin"`   // the stripe with the least room; -1 if nobody gives any
	Branches []rootStripe `json:"per_stripe"`
}

type rootStripe struct {
	Stripe   int `json:"stripe"`
	Children int `json:"children"` // of the source
	Relays   int `json:"relays"`   // that have it as a home stripe
	Free     int `json:"free"`     // slots of theirs
}

// describeForest puts it together. player may be nil; rates are this participant's.
func describeForest(role string, h *host.Host, player *view.Player, rates *pace) forestStatus {
	st, net, now := h.Status(), h.Net(), time.Now()
	out := forestStatus{
		Role: role, Node: st.Node.Brief(), Shared: sharedRatio(net),
		Stripes: []placeStatus{}, Parents: []parentStatus{}, Changes: []changeStatus{},
		Source: rootStatus{Thin: -1, Branches: []rootStripe{}},
	}
	if kept := h.Store(); kept != nil {
		out.Problem = kept.Stats().Problem
	}
	if len(st.Streams) == 0 {
		return out
	}
	s := st.Streams[0]
	fillForest(&out, now, s)
	payload := s.Counters.Payload
	if player != nil {
		ps := player.Stats()
		out.Played, out.Skipped, out.Delay = ps.Played, ps.Skipped, ps.Delay.Seconds()
		payload = ps.Payload
	} else if s.Source {
		out.Played = s.Counters.Blocks
	}
	in, sent, cut := rates.look(now, tally{net.In, net.Out, payload})
	out.In, out.Out = in, sent
	if s.Source {
		out.Source = describeRoot(s, st.Node, net.Out)
		out.Source.Out = sent
		if cut > 0 {
			out.Source.Egress = sent / cut
		}
	}
	return out
}

// fillForest is the part that comes from the Core.
func fillForest(out *forestStatus, now time.Time, s relay.StreamStatus) {
	out.Stream, out.Name, out.Rate, out.Ended = s.Info.Stream.String(), s.Info.Name, s.Info.Rate, s.Ended
	out.Media = s.Info.Media.String()
	out.K, out.M = s.Info.Layout.K, s.Info.Layout.M
	out.Root = membership.NodeID(s.Info.Root).Brief()
	out.Spare, out.Live, out.Slots = s.Spare, s.Live, s.Slots
	for _, b := range s.Stripes {
		p := placeStatus{
			Stripe: b.Stripe, Parent: brief(b.Parent), Path: []string{}, Depth: b.Depth,
			RTT: b.RTT.Seconds(), Late: b.Lag.Seconds(), Live: b.Live, Slow: b.Slow, Home: b.Home,
			Made: b.Made, Wanted: b.Wanted, Children: b.Children, Fed: []string{},
		}
		for _, id := range b.Fed[:min(len(b.Fed), maxFed)] {
			p.Fed = append(p.Fed, id.Brief())
		}
		for _, id := range b.Path {
			p.Path = append(p.Path, id.Brief())
		}
		out.Stripes = append(out.Stripes, p)
		if p.Parent != "" {
			out.addParent(p)
		}
	}
	for _, c := range s.Changes {
		out.Changes = append(out.Changes, describeChange(now, c))
	}
}

func (f *forestStatus) addParent(p placeStatus) {
	i := slices.IndexFunc(f.Parents, func(o parentStatus) bool { return o.Node == p.Parent })
	if i < 0 {
		i = len(f.Parents)
		f.Parents = append(f.Parents, parentStatus{Node: p.Parent})
	}
	o := &f.Parents[i]
	o.Stripes = append(o.Stripes, p.Stripe)
	o.RTT, o.Late, o.Slow = max(o.RTT, p.RTT), max(o.Late, p.Late), o.Slow || p.Slow
}

func describeChange(now time.Time, c overlay.Change) changeStatus {
	return changeStatus{
		Ago: max(0, now.Sub(c.At).Seconds()), Stripe: c.Stripe, From: brief(c.From), To: brief(c.To),
		Gap: c.Gap.Seconds(), Lost: c.Lost,
	}
}

// describeRoot is what a source knows; what it sends, its caller does.
func describeRoot(s relay.StreamStatus, node membership.NodeID, sent uint64) rootStatus {
	r := rootStatus{
		Node: node.Brief(), Viewers: s.Crowd.Viewers, Relays: s.Crowd.Relays, Depth: s.Crowd.Depth,
		Children: s.Children, Slots: s.Slots, Thin: -1, Branches: []rootStripe{},
	}
	if s.Counters.Payload > 0 {
		r.InAll = float64(sent) / float64(s.Counters.Payload)
	}
	for _, b := range s.Stripes {
		r.Branches = append(r.Branches, rootStripe{
			Stripe: b.Stripe, Children: b.Children, Relays: b.Cover.Relays, Free: b.Cover.Free,
		})
	}
	if s.Crowd.Relays+s.Crowd.Viewers > 0 {
		r.Thin = slices.MinFunc(r.Branches, thinner).Stripe
	}
	return r
}

// thinner orders stripes by the room that is left in them: free slots, then relays that
// could take a dead one's children, then the source's own children.
func thinner(a, b rootStripe) int {
	return cmp.Or(cmp.Compare(a.Free, b.Free), cmp.Compare(a.Relays, b.Relays), cmp.Compare(a.Children, b.Children))
}

// brief is a node for people, or nobody.
func brief(id membership.NodeID) string {
	if id.IsZero() {
		return ""
	}
	return id.Brief()
}

// sharedRatio is what is sent for each byte that comes.
func sharedRatio(net quicnet.Stats) float64 {
	if net.In == 0 {
		return 0
	}
	return float64(net.Out) / float64(net.In)
}

// tally is bytes at one moment.
type tally struct{ in, out, payload uint64 }

// paceSpan is over how long a rate is taken, at the least, if it is known for so long.
const paceSpan = 4 * time.Second

// pace gives rates of late to many who ask when they like: since the moment before last
// that somebody asked and that was paceSpan after the one before it.
type pace struct {
	mu        sync.Mutex // guards what follows
	from, mid tally
	fromAt    time.Time
	midAt     time.Time
}

func newPace() *pace {
	now := time.Now()
	return &pace{fromAt: now, midAt: now}
}

// look tells bits a second on the wire, in and out, and of payload.
func (p *pace) look(now time.Time, t tally) (in, out, payload float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.midAt) >= paceSpan {
		p.from, p.fromAt, p.mid, p.midAt = p.mid, p.midAt, t, now
	}
	span := now.Sub(p.fromAt).Seconds()
	since := func(now, then uint64) float64 {
		if span <= 0 || now < then {
			return 0
		}
		return float64(now-then) * 8 / span
	}
	return since(t.in, p.from.in), since(t.out, p.from.out), since(t.payload, p.from.payload)
}
