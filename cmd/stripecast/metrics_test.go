package main

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/stripecast/stripecast/relay"
	"github.com/stripecast/stripecast/relay/pull"
	"github.com/stripecast/stripecast/relay/quicnet"
)

// scraped is a participant with two streams, of which every figure is another.
func scraped() scrape {
	s := scrape{
		net:     quicnet.Stats{In: 1001, Out: 1002, Lanes: 1003, Handshakes: 1004, HandshakesFailed: 1005, HandshakesRefused: 1006, ShardsIn: 1007, ShardsOut: 1008, ShardsDropped: 1009, ShardsLate: 1010, ShardsReset: 1011, StreamsRefused: 1012, PacketsDropped: 1013, Panics: 1014},
		players: 1015,
	}
	s.Role, s.Node, s.Peers, s.RelaysKnown, s.Upload, s.Uplink = "relay", "nodeid", 1016, 1017, 8*1018, 8*1019
	s.Month = monthStatus{Sent: 1024, Limit: 1025, Spent: true}
	s.Buffer = bufferStatus{Bytes: 1020, Quota: 1021, Shards: 1022, Dropped: 1023, Problem: "the disk is full"}
	for i, id := range []string{"first", "second"} {
		n := uint64(1 + i)
		s.Streams = append(s.Streams, streamStatus{
			Stream: id, Name: "a \"name\"\n of two lines", Media: "ts", Layout: "16+4", Epoch: uint32(2000 * n), Rate: 8 * 2001 * n, Ended: i > 0,
			Spare: -4, Live: 12, Children: 2002, Slots: 2003, Window: 2004, Delay: 1.5, Neighbours: 2005,
			Stripes:  []stripeStatus{{Live: true, Depth: 3, Home: true}, {Depth: 7}, {Live: true, Depth: 2, Home: true}},
			Blocks:   blocksStatus{Played: 2006, Skipped: 2007, Rebuilt: 2008},
			Past:     pastStatus{Duration: 2009, Blocks: 2010, Absent: 2011},
			Counters: relay.Counters{Shards: 2012, Twice: 2013, Stale: 2014, Forged: 2015, Equivocal: 2016, Unchecked: 2017, Nonsense: 2018, Remade: 2019, Payload: 2020, Blocks: 2021, Signature: 2022, Fetched: 2023, Capped: 2030},
			Pull:     pull.Counters{Asked: 2024, Answered: 2025, Wasted: 2026, Served: 2027, Spoken: 2028, Missed: 2029},
		})
	}
	return s
}

// metricsText asks for metrics as a monitoring system does that takes this type.
func metricsText(t *testing.T, accept string) string {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	newMetrics(scraped).ServeHTTP(w, r)
	if w.Code != 200 || !strings.HasPrefix(w.Header().Get("Content-Type"), strings.Split(accept, ";")[0]) {
		t.Fatalf("%d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return w.Body.String()
}

// TestMetricsAreClean: what a monitoring system gets breaks no rule of Prometheus, and
// is well-formed in both forms that it may ask for.
func TestMetricsAreClean(t *testing.T) {
	text := metricsText(t, "text/plain;version=0.0.4")
	// Of those of the process, which are not ours, the linter knows better.
	var ours []string
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.Contains(line, namespace) {
			ours = append(ours, line)
		}
	}
	problems, err := promlint.New(strings.NewReader(strings.Join(ours, ""))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if problems, err = promlint.New(strings.NewReader("# TYPE x counter\nx 1\n")).Lint(); err != nil || len(problems) == 0 {
		t.Errorf("the linter finds nothing wrong: %v", err)
	}
	open := metricsText(t, "application/openmetrics-text;version=1.0.0")
	if !strings.HasSuffix(open, "\n# EOF\n") {
		t.Error("OpenMetrics has no end")
	}
	sample := regexp.MustCompile(`^[a-z_:0-9]+(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? -?[0-9.e+\-]+(Inf|NaN)?( [0-9.e+]+)?$`)
	for _, line := range strings.Split(strings.TrimSpace(open), "\n") {
		if !strings.HasPrefix(line, "# ") && !sample.MatchString(line) {
			t.Errorf("no sample: %q", line)
		}
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(newCollector(scraped))
	if _, err := reg.Gather(); err != nil {
		t.Error(err)
	}
}

// TestMetricsSayWhatIs: every figure stands where its name says, once for each stream,
// and none stands in two places.
func TestMetricsSayWhatIs(t *testing.T) {
	text := metricsText(t, "text/plain;version=0.0.4")
	for _, want := range []string{
		`stripecast_node_info{node="nodeid",role="relay"} 1`,
		`stripecast_stream_info{layout="16+4",media="ts",name="a \"name\"\n of two lines",stream="first"} 1`,
		`stripecast_received_bytes_total 1001`, `stripecast_sent_bytes_total 1002`, `stripecast_peers 1016`,
		`stripecast_upload_limit_bytes_per_second 1018`, `stripecast_uplink_bytes_per_second 1019`,
		`stripecast_handshakes_total{result="refused"} 1006`, `stripecast_buffer_problem 1`,
		`stripecast_spare_stripes{stream="second"} -4`, `stripecast_live_stripes{stream="first"} 12`,
		`stripecast_stream_epoch{stream="first"} 2000`, `stripecast_stream_epoch{stream="second"} 4000`,
		`stripecast_stream_bytes_per_second{stream="second"} 4002`,
		`stripecast_home_stripes{stream="first"} 2`, `stripecast_hops{stream="first"} 3`,
		`stripecast_stream_ended{stream="first"} 0`, `stripecast_stream_ended{stream="second"} 1`,
		`stripecast_shards_dropped_total{stream="first",why="forged"} 2015`,
		`stripecast_delay_seconds{stream="first"} 1.5`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("it lacks %s", want)
		}
	}
	var first []string
	for _, line := range strings.Split(text, "\n") {
		name, value, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(name, namespace) || strings.Contains(name, "second") || len(value) < 4 {
			continue
		}
		if slices.Contains(first, value) {
			t.Errorf("another has the value of %s", line)
		}
		first = append(first, value)
	}
	if len(first) < 45 {
		t.Errorf("only %d figures", len(first))
	}
}

// TestMetricsOfAServer: a participant that carries nothing yet has metrics, and says
// that it is well.
func TestMetricsOfAServer(t *testing.T) {
	h := begin(t, 5e6)
	url := show(t, &site{
		host:   h,
		status: func(urls []string) status { return describe("relay", h, nil, urls) },
		ready:  func(flows func() error) error { return flows() },
		count:  func() uint64 { return 0 },
	})
	for path, want := range map[string]string{
		"metrics": "\nstripecast_upload_limit_bytes_per_second 625000\n",
		"healthz": "ok\n",
		"readyz":  "no block has come yet\n",
	} {
		if _, body := fetch(t, url+path); !strings.Contains(body, want) {
			t.Errorf("/%s lacks %q:\n%s", path, want, body)
		}
	}
}
