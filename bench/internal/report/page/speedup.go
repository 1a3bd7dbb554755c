package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
	"fmt"
	"html/template"
	"slices"
	"strconv"
)

// speedUp shows how much faster many workers are than one, a panel for each
// memory size.
func (c *charts) speedUp() figure {
	f := figure{ID: "speedup", Title: "Speed-up over one worker", Head: []string{"memory MB", "client", "workers", "warm ms", "speed-up"}}
	rows := c.rowsWith(func(row report.Row) bool { return drawable(row.SpeedUp) && row.InFlight() > 0 })
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
	f.Summary += " The dashed line shows a speed-up proportional to the number of workers."
	var workers []int
	for _, i := range rows {
		workers = append(workers, c.Rows[i].InFlight())
	}
	panels, left := c.panels(rows, func(row report.Row) int { return row.MemoryMB },
		func(mb int) string { return fmt.Sprintf("%d MB", mb) })
	if left > 0 {
		f.Summary += fmt.Sprintf(" %s not drawn; the table of figures has all of them.", count(left, "memory size is", "memory sizes are"))
	}
	f.Key = c.key(rows)
	most := float64(slices.Max(workers))
	faster := extent{1, 2}
	for _, i := range rows {
		faster = faster.with(c.Rows[i].SpeedUp)
	}
	wide, narrow := c.panelSizes(rows, panelHeight)
	for _, panel := range panels {
		draw := func(size panelSize) template.HTML {
			lying := logarithmic("workers", 1, max(most, 2)).marking(workers)
			if size.named {
				lying.after = c.nameRoom()
			}
			p := newPlot(size.width, size.height, lying, logarithmic("times as fast", faster.lo, faster.hi),
				attributes(f, size.class, f.Title+", "+panel.caption)...)
			end := min(most, faster.hi)
			p.line(soft, 1, "4 3", p.at(1, 1), p.at(end, end)) // twice the workers, twice as fast
			last := c.curves(p, panel.rows, curve{
				at:    func(row report.Row) (x, y float64) { return float64(row.InFlight()), row.SpeedUp },
				title: func(row report.Row) string { return fmt.Sprintf("%s: %s", c.name(row), table.Times(row.SpeedUp)) },
			})
			if size.named {
				c.nameLines(p, last)
			}
			return p.markup()
		}
		drawn := picture{Caption: panel.caption, Wide: draw(wide)}
		if narrow.width > 0 {
			drawn.Narrow = draw(narrow)
		}
		f.Pictures = append(f.Pictures, drawn)
	}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{strconv.Itoa(row.MemoryMB), c.who(row), row.Workers(), table.Grouped(row.Warm.Median),
			table.Times(row.SpeedUp)})
	}
	return f
}
