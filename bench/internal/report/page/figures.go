package page

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
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
)

const (
	maxPanels = 6   // side by side, of one figure
	maxBars   = 30  // below each other
	maxMarks  = 200 // of one setting's runs
)

// charts draws the figures of a report. A problem with a drawing is kept in
// err, and what follows draws nothing.
type charts struct {
	*report.Report
	series []report.Row // the first row of each series
	of     map[int]int  // a row's series
	err    error
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
func (c *charts) figures() ([]figure, error) {
	all := []figure{c.frontier(), c.memory(), c.speedUp(), c.cold(), c.runs(), c.cost()}
	return all, c.err
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
	if one := fmt.Sprintf("%s, %s %s", size, c.who(row), workers); len([]rune(one)) <= most {
		return one
	}
	return table.Clip(c.who(row), most) + "\n" + size + " " + workers
}

// name is Name, longer.
func (c *charts) name(row report.Row) string {
	return fmt.Sprintf("%d MB %s, %s", row.MemoryMB, c.who(row), workers(row))
}

// workers reads «1 worker» or «auto 64 workers».
func workers(row report.Row) string {
	if row.Workers() == "1" {
		return "1 worker"
	}
	return row.Workers() + " workers"
}

// style gives a series' colour and shape.
func (c *charts) style(series int) draw.GlyphStyle {
	return draw.GlyphStyle{
		Color: role(series % 8), Radius: 4,
		Shape: shapes[(series+series/len(shapes))%len(shapes)], // beyond eight, another shape with the colour
	}
}

// drawable says whether a figure can stand on an axis: results may hold any.
func drawable(v float64) bool { return v >= 1e-6 && v <= 1e12 }

// ms reads «468 ms».
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

// draw gives a picture of a plot. what adds the marks.
func (c *charts) draw(id, label string, class string, width, height vg.Length, p *plot.Plot, what func(*drawing)) template.HTML {
	if c.err != nil {
		return ""
	}
	d := newDrawing(width, height)
	what(d)
	p.Draw(draw.Crop(draw.New(d), 2, -10, 2, -10))
	html, err := d.markup("class", class, "aria-label", label, "aria-describedby", id+"-says")
	c.err = err
	return html
}

// mark is a small picture for a key.
func (c *charts) mark(glyph draw.GlyphStyle) template.HTML {
	if c.err != nil {
		return ""
	}
	d := newDrawing(14, 14)
	canvas := draw.New(d)
	canvas.DrawGlyph(glyph, vg.Point{X: 7, Y: 7})
	html, err := d.markup("class", "mark", "aria-hidden", "true")
	c.err = err
	return html
}

// key explains the series of some rows.
func (c *charts) key(rows []int) []keyItem {
	var found []int
	for _, i := range rows {
		found = append(found, c.of[i])
	}
	var items []keyItem
	for _, n := range slices.Compact(slices.Sorted(slices.Values(found))) {
		items = append(items, keyItem{c.mark(c.style(n)), c.who(c.series[n])})
	}
	return items
}

// where lists the rows that a condition holds for.
func (c *charts) where(holds func(report.Row) bool) []int {
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

// frontier sets time against cost.
func (c *charts) frontier() figure {
	f := figure{ID: "frontier", Title: "Time against cost", Head: []string{"setting on the frontier", "picked as", "$ a million", "warm ms", "95% interval"}}
	all := c.where(func(row report.Row) bool {
		return row.Warm.N > 0 && row.Failed == 0 && drawable(row.Warm.Median) && drawable(row.WarmCost.Median)
	})
	switch {
	case !c.Priced:
		f.Missing = "No costs are known for these settings; the warnings above say why."
		return f
	case len(all) < 2:
		f.Missing = "It takes two settings without a failure to set one against the other."
		return f
	}
	usd := func(i int) float64 { return c.Rows[i].WarmCost.Median * 1e6 }
	at := func(i int) plotter.XY { return plotter.XY{X: usd(i), Y: c.Rows[i].Warm.Median} }
	edge := slices.DeleteFunc(slices.Clone(c.Advice.Frontier), func(i int) bool { return !slices.Contains(all, i) })
	if len(edge) == 0 {
		f.Missing = "The frontier's times or costs are no figures that can be drawn."
		return f
	}
	picked := map[int][]string{}
	for _, p := range c.Advice.Picks {
		picked[p.Row] = append(picked[p.Row], string(p.Goal))
	}
	// Far settings would press the near ones into a corner.
	shown := all
	slowest, fastest := c.Rows[edge[0]].Warm.Median, c.Rows[edge[len(edge)-1]].Warm.Median
	least, dearest := usd(edge[0]), usd(edge[len(edge)-1])
	near := func(i int) bool {
		return c.Rows[i].Warm.Median <= max(slowest*2.5, fastest*8) && usd(i) <= dearest+max((dearest-least)*1.5, dearest*0.08)
	}
	if kept := slices.DeleteFunc(slices.Clone(all), func(i int) bool { return !near(i) }); len(kept) >= 2 {
		shown = kept
	}
	first, last := c.Rows[edge[0]], c.Rows[edge[len(edge)-1]]
	f.Summary = fmt.Sprintf("Of %s without a failure, %d are on the frontier: no other is both faster and cheaper.", count(len(all), "setting", "settings"), len(edge))
	if len(edge) == 1 {
		f.Summary = fmt.Sprintf("Of %s without a failure, one is both the fastest and the cheapest: %s.", count(len(all), "setting", "settings"), c.name(first))
	} else {
		f.Summary += fmt.Sprintf(" It goes from %s (%s, %s) to %s (%s, %s).",
			c.name(first), table.Dollars(usd(edge[0])), ms(first.Warm.Median), c.name(last), table.Dollars(usd(edge[len(edge)-1])), ms(last.Warm.Median))
	}
	if n := len(all) - len(shown); n > 0 {
		f.Summary += fmt.Sprintf(" %s, much slower or dearer, would lie outside the picture; the table of all settings has them.", count(n, "setting", "settings"))
	}
	f.Key = append(c.key(shown), keyItem{c.mark(draw.GlyphStyle{Color: ink, Radius: 6, Shape: ring{}}), "on the frontier"})
	for _, i := range edge {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), strings.Join(picked[i], ", "), table.Dollars(usd(i)), table.Grouped(row.Warm.Median), interval(row.Warm)})
	}
	xs, ys := ranges(len(shown), func(k int) (x, y float64) { return usd(shown[k]), c.Rows[shown[k]].Warm.Median })
	drawn := func(class string, width, height vg.Length) template.HTML {
		p := axes("dollars for a million invocations, S3 included", "warm ms")
		room := max((xs[1]-xs[0])*0.08, xs[1]*0.002)
		linear(&p.X, xs[0]-room, xs[1]+room*2)
		logarithmic(&p.Y, ys[0]*0.93, ys[1])
		uncrowded(p, width)
		return c.draw(f.ID, f.Title, class, width, height, p, func(d *drawing) {
			steps := make([]plotter.XY, len(edge))
			for k, i := range edge {
				steps[k] = at(i)
			}
			stairs := line(soft, 1.5, steps...)
			stairs.StepStyle, stairs.Dashes = plotter.PostStep, []vg.Length{5, 3}
			if len(steps) > 1 {
				p.Add(stairs)
			}
			var labels pointLabels
			for _, i := range shown {
				row := c.Rows[i]
				title := fmt.Sprintf("%s: %s, %s", c.name(row), ms(row.Warm.Median), table.Dollars(usd(i)))
				if row.Warm.HasInterval {
					title = fmt.Sprintf("%s: %s (%s), %s", c.name(row), ms(row.Warm.Median), interval(row.Warm), table.Dollars(usd(i)))
				}
				p.Add(d.titled(title, points(c.style(c.of[i]), at(i))))
				labels.marks = append(labels.marks, at(i))
				if slices.Contains(edge, i) {
					p.Add(points(draw.GlyphStyle{Color: ink, Radius: 7.5, Shape: ring{}}, at(i)))
				}
				if goals := picked[i]; len(goals) > 0 {
					labels.labels = append(labels.labels, pointLabel{at(i), fmt.Sprintf("%s: %d MB ×%d", strings.Join(goals, ", "), row.MemoryMB, row.InFlight())})
				}
			}
			p.Add(labels)
		})
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 380), Narrow: drawn("narrow", narrowWidth, 320)}}
	return f
}

