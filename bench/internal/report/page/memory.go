package page

import (
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
)

// memory shows time, and the cost of compute, by memory, a panel for each number
// of workers.
func (c *charts) memory() figure {
	f := figure{ID: "memory", Title: "Time and cost by memory",
		Head: []string{"workers", "client", "memory MB", "warm ms", "95% interval", "compute $/M", "95% interval", "n"}}
	if c.Own() {
		f.Head = append([]string{"function"}, f.Head[2:]...)
	}
	rows := c.rowsWith(func(row report.Row) bool { return row.Warm.N > 0 && drawable(row.Warm.Median) && row.MemoryMB > 0 })
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
	caption := workersCaption
	if c.Own() {
		caption = func(int) string { return c.Events() }
	}
	panels, left := c.panels(rows, func(row report.Row) int { return row.Concurrency }, caption)
	f.Key = c.key(rows)
	f.Summary = c.saysMemory(rows)
	if c.Priced {
		f.Summary += " The lower chart shows the compute cost: " + c.leftOut()
	}
	f.Summary += " Vertical lines are the 95% intervals of the medians."
	if left > 0 {
		f.Summary += fmt.Sprintf(" %s not drawn; the table of figures has all of them.",
			count(left, "number of workers is", "numbers of workers are"))
	}
	times := c.upright("warm ms", rows, func(row report.Row) stats.Summary { return row.Warm })
	costs := c.upright("compute, $/M", rows, million)
	times.axis.least, costs.axis.least = costs.axis.room(), times.axis.room()
	for _, panel := range panels {
		drawn := picture{Caption: panel.caption}
		drawn.Wide, drawn.Narrow = c.byMemory(f, panel, rows, sizes, panelHeight, times)
		if c.Priced {
			wide, narrow := c.byMemory(f, panel, rows, sizes, costHeight, costs)
			drawn.Wide, drawn.Narrow = drawn.Wide+wide, drawn.Narrow+narrow
		}
		f.Pictures = append(f.Pictures, drawn)
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, append(c.workersCell(row), c.who(row), strconv.Itoa(row.MemoryMB), table.Grouped(row.Warm.Median),
			interval(row.Warm), middle(million(row)), interval(million(row)), strconv.Itoa(row.Warm.N)))
	}
	return f
}

// leftOut says what of the cost no setting changes.
func (c *charts) leftOut() string {
	if c.Own() {
		return "the request fee, the same for all, is left out."
	}
	return "S3's part, the same for all, is left out."
}

// workersCell is a row's number of workers, where there is one.
func (c *charts) workersCell(row report.Row) []string {
	if c.Own() {
		return nil
	}
	return []string{row.Workers()}
}

// million is the settable cost of a million warm invocations.
func million(row report.Row) stats.Summary {
	s := row.SettableCost
	for _, v := range []*float64{&s.Median, &s.Lo, &s.Hi} {
		*v *= 1e6
	}
	return s
}

// metric is what is shown of each row, on one scale for all panels.
type metric struct {
	axis axis
	of   func(report.Row) stats.Summary
}

// upright makes a metric with an axis for all of these rows.
func (c *charts) upright(title string, rows []int, of func(report.Row) stats.Summary) metric {
	values := noExtent
	for _, i := range rows {
		s := of(c.Rows[i])
		if !drawable(s.Median) {
			continue
		}
		if values = values.with(s.Median); s.HasInterval && drawable(s.Lo) && drawable(s.Hi) {
			values = values.with(s.Lo, s.Hi)
		}
	}
	if values == noExtent {
		return metric{of: of}
	}
	return metric{logarithmic(title, values.lo, values.hi), of}
}

// byMemory draws what a metric says of a panel's rows, of all of the figure's;
// nothing, if it says nothing of any row.
func (c *charts) byMemory(f figure, p panel, all, sizes []int, height float64, m metric) (wide, narrow template.HTML) {
	if m.axis.hi == 0 {
		return "", ""
	}
	one, other := c.panelSizes(all, height)
	wide = c.drawByMemory(f, p, sizes, one, m)
	if other.width > 0 {
		narrow = c.drawByMemory(f, p, sizes, other, m)
	}
	return wide, narrow
}

func (c *charts) drawByMemory(f figure, p panel, sizes []int, size panelSize, m metric) template.HTML {
	memory := logarithmic("memory, MB", float64(sizes[0]), float64(sizes[len(sizes)-1])).marking(sizes)
	if size.named {
		memory.after = c.nameRoom()
	}
	drawn := newPlot(size.width, size.height, memory, m.axis, attributes(f, size.class, f.Title+", "+p.caption+", "+m.axis.title)...)
	rows := slices.DeleteFunc(slices.Clone(p.rows), func(i int) bool { return !drawable(m.of(c.Rows[i]).Median) })
	last := c.curves(drawn, rows, curve{
		at:       func(row report.Row) (x, y float64) { return float64(row.MemoryMB), m.of(row).Median },
		interval: m.of,
		title: func(row report.Row) string {
			s := m.of(row)
			return fmt.Sprintf("%s: %s %s, interval %s, n=%d", c.name(row), m.axis.title, table.Grouped(s.Median), interval(s), s.N)
		},
	})
	if size.named {
		c.nameLines(drawn, last)
	}
	return drawn.markup()
}

func workersCaption(n int) string {
	switch n {
	case 0:
		return "its own number of workers"
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
			said = append(said, fmt.Sprintf("%s from %s at %d MB to %s at %d MB", c.who(c.series[n]), ms(best[least]), least,
				ms(best[most]), most))
		}
	}
	if len(said) == 0 {
		return "Nothing was measured at more than one memory size."
	}
	if more := len(said) - 6; more > 0 {
		said = append(said[:6], fmt.Sprintf("and %d more", more))
	}
	if c.Own() {
		return capital(strings.Join(said, "; ")) + "."
	}
	return "With the fastest number of workers, " + strings.Join(said, "; ") + "."
}
