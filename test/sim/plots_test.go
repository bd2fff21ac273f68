package sim

import (
	"flag"
	"testing"
	"time"

	"github.com/stripecast/stripecast/stripe"
	"github.com/stripecast/stripecast/test/sim/plot"
)

var plots = flag.String("plots", "", "draw the experiments' charts into this folder")

// TestPlots draws the charts, each by the experiment that it shows.
func TestPlots(t *testing.T) {
	if *plots == "" {
		t.Skip("takes minutes: go test ./test/sim -run Plots -plots ../../docs")
	}
	if err := survivorsChart(t).Write(*plots, "survivors.svg"); err != nil {
		t.Fatal(err)
	}
}

// survivorsChart: who sees everything, and who decodes before anything is repaired,
// after a part of all participants was killed at one instant.
func survivorsChart(t *testing.T) plot.Chart {
	lossless := plot.Series{Name: "lossless (repaired)"}
	again := plot.Series{Name: "at once, made again"}
	forest := plot.Series{Name: "the same, computed", Dashed: true}
	plain := plot.Series{Name: "at once, volunteers"}
	hop4 := plot.Series{Name: "4 hops, computed", Dashed: true}
	n, m := stripe.DefaultLayout.N(), stripe.DefaultLayout.M
	const pools = 2
	for _, percent := range []float64{0, 5, 10, 15, 20, 30, 40, 50, 60} {
		f := percent / 100
		w, at := half(1, 2*time.Second, f)
		w.Run(10 * time.Second)
		s := w.Missed(at)
		lossless.Points = append(lossless.Points, plot.Point{X: percent, Y: share(s.Lossless, s.Viewers)})
		var sum [2]kill
		for seed := range uint64(pools) {
			pool, _ := sharingPool(seed+1, stripe.DefaultLayout)
			for i, k := range []kill{killSome(pool, f, true), killSome(volunteers(seed+1), f, false)} {
				sum[i].decode += k.decode
				sum[i].survivors += k.survivors
				sum[i].expected += k.expected / pools
			}
		}
		again.Points = append(again.Points, plot.Point{X: percent, Y: share(sum[0].decode, sum[0].survivors)})
		forest.Points = append(forest.Points, plot.Point{X: percent, Y: 100 * sum[0].expected})
		plain.Points = append(plain.Points, plot.Point{X: percent, Y: share(sum[1].decode, sum[1].survivors)})
		hop4.Points = append(hop4.Points, plot.Point{X: percent, Y: 100 * (1 - over(n, dead(f), m))})
		t.Logf("%2.0f %% killed: %+v %+v %+v", percent, last(lossless), last(again), last(plain))
	}
	return plot.Chart{
		Title:  "Survivors of a mass kill (16+4): lossless, or decoding at once, before repair",
		Note:   "24 relays, 100 viewers, delay 2 s, 10 s. go test ./test/sim -run Plots -plots ../../docs",
		X:      plot.Axis{Label: "participants killed at one instant", Ticks: []float64{0, 10, 20, 30, 40, 50, 60}, Unit: " %"},
		Y:      plot.Axis{Label: "survivors", Ticks: []float64{0, 20, 40, 60, 80, 100}, Unit: " %"},
		Series: []plot.Series{lossless, again, forest, plain, hop4},
	}
}

// dead is the probability that one of the relays of a way of four hops is dead.
func dead(f float64) float64 {
	alive := 1.0
	for range hops - 1 {
		alive *= 1 - f
	}
	return 1 - alive
}

func share(part, of int) float64 { return 100 * float64(part) / float64(max(1, of)) }

func last(s plot.Series) plot.Point { return s.Points[len(s.Points)-1] }
