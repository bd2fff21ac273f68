package wide

import (
	"flag"
	"testing"

	"github.com/stripecast/stripecast/test/sim/plot"
)

var plots = flag.String("plots", "", "draw the experiments' charts into this folder")

// TestPlots draws how depth, lag and the source's upload grow with the pool.
func TestPlots(t *testing.T) {
	if *plots == "" {
		t.Skip("takes minutes: go test ./test/sim/wide -run Plots -plots ../../../docs")
	}
	depth, bound := plot.Series{Name: "deepest"}, plot.Series{Name: "bound", Dashed: true}
	median, most := plot.Series{Name: "median"}, plot.Series{Name: "most"}
	feeds, limit := plot.Series{Name: "source feeds"}, plot.Series{Name: "limit", Dashed: true}
	for _, n := range []int{60, 100, 200, 300, 500, 1000} {
		cfg := config(n)
		r, _ := ExperimentSettle(cfg)
		x := float64(n)
		depth.Points = append(depth.Points, plot.Point{X: x, Y: float64(r.Depth)})
		bound.Points = append(bound.Points, plot.Point{X: x, Y: float64(r.Bound)})
		median.Points = append(median.Points, plot.Point{X: x, Y: float64(r.Lag[0].Milliseconds())})
		most.Points = append(most.Points, plot.Point{X: x, Y: float64(r.Lag[2].Milliseconds())})
		feeds.Points = append(feeds.Points, plot.Point{X: x, Y: r.Egress})
		limit.Points = append(limit.Points, plot.Point{X: x, Y: 1.05 * float64(cfg.Roots)})
		t.Logf("%d: %+v", n, r)
	}
	note := "16+4, 25 slots each. go test ./test/sim/wide -run Plots -plots ../../../docs"
	x := plot.Axis{Label: "participants", Ticks: []float64{50, 100, 200, 500, 1000}, Log: true}
	for name, c := range map[string]plot.Chart{
		"depth.svg": {Title: "Hops from the source", Note: note, X: x,
			Y: plot.Axis{Label: "hops", Ticks: []float64{0, 1, 2, 3, 4, 5, 6}}, Series: []plot.Series{depth, bound}},
		"lag.svg": {Title: "From the camera to a viewer, less the play-out delay", Note: note, X: x,
			Y: plot.Axis{Label: "block and way", Ticks: []float64{0, 100, 200, 300, 400}, Unit: " ms"}, Series: []plot.Series{median, most}},
		"egress.svg": {Title: "What the source uploads", Note: note, X: x,
			Y: plot.Axis{Label: "children a stripe", Ticks: []float64{0, 0.5, 1, 1.5, 2, 2.5}}, Series: []plot.Series{feeds, limit}},
	} {
		if err := c.Write(*plots, name); err != nil {
			t.Fatal(err)
		}
	}
}
