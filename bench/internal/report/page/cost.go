package page

import (
	"fmt"
	"slices"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
)

// cost shows what is paid for.
func (c *charts) cost() figure {
	f := figure{ID: "cost", Title: "What is paid for"}
	rows := c.best(func(row report.Row) bool { return row.WarmCost.N > 0 && drawable(row.Cost.Total()*1e6) })
	if !c.Priced {
		f.Missing = "No costs are known for these settings; the warnings above say why."
		return f
	}
	if len(rows) == 0 {
		f.Missing = "No warm invocation went well."
		return f
	}
	f.Head = []string{"setting"}
	groups := slices.DeleteFunc(slices.Clone(cost.Groups), func(g cost.Group) bool { return c.Own() && g.S3() })
	for i, g := range groups {
		f.Head = append(f.Head, g.Title+" $/M")
		if slices.ContainsFunc(rows, func(i int) bool { return c.Rows[i].Cost.Of(g) > 0 }) {
			f.Key = append(f.Key, partKey(i, g.Title))
		}
	}
	f.Head = append(f.Head, "all $/M")
	f.Summary = "Dollars per million warm invocations, for " + c.each() + ". " + c.s3Part(rows)
	for _, i := range rows {
		bill := c.Rows[i].Cost.Million()
		line := []string{c.name(c.Rows[i])}
		for _, g := range groups {
			line = append(line, table.Grouped(bill.Of(g)))
		}
		f.Rows = append(f.Rows, append(line, table.Grouped(bill.Total())))
	}
	var bars []bar
	for _, i := range f.few(rows) {
		bill := c.Rows[i].Cost.Million()
		b := c.bar(c.Rows[i])
		b.end = table.Dollars(bill.Total())
		for _, g := range groups {
			b.parts = append(b.parts, part{orZero(bill.Of(g)), g.Title + " " + table.Dollars(bill.Of(g))})
		}
		bars = append(bars, b)
	}
	f.Pictures = drawBars(f, "dollars per million invocations", bars)
	return f
}

// s3Part says how much of the cost no setting changes.
func (c *charts) s3Part(rows []int) string {
	if c.Own() {
		return "They are Lambda's alone: what the function calls, such as S3, is not known here."
	}
	parts := noExtent
	for _, i := range rows {
		parts = parts.with(c.Rows[i].Cost.S3() / c.Rows[i].Cost.Total())
	}
	from, to := table.Share(parts.lo), table.Share(parts.hi)
	if from != to {
		to = fmt.Sprintf("%s to %s", from, to)
	}
	return fmt.Sprintf("S3's part is %s; no setting changes that amount.", to)
}
