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
	Of   []keyItem // of a contender: its clients
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
	maxBars   = 60  // below each other
	maxMarks  = 200 // of one setting's runs
)

// charts draws the figures of a report.
type charts struct {
	*report.Report
	series []report.Row // the first row of each series; those of a contender stand together
	of     map[int]int  // a row's series
	styles []style      // of each series
}

func newCharts(r *report.Report) *charts {
	c := &charts{Report: r, of: map[int]int{}}
	seriesOf := func(row report.Row) int {
		return slices.IndexFunc(c.series, func(o report.Row) bool {
			return o.Contender == row.Contender && o.Arch == row.Arch && o.Client == row.Client
		})
	}
	groups := map[string]int{} // contenders, in the order of their first rows
	for _, row := range r.Rows {
		if _, ok := groups[row.Contender]; !ok {
			groups[row.Contender] = len(groups)
		}
		if seriesOf(row) < 0 {
			c.series = append(c.series, row)
		}
	}
	slices.SortStableFunc(c.series, func(a, b report.Row) int { return cmp.Compare(groups[a.Contender], groups[b.Contender]) })
	for i, row := range r.Rows {
		c.of[i] = seriesOf(row)
	}
	within := map[string]int{}
	for n, s := range c.series {
		c.styles = append(c.styles, seriesStyle(n))
		if len(groups) > 1 {
			c.styles[n] = groupStyle(groups[s.Contender], within[s.Contender])
			within[s.Contender]++
		}
	}
	return c
}

// grouped says whether series have the colours of their contenders.
func (c *charts) grouped() bool {
	return slices.ContainsFunc(c.series, func(o report.Row) bool { return o.Contender != c.series[0].Contender })
}

// manySeries is from how many on lines are named at their ends, too: nobody
// finds one of so many by its colour.
const manySeries = 9

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
func (c *charts) style(series int) style { return c.styles[series] }

// seriesStyle is that of a series where all are one contender's. Beyond eight,
// another shape comes with the colour.
func seriesStyle(series int) style {
	return style{role: role(series % 8), shape: shapes[(series+series/len(shapes))%len(shapes)], radius: 4}
}

// dashes tell the clients of a contender apart, beside how their marks are
// filled.
var dashes = []string{"", "7 3", "2 3", "9 3 2 3", "14 4", "4 8"}

// groupStyle is that of a contender's series, the member-th of its own: the
// colour and the shape are the contender's. Beyond eight contenders, another
// shape comes with the colour.
func groupStyle(group, member int) style {
	return style{
		role: role(group % 8), shape: solidShapes[(group+group/len(solidShapes))%len(solidShapes)], radius: 4,
		filling: filling(member % 3), dash: dashes[member%len(dashes)],
	}
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
	last := ""
	for _, n := range slices.Compact(slices.Sorted(slices.Values(found))) {
		row := c.series[n]
		if !c.grouped() {
			items = append(items, keyItem{Mark: keyMark(c.style(n)), Name: c.who(row)})
			continue
		}
		if len(items) == 0 || row.Contender != last {
			items = append(items, keyItem{Name: table.Clip(row.Contender, 24)})
			last = row.Contender
		}
		group := &items[len(items)-1]
		group.Of = append(group.Of, keyItem{Mark: lineMark(c.style(n)), Name: c.member(row)})
	}
	return items
}

// member names a series within its contender; empty where nothing else is known.
func (c *charts) member(row report.Row) string {
	return strings.TrimSpace(strings.TrimPrefix(c.who(row), table.Clip(row.Contender, 24)))
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
