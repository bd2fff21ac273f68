package main

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stripecast/stripecast/relay/quicnet"
)

// scrape is what metrics are made of: a look at a participant.
type scrape struct {
	status
	net     quicnet.Stats
	players int // that take the stream or its past
}

const (
	namespace  = "stripecast"
	counts     = prometheus.CounterValue
	measures   = prometheus.GaugeValue
	scrapeTime = 10 * time.Second // to answer /metrics
	maxScrapes = 4                // at a time; a further one is answered 503
)

// metric is one figure, of a participant or of each of its streams. Units are seconds
// and bytes; ratios and counts have none.
type metric[T any] struct {
	name  string // behind the namespace
	help  string
	kind  prometheus.ValueType
	label string // that tells some of one name apart; empty: there is one
	value string // of the label
	read  func(T) float64
}

// nodeMetrics are a participant's.
var nodeMetrics = []metric[*scrape]{
	{"peers", "Nodes that are connected.", measures, "", "", func(s *scrape) float64 { return float64(s.Peers) }},
	{"relays_known", "Relays that are known and not doubted.", measures, "", "", func(s *scrape) float64 { return float64(s.RelaysKnown) }},
	{"lanes", "Connections to peers, each for some stripes.", measures, "", "", func(s *scrape) float64 { return float64(s.net.Lanes) }},
	{"received_bytes_total", "Bytes on the wire, with UDP and IP headers.", counts, "", "", func(s *scrape) float64 { return float64(s.net.In) }},
	{"sent_bytes_total", "Bytes on the wire, with UDP and IP headers.", counts, "", "", func(s *scrape) float64 { return float64(s.net.Out) }},
	{"upload_limit_bytes_per_second", "What may be sent; 0: nothing is shared.", measures, "", "", func(s *scrape) float64 { return s.Upload / 8 }},
	{"uplink_bytes_per_second", "What the uplink was found to carry; 0: not measured.", measures, "", "", func(s *scrape) float64 { return s.Uplink / 8 }},
	{"month_sent_bytes", "What was sent in this calendar month, if --monthly bounds that.", measures, "", "", func(s *scrape) float64 { return float64(s.Month.Sent) }},
	{"month_limit_bytes", "What may be sent in one; 0: any number.", measures, "", "", func(s *scrape) float64 { return float64(s.Month.Limit) }},
	{"month_spent", "1 if that is sent, and nobody is fed before the next.", measures, "", "", func(s *scrape) float64 { return one(s.Month.Spent) }},
	{"handshakes_total", "Connections that came about, failed, or were refused for a limit.", counts, "result", "done", func(s *scrape) float64 { return float64(s.net.Handshakes) }},
	{"handshakes_total", "", counts, "result", "failed", func(s *scrape) float64 { return float64(s.net.HandshakesFailed) }},
	{"handshakes_total", "", counts, "result", "refused", func(s *scrape) float64 { return float64(s.net.HandshakesRefused) }},
	{"shards_received_total", "Shards that came whole.", counts, "", "", func(s *scrape) float64 { return float64(s.net.ShardsIn) }},
	{"shards_sent_total", "Shards that were given to QUIC whole.", counts, "", "", func(s *scrape) float64 { return float64(s.net.ShardsOut) }},
	{"shards_unsent_total", "Shards that were not sent whole, or given up when sent: too late, or the peer gone.", counts, "why", "dropped", func(s *scrape) float64 { return float64(s.net.ShardsDropped) }},
	{"shards_unsent_total", "", counts, "why", "late", func(s *scrape) float64 { return float64(s.net.ShardsLate) }},
	{"shards_given_up_total", "Shards that their sender gave up while they came.", counts, "", "", func(s *scrape) float64 { return float64(s.net.ShardsReset) }},
	{"quic_streams_refused_total", "QUIC streams of others that were unknown, too slow, or for which there was no room.", counts, "", "", func(s *scrape) float64 { return float64(s.net.StreamsRefused) }},
	{"gossip_packets_dropped_total", "Gossip packets dropped, either way.", counts, "", "", func(s *scrape) float64 { return float64(s.net.PacketsDropped) }},
	{"panics_total", "Panics that cost a peer each.", counts, "", "", func(s *scrape) float64 { return float64(s.net.Panics) }},
	{"players", "Local players that take the stream or its past.", measures, "", "", func(s *scrape) float64 { return float64(s.players) }},
	{"buffer_bytes", "Bytes of the past on disk.", measures, "", "", func(s *scrape) float64 { return float64(s.Buffer.Bytes) }},
	{"buffer_quota_bytes", "Bytes that it may take; 0: none, or no quota.", measures, "", "", func(s *scrape) float64 { return float64(s.Buffer.Quota) }},
	{"buffer_shards", "Shards in it.", measures, "", "", func(s *scrape) float64 { return float64(s.Buffer.Shards) }},
	{"buffer_dropped_shards_total", "Shards that could not be kept.", counts, "", "", func(s *scrape) float64 { return float64(s.Buffer.Dropped) }},
	{"buffer_problem", "1 if something is wrong with it; /api/status says what.", measures, "", "", func(s *scrape) float64 { return one(s.Buffer.Problem != "") }},
}

