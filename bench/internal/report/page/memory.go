package page

import (
	"fanout/bench/internal/report"
	"fanout/bench/internal/stats"
	"fanout/bench/internal/table"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// memory shows time by memory, a panel for each number of workers.
func (c *charts) memory() figure {
	f := figure{ID: "memory", Title: "Time by memory", Head: []string{"workers", "client", "memory MB", "warm ms", "95% interval", "n"}}
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
	panels, left := c.panels(rows, func(row report.Row) int { return row.Concurrency }, workersCaption)
	f.Key = c.key(rows)
	f.Summary = c.saysMemory(rows) + " Upright lines are the 95% intervals of the medians."
	if left > 0 {
		f.Summary += fmt.Sprintf(" %s not drawn; the figures have all.", count(left, "number of workers is", "numbers of workers are"))
	}
	times := noExtent
	for _, i := range rows {
		w := c.Rows[i].Warm
		if times = times.with(w.Median); w.HasInterval && drawable(w.Lo) && drawable(w.Hi) {
			times = times.with(w.Lo, w.Hi)
		}
	}
	for _, panel := range panels {
		p := newPlot(panelWidth, panelHeight, logarithmic("memory, MB", float64(sizes[0]), float64(sizes[len(sizes)-1])).marking(sizes),
			logarithmic("warm ms", times.lo, times.hi), attributes(f, "panel", f.Title+", "+panel.caption)...)
		c.curves(p, panel.rows, curve{
			at:       func(row report.Row) (x, y float64) { return float64(row.MemoryMB), row.Warm.Median },
			interval: func(row report.Row) stats.Summary { return row.Warm },
			title: func(row report.Row) string {
				return fmt.Sprintf("%s: %s, interval %s, n=%d", c.name(row), ms(row.Warm.Median), interval(row.Warm), row.Warm.N)
			},
		})
		f.Pictures = append(f.Pictures, picture{Caption: panel.caption, Wide: p.markup()})
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{row.Workers(), c.who(row), strconv.Itoa(row.MemoryMB), table.Grouped(row.Warm.Median),
			interval(row.Warm), strconv.Itoa(row.Warm.N)})
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
			said = append(said, fmt.Sprintf("%s from %s at %d MB to %s at %d MB", c.who(c.series[n]), ms(best[least]), least,
				ms(best[most]), most))
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
