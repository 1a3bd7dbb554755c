package page

import (
	"cmp"
	"fanout/bench/internal/report"
	"fmt"
	"slices"
	"strconv"
)

// coldStarts shows what a cold start is made of.
func (c *charts) coldStarts() figure {
	f := figure{ID: "cold", Title: "Cold starts", Head: []string{"setting", "init ms", "first ms", "cold ms", "warm ms", "cold n"}}
	rows := c.best(func(row report.Row) bool {
		return row.Cold.N > 0 && drawable(row.Cold.Median) && drawable(row.First.Median)
	})
	if len(rows) == 0 {
		f.Missing = "No cold start was measured: --cold 2 measures two per setting."
		return f
	}
	worst := slices.MaxFunc(rows, func(a, b int) int { return cmp.Compare(extra(c.Rows[a]), extra(c.Rows[b])) })
	f.Summary = "Medians for " + c.each() + ": INIT, then the first invocation. The diamond " +
		"is a warm invocation."
	if row := c.Rows[worst]; extra(row) > 1 && row.Warm.N > 0 {
		f.Summary += fmt.Sprintf(" Relative to a warm invocation, a cold start takes longest at %s: %s instead of %s.", c.name(row),
			ms(row.Cold.Median), ms(row.Warm.Median))
	}
	f.Key = []keyItem{partKey(0, "init"), partKey(1, "first invocation"), {Mark: keyMark(warmMark), Name: "warm invocation"}}
	for _, i := range rows {
		row := c.Rows[i]
		f.Rows = append(f.Rows, []string{c.name(row), middle(row.Init), middle(row.First), middle(row.Cold), middle(row.Warm),
			strconv.Itoa(row.Cold.N)})
	}
	var bars []bar
	for _, i := range f.few(rows) {
		row := c.Rows[i]
		b := c.bar(row)
		b.warmMS, b.end = orZero(row.Warm.Median), ms(row.Cold.Median)
		b.parts = []part{
			{orZero(row.Init.Median), "init " + ms(row.Init.Median)}, {row.First.Median, "first " + ms(row.First.Median)},
		}
		bars = append(bars, b)
	}
	f.Pictures = drawBars(f, "ms", bars)
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