// ranges gives the least and the most x and y.
func ranges(n int, at func(int) (x, y float64)) (xs, ys [2]float64) {
	xs, ys = [2]float64{math.Inf(1), math.Inf(-1)}, [2]float64{math.Inf(1), math.Inf(-1)}
	for i := range n {
		x, y := at(i)
		xs, ys = [2]float64{min(xs[0], x), max(xs[1], x)}, [2]float64{min(ys[0], y), max(ys[1], y)}
	}
	return xs, ys
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

// memory shows time by memory, a panel for each number of workers.
func (c *charts) memory() figure {
	f := figure{ID: "memory", Title: "Time by memory", Head: []string{"workers", "client", "memory MB", "warm ms", "95% interval", "n"}}
	rows := c.where(func(row report.Row) bool { return row.Warm.N > 0 && drawable(row.Warm.Median) && row.MemoryMB > 0 })
	var sizes []int
	for _, i := range rows {
		sizes = append(sizes, c.Rows[i].MemoryMB)
	}
	slices.Sort(sizes)
	switch sizes = slices.Compact(sizes); len(sizes) {
	case 0:
		f.Missing = "No warm invocation went well."
		return f
	case 1:
		f.Missing = fmt.Sprintf("Only one memory size has times: %d MB.", sizes[0])
		return f
	}
	panels, left := c.panels(rows, func(row report.Row) int { return row.Concurrency }, workersCaption)
	f.Key = c.key(rows)
	f.Summary = c.saysMemory(rows) + " Upright lines are the 95% intervals of the medians."
	if left > 0 {
		f.Summary += fmt.Sprintf(" %s not drawn; the figures have all.", count(left, "number of workers is", "numbers of workers are"))
	}
	_, ys := ranges(len(rows)*2, func(k int) (x, y float64) {
		s := c.Rows[rows[k/2]].Warm
		if s.HasInterval && drawable(s.Lo) && drawable(s.Hi) {
			return 1, []float64{s.Lo, s.Hi}[k%2]
		}
		return 1, s.Median
	})
	for _, panel := range panels {
		p := axes("memory, MB", "warm ms")
		logarithmic(&p.X, float64(sizes[0]), float64(sizes[len(sizes)-1]))
		measured(&p.X, sizes)
		logarithmic(&p.Y, ys[0], ys[1])
		f.Pictures = append(f.Pictures, picture{panel.caption, c.draw(f.ID, f.Title+", "+panel.caption, "panel", panelWidth, panelHeight, p, func(d *drawing) {
			c.lines(d, p, panel.rows, func(row report.Row) plotter.XY { return plotter.XY{X: float64(row.MemoryMB), Y: row.Warm.Median} },
				func(row report.Row) stats.Summary { return row.Warm },
				func(row report.Row) string {
					return fmt.Sprintf("%s: %s, interval %s, n=%d", c.name(row), ms(row.Warm.Median), interval(row.Warm), row.Warm.N)
				})
		}), ""})
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{row.Workers(), c.who(row), strconv.Itoa(row.MemoryMB), table.Grouped(row.Warm.Median), interval(row.Warm), strconv.Itoa(row.Warm.N)})
	}
	return f
}

