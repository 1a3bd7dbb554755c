package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"math"
	"slices"
)

// extent is the least and the most of some values.
type extent struct{ lo, hi float64 }

// noExtent contains nothing yet.
var noExtent = extent{math.Inf(1), math.Inf(-1)}

func (e extent) with(values ...float64) extent {
	for _, v := range values {
		e = extent{min(e.lo, v), max(e.hi, v)}
	}
	return e
}

// panel is one of several plots of a figure.
type panel struct {
	caption string
	rows    []int
}

// panels splits rows by a figure of theirs, and keeps those with the most.
func (c *charts) panels(rows []int, by func(report.Row) int, caption func(int) string) (panels []panel, left int) {
	values := map[int][]int{}
	for _, i := range rows {
		v := by(c.Rows[i])
		values[v] = append(values[v], i)
	}
	type group struct {
		value int
		rows  []int
	}
	var groups []group
	for v, rows := range values {
		groups = append(groups, group{v, rows})
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(len(b.rows), len(a.rows)), cmp.Compare(uint(b.value-1), uint(a.value-1)))
	})
	if len(groups) > maxPanels {
		groups, left = groups[:maxPanels], len(groups)-maxPanels
	}
	slices.SortFunc(groups, func(a, b group) int { return cmp.Compare(uint(a.value-1), uint(b.value-1)) }) // auto, 0, comes last
	for _, g := range groups {
		panels = append(panels, panel{caption(g.value), g.rows})
	}
	return panels, left
}

// curve is what a panel shows of each row.
type curve struct {
	at       func(report.Row) (x, y float64)
	interval func(report.Row) stats.Summary // around y; nil: none is drawn
	title    func(report.Row) string
}

// curves draws the rows of each series as a line with marks.
func (c *charts) curves(p *plot, rows []int, show curve) {
	for n := range c.series {
		of := slices.DeleteFunc(slices.Clone(rows), func(i int) bool { return c.of[i] != n })
		if len(of) == 0 {
			continue
		}
		x := func(i int) float64 { x, _ := show.at(c.Rows[i]); return x }
		slices.SortStableFunc(of, func(a, b int) int { return cmp.Compare(x(a), x(b)) })
		style := c.style(n)
		// Series stand a little apart, so that their intervals can be told.
		aside := min(3.5, 24/float64(len(c.series))) * (float64(n) - float64(len(c.series)-1)/2)
		at := make([]point, len(of))
		for k, i := range of {
			at[k] = p.at(show.at(c.Rows[i]))
			at[k].x += aside
		}
		if len(at) > 1 {
			p.line(style.role, 1.5, "", at...)
		}
		for k, i := range of {
			row := c.Rows[i]
			if show.interval != nil {
				if s := show.interval(row); s.HasInterval && drawable(s.Lo) && drawable(s.Hi) {
					p.line(style.role, 1.5, "", point{at[k].x, p.atY(s.Lo)}, point{at[k].x, p.atY(s.Hi)})
				}
			}
			p.titled(show.title(row), func() { p.mark(style, at[k]) })
		}
	}
}
