package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// figure is one of the page's: pictures, what they say in words, and the
// figures that they show.
type figure struct {
	ID, Title string
	Summary   string
	Missing   string // not empty: why there is nothing to draw
	Key       []keyItem
	Pictures  []picture
	Head      []string
	Rows      [][]string
}

// keyItem says what a mark stands for.
type keyItem struct {
	Mark template.HTML
	Name string
}

// picture is a drawing, once for a wide page and once for a narrow one; Narrow
// is empty where Wide fits both.
type picture struct {
	Caption      string
	Wide, Narrow template.HTML
}

// The widths that pictures are drawn for. They grow and shrink from there.
const (
	wideWidth   = 760
	narrowWidth = 350
	panelWidth  = 350
	panelHeight = 250
	costHeight  = 180 // of the cost below a time
)

const (
	maxPanels = 6   // side by side, of one figure
	maxBars   = 30  // below each other
	maxMarks  = 200 // of one setting's runs
)

// charts draws the figures of a report.
type charts struct {
	*report.Report
	series []report.Row // the first row of each series
	of     map[int]int  // a row's series
}

func newCharts(r *report.Report) *charts {
	c := &charts{Report: r, of: map[int]int{}}
	for i, row := range r.Rows {
		n := slices.IndexFunc(c.series, func(o report.Row) bool {
			return o.Contender == row.Contender && o.Arch == row.Arch && o.Client == row.Client
		})
		if n < 0 {
			n = len(c.series)
			c.series = append(c.series, row)
		}
		c.of[i] = n
	}
	return c
}

// figures gives all of them, in the order of the page.
func (c *charts) figures() []figure {
	all := []figure{c.frontier(), c.memory(), c.speedUp(), c.coldStarts(), c.runs(), c.cost()}
	if c.Own() { // which has no number of workers
		all = []figure{c.frontier(), c.memory(), c.coldStarts(), c.runs(), c.cost()}
	}
	if !c.Header.Corpus.Shape.IsZero() {
		all = append(all, c.sizes())
	}
	return all
}

// who names a row's series.
func (c *charts) who(row report.Row) string { return c.Series(row) }

// label names a row, in lines of no more than most characters.
func (c *charts) label(row report.Row, most int) string {
	size := fmt.Sprintf("%d MB", row.MemoryMB)
	workers := "×" + row.Workers()
	if row.Concurrency == 0 {
		workers = row.Workers()
	}
	if c.Own() {
		workers = ""
	}
	if one := strings.TrimSpace(fmt.Sprintf("%s, %s %s", size, c.who(row), workers)); len([]rune(one)) <= most {
		return one
	}
	return strings.TrimSpace(table.Clip(c.who(row), most) + "\n" + size + " " + workers)
}

// name is Name, longer.
func (c *charts) name(row report.Row) string {
	if c.Own() {
		return fmt.Sprintf("%d MB %s", row.MemoryMB, c.who(row))
	}
	return fmt.Sprintf("%d MB %s, %s", row.MemoryMB, c.who(row), workers(row))
}

// each names what a figure has one of, besides memory sizes.
func (c *charts) each() string {
	if c.Own() {
		return "each function and memory"
	}
	return "each client and memory with its fastest number of workers"
}

// workers reads "1 worker" or "auto 64 workers".
func workers(row report.Row) string {
	if row.Workers() == "1" {
		return "1 worker"
	}
	return row.Workers() + " workers"
}

// style gives a series' colour and shape.
func (c *charts) style(series int) style {
	// Beyond eight, another shape with the colour.
	return style{role: role(series % 8), shape: shapes[(series+series/len(shapes))%len(shapes)], radius: 4}
}

// drawable says whether a figure can stand on an axis: results may hold any.
func drawable(v float64) bool { return v >= 1e-6 && v <= 1e12 }

// ms reads "468 ms".
func ms(v float64) string { return table.Grouped(v) + " ms" }

// middle is the median, or a dash.
func middle(s stats.Summary) string {
	if s.N == 0 {
		return table.None
	}
	return table.Grouped(s.Median)
}

// interval reads "460 to 471", or a dash.
func interval(s stats.Summary) string { return report.Interval(s, table.Grouped) }

// attributes are a picture's, for those who do not see it.
func attributes(f figure, class, label string) []string {
	return []string{"class", class, "aria-label", label, "aria-describedby", f.ID + "-says"}
}

// key explains the series of some rows.
func (c *charts) key(rows []int) []keyItem {
	var found []int
	for _, i := range rows {
		found = append(found, c.of[i])
	}
	var items []keyItem
	for _, n := range slices.Compact(slices.Sorted(slices.Values(found))) {
		items = append(items, keyItem{keyMark(c.style(n)), c.who(c.series[n])})
	}
	return items
}

// rowsWith lists the rows that a condition holds for.
func (c *charts) rowsWith(holds func(report.Row) bool) []int {
	var rows []int
	for i, row := range c.Rows {
		if holds(row) {
			rows = append(rows, i)
		}
	}
	return rows
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// few keeps the first of many rows.
func (f *figure) few(rows []int) []int {
	if len(rows) <= maxBars {
		return rows
	}
	f.Summary += fmt.Sprintf(" The first %d of %d are drawn; the table of figures has all of them.", maxBars, len(rows))
	return rows[:maxBars]
}

// best gives, of each series and memory size, the row with the least warm
// median, of those that a condition holds for.
func (c *charts) best(holds func(report.Row) bool) []int {
	type key struct{ series, memory int }
	found := map[key]int{}
	for _, i := range c.rowsWith(holds) {
		k := key{c.of[i], c.Rows[i].MemoryMB}
		if old, ok := found[k]; !ok || c.Rows[i].Warm.Median < c.Rows[old].Warm.Median {
			found[k] = i
		}
	}
	var rows []int
	for _, i := range found {
		rows = append(rows, i)
	}
	slices.SortFunc(rows, func(a, b int) int {
		return cmp.Or(cmp.Compare(c.Rows[a].MemoryMB, c.Rows[b].MemoryMB), cmp.Compare(a, b))
	})
	return rows
}
