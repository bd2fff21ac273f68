package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	c := Chart{
		Title: "a < b & c", Note: "made by hand",
		X: Axis{Label: "people", Ticks: []float64{100, 1000, 100000}, Log: true},
		Y: Axis{Label: "share", Ticks: []float64{0, 50, 100}, Unit: " %"},
		Series: []Series{
			{Name: "measured", Points: []Point{{1000, 50}, {100, 0}, {100000, 500}}},
			{Name: "computed", Points: []Point{{100, 100}, {100000, 0}}, Dashed: true},
		},
	}
	svg := c.SVG()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
	}
	// 100 of 100 … 100,000 is at the left, 0 of 0 … 100 at the bottom; 1,000 is a
	// third of the way, 50 half of it; what is beyond the axis stands at its end.
	for _, want := range []string{`d="M70.0 368.0 L223.3 216.0 L530.0 64.0"`, "a &lt; b &amp; c", "100,000", "50 %", "stroke-dasharray"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	if svg != c.SVG() {
		t.Error("the same data gives other bytes")
	}
}
