// Package plot draws line charts as SVG, for the experiments of the simulator. A
// chart is a text file that a diff can show: the same data is the same bytes.
//
// It is no plotting library: one pair of axes, a few series, nothing else.
package plot

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Chart is one picture.
type Chart struct {
	Title  string
	Note   string // below the title: how it was made
	X, Y   Axis
	Series []Series
}

// Axis is one axis. Ticks are where it has labels; the first and the last are its
// ends. There must be two at least.
type Axis struct {
	Label string
	Ticks []float64
	Unit  string // behind each number
	Log   bool
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point
	Dashed bool // computed, not measured
}

// Point is one measurement.
type Point struct{ X, Y float64 }

// The picture, in pixels. Colours are those of Okabe and Ito, which who does not
// see all colours can tell apart.
const (
	width, height            = 720, 420
	left, right, top, bottom = 70, 190, 64, 52
)

var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666"}

// SVG draws the chart.
func (c Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&b, left, 24, "start", `font-size="16" font-weight="bold"`, c.Title)
	text(&b, left, 42, "start", `fill="#555"`, c.Note)
	for _, t := range c.X.Ticks {
		x := c.X.at(t, left, width-right)
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/>`+"\n", x, top, height-bottom)
		text(&b, x, height-bottom+18, "middle", "", number(t)+c.X.Unit)
	}
	for _, t := range c.Y.Ticks {
		y := c.Y.at(t, height-bottom, top)
		fmt.Fprintf(&b, `<path d="M%d %.1f H%d" stroke="#ddd"/>`+"\n", left, y, width-right)
		text(&b, left-8, y+4, "end", "", number(t)+c.Y.Unit)
	}
	text(&b, (left+width-right)/2, height-12, "middle", "", c.X.Label)
	fmt.Fprintf(&b, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, escape(c.Y.Label))
	for i, s := range c.Series {
		c.draw(&b, s, colours[i%len(colours)], top+10+float64(i)*20)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// Write writes the chart as a file of that name into a folder.
func (c Chart) Write(folder, name string) error {
	return os.WriteFile(filepath.Join(folder, name), []byte(c.SVG()), 0o644)
}

func (c Chart) draw(b *strings.Builder, s Series, colour string, legend float64) {
	dash := ""
	if s.Dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	points := slices.Clone(s.Points)
	slices.SortStableFunc(points, func(p, q Point) int {
		switch {
		case p.X < q.X:
			return -1
		case p.X > q.X:
			return 1
		}
		return 0
	})
	var path strings.Builder
	for i, p := range points {
		fmt.Fprintf(&path, "%s%.1f %.1f ", []string{"L", "M"}[max(0, 1-i)], c.X.at(p.X, left, width-right), c.Y.at(p.Y, height-bottom, top))
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.TrimSpace(path.String()), colour, dash)
	for _, p := range points {
		if !s.Dashed {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", c.X.at(p.X, left, width-right), c.Y.at(p.Y, height-bottom, top), colour)
		}
	}
	fmt.Fprintf(b, `<path d="M%d %.1f h24" stroke="%s" stroke-width="2"%s/>`+"\n", width-right+14, legend, colour, dash)
	text(b, width-right+44, legend+4, "start", "", s.Name)
}

// at is where a value stands between two ends; what lies outside stands at the end.
func (a Axis) at(v, from, to float64) float64 {
	lo, hi := a.Ticks[0], a.Ticks[len(a.Ticks)-1]
	v = min(max(v, lo), hi)
	if a.Log {
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	return from + (v-lo)/(hi-lo)*(to-from)
}

func text(b *strings.Builder, x, y float64, anchor, more, words string) {
	if more != "" {
		more = " " + more
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>`+"\n", x, y, anchor, more, escape(words))
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// number writes 100000 as 100,000 and 1e-5 as 1e-5.
func number(v float64) string {
	if v != 0 && math.Abs(v) < 1e-3 {
		return strings.Replace(fmt.Sprintf("%.0e", v), "e-0", "e-", 1)
	}
	s := fmt.Sprintf("%g", v)
	if v < 10_000 || v != math.Trunc(v) {
		return s
	}
	s = fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
