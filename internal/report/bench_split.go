package report

import (
	"slices"
	"strings"

	"github.com/rivo/uniseg"
)

// split breaks the columns of g into tables that fit width, each with the
// first keys columns; width 0: no limit. The tables are of about the same number of
// columns.
func split(g *grid, keys, width int) []*grid {
	if width <= 0 {
		return []*grid{g}
	}
	wide := func(col int) int {
		w := uniseg.StringWidth(strings.TrimPrefix(g.head[col], ">"))
		for _, r := range g.rows {
			w = max(w, uniseg.StringWidth(r[col]))
		}
		return w + 2
	}
	room := width + 2 // nothing follows the last column
	for col := range keys {
		room -= wide(col)
	}
	pack := func(most int) [][]int {
		var parts [][]int
		left := 0
		for col := keys; col < len(g.head); col++ {
			if n := len(parts); n == 0 || left < wide(col) || len(parts[n-1]) == most {
				parts, left = append(parts, nil), room
			}
			parts[len(parts)-1] = append(parts[len(parts)-1], col)
			left -= wide(col)
		}
		return parts
	}
	columns := len(g.head) - keys
	parts := pack(columns)
	if n := len(parts); n > 1 {
		if even := pack((columns + n - 1) / n); len(even) == n {
			parts = even
		}
	}
	var out []*grid
	for _, columns := range parts {
		out = append(out, g.pick(keys, columns))
	}
	return out
}

// pick returns the table of the first keys columns and the given ones.
func (g *grid) pick(keys int, columns []int) *grid {
	take := func(row []string) []string {
		out := slices.Clone(row[:keys])
		for _, c := range columns {
			out = append(out, row[c])
		}
		return out
	}
	out := &grid{head: take(g.head)}
	for _, r := range g.rows {
		out.rows = append(out.rows, take(r))
	}
	return out
}