func workersCaption(n int) string {
	switch n {
	case 0:
		return "workers of its own choice"
	case 1:
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

// saysMemory tells what the most memory brings over the least, at best.
func (c *charts) saysMemory(rows []int) string {
	var said []string
	for n := range c.series {
		best := map[int]float64{}
		least, most := math.MaxInt, 0
		for _, i := range rows {
			if row := c.Rows[i]; c.of[i] == n {
				if t, ok := best[row.MemoryMB]; !ok || row.Warm.Median < t {
					best[row.MemoryMB] = row.Warm.Median
				}
				least, most = min(least, row.MemoryMB), max(most, row.MemoryMB)
			}
		}
		if least < most {
			said = append(said, fmt.Sprintf("%s from %s at %d MB to %s at %d MB", c.who(c.series[n]), ms(best[least]), least, ms(best[most]), most))
		}
	}
	if len(said) == 0 {
		return "No client was measured at more than one memory size."
	}
	if more := len(said) - 6; more > 0 {
		said = append(said[:6], fmt.Sprintf("and %d more", more))
	}
	return "With the fastest number of workers, " + strings.Join(said, "; ") + "."
}

// lines draws the rows of each series as a line with marks.
func (c *charts) lines(d *drawing, p *plot.Plot, rows []int, at func(report.Row) plotter.XY, spread func(report.Row) stats.Summary, title func(report.Row) string) {
	for n := range c.series {
		var of []int
		for _, i := range rows {
			if c.of[i] == n {
				of = append(of, i)
			}
		}
		if len(of) == 0 {
			continue
		}
		slices.SortStableFunc(of, func(a, b int) int { return cmp.Compare(at(c.Rows[a]).X, at(c.Rows[b]).X) })
		style := c.style(n)
		// Series stand a little apart, so that their intervals can be told.
		aside := math.Pow(p.X.Max/p.X.Min, 0.012*(float64(n)-float64(len(c.series)-1)/2))
		path := make([]plotter.XY, len(of))
		for k, i := range of {
			path[k] = at(c.Rows[i])
			path[k].X *= aside
		}
		if len(path) > 1 {
			p.Add(line(role(n%8), 1.5, path...))
		}
		for k, i := range of {
			if s := spread(c.Rows[i]); s.HasInterval && drawable(s.Lo) && drawable(s.Hi) {
				p.Add(line(role(n%8), 1.5, plotter.XY{X: path[k].X, Y: s.Lo}, plotter.XY{X: path[k].X, Y: s.Hi}))
			}
			p.Add(d.titled(title(c.Rows[i]), points(style, path[k])))
		}
	}
}

// speedUp shows how much faster many workers are than one, a panel for each
// memory size.
func (c *charts) speedUp() figure {
	f := figure{ID: "speedup", Title: "Speed-up over one worker", Head: []string{"memory MB", "client", "workers", "warm ms", "speed-up"}}
	rows := c.where(func(row report.Row) bool { return drawable(row.SpeedUp) && row.InFlight() > 0 })
	if !slices.ContainsFunc(rows, func(i int) bool { return c.Rows[i].Concurrency != 1 }) {
		f.Missing = "There is no setting with one worker and one with many to compare: measure with --concurrency 1,64."
		return f
	}
	best := slices.MaxFunc(rows, func(a, b int) int { return cmp.Compare(c.Rows[a].SpeedUp, c.Rows[b].SpeedUp) })
	f.Summary = fmt.Sprintf("At most %s: %s, %s instead of %s.", table.Times(c.Rows[best].SpeedUp), c.name(c.Rows[best]),
		ms(c.Rows[best].Warm.Median), ms(c.Rows[best].Warm.Median*c.Rows[best].SpeedUp))
	if b := c.Advice.Picks; len(b) > 0 && drawable(c.Rows[b[0].Row].SpeedUp) && b[0].Row != best {
		f.Summary += fmt.Sprintf(" The balanced pick: %s.", table.Times(c.Rows[b[0].Row].SpeedUp))
	}
	f.Summary += " The dashed line is where twice the workers would be twice as fast."
	var workers []int
	for _, i := range rows {
		workers = append(workers, c.Rows[i].InFlight())
	}
	panels, left := c.panels(rows, func(row report.Row) int { return row.MemoryMB }, func(mb int) string { return fmt.Sprintf("%d MB", mb) })
	if left > 0 {
		f.Summary += fmt.Sprintf(" %s not drawn; the figures have all.", count(left, "memory size is", "memory sizes are"))
	}
	f.Key = c.key(rows)
	most := float64(slices.Max(workers))
	_, ys := ranges(len(rows), func(k int) (x, y float64) { return 1, c.Rows[rows[k]].SpeedUp })
	ys = [2]float64{min(ys[0], 1), max(ys[1], 2)}
	for _, panel := range panels {
		p := axes("workers", "times as fast")
		logarithmic(&p.X, 1, max(most, 2))
		measured(&p.X, workers)
		logarithmic(&p.Y, ys[0], ys[1])
		f.Pictures = append(f.Pictures, picture{panel.caption, c.draw(f.ID, f.Title+", "+panel.caption, "panel", panelWidth, panelHeight, p, func(d *drawing) {
			end := min(most, ys[1])
			ideal := line(soft, 1, plotter.XY{X: 1, Y: 1}, plotter.XY{X: end, Y: end})
			ideal.Dashes = []vg.Length{4, 3}
			p.Add(ideal)
			c.lines(d, p, panel.rows, func(row report.Row) plotter.XY { return plotter.XY{X: float64(row.InFlight()), Y: row.SpeedUp} }, func(report.Row) stats.Summary { return stats.Summary{} },
				func(row report.Row) string { return fmt.Sprintf("%s: %s", c.name(row), table.Times(row.SpeedUp)) })
		}), ""})
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{strconv.Itoa(row.MemoryMB), c.who(row), row.Workers(), table.Grouped(row.Warm.Median), table.Times(row.SpeedUp)})
	}
	return f
}

// best gives, of each series and memory size, the row with the least warm
// median, of those that a condition holds for.
func (c *charts) best(holds func(report.Row) bool) []int {
	type key struct{ series, memory int }
	found := map[key]int{}
	for _, i := range c.where(holds) {
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

// bar is one of a figure: parts that add up, and a mark.
type bar struct {
	row    int
	parts  []float64
	titles []string
	mark   float64 // 0: none
	says   string  // at its end
}

// The parts' colours, in their order.
var partRoles = []role{0, 4, 2, 3}

func (c *charts) partKey(names ...string) []keyItem {
	var items []keyItem
	for i, name := range names {
		items = append(items, keyItem{c.mark(draw.GlyphStyle{Color: partRoles[i], Radius: 6, Shape: draw.BoxGlyph{}}), name})
	}
	return items
}

var warmMark = draw.GlyphStyle{Color: ink, Radius: 5, Shape: diamond{}}

// bars draws them below each other, wide and narrow.
func (c *charts) bars(f figure, axis string, bars []bar) []picture {
	most := 0.0
	for _, b := range bars {
		sum := 0.0
		for _, v := range b.parts {
			sum += v
		}
		most = max(most, sum, b.mark)
	}
	drawn := func(class string, width, perBar vg.Length, letters int) template.HTML {
		p := axes(axis, "")
		p.X.Min, p.X.Max = 0, most*1.22 // with room for what is said at the end
		p.X.Tick.Marker = evenTicks{}
		uncrowded(p, width)
		c.rowLabels(p, len(bars), func(i int) string { return c.label(c.Rows[bars[i].row], letters) })
		return c.draw(f.ID, f.Title, class, width, perBar*vg.Length(len(bars))+50, p, func(d *drawing) {
			for i, b := range bars {
				y, sum := float64(len(bars)-1-i), 0.0
				for k, v := range b.parts {
					if v > 0 {
						part := line(partRoles[k], min(perBar*0.55, 16), plotter.XY{X: sum, Y: y}, plotter.XY{X: sum + v, Y: y})
						p.Add(d.titled(c.name(c.Rows[b.row])+": "+b.titles[k], part))
					}
					sum += v
				}
				if b.mark > 0 {
					p.Add(d.titled(c.name(c.Rows[b.row])+": warm "+ms(b.mark), points(warmMark, plotter.XY{X: b.mark, Y: y})))
				}
				p.Add(endLabel{plotter.XY{X: max(sum, b.mark), Y: y}, b.says})
			}
		})
	}
	return []picture{{Wide: drawn("wide", wideWidth, 26, 60), Narrow: drawn("narrow", narrowWidth, 34, 22)}}
}

// rowLabels names the rows of a plot, from the top.
func (c *charts) rowLabels(p *plot.Plot, n int, label func(int) string) {
	p.Y.Min, p.Y.Max = -0.6, float64(n)-0.4
	p.Y.Width, p.Y.Tick.Length = 0, 0
	var ticks plot.ConstantTicks
	for i := range n {
		ticks = append(ticks, plot.Tick{Value: float64(n - 1 - i), Label: label(i)})
	}
	p.Y.Tick.Marker = ticks
	p.Y.Tick.Label.Color = ink
	p.Y.Padding = 6
}

// few keeps the first of many rows.
func (f *figure) few(rows []int) []int {
	if len(rows) <= maxBars {
		return rows
	}
	f.Summary += fmt.Sprintf(" The first %d of %d are drawn; the figures have all.", maxBars, len(rows))
	return rows[:maxBars]
}

// cold shows what a cold start is made of.
func (c *charts) cold() figure {
	f := figure{ID: "cold", Title: "Cold starts", Head: []string{"setting", "init ms", "first ms", "cold ms", "warm ms", "cold n"}}
	rows := c.best(func(row report.Row) bool {
		return row.Cold.N > 0 && drawable(row.Cold.Median) && drawable(row.First.Median)
	})
	if len(rows) == 0 {
		f.Missing = "No cold start was measured: --cold 2 measures two a setting."
		return f
	}
	worst := slices.MaxFunc(rows, func(a, b int) int { return cmp.Compare(extra(c.Rows[a]), extra(c.Rows[b])) })
	f.Summary = "Medians of each client and memory, with its fastest number of workers: INIT, then the first invocation; the diamond is a warm one."
	if row := c.Rows[worst]; extra(row) > 1 && row.Warm.N > 0 {
		f.Summary += fmt.Sprintf(" A cold start costs most over a warm one at %s: %s instead of %s.", c.name(row), ms(row.Cold.Median), ms(row.Warm.Median))
	}
	f.Key = append(c.partKey("init", "first invocation"), keyItem{c.mark(warmMark), "warm invocation"})
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), middle(row.Init), middle(row.First), middle(row.Cold), middle(row.Warm), strconv.Itoa(row.Cold.N)})
	}
	var bars []bar
	for _, i := range f.few(rows) {
		row := c.Rows[i]
		b := bar{row: i, parts: []float64{orZero(row.Init.Median), row.First.Median}, says: ms(row.Cold.Median)}
		b.titles = []string{"init " + ms(row.Init.Median), "first " + ms(row.First.Median)}
		b.mark = orZero(row.Warm.Median)
		bars = append(bars, b)
	}
	f.Pictures = c.bars(f, "ms", bars)
	return f
}

