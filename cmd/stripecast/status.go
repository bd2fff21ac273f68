package main

import (
	"time"

	"github.com/stripecast/stripecast/playout/rewind"
	"github.com/stripecast/stripecast/playout/view"
	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/host"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/relay/store"
)

// status is what /api/status says. A participant that carries several streams
// says of the first what one that carries one says, and lists all in Streams.
type status struct {
	Role string `json:"role"` // source, relay or view
	Node string `json:"node"` // node ID
	streamStatus
	Streams     []streamStatus `json:"streams"`
	Bytes       bytesStatus    `json:"bytes"`
	RelaysKnown int            `json:"relays_known"`
	Peers       int            `json:"peers"`  // connected
	Upload      float64        `json:"upload"` // cap, bits/s; 0 = shares nothing
	Uplink      float64        `json:"uplink"` // measured, bits/s; 0 = not, or not yet
	Buffer      bufferStatus   `json:"buffer"`
	Month       monthStatus    `json:"month"`
	URLs        []string       `json:"urls"`
}

// monthStatus is what was sent in this calendar month. Without a cap on that all is empty.
type monthStatus struct {
	Sent  uint64 `json:"sent"`  // bytes, of all relays of this user on this machine
	Limit uint64 `json:"limit"` // bytes
	Spent bool   `json:"spent"` // nobody is fed until the month ends
	Ends  string `json:"ends"`  // RFC 3339
}

// bufferStatus is the past on disk. If nothing is kept, Dir is empty.
type bufferStatus struct {
	Dir     string  `json:"dir"`
	Keep    float64 `json:"keep"`  // seconds; 0: for ever
	Bytes   int64   `json:"bytes"` // of its files
	Quota   int64   `json:"quota"` // bytes
	Shards  uint64  `json:"shards"`
	Oldest  string  `json:"oldest"`  // of the blocks, by their sources' clocks: RFC 3339, or empty
	Newest  string  `json:"newest"`  // likewise
	Dropped uint64  `json:"dropped"` // shards that could not be kept
	Problem string  `json:"problem"` // in words; empty: none
}

type streamStatus struct {
	Stream   string         `json:"stream"` // ID
	Name     string         `json:"name"`
	Title    string         `json:"title"`       // what plays at the moment
	About    string         `json:"description"` // what the stream is
	Picture  string         `json:"thumbnail"`   // where a picture of it is: a URL, or empty
	Media    string         `json:"media"`
	Private  bool           `json:"private"` // only who has the link's key can read it
	Layout   string         `json:"layout"`
	Epoch    uint32         `json:"epoch"`
	Rate     uint64         `json:"rate"`       // bits/s of stream
	Block    float64        `json:"block_time"` // seconds
	Ended    bool           `json:"ended"`
	Spare    int            `json:"spare_stripes"` // live stripes less k
	Live     int            `json:"live_stripes"`
	Stripes  []stripeStatus `json:"stripes"`
	Children int            `json:"children"`
	Slots    int            `json:"slots"`
	Blocks   blocksStatus   `json:"blocks"`
	Delay    float64        `json:"delay"` // seconds from source to player; 0 unless it plays
	Window   int            `json:"window_bytes"`
	Past     pastStatus     `json:"past"`
	Counters relay.Counters `json:"counters"`

	Neighbours int           `json:"neighbours"` // with whom shards are pulled
	Pull       pull.Counters `json:"pull"`
}

type stripeStatus struct {
	Stripe   int    `json:"stripe"`
	Parent   string `json:"parent"` // node ID; empty if there is none
	Depth    int    `json:"depth"`
	Live     bool   `json:"live"`
	Home     bool   `json:"home"`
	Children int    `json:"children"`
}

type blocksStatus struct {
	Played  uint64 `json:"played"` // by a source: published
	Skipped uint64 `json:"skipped"`
	Rebuilt uint64 `json:"rebuilt"` // with parity
}

// pastStatus is what there is of a stream's past, here and elsewhere.
type pastStatus struct {
	First    uint64  `json:"first"` // blocks
	Last     uint64  `json:"last"`
	From     string  `json:"from"`     // by the source's clock: RFC 3339, or empty
	To       string  `json:"to"`       // likewise
	Duration float64 `json:"duration"` // seconds; 0: not known, or nothing
	Live     bool    `json:"live"`     // more is to come
	// Of a viewer:
	Readers int    `json:"readers"` // players that take it now
	Blocks  uint64 `json:"blocks"`  // given to players
	Absent  uint64 `json:"absent"`  // blocks that nobody had
}

// bytesStatus: in and out as on the wire, with UDP and IP headers; payload is
// bytes of stream cut or played.
type bytesStatus struct {
	In      uint64 `json:"in"`
	Out     uint64 `json:"out"`
	Payload uint64 `json:"payload"`
}

