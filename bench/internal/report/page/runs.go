package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"
)

// runs shows every invocation that went well.
func (c *charts) runs() figure {
	f := figure{ID: "runs", Title: "Every run", Head: []string{"setting", "n", "least ms", "median ms", "most ms", "cold n"}}
	rows := c.rowsWith(func(row report.Row) bool { return row.Warm.N+row.Cold.N > 0 })
	values := func(s stats.Summary) []float64 {
		return byRank(slices.DeleteFunc(slices.Clone(s.Values), func(v float64) bool { return !drawable(v) }))
	}
	rows = slices.DeleteFunc(rows, func(i int) bool { return len(values(c.Rows[i].Warm))+len(values(c.Rows[i].Cold)) == 0 })
	if len(rows) == 0 {
		f.Missing = "No invocation went well."
		return f
	}
	typical := func(i int) float64 {
		if c.Rows[i].Warm.N > 0 {
			return c.Rows[i].Warm.Median
		}
		return c.Rows[i].Cold.Median
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(typical(a), typical(b)) })
	spread := func(i int) float64 {
		if s := c.Rows[i].Warm; s.N > 1 && s.Lowest > 0 {
			return s.Highest / s.Lowest
		}
		return 0
	}
	f.Summary = "The fastest setting is on top. Each mark is one invocation; the vertical stroke is the warm median."
	if widest := slices.MaxFunc(rows, func(a, b int) int { return cmp.Compare(spread(a), spread(b)) }); spread(widest) > 0 {
		s := c.Rows[widest].Warm
		f.Summary += fmt.Sprintf(" Warm runs spread most at %s: %s to %s.", c.name(c.Rows[widest]), table.Grouped(s.Lowest), ms(s.Highest))
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), strconv.Itoa(row.Warm.N), extreme(row.Warm, row.Warm.Lowest), middle(row.Warm),
			extreme(row.Warm, row.Warm.Highest), strconv.Itoa(row.Cold.N)})
	}
	f.Key = append(c.key(rows), keyItem{Mark: keyMark(style{role: soft, shape: shapes[0], radius: 3}), Name: "warm"},
		keyItem{Mark: keyMark(style{role: soft, shape: openTriangle, radius: 3.5}), Name: "cold, INIT included"})
	if slices.ContainsFunc(rows, func(i int) bool { return max(c.Rows[i].Warm.N, c.Rows[i].Cold.N) > maxMarks }) {
		f.Summary += fmt.Sprintf(" If there are more than %d runs, that many are drawn, evenly by rank.", maxMarks)
	}
	rows = f.few(rows)
	shown := noExtent
	for _, i := range rows {
		shown = shown.with(values(c.Rows[i].Warm)...).with(values(c.Rows[i].Cold)...)
	}
	drawn := func(class string, width, perRow float64, letters int) template.HTML {
		p := newPlot(width, perRow*float64(len(rows))+50, logarithmic("ms", shown.lo, shown.hi),
			names(len(rows), func(i int) string { return c.label(c.Rows[rows[i]], letters) }), attributes(f, class, f.Title)...)
		for k, i := range rows {
			row, y, colour := c.Rows[i], float64(len(rows)-1-k), c.style(c.of[i]).role
			if m := row.Warm.Median; drawable(m) {
				p.line(ink, 1.5, "", p.at(m, y-0.38), p.at(m, y+0.38))
			}
			c.drawRuns(p, row, y, "cold ms", style{role: colour, shape: openTriangle, radius: 3.5}, values(row.Cold))
			c.drawRuns(p, row, y, "warm ms", style{role: colour, shape: shapes[0], radius: 3}, values(row.Warm))
		}
		return p.markup()
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 22, 60), Narrow: drawn("narrow", narrowWidth, 32, 22)}}
	return f
}

// drawRuns marks the runs of a row, a little apart, so that equal ones show.
func (c *charts) drawRuns(p *plot, row report.Row, y float64, kind string, mark style, values []float64) {
	if len(values) == 0 {
		return
	}
	p.titled(fmt.Sprintf("%s: %s, %s", c.name(row), kind, strings.Join(each(values), " ")), func() {
		for n, v := range values {
			p.mark(mark, p.at(v, y+0.14*float64(n%3-1)))
		}
	})
}

// byRank keeps the least, the most, and between them evenly many values.
func byRank(values []float64) []float64 {
	if len(values) <= maxMarks {
		return values
	}
	slices.Sort(values)
	kept := make([]float64, maxMarks)
	for i := range kept {
		kept[i] = values[i*(len(values)-1)/(maxMarks-1)]
	}
	return kept
}

// each prints values, but not very many.
func each(values []float64) []string {
	const most = 24
	var all []string
	for i, v := range values {
		if i == most {
			return append(all, fmt.Sprintf("… %d more", len(values)-most))
		}
		all = append(all, table.Grouped(v))
	}
	return all
}

func extreme(s stats.Summary, v float64) string {
	if s.N == 0 {
		return table.None
	}
	return table.Grouped(v)
}
