package page

import (
	"fmt"
	"html/template"
	"slices"
	"strings"

	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// frontier sets time against cost.
func (c *charts) frontier() figure {
	f := figure{ID: "frontier", Title: "Time against cost",
		Head: []string{"setting on the frontier", "picked as", "$ per million", "warm ms", "95% interval"}}
	all := c.rowsWith(func(row report.Row) bool {
		return row.Warm.N > 0 && row.Failed == 0 && drawable(row.Warm.Median) && drawable(row.WarmCost.Median*1e6)
	})
	switch {
	case !c.Priced:
		f.Missing = "No costs are known for these settings; the warnings above say why."
		return f
	case len(all) < 2:
		f.Missing = "A comparison needs two settings without a failure."
		return f
	}
	edge := slices.DeleteFunc(slices.Clone(c.Advice.Frontier), func(i int) bool { return !slices.Contains(all, i) })
	switch {
	case len(edge) > 0:
	case c.Advice.Missing != "":
		f.Missing = "No setting is advised."
		return f
	default:
		f.Missing = "The frontier's times or costs cannot be drawn."
		return f
	}
	shown := c.nearFrontier(all, edge)
	f.Summary = c.frontierSummary(edge, len(all), len(shown))
	f.Key = append(c.key(shown), keyItem{Mark: keyMark(style{role: ink, shape: ring, radius: 6}), Name: "on the frontier"})
	picked := c.picked()
	for _, i := range edge {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), strings.Join(picked[i], ", "), table.Dollars(c.totalMillion(i)),
			table.Grouped(row.Warm.Median), interval(row.Warm)})
	}
	drawn := func(class string, width, height float64) template.HTML {
		return c.drawFrontier(edge, shown, width, height, attributes(f, class, f.Title)...)
	}
	f.Pictures = []picture{{Wide: drawn("wide", wideWidth, 380), Narrow: drawn("narrow", narrowWidth, 320)}}
	return f
}

// costTitle says what an invocation's cost has in it.
func (c *charts) costTitle() string {
	if c.Own() {
		return "dollars per million invocations, request fee included"
	}
	return "dollars per million invocations, S3 included"
}

// totalMillion is what a million warm invocations of a row cost.
func (c *charts) totalMillion(i int) float64 { return c.Rows[i].WarmCost.Median * 1e6 }

// picked says as what each row is advised.
func (c *charts) picked() map[int][]string {
	goals := map[int][]string{}
	for _, p := range c.Advice.Picks {
		goals[p.Row] = append(goals[p.Row], string(p.Goal))
	}
	return goals
}

// nearFrontier leaves out settings that are so far away that they would press
// the others into a corner.
func (c *charts) nearFrontier(all, edge []int) []int {
	first, last := edge[0], edge[len(edge)-1]
	slowest, fastest := c.Rows[first].Warm.Median, c.Rows[last].Warm.Median
	least, dearest := c.totalMillion(first), c.totalMillion(last)
	kept := slices.DeleteFunc(slices.Clone(all), func(i int) bool {
		return c.Rows[i].Warm.Median > max(slowest*2.5, fastest*8) || c.totalMillion(i) > dearest+max((dearest-least)*1.5, dearest*0.08)
	})
	if len(kept) < 2 {
		return all
	}
	return kept
}

func (c *charts) frontierSummary(edge []int, all, shown int) string {
	first, last := c.Rows[edge[0]], c.Rows[edge[len(edge)-1]]
	said := fmt.Sprintf("Of %s without a failure, one is both the fastest and the cheapest: %s.", count(all, "setting", "settings"),
		c.name(first))
	if len(edge) > 1 {
		said = fmt.Sprintf("Of %s without a failure, %d are on the frontier: no other is both faster and cheaper. It goes from %s "+
			"(%s, %s) to %s (%s, %s).",
			count(all, "setting", "settings"), len(edge), c.name(first), table.Dollars(c.totalMillion(edge[0])), ms(first.Warm.Median),
			c.name(last), table.Dollars(c.totalMillion(edge[len(edge)-1])), ms(last.Warm.Median))
	}
	if n := all - shown; n > 0 {
		said += fmt.Sprintf(" %s, much slower or more expensive, would be outside the chart; the table of all settings has them.",
			count(n, "setting", "settings"))
	}
	return said
}

func (c *charts) drawFrontier(edge, shown []int, width, height float64, attributes ...string) template.HTML {
	costs, times := noExtent, noExtent
	for _, i := range shown {
		costs, times = costs.with(c.totalMillion(i)), times.with(c.Rows[i].Warm.Median)
	}
	room := max((costs.hi-costs.lo)*0.08, costs.hi*0.002)
	p := newPlot(width, height, linear(c.costTitle(), costs.lo-room, costs.hi+2*room),
		logarithmic("warm ms", times.lo*0.93, times.hi), attributes...)
	at := func(i int) point { return p.at(c.totalMillion(i), c.Rows[i].Warm.Median) }
	var steps []point
	for k, i := range edge {
		if k > 0 {
			steps = append(steps, point{at(i).x, steps[len(steps)-1].y})
		}
		steps = append(steps, at(i))
	}
	if len(steps) > 1 {
		p.line(soft, 1.5, "5 3", steps...)
	}
	var labels []label
	var marks []point
	picked := c.picked()
	for _, i := range shown {
		row := c.Rows[i]
		title := fmt.Sprintf("%s: %s, %s", c.name(row), ms(row.Warm.Median), table.Dollars(c.totalMillion(i)))
		if row.Warm.HasInterval {
			title = fmt.Sprintf("%s: %s (%s), %s", c.name(row), ms(row.Warm.Median), interval(row.Warm), table.Dollars(c.totalMillion(i)))
		}
		p.titled(title, func() { p.mark(c.style(c.of[i]), at(i)) })
		marks = append(marks, at(i))
		if slices.Contains(edge, i) {
			p.mark(style{role: ink, shape: ring, radius: 7.5}, at(i))
		}
		if goals := picked[i]; len(goals) > 0 {
			labels = append(labels, label{at(i), c.pickLabel(goals, row)})
		}
	}
	p.labels(labels, marks)
	return p.markup()
}

// pickLabel names a pick on the frontier.
func (c *charts) pickLabel(goals []string, row report.Row) string {
	if c.Own() {
		return fmt.Sprintf("%s: %d MB", strings.Join(goals, ", "), row.MemoryMB)
	}
	if c.grouped() {
		return fmt.Sprintf("%s: %d MB %s", strings.Join(goals, ", "), row.MemoryMB, c.who(row))
	}
	return fmt.Sprintf("%s: %d MB ×%d", strings.Join(goals, ", "), row.MemoryMB, row.InFlight())
}