// describe puts a status together. player may be nil.
func describe(role string, h *host.Host, player *view.Player, urls []string) status {
	st := h.Status()
	net, uplink := h.Net(), h.Uplink()
	out := status{
		Role: role, Node: st.Node.String(), URLs: urls,
		RelaysKnown: st.Known, Peers: st.Peers,
		Bytes:   bytesStatus{In: net.In, Out: net.Out},
		Streams: []streamStatus{}, Upload: uplink.Cap, Uplink: uplink.Measured,
		Buffer: describeBuffer(h.Store()),
	}
	if st.Monthly > 0 {
		out.Month = monthStatus{Sent: st.Month.Sent, Limit: st.Monthly, Spent: st.Spent, Ends: moment(st.Month.Ends())}
	}
	out.Stripes = []stripeStatus{} // JSON's null is no list
	for _, s := range st.Streams {
		d := describeStream(s)
		if e, ok := (&held{h: h, id: s.Info.Stream}).Extent(); ok {
			d.Past = describePast(e)
		}
		if player != nil {
			ps := player.Stats()
			d.Blocks = blocksStatus{Played: ps.Played, Skipped: ps.Skipped, Rebuilt: ps.Rebuilt}
			d.Delay = ps.Delay.Seconds()
			out.Bytes.Payload = ps.Payload
		} else if s.Source {
			d.Blocks.Played = s.Counters.Blocks
			out.Bytes.Payload += s.Counters.Payload
		}
		out.Streams = append(out.Streams, d)
	}
	if len(out.Streams) > 0 {
		out.streamStatus = out.Streams[0]
	}
	return out
}

// describeBuffer says what a store holds; of none, nothing.
func describeBuffer(s *store.Store) bufferStatus {
	if s == nil {
		return bufferStatus{}
	}
	st := s.Stats()
	return bufferStatus{
		Dir: s.Dir(), Keep: s.Keep().Seconds(), Bytes: st.Bytes, Quota: st.Quota, Shards: st.Shards,
		Oldest: moment(st.Oldest), Newest: moment(st.Newest), Dropped: st.Dropped, Problem: st.Problem,
	}
}

// moment is a time for programs.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func describePast(e rewind.Extent) pastStatus {
	return pastStatus{
		First: e.First, Last: e.Last, From: moment(e.From), To: moment(e.To),
		Duration: e.Duration().Seconds(), Live: e.Live,
	}
}

// describeView is a viewer's status.
func describeView(h *host.Host, player *view.Player, past *rewind.Stream, urls []string) status {
	out := describe("view", h, player, urls)
	ext, ok := past.Extent()
	if !ok {
		return out
	}
	p, st := describePast(ext), past.Stats()
	p.Readers, p.Blocks, p.Absent = st.Readers, st.Blocks, st.Absent
	out.Past = p
	if len(out.Streams) > 0 {
		out.Streams[0].Past = p
	}
	return out
}

func describeStream(s relay.StreamStatus) streamStatus {
	d := streamStatus{
		Stream: s.Info.Stream.String(), Name: s.Info.Name, Title: s.Info.Title, About: s.Info.Description, Picture: s.Info.Thumbnail, Media: s.Info.Media.String(), Private: s.Info.Private(),
		Layout: s.Info.Layout.String(), Epoch: s.Info.Epoch, Rate: s.Info.Rate,
		Block: s.Info.BlockTime.Seconds(), Ended: s.Ended, Spare: s.Spare, Live: s.Live,
		Children: s.Children, Slots: s.Slots, Window: s.Window, Counters: s.Counters,
		Stripes: []stripeStatus{}, Neighbours: s.Neighbours, Pull: s.Pull,
	}
	for _, b := range s.Stripes {
		parent := ""
		if !b.Parent.IsZero() {
			parent = b.Parent.String()
		}
		d.Stripes = append(d.Stripes, stripeStatus{
			Stripe: b.Stripe, Parent: parent, Depth: b.Depth, Live: b.Live, Home: b.Home, Children: b.Children,
		})
	}
	return d
}

// How often a status line is written where it is not rewritten: often for talkative,
// and then seldom.
const (
	lineEvery  = 10 * time.Second
	talkative  = time.Minute
	lineSeldom = time.Minute
)

// statusLine is one line for people until stop is closed: on a terminal rewritten every
// second, elsewhere one now and then.
func statusLine(c *console, line func() string, stop <-chan struct{}) {
	screen, terminal := c.err.(*calm)
	every := lineEvery
	if terminal = terminal && !c.json; terminal {
		every = time.Second
		defer screen.end()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for passed := time.Duration(0); ; {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		text := line()
		switch {
		case text == "":
		case terminal:
			screen.show(text)
		default:
			c.say("%s", text)
		}
		if passed += every; !terminal && passed == talkative {
			every = lineSeldom
			tick.Reset(every)
		}
	}
}

// keepSaying shows a status line until the function that it returns is called.
func (c *console) keepSaying(line func() string) (end func()) {
	stop, said := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(said)
		statusLine(c, line, stop)
	}()
	return func() {
		close(stop)
		<-said
	}
}

// meter gives a rate from a counter that is read now and then.
type meter struct {
	last uint64
	at   time.Time
}

func newMeter() *meter { return &meter{at: time.Now()} }

// rate is bits a second since the last call, or since newMeter.
func (m *meter) rate(now time.Time, total uint64) float64 {
	defer func() { m.last, m.at = total, now }()
	if !now.After(m.at) || total < m.last {
		return 0
	}
	return float64(total-m.last) * 8 / now.Sub(m.at).Seconds()
}