// streamMetrics are those of each stream that a participant carries, at most
// relay.MaxStreams and one on trial.
var streamMetrics = []metric[*streamStatus]{
	{"stream_bytes_per_second", "Rate that the source says the stream has.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Rate) / 8 }},
	{"stream_epoch", "Run of the source.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Epoch) }},
	{"stream_ended", "1 once the last block is known.", measures, "", "", func(s *streamStatus) float64 { return one(s.Ended) }},
	{"spare_stripes", "Live stripes less those needed: how many parents may vanish unnoticed. A relay that does not play can spare none.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Spare) }},
	{"live_stripes", "Stripes that a living parent feeds.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Live) }},
	{"home_stripes", "Stripes in which slots are spent.", measures, "", "", homes},
	{"hops", "Most hops from the source to here, of the live stripes.", measures, "", "", hops},
	{"children", "Children, each in one stripe.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Children) }},
	{"slots", "Children that there may be.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Slots) }},
	{"neighbours", "Nodes with whom shards are pulled.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Neighbours) }},
	{"window_bytes", "Bytes of blocks held in memory.", measures, "", "", func(s *streamStatus) float64 { return float64(s.Window) }},
	{"delay_seconds", "Time from the source to the player; 0 unless it plays.", measures, "", "", func(s *streamStatus) float64 { return s.Delay }},
	{"blocks_total", "Blocks published or rebuilt.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Blocks) }},
	{"payload_bytes_total", "Bytes of stream published or rebuilt.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Payload) }},
	{"blocks_played_total", "Blocks played; of a source, published.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Blocks.Played) }},
	{"blocks_skipped_total", "Blocks that were not there when they were due.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Blocks.Skipped) }},
	{"blocks_rebuilt_total", "Blocks played that parity was needed for.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Blocks.Rebuilt) }},
	{"blocks_nonsense_total", "Blocks whose shards the source signed although they are no codeword.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Nonsense) }},
	{"shards_accepted_total", "Shards from peers that were wanted and genuine.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Shards) }},
	{"shards_dropped_total", "Shards from peers that were not: held already, not wanted any more, not the source's, of a second root, or over the sender's budget of checks.", counts, "why", "twice", func(s *streamStatus) float64 { return float64(s.Counters.Twice) }},
	{"shards_dropped_total", "", counts, "why", "stale", func(s *streamStatus) float64 { return float64(s.Counters.Stale) }},
	{"shards_dropped_total", "", counts, "why", "forged", func(s *streamStatus) float64 { return float64(s.Counters.Forged) }},
	{"shards_dropped_total", "", counts, "why", "equivocal", func(s *streamStatus) float64 { return float64(s.Counters.Equivocal) }},
	{"shards_dropped_total", "", counts, "why", "unchecked", func(s *streamStatus) float64 { return float64(s.Counters.Unchecked) }},
	{"shards_capped_total", "Shards not sent because the stream had used up its cap.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Capped) }},
	{"shards_remade_total", "Shards of home stripes that did not come, made again and passed on.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Remade) }},
	{"signatures_checked_total", "Signatures checked.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Signature) }},
	{"pull_asked_total", "Shards asked of neighbours.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Asked) }},
	{"pull_answered_total", "Of them, those that came while waited for.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Answered) }},
	{"pull_wasted_total", "Of them, those that came and were not needed any more.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Wasted) }},
	{"pull_served_total", "Shards sent to neighbours that asked.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Served) }},
	{"pull_spoken_bytes_total", "Bytes of all messages about what is held and wanted.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Spoken) }},
	{"blocks_missed_total", "Blocks that were short when they were due, whatever was pulled.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Pull.Missed) }},
	{"past_seconds", "How far the past reaches, here and elsewhere.", measures, "", "", func(s *streamStatus) float64 { return s.Past.Duration }},
	{"past_shards_total", "Shards accepted for blocks of the past.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Counters.Fetched) }},
	{"past_blocks_total", "Blocks of the past given to players.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Past.Blocks) }},
	{"past_absent_total", "Blocks of the past that nobody had.", counts, "", "", func(s *streamStatus) float64 { return float64(s.Past.Absent) }},
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func homes(s *streamStatus) float64 {
	n := 0
	for _, b := range s.Stripes {
		if b.Home {
			n++
		}
	}
	return float64(n)
}

func hops(s *streamStatus) float64 {
	most := 0
	for _, b := range s.Stripes {
		if b.Live {
			most = max(most, b.Depth)
		}
	}
	return float64(most)
}

// collector looks at a participant whenever somebody asks for its metrics.
type collector struct {
	look           func() scrape
	build, node    *prometheus.Desc
	info           *prometheus.Desc // of a stream
	nodes, streams []*prometheus.Desc
}

func newCollector(look func() scrape) *collector {
	return &collector{
		look:    look,
		build:   prometheus.NewDesc(namespace+"_build_info", "The program.", []string{"version", "goversion"}, nil),
		node:    prometheus.NewDesc(namespace+"_node_info", "The participant.", []string{"role", "node"}, nil),
		info:    prometheus.NewDesc(namespace+"_stream_info", "A stream that it carries.", []string{"stream", "name", "media", "layout"}, nil),
		nodes:   descriptions(nodeMetrics),
		streams: descriptions(streamMetrics, "stream"),
	}
}

// descriptions is one for each metric; those of one name share it.
func descriptions[T any](of []metric[T], labels ...string) []*prometheus.Desc {
	all := make([]*prometheus.Desc, len(of))
	for i, m := range of {
		switch {
		case i > 0 && of[i-1].name == m.name:
			all[i] = all[i-1]
			continue
		case m.label != "":
			all[i] = prometheus.NewDesc(namespace+"_"+m.name, m.help, append(labels[:len(labels):len(labels)], m.label), nil)
		default:
			all[i] = prometheus.NewDesc(namespace+"_"+m.name, m.help, labels, nil)
		}
	}
	return all
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, all := range [][]*prometheus.Desc{{c.build, c.node, c.info}, c.nodes, c.streams} {
		for _, d := range all {
			out <- d
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.look()
	out <- prometheus.MustNewConstMetric(c.build, measures, 1, version(), runtime.Version())
	out <- prometheus.MustNewConstMetric(c.node, measures, 1, s.Role, s.Node)
	collect(out, nodeMetrics, c.nodes, &s)
	for i := range s.Streams {
		st := &s.Streams[i]
		out <- prometheus.MustNewConstMetric(c.info, measures, 1, st.Stream, st.Name, st.Media, st.Layout)
		collect(out, streamMetrics, c.streams, st, st.Stream)
	}
}

func collect[T any](out chan<- prometheus.Metric, of []metric[T], as []*prometheus.Desc, from T, labels ...string) {
	for i, m := range of {
		values := labels
		if m.label != "" {
			values = append(labels[:len(labels):len(labels)], m.value)
		}
		out <- prometheus.MustNewConstMetric(as[i], m.kind, m.read(from), values...)
	}
}

// newMetrics answers /metrics for one participant, in the text of Prometheus or in
// OpenMetrics, as it is asked. Beside the participant it tells of the process.
func newMetrics(look func() scrape) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(newCollector(look), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime,
	})
}