// extra is how many times as long a cold start takes.
func extra(row report.Row) float64 {
	if row.Warm.Median <= 0 {
		return 0
	}
	return row.Cold.Median / row.Warm.Median
}

// orZero is a figure, or 0 where it cannot be drawn.
func orZero(v float64) float64 {
	if !drawable(v) {
		return 0
	}
	return v
}

// runs shows every invocation that went well.
func (c *charts) runs() figure {
	f := figure{ID: "runs", Title: "Every run", Head: []string{"setting", "n", "least ms", "median ms", "most ms", "cold ones n"}}
	rows := c.where(func(row report.Row) bool { return row.Warm.N+row.Cold.N > 0 })
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
	f.Summary = "The fastest setting on top; each mark is one invocation, the upright stroke a warm median."
	if widest := slices.MaxFunc(rows, func(a, b int) int { return cmp.Compare(spread(a), spread(b)) }); spread(widest) > 0 {
		s := c.Rows[widest].Warm
		f.Summary += fmt.Sprintf(" Warm runs spread most at %s: %s to %s.", c.name(c.Rows[widest]), table.Grouped(s.Lowest), ms(s.Highest))
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), strconv.Itoa(row.Warm.N), extreme(row.Warm, row.Warm.Lowest), middle(row.Warm), extreme(row.Warm, row.Warm.Highest), strconv.Itoa(row.Cold.N)})
	}
	coldMark := draw.GlyphStyle{Color: role(1), Radius: 3.5, Shape: draw.PyramidGlyph{}}
	warm := draw.GlyphStyle{Color: role(0), Radius: 3, Shape: draw.CircleGlyph{}}
	f.Key = []keyItem{{c.mark(warm), "warm"}, {c.mark(coldMark), "cold, INIT included"}}
	if slices.ContainsFunc(rows, func(i int) bool { return max(c.Rows[i].Warm.N, c.Rows[i].Cold.N) > maxMarks }) {
		f.Summary += fmt.Sprintf(" Where there are more than %d runs, that many are drawn, evenly by rank.", maxMarks)
	}
	rows = f.few(rows)
	var shown []float64
	for _, i := range rows {
		shown = slices.Concat(shown, values(c.Rows[i].Warm), values(c.Rows[i].Cold))
	}
	drawn := func(class string, width, perRow vg.Length, letters int) template.HTML {
		p := axes("ms", "")
		logarithmic(&p.X, slices.Min(shown), slices.Max(shown))
		uncrowded(p, width)
		c.rowLabels(p, len(rows), func(i int) string { return c.label(c.Rows[rows[i]], letters) })
		return c.draw(f.ID, f.Title, class, width, perRow*vg.Length(len(rows))+50, p, func(d *drawing) {
			for k, i := range rows {
				row, y := c.Rows[i], float64(len(rows)-1-k)
				mark := func(kind string, style draw.GlyphStyle, values []float64) {
					if len(values) == 0 {
						return
					}
					var at []plotter.XY
					for n, v := range values {
						at = append(at, plotter.XY{X: v, Y: y + 0.14*float64(n%3-1)}) // a little apart, so that equal ones show
					}
					p.Add(d.titled(fmt.Sprintf("%s: %s, %s", c.name(row), kind, strings.Join(each(values), " ")), points(style, at...)))
				}
				if m := row.Warm.Median; drawable(m) {
					p.Add(line(ink, 1.5, plotter.XY{X: m, Y: y - 0.38}, plotter.XY{X: m, Y: y + 0.38}))
				}
				mark("cold ms", coldMark, values(row.Cold))
				mark("warm ms", warm, values(row.Warm))
			}
		})
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 22, 60), Narrow: drawn("narrow", narrowWidth, 32, 22)}}
	return f
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

