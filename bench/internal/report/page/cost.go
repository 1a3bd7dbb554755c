package page

import (
	"fanout/bench/internal/report"
	"fanout/bench/internal/table"
	"fmt"
	"math"
	"slices"
	"strings"
)

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
	f.Key = partKey(names...)
	var bars []bar
	for _, i := range rows {
		s := c.Rows[i].Cost.Million()
		f.Rows = append(f.Rows, []string{c.name(c.Rows[i]), table.Grouped(s.Compute), table.Grouped(s.Request), table.Grouped(s.S3Requests), table.Grouped(s.Retrieval), table.Grouped(s.Total())})
	}
	for _, i := range f.few(rows) {
		s := c.Rows[i].Cost.Million()
		bars = append(bars, bar{row: c.Rows[i], end: table.Dollars(s.Total()), parts: []part{
			{orZero(s.Compute), "compute " + table.Dollars(s.Compute)}, {orZero(s.Request), "request fee " + table.Dollars(s.Request)},
			{orZero(s.S3Requests), "S3 requests " + table.Dollars(s.S3Requests)}, {orZero(s.Retrieval), "S3 retrieval " + table.Dollars(s.Retrieval)},
		}})
	}
	f.Pictures = c.bars(f, "dollars for a million invocations", bars)
	return f
}
