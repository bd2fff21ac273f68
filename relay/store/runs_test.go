package store

import (
	"slices"
	"testing"
)

// row is some blocks in a row that have the same shards.
type row struct{ first, last, have uint64 }

func indexOf(rows ...row) *index {
	x := &index{}
	for _, r := range rows {
		for n := r.first; n <= r.last; n++ {
			x.entries = append(x.entries, entry{mark: mark{number: uint32(n)}, have: r.have})
		}
	}
	return x
}

func TestRunsOfASegment(t *testing.T) {
	for _, c := range []struct {
		name  string
		rows  []row
		least int
		want  []Run
	}{
		{"nothing", nil, 1, nil},
		{"all", []row{{5, 90, 0b1111}}, 4, []Run{{5, 90, 0b1111}}},
		{"too few shards", []row{{5, 90, 0b111}}, 4, nil},
		{"a short gap", []row{{5, 9, 3}, {17, 20, 3}}, 1, []Run{{5, 20, 3}}},
		{"a long gap", []row{{5, 9, 3}, {18, 20, 3}}, 1, []Run{{5, 9, 3}, {18, 20, 3}}},
		{"blocks that lack too much are a gap", []row{{5, 9, 3}, {10, 30, 1}, {31, 40, 3}}, 2, []Run{{5, 9, 3}, {31, 40, 3}}},
		{"what most have", []row{{0, 75, 0b11}, {76, 99, 0b101}}, 1, []Run{{0, 99, 0b11}}},
	} {
		if got := indexOf(c.rows...).runs(c.least); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	var rows []row
	for n := range uint64(40) {
		rows = append(rows, row{100 * n, 100*n + 5, 1})
	}
	if got := indexOf(rows...).runs(1); len(got) != maxSegmentRuns || got[len(got)-1].Last != 3905 {
		t.Errorf("%d runs, the last %v", len(got), got[len(got)-1])
	}
}

func TestRunsTouch(t *testing.T) {
	a := Run{10, 20, 0b1111}
	for _, c := range []struct {
		b    Run
		want bool
	}{
		{Run{21, 30, 0b1111}, true},
		{Run{15, 30, 0b0111}, true},
		{Run{28, 30, 0b1111}, true},
		{Run{29, 30, 0b1111}, false},
		{Run{21, 30, 0b0011}, false},
	} {
		if got := a.touches(c.b); got != c.want {
			t.Errorf("%v after %v: %t", c.b, a, got)
		}
	}
}
