package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// labels is which labels every metric has that a participant tells.
func labels(t *testing.T) map[string][]string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(newCollector(scraped), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range families {
		of := []string{"job", "instance"} // of whoever asked
		for _, l := range f.GetMetric()[0].GetLabel() {
			of = append(of, l.GetName())
		}
		all[f.GetName()] = of
	}
	return all
}

var (
	metricName = regexp.MustCompile(`\b(?:stripecast|go|process)_[a-z0-9_]+`)
	selectors  = regexp.MustCompile(`\b((?:stripecast|go|process)_[a-z0-9_]+)\{([^}]*)\}`)
	byLabel    = regexp.MustCompile(`\bby \((\w+)\)`)
	legend     = regexp.MustCompile(`\{\{(\w+)\}\}`)
	counted    = regexp.MustCompile(`\b(?:rate|increase)\(([a-z0-9_]+)`)
)

// expressionFaults finds metrics and labels in a query that do not exist, counters that
// are shown as they are, and gauges that are taken for counters.
func expressionFaults(all map[string][]string, expr, names string) (found []string) {
	known := map[string]bool{}
	for _, name := range metricName.FindAllString(expr, -1) {
		if all[name] == nil {
			found = append(found, "there is no metric "+name)
		}
		for _, label := range all[name] {
			known[label] = true
		}
	}
	for _, m := range selectors.FindAllStringSubmatch(expr, -1) {
		for _, match := range strings.Split(m[2], ",") {
			label := regexp.MustCompile(`^\w+`).FindString(match)
			if all[m[1]] != nil && !slices.Contains(all[m[1]], label) {
				found = append(found, m[1]+" has no label "+label)
			}
		}
	}
	for _, m := range append(byLabel.FindAllStringSubmatch(expr, -1), legend.FindAllStringSubmatch(names, -1)...) {
		if !known[m[1]] {
			found = append(found, "nothing has a label "+m[1])
		}
	}
	var rates []string
	for _, m := range counted.FindAllStringSubmatch(expr, -1) {
		rates = append(rates, m[1])
	}
	for _, name := range metricName.FindAllString(expr, -1) {
		if strings.HasSuffix(name, "_total") != slices.Contains(rates, name) {
			found = append(found, name+" is taken for what it is not")
		}
	}
	return found
}

// TestGrafana: the board can be read, and shows only what there is, under names that
// what it asks for has.
func TestGrafana(t *testing.T) {
	b, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		UID    string
		Panels []struct {
			ID                 int
			Title, Description string
			GridPos            struct{ X, Y, W, H int }
			Targets            []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	all, shown, ids := labels(t), map[string]bool{}, map[int]bool{}
	for _, p := range board.Panels {
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 || ids[p.ID] || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H == 0 {
			t.Errorf("panel %d, %q, is not whole", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			for _, fault := range expressionFaults(all, target.Expr, target.LegendFormat) {
				t.Errorf("%s: %s in %s", p.Title, fault, target.Expr)
			}
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				shown[name] = true
			}
		}
	}
	for _, v := range board.Templating.List {
		for _, fault := range expressionFaults(all, v.Definition, "") {
			t.Errorf("%s: %s", v.Name, fault)
		}
	}
	if len(board.Panels) < 15 || len(shown) < 30 || !shown["stripecast_spare_stripes"] {
		t.Errorf("%d panels show %q", len(board.Panels), slices.Sorted(maps.Keys(shown)))
	}
}

func TestGrafanaCanFail(t *testing.T) {
	all := labels(t)
	for expr, faults := range map[string]int{
		`min(stripecast_spare_stripes{stream="x"})`: 0, `stripecast_spare{stream="x"}`: 2, `stripecast_peers{stream="x"}`: 1,
		`stripecast_sent_bytes_total{job="x"}`: 1, `rate(stripecast_peers[5m])`: 1, `rate(stripecast_sent_bytes_total{job="x"}[5m])`: 0,
		`sum by (role) (stripecast_peers)`: 1,
	} {
		if found := expressionFaults(all, expr, "{{instance}}"); len(found) != faults {
			t.Errorf("%s: %q, want %d", expr, found, faults)
		}
	}
	if found := expressionFaults(all, "stripecast_peers", "{{stream}}"); len(found) != 1 {
		t.Errorf("%q", found)
	}
}
