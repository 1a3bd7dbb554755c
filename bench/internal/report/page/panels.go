package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"maps"
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

// panelSize is how a figure with panels is drawn.
type panelSize struct {
	class         string
	width, height float64
	named         bool // lines have their names at their ends
}

// panelSizes gives those of a figure of some rows: one that fits wide and narrow
// pages, or, of many series, a wide one in which each line is named, and a narrow
// one without.
func (c *charts) panelSizes(rows []int, height float64) (wide, narrow panelSize) {
	if len(c.seriesIn(rows)) < manySeries {
		return panelSize{class: "panel", width: panelWidth, height: height}, panelSize{}
	}
	return panelSize{"wide", wideWidth, height * 1.5, true}, panelSize{"narrow", narrowWidth, height * 1.2, false}
}

// seriesIn lists the series of some rows.
func (c *charts) seriesIn(rows []int) []int {
	var found []int
	for _, i := range rows {
		found = append(found, c.of[i])
	}
	return slices.Compact(slices.Sorted(slices.Values(found)))
}

// The measures of names at the ends of lines.
const (
	nameGap    = 46 // from the end of the plot to a name, with its mark
	nameHeight = 14
)

// nameRoom is how much room names at the ends of lines take.
func (c *charts) nameRoom() float64 {
	room := 0.0
	for _, row := range c.series {
		room = max(room, textWidth(c.who(row)))
	}
	return nameGap + room - rightRoom + 4
}

// nameLines writes the name of each series beside the end of its line, or as
// near to it as the others leave room, and joins the two.
func (c *charts) nameLines(p *plot, last map[int]point) {
	series := slices.SortedFunc(maps.Keys(last), func(a, b int) int {
		return cmp.Or(cmp.Compare(last[a].y, last[b].y), cmp.Compare(a, b))
	})
	at := make([]float64, len(series))
	for k, n := range series {
		at[k] = max(last[n].y, p.top+nameHeight/2)
		if k > 0 {
			at[k] = max(at[k], at[k-1]+nameHeight)
		}
	}
	for k := len(at) - 1; k >= 0; k-- { // and back up, where they ran out of the plot
		limit := p.bottom
		if k < len(at)-1 {
			limit = at[k+1] - nameHeight
		}
		at[k] = min(at[k], limit)
	}
	for k, n := range series {
		p.line(soft, 0.5, "", point{last[n].x + 6, last[n].y}, point{p.right + nameGap - 18, at[k]})
		p.mark(c.style(n), point{p.right + nameGap - 10, at[k]})
		p.text(ink, begins, point{p.right + nameGap, at[k]}, c.who(c.series[n]))
	}
}

// curves draws the rows of each series as a line with marks, and gives where each line
// ends.
func (c *charts) curves(p *plot, rows []int, show curve) (last map[int]point) {
	last = map[int]point{}
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
		last[n] = at[len(at)-1]
		if len(at) > 1 {
			p.line(style.role, 1.5, style.dash, at...)
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
	return last
}
