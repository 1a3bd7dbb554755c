package page

import (
	"cmp"
	"fmt"
	"slices"

	"fanout/bench/internal/cost"
	"fanout/bench/internal/report"
	"fanout/bench/internal/scan/forecast"
	"fanout/bench/internal/table"
)

// scanCost shows where the money went.
func scanCost(r *report.Scan) figure {
	f := figure{ID: "cost", Title: "Where the money went", Head: []string{"for", "quantity", "unit", "$", "$ per million objects", "share"}}
	total := r.Bill.Total()
	if !drawable(total) {
		f.Missing = "No costs are known."
		return f
	}
	rows := slices.DeleteFunc(slices.Clone(r.Bill), func(p cost.Part) bool { return p.Amount <= 0 })
	slices.SortStableFunc(rows, func(a, b cost.Part) int { return cmp.Compare(b.Amount, a.Amount) })
	f.Summary = fmt.Sprintf("%s in all, %s per million objects. The largest part is %s, %s.", table.Dollars(total), table.Dollars(r.Million),
		rows[0].Name, table.Share(rows[0].Amount/total))
	var bars []bar
	for _, p := range rows {
		share := table.Share(p.Amount / total)
		million := table.None
		if r.Read > 0 {
			million = forecast.Dollars(p.Amount / float64(r.Read) * 1e6)
		}
		f.Rows = append(f.Rows, []string{p.Name, table.Grouped(p.Quantity), p.Unit, forecast.Dollars(p.Amount), million, share})
		text := forecast.Dollars(p.Amount) + ", " + share
		bars = append(bars, bar{name: p.Name, label: func(int) string { return p.Name }, parts: []part{{p.Amount, text}}, end: text})
	}
	f.Pictures = drawBars(f, "dollars", bars)
	return f
}