// cost shows what is paid for.
func (c *charts) cost() figure {
	f := figure{ID: "cost", Title: "What is paid for", Head: []string{"setting", "compute $/M", "request fee $/M", "S3 requests $/M", "S3 retrieval $/M", "all $/M"}}
	rows := c.best(func(row report.Row) bool { return row.WarmCost.N > 0 && drawable(row.Cost.Total()*1e6) })
	if !c.Priced {
		f.Missing = "No costs are known for these settings; the warnings above say why."
		return f
	}
	if len(rows) == 0 {
		f.Missing = "No warm invocation went well."
		return f
	}
	least, most := math.Inf(1), 0.0
	for _, i := range rows {
		s := c.Rows[i].Cost
		part := (s.S3Requests + s.Retrieval) / s.Total()
		least, most = min(least, part), max(most, part)
	}
	f.Summary = fmt.Sprintf("Dollars for a million warm invocations of each client and memory, with its fastest number of workers. S3's part is %s to %s; no setting changes what it comes to.", table.Share(least), table.Share(most))
	if table.Share(least) == table.Share(most) {
		f.Summary = strings.Replace(f.Summary, table.Share(least)+" to "+table.Share(most), table.Share(most), 1)
	}
	names := []string{"compute", "request fee", "S3 requests"}
	retrieval := slices.ContainsFunc(rows, func(i int) bool { return c.Rows[i].Cost.Retrieval > 0 })
	if retrieval {
		names = append(names, "S3 retrieval")
	}
	f.Key = c.partKey(names...)
	var bars []bar
	for _, i := range rows {
		s := c.Rows[i].Cost.Million()
		f.Rows = append(f.Rows, []string{c.name(c.Rows[i]), table.Grouped(s.Compute), table.Grouped(s.Request), table.Grouped(s.S3Requests), table.Grouped(s.Retrieval), table.Grouped(s.Total())})
	}
	for _, i := range f.few(rows) {
		s := c.Rows[i].Cost.Million()
		b := bar{row: i, parts: []float64{orZero(s.Compute), orZero(s.Request), orZero(s.S3Requests), orZero(s.Retrieval)}, says: table.Dollars(s.Total())}
		b.titles = []string{"compute " + table.Dollars(s.Compute), "request fee " + table.Dollars(s.Request), "S3 requests " + table.Dollars(s.S3Requests), "S3 retrieval " + table.Dollars(s.Retrieval)}
		bars = append(bars, b)
	}
	f.Pictures = c.bars(f, "dollars for a million invocations", bars)
	return f
}
